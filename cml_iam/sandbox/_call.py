"""Reading a request: one operation and its parameters, from one place only.

What is read here is what is authorized, and `canonical_form` of it is what is executed: the
bytes of the caller's form never reach the service, so the two cannot disagree.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import parse_qsl

from cml_iam.sandbox import _cbor
from cml_iam.sandbox._faults import Fault

if TYPE_CHECKING:
    from cml_iam.sandbox._signature import Claim
    from cml_iam.sandbox._wire import Message

Protocol = Literal["ec2", "query", "json", "cbor"]

SERVICES: Final = {"ec2": "ec2", "iam": "iam", "sts": "sts", "monitoring": "cloudwatch"}
"""The services whose requests are understood, by their name in a credential scope."""

_CBOR_PATH: Final = "/service/GraniteServiceVersion20100801/operation/"
_JSON_TARGET: Final = "GraniteServiceVersion20100801."
_FORM: Final = "application/x-www-form-urlencoded"
MOST_BYTES: Final = 16 * 1024 * 1024
"""The longest body."""

_PLUMBING: Final = frozenset({"Action", "Version"})


@dataclass(frozen=True, slots=True)
class Call:
    """One API operation: *params* by the names of the service's model."""

    service: str
    operation: str
    region: str
    protocol: Protocol
    params: dict[str, Any]

    @property
    def action(self) -> str:
        """The IAM action."""
        return f"{self.service}:{self.operation}"

    def with_params(self, **params: Any) -> Call:
        """Return the same call with other *params*; None takes one away."""
        merged = {**self.params, **params}
        return replace(self, params={k: v for k, v in merged.items() if v is not None})


def protocol_of(message: Message, service: str) -> Protocol:
    """Return the protocol *message* speaks: CloudWatch has three, the others one."""
    if service == "ec2":
        return "ec2"
    if service == "cloudwatch":
        if message.path.startswith(_CBOR_PATH):
            return "cbor"
        if "x-amz-target" in message.headers:
            return "json"
    return "query"


def read_call(message: Message, claim: Claim) -> Call:
    """Return the call *message* makes; raise Fault if it is none."""
    service = SERVICES[claim.service]
    protocol = protocol_of(message, service)
    message = replace(message, body=_inflated(message))
    match protocol:
        case "cbor":
            operation, given = _cbor_operation(message)
        case "json":
            operation, given = _json_operation(message)
        case _:
            operation, given = _form_operation(message)
    model = operation_model(service, operation)
    if model is None:
        raise _unknown(operation, protocol)
    params = params_of(model, protocol, given)
    call = Call(service, operation, claim.region, protocol, params)
    _check_required(call, model)
    if protocol == "ec2":
        _check_known(call, given)
    return call


def _unknown(operation: str, protocol: Protocol) -> Fault:
    if protocol in ("json", "cbor"):
        return Fault("UnknownOperationException", f"There is no operation {operation}.", 404)
    return Fault("InvalidAction", f"The action {operation} is not valid for this web service.")


def operation_model(service: str, operation: str) -> Any:
    """Return botocore's model of *operation*, or None if there is none."""
    from moto.core.utils import get_service_model

    model = get_service_model(service)
    return model.operation_model(operation) if operation in model.operation_names else None


def canonical_form(call: Call) -> list[tuple[str, str]]:
    """Return *call* as the fields of a form, written anew from its parameters."""
    shape = operation_model(call.service, call.operation).input_shape
    fields: list[tuple[str, str]] = [("Action", call.operation)]
    if shape is not None:
        _write(shape, call.params, "", fields, ec2=call.protocol == "ec2")
    return fields


def _form_operation(message: Message) -> tuple[str, dict[str, str]]:
    """Read a form from the body or from the URL, never from both."""
    if message.path not in ("/", ""):
        raise Fault("InvalidAction", f"There is nothing at the path {message.path}.", 404)
    url = [(name, value) for name, value in _fields(message.query) if not _signs(name)]
    body = _fields(_body_text(message)) if message.body else []
    if url and body:
        raise Fault(
            "MalformedQueryString", "Parameters are given both in the URL and in the body.", 400
        )
    given = dict(url or body)
    if len(given) != len(url or body):
        raise Fault("MalformedQueryString", "A parameter is given twice.")
    if "Action" not in given:
        raise Fault("MissingAction", "The request is missing an action or a required parameter.")
    return given.pop("Action"), given


def _json_operation(message: Message) -> tuple[str, Any]:
    _check_bare(message)
    target = message.headers["x-amz-target"]
    if not target.startswith(_JSON_TARGET):
        raise Fault("UnknownOperationException", f"There is no operation {target}.", 404)
    return target.removeprefix(_JSON_TARGET), _json(message.body)


def _cbor_operation(message: Message) -> tuple[str, Any]:
    _check_bare(message)
    try:
        given = _cbor.decode(message.body) if message.body else {}
    except (ValueError, OverflowError) as error:
        raise Fault("SerializationException", f"The body is not CBOR: {error}.") from error
    return message.path.removeprefix(_CBOR_PATH), given


def _inflated(message: Message) -> bytes:
    """Return the body, which SDKs compress when it is long; the signature was over that."""
    if message.headers.get("content-encoding") != "gzip":
        return message.body
    reader = zlib.decompressobj(wbits=31)
    try:
        body = reader.decompress(message.body, MOST_BYTES)
    except zlib.error as error:
        raise Fault("SerializationException", "The body is not gzip.") from error
    if reader.unconsumed_tail or not reader.eof:
        raise Fault("SerializationException", "The body is too long, or cut short.")
    return body


def _check_bare(message: Message) -> None:
    if any(not _signs(name) for name, _ in _fields(message.query)):
        raise Fault("MalformedQueryString", "Parameters belong into the body.")


def _json(body: bytes) -> Any:
    try:
        return json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise Fault("SerializationException", "The body is not JSON.") from error


def _body_text(message: Message) -> str:
    if not message.headers.get("content-type", _FORM).startswith(_FORM):
        raise Fault("InvalidAction", f"The body has to be {_FORM}.")
    try:
        return message.body.decode()
    except UnicodeDecodeError as error:
        raise Fault("MalformedQueryString", "The body is not UTF-8.") from error


def _fields(text: str) -> list[tuple[str, str]]:
    return parse_qsl(text, keep_blank_values=True)


def _signs(name: str) -> bool:
    return name.startswith("X-Amz-")


def params_of(model: Any, protocol: Protocol, given: Any) -> dict[str, Any]:
    """Return what was *given*, by the names of the *model* of an operation; raises Fault."""
    from moto.core import parse

    parsers: dict[str, Any] = parse.PROTOCOL_PARSERS
    if model.input_shape is None:
        return {}
    if not isinstance(given, dict):
        raise Fault("SerializationException", "The body has to be a structure.")
    try:
        if protocol in ("ec2", "query"):
            parsed = parsers[protocol](model).parse({"values": given})
        else:
            parsed = parsers["json"](model, timestamp_parser=_timestamp).parse(
                {"body": json.dumps(given, default=plain)}
            )
    except (ValueError, TypeError, AttributeError, binascii.Error, OverflowError) as error:
        raise Fault("InvalidParameterValue", f"A parameter is malformed: {error}.") from error
    return dict(parsed or {})


def _timestamp(value: Any) -> datetime:
    """Return the time of a JSON or CBOR value, as UTC without a zone, as the services keep it."""
    if isinstance(value, str):
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    return datetime.fromtimestamp(float(value), UTC).replace(tzinfo=None)


def plain(value: Any) -> Any:
    """Return what JSON has for a value it does not know: seconds for a time, base64 for bytes."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"not a value of JSON: {type(value).__name__}")


def _check_required(call: Call, model: Any) -> None:
    shape = model.input_shape
    for name in shape.required_members if shape is not None else ():
        # An empty list is sent as nothing in the EC2 protocol; botocore fills in the tokens.
        if name in call.params or name in model.idempotent_members:
            continue
        if call.service == "ec2":
            raise Fault("MissingParameter", f"The request must contain the parameter {name}")
        if call.service == "cloudwatch":
            raise Fault("MissingParameter", f"The parameter {name} is required.")
        raise Fault(
            "ValidationError",
            f"1 validation error detected: Value null at '{name[0].lower()}{name[1:]}' failed to "
            "satisfy constraint: Member must not be null",
        )


def _check_known(call: Call, given: dict[str, str]) -> None:
    known = {name for name, _ in canonical_form(call)} | _PLUMBING
    for name, value in given.items():
        if name not in known and value:
            raise Fault("UnknownParameter", f"The parameter {name} is not recognized")


def _write(
    shape: Any, value: Any, prefix: str, fields: list[tuple[str, str]], *, ec2: bool
) -> None:
    match shape.type_name:
        case "structure":
            for name, member in shape.members.items():
                if name in value:
                    inner = _name(member, name, ec2=ec2)
                    _write(member, value[name], _join(prefix, inner), fields, ec2=ec2)
        case "list":
            _write_list(shape, value, prefix, fields, ec2=ec2)
        case "map":
            _write_map(shape, value, prefix, fields)
        case _:
            fields.append((prefix, _scalar(value)))


def _write_list(
    shape: Any, value: Any, prefix: str, fields: list[tuple[str, str]], *, ec2: bool
) -> None:
    if not ec2:
        if not value:
            fields.append((prefix, ""))
        if shape.serialization.get("flattened"):
            name = _name(shape.member, "", ec2=False)
            prefix = _join(prefix.rpartition(".")[0], name) if name else prefix
        else:
            prefix = _join(prefix, _name(shape.member, "member", ec2=False))
    for number, each in enumerate(value, 1):
        _write(shape.member, each, f"{prefix}.{number}", fields, ec2=ec2)


def _write_map(shape: Any, value: Any, prefix: str, fields: list[tuple[str, str]]) -> None:
    if not shape.serialization.get("flattened"):
        prefix = f"{prefix}.entry"
    key_name, value_name = (
        _name(shape.key, "key", ec2=False),
        _name(shape.value, "value", ec2=False),
    )
    for number, (key, each) in enumerate(value.items(), 1):
        fields.append((f"{prefix}.{number}.{key_name}", str(key)))
        _write(shape.value, each, f"{prefix}.{number}.{value_name}", fields, ec2=False)


def _name(shape: Any, default: str, *, ec2: bool) -> str:
    known = shape.serialization
    if ec2:
        if "queryName" in known:
            return str(known["queryName"])
        name = str(known.get("name", default))
        return name[:1].upper() + name[1:] if "name" in known else name
    return str(known.get("locationNameForQueryCompatibility") or known.get("name", default))


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _scalar(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.isoformat() + "Z"
        case bytes():
            return base64.b64encode(value).decode()
    return str(value)
