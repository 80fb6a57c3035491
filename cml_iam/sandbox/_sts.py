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
from typing import Any, Final
from urllib.parse import parse_qs

from cml_iam.engine import Request
from cml_iam.policy import Arn
from cml_iam.sandbox._answers import answers, result_answer
from cml_iam.sandbox._call import read_call
from cml_iam.sandbox._guard import compiled, time_keys, trust_policy
from cml_iam.sandbox._principals import default_document, tags_of
from cml_iam.sandbox._strict import check_document
from cml_iam.sandbox._wire import Answer, Call, Fault, Message, Values
from cml_iam.sandbox._world import Policies, Principal, Session, World, new_key
from cml_iam.secret import Secret

_HOUR: Final = 3600
"""The default duration of a role's session, and the longest one for the root or by a role."""

_DEFAULT_TOKEN: Final = 43_200
_LONGEST_TOKEN: Final = 129_600


@answers("sts:GetCallerIdentity")
def _get_caller_identity(_: World, principal: Principal, *__: Any) -> Values:
    arn = principal.arn
    return {"UserId": principal.user_id, "Account": Arn.parse(arn).account, "Arn": arn}


@answers("sts:AssumeRole")
def _assume_role(world: World, principal: Principal, call: Call) -> Values:
    home = world.home_of(call.params["RoleArn"])
    return _assume(home, call, chained=principal.role is not None)


def _assume(world: World, call: Call, *, chained: bool = False) -> Values:
    """Return credentials of the role to assume; *chained* if the caller is itself a role session.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
    """
    params = call.params
    role, name = world.entity("role", params["RoleArn"]), params["RoleSessionName"]
    longest = _HOUR if chained else int(role.max_session_duration or _HOUR)
    arn = f"arn:{world.partition}:sts::{world.account}:assumed-role/{role.name}/{name}"
    user_id = f"{role.id}:{name}"
    credentials = _credentials(
        world,
        _duration(call, _HOUR, longest),
        arn=arn,
        user_id=user_id,
        role=role.name,
        policies=_session_policies(world, call),
        tags=tags_of(role) | {tag["Key"]: tag.get("Value", "") for tag in params.get("Tags", ())},
    )
    assumed = {"AssumedRoleId": user_id, "Arn": arn}
    return {"Credentials": credentials, "AssumedRoleUser": assumed}


@answers("sts:GetSessionToken")
def _get_session_token(world: World, principal: Principal, call: Call) -> Values:
    """Create temporary credentials of the calling user or root; the root's are valid for an hour.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html
    """
    seconds = _duration(call, _DEFAULT_TOKEN, _LONGEST_TOKEN)
    credentials = _credentials(
        world,
        min(seconds, _HOUR) if principal.is_root else seconds,
        arn=principal.arn,
        user_id=principal.user_id,
        user=principal.name,
        mfa=_by_mfa(world, principal, call),
    )
    return {"Credentials": credentials}


@answers("sts:GetFederationToken")
def _get_federation_token(world: World, principal: Principal, call: Call) -> Values:
    """Create credentials for a federated user, limited to what both caller and policy allow.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_GetFederationToken.html
    """
    name = call.params["Name"]
    arn = f"arn:{world.partition}:sts::{world.account}:federated-user/{name}"
    user_id = f"{world.account}:{name}"
    credentials = _credentials(
        world,
        _duration(call, _DEFAULT_TOKEN, _HOUR if principal.is_root else _LONGEST_TOKEN),
        arn=arn,
        user_id=principal.user_id,
        user=principal.name,
        policies=_session_policies(world, call) or (),
        federated=user_id,
    )
    return {"Credentials": credentials, "FederatedUser": {"FederatedUserId": user_id, "Arn": arn}}


def _by_mfa(world: World, principal: Principal, call: Call) -> bool:
    """Return whether the caller presents its own MFA device; the sandbox accepts every code."""
    serial, code = call.params.get("SerialNumber"), call.params.get("TokenCode", "")
    if serial is None:
        return False
    user = world.iam.users.get(principal.name)
    if user is None or serial not in user.mfa_devices or not code:
        raise Fault(
            "AccessDenied",
            "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your "
            "MFA serial number is valid and associated with this user.",
        )
    return True


@answers("sts:DecodeAuthorizationMessage")
def _decode_authorization_message(world: World, _: Principal, call: Call) -> Values:
    text = world.kept.get(call.params["EncodedMessage"])
    if not isinstance(text, str):
        raise Fault("InvalidAuthorizationMessageException", "Message is not valid")
    return {"DecodedMessage": text}


def _credentials(world: World, seconds: int, **held: Any) -> dict[str, Any]:
    now = world.now()
    session = Session(
        key=new_key("ASIA"),
        token=Secret(secrets.token_urlsafe(96)),
        issued=now,
        expires=now + timedelta(seconds=seconds),
        **held,
    )
    world.sessions[session.key.id] = session
    return {
        "AccessKeyId": session.key.id,
        "SecretAccessKey": session.key.secret.reveal(),
        "SessionToken": session.token.reveal(),
        "Expiration": session.expires.replace(tzinfo=None),
    }


def _duration(call: Call, default: int, longest: int) -> int:
    seconds = int(call.params.get("DurationSeconds", min(default, longest)))
    if seconds > longest:
        text = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        raise Fault("ValidationError", text)
    return seconds


def _session_policies(world: World, call: Call) -> tuple[str, ...] | None:
    """Return the session policies, or None if the session has no limit."""
    documents = [call.params["Policy"]] if "Policy" in call.params else []
    for row in call.params.get("PolicyArns", ()):
        policy = world.iam.managed_policies.get(row.get("arn"))
        if policy is None:
            raise Fault("MalformedPolicyDocument", f"There is no policy {row.get('arn')}.")
        documents.append(default_document(policy))
    for document in documents:
        check_document(document)
    return tuple(documents) or None


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


def _proof(text: str, secret: Secret) -> str:
    return _encoded(hmac.digest(secret.reveal().encode(), text.encode(), "sha256"))


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def read_unsigned(world: World, message: Message) -> Call | None:
    """Return the call of *message* if it needs no signature."""
    form = message.body.decode("latin-1") or message.query
    if parse_qs(form).get("Action", [""])[0] not in _UNSIGNED:
        return None
    return read_call(message, "sts", world.region)


def answer_unsigned(world: World, call: Call) -> Answer:
    """Answer a call that needs no signature; raises Fault."""
    if call.operation == "AssumeRoleWithSAML":
        text = "The sandbox issues and verifies no SAML assertions. Use AssumeRole instead."
        raise Fault("InvalidIdentityToken", text)
    identity = _identity(world, call.params["WebIdentityToken"])
    role = call.params["RoleArn"]
    home = world.home_of(role)
    provider = _provider(home, identity)
    named = identity.issuer.removeprefix("https://")
    context: dict[str, str | list[str]] = {
        f"{named}:sub": identity.subject,
        f"{named}:aud": identity.audience,
        "aws:FederatedProvider": provider,
        "aws:RequestedRegion": call.region,
        "sts:RoleSessionName": call.params["RoleSessionName"],
        **time_keys(world, None),
    }
    authorizer = compiled(Policies(), trust_policy(home, role))
    if not authorizer.decide(Request(call.action, role, provider, context)).allowed:
        raise Fault("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
    values = {
        **_assume(home, call),
        "SubjectFromWebIdentityToken": identity.subject,
        "Provider": provider,
        "Audience": identity.audience,
    }
    return result_answer(call, values)


def _identity(world: World, token: str) -> Identity:
    """Return the identity in *token*; raises Fault unless it was issued here and is current."""
    text, _, proof = token.rpartition(".")
    if not hmac.compare_digest(proof.encode(), _proof(text, world.root.secret).encode()):
        raise Fault(
            "InvalidIdentityToken",
            "Couldn't retrieve verification key from your identity provider, please reference "
            "AssumeRoleWithWebIdentity documentation",
        )
    encoded = text.partition(".")[2]
    padding = "=" * (-len(encoded) % 4)
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(encoded + padding))
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
    text = f"No OpenIDConnect provider found in your account for {identity.issuer}"
    raise Fault("InvalidIdentityToken", text)
