"""Callers without an access key: web identities, whose tokens the sandbox itself issues.

https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
"""

from __future__ import annotations

import base64
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from cml_iam.engine import Request
from cml_iam.sandbox._answers import result_answer
from cml_iam.sandbox._call import read_call
from cml_iam.sandbox._guard import compiled, moment, trust_policy
from cml_iam.sandbox._own import assume, credentials
from cml_iam.sandbox._wire import Fault
from cml_iam.sandbox._world import Policies

if TYPE_CHECKING:
    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._wire import Answer, Message
    from cml_iam.sandbox._world import World
    from cml_iam.secret import Secret

AUDIENCE: Final = "sts.amazonaws.com"
LIFETIME: Final = timedelta(hours=1)
_UNSIGNED: Final = frozenset({"AssumeRoleWithSAML", "AssumeRoleWithWebIdentity"})
_HEADER: Final = {"alg": "HS256", "typ": "JWT"}


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a token is about: the *subject* that *issuer* vouches for, to an *audience*."""

    issuer: str
    subject: str
    audience: str = AUDIENCE


def issue_token(identity: Identity, secret: Secret, now: datetime | None = None) -> str:
    """Return a web identity token that a sandbox accepts whose root has the *secret*.

    A JSON Web Token as an OpenID Connect provider issues it, good for an hour.
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
    """Return the call of *message* if it is one that takes no signature."""
    form = message.body.decode("latin-1") or message.query
    named = parse_qs(form).get("Action", [""])
    return read_call(message, "sts", world.region) if named[0] in _UNSIGNED else None


def answer_unsigned(world: World, call: Call) -> Answer:
    """Answer a call that takes no signature; raises Fault."""
    if call.operation == "AssumeRoleWithSAML":
        raise Fault("InvalidIdentityToken", "The sandbox issues and accepts no SAML assertions.")
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
    return result_answer(
        call,
        {
            "Credentials": credentials(session),
            "AssumedRoleUser": {"AssumedRoleId": session.user_id, "Arn": session.arn},
            "SubjectFromWebIdentityToken": identity.subject,
            "Provider": provider,
            "Audience": identity.audience,
        },
    )


def _identity(world: World, token: str) -> Identity:
    """Return whom *token* is about; raise Fault unless it was issued here and is in its time."""
    text, _, proof = token.rpartition(".")
    if not hmac.compare_digest(proof.encode(), _proof(text, world.root.secret).encode()):
        said = "Couldn't retrieve verification key from your identity provider, please reference "
        raise Fault("InvalidIdentityToken", f"{said}AssumeRoleWithWebIdentity documentation")
    claims: dict[str, Any] = json.loads(_decoded(text.partition(".")[2]))
    if world.now().timestamp() >= claims["exp"]:
        raise Fault("ExpiredTokenException", "Token expired: the current date is after its `exp`.")
    return Identity(claims["iss"], claims["sub"], claims["aud"])


def _provider(world: World, identity: Identity) -> str:
    """Return the ARN of the provider that issued the token, if the account trusts it."""
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
