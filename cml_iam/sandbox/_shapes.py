"""Reading values as a service's model has them: those of JSON and CBOR, and whole REST requests.

Nothing is unknown, nothing of another type, nothing missing.
https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
https://smithy.io/2.0/aws/protocols/aws-restxml-protocol.html
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final

from cml_iam.aws import wire
from cml_iam.sandbox._wire import Fault, environ_of, form_fields

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from cml_iam.sandbox._wire import Message


_INTEGERS: Final = frozenset({"byte", "integer", "long", "short"})
_ONE_OF: Final[Mapping[tuple[str, str], frozenset[str]]] = {
    ("ec2", "FleetLaunchTemplateSpecification"): frozenset(
        {"LaunchTemplateId", "LaunchTemplateName"}
    ),
    ("ec2", "FleetLaunchTemplateSpecificationRequest"): frozenset(
        {"LaunchTemplateId", "LaunchTemplateName"}
    ),
    ("ec2", "IamInstanceProfileSpecification"): frozenset({"Arn", "Name"}),
    ("ec2", "LaunchTemplateIamInstanceProfileSpecificationRequest"): frozenset({"Arn", "Name"}),
    ("ec2", "LaunchTemplateSpecification"): frozenset({"LaunchTemplateId", "LaunchTemplateName"}),
    ("sns", "PublishInput"): frozenset({"PhoneNumber", "TargetArn", "TopicArn"}),
    **{
        ("logs", f"{name}Request"): frozenset({"logGroupIdentifier", "logGroupName"})
        for name in ("DescribeLogStreams", "FilterLogEvents", "GetLogEvents", "GetLogGroupFields")
    },
}
"""The members of a structure of which a request has at most one, by service and name."""


def read_value(shape: Any, value: Any, where: str = "") -> Any:
    """Return the *value* of JSON or CBOR as one of *shape*; raise Fault where it is none."""
    kind = shape.type_name
    if kind == "structure" and not getattr(shape, "is_document_type", False):
        return _structure(shape, _of(dict, value, where), where)
    if kind == "list":
        items = enumerate(_of(list, value, where), 1)
        return [read_value(shape.member, item, f"{where}.{number}") for number, item in items]
    if kind == "map":
        pairs = _of(dict, value, where).items()
        return {
            read_value(shape.key, key, where): read_value(shape.value, held, f"{where}.{key}")
            for key, held in pairs
        }
    return _scalar(kind, value, where)


def _structure(shape: Any, value: dict[Any, Any], where: str) -> dict[str, Any]:
    names = {each.serialization.get("name", name): name for name, each in shape.members.items()}
    read = {}
    for key, held in value.items():
        if key not in names:
            said = f"There is no member {key} in {where or 'this request'}."
            raise Fault("SerializationException", said)
        if held is not None:
            name = names[key]
            read[name] = read_value(shape.members[name], held, f"{where}.{name}".lstrip("."))
    return read


def _scalar(kind: str, value: Any, where: str) -> Any:
    if kind in ("string", "character"):
        return _of(str, value, where)
    if kind == "boolean":
        return _of(bool, value, where)
    if kind in _INTEGERS:
        whole = isinstance(value, float) and value.is_integer()
        return _of(int, int(value) if whole else value, where)
    if kind in ("float", "double"):
        return float(_of(float, value, where))
    if kind == "timestamp":
        return moment(value, where)
    if kind == "blob":
        return value if isinstance(value, bytes) else _decoded(_of(str, value, where), where)
    return value


def _of(kind: type[Any], value: Any, where: str) -> Any:
    """Return *value* if it is of *kind*; a number is as good as a float."""
    kinds = (float, int) if kind is float else (kind,)
    if not isinstance(value, kinds) or (isinstance(value, bool) and kind is not bool):
        said = f"{where or 'The body'} has to be a value of another type."
        raise Fault("SerializationException", said)
    return value


def moment(value: Any, where: str = "A parameter") -> datetime:
    """Return a time as it stands on the wire, in UTC; raise Fault where it is none."""
    try:
        return wire.read_time(value)
    except ValueError as error:
        raise Fault("SerializationException", f"{where} is no time: {error}.") from error


def _decoded(text: str, where: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as error:
        raise Fault("SerializationException", f"{where} is not base64.") from error


def missing(shape: Any, value: Any, where: str = "") -> Iterator[str]:
    """Yield the path of every required member that *value* of *shape* leaves out."""
    match shape.type_name:
        case "structure" if isinstance(value, dict):
            yield from (f"{where}{name}" for name in shape.required_members if name not in value)
            for name, held in value.items():
                yield from missing(shape.members[name], held, f"{where}{name}.")
        case "list":
            for number, held in enumerate(value, 1):
                yield from missing(shape.member, held, f"{where}{number}.")
        case "map":
            for key, held in value.items():
                yield from missing(shape.value, held, f"{where}{key}.")


def conflicting(service: str, shape: Any, value: Any) -> frozenset[str]:
    """Return the members *value* has of which it may have only one; none where there are none."""
    members: list[tuple[Any, Any]] = []
    match shape.type_name:
        case "structure" if isinstance(value, dict):
            given = _ONE_OF.get((service, shape.name), frozenset()) & set(value)
            if len(given) > 1:
                return given
            members = [(shape.members[name], held) for name, held in value.items()]
        case "list":
            members = [(shape.member, held) for held in value]
    return next(filter(None, (conflicting(service, *pair) for pair in members)), frozenset())


def read_rest(message: Message, models: list[Any]) -> tuple[Any, dict[str, Any]]:
    """Return the operation of *message*, of one of the *models*, and its parameters."""
    from moto.core import parse
    from moto.core.request import Request
    from moto.core.routing import get_service_router
    from werkzeug.exceptions import NotFound

    headers = {**message.headers, "host": "s3.amazonaws.com"}
    request: Any = Request(environ_of(message.method, message.target, headers))
    for service in models:
        try:
            model, labels = get_service_router(service.service_name).match(request)
        except (NotFound, NotImplementedError):
            continue
        reader: Any = parse.PROTOCOL_PARSERS[service.protocol](model, timestamp_parser=moment)
        try:
            params = reader.parse(
                {
                    "method": request.method,
                    "values": request.args,
                    "headers": request.headers,
                    "body": _unchunked(message),
                    "url_path": request.path,
                    "url_params": labels,
                }
            )
            # The body is written anew, so that its length is another matter.
            params = {k: v for k, v in params.items() if v is not None and k != "ContentLength"}
            written = wire.write_request(model, service.protocol, params)
        except (ValueError, TypeError, AttributeError, parse.RequestParserError) as error:
            code = "MalformedXML" if service.protocol == "rest-xml" else "SerializationException"
            raise Fault(code, "The request is not as the operation's model has it.") from error
        _check_query(written, request.args)
        return model, params
    raise Fault("MethodNotAllowed", "There is no operation of this method at this path.", 405)


def _check_query(written: dict[str, Any], given: Any) -> None:
    """Refuse what the query holds beside the operation's own parameters, and anything twice."""
    literal = dict(form_fields(written["url_path"].partition("?")[2]))
    known = {*literal, *written["query_string"], "x-id"}
    for name, values in given.lists():
        listed = isinstance(written["query_string"].get(name), list)
        if not name.startswith("X-Amz-") and (
            name not in known or (len(values) > 1 and not listed)
        ):
            said = f"Conflicting or unknown query string parameter: {name}"
            raise Fault("InvalidArgument", said)


def _unchunked(message: Message) -> bytes:
    """Return the body, which SDKs cut into chunks where they sign it piece by piece.

    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
    """
    body, content, at = message.body, bytearray(), 0
    if not message.headers.get("x-amz-content-sha256", "").startswith("STREAMING-"):
        return body
    try:
        while True:
            end = body.index(b"\r\n", at)
            size = int(body[at:end].partition(b";")[0], 16)
            if not size:
                return bytes(content)
            content += body[end + 2 : end + 2 + size]
            at = end + 2 + size + 2
    except ValueError as error:
        raise Fault("IncompleteBody", "The chunks of the body are not as they say.") from error
