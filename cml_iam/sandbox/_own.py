"""The operations the sandbox answers itself, where moto has none or a weaker one."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from cml_iam.policy import Arn
from cml_iam.sandbox._answers import result_answer
from cml_iam.sandbox._describe import describe_regions
from cml_iam.sandbox._guard import check_document
from cml_iam.sandbox._iam_reads import (
    account_details,
    context_keys_for_custom_policy,
    context_keys_for_principal_policy,
    credential_report,
    generate_details,
    get_details,
    simulate_custom_policy,
    simulate_principal_policy,
)
from cml_iam.sandbox._principals import boundary_arn, tags_of
from cml_iam.sandbox._wire import Fault
from cml_iam.sandbox._world import Session, new_key
from cml_iam.secret import Secret

if TYPE_CHECKING:
    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._principals import Principal
    from cml_iam.sandbox._wire import Answer
    from cml_iam.sandbox._world import World

Handler = Callable[["World", "Principal", "Call"], "Answer"]

_SHORTEST: Final = 900
_DEFAULT: Final = 3600
_LONGEST_CHAINED: Final = 3600
_LONGEST_TOKEN: Final = 129_600


def get_caller_identity(_: World, principal: Principal, call: Call) -> Answer:
    """Say who the caller is."""
    arn = principal.arn
    known = {"UserId": principal.user_id, "Account": Arn.parse(arn).account, "Arn": arn}
    return result_answer(call, known)


def assume_role(world: World, principal: Principal, call: Call) -> Answer:
    """Make temporary credentials of a role.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
    """
    session = assume(
        world.home_of(call.params["RoleArn"]), call, chained=principal.role is not None
    )
    assumed = {"AssumedRoleId": session.user_id, "Arn": session.arn}
    return result_answer(call, {"Credentials": credentials(session), "AssumedRoleUser": assumed})


def assume(world: World, call: Call, *, chained: bool = False) -> Session:
    """Return a session of the role that *call* may assume; *chained* by another role's session."""
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


def get_session_token(world: World, principal: Principal, call: Call) -> Answer:
    """Make temporary credentials of the calling user, or of the root, whose last an hour at most.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html
    """
    _check_long_term(principal, call)
    seconds = _duration(call, 43_200, _LONGEST_TOKEN)
    session = _session(
        world,
        min(seconds, _LONGEST_CHAINED) if principal.is_root else seconds,
        arn=principal.arn,
        user_id=principal.user_id,
        user=principal.name,
        mfa=_by_mfa(world, principal, call),
    )
    return result_answer(call, {"Credentials": credentials(session)})


def _check_long_term(principal: Principal, call: Call) -> None:
    if principal.session is not None:
        said = f"Cannot call {call.operation} with session credentials"
        raise Fault("AccessDenied", said, 403)


def get_federation_token(world: World, principal: Principal, call: Call) -> Answer:
    """Create credentials for a federated user, limited to what caller and policy both allow.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_GetFederationToken.html
    """
    _check_long_term(principal, call)
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
    return result_answer(call, {"Credentials": credentials(session), "FederatedUser": user})


def list_entities_for_policy(world: World, _: Principal, call: Call) -> Answer:
    """Answer who holds a policy: as a permissions policy, as a boundary, or either way."""
    arn, usage = call.params["PolicyArn"], call.params.get("PolicyUsageFilter")
    path, kind = call.params.get("PathPrefix", "/"), call.params.get("EntityFilter")
    if arn not in world.iam.managed_policies:
        raise Fault("NoSuchEntity", f"Policy {arn} does not exist or is not attachable.", 404)

    def holds(entity: Any) -> bool:
        attached = arn in entity.managed_policies and usage != "PermissionsBoundary"
        bounded = boundary_arn(entity) == arn and usage != "PermissionsPolicy"
        return entity.path.startswith(path) and (attached or bounded)

    result = {
        f"Policy{name}s": [
            each for each in world.entities(name.lower()) if kind in (None, name) and holds(each)
        ]
        for name in ("User", "Role", "Group")
    }
    return result_answer(call, result)


def _by_mfa(world: World, principal: Principal, call: Call) -> bool:
    """Say whether the caller shows a device of MFA; every code of an own device is good here."""
    serial, code = call.params.get("SerialNumber"), call.params.get("TokenCode", "")
    if serial is None:
        return False
    user = world.iam.users.get(principal.name)
    if user is None or serial not in user.mfa_devices or not (code.isdigit() and len(code) == 6):
        said = "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your "
        more = "MFA serial number is valid and associated with this user."
        raise Fault("AccessDenied", said + more, 403)
    return True


def decode_authorization_message(world: World, _: Principal, call: Call) -> Answer:
    """Tell why a request was refused."""
    text = world.messages.get(call.params["EncodedMessage"])
    if text is None:
        raise Fault("InvalidAuthorizationMessageException", "Message is not valid")
    return result_answer(call, {"DecodedMessage": text})


def get_access_key_info(world: World, _: Principal, call: Call) -> Answer:
    """Say whose account an access key is of."""
    return result_answer(call, {"Account": world.account})


def get_user(world: World, principal: Principal, call: Call) -> Answer | None:
    """Answer for the root, who is no user; moto answers for the others."""
    if principal.is_root and "UserName" not in call.params:
        created = world.started.replace(tzinfo=None)
        root = {"UserId": world.account, "Arn": principal.arn, "CreateDate": created, "Path": "/"}
        return result_answer(call, {"User": {**root, "UserName": "root"}})
    return None


def put_user_permissions_boundary(world: World, _: Principal, call: Call) -> Answer:
    """Set a user's permissions boundary."""
    user = find_user(world, call.params["UserName"])
    set_boundary(world, user, call.params["PermissionsBoundary"])
    return result_answer(call, {})


def delete_user_permissions_boundary(world: World, _: Principal, call: Call) -> Answer:
    """Take a user's permissions boundary away."""
    user = find_user(world, call.params["UserName"])
    if not hasattr(user, "permissions_boundary"):
        said = f"The user with name {user.name} has no permissions boundary."
        raise Fault("NoSuchEntity", said, 404)
    del user.permissions_boundary
    return result_answer(call, {})


def set_boundary(world: World, user: Any, arn: str) -> None:
    """Keep the boundary *arn* on moto's *user*, where its GetUser finds it too."""
    check_boundary(world, arn)
    user.permissions_boundary = {
        "PermissionsBoundaryType": "Policy",
        "PermissionsBoundaryArn": arn,
    }


def check_boundary(world: World, arn: str) -> None:
    """Raise Fault unless there is a managed policy *arn*."""
    if arn not in world.iam.managed_policies:
        raise Fault("NoSuchEntity", f"Scope ARN: {arn} does not exist or is not attachable.", 404)


def list_service_specific_credentials(world: World, _: Principal, call: Call) -> Answer:
    """Answer none: the sandbox makes no such credentials."""
    if "UserName" in call.params:
        find_user(world, call.params["UserName"])
    return result_answer(call, {"ServiceSpecificCredentials": []})


def delete_service_specific_credential(world: World, _: Principal, call: Call) -> Answer:
    """Refuse: there is none."""
    if "UserName" in call.params:
        find_user(world, call.params["UserName"])
    named = call.params["ServiceSpecificCredentialId"]
    raise Fault("NoSuchEntity", f"No such credential: {named}", 404)


def find_user(world: World, name: str) -> Any:
    """Return moto's user *name*."""
    user = world.iam.users.get(name)
    if user is None:
        raise Fault("NoSuchEntity", f"The user with name {name} cannot be found.", 404)
    return user


def _session(
    world: World,
    seconds: int,
    *,
    arn: str,
    user_id: str,
    role: str | None = None,
    user: str | None = None,
    policies: tuple[str, ...] | None = None,
    tags: dict[str, str] | None = None,
    mfa: bool = False,
    federated: str = "",
) -> Session:
    now = world.now()
    session = Session(
        key=new_key("ASIA"),
        token=Secret(secrets.token_urlsafe(96)),
        arn=arn,
        user_id=user_id,
        role=role,
        user=user,
        issued=now,
        expires=now + timedelta(seconds=seconds),
        policies=policies,
        tags=tags or {},
        mfa=mfa,
        federated=federated,
    )
    world.sessions[session.key.id] = session
    return session


def credentials(session: Session) -> dict[str, Any]:
    """Return the temporary credentials of *session* as STS answers them."""
    return {
        "AccessKeyId": session.key.id,
        "SecretAccessKey": session.key.secret.reveal(),
        "SessionToken": session.token.reveal(),
        "Expiration": session.expires.replace(tzinfo=None),
    }


def _duration(call: Call, default: int, longest: int) -> int:
    seconds = int(call.params.get("DurationSeconds", min(default, longest)))
    if not _SHORTEST <= seconds <= longest:
        said = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        raise Fault("ValidationError", said)
    return seconds


def _session_policies(world: World, call: Call) -> tuple[str, ...] | None:
    """Return the session policies, or None where the session is not limited by any."""
    found = [call.params["Policy"]] if "Policy" in call.params else []
    for each in call.params.get("PolicyArns", ()):
        policy = world.iam.managed_policies.get(each.get("arn"))
        if policy is None:
            raise Fault("MalformedPolicyDocument", f"There is no policy {each.get('arn')}.")
        found.append(next(v.document for v in policy.versions if v.is_default))
    for text in found:
        check_document(text)
    return tuple(found) or None


OWN: Final[dict[str, Handler | Callable[..., Answer | None]]] = {
    "ec2:DescribeRegions": describe_regions,
    "sts:GetCallerIdentity": get_caller_identity,
    "sts:AssumeRole": assume_role,
    "sts:GetFederationToken": get_federation_token,
    "sts:GetSessionToken": get_session_token,
    "sts:DecodeAuthorizationMessage": decode_authorization_message,
    "sts:GetAccessKeyInfo": get_access_key_info,
    "iam:GetAccountAuthorizationDetails": account_details,
    "iam:GetCredentialReport": credential_report,
    "iam:GetUser": get_user,
    "iam:ListEntitiesForPolicy": list_entities_for_policy,
    "iam:SimulateCustomPolicy": simulate_custom_policy,
    "iam:SimulatePrincipalPolicy": simulate_principal_policy,
    "iam:GetContextKeysForCustomPolicy": context_keys_for_custom_policy,
    "iam:GetContextKeysForPrincipalPolicy": context_keys_for_principal_policy,
    "iam:GenerateServiceLastAccessedDetails": generate_details,
    "iam:GetServiceLastAccessedDetails": get_details,
    "iam:PutUserPermissionsBoundary": put_user_permissions_boundary,
    "iam:DeleteUserPermissionsBoundary": delete_user_permissions_boundary,
    "iam:ListServiceSpecificCredentials": list_service_specific_credentials,
    "iam:DeleteServiceSpecificCredential": delete_service_specific_credential,
}
"""By action; None as an answer leaves the call to moto."""
