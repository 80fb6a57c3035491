"""What counts as an answer of AWS: a proxy, a captive portal or a wrong endpoint answers too.

Every answer of AWS names its request, and one in XML is named after the operation. botocore minds
neither: it reads a web page as an empty list.
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from cml_iam.visible import visible

_ROOT: Final = re.compile(
    rb"\s*(?:\xef\xbb\xbf)?(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:[\w.-]+:)?([\w.-]+)", re.DOTALL
)
_WEB_PAGE: Final = re.compile(rb"\s*(?:<!doctype\s+html|<html)", re.IGNORECASE)
_LONGEST: Final = 60
"""Characters of a foreign name or address that are shown."""

_NAMED_AFTER_THE_OPERATION: Final = ("ec2", "query")
_JSON: Final = ("json", "rest-json")


def is_of_aws(
    protocol: str, response: Mapping[str, Any], shape: Any, parsed: Mapping[str, Any]
) -> bool:
    """Say whether *response*, read as *parsed*, is an answer of AWS in *protocol*.

    *shape* is botocore's model of the answer, None for an operation that answers nothing. An error
    of the server's side (5xx) counts as AWS's: the call is sent again, and then unanswered. So does
    the second reading of an error, by the error's own *shape*: it has no metadata.
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
    """Return what *response* is instead of an answer of AWS, in words."""
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
    found = _ROOT.match(body)
    return found[1].decode("utf-8", "replace") if found else None


def _has_required(shape: Any, parsed: Mapping[str, Any]) -> bool:
    return shape is None or all(name in parsed for name in shape.required_members)


def _short(text: str) -> str:
    text = visible(text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
