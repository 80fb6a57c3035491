"""Decisions, by the project's own engine, on every request and every new policy document.

https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_policies.html
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from cml_iam.engine import AttachedPolicy, Authorizer, compile_policies
from cml_iam.errors import CmlIamError
from cml_iam.policy import MANAGED_POLICY_CHARACTERS, load_policy, policy_size
from cml_iam.sandbox._asked import asked_of
from cml_iam.sandbox._asked_iam import bucket_policy
from cml_iam.sandbox._principals import policies_of
from cml_iam.sandbox._wire import Fault
from cml_iam.sandbox._world import Policies

if TYPE_CHECKING:
    from cml_iam.engine import Decision
    from cml_iam.policy import PolicyDocument
    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._principals import Principal
    from cml_iam.sandbox._world import Session, World


_DENIED: Final = 403
_BY_SESSIONS: Final = frozenset({"AssumeRole", "GetCallerIdentity"})
_BY_LONG_TERM_KEYS: Final = frozenset({"GetFederationToken", "GetSessionToken"})
_KINDS: Final = {
    "identity": ("an", "identity-based policy"),
    "boundary": ("a", "permissions boundary"),
    "session": ("a", "session policy"),
    "resource": ("a", "resource-based policy"),
}


def authorize(world: World, principal: Principal, call: Call) -> None:
    """Raise Fault, in the service's wording, unless *principal* may make the whole *call*."""
    _check_session(principal, call)
    if call.action == "sts:AssumeRole" and principal.is_root:
        raise Fault("AccessDenied", "Roles may not be assumed by root accounts.", _DENIED)
    if principal.is_root:
        return
    asked = asked_of(world, principal.caller, call)
    authorizer = compiled(policies_of(world, principal), _resource_policy(world, call))
    extra = moment(world, principal.session)
    for request in asked:
        decision = authorizer.decide(request._replace(context={**request.context, **extra}))
        if not decision.allowed:
            raise _refusal(world, principal, call, decision)


def _check_session(principal: Principal, call: Call) -> None:
    """Refuse calls that cannot be made with credentials from GetSessionToken or GetFederationToken.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_sts-comparison.html
    """
    session = principal.session
    if session is None:
        return
    if call.service == "iam" and session.role is None and not session.mfa:
        said = "The security token included in the request is invalid"
        raise Fault("InvalidClientTokenId", said, _DENIED)
    allowed = _BY_SESSIONS - {"AssumeRole"} if session.federated else _BY_SESSIONS
    of_role = session.role is not None and call.operation not in _BY_LONG_TERM_KEYS
    if call.service == "sts" and not of_role and call.operation not in allowed:
        said = f"Cannot call {call.operation} with session credentials"
        raise Fault("AccessDenied", said, _DENIED)


@lru_cache(maxsize=256)
def compiled(policies: Policies, resource: str | None) -> Authorizer:
    """Return the authorizer of *policies*, and of a resource's policy, if given."""
    limit = policies.boundary
    return compile_policies(
        identity=[load_policy(policy.document, policy.name) for policy in policies.identity],
        boundary=load_policy(limit.document, limit.name) if limit else None,
        session=policies.session,
        resource=resource,
    )


def denial(arn: str, decision: Decision) -> str:
    """Return IAM's error message for a refusal."""
    request = decision.request
    said = f"User: {arn} is not authorized to perform: {request.action}"
    if request.resource != "*" or not request.action.startswith("ec2:"):
        said += f" on resource: {request.resource}"
    return f"{said} {_because(decision)}"


def _because(decision: Decision) -> str:
    explanation = decision.explanation
    if decision.outcome == "explicitDeny":
        article, name = _KINDS[explanation.deciding[0].kind]
        return f"with an explicit deny in {article} {name}"
    silent = [gate.kind for gate in explanation.gates if not gate.allowed]
    # If both the limit and the grant are silent, IAM names the limit.
    kind = next(
        (each for each in ("boundary", "session", "identity") if each in silent), "resource"
    )
    return f"because no {_KINDS[kind][1]} allows the {decision.request.action} action"


def _refusal(world: World, principal: Principal, call: Call, decision: Decision) -> Fault:
    said = denial(principal.arn, decision)
    if call.service != "ec2":
        return Fault("AccessDenied", said, _DENIED)
    encoded = world.keep(json.dumps(_decoded(principal, decision)))
    return Fault(
        "UnauthorizedOperation",
        f"You are not authorized to perform this operation. {said}. "
        f"Encoded authorization failure message: {encoded}",
        _DENIED,
    )


def _decoded(principal: Principal, decision: Decision) -> dict[str, Any]:
    """Return what sts:DecodeAuthorizationMessage reports about a refusal.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_DecodeAuthorizationMessage.html
    """
    request = decision.request
    conditions = [
        {"key": key, "values": {"items": [{"value": each} for each in _listed(value)]}}
        for key, value in request.context.items()
    ]
    matched = [
        {"statementId": statement.statement.sid or "", "effect": statement.effect.upper()}
        for statement in decision.statements
    ]
    return {
        "allowed": False,
        "explicitDeny": decision.outcome == "explicitDeny",
        "matchedStatements": {"items": matched},
        "failures": {"items": []},
        "context": {
            "principal": {"id": principal.user_id, "name": principal.name, "arn": principal.arn},
            "action": request.action,
            "resource": request.resource,
            "conditions": {"items": conditions},
        },
    }


def _resource_policy(world: World, call: Call) -> str | None:
    """Return the resource's policy: a bucket policy, or the trust policy of the role to assume."""
    if call.service == "s3":
        return bucket_policy(world, call)
    if call.action != "sts:AssumeRole":
        return None
    return trust_policy(world.home_of(call.params["RoleArn"]), call.params["RoleArn"])


def trust_policy(world: World, arn: str) -> str:
    """Return the trust policy of the role *arn*; a missing role trusts nobody."""
    role = world.entity("role", arn)
    if role is not None:
        return str(role.assume_role_policy_document)
    return (
        '{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Principal": "*", '
        '"Action": "*"}}'
    )


def moment(world: World, session: Session | None) -> dict[str, str]:
    """Return the condition keys for the current time and for *session*'s temporary credentials.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """
    now = world.now()
    keys = {
        "aws:CurrentTime": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "aws:EpochTime": str(int(now.timestamp())),
        "aws:ViaAWSService": "false",
    }
    if session is not None:
        keys["aws:MultiFactorAuthPresent"] = str(session.mfa).lower()
        keys["aws:TokenIssueTime"] = session.issued.strftime("%Y-%m-%dT%H:%M:%SZ")
    return keys


def _listed(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list | tuple) else [str(value)]


TRUST_CHARACTERS: Final = 2048
"""The maximum size of a trust policy under the default quota."""

_SID: Final = re.compile("[0-9A-Za-z]*")
_SID_SAID: Final = (
    "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular "
    "expression [0-9A-Za-z]*"
)


def check_document(text: str, limit: int | None = MANAGED_POLICY_CHARACTERS) -> None:
    """Raise Fault unless the engine and IAM accept *text* as an identity-based policy.

    Identity-based policies name resources but no principals, because they apply to their holders.
    """
    for statement in _checked(text).statements:
        if statement.principal is not None or statement.not_principal is not None:
            raise _malformed("Policy document should not specify a principal.")
        if statement.resource is None and statement.not_resource is None:
            raise _malformed("Policy statement must contain resources.")
    try:
        authorizer = compiled(Policies((AttachedPolicy("policy", text),)), None)
    except CmlIamError as error:
        raise _malformed(error.message) from error
    if authorizer.problems:
        raise _malformed(str(authorizer.problems[0]))
    if limit is not None and policy_size(text) > limit:
        raise Fault("LimitExceeded", f"Cannot exceed quota for PolicySize: {limit}", 409)


def check_trust(text: str) -> None:
    """Raise Fault unless IAM accepts *text* as a trust policy: principals, but no resources."""
    for statement in _checked(text).statements:
        if statement.principal is None and statement.not_principal is None:
            raise _malformed("Missing required field Principal")
        if statement.resource is not None or statement.not_resource is not None:
            raise _malformed("Has prohibited field Resource")
        actions = statement.action or statement.not_action or ()
        if not all(action.lower().startswith("sts:") for action in actions):
            said = "AssumeRole policy may only specify STS AssumeRole actions."
            raise _malformed(said)
    if policy_size(text) > TRUST_CHARACTERS:
        said = f"Cannot exceed quota for ACLSizePerRole: {TRUST_CHARACTERS}"
        raise Fault("LimitExceeded", said, 409)


def _checked(text: str) -> PolicyDocument:
    try:
        document = load_policy(text, "policy")
    except CmlIamError as error:
        raise _malformed(error.message) from error
    seen: set[str] = set()
    for statement in document.statements:
        sid = statement.sid or ""
        if not _SID.fullmatch(sid):
            raise _malformed(_SID_SAID)
        if sid and sid in seen:
            raise _malformed("Statement IDs (SID) in a single policy must be unique.")
        seen.add(sid)
    return document


def _malformed(said: str) -> Fault:
    return Fault("MalformedPolicyDocument", said)
