"""Policies hold for the services around the manager: by action, by resource, by condition.

https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.sandbox.conftest import Identity, Make, fetch, refused, send
from tests.sandbox.documents import ACCOUNT, allow, deny, document

HERE = f"us-east-1:{ACCOUNT}"
BUCKET = "around-the-manager"
GROUP = "around"
TRAIL = f"arn:aws:cloudtrail:{HERE}:trail/around"
TOPIC = f"arn:aws:sns:{HERE}:around"
STREAMS = f"arn:aws:logs:{HERE}:log-group:{GROUP}:*"
RULE = f"arn:aws:events:{HERE}:rule/around"
SECRET = f"arn:aws:secretsmanager:{HERE}:secret:around/key-??????"
PARAMETER = f"arn:aws:ssm:{HERE}:parameter/around/key"
WHERE = f"arn:aws:s3:::{BUCKET}"
PATTERN = {"metricName": "m", "metricNamespace": "n", "metricValue": "1"}
FILTER = {"filterName": "f", "filterPattern": "", "metricTransformations": [PATTERN]}

CLOUDTRAIL = {"Principal": {"Service": "cloudtrail.amazonaws.com"}}
ONLY_IT = {"StringEquals": {"aws:SourceArn": TRAIL}}
FOR_TRAIL = document(
    {**allow("s3:GetBucketAcl", on=WHERE, **ONLY_IT), **CLOUDTRAIL},
    {**allow("s3:PutObject", on=f"{WHERE}/AWSLogs/{ACCOUNT}/*", **ONLY_IT), **CLOUDTRAIL},
)


@pytest.fixture(scope="module", autouse=True)
def _around(root: Identity) -> None:
    """Make one of everything."""
    root.client("s3").create_bucket(Bucket=BUCKET)
    root.client("s3").put_object(Bucket=BUCKET, Key="a/b", Body=b"x")
    root.client("logs").create_log_group(logGroupName=GROUP)
    root.client("sns").create_topic(Name="around")
    root.client("s3").put_bucket_policy(Bucket=BUCKET, Policy=FOR_TRAIL)
    root.client("cloudtrail").create_trail(Name="around", S3BucketName=BUCKET)
    root.client("events").put_rule(Name="around", ScheduleExpression="rate(1 day)")
    tags = [{"Key": "team", "Value": "net"}]
    root.client("secretsmanager").create_secret(Name="around/key", SecretString="x", Tags=tags)
    root.client("ssm").put_parameter(Name="/around/key", Value="x", Type="String", Tags=tags)


CASES: list[tuple[str, str, dict[str, Any], str, str]] = [
    ("s3", "get_bucket_location", {"Bucket": BUCKET}, "s3:GetBucketLocation", WHERE),
    ("s3", "head_bucket", {"Bucket": BUCKET}, "s3:ListBucket", WHERE),
    ("s3", "list_objects_v2", {"Bucket": BUCKET, "Prefix": "a/"}, "s3:ListBucket", WHERE),
    ("s3", "get_bucket_versioning", {"Bucket": BUCKET}, "s3:GetBucketVersioning", WHERE),
    (
        "s3",
        "put_bucket_versioning",
        {"Bucket": BUCKET, "VersioningConfiguration": {"Status": "Suspended"}},
        "s3:PutBucketVersioning",
        WHERE,
    ),
    (
        "s3",
        "put_public_access_block",
        {"Bucket": BUCKET, "PublicAccessBlockConfiguration": {"BlockPublicAcls": True}},
        "s3:PutBucketPublicAccessBlock",
        WHERE,
    ),
    ("s3", "get_object", {"Bucket": BUCKET, "Key": "a/b"}, "s3:GetObject", f"{WHERE}/a/*"),
    ("s3", "head_object", {"Bucket": BUCKET, "Key": "a/b"}, "s3:GetObject", f"{WHERE}/a/*"),
    ("s3", "put_object", {"Bucket": BUCKET, "Key": "a/c"}, "s3:PutObject", f"{WHERE}/a/*"),
    ("s3", "delete_object", {"Bucket": BUCKET, "Key": "a/c"}, "s3:DeleteObject", f"{WHERE}/a/*"),
    ("s3", "list_buckets", {}, "s3:ListAllMyBuckets", "*"),
    ("cloudtrail", "get_trail", {"Name": "around"}, "cloudtrail:GetTrail", TRAIL),
    ("cloudtrail", "get_trail_status", {"Name": TRAIL}, "cloudtrail:GetTrailStatus", TRAIL),
    ("cloudtrail", "start_logging", {"Name": TRAIL}, "cloudtrail:StartLogging", TRAIL),
    (
        "cloudtrail",
        "get_event_selectors",
        {"TrailName": "around"},
        "cloudtrail:GetEventSelectors",
        TRAIL,
    ),
    ("cloudtrail", "describe_trails", {}, "cloudtrail:DescribeTrails", "*"),
    (
        "logs",
        "put_retention_policy",
        {"logGroupName": GROUP, "retentionInDays": 1},
        "logs:PutRetentionPolicy",
        STREAMS,
    ),
    (
        "logs",
        "put_metric_filter",
        {"logGroupName": GROUP, **FILTER},
        "logs:PutMetricFilter",
        STREAMS,
    ),
    ("logs", "describe_log_groups", {}, "logs:DescribeLogGroups", "*"),
    ("sns", "get_topic_attributes", {"TopicArn": TOPIC}, "sns:GetTopicAttributes", TOPIC),
    ("sns", "create_topic", {"Name": "around"}, "sns:CreateTopic", TOPIC),
    (
        "sns",
        "subscribe",
        {"TopicArn": TOPIC, "Protocol": "email", "Endpoint": "a@example.com"},
        "sns:Subscribe",
        TOPIC,
    ),
    ("sns", "list_topics", {}, "sns:ListTopics", "*"),
    ("events", "describe_rule", {"Name": "around"}, "events:DescribeRule", RULE),
    ("events", "list_targets_by_rule", {"Rule": "around"}, "events:ListTargetsByRule", RULE),
    (
        "secretsmanager",
        "get_secret_value",
        {"SecretId": "around/key"},
        "secretsmanager:GetSecretValue",
        SECRET,
    ),
    (
        "secretsmanager",
        "put_secret_value",
        {"SecretId": "around/key", "SecretString": "y"},
        "secretsmanager:PutSecretValue",
        SECRET,
    ),
    ("ssm", "get_parameter", {"Name": "/around/key"}, "ssm:GetParameter", PARAMETER),
    ("ssm", "get_parameter", {"Name": PARAMETER}, "ssm:GetParameter", PARAMETER),
    ("ssm", "get_parameters", {"Names": ["/around/key"]}, "ssm:GetParameters", PARAMETER),
    (
        "ssm",
        "put_parameter",
        {"Name": "/around/key", "Value": "y", "Type": "String", "Overwrite": True},
        "ssm:PutParameter",
        PARAMETER,
    ),
    ("ssm", "describe_parameters", {}, "ssm:DescribeParameters", "*"),
]
DENIED = {"s3": "AccessDenied", "sns": "AuthorizationError"}


@pytest.fixture(scope="module")
def holder(user: Make, root: Identity) -> Make:
    """One user, with the given policy instead of the one before."""
    someone = user()

    def holding(text: str) -> Identity:
        policy = {"UserName": someone.name, "PolicyName": "only", "PolicyDocument": text}
        root.client("iam").put_user_policy(**policy)
        return someone

    return holding


@pytest.mark.parametrize(("service", "operation", "parameters", "action", "arn"), CASES)
def test_a_call_needs_its_action_on_its_resource(
    service: str, operation: str, parameters: dict[str, Any], action: str, arn: str, holder: Make
) -> None:
    """Allowed by the very permission; refused without it, and with it on something else."""
    call = getattr(holder(document(allow(action, on=arn))).client(service), operation)
    call(**parameters)
    without = {"Effect": "Allow", "NotAction": [action], "Resource": "*"}
    elsewhere = arn.replace("around", "other") if arn != "*" else f"arn:aws:{service}:::x"
    for statement in (without, allow(f"{service}:*", on=elsewhere)):
        holder(document(statement))
        said = refused(call, **parameters)
        if operation.startswith("head"):  # has no body to say more
            assert said.status == 403
            continue
        assert said.code == DENIED.get(service, "AccessDeniedException")
        assert f"perform: {action}" in said.message


def test_a_role_is_handed_to_the_trail_only_with_pass_role(user: Make, root: Identity) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/to-logs"
    trust = document({**allow("sts:AssumeRole"), **CLOUDTRAIL})
    trust = trust.replace('"Resource": "*", ', "")
    root.client("iam").create_role(RoleName="to-logs", AssumeRolePolicyDocument=trust)
    group = f"arn:aws:logs:{HERE}:log-group:{GROUP}:*"
    parameters = {"Name": "around", "CloudWatchLogsLogGroupArn": group}
    handed = {"CloudWatchLogsRoleArn": role}
    update = allow("cloudtrail:UpdateTrail", on=TRAIL)
    to_ec2 = allow("iam:PassRole", StringEquals={"iam:PassedToService": "ec2.amazonaws.com"})
    to_trail = allow(
        "iam:PassRole", on=role, StringEquals={"iam:PassedToService": "cloudtrail.amazonaws.com"}
    )

    for documents in ([update], [update, to_ec2]):
        someone = user(document(*documents)).client("cloudtrail")
        said = refused(someone.update_trail, **parameters, **handed)
        assert "iam:PassRole" in said.message
    user(document(update, to_trail)).client("cloudtrail").update_trail(**parameters, **handed)


def test_tags_on_creation_need_their_own_permission(user: Make) -> None:
    tags = [{"Key": "team", "Value": "net"}]
    create = allow("secretsmanager:CreateSecret")
    someone = user(document(create)).client("secretsmanager")

    someone.create_secret(Name="plain", SecretString="x")
    said = refused(someone.create_secret, Name="tagged", SecretString="x", Tags=tags)

    assert "secretsmanager:TagResource" in said.message


@pytest.mark.parametrize("service", ["secretsmanager", "ssm"])
def test_tags_of_what_is_there_count(service: str, user: Make) -> None:
    def reads(value: str) -> Callable[[], Any]:
        equals = {"aws:ResourceTag/team": value}
        client = user(document(allow(f"{service}:*", StringEquals=equals))).client(service)
        if service == "ssm":
            return lambda: client.get_parameter(Name="/around/key")
        return lambda: client.get_secret_value(SecretId="around/key")

    reads("net")()
    assert refused(reads("other")).code == "AccessDeniedException"


def test_the_protocol_of_a_subscription_can_be_limited(user: Make) -> None:
    only = allow("sns:Subscribe", StringEquals={"sns:Protocol": "email"})
    sns = user(document(only)).client("sns")

    sns.subscribe(TopicArn=TOPIC, Protocol="email", Endpoint="b@example.com")
    said = refused(sns.subscribe, TopicArn=TOPIC, Protocol="sms", Endpoint="+1")

    assert said.code == "AuthorizationError"


def test_a_secret_that_is_not_there_has_no_arn_to_allow(user: Make) -> None:
    """https://github.com/mongodb/awscdk-resources-mongodbatlas/issues/207"""
    narrow = user(document(allow("secretsmanager:*", on=SECRET.replace("around", "none"))))
    wide = user(document(allow("secretsmanager:DescribeSecret")))

    said = refused(narrow.client("secretsmanager").describe_secret, SecretId="none/key")
    assert (said.code, "on resource: none/key" in said.message) == ("AccessDeniedException", True)
    said = refused(wide.client("secretsmanager").describe_secret, SecretId="none/key")
    assert said.code == "ResourceNotFoundException"


def test_a_foreign_arn_is_not_the_only_one_asked_about(user: Make) -> None:
    """Moto looks a parameter up here by the name in the ARN, wherever that points."""
    elsewhere = PARAMETER.replace("us-east-1", "eu-west-1")
    someone = user(document(allow("ssm:GetParameter", on=elsewhere)))

    said = refused(someone.client("ssm").get_parameter, Name=elsewhere)

    assert (said.code, PARAMETER in said.message) == ("AccessDeniedException", True)


def test_the_policy_of_a_bucket_holds_too(user: Make, root: Identity) -> None:
    reader = user(document(allow("sts:GetCallerIdentity")))
    allowed = user(document(allow("s3:*")))
    granted = {**allow("s3:GetObject", on=f"{WHERE}/*"), "Principal": {"AWS": reader.arn}}
    denied = {**deny("s3:GetBucketLocation", on=WHERE), "Principal": "*"}
    root.client("s3").put_bucket_policy(Bucket=BUCKET, Policy=document(granted, denied))
    try:
        reader.client("s3").get_object(Bucket=BUCKET, Key="a/b")
        said = refused(allowed.client("s3").get_bucket_location, Bucket=BUCKET)
        assert "explicit deny in a resource-based policy" in said.message
        assert root.client("s3").get_bucket_location(Bucket=BUCKET)
    finally:
        root.client("s3").put_bucket_policy(Bucket=BUCKET, Policy=FOR_TRAIL)


@pytest.mark.parametrize(
    ("method", "target", "headers", "code"),
    [
        ("GET", f"/{BUCKET}?policy&acl", {}, "InvalidArgument"),
        ("GET", f"/{BUCKET}?policy&policy", {}, "InvalidArgument"),
        ("GET", f"/{BUCKET}?location&prefix=a", {}, "InvalidArgument"),
        ("GET", f"/{BUCKET}/a/../b", {}, "AccessDenied"),
        ("GET", f"/{BUCKET}/a%00b", {}, "AccessDenied"),
        ("GET", f"/{BUCKET}/a/b?acl", {}, "AccessDenied"),
        ("PUT", f"/{BUCKET}/a/b", {"x-amz-copy-source": f"/{BUCKET}/a/b"}, "AccessDenied"),
        ("PUT", f"/{BUCKET}/a/b", {"x-amz-tagging": "a=b"}, "AccessDenied"),
        ("POST", f"/{BUCKET}?delete", {}, "MalformedXML"),
        ("PUT", "/UPPER", {}, "InvalidBucketName"),
        ("PUT", f"/{BUCKET}%2Fa", {}, "InvalidBucketName"),
    ],
)
def test_what_reads_two_ways_is_refused(
    method: str, target: str, headers: dict[str, str], code: str, user: Make
) -> None:
    someone = user(document(allow("s3:*")))

    url = someone.sandbox.endpoint_url + target
    request = AWSRequest(method, url, headers=headers)
    S3SigV4Auth(Credentials(someone.key, someone.secret), "s3", "us-east-1").add_auth(request)
    status, body = fetch(url, method, headers=dict(request.prepare().headers.items()))

    assert status in (400, 403)
    assert f"<Code>{code}</Code>" in body


def test_an_object_is_described_as_it_was_put(root: Identity) -> None:
    s3 = root.client("s3")
    kept = {"CacheControl": "no-cache", "ContentEncoding": "gzip", "ContentLanguage": "de"}
    s3.put_object(Bucket=BUCKET, Key="a/described", Body=b"0123456789", **kept)
    head = s3.head_object(Bucket=BUCKET, Key="a/described")
    part = s3.get_object(Bucket=BUCKET, Key="a/described", Range="bytes=2-4")

    assert {name: head[name] for name in kept} == kept
    assert (head["ContentLength"], head["AcceptRanges"]) == (10, "bytes")
    assert (part["Body"].read(), part["ContentRange"]) == (b"234", "bytes 2-4/10")
    s3.delete_object(Bucket=BUCKET, Key="a/described")


def test_the_owner_a_caller_expects_is_checked(user: Make) -> None:
    s3 = user(document(allow("s3:*"))).client("s3")

    s3.get_bucket_location(Bucket=BUCKET, ExpectedBucketOwner=ACCOUNT)
    said = refused(s3.get_bucket_location, Bucket=BUCKET, ExpectedBucketOwner="444455556666")

    assert said.code == "AccessDenied"


def test_tags_to_take_away_are_judged_by_their_keys(user: Make, root: Identity) -> None:
    only = {"ForAllValues:StringEquals": {"aws:TagKeys": ["mine"]}}
    someone = user(document(allow("logs:UntagLogGroup", on=STREAMS, **only)))
    root.client("logs").tag_log_group(logGroupName=GROUP, tags={"mine": "1", "other": "1"})
    logs = someone.client("logs")

    logs.untag_log_group(logGroupName=GROUP, tags=["mine"])
    said = refused(logs.untag_log_group, logGroupName=GROUP, tags=["other"])
    assert said.code == "AccessDeniedException"


def test_cloudtrail_is_called_by_its_short_name_too(root: Identity) -> None:
    """As the SDK for Go calls it, and so Terraform."""
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": "CloudTrail_20131101.DescribeTrails",
    }

    assert send(root, "cloudtrail", "{}", headers=headers)[0] == 200


def test_a_malformed_parameter_is_refused_not_failed(user: Make) -> None:
    someone = user(document(allow("cloudtrail:*")))
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.CreateTrail",
    }

    status, body = send(
        someone, "cloudtrail", json.dumps({"Name": "t", "TagsList": [1]}), headers=headers
    )

    assert (status, "SerializationException" in body) == (400, True)


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        ("s3", "list_buckets", "InvalidAccessKeyId"),
        ("ssm", "describe_parameters", "UnrecognizedClientException"),
        ("sns", "list_topics", "InvalidClientTokenId"),
    ],
)
def test_an_unknown_key_is_refused_in_the_words_of_the_service(
    service: str, operation: str, code: str, root: Identity
) -> None:
    nobody = Identity(root.sandbox, "AKIAIOSFODNN7EXAMPLE", "x" * 40)

    assert refused(getattr(nobody.client(service), operation)).code == code


def test_a_secret_is_read_at_its_current_version(root: Identity) -> None:
    client = root.client("secretsmanager")
    client.create_secret(Name="moved", SecretString="old")
    first = client.describe_secret(SecretId="moved")["VersionIdsToStages"]
    new = client.put_secret_value(
        SecretId="moved", SecretString="new", VersionStages=["AWSPENDING"]
    )
    client.update_secret_version_stage(
        SecretId="moved",
        VersionStage="AWSCURRENT",
        MoveToVersionId=new["VersionId"],
        RemoveFromVersionId=next(iter(first)),
    )

    assert client.get_secret_value(SecretId="moved")["SecretString"] == "new"


@pytest.mark.parametrize(
    ("spoilt", "code"),
    [
        ({"S3BucketName": "no-policy-at-all"}, "InsufficientS3BucketPolicyException"),
        ({"Name": "another", "S3BucketName": BUCKET}, "InsufficientS3BucketPolicyException"),
        ({"S3BucketName": "not-there"}, "S3BucketDoesNotExistException"),
        (
            {"CloudWatchLogsLogGroupArn": f"arn:aws:logs:{HERE}:log-group:none:*"},
            "InvalidCloudWatchLogsLogGroupArnException",
        ),
        (
            {"CloudWatchLogsRoleArn": f"arn:aws:iam::{ACCOUNT}:role/none"},
            "InvalidCloudWatchLogsRoleArnException",
        ),
    ],
)
def test_a_trail_that_could_not_deliver_is_refused(
    spoilt: dict[str, str], code: str, root: Identity
) -> None:
    """https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_CreateTrail.html"""
    root.client("s3").create_bucket(Bucket="no-policy-at-all")
    call = {
        "Name": "around",
        "CloudWatchLogsLogGroupArn": f"arn:aws:logs:{HERE}:log-group:around:*",
    }
    client = root.client("cloudtrail")
    operation = client.create_trail if "Name" in spoilt else client.update_trail

    assert refused(operation, **{**call, **spoilt}).code == code
