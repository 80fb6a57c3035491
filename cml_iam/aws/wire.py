"""The server's side of AWS's protocols and signatures, built on botocore's own code.

`connect` is the client's side; the sandbox uses this module. A *shape* and an *operation* belong to
botocore's service models.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from cml_iam.secret import Secret

ALGORITHM: Final = "AWS4-HMAC-SHA256"


def write_request(operation: Any, protocol: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request that botocore would send: method, path, query, headers and body.

    Raises ValueError for values that *protocol* cannot represent.
    """
    from botocore.exceptions import ParamValidationError

    try:
        written: dict[str, Any] = _serializer(protocol).serialize_to_request(params, operation)
    except ParamValidationError as error:
        raise ValueError(str(error)) from error
    return written


@cache
def _serializer(protocol: str) -> Any:
    from botocore.serialize import create_serializer

    return create_serializer(protocol, include_validation=False)


def problems(shape: Any, params: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return the members of *params* whose type differs from *shape*'s, and the missing members.

    Lists count from 1 in their paths, as in AWS's answers: `MetricData.1.MetricName`.
    """
    from botocore.validate import ParamValidator

    paths: dict[str, list[str]] = {"invalid type": [], "missing required field": []}
    # The public report is a single text for people.
    for reason, where, details in ParamValidator().validate(params, shape)._errors:  # noqa: SLF001
        path = re.sub(r"\[(\d+)\]", lambda index: f".{int(index[1]) + 1}", where)
        if reason in paths:
            paths[reason].append(f"{path}.{details.get('required_name', '')}".strip("."))
    return paths["invalid type"], paths["missing required field"]


def read_json_answer(operation: Any, body: bytes) -> dict[str, Any]:
    """Return the values of a JSON response to *operation*, with times and bytes decoded."""
    from botocore.parsers import create_parser

    answer = {"body": body, "headers": {}, "status_code": 200}
    values: dict[str, Any] = create_parser("json").parse(answer, operation.output_shape)
    values.pop("ResponseMetadata", None)
    return values


def read_time(value: Any) -> datetime:
    """Parse *value*, a number or a string in any of AWS's timestamp formats; raises ValueError."""
    from botocore.utils import parse_to_aware_datetime

    try:
        time: datetime = parse_to_aware_datetime(value)
        return time.astimezone(UTC)
    except (TypeError, OverflowError, OSError) as error:
        raise ValueError(str(error)) from error


def read_cbor(data: bytes) -> Any:
    """Decode the CBOR *data*; a time (tag 1) becomes a datetime. Raises ValueError."""
    from botocore.parsers import ResponseParserError, RpcV2CBORParser

    parser = RpcV2CBORParser()
    stream = parser.get_peekable_stream_from_bytes(data)
    try:
        value = parser.parse_data_item(stream)
    except (ResponseParserError, LookupError, TypeError, RecursionError, OverflowError) as error:
        raise ValueError(str(error)) from error
    if stream.peek(1):
        raise ValueError("more than one item")
    return value


def write_cbor(shape: Any, value: Any) -> bytes:
    """Encode *value* of *shape* as CBOR."""
    from botocore.serialize import RpcV2CBORSerializer

    # The public method writes an operation's whole request; responses have only a shape.
    written = bytearray()
    serializer: Any = RpcV2CBORSerializer()
    serializer._serialize_data_item(written, value, shape)  # noqa: SLF001
    return bytes(written)


def write_cbor_error(code: str, message: str) -> bytes:
    """Return the CBOR encoding of an error response."""
    from botocore.model import ShapeResolver

    members = {name: {"shape": "Text"} for name in ("__type", "message")}
    shapes: Any = {"Error": {"type": "structure", "members": members}, "Text": {"type": "string"}}
    shape = ShapeResolver(shapes).get_shape_by_name("Error")
    return write_cbor(shape, {"__type": code, "message": message})


def signature(
    method: str,
    target: str,
    headers: Mapping[str, str],
    payload: str,
    *,
    secret: Secret,
    region: str,
    service: str,
    stamp: str,
) -> str:
    """Return the Signature Version 4 of a request.

    *headers* are the signed ones, *payload* is the hash of the body or its substitute, and *stamp*
    is the signed time.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
    """
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    auth = _signer(service)(Credentials("", secret.reveal()), service, region)
    request = AWSRequest(method, f"http://sandbox{target}", headers=dict(headers))
    request.context.update(timestamp=stamp, payload=payload)
    canonical = auth.canonical_request(request)
    return str(auth.signature(auth.string_to_sign(request, canonical), request))


@cache
def _signer(service: str) -> Any:
    """Return botocore's signer for *service*, changed to sign the given headers and payload."""
    from botocore.auth import S3SigV4Auth, SigV4Auth

    base: Any = S3SigV4Auth if service == "s3" else SigV4Auth

    class Signer(base):  # type: ignore[misc]
        def headers_to_sign(self, request: Any) -> Any:
            return request.headers

        def payload(self, request: Any) -> Any:
            return request.context["payload"]

    return Signer
