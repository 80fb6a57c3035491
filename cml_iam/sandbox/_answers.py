"""Write results, complete or in pages, and errors in the caller's protocol.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html#api-pagination
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from html import escape
from typing import Any, Final, TypeVar

from cml_iam.aws import wire
from cml_iam.sandbox._wire import Answer, Call, Edit, Fault, Protocol, Unauthenticated, Values, rows
from cml_iam.sandbox._world import Principal, World

Handler = Callable[["World", "Principal", "Call"], "Values | None"]
_Handler = TypeVar("_Handler", bound=Handler)

OWN: Final[dict[str, Handler]] = {}
"""The functions that answer actions instead of moto; None leaves the call to moto."""


def answers(*actions: str) -> Callable[[_Handler], _Handler]:
    """Let the decorated function answer calls of *actions*."""

    def use(handler: _Handler) -> _Handler:
        OWN.update(dict.fromkeys(actions, handler))
        return handler

    return use


_QUERY_COMPATIBLE: Final = frozenset({"cloudwatch", "sqs"})
"""JSON services that use the error codes of the query protocol."""

_JSON_TYPE: Final = "application/x-amz-json-1.0"
_CBOR_TYPE: Final = "application/cbor"
_CBOR_HEADERS: Final = {"smithy-protocol": "rpc-v2-cbor"}

_EC2_ERROR: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error><Code>{code}</Code>'
    "<Message>{message}</Message></Error></Errors><RequestID>-</RequestID></Response>"
)
_S3_ERROR: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code>'
    "<Message>{message}</Message><RequestId>-</RequestId></Error>"
)
_QUERY_ERROR: Final = (
    '<ErrorResponse xmlns="https://{service}.amazonaws.com/"><Error><Type>{side}</Type>'
    "<Code>{code}</Code><Message>{message}</Message></Error><RequestId>-</RequestId>"
    "</ErrorResponse>"
)


def unauthenticated(error: Unauthenticated, service: str) -> Fault:
    """Return the error with which *service* answers a request without a proven sender."""
    table = rows("unauthenticated")["ec2" if service == "ec2" else "query"]
    code, message, status = table.get(error.reason) or table["others"]
    return Fault(code, error.detail or message, status)


def fault_answer(fault: Fault, protocol: Protocol, service: str) -> Answer:
    """Return *fault* in the wording and format of *service*, which speaks *protocol*."""
    code, status = fault.code, fault.status
    side = "Sender" if status < 500 else "Receiver"
    if protocol in ("json", "cbor", "rest-json"):
        headers = {}
        if service in _QUERY_COMPATIBLE:
            headers["x-amzn-query-error"] = f"{code};{side}"
        elif code in rows("codes")["json"]:
            code, status = rows("codes")["json"][code], 400
        if protocol == "cbor":
            body = wire.write_cbor_error(code, fault.message)
            return Answer(status, body, _CBOR_TYPE, headers | _CBOR_HEADERS)
        text = json.dumps({"__type": code, "message": fault.message})
        return Answer(status, text.encode(), _JSON_TYPE, headers | {"x-amzn-ErrorType": code})
    form = {"ec2": _EC2_ERROR, "s3": _S3_ERROR}.get(service, _QUERY_ERROR)
    text = form.format(
        code=escape(rows("codes").get(service, {}).get(code, code)),
        message=escape(fault.message),
        side=side,
        service=service,
    )
    return Answer(status, text.encode())


def result_answer(call: Call, result: dict[str, Any]) -> Answer:
    """Return *result*, with the names of the service's model, as the response to *call*."""
    from moto.core.serialize import XFormedAttributePicker, get_serializer_class

    protocol = call.plain_protocol
    serializer = get_serializer_class(call.service, protocol)(
        operation_model=call.model, value_picker=XFormedAttributePicker()
    )
    written = serializer.serialize(result)
    body = written["body"]
    return Answer(
        int(written["status_code"]),
        body.encode() if isinstance(body, str) else bytes(body),
        "text/xml;charset=UTF-8" if protocol in ("ec2", "query") else _JSON_TYPE,
    )


def as_cbor(call: Call, answer: Answer) -> Answer:
    """Return the JSON *answer* to *call* as CBOR."""
    if answer.status >= 300:
        error = json.loads(answer.body or b"{}")
        message = error.get("message", error.get("Message", ""))
        body = wire.write_cbor_error(str(error.get("__type", "InternalFailure")), str(message))
    elif call.model.output_shape is None:
        body = b""
    else:
        values = wire.read_json_answer(call.model, answer.body)
        body = wire.write_cbor(call.model.output_shape, values)
    headers = {**answer.headers, **_CBOR_HEADERS}
    return replace(answer, body=body, content_type=_CBOR_TYPE, headers=headers)


LONGEST: Final = 1000
"""The maximum page size, which is also the default."""

IAM_PAGE: Final = 100
"""The default page size of IAM (without MaxItems)."""


Execute = Callable[..., Answer]
"""Executes a call; *edit* changes the values of the response before they are written."""


def in_pages(world: World, call: Call, execute: Execute, edit: Edit | None = None) -> Answer:
    """Let *execute* run *call* without paging, and return the requested page of its response."""
    iam, shape = call.service == "iam", call.model.input_shape
    token, most = ("Marker", "MaxItems") if iam else ("NextToken", "MaxResults")
    paged = shape and token in shape.members if iam else call.operation in rows("pages")
    if not paged:
        return execute(call, edit)
    start = place_of(world, call, "ValidationError" if iam else "InvalidNextToken")
    end = start + (call.params.get(most) or (IAM_PAGE if iam else LONGEST))

    def cut(whole: Any) -> Any:
        values = edit(whole) if edit else whole
        members = call.model.output_shape.members.items()
        lists = [key for key, member in members if member.type_name == "list" and key in values]
        entries = [(name, entry) for name in lists for entry in values[name] or ()]
        page = entries[start:end]
        held = {name: [entry for key, entry in page if key == name] for name in lists}
        following = next_place(world, call, end, len(entries))
        return {**values, **held, "IsTruncated": following is not None, token: following}

    # Moto also pages; this page size is larger than any result.
    return execute(call.with_params(**{token: None, most: 10**6}), cut)


def place_of(world: World, call: Call, code: str) -> int:
    """Return where the response to *call* continues, 0 without a token; raises the Fault *code*."""
    token = call.params.get("NextToken", call.params.get("Marker"))
    if token is None:
        return 0
    match world.kept.get(token):
        case (question, int() as start) if question == _question(call):
            return start
    raise Fault(code, "The specified token of the next page is not valid.")


def next_place(world: World, call: Call, end: int, count: int) -> str | None:
    """Return the token with which *call* continues at *end*; None if there are *count* entries."""
    return world.keep((_question(call), end)) if count > end else None


def _question(call: Call) -> object:
    """Return the values that must be equal in the requests for all pages of a response."""
    whole = call.with_params(NextToken=None, MaxResults=None, Marker=None, MaxItems=None)
    return whole.operation, whole.region, whole.params
