"""Temporary credentials for roles, users and federated users, from a key or a web identity.

The sandbox itself issues the web identity tokens.
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_request.html
https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
"""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from cml_iam.engine import Request
from cml_iam.policy import Arn
from cml_iam.sandbox._call import read_call
from cml_iam.sandbox._guard import check_document, compiled, moment, trust_policy
from cml_iam.sandbox._principals import default_document, tags_of
from cml_iam.sandbox._wire import Fault
from cml_iam.sandbox._world import Policies, Session, new_key
from cml_iam.secret import Secret

if TYPE_CHECKING:
    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._principals import Principal
    from cml_iam.sandbox._wire import Message, Values
    from cml_iam.sandbox._world import World

_DEFAULT: Final = 3600
_LONGEST_CHAINED: Final = 3600
_LONGEST_TOKEN: Final = 129_600


def get_caller_identity(_: World, principal: Principal, *__: Any) -> Values:
    """Return the caller's identity."""
    arn = principal.arn
    return {"UserId": principal.user_id, "Account": Arn.parse(arn).account, "Arn": arn}


def assume_role(world: World, principal: Principal, call: Call) -> Values:
    """Create temporary credentials of a role.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
    """
    session = assume(
        world.home_of(call.params["RoleArn"]), call, chained=principal.role is not None
    )
    assumed = {"AssumedRoleId": session.user_id, "Arn": session.arn}
    return {"Credentials": credentials(session), "AssumedRoleUser": assumed}


def assume(world: World, call: Call, *, chained: bool = False) -> Session:
    """Return a session of the role to assume; *chained* if the caller is itself a role session."""
    params = call.params
    role = world.entity("role", params["RoleArn"])
    longest = _LONGEST_CHAINED if chained else int(role.max_session_duration or _DEFAULT)
    name = params["RoleSessionName"]
    tags = tags_of(role)
    tags |= {each["Key"]: each.get("Value", "") for each in params.get("Tags", ())}
    return _session(
        world,
        _duration(call, _DEFAULT, longest),
        arn=f"arn:{world.partition}:sts::{world.account}:assumed-role/{role.name}/{name}",
        user_id=f"{role.id}:{name}",
        role=role.name,
        policies=_session_policies(world, call),
        tags=tags,
    )


def get_session_token(world: World, principal: Principal, call: Call) -> Values:
    """Create temporary credentials of the calling user or root; the root's are valid for an hour.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html
    """
    seconds = _duration(call, 43_200, _LONGEST_TOKEN)
    session = _session(
        world,
        min(seconds, _LONGEST_CHAINED) if principal.is_root else seconds,
        arn=principal.arn,
        user_id=principal.user_id,
        user=principal.name,
        mfa=_by_mfa(world, principal, call),
    )
    return {"Credentials": credentials(session)}


def get_federation_token(world: World, principal: Principal, call: Call) -> Values:
    """Create credentials for a federated user, limited to what both caller and policy allow.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_GetFederationToken.html
    """
    name = call.params["Name"]
    arn = f"arn:{world.partition}:sts::{world.account}:federated-user/{name}"
    session = _session(
        world,
        _duration(call, 43_200, _LONGEST_CHAINED if principal.is_root else _LONGEST_TOKEN),
        arn=arn,
        user_id=principal.user_id,
        user=principal.name,
        policies=_session_policies(world, call) or (),
        federated=f"{world.account}:{name}",
    )
    user = {"FederatedUserId": session.federated, "Arn": arn}
    return {"Credentials": credentials(session), "FederatedUser": user}


def _by_mfa(world: World, principal: Principal, call: Call) -> bool:
    """Return whether the caller presents its own MFA device; the sandbox accepts every code."""
    serial, code = call.params.get("SerialNumber"), call.params.get("TokenCode", "")
    if serial is None:
        return False
    user = world.iam.users.get(principal.name)
    if user is None or serial not in user.mfa_devices or not code:
        said = "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your "
        more = "MFA serial number is valid and associated with this user."
        raise Fault("AccessDenied", said + more, 403)
    return True


def decode_authorization_message(world: World, _: Principal, call: Call) -> Values:
    """Explain why a request was refused."""
    text = world.kept.get(call.params["EncodedMessage"])
    if not isinstance(text, str):
        raise Fault("InvalidAuthorizationMessageException", "Message is not valid")
    return {"DecodedMessage": text}


def _session(world: World, seconds: int, **held: Any) -> Session:
    """Return a new session in *world*, valid for *seconds*, with the properties *held*."""
    now = world.now()
    session = Session(
        key=new_key("ASIA"),
        token=Secret(secrets.token_urlsafe(96)),
        issued=now,
        expires=now + timedelta(seconds=seconds),
        **held,
    )
    world.sessions[session.key.id] = session
    return session


def credentials(session: Session) -> dict[str, Any]:
    """Return the temporary credentials of *session* in STS's format."""
    return {
        "AccessKeyId": session.key.id,
        "SecretAccessKey": session.key.secret.reveal(),
        "SessionToken": session.token.reveal(),
        "Expiration": session.expires.replace(tzinfo=None),
    }


def _duration(call: Call, default: int, longest: int) -> int:
    seconds = int(call.params.get("DurationSeconds", min(default, longest)))
    if seconds > longest:
        said = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        raise Fault("ValidationError", said)
    return seconds


def _session_policies(world: World, call: Call) -> tuple[str, ...] | None:
    """Return the session policies, or None if the session has no limit."""
    found = [call.params["Policy"]] if "Policy" in call.params else []
    for each in call.params.get("PolicyArns", ()):
        policy = world.iam.managed_policies.get(each.get("arn"))
        if policy is None:
            raise Fault("MalformedPolicyDocument", f"There is no policy {each.get('arn')}.")
        found.append(default_document(policy))
    for text in found:
        check_document(text)
    return tuple(found) or None


AUDIENCE: Final = "sts.amazonaws.com"
LIFETIME: Final = timedelta(hours=1)
_UNSIGNED: Final = frozenset({"AssumeRoleWithSAML", "AssumeRoleWithWebIdentity"})
_HEADER: Final = {"alg": "HS256", "typ": "JWT"}


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity in a token: *issuer* vouches for *subject* to *audience*."""

    issuer: str
    subject: str
    audience: str = AUDIENCE


def issue_token(identity: Identity, secret: Secret, now: datetime | None = None) -> str:
    """Return a web identity token for the sandbox whose root has the *secret*.

    It is a JSON Web Token, like those of an OpenID Connect provider, and valid for an hour.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_oidc.html
    """
    issued = now or datetime.now(UTC)
    claims = {
        "iss": identity.issuer,
        "sub": identity.subject,
        "aud": identity.audience,
        "iat": int(issued.timestamp()),
        "exp": int((issued + LIFETIME).timestamp()),
    }
    text = ".".join(_encoded(json.dumps(part).encode()) for part in (_HEADER, claims))
    return f"{text}.{_proof(text, secret)}"


def read_unsigned(world: World, message: Message) -> Call | None:
    """Return the call of *message* if it needs no signature."""
    form = message.body.decode("latin-1") or message.query
    named = parse_qs(form).get("Action", [""])
    return read_call(message, "sts", world.region) if named[0] in _UNSIGNED else None


def answer_unsigned(world: World, call: Call) -> Values:
    """Answer a call that needs no signature; raises Fault."""
    if call.operation == "AssumeRoleWithSAML":
        said = "The sandbox issues and verifies no SAML assertions. Use AssumeRole instead."
        raise Fault("InvalidIdentityToken", said)
    identity = _identity(world, call.params["WebIdentityToken"])
    home = world.home_of(call.params["RoleArn"])
    provider = _provider(home, identity)
    named = identity.issuer.removeprefix("https://")
    context: dict[str, str | list[str]] = {
        f"{named}:sub": identity.subject,
        f"{named}:aud": identity.audience,
        "aws:FederatedProvider": provider,
        "aws:RequestedRegion": call.region,
        "sts:RoleSessionName": call.params["RoleSessionName"],
        **moment(world, None),
    }
    request = Request(call.action, call.params["RoleArn"], provider, context)
    authorizer = compiled(Policies(), trust_policy(home, call.params["RoleArn"]))
    if not authorizer.decide(request).allowed:
        said = "Not authorized to perform sts:AssumeRoleWithWebIdentity"
        raise Fault("AccessDenied", said, 403)
    session = assume(home, call)
    return {
        "Credentials": credentials(session),
        "AssumedRoleUser": {"AssumedRoleId": session.user_id, "Arn": session.arn},
        "SubjectFromWebIdentityToken": identity.subject,
        "Provider": provider,
        "Audience": identity.audience,
    }


def _identity(world: World, token: str) -> Identity:
    """Return the identity in *token*; raises Fault unless it was issued here and is current."""
    text, _, proof = token.rpartition(".")
    if not hmac.compare_digest(proof.encode(), _proof(text, world.root.secret).encode()):
        said = "Couldn't retrieve verification key from your identity provider, please reference "
        raise Fault("InvalidIdentityToken", f"{said}AssumeRoleWithWebIdentity documentation")
    claims: dict[str, Any] = json.loads(_decoded(text.partition(".")[2]))
    if world.now().timestamp() >= claims["exp"]:
        raise Fault("ExpiredTokenException", "Token expired: the current date is after its `exp`.")
    return Identity(claims["iss"], claims["sub"], claims["aud"])


def _provider(world: World, identity: Identity) -> str:
    """Return the ARN of the token's provider, if the account trusts it."""
    for arn, provider in world.iam.open_id_providers.items():
        if f"https://{provider.url}".rstrip("/") == identity.issuer.rstrip("/"):
            if identity.audience not in provider.client_id_list:
                raise Fault("InvalidIdentityToken", "Incorrect token audience")
            return str(arn)
    said = f"No OpenIDConnect provider found in your account for {identity.issuer}"
    raise Fault("InvalidIdentityToken", said)


def _proof(text: str, secret: Secret) -> str:
    return _encoded(hmac.digest(secret.reveal().encode(), text.encode(), "sha256"))


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
