"""Read responses: check that they come from AWS, and skip members that nothing uses.

A proxy or a wrong endpoint may also answer. Every AWS response has a request id, and the root of
its XML is named after the operation; botocore checks neither, and reads a web page as an empty
list. It takes half a second for a page of 1,000 instances, mostly for unused members and for
detecting timestamp formats.
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Final

from botocore.parsers import ResponseParserError, ResponseParserFactory
from botocore.utils import parse_timestamp

from cml_iam.visible import visible

_ROOT: Final = re.compile(
    rb"\s*(?:\xef\xbb\xbf)?(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:[\w.-]+:)?([\w.-]+)", re.DOTALL
)
_WEB_PAGE: Final = re.compile(rb"\s*(?:<!doctype\s+html|<html)", re.IGNORECASE)
_LONGEST: Final = 60
"""The maximum number of characters shown of a foreign name or address."""

_NAMED_AFTER_THE_OPERATION: Final = ("ec2", "query")
_JSON: Final = ("json", "rest-json")


def is_of_aws(
    protocol: str, response: Mapping[str, Any], shape: Any, parsed: Mapping[str, Any]
) -> bool:
    """Return whether *response*, read as *parsed*, is an AWS response in *protocol*.

    *shape* is botocore's model of the response, None for an operation without output. A server
    error (5xx) counts as AWS's: the call is retried, then reported as unanswered. When botocore
    parses an error again, by the error's own *shape*, it also counts, because it has no metadata.
    """
    status, body = response["status_code"], response["body"]
    if status >= 500 or (shape is not None and shape.metadata.get("exception")):
        return True
    if not parsed.get("ResponseMetadata", {}).get("RequestId"):
        return False
    if status >= 300 or not isinstance(body, bytes):
        return True
    operation = response.get("context", {}).get("operation_name")
    if protocol in _NAMED_AFTER_THE_OPERATION and operation:
        return _root(body) == f"{operation}Response" and _has_required(shape, parsed)
    if protocol in _JSON and body.strip():
        return body.lstrip()[:1] == b"{" and _has_required(shape, parsed)
    return _has_required(shape, parsed)


def described(response: Mapping[str, Any]) -> str:
    """Describe a *response* that does not come from AWS."""
    status, body = response["status_code"], response["body"]
    headers = {name.lower(): value for name, value in response["headers"].items()}
    if 300 <= status < 400 and headers.get("location"):
        return f"HTTP {status} to {_short(str(headers['location']))}"
    return f"HTTP {status} with {_kind(body if isinstance(body, bytes) else b'')}"


def _kind(body: bytes) -> str:
    if not body.strip():
        return "no content"
    if _WEB_PAGE.match(body):
        return "a web page"
    root = _root(body)
    if root:
        return f"XML that begins with <{_short(root)}>"
    if body.lstrip()[:1] in (b"{", b"["):
        return "JSON of another kind"
    return f"{len(body)} bytes of another kind"


def _root(body: bytes) -> str | None:
    match = _ROOT.match(body)
    return match[1].decode("utf-8", "replace") if match else None


def _has_required(shape: Any, parsed: Mapping[str, Any]) -> bool:
    return shape is None or all(name in parsed for name in shape.required_members)


def _short(text: str) -> str:
    text = visible(text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


UNREAD: Final = frozenset(
    {
        "CapacityReservationSpecification",
        "EnclaveOptions",
        "MaintenanceOptions",
        "NetworkInterfaces",
        "NetworkPerformanceOptions",
        "PrivateDnsNameOptions",
        "ProductCodes",
        "UsageOperation",
        "UsageOperationUpdateTime",
    }
)
"""The members of an instance that are skipped in a DescribeInstances response."""

LARGE: Final = 100_000
"""The size in bytes above which responses are parsed one at a time.

Parsing holds the interpreter lock, so threads would only take turns, with all trees in memory.
"""


def reader() -> Any:
    """Return a parser factory; its parsers raise ResponseParserError for what is not from AWS."""
    lock = Lock()

    class Reader(ResponseParserFactory):
        def create_parser(self, protocol_name: str) -> Any:
            parser = super().create_parser(protocol_name)
            parse = parser.parse

            def checked(response: dict[str, Any], shape: Any) -> Any:
                try:
                    parsed = parse(response, shape)
                except Exception:  # noqa: BLE001 - parsers of a dozen formats may raise anything
                    parsed = None
                if parsed is None or not is_of_aws(protocol_name, response, shape, parsed):
                    raise ResponseParserError(described(response))
                return parsed

            def in_turn(response: dict[str, Any], shape: Any) -> Any:
                body = response["body"]
                if not isinstance(body, bytes) or len(body) < LARGE:
                    return checked(response, shape)
                with lock:
                    return checked(response, shape)

            vars(parser)["parse"] = in_turn
            return parser

    factory = Reader()
    factory.set_parser_defaults(timestamp_parser=read_time)
    return factory


def leave_unread(client: Any) -> None:
    """Make the EC2 *client*, and no other, skip `UNREAD` when it describes instances."""
    answer = client.meta.service_model.operation_model("DescribeInstances").output_shape
    reservation = answer.members["Reservations"].member
    members = reservation.members["Instances"].member.members
    for name in UNREAD & members.keys():
        del members[name]
    volume = members["BlockDeviceMappings"].member.members["Ebs"].members
    for name in volume.keys() - {"VolumeId"}:
        del volume[name]


def read_time(value: Any) -> datetime:
    """Parse a timestamp as botocore would, without trying every format."""
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        if isinstance(value, str) and (at := datetime.fromisoformat(value)).tzinfo:
            return at
    except (OverflowError, OSError, ValueError):
        pass  # botocore accepts more formats
    parsed: datetime = parse_timestamp(value)
    return parsed
