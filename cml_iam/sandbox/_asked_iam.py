"""The resources of IAM and S3 calls.

S3 calls that need more than one authorization are allowed only to the root user.
https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from cml_iam.sandbox._principals import boundary_arn, tags_of
from cml_iam.sandbox._services import is_s3_action, resource_types, rows
from cml_iam.sandbox._wire import Fault

if TYPE_CHECKING:
    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._world import World

IAM_REGION: Final = "us-east-1"
"""The value of aws:RequestedRegion for IAM, whatever the caller's region."""

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
    """Return the ARNs of an IAM call's resources, or an ARN for all entities of their kind."""
    kinds = resource_types("iam", call.operation)
    named = [call.params[name] for name in _SOURCES if name in call.params]
    for kind in kinds:
        if _ARNS.get(kind) in call.params:
            named.append(call.params[_ARNS[kind]])
        elif kind == "policy" and call.operation != "CreatePolicy":
            continue  # PolicyName is the name of an inline policy, which has no ARN.
        elif _NAMES.get(kind) in call.params:
            named.append(arn_of(world, kind, call.params[_NAMES[kind]], call.params.get("Path")))
    for kind, renamed in (("user", "NewUserName"), ("group", "NewGroupName")):
        if renamed in call.params:
            # Renaming needs the permission on the old name and on the new.
            named.append(arn_of(world, kind, call.params[renamed], call.params.get("NewPath")))
    if call.operation == "GetAccessKeyLastUsed":
        key_id, users = call.params["AccessKeyId"], world.entities("user")
        named += [u.arn for u in users if any(k.access_key_id == key_id for k in u.access_keys)]
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
    """Return the ARN of the entity *name*, even if it does not exist yet."""
    existing = world.entity(kind, name) if path is None and kind != "policy" else None
    if existing is not None:
        return str(existing.arn)
    return f"{_prefix(world, kind)[:-1]}{path or '/'}{name}"


def boundary_keys(world: World, call: Call) -> dict[str, str | list[str]]:
    """Return the condition key with the boundary that the call sets, or its user or role has."""
    params = call.params
    held = params.get("PermissionsBoundary")
    if call.operation not in _SETS_BOUNDARY:
        user = world.entity("user", params.get("UserName"))
        held = boundary_arn(user or world.entity("role", params.get("RoleName")))
    return {"iam:PermissionsBoundary": held} if held else {}


def _prefix(world: World, kind: str) -> str:
    return f"arn:{world.partition}:iam::{world.account}:{kind}/"


_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_KEY: Final = re.compile(r"[\w!.*'()=+@:,-]+(/[\w!.*'()=+@:,-]+)*/?", re.ASCII)
_COMPOSED: Final = re.compile(r"Metadata|Object(?!LockConfiguration|$)|Restore|Upload")
"""The operations that need more than one permission."""

_MORE: Final = re.compile(r"Bypass|Grant|MFA$|ObjectLock(?!Configuration)")
"""Parameters that make an operation do more than its name says."""

_KEYS: Final = {
    "ACL": "s3:x-amz-acl",
    "MaxKeys": "s3:max-keys",
    "ServerSideEncryption": "s3:x-amz-server-side-encryption",
}
"""Condition keys whose names differ from the parameters that set them."""


def s3_resources(world: World, call: Call) -> list[str]:
    """Return the bucket or object of *call*; raises Fault if that is unknown."""
    params = call.params
    bucket, key = params.get("Bucket", ""), params.get("Key", "")
    if "Bucket" in params and not _BUCKET.fullmatch(bucket):
        raise Fault("InvalidBucketName", "The specified bucket is not valid.")
    # The sandbox has only one account.
    if params.get("ExpectedBucketOwner", world.account) != world.account:
        raise Fault("AccessDenied", "Access Denied", 403)
    resource = "/".join(each for each in (bucket, key) if each)
    return [f"arn:{world.partition}:s3:::{resource}"] if resource else []


def s3_actions(call: Call) -> tuple[str, ...]:
    """Return the actions that *call* needs; raises Fault if they are unknown."""
    if not _understood(call):
        said = f"The sandbox does not know what {call.operation} needs with these parameters."
        raise Fault("AccessDenied", said, 403)
    first = f"{call.action}Version" if "VersionId" in call.params else call.action
    acl = "s3:PutObjectAcl" if "Key" in call.params else "s3:PutBucketAcl"
    return tuple(dict.fromkeys((first, *((acl,) if "ACL" in call.params else ()))))


def s3_keys(world: World, call: Call) -> dict[str, str | list[str]]:
    """Return the condition keys that every S3 call has, and those of its parameters."""
    configuration = call.params.get("CreateBucketConfiguration", {})
    location = configuration.get("LocationConstraint")
    return {
        "s3:ResourceAccount": world.account,
        "s3:authType": "REST-HEADER",
        "s3:signatureversion": "AWS4-HMAC-SHA256",
        **{key: str(call.params[name]) for name, key in _KEYS.items() if name in call.params},
        **({"s3:locationconstraint": location} if location else {}),
    }


def bucket_policy(world: World, call: Call) -> str | None:
    """Return the policy of the bucket in *call*."""
    bucket = world.moto.backend("s3", world.partition).buckets.get(call.params.get("Bucket"))
    policy = bucket.policy if bucket is not None else None
    return policy.decode() if policy else None


def _understood(call: Call) -> bool:
    """Return whether the parameters need no more than the operation's own authorization."""
    operation = call.operation
    plain = is_s3_action(call.action.partition(":")[2]) and not _COMPOSED.search(operation)
    if not plain and operation not in rows("s3-actions"):
        return False
    key = call.params.get("Key")
    if key is not None and (not _KEY.fullmatch(key) or {".", ".."} & set(key.split("/"))):
        return False
    configuration = call.params.get("CreateBucketConfiguration", {})
    more = any(_MORE.match(name) for name in call.params) or "Tags" in configuration
    return not more and not (key is not None and "Tagging" in call.params)
