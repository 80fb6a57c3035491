"""Writing results and errors in the protocol the caller speaks."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape

from cml_iam.sandbox import _cbor
from cml_iam.sandbox._call import operation_model
from cml_iam.sandbox._wire import Answer

if TYPE_CHECKING:
    from cml_iam.sandbox._call import Call, Protocol
    from cml_iam.sandbox._faults import Fault

_JSON_TYPE: Final = "application/x-amz-json-1.0"
_CBOR_TYPE: Final = "application/cbor"
_CBOR_HEADERS: Final = {"smithy-protocol": "rpc-v2-cbor"}
_SERVER_FAULT: Final = 500

_EC2_ERROR: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error><Code>{code}</Code>'
    "<Message>{message}</Message></Error></Errors><RequestID>{id}</RequestID></Response>"
)
_QUERY_ERROR: Final = (
    '<ErrorResponse xmlns="https://{service}.amazonaws.com/"><Error><Type>{side}</Type>'
    "<Code>{code}</Code><Message>{message}</Message></Error><RequestId>{id}</RequestId>"
    "</ErrorResponse>"
)


def fault_answer(fault: Fault, protocol: Protocol, service: str) -> Answer:
    """Return *fault* as *service* writes errors in *protocol*."""
    side = "Sender" if fault.status < _SERVER_FAULT else "Receiver"
    request_id = str(uuid.uuid4())
    if protocol in ("json", "cbor"):
        said = {"__type": fault.code, "message": fault.message}
        # The code of the query protocol, which awsQueryCompatible services keep sending.
        headers = {"x-amzn-RequestId": request_id, "x-amzn-query-error": f"{fault.code};{side}"}
        if protocol == "json":
            return Answer(fault.status, json.dumps(said).encode(), _JSON_TYPE, headers)
        return Answer(fault.status, _cbor.encode(said), _CBOR_TYPE, headers | _CBOR_HEADERS)
    text = (_EC2_ERROR if protocol == "ec2" else _QUERY_ERROR).format(
        code=escape(fault.code),
        message=escape(fault.message),
        side=side,
        service=service,
        id=request_id,
    )
    return Answer(fault.status, text.encode(), headers={"x-amzn-RequestId": request_id})


def result_answer(call: Call, result: dict[str, Any]) -> Answer:
    """Return *result*, by the names of the service's model, as the answer to *call*."""
    from moto.core.serialize import XFormedAttributePicker, get_serializer_class

    model = operation_model(call.service, call.operation)
    wire = "json" if call.protocol == "cbor" else call.protocol
    serializer = get_serializer_class(call.service, wire)(
        operation_model=model, value_picker=XFormedAttributePicker()
    )
    written = serializer.serialize(result)
    body = written["body"]
    answer = Answer(
        int(written["status_code"]),
        body.encode() if isinstance(body, str) else bytes(body),
        "text/xml;charset=UTF-8" if wire in ("ec2", "query") else _JSON_TYPE,
        {"x-amzn-RequestId": str(uuid.uuid4())},
    )
    return as_cbor(call, answer) if call.protocol == "cbor" else answer


def as_cbor(call: Call, answer: Answer) -> Answer:
    """Return the JSON *answer* to *call* in CBOR; times become times."""
    value = json.loads(answer.body or b"{}")
    if answer.ok:
        value = _typed(operation_model(call.service, call.operation).output_shape, value)
    return replace(
        answer,
        body=_cbor.encode(value),
        content_type=_CBOR_TYPE,
        headers={**answer.headers, **_CBOR_HEADERS},
    )


def _typed(shape: Any, value: Any) -> Any:
    if shape is None or value is None:
        return value
    match shape.type_name:
        case "structure":
            return {
                name: _typed(shape.members.get(name), each)
                for name, each in value.items()
                if each is not None
            }
        case "list":
            return [_typed(shape.member, each) for each in value]
        case "map":
            return {key: _typed(shape.value, each) for key, each in value.items()}
        case "timestamp":
            return _cbor.Moment(float(value))
        case "float" | "double":
            return float(value)
    return value
