"""Which operation of S3 a request means, and which authorization it needs.

S3 names its operations by method, path and a word of the query; what is not listed here, or could
be read in two ways, is nothing we know, and the root's alone.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote

from cml_iam.engine import Request

if TYPE_CHECKING:
    from cml_iam.authorization import Caller
    from cml_iam.sandbox._wire import Message
    from cml_iam.sandbox._world import World

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_KEY: Final = re.compile(r"[\w!.*'()=+@:,-]+(/[\w!.*'()=+@:,-]+)*/?", re.ASCII)
_LOCATION: Final = re.compile(rb"<LocationConstraint>([a-z0-9-]{1,32})</LocationConstraint>")

_NOT_UNDERSTOOD: Final = (
    "x-amz-bucket-object-lock",
    "x-amz-copy-source",
    "x-amz-grant",
    "x-amz-object-lock",
    "x-amz-tagging",
    "x-amz-target",
)
"""Headers by which a request does more than its method and path say."""

_ON_BUCKET: Final = {
    "PUT": "s3:CreateBucket",
    "GET": "s3:ListBucket",
    "HEAD": "s3:ListBucket",
    "DELETE": "s3:DeleteBucket",
}
_ON_OBJECT: Final = {
    "PUT": "s3:PutObject",
    "GET": "s3:GetObject",
    "HEAD": "s3:GetObject",
    "DELETE": "s3:DeleteObject",
}
_WORDS: Final[dict[str, dict[str, str]]] = {
    "accelerate": {"GET": "GetAccelerateConfiguration", "PUT": "PutAccelerateConfiguration"},
    "acl": {"GET": "GetBucketAcl", "PUT": "PutBucketAcl"},
    "cors": dict.fromkeys(("PUT", "DELETE"), "PutBucketCORS") | {"GET": "GetBucketCORS"},
    "encryption": dict.fromkeys(("PUT", "DELETE"), "PutEncryptionConfiguration")
    | {"GET": "GetEncryptionConfiguration"},
    "lifecycle": dict.fromkeys(("PUT", "DELETE"), "PutLifecycleConfiguration")
    | {"GET": "GetLifecycleConfiguration"},
    "location": {"GET": "GetBucketLocation"},
    "logging": {"GET": "GetBucketLogging", "PUT": "PutBucketLogging"},
    "notification": {"GET": "GetBucketNotification", "PUT": "PutBucketNotification"},
    "object-lock": {
        "GET": "GetBucketObjectLockConfiguration",
        "PUT": "PutBucketObjectLockConfiguration",
    },
    "ownershipControls": dict.fromkeys(("PUT", "DELETE"), "PutBucketOwnershipControls")
    | {"GET": "GetBucketOwnershipControls"},
    "policy": {
        "GET": "GetBucketPolicy",
        "PUT": "PutBucketPolicy",
        "DELETE": "DeleteBucketPolicy",
    },
    "policyStatus": {"GET": "GetBucketPolicyStatus"},
    "publicAccessBlock": dict.fromkeys(("PUT", "DELETE"), "PutBucketPublicAccessBlock")
    | {"GET": "GetBucketPublicAccessBlock"},
    "replication": dict.fromkeys(("PUT", "DELETE"), "PutReplicationConfiguration")
    | {"GET": "GetReplicationConfiguration"},
    "requestPayment": {"GET": "GetBucketRequestPayment", "PUT": "PutBucketRequestPayment"},
    "tagging": dict.fromkeys(("PUT", "DELETE"), "PutBucketTagging") | {"GET": "GetBucketTagging"},
    "uploads": {"GET": "ListBucketMultipartUploads"},
    "versioning": {"GET": "GetBucketVersioning", "PUT": "PutBucketVersioning"},
    "versions": {"GET": "ListBucketVersions"},
    "website": {
        "GET": "GetBucketWebsite",
        "PUT": "PutBucketWebsite",
        "DELETE": "DeleteBucketWebsite",
    },
}
"""The action on a bucket by the word in the query and the method."""

_LISTING: Final = frozenset(
    {
        "continuation-token",
        "delimiter",
        "encoding-type",
        "fetch-owner",
        "list-type",
        "marker",
        "max-keys",
        "prefix",
        "start-after",
    }
)
_KEYS: Final = {"prefix": "s3:prefix", "delimiter": "s3:delimiter", "max-keys": "s3:max-keys"}


def s3_asked(
    world: World, caller: Caller, message: Message, region: str
) -> tuple[Request, ...] | None:
    """Return every authorization *message* needs; None where they cannot be told."""
    query = [each for each in parse_qsl(message.query, keep_blank_values=True) if _counts(each[0])]
    given = dict(query)
    place = _place(message.path)
    more = any(name.startswith(_NOT_UNDERSTOOD) for name in message.headers)
    if place is None or len(given) != len(query) or more:
        return None
    bucket, key = place
    action = _action(message.method, bucket, key, given)
    if action is None:
        return None
    context = caller.context() | {
        "aws:RequestedRegion": region,
        "s3:ResourceAccount": world.account,
        "s3:authType": "REST-HEADER",
        "s3:signatureversion": "AWS4-HMAC-SHA256",
        **{_KEYS[name]: value for name, value in given.items() if name in _KEYS},
        **_of_headers(message),
    }
    resource = "/".join(each for each in (bucket, key) if each)
    arn = f"arn:{world.partition}:s3:::{resource}" if resource else "*"
    actions = [action]
    if message.method == "PUT" and "x-amz-acl" in message.headers:
        actions.append("s3:PutObjectAcl" if key else "s3:PutBucketAcl")
    return tuple(Request(each, arn, caller.arn, context) for each in dict.fromkeys(actions))


def bucket_policy(world: World, request: Request) -> str | None:
    """Return the policy of the bucket that *request* is about."""
    name = request.resource.rpartition(":")[2].partition("/")[0]
    bucket = world.moto.backend("s3", world.partition).buckets.get(name)
    policy = bucket.policy if bucket is not None else None
    return policy.decode() if policy else None


def _counts(name: str) -> bool:
    """Whether a parameter of the query says what is asked: SDKs add `x-id`, signing the rest."""
    return name != "x-id" and not name.startswith("X-Amz-")


def _place(path: str) -> tuple[str, str] | None:
    """Return the bucket and the key, empty where there is none; None for what reads two ways."""
    bucket, _, key = unquote(path).lstrip("/").partition("/")
    if path.startswith("//") or (bucket and not _BUCKET.fullmatch(bucket)):
        return None
    if key and (not _KEY.fullmatch(key) or {".", ".."} & set(key.split("/"))):
        return None
    return (bucket, key) if bucket or not key else None


def _action(method: str, bucket: str, key: str, given: dict[str, str]) -> str | None:
    if not bucket:
        return "s3:ListAllMyBuckets" if method == "GET" and not given else None
    if key:
        return _object_action(method, given)
    words = [name for name in given if name in _WORDS]
    if not words and (not given or (method == "GET" and set(given) <= _LISTING)):
        return _ON_BUCKET.get(method)
    if len(words) != 1 or given[words[0]]:
        return None
    lists = words[0] in ("versions", "uploads")
    if set(given) - {words[0]} - (_LISTING if lists else set()):
        return None
    named = _WORDS[words[0]].get(method)
    return f"s3:{named}" if named else None


def _object_action(method: str, given: dict[str, str]) -> str | None:
    action = _ON_OBJECT.get(method)
    if action is None or set(given) - {"versionId"} or (given and method == "PUT"):
        return None
    return f"{action}Version" if given else action


def _of_headers(message: Message) -> dict[str, str]:
    found = {
        f"s3:{name}": message.headers[name]
        for name in ("x-amz-acl", "x-amz-content-sha256", "x-amz-server-side-encryption")
        if name in message.headers
    }
    location = _LOCATION.search(message.body)
    return found | ({"s3:locationconstraint": location[1].decode()} if location else {})
