"""Reading a request whose operation is named by method, path and query, as those of S3 are.

https://smithy.io/2.0/aws/protocols/aws-restxml-protocol.html
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from cml_iam.aws import wire
from cml_iam.sandbox._faults import Fault
from cml_iam.sandbox._shapes import moment
from cml_iam.sandbox._wire import form_fields

if TYPE_CHECKING:
    from cml_iam.sandbox._wire import Message


def read_rest(message: Message, models: list[Any]) -> tuple[Any, dict[str, Any]]:
    """Return the operation of *message*, of one of the *models*, and its parameters."""
    from moto.core import parse
    from moto.core.request import Request
    from moto.core.routing import get_service_router
    from werkzeug.exceptions import NotFound

    request: Any = Request(_environ(message))
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


def _environ(message: Message) -> dict[str, Any]:
    environ = {
        "REQUEST_METHOD": message.method,
        "PATH_INFO": unquote(message.path, encoding="latin-1"),
        "RAW_URI": message.path,
        "QUERY_STRING": message.query,
        "SERVER_NAME": "s3.amazonaws.com",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(b""),
    }
    for name, value in message.headers.items():
        if name != "host":
            variable = name.upper().replace("-", "_")
            environ[variable if name == "content-type" else f"HTTP_{variable}"] = value
    return environ


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
