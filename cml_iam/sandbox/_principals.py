"""The caller: who signed a request, and the policies that apply to that user, role or session.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final, Literal

from cml_iam.aws import wire
from cml_iam.engine import AttachedPolicy
from cml_iam.sandbox._wire import Message, Unauthenticated, form_fields
from cml_iam.sandbox._world import Policies, Principal, World
from cml_iam.secret import Secret

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
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    stamp: str
    token: str | None = None
    lifetime: timedelta | None = None


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
        parts = {name.removeprefix("X-Amz-"): value for name, value in query}
        return _claim(parts, _lifetime(named))
    if presigned:
        raise Unauthenticated("incomplete", "The request is signed in two ways.")
    match = _HEADER.match(message.headers["authorization"])
    if match is None:
        raise Unauthenticated("incomplete", "Authorization header is not in the form of AWS4.")
    sent = {name: message.headers[key] for name, key in _SENT.items() if key in message.headers}
    return _claim({**match.groupdict(), **sent})


def _lifetime(named: Mapping[str, str]) -> timedelta:
    if named.get("X-Amz-Algorithm") != wire.ALGORITHM:
        raise Unauthenticated("incomplete", f"X-Amz-Algorithm must be {wire.ALGORITHM}.")
    lifetime = named.get("X-Amz-Expires", "")
    if not lifetime.isascii() or not lifetime.isdigit() or int(lifetime) > LONGEST_PRESIGNED:
        raise Unauthenticated("incomplete", "X-Amz-Expires must be 0 to 604800 seconds.")
    return timedelta(seconds=int(lifetime))


def _claim(fields: Mapping[str, str], lifetime: timedelta | None = None) -> Claim:
    """Return the claim from the signature's *fields*, named as in a query but without `X-Amz-`."""
    stamp, names = fields.get("Date", ""), tuple(fields.get("SignedHeaders", "").split(";"))
    match fields.get("Credential", "").split("/"):
        case [key, day, region, service, "aws4_request"] if stamp.startswith(day) and day:
            token, proof = fields.get("Security-Token"), fields["Signature"]
            return Claim(key, region, service, names, proof, stamp, token, lifetime)
    raise Unauthenticated("incomplete", "Credential must be KEY/DATE/REGION/SERVICE/aws4_request.")


def verify(message: Message, claim: Claim, secret: Secret, now: datetime) -> None:
    """Raise Unauthenticated unless *secret* proves *claim* and it is current."""
    # A signature in a header covers only the headers that it names.
    needed = ["host"]
    if claim.lifetime is None:
        needed += [name for name in _MUST_SIGN if name in message.headers]
    missing = [name for name in needed if name not in claim.signed_headers]
    if missing:
        raise Unauthenticated("incomplete", f"Not signed: {', '.join(missing)}.")
    path, _, query = message.target.partition("?")
    kept = [field for field in query.split("&") if not field.startswith("X-Amz-Signature=")]
    proof = wire.signature(
        message.method,
        f"{path}?{'&'.join(kept)}",
        {name: message.headers.get(name, "") for name in claim.signed_headers},
        _payload(message, claim),
        secret=secret,
        region=claim.region,
        service=claim.service,
        stamp=claim.stamp,
    )
    if not hmac.compare_digest(proof.encode(), claim.signature.encode()):
        raise Unauthenticated("signature")
    _check_time(claim, now)


def _payload(message: Message, claim: Claim) -> str:
    """Return the hash of the body, or S3's substitute, after checking it."""
    payload = sha256(message.body).hexdigest()
    presigned = claim.service == "s3" and claim.lifetime is not None
    default = _UNSIGNED if presigned else payload
    signed = message.headers.get("x-amz-content-sha256", default)
    open_body = claim.service == "s3" and (signed == _UNSIGNED or signed.startswith("STREAMING-"))
    if signed != payload and not open_body:
        raise Unauthenticated("signature")
    return signed


def _check_time(claim: Claim, now: datetime) -> None:
    try:
        if not _STAMPED.fullmatch(claim.stamp):
            raise ValueError
        signed_at = datetime.fromisoformat(claim.stamp)
    except ValueError:
        raise Unauthenticated("incomplete", "Date must be in ISO-8601 'basic format'.") from None
    skew = SKEW_S3 if claim.service == "s3" else SKEW
    latest = signed_at + (skew if claim.lifetime is None else claim.lifetime)
    if now > latest:
        bound = (now - skew).strftime(_STAMP)
        text = f"Signature expired: {claim.stamp} is now earlier than {bound}"
        raise Unauthenticated("late", "" if claim.service == "ec2" else text)
    if signed_at > now + skew:
        bound = (now + skew).strftime(_STAMP)
        text = f"Signature not yet current: {claim.stamp} is still later than {bound}"
        raise Unauthenticated("early", "" if claim.service == "ec2" else text)


def authenticate(world: World, message: Message, claim: Claim) -> Principal:
    """Return the sender of *message*; raises Unauthenticated if the signature does not prove it."""
    principal, secret = _holder(world, claim, message.source_ip)
    verify(message, claim, secret, world.now())
    session = principal.session
    if session is not None and session.expires <= world.now():
        raise Unauthenticated("expired")
    return principal


def _holder(world: World, claim: Claim, source_ip: str) -> tuple[Principal, Secret]:
    key_id = claim.access_key_id
    if key_id.startswith("ASIA"):
        return _session_holder(world, claim, source_ip)
    if claim.token is not None:
        raise Unauthenticated("token")
    if key_id == world.root.id:
        return Principal(world.root_arn, world.account, key_id, source_ip), world.root.secret
    for user in list(world.iam.users.values()):
        for key in user.access_keys:
            if key.access_key_id == key_id and key.status == "Active":
                if world.now() < world.key_known.get(key_id, world.started):
                    raise Unauthenticated("unknown")
                return _user(user, key_id, source_ip), Secret(key.secret_access_key)
    raise Unauthenticated("unknown")


def _session_holder(world: World, claim: Claim, source_ip: str) -> tuple[Principal, Secret]:
    session, key_id = world.sessions.get(claim.access_key_id), claim.access_key_id
    if session is None or claim.token is None or Secret(claim.token) != session.token:
        raise Unauthenticated("token")
    user = world.iam.users.get(session.user)
    if session.role is not None:
        known = any(session.user_id.startswith(f"{role}:") for role in world.iam.roles)
    else:
        known = session.user is None or (user is not None and user.id == session.user_id)
    if not known:
        raise Unauthenticated("unknown")
    if user is not None and not session.federated:
        who = _user(user, key_id, source_ip)
    else:
        user_id = session.federated or session.user_id
        who = Principal(session.arn, user_id, key_id, source_ip, session.user, session.role)
        who = replace(who, tags=session.tags)
    return replace(who, session=session), session.key.secret


def _user(user: Any, key_id: str, source_ip: str) -> Principal:
    return Principal(user.arn, user.id, key_id, source_ip, user.name, tags=tags_of(user))


_NOTHING: Final = (
    '{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}'
)
_EVERYTHING: Final = _NOTHING.replace("Deny", "Allow")


def policies_of(world: World, principal: Principal) -> Policies:
    """Return every policy now in force for *principal*; the root has none."""
    if principal.is_root:
        return Policies()
    if principal.role is None and principal.name is None:
        # A federated user of the root.
        policies = Policies((AttachedPolicy("root", _EVERYTHING),))
    else:
        policies = _policies_in_effect(world, holder(world, principal))
    return replace(policies, session=principal.session.policies if principal.session else None)


def _policies_in_effect(world: World, entity: Any) -> Policies:
    """Return the policies of *entity* before the changes that have not taken effect."""
    delay = world.conditions.seconds.policy_change
    if not delay:
        return held_policies(world, entity)
    then = world.now() - timedelta(seconds=delay)
    noted = world.policies_then.get(entity.arn, ())
    effective = [policies for since, policies in noted if since <= then]
    return effective[-1] if effective else Policies()


def note_policies(world: World) -> None:
    """Record the policies of every user and role from now on, if policy changes are delayed."""
    if not world.conditions.seconds.policy_change:
        return
    for entity in (*world.entities("user"), *world.entities("role")):
        policies = held_policies(world, entity)
        noted = world.policies_then.setdefault(entity.arn, [])
        if not noted or noted[-1][1] != policies:
            noted.append((world.now(), policies))


def holder(world: World, principal: Principal) -> Any:
    """Return the user or role, in moto's form, whose policies apply to *principal*."""
    if principal.role is not None:
        # A session whose role was deleted can do nothing.
        return world.existing("role", principal.role)
    return world.iam.get_user(principal.name)


def held_policies(world: World, entity: Any) -> Policies:
    """Return the policies of moto's user, group or role *entity*, with those of its groups."""
    groups = [group for group in world.iam.groups.values() if entity in group.users]
    own: list[AttachedPolicy] = []
    for owner in (entity, *groups):
        own += [_attached(policy, owner.arn) for policy in owner.managed_policies.values()]
        own += [
            AttachedPolicy(name, document, "inline", owner=owner.arn)
            for name, document in owner.policies.items()
        ]
    boundary = boundary_arn(entity)
    if not boundary:
        return Policies(tuple(own))
    policy = world.iam.managed_policies.get(boundary)
    missing = AttachedPolicy(boundary, _NOTHING, arn=boundary)
    return Policies(tuple(own), _attached(policy) if policy is not None else missing)


def _attached(policy: Any, owner: str | None = None) -> AttachedPolicy:
    document, aws = default_document(policy), is_aws(policy)
    kind: Literal["aws-managed", "user-managed"] = "aws-managed" if aws else "user-managed"
    return AttachedPolicy(policy.name, document, kind, policy.arn, owner)


def boundary_arn(entity: Any) -> str | None:
    """Return the ARN of the permissions boundary of moto's *entity*; moto's users lack one."""
    boundary = getattr(entity, "permissions_boundary", None)
    return boundary["PermissionsBoundaryArn"] if boundary else None


def default_document(policy: Any) -> str:
    """Return the document of the default version of moto's *policy*."""
    return str(next(version.document for version in policy.versions if version.is_default))


def is_aws(policy: Any) -> bool:
    """Return whether moto's *policy* is AWS managed; others may have the same name."""
    return ":iam::aws:" in policy.arn


def tags_of(entity: Any) -> dict[str, str]:
    """Return the tags of moto's IAM *entity*; empty for None."""
    held = entity.get_tags() if hasattr(entity, "get_tags") else getattr(entity, "tags", None)
    return {tag["Key"]: tag.get("Value", "") for tag in held or ()}
