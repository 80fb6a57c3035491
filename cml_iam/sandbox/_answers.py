"""Writing results and errors in the protocol the caller speaks."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape

from cml_iam.aws import wire
from cml_iam.sandbox._services import QUERY_COMPATIBLE
from cml_iam.sandbox._wire import Answer

if TYPE_CHECKING:
    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._faults import Fault
    from cml_iam.sandbox._services import Protocol

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
"""How services name what IAM's own protocol names otherwise."""


def fault_answer(fault: Fault, protocol: Protocol, service: str) -> Answer:
    """Return *fault* in the words and the form of *service*, which speaks *protocol*."""
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
    """Return *result*, by the names of the service's model, as the answer to *call*."""
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
    """Return the JSON *answer* to *call* in CBOR."""
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
