"""Which authorizations a call of IAM, STS or CloudWatch needs.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cml_iam.authorization import tag_request
from cml_iam.engine import Request
from cml_iam.facts import service_principal
from cml_iam.sandbox._principals import boundary_arn
from cml_iam.sandbox._services import resource_types

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cml_iam.authorization import Caller, Tags
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
_TAGS_ON_CREATE: Final = {
    "CreateUser": "iam:TagUser",
    "CreateRole": "iam:TagRole",
    "CreatePolicy": "iam:TagPolicy",
    "CreateInstanceProfile": "iam:TagInstanceProfile",
}
_NEEDS_NOTHING: Final = frozenset({"sts:GetSessionToken"})
"""Calls no policy has to allow; sts:GetCallerIdentity the engine itself knows."""

Context = dict[str, "str | list[str]"]


def iam_asked(world: World, caller: Caller, call: Call) -> tuple[Request, ...]:
    """Return every authorization the IAM *call* needs."""
    base = caller.context() | {"aws:RequestedRegion": IAM_REGION} | _keys(world, call)
    tags = _request_tags(call)
    asked = [
        Request(call.action, arn, caller.arn, base | resource_tags_of(world, arn))
        for arn in _resources(world, call)
    ]
    if tags and call.operation in _TAGS_ON_CREATE:
        action = _TAGS_ON_CREATE[call.operation]
        asked += [Request(action, each.resource, caller.arn, base) for each in tuple(asked)]
    if call.operation == "AddRoleToInstanceProfile":
        role = _arn(world, "role", call.params["RoleName"])
        passed: Context = {"iam:PassedToService": service_principal("ec2", caller.partition)}
        asked.append(Request("iam:PassRole", role, caller.arn, base | passed))
    return tuple(asked)


def sts_asked(world: World, caller: Caller, call: Call) -> tuple[Request, ...]:
    """Return every authorization the STS *call* needs."""
    if call.action in _NEEDS_NOTHING:
        return ()
    base = caller.context() | {"aws:RequestedRegion": call.region}
    if call.operation != "AssumeRole":
        return (Request(call.action, "*", caller.arn, base),)
    params, role = call.params, call.params["RoleArn"]
    tags = _request_tags(call)
    base |= {"sts:RoleSessionName": params["RoleSessionName"], **tag_request(tags)}
    if "ExternalId" in params:
        base["sts:ExternalId"] = params["ExternalId"]
    if params.get("TransitiveTagKeys"):
        base["sts:TransitiveTagKeys"] = list(params["TransitiveTagKeys"])
    base |= resource_tags_of(world, role)
    asked = [Request(call.action, role, caller.arn, base)]
    if tags:
        asked.append(Request("sts:TagSession", role, caller.arn, base))
    return tuple(asked)


def cloudwatch_asked(world: World, caller: Caller, call: Call) -> tuple[Request, ...]:
    """Return every authorization the CloudWatch *call* needs."""
    base = caller.context() | {"aws:RequestedRegion": call.region}
    params = call.params
    if call.operation == "PutMetricData":
        base["cloudwatch:namespace"] = params.get("Namespace", "")
    base |= tag_request(_request_tags(call))
    where = f"arn:{world.partition}:cloudwatch:{call.region}:{world.account}"
    names = {
        "alarm": [*params.get("AlarmNames", ()), *_one(params, "AlarmName")],
        "dashboard": [*params.get("DashboardNames", ()), *_one(params, "DashboardName")],
    }
    kinds = resource_types("cloudwatch", call.operation)
    found = [f"{where}:alarm:{name}" for name in names["alarm"] if "alarm" in kinds]
    account = f"arn:{world.partition}:cloudwatch::{world.account}"
    found += [f"{account}:dashboard/{n}" for n in names["dashboard"] if "dashboard" in kinds]
    found += _one(params, "ResourceARN")
    if not found and any(kinds.values()):
        kind = next(kind for kind, required in kinds.items() if required)
        found = [f"{where}:{kind}:*" if kind == "alarm" else f"{where}:{kind}/*"]
    return tuple(Request(call.action, arn, caller.arn, base) for arn in found or ["*"])


def resource_tags_of(world: World, arn: str) -> Context:
    """Return the keys that describe the tags of the IAM entity *arn*."""
    tags: Tags = {}
    iam = world.iam
    for user in iam.users.values():
        if user.arn == arn:
            tags = {each["Key"]: each["Value"] for each in user.tags or ()}
    for role in iam.roles.values():
        if role.arn == arn:
            tags = {each["Key"]: each["Value"] for each in role.tags or ()}
    policy = iam.managed_policies.get(arn)
    if policy is not None:
        tags = {each["Key"]: each["Value"] for each in policy.get_tags()}
    return {
        f"{prefix}:ResourceTag/{key}": value
        for key, value in tags.items()
        for prefix in ("aws", "iam")
    }


def _resources(world: World, call: Call) -> list[str]:
    """Return the ARNs an IAM call is about, or of all entities of its kind, or `*`."""
    kinds = resource_types("iam", call.operation)
    if not kinds:
        return ["*"]
    named = [call.params[name] for name in _SOURCES if name in call.params]
    for kind in kinds:
        if _ARNS.get(kind) in call.params:
            named.append(call.params[_ARNS[kind]])
        elif _NAMES.get(kind) in call.params and not _is_inline(call, kind):
            named.append(_arn(world, kind, call.params[_NAMES[kind]], call.params.get("Path")))
    for kind, renamed in (("user", "NewUserName"), ("group", "NewGroupName")):
        if renamed in call.params:
            # Renaming needs the permission on the old name and on the new.
            named.append(_arn(world, kind, call.params[renamed], call.params.get("NewPath")))
    if call.operation == "GetAccessKeyLastUsed":
        named += _key_holder(world, call.params["AccessKeyId"])
    if named:
        return named
    wanted = [kind for kind, required in kinds.items() if required] or list(kinds)[:1]
    return [_prefix(world, kind) + "*" for kind in wanted]


def _key_holder(world: World, key_id: str) -> list[str]:
    users = world.iam.users.values()
    return [user.arn for user in users if any(k.access_key_id == key_id for k in user.access_keys)]


def _is_inline(call: Call, kind: str) -> bool:
    """Whether PolicyName names a policy inside a user, group or role, which has no ARN."""
    return kind == "policy" and call.operation != "CreatePolicy"


def _arn(world: World, kind: str, name: str, path: str | None = None) -> str:
    iam = world.iam
    existing: Mapping[str, list[Any]] = {
        "user": list(iam.users.values()),
        "role": list(iam.roles.values()),
        "group": list(iam.groups.values()),
        "instance-profile": list(iam.instance_profiles.values()),
    }
    for each in existing.get(kind, ()):
        if each.name == name and path is None:
            return str(each.arn)
    return f"{_prefix(world, kind)[:-1]}{path or '/'}{name}"


def _prefix(world: World, kind: str) -> str:
    return f"arn:{world.partition}:iam::{world.account}:{kind}/"


def _keys(world: World, call: Call) -> Context:
    """Return the condition keys of IAM that the call's parameters fill."""
    params = call.params
    keys: Context = dict(tag_request(_request_tags(call)))
    if params.get("TagKeys"):
        keys["aws:TagKeys"] = list(params["TagKeys"])
    if "PolicyArn" in params:
        keys["iam:PolicyARN"] = params["PolicyArn"]
    if "AWSServiceName" in params:
        keys["iam:AWSServiceName"] = params["AWSServiceName"]
    held = _held_boundary(world, call)
    if held:
        keys["iam:PermissionsBoundary"] = held
    return keys


def _held_boundary(world: World, call: Call) -> str | None:
    """Return the boundary the call sets, or the one its user or role has."""
    params = call.params
    if call.operation in _SETS_BOUNDARY:
        given = params.get("PermissionsBoundary")
        return str(given) if given else None
    user = world.iam.users.get(params.get("UserName"))
    if user is not None:
        return boundary_arn(user)
    for role in world.iam.roles.values():
        if role.name == params.get("RoleName"):
            return role.permissions_boundary_arn  # type: ignore[no-any-return]
    return None


def _request_tags(call: Call) -> dict[str, str]:
    return {each["Key"]: each.get("Value", "") for each in call.params.get("Tags", ()) or ()}


def _one(params: Mapping[str, Any], name: str) -> list[str]:
    return [params[name]] if name in params else []
