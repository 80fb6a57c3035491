"""Requests, signatures, responses, and AWS's errors in the wording of each service.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import parse_qsl, unquote

from cml_iam.aws import wire
from cml_iam.sandbox._services import rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cml_iam.secret import Secret


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
        """The decoded query parameters, without the signature's."""
        return [each for each in form_fields(self.query) if not each[0].startswith("X-Amz-")]


def form_fields(text: str) -> list[tuple[str, str]]:
    """Return the fields of a form or a query, including empty ones."""
    return parse_qsl(text, keep_blank_values=True)


def environ_of(
    method: str, target: str, headers: Mapping[str, str], body: bytes = b""
) -> dict[str, Any]:
    """Return the WSGI environment of a request; *target* is undecoded."""
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
        """Whether the service did what was requested."""
        return self.status < 300


Values = dict[str, Any]
"""A function that answers a call, with the names of the service's model."""

Edit = Callable[[Any], Any]
"""Returns changed values of a response; some values are moto's own objects."""


Reason = Literal[
    "missing", "incomplete", "unknown", "signature", "token", "region", "expired", "late", "early"
]


NOT_DONE: Final = 501
"""The HTTP status for unsupported requests; unlike 500, clients do not retry it."""


class Fault(Exception):  # noqa: N818 - AWS's word for an error response
    """The AWS error *code*, with the HTTP *status*."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class Unauthenticated(Exception):  # noqa: N818 - an error of the caller, not of the sandbox
    """The request does not prove its sender; each service words this error differently."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def unauthenticated(error: Unauthenticated, service: str) -> Fault:
    """Return the response of *service* to an unauthenticated caller."""
    known = rows("unauthenticated")["ec2" if service == "ec2" else "query"]
    code, message, status = known.get(error.reason) or known["others"]
    return Fault(code, error.detail or message, status)


SKEW: Final = timedelta(minutes=5)
SKEW_S3: Final = timedelta(minutes=15)
LONGEST_PRESIGNED: Final = 604_800
"""The maximum validity of a presigned request in seconds: a week."""

_UNSIGNED: Final = "UNSIGNED-PAYLOAD"
_STAMP: Final = "%Y%m%dT%H%M%SZ"
_STAMPED: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_HEADER: Final = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=(?P<Credential>[^,\s]+),\s*"
    r"SignedHeaders=(?P<SignedHeaders>[^,\s]+),\s*Signature=(?P<Signature>[0-9a-f]{64})$"
)
_SENT: Final = {"Date": "x-amz-date", "Security-Token": "x-amz-security-token"}
"""The headers, besides Authorization, with parts of the claim."""

_MUST_SIGN: Final = ("x-amz-date", "x-amz-security-token", "x-amz-target", "x-amz-content-sha256")


@dataclass(frozen=True, slots=True)
class Claim:
    """The claimed sender of a request, its service and region, and the proof."""

    access_key_id: str
    day: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    stamp: str
    token: str | None = None
    lifetime: timedelta | None = None

    @property
    def scope(self) -> str:
        """The credential scope."""
        return f"{self.day}/{self.region}/{self.service}/aws4_request"


def read_claim(message: Message) -> Claim:
    """Return the claimed sender of *message*; raises Unauthenticated if there is none."""
    query = form_fields(message.query)
    named = dict(query)
    presigned = "X-Amz-Signature" in named
    if len(named) != len(query) and presigned:
        raise Unauthenticated("incomplete", "A parameter of the query is given twice.")
    if "authorization" not in message.headers:
        if not presigned:
            raise Unauthenticated("missing")
        return _claim(
            {name.removeprefix("X-Amz-"): value for name, value in query}, _lifetime(named)
        )
    if presigned:
        raise Unauthenticated("incomplete", "The request is signed in two ways.")
    match = _HEADER.match(message.headers["authorization"])
    if match is None:
        raise Unauthenticated("incomplete", "Authorization header is not in the form of AWS4.")
    sent = {name: message.headers[key] for name, key in _SENT.items() if key in message.headers}
    return _claim({**match.groupdict(), **sent})


def verify(message: Message, claim: Claim, secret: Secret, now: datetime) -> None:
    """Raise Unauthenticated unless *secret* proves *claim* and it is current."""
    _check_signed_headers(message, claim)
    path, _, query = message.target.partition("?")
    kept = [each for each in query.split("&") if not each.startswith("X-Amz-Signature=")]
    proof = wire.signature(
        message.method,
        f"{path}?{'&'.join(kept)}",
        {name: message.headers.get(name, "") for name in claim.signed_headers},
        _payload(message, claim),
        secret=secret,
        scope=claim.scope,
        stamp=claim.stamp,
    )
    if not hmac.compare_digest(proof.encode(), claim.signature.encode()):
        raise Unauthenticated("signature")
    _check_time(claim, now)


def _lifetime(named: Mapping[str, str]) -> timedelta:
    if named.get("X-Amz-Algorithm") != wire.ALGORITHM:
        raise Unauthenticated("incomplete", f"X-Amz-Algorithm must be {wire.ALGORITHM}.")
    lifetime = named.get("X-Amz-Expires", "")
    if not lifetime.isascii() or not lifetime.isdigit() or int(lifetime) > LONGEST_PRESIGNED:
        raise Unauthenticated("incomplete", "X-Amz-Expires must be 0 to 604800 seconds.")
    return timedelta(seconds=int(lifetime))


def _claim(given: Mapping[str, str], lifetime: timedelta | None = None) -> Claim:
    """Return the claim from the signature's fields, named as in a query but without `X-Amz-`."""
    stamp, names = given.get("Date", ""), tuple(given.get("SignedHeaders", "").split(";"))
    match given.get("Credential", "").split("/"):
        case [key, day, region, service, "aws4_request"] if stamp.startswith(day) and day:
            token, proof = given.get("Security-Token"), given["Signature"]
            return Claim(key, day, region, service, names, proof, stamp, token, lifetime)
    raise Unauthenticated("incomplete", "Credential must be KEY/DATE/REGION/SERVICE/aws4_request.")


def _check_signed_headers(message: Message, claim: Claim) -> None:
    """Refuse unsigned headers that affect the request, if the signature is in a header."""
    needed = ["host"]
    if claim.lifetime is None:
        needed += [name for name in _MUST_SIGN if name in message.headers]
    missing = [name for name in needed if name not in claim.signed_headers]
    if missing:
        raise Unauthenticated("incomplete", f"Not signed: {', '.join(missing)}.")


def _check_time(claim: Claim, now: datetime) -> None:
    try:
        if not _STAMPED.fullmatch(claim.stamp):
            raise ValueError
        made = datetime.fromisoformat(claim.stamp)
    except ValueError:
        raise Unauthenticated("incomplete", "Date must be in ISO-8601 'basic format'.") from None
    skew = SKEW_S3 if claim.service == "s3" else SKEW
    latest = made + (skew if claim.lifetime is None else claim.lifetime)
    if now > latest:
        said = f"Signature expired: {claim.stamp} is now earlier than {_text(now - skew)}"
        raise Unauthenticated("late", "" if claim.service == "ec2" else said)
    if made > now + skew:
        said = f"Signature not yet current: {claim.stamp} is still later than {_text(now + skew)}"
        raise Unauthenticated("early", "" if claim.service == "ec2" else said)


def _payload(message: Message, claim: Claim) -> str:
    """Return the hash of the body, or S3's substitute, after checking it."""
    payload = sha256(message.body).hexdigest()
    presigned = claim.service == "s3" and claim.lifetime is not None
    default = _UNSIGNED if presigned else payload
    said = message.headers.get("x-amz-content-sha256", default)
    open_body = claim.service == "s3" and (said == _UNSIGNED or said.startswith("STREAMING-"))
    if said != payload and not open_body:
        raise Unauthenticated("signature")
    return said


def _text(moment: datetime) -> str:
    return moment.strftime(_STAMP)
