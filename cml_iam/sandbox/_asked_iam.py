"""What a call of IAM is about.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cml_iam.sandbox._principals import boundary_arn, tags_of
from cml_iam.sandbox._services import resource_types

if TYPE_CHECKING:
    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._world import World

IAM_REGION: Final = "us-east-1"
"""What aws:RequestedRegion holds for IAM, wherever the caller is."""

_NAMES: Final = {
    "user": "UserName",
    "role": "RoleName",
    "group": "GroupName",
    "policy": "PolicyName",
    "instance-profile": "InstanceProfileName",
    "server-certificate": "ServerCertificateName",
}
_ARNS: Final = {
    "policy": "PolicyArn",
    "mfa": "SerialNumber",
    "oidc-provider": "OpenIDConnectProviderArn",
    "saml-provider": "SAMLProviderArn",
}
_SOURCES: Final = ("PolicySourceArn", "Arn", "ResourceArn")
_SETS_BOUNDARY: Final = frozenset(
    {"CreateUser", "CreateRole", "PutUserPermissionsBoundary", "PutRolePermissionsBoundary"}
)


def iam_resources(world: World, call: Call) -> list[str]:
    """Return the ARNs an IAM call is about, or of all entities of its kind."""
    kinds = resource_types("iam", call.operation)
    named = [call.params[name] for name in _SOURCES if name in call.params]
    for kind in kinds:
        if _ARNS.get(kind) in call.params:
            named.append(call.params[_ARNS[kind]])
        elif _NAMES.get(kind) in call.params and not _is_inline(call, kind):
            named.append(arn_of(world, kind, call.params[_NAMES[kind]], call.params.get("Path")))
    for kind, renamed in (("user", "NewUserName"), ("group", "NewGroupName")):
        if renamed in call.params:
            # Renaming needs the permission on the old name and on the new.
            named.append(arn_of(world, kind, call.params[renamed], call.params.get("NewPath")))
    if call.operation == "GetAccessKeyLastUsed":
        named += _key_holder(world, call.params["AccessKeyId"])
    if named:
        return named
    wanted = [kind for kind, required in kinds.items() if required] or list(kinds)[:1]
    return [_prefix(world, kind) + "*" for kind in wanted]


def resource_tags_of(world: World, arn: str) -> dict[str, str | list[str]]:
    """Return the keys that describe the tags of the IAM entity *arn*."""
    kind = arn.rpartition(":")[2].partition("/")[0]
    return {
        f"{prefix}:ResourceTag/{key}": value
        for key, value in tags_of(world.entity(kind, arn)).items()
        for prefix in ("aws", "iam")
    }


def arn_of(world: World, kind: str, name: str, path: str | None = None) -> str:
    """Return the ARN of the entity of this *name*, also where there is none yet."""
    existing = world.entity(kind, name) if path is None and kind != "policy" else None
    if existing is not None:
        return str(existing.arn)
    return f"{_prefix(world, kind)[:-1]}{path or '/'}{name}"


def boundary_keys(world: World, call: Call) -> dict[str, str | list[str]]:
    """Return the key of the boundary that the call sets, or that its user or role has."""
    params = call.params
    held = params.get("PermissionsBoundary")
    if call.operation not in _SETS_BOUNDARY:
        user = world.entity("user", params.get("UserName"))
        held = boundary_arn(user or world.entity("role", params.get("RoleName")))
    return {"iam:PermissionsBoundary": held} if held else {}


def _key_holder(world: World, key_id: str) -> list[str]:
    users = world.entities("user")
    return [user.arn for user in users if any(k.access_key_id == key_id for k in user.access_keys)]


def _is_inline(call: Call, kind: str) -> bool:
    """Whether PolicyName names a policy inside a user, group or role, which has no ARN."""
    return kind == "policy" and call.operation != "CreatePolicy"


def _prefix(world: World, kind: str) -> str:
    return f"arn:{world.partition}:iam::{world.account}:{kind}/"
