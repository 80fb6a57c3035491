"""Parse a request into one operation and its parameters, by the service's model.

The parsed call is authorized, and a new request is written from it: the caller's bytes never reach
the service, so authorization and execution cannot disagree. Unknown, wrongly typed or missing
members are errors.

https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
https://smithy.io/2.0/aws/protocols/aws-restxml-protocol.html
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from cml_iam.aws import wire
from cml_iam.sandbox._strict import check_model
from cml_iam.sandbox._wire import (
    Call,
    Fault,
    Message,
    Protocol,
    environ_of,
    form_fields,
    models_of,
    prefix_of,
    speaks,
)

_FORM: Final = "application/x-www-form-urlencoded"
MOST_BYTES: Final = 16 * 1024 * 1024
"""The maximum size of a request body."""

_NO_SUCH: Final = "UnknownOperationException"
_UNREADABLE: Final = "SerializationException"


def protocol_of(message: Message, scope: str) -> Protocol:
    """Return the protocol that *message* uses for the service with the signature name *scope*."""
    models = models_of(scope)
    spoken: list[Protocol] = ["ec2", "query", "rest-json", "rest-xml"]
    if message.headers.get("smithy-protocol") == "rpc-v2-cbor":
        spoken.insert(0, "cbor")
    elif "x-amz-target" in message.headers:
        spoken.insert(0, "json")
        if not models:
            return "json"
    understood = (name for name in spoken if any(speaks(model, name) for model in models))
    return next(understood, "query")


def read_call(message: Message, scope: str, region: str) -> Call:
    """Return the call in *message* to the service *scope* in *region*; raises Fault if invalid."""
    protocol = protocol_of(message, scope)
    models = [model for model in models_of(scope) if speaks(model, protocol)]
    if not models:
        raise Fault(_NO_SUCH, f"The sandbox has no service {scope} with this protocol.")
    match protocol:
        case "cbor" | "json":
            model, params = _read_object(message, models, cbor=protocol == "cbor")
        case "ec2" | "query":
            model, params = _read_form(message, models)
        case _:
            model, params = _read_rest(message, models)
    call = Call(prefix_of(scope), model.name, region, protocol, params, model)
    check_model(call)
    return call


def _read_object(message: Message, models: list[Any], *, cbor: bool) -> tuple[Any, dict[str, Any]]:
    if cbor:
        service, _, operation = message.path.removeprefix("/service/").partition("/operation/")
        models = [model for model in models if _target(model) == service]
    else:
        service, _, operation = message.headers["x-amz-target"].rpartition(".")
        # Some SDKs omit the first parts of the service's name, as for CloudTrail.
        name = service.rpartition(".")[2]
        models = [model for model in models if _target(model).rpartition(".")[2] == name]
    model = _operation(models, operation, _NO_SUCH)
    if message.fields:
        raise Fault("MalformedQueryString", "Parameters belong in the body.")
    try:
        values: Any = {}
        if body := _inflated(message):
            values = wire.read_cbor(body) if cbor else json.loads(body, object_pairs_hook=_once)
        if model.input_shape is None:
            return model, {}
        if not isinstance(values, dict):
            raise Fault(_UNREADABLE, "The body has a value of the wrong type.")
        return model, _value(model.input_shape, values)
    except (ValueError, RecursionError) as error:
        raise Fault(_UNREADABLE, f"The body cannot be read: {error}.") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is given twice")
    return members


def _value(shape: Any, value: Any, where: str = "this request") -> Any:
    """Convert the JSON or CBOR *value* to botocore's names and types.

    Raises Fault for unknown members; `_check_members` reports wrong types.
    """
    kind, free = shape.type_name, getattr(shape, "is_document_type", False)
    match value:
        case dict() if kind == "structure" and not free:
            names = {
                member.serialization.get("name", name): name
                for name, member in shape.members.items()
            }
            for key in value:
                if key not in names:
                    raise Fault(_UNREADABLE, f"There is no member {key} in {where}.")
            members = {names[key]: held for key, held in value.items() if held is not None}
            return {name: _value(shape.members[name], held, name) for name, held in members.items()}
        case dict() if kind == "map":
            return {key: _value(shape.value, held, key) for key, held in value.items()}
        case list() if kind == "list":
            return [_value(shape.member, held, where) for held in value]
        case bool() if kind != "boolean" and not free:
            raise Fault(_UNREADABLE, f"{where} has a value of the wrong type.")
        case float() if kind in ("integer", "long") and value.is_integer():
            return int(value)
        case str() if kind == "blob":
            try:
                return base64.b64decode(value, validate=True)
            except ValueError as error:
                raise Fault(_UNREADABLE, f"{where} is not base64.") from error
    return moment(value) if kind == "timestamp" else value


def moment(value: Any) -> datetime:
    """Parse a time from a request, in UTC; raises Fault if it is invalid."""
    try:
        return wire.read_time(value)
    except ValueError as error:
        raise Fault(_UNREADABLE, f"A parameter is not a time: {error}.") from error


def _read_form(message: Message, models: list[Any]) -> tuple[Any, dict[str, Any]]:
    """Read a form from the body or the URL; raises Fault if both have parameters."""
    if message.path not in ("/", ""):
        raise Fault("InvalidAction", f"There is nothing at the path {message.path}.", 404)
    url = message.fields
    body = form_fields(_body_text(message)) if message.body else []
    if url and body:
        raise Fault("MalformedQueryString", "Parameters are given both in the URL and in the body.")
    fields = dict(url or body)
    if len(fields) != len(url or body):
        raise Fault("MalformedQueryString", "A parameter is given twice.")
    if "Action" not in fields:
        raise Fault("MissingAction", "The request is missing an action or a required parameter.")
    operation, version = fields.pop("Action"), fields.pop("Version", None)
    if len(models) > 1:
        models = [model for model in models if model.api_version == version]
    model = _operation(models, operation, "InvalidAction")
    return model, _form_members(model, fields)


def _form_members(model: Any, fields: Mapping[str, str]) -> dict[str, Any]:
    from moto.core import parse

    ec2 = model.service_model.protocol == "ec2"
    params: dict[str, Any] = {}
    if model.input_shape is not None:
        reader: Any = parse.EC2QueryParser if ec2 else parse.QueryParser
        try:
            params = reader(model, timestamp_parser=moment).parse({"values": fields})
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            raise Fault("InvalidParameterValue", f"A parameter is malformed: {error}.") from error
    written = wire.write_request(model, "ec2" if ec2 else "query", params)["body"]
    for name, value in fields.items():
        if name not in written and value:
            code = "UnknownParameter" if ec2 else "ValidationError"
            raise Fault(code, f"The parameter {name} is not recognized")
        if written.get(name) in ("true", "false") and value.lower() != written[name]:
            text = f"Value ({value}) for parameter {name} is invalid. It must be true or false."
            raise Fault("InvalidParameterValue", text)
    return params


def _operation(models: list[Any], name: str, code: str) -> Any:
    for model in models:
        if name in model.operation_names:
            return model.operation_model(name)
    raise Fault(code, f"The action {name} is not valid for this web service.")


def _target(model: Any) -> str:
    return str(model.metadata.get("targetPrefix"))


def _inflated(message: Message) -> bytes:
    """Return the decompressed body; SDKs compress long bodies and sign the compressed bytes."""
    if message.headers.get("content-encoding") != "gzip":
        return message.body
    reader = zlib.decompressobj(wbits=31)
    try:
        body = reader.decompress(message.body, MOST_BYTES)
    except zlib.error as error:
        raise Fault(_UNREADABLE, "The body is not gzip.") from error
    if reader.unconsumed_tail or not reader.eof:
        raise Fault(_UNREADABLE, "The body is too long, or cut short.")
    return body


def _body_text(message: Message) -> str:
    if not message.headers.get("content-type", _FORM).startswith(_FORM):
        raise Fault("InvalidAction", f"The body must be {_FORM}.")
    try:
        return _inflated(message).decode()
    except UnicodeDecodeError as error:
        raise Fault("MalformedQueryString", "The body is not UTF-8.") from error


def _read_rest(message: Message, models: list[Any]) -> tuple[Any, dict[str, Any]]:
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
            # The body is written again, so its length may differ.
            params.pop("ContentLength", None)
            params = {name: value for name, value in params.items() if value is not None}
            written = wire.write_request(model, service.protocol, params)
        except (ValueError, TypeError, AttributeError, parse.RequestParserError) as error:
            code = "MalformedXML" if service.protocol == "rest-xml" else _UNREADABLE
            raise Fault(code, "The request does not match the operation's model.") from error
        _check_query(written, request.args)
        return model, params
    raise Fault("MethodNotAllowed", "No operation has this method and path.")


def _check_query(written: dict[str, Any], query: Any) -> None:
    """Refuse query parameters that the operation does not have, and repeated ones."""
    literal = dict(form_fields(written["url_path"].partition("?")[2]))
    names = {*literal, *written["query_string"], "x-id"}
    for name, values in query.lists():
        listed = isinstance(written["query_string"].get(name), list)
        if not name.startswith("X-Amz-") and (
            name not in names or (len(values) > 1 and not listed)
        ):
            raise Fault("InvalidArgument", f"Conflicting or unknown query string parameter: {name}")


def _unchunked(message: Message) -> bytes:
    """Return the body without its chunk headers; SDKs sign a body chunk by chunk.

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
        text = "The chunks of the body do not match their headers."
        raise Fault("IncompleteBody", text) from error
