"""Where moto makes a trail that could not deliver anything, this one refuses, as CloudTrail does.

https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_CreateTrail.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cml_iam.engine import Request, compile_policies
from cml_iam.sandbox._faults import Fault

if TYPE_CHECKING:
    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._world import World

_SERVICE: Final = "cloudtrail.amazonaws.com"
_CHECKED: Final = frozenset({"cloudtrail:CreateTrail", "cloudtrail:UpdateTrail"})


def check_trail(world: World, call: Call) -> None:
    """Raise Fault where *call* makes a trail whose bucket, log group or role is closed to it."""
    if call.action not in _CHECKED:
        return
    name = str(call.params.get("Name", "")).rpartition("/")[2]
    where = f"{call.region}:{world.account}"
    trail = f"arn:{world.partition}:cloudtrail:{where}:trail/{name}"
    source = {"aws:SourceArn": trail, "aws:SourceAccount": world.account}
    if call.params.get("S3BucketName"):
        _check_bucket(world, str(call.params["S3BucketName"]), source)
    if call.params.get("CloudWatchLogsLogGroupArn"):
        _check_group(world, call)
    if call.params.get("CloudWatchLogsRoleArn"):
        _check_role(world, str(call.params["CloudWatchLogsRoleArn"]), source)


def _check_bucket(world: World, name: str, source: dict[str, str]) -> None:
    bucket = world.moto.backend("s3", world.partition).buckets.get(name)
    if bucket is None:
        raise Fault("S3BucketDoesNotExistException", f"S3 bucket {name} does not exist!")
    arn = f"arn:{world.partition}:s3:::{name}"
    context: dict[str, str | list[str]] = {**source, "aws:SecureTransport": "true"}
    acl = {"s3:x-amz-acl": "bucket-owner-full-control"}
    asked = (
        Request("s3:GetBucketAcl", arn, _SERVICE, context),
        Request(
            "s3:PutObject", f"{arn}/AWSLogs/{world.account}/x.json.gz", _SERVICE, context | acl
        ),
    )
    if not bucket.policy or not _allowed(bucket.policy.decode(), *asked):
        said = f"Incorrect S3 bucket policy is detected for bucket: {name}"
        raise Fault("InsufficientS3BucketPolicyException", said)


def _check_group(world: World, call: Call) -> None:
    group = str(call.params["CloudWatchLogsLogGroupArn"]).partition(":log-group:")[2]
    if group.removesuffix(":*") not in world.moto.backend("logs", call.region).groups:
        said = "CloudTrail cannot validate the specified log group ARN."
        raise Fault("InvalidCloudWatchLogsLogGroupArnException", said)


def _check_role(world: World, arn: str, source: dict[str, str]) -> None:
    role = world.entity("role", arn)
    request = Request("sts:AssumeRole", arn, _SERVICE, dict(source))
    if role is None or not _allowed(str(role.assume_role_policy_document), request):
        said = "Access denied. Check the trust relationships for your role."
        raise Fault("InvalidCloudWatchLogsRoleArnException", said)


def _allowed(policy: Any, *asked: Request) -> bool:
    authorizer = compile_policies(resource=policy)
    return all(authorizer.decide(request).allowed for request in asked)
