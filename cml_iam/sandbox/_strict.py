"""The steps around authorization, by service: completing, checking and executing calls.

As in CloudTrail, a trail that cannot deliver is refused.
https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_CreateTrail.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from cml_iam.engine import Request, compile_policies
from cml_iam.sandbox._describe import describe_regions, instance_status
from cml_iam.sandbox._guard import trust_policy
from cml_iam.sandbox._iam_reads import (
    credential_report,
    generate_details,
    get_details,
    list_context_keys,
    list_entities_for_policy,
    simulate,
)
from cml_iam.sandbox._launch import settle
from cml_iam.sandbox._metrics import (
    check_cloudwatch,
    get_metric_data,
    get_metric_statistics,
    list_metrics,
)
from cml_iam.sandbox._strict_ec2 import check_ec2, delete_tags, monitor, perform_ec2
from cml_iam.sandbox._strict_iam import (
    check_iam,
    complete_iam,
    delete_user_permissions_boundary,
    get_user,
    perform_iam,
    put_user_permissions_boundary,
    service_specific_credentials,
)
from cml_iam.sandbox._sts import (
    assume_role,
    decode_authorization_message,
    get_caller_identity,
    get_federation_token,
    get_session_token,
)
from cml_iam.sandbox._transitions import change
from cml_iam.sandbox._wire import Fault

if TYPE_CHECKING:
    from cml_iam.sandbox._answers import Execute
    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._principals import Principal
    from cml_iam.sandbox._wire import Answer, Values
    from cml_iam.sandbox._world import World


_SERVICE: Final = "cloudtrail.amazonaws.com"
Context = dict[str, "str | list[str]"]


def check_trail(world: World, call: Call) -> None:
    """Raise Fault if *call* creates a trail that cannot use its bucket, log group or role."""
    params = call.params
    name = str(params.get("Name", "")).rpartition("/")[2]
    where = f"{call.region}:{world.account}"
    trail = f"arn:{world.partition}:cloudtrail:{where}:trail/{name}"
    source: Context = {"aws:SourceArn": trail, "aws:SourceAccount": world.account}
    if params.get("S3BucketName"):
        _check_bucket(world, params["S3BucketName"], source)
    groups = world.moto.backend("logs", call.region).groups
    group = params.get("CloudWatchLogsLogGroupArn")
    if group and group.partition(":log-group:")[2].removesuffix(":*") not in groups:
        said = "CloudTrail cannot validate the specified log group ARN."
        raise Fault("InvalidCloudWatchLogsLogGroupArnException", said)
    arn = params.get("CloudWatchLogsRoleArn", "")
    assume = Request("sts:AssumeRole", arn, _SERVICE, source)
    if arn and not _allowed(trust_policy(world, arn), assume):
        said = "Access denied. Check the trust relationships for your role."
        raise Fault("InvalidCloudWatchLogsRoleArnException", said)


def _check_bucket(world: World, name: str, source: Context) -> None:
    bucket = world.moto.backend("s3", world.partition).buckets.get(name)
    if bucket is None:
        raise Fault("S3BucketDoesNotExistException", f"S3 bucket {name} does not exist!")
    arn = f"arn:{world.partition}:s3:::{name}"
    log = f"{arn}/AWSLogs/{world.account}/x.json.gz"
    context: Context = {**source, "aws:SecureTransport": "true"}
    owned: Context = {**context, "s3:x-amz-acl": "bucket-owner-full-control"}
    asked = (
        Request("s3:GetBucketAcl", arn, _SERVICE, context),
        Request("s3:PutObject", log, _SERVICE, owned),
    )
    if not bucket.policy or not _allowed(bucket.policy.decode(), *asked):
        said = f"Incorrect S3 bucket policy is detected for bucket: {name}"
        raise Fault("InsufficientS3BucketPolicyException", said)


def _allowed(policy: str, *asked: Request) -> bool:
    authorizer = compile_policies(resource=policy)
    return all(authorizer.decide(request).allowed for request in asked)


def complete(world: World, principal: Principal, call: Call) -> Call:
    """Return *call* with the values filled in that the service chooses for the caller.

    Raises Fault for values that the service refuses from every caller.
    """
    match call.service:
        case "ec2":
            check_ec2(call)
            return settle(world, call) if call.operation == "RunInstances" else call
        case "iam":
            call = complete_iam(principal, call)
            check_iam(world, call)
        case "cloudwatch":
            check_cloudwatch(call)
    return call


def perform(world: World, call: Call, execute: Execute) -> Answer:
    """Execute the authorized *call* with *execute* and, for some services, extra steps."""
    match call.service:
        case "ec2":
            return perform_ec2(world, call, execute)
        case "iam":
            return perform_iam(world, call, execute)
        case "cloudtrail" if call.operation in ("CreateTrail", "UpdateTrail"):
            check_trail(world, call)
        case "secretsmanager" if call.operation == "GetSecretValue":
            if not {"VersionId", "VersionStage"} & set(call.params):
                # Moto would return the first version, even if the label was moved to another.
                call = call.with_params(VersionStage="AWSCURRENT")
    return execute(call)


Handler = Callable[["World", "Principal", "Call"], "Values | None"]

OWN: Final[dict[str, Handler]] = {
    "cloudwatch:GetMetricData": get_metric_data,
    "cloudwatch:GetMetricStatistics": get_metric_statistics,
    "cloudwatch:ListMetrics": list_metrics,
    "ec2:DeleteTags": delete_tags,
    "ec2:DescribeInstanceStatus": instance_status,
    "ec2:DescribeRegions": describe_regions,
    "ec2:MonitorInstances": monitor,
    "ec2:StartInstances": change,
    "ec2:StopInstances": change,
    "ec2:TerminateInstances": change,
    "ec2:UnmonitorInstances": monitor,
    "sts:GetCallerIdentity": get_caller_identity,
    "sts:AssumeRole": assume_role,
    "sts:GetFederationToken": get_federation_token,
    "sts:GetSessionToken": get_session_token,
    "sts:DecodeAuthorizationMessage": decode_authorization_message,
    "iam:GetCredentialReport": credential_report,
    "iam:GetUser": get_user,
    "iam:ListEntitiesForPolicy": list_entities_for_policy,
    "iam:SimulateCustomPolicy": simulate,
    "iam:SimulatePrincipalPolicy": simulate,
    "iam:GetContextKeysForCustomPolicy": list_context_keys,
    "iam:GetContextKeysForPrincipalPolicy": list_context_keys,
    "iam:GenerateServiceLastAccessedDetails": generate_details,
    "iam:GetServiceLastAccessedDetails": get_details,
    "iam:PutUserPermissionsBoundary": put_user_permissions_boundary,
    "iam:DeleteUserPermissionsBoundary": delete_user_permissions_boundary,
    "iam:ListServiceSpecificCredentials": service_specific_credentials,
    "iam:DeleteServiceSpecificCredential": service_specific_credentials,
}
"""The functions that answer actions instead of moto; None leaves the call to moto."""
