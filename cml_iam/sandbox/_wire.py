"""Requests and answers on the wire, and the errors AWS answers with, in each service's words.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import parse_qsl, unquote

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Message:
    """An HTTP request as received: *target* is the undecoded path with its query.

    Header names are lower case; a header sent twice is joined by a comma, as for signing.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    source_ip: str = "127.0.0.1"

    @property
    def path(self) -> str:
        """The undecoded path."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The undecoded query."""
        return self.target.partition("?")[2]

    @property
    def fields(self) -> list[tuple[str, str]]:
        """The parameters in the query, decoded, without those of a signature."""
        return [each for each in form_fields(self.query) if not each[0].startswith("X-Amz-")]


def form_fields(text: str) -> list[tuple[str, str]]:
    """Return the fields of a form or a query, empty ones too."""
    return parse_qsl(text, keep_blank_values=True)


def environ_of(
    method: str, target: str, headers: Mapping[str, str], body: bytes = b""
) -> dict[str, Any]:
    """Return what a WSGI application gets of a request; *target* is undecoded."""
    from werkzeug.test import create_environ

    path, _, query = target.partition("?")
    environ: dict[str, Any] = create_environ(
        method=method, headers=dict(headers), data=body, query_string=query
    )
    environ |= {"PATH_INFO": unquote(path, encoding="latin-1"), "RAW_URI": path}
    environ["CONTENT_LENGTH"] = str(len(body))
    return environ


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response, sent after *seconds*; a *lost* one is never sent."""

    status: int
    body: bytes
    content_type: str = "text/xml;charset=UTF-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    lost: bool = False
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the service did what was asked."""
        return self.status < 300


Reason = Literal[
    "missing", "incomplete", "unknown", "signature", "token", "region", "expired", "late", "early"
]


NOT_DONE: Final = 501
"""The status of what the sandbox cannot do: unlike 500, no client tries it again."""


class Fault(Exception):  # noqa: N818 - AWS's word for an error answer
    """The sandbox answers with the AWS error *code*; *status* is HTTP's."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class Unauthenticated(Exception):  # noqa: N818 - not an error of the sandbox but of the caller
    """The caller is not who the request says; each service says so in its own words."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def unauthenticated(error: Unauthenticated, service: str) -> Fault:
    """Return what *service* answers to a caller who is not authenticated."""
    code, message, status = (_EC2 if service == "ec2" else _QUERY)[error.reason]
    return Fault(code, error.detail or message, status)


_EC2_REFUSED: Final = (
    "AuthFailure",
    "AWS was not able to validate the provided access credentials",
    401,
)

_EC2: Final[dict[Reason, tuple[str, str, int]]] = {
    "missing": (
        "MissingAuthenticationToken",
        "The request must contain a valid (registered) AWS access key ID.",
        403,
    ),
    "incomplete": ("IncompleteSignature", "The request signature is incomplete.", 400),
    "unknown": _EC2_REFUSED,
    "signature": _EC2_REFUSED,
    "token": _EC2_REFUSED,
    "region": _EC2_REFUSED,
    "expired": ("RequestExpired", "Request has expired.", 400),
    "late": ("RequestExpired", "Request has expired.", 400),
    "early": ("RequestExpired", "Request has expired.", 400),
}

_UNKNOWN_TOKEN: Final = (
    "InvalidClientTokenId",
    "The security token included in the request is invalid.",
    403,
)
_WRONG_SIGNATURE: Final = (
    "SignatureDoesNotMatch",
    "The request signature we calculated does not match the signature you provided. Check your "
    "AWS Secret Access Key and signing method. Consult the service documentation for details.",
    403,
)

_QUERY: Final[dict[Reason, tuple[str, str, int]]] = {
    "missing": ("MissingAuthenticationToken", "Request is missing Authentication Token", 403),
    "incomplete": ("IncompleteSignature", "The request signature is incomplete.", 400),
    "unknown": _UNKNOWN_TOKEN,
    "signature": _WRONG_SIGNATURE,
    "token": _UNKNOWN_TOKEN,
    "region": (
        "SignatureDoesNotMatch",
        "Credential should be scoped to a valid region.",
        403,
    ),
    "expired": ("ExpiredToken", "The security token included in the request is expired", 403),
    "late": ("SignatureDoesNotMatch", "Signature expired", 403),
    "early": ("SignatureDoesNotMatch", "Signature not yet current", 403),
}
