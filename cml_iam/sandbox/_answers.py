"""Write results and errors in the caller's protocol, whole or in pages.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html#api-pagination
"""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from cml_iam.aws import wire
from cml_iam.sandbox._services import QUERY_COMPATIBLE
from cml_iam.sandbox._wire import Answer, Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._services import Protocol
    from cml_iam.sandbox._world import World


_JSON_TYPE: Final = "application/x-amz-json-1.0"
_CBOR_TYPE: Final = "application/cbor"
_CBOR_HEADERS: Final = {"smithy-protocol": "rpc-v2-cbor"}
_SERVER_FAULT: Final = 500

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
_CODES: Final = {
    ("s3", "InvalidClientTokenId"): "InvalidAccessKeyId",
    ("sns", "AccessDenied"): "AuthorizationError",
}
_JSON_CODES: Final = {
    "AccessDenied": ("AccessDeniedException", 400),
    "ExpiredToken": ("ExpiredTokenException", 400),
    "IncompleteSignature": ("IncompleteSignatureException", 400),
    "InvalidClientTokenId": ("UnrecognizedClientException", 400),
    "MissingAuthenticationToken": ("MissingAuthenticationTokenException", 400),
    "SignatureDoesNotMatch": ("InvalidSignatureException", 400),
}
"""The error codes of services whose names differ from those of IAM's protocol."""


def fault_answer(fault: Fault, protocol: Protocol, service: str) -> Answer:
    """Return *fault* in the wording and format of *service*, which speaks *protocol*."""
    side = "Sender" if fault.status < _SERVER_FAULT else "Receiver"
    if protocol in ("json", "cbor", "rest-json"):
        code, status = fault.code, fault.status
        headers = {}
        if service in QUERY_COMPATIBLE:
            headers["x-amzn-query-error"] = f"{code};{side}"
        else:
            code, status = _JSON_CODES.get(code, (code, status))
        if protocol == "cbor":
            body = wire.write_cbor_error(code, fault.message)
            return Answer(status, body, _CBOR_TYPE, headers | _CBOR_HEADERS)
        text = json.dumps({"__type": code, "message": fault.message})
        return Answer(status, text.encode(), _JSON_TYPE, headers | {"x-amzn-ErrorType": code})
    form = {"ec2": _EC2_ERROR, "s3": _S3_ERROR}.get(service, _QUERY_ERROR)
    text = form.format(
        code=escape(_CODES.get((service, fault.code), fault.code)),
        message=escape(fault.message),
        side=side,
        service=service,
    )
    return Answer(fault.status, text.encode())


def result_answer(call: Call, result: dict[str, Any]) -> Answer:
    """Return *result*, with the names of the service's model, as the response to *call*."""
    from moto.core.serialize import XFormedAttributePicker, get_serializer_class

    spoken = "json" if call.protocol == "cbor" else call.protocol
    serializer = get_serializer_class(call.service, spoken)(
        operation_model=call.model, value_picker=XFormedAttributePicker()
    )
    written = serializer.serialize(result)
    body = written["body"]
    answer = Answer(
        int(written["status_code"]),
        body.encode() if isinstance(body, str) else bytes(body),
        "text/xml;charset=UTF-8" if spoken in ("ec2", "query") else _JSON_TYPE,
    )
    return as_cbor(call, answer) if call.protocol == "cbor" else answer


def as_cbor(call: Call, answer: Answer) -> Answer:
    """Return the JSON *answer* to *call* as CBOR."""
    if not answer.ok:
        said = json.loads(answer.body or b"{}")
        message = said.get("message", said.get("Message", ""))
        body = wire.write_cbor_error(str(said.get("__type", "InternalFailure")), str(message))
    elif call.model.output_shape is None:
        body = b""
    else:
        values = wire.read_json_answer(call.model, answer.body)
        body = wire.write_cbor(call.model.output_shape, values)
    headers = {**answer.headers, **_CBOR_HEADERS}
    return replace(answer, body=body, content_type=_CBOR_TYPE, headers=headers)


LONGEST: Final = 1000
"""The maximum and default page size."""

IAM_PAGE: Final = 100
"""The default page size of IAM (without MaxItems)."""

_PAGED: Final = {
    "DescribeImages": (1, LONGEST),
    "DescribeInstances": (5, LONGEST),
    "DescribeInstanceStatus": (5, LONGEST),
    "DescribeInstanceTypes": (5, 100),
    "DescribeSecurityGroups": (5, LONGEST),
    "DescribeSubnets": (5, LONGEST),
    "DescribeTags": (5, LONGEST),
}
"""EC2 operations with pages, with their minimum and maximum page sizes."""

_MOST_TOKENS: Final = 1000
_NAMESPACE: Final = re.compile(r"\{([^}]*)\}")
_ENDS: Final = ("IsTruncated", "Marker", "nextToken")
"""The elements that tell that an answer has more pages."""


def check_page(call: Call) -> None:
    """Raise Fault for a page size that is too small or too large."""
    shortest, longest = _PAGED.get(call.operation, (0, 0))
    wanted = call.params.get("MaxResults")
    if longest and wanted is not None and not shortest <= wanted <= longest:
        said = f"Value ( {wanted} ) for parameter maxResults is invalid. Expecting a value"
        raise Fault("InvalidParameterValue", f"{said} between {shortest} and {longest}.")


def in_pages(world: World, call: Call, execute: Callable[[Call], Answer]) -> Answer:
    """Execute the whole *call* by *execute*, and return the requested page of its response."""
    iam, shape = call.service == "iam", call.model.input_shape
    token, most = ("Marker", "MaxItems") if iam else ("NextToken", "MaxResults")
    if (shape is None or token not in shape.members) if iam else call.operation not in _PAGED:
        return execute(call)
    start = place_of(world, call, "ValidationError" if iam else "InvalidNextToken")
    # Moto makes pages of its own; this one is never full.
    answer = execute(call.with_params(**{token: None, most: 10**6}))
    if not answer.ok:
        return answer
    end = start + (call.params.get(most) or (IAM_PAGE if iam else LONGEST))

    def cut(root: ET.Element, prefix: str) -> None:
        held = root.find(f"{prefix}{call.operation}Result") if iam else root
        lists = [] if held is None else [held.find(prefix + name) for name in _lists(call)]
        entries = [(each, entry) for each in lists if each is not None for entry in each]
        if held is None or not lists:
            return
        for each, entry in (*entries[:start], *entries[end:]):
            each.remove(entry)
        for each in list(held):
            if each.tag.removeprefix(prefix) in _ENDS:
                held.remove(each)
        more = len(entries) > end
        if iam:
            ET.SubElement(held, f"{prefix}IsTruncated").text = str(more).lower()
        if more:
            place = ET.SubElement(held, prefix + ("Marker" if iam else "nextToken"))
            place.text = keep_place(world, call, end)

    return edited(answer, cut)


def edited(answer: Answer, edit: Callable[[ET.Element, str], None]) -> Answer:
    """Return the XML *answer* after *edit*, which receives the root and the name prefix."""
    root = ET.fromstring(answer.body)  # noqa: S314 - moto's own answer
    match = _NAMESPACE.match(root.tag)
    edit(root, match[0] if match else "")
    body = ET.tostring(
        root, "utf-8", xml_declaration=True, default_namespace=match[1] if match else None
    )
    return replace(answer, body=body)


def _lists(call: Call) -> list[str]:
    """Return the wire names of the lists of a response's entries."""
    members = call.model.output_shape.members.items()
    lists = [(name, each) for name, each in members if each.type_name == "list"]
    return [each.serialization.get("name", name) for name, each in lists]


def place_of(world: World, call: Call, code: str) -> int:
    """Return where the response to *call* continues, 0 without a token; raise the Fault *code*."""
    token = call.params.get("NextToken", call.params.get("Marker"))
    if token is None:
        return 0
    asked, start = world.pages.get(token, (None, 0))
    if asked != _question(call):
        raise Fault(code, "The specified token of the next page is not valid.")
    return start


def keep_place(world: World, call: Call, start: int) -> str:
    """Return the token with which the same *call* continues at *start*."""
    token = secrets.token_urlsafe(48)
    world.pages[token] = (_question(call), start)
    if len(world.pages) > _MOST_TOKENS:
        world.pages.popitem(last=False)
    return token


def _question(call: Call) -> object:
    """Return what must be equal for every page of a response."""
    whole = call.with_params(NextToken=None, MaxResults=None, Marker=None, MaxItems=None)
    return whole.operation, whole.region, whole.params
