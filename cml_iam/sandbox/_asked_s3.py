"""Which authorization an operation of S3 needs.

What is not listed here, or takes more than one authorization, is the root's alone.
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from cml_iam.sandbox._faults import Fault
from cml_iam.sandbox._services import S3_ACTIONS

if TYPE_CHECKING:
    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._world import World

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_KEY: Final = re.compile(r"[\w!.*'()=+@:,-]+(/[\w!.*'()=+@:,-]+)*/?", re.ASCII)
_SAME: Final = frozenset(
    {
        "CreateBucket",
        "DeleteBucket",
        "DeleteBucketPolicy",
        "DeleteBucketWebsite",
        "DeleteObject",
        "GetBucketAcl",
        "GetBucketLocation",
        "GetBucketLogging",
        "GetBucketOwnershipControls",
        "GetBucketPolicy",
        "GetBucketPolicyStatus",
        "GetBucketRequestPayment",
        "GetBucketTagging",
        "GetBucketVersioning",
        "GetBucketWebsite",
        "GetObject",
        "PutBucketAcl",
        "PutBucketLogging",
        "PutBucketOwnershipControls",
        "PutBucketPolicy",
        "PutBucketTagging",
        "PutBucketVersioning",
        "PutBucketWebsite",
        "PutObject",
    }
)
"""The operations whose action is called like them."""

_MORE: Final = re.compile(r"Bypass|Grant|MFA$|ObjectLock(?!Configuration)")
"""The parameters by which an operation does more than it is called."""

_KEYS: Final = {
    "ACL": "s3:x-amz-acl",
    "MaxKeys": "s3:max-keys",
    "ServerSideEncryption": "s3:x-amz-server-side-encryption",
}
"""The condition keys that parameters fill which are called otherwise."""


def s3_resources(world: World, call: Call) -> list[str]:
    """Return the bucket or the object *call* is about; raise Fault where that cannot be told."""
    params = call.params
    bucket, key = params.get("Bucket", ""), params.get("Key", "")
    if "Bucket" in params and not _BUCKET.fullmatch(bucket):
        raise Fault("InvalidBucketName", "The specified bucket is not valid.")
    # There is one account here.
    if params.get("ExpectedBucketOwner", world.account) != world.account:
        raise Fault("AccessDenied", "Access Denied", 403)
    resource = "/".join(each for each in (bucket, key) if each)
    return [f"arn:{world.partition}:s3:::{resource}"] if resource else []


def s3_actions(call: Call) -> tuple[str, ...]:
    """Return the actions *call* needs; raise Fault where they are not known."""
    if not _understood(call):
        said = f"The sandbox cannot tell what {call.operation} needs with these parameters."
        raise Fault("AccessDenied", said, 403)
    first = f"{call.action}Version" if "VersionId" in call.params else call.action
    acl = "s3:PutObjectAcl" if "Key" in call.params else "s3:PutBucketAcl"
    return tuple(dict.fromkeys((first, *((acl,) if "ACL" in call.params else ()))))


def s3_keys(world: World, call: Call) -> dict[str, str | list[str]]:
    """Return the condition keys of every call of S3, and of its parameters."""
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
    """Return the policy of the bucket that *call* is about."""
    bucket = world.moto.backend("s3", world.partition).buckets.get(call.params.get("Bucket"))
    policy = bucket.policy if bucket is not None else None
    return policy.decode() if policy else None


def _understood(call: Call) -> bool:
    """Whether the one authorization of the operation is all that its parameters need."""
    if call.operation not in _SAME and call.operation not in S3_ACTIONS:
        return False
    key = call.params.get("Key")
    if key is not None and (not _KEY.fullmatch(key) or {".", ".."} & set(key.split("/"))):
        return False
    configuration = call.params.get("CreateBucketConfiguration", {})
    more = any(_MORE.match(name) for name in call.params) or "Tags" in configuration
    return not more and not (key is not None and "Tagging" in call.params)
