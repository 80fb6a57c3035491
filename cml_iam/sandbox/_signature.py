"""Signature Version 4, the verifying side.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from cml_iam.aws import wire
from cml_iam.sandbox._wire import Unauthenticated

if TYPE_CHECKING:
    from cml_iam.sandbox._wire import Message
    from cml_iam.secret import Secret

SKEW: Final = timedelta(minutes=5)
SKEW_S3: Final = timedelta(minutes=15)
LONGEST_PRESIGNED: Final = 604_800
"""Seconds; a presigned request lives a week at most."""

_UNSIGNED: Final = "UNSIGNED-PAYLOAD"
_STAMP: Final = "%Y%m%dT%H%M%SZ"
_HEADER: Final = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=(?P<credential>[^,\s]+),\s*"
    r"SignedHeaders=(?P<headers>[^,\s]+),\s*Signature=(?P<signature>[0-9a-f]{64})$"
)
_MUST_SIGN: Final = ("x-amz-date", "x-amz-security-token", "x-amz-target", "x-amz-content-sha256")


@dataclass(frozen=True, slots=True)
class Claim:
    """Who a request says it is from, for which service and region, and the proof of it."""

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
    """Read who *message* says it is from; raise Unauthenticated if it does not say."""
    query = _pairs(message.query)
    named = dict(query)
    if len(named) != len(query) and "X-Amz-Signature" in named:
        raise Unauthenticated("incomplete", "A parameter of the query is given twice.")
    if "authorization" in message.headers:
        if "X-Amz-Signature" in named:
            raise Unauthenticated("incomplete", "The request is signed in two ways.")
        return _from_header(message)
    if "X-Amz-Signature" in named:
        return _from_query(named)
    raise Unauthenticated("missing")


def verify(message: Message, claim: Claim, secret: Secret, now: datetime) -> None:
    """Raise Unauthenticated unless *claim* is proved by *secret* and is of this time."""
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


def _from_header(message: Message) -> Claim:
    match = _HEADER.match(message.headers["authorization"])
    if match is None:
        raise Unauthenticated("incomplete", "Authorization header is not in the form of AWS4.")
    stamp = message.headers.get("x-amz-date", "")
    names = tuple(match["headers"].split(";"))
    token = message.headers.get("x-amz-security-token")
    return _claim(match["credential"], names, match["signature"], stamp, token)


def _from_query(named: dict[str, str]) -> Claim:
    if named.get("X-Amz-Algorithm") != wire.ALGORITHM:
        raise Unauthenticated("incomplete", f"X-Amz-Algorithm has to be {wire.ALGORITHM}.")
    lifetime = named.get("X-Amz-Expires", "")
    if not lifetime.isascii() or not lifetime.isdigit() or int(lifetime) > LONGEST_PRESIGNED:
        raise Unauthenticated("incomplete", "X-Amz-Expires has to be 0 to 604800 seconds.")
    return _claim(
        named.get("X-Amz-Credential", ""),
        tuple(named.get("X-Amz-SignedHeaders", "").split(";")),
        named["X-Amz-Signature"],
        named.get("X-Amz-Date", ""),
        named.get("X-Amz-Security-Token"),
        timedelta(seconds=int(lifetime)),
    )


def _claim(
    credential: str,
    names: tuple[str, ...],
    signed: str,
    stamp: str,
    token: str | None,
    lifetime: timedelta | None = None,
) -> Claim:
    match credential.split("/"):
        case [key, day, region, service, "aws4_request"] if stamp.startswith(day) and day:
            return Claim(key, day, region, service, names, signed, stamp, token, lifetime)
    raise Unauthenticated(
        "incomplete", "Credential has to be KEY/DATE/REGION/SERVICE/aws4_request."
    )


def _check_signed_headers(message: Message, claim: Claim) -> None:
    """Refuse headers that steer the request and are not signed, where signing is by header."""
    needed = ["host"]
    if claim.lifetime is None:
        needed += [name for name in _MUST_SIGN if name in message.headers]
    missing = [name for name in needed if name not in claim.signed_headers]
    if missing:
        raise Unauthenticated("incomplete", f"Not signed: {', '.join(missing)}.")


def _check_time(claim: Claim, now: datetime) -> None:
    try:
        made = datetime.strptime(claim.stamp, _STAMP).replace(tzinfo=UTC)
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
    """Return the hash of the body, or what S3 lets stand for it; what is claimed has to be so."""
    payload = wire.payload_hash(message.body)
    default = payload
    if claim.service == "s3" and claim.lifetime is not None:
        default = _UNSIGNED
    said = message.headers.get("x-amz-content-sha256", default)
    open_body = claim.service == "s3" and (said == _UNSIGNED or said.startswith("STREAMING-"))
    if said != payload and not open_body:
        raise Unauthenticated("signature")
    return said


def _pairs(query: str) -> list[tuple[str, str]]:
    parts = (each.partition("=") for each in query.split("&") if each)
    return [(unquote(name), unquote(value)) for name, _, value in parts]


def _text(moment: datetime) -> str:
    return moment.strftime(_STAMP)
