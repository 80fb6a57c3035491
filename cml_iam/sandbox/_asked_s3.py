"""Which authorization an operation of S3 needs.

What is not listed here, or takes more than one authorization, is the root's alone.
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from cml_iam.engine import Request
from cml_iam.sandbox._faults import Fault
from cml_iam.sandbox._services import S3_ACTIONS

if TYPE_CHECKING:
    from cml_iam.authorization import Caller
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
    "Delimiter": "s3:delimiter",
    "MaxKeys": "s3:max-keys",
    "Prefix": "s3:prefix",
    "ServerSideEncryption": "s3:x-amz-server-side-encryption",
}


def s3_asked(world: World, caller: Caller, call: Call) -> tuple[Request, ...]:
    """Return every authorization *call* needs; raise Fault where they cannot be told."""
    params = call.params
    bucket, key = params.get("Bucket", ""), params.get("Key", "")
    if "Bucket" in params and not _BUCKET.fullmatch(bucket):
        raise Fault("InvalidBucketName", "The specified bucket is not valid.")
    # There is one account here.
    if params.get("ExpectedBucketOwner", world.account) != world.account:
        raise Fault("AccessDenied", "Access Denied", 403)
    if not _understood(call):
        said = f"The sandbox cannot tell what {call.operation} needs with these parameters."
        raise Fault("AccessDenied", said, 403)
    context = caller.context() | {
        "aws:RequestedRegion": call.region,
        "s3:ResourceAccount": world.account,
        "s3:authType": "REST-HEADER",
        "s3:signatureversion": "AWS4-HMAC-SHA256",
        **{known: str(params[name]) for name, known in _KEYS.items() if name in params},
    }
    location = params.get("CreateBucketConfiguration", {}).get("LocationConstraint")
    if location:
        context["s3:locationconstraint"] = location
    resource = "/".join(each for each in (bucket, key) if each)
    arn = f"arn:{world.partition}:s3:::{resource}" if resource else "*"
    actions = [f"{call.action}Version" if "VersionId" in params else call.action]
    if "ACL" in params:
        actions.append("s3:PutObjectAcl" if key else "s3:PutBucketAcl")
    return tuple(Request(each, arn, caller.arn, context) for each in dict.fromkeys(actions))


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
