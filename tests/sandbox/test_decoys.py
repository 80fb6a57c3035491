"""A member that only the decision reads, or only moto, changes nothing: both see one request."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from tests.sandbox.conftest import Identity, Make, launch, refused, send
from tests.sandbox.documents import ACCOUNT, IMAGE, allow, document

HERE = f"us-east-1:{ACCOUNT}"
TRUST = document(
    {
        "Effect": "Allow",
        "Principal": {"Service": "ec2.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
)
TARGETS = {
    "logs": "Logs_20140328",
    "events": "AWSEvents",
    "ssm": "AmazonSSM",
}


def call(
    identity: Identity, service: str, operation: str, members: dict[str, Any]
) -> tuple[int, str]:
    """Send *members* as JSON, as no SDK would."""
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": f"{TARGETS[service]}.{operation}",
    }
    return send(identity, service, json.dumps(members), headers=headers)


@pytest.fixture(scope="module")
def profiles(root: Identity) -> tuple[str, str]:
    """Two instance profiles: the ARN of `low`, and that of its role."""
    iam = root.client("iam")
    for name in ("high", "low"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
        iam.create_instance_profile(InstanceProfileName=name)
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    profile = iam.get_instance_profile(InstanceProfileName="low")["InstanceProfile"]
    return profile["Arn"], profile["Roles"][0]["Arn"]


def test_an_instance_profile_is_named_once(
    profiles: tuple[str, str], user: Make, root: Identity
) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IamInstanceProfileSpecification.html"""
    profile, role = profiles
    someone = user(document(allow("ec2:RunInstances"), allow("iam:PassRole", on=role)))
    said = refused(
        someone.client("ec2").run_instances,
        ImageId=IMAGE,
        InstanceType="c5.large",
        MinCount=1,
        MaxCount=1,
        IamInstanceProfile={"Name": "high", "Arn": profile},
    )

    assert (said.code, said.status) == ("InvalidParameterCombination", 400)
    assert root.client("ec2").describe_instances()["Reservations"] == []


@pytest.mark.parametrize("own", [{}, {"Placement": {"Tenancy": "default"}}])
def test_a_profile_that_comes_from_a_launch_template_is_passed_too(
    own: dict[str, Any], profiles: tuple[str, str], user: Make, root: Identity
) -> None:
    data = {
        "ImageId": IMAGE,
        "InstanceType": "c5.large",
        "IamInstanceProfile": {"Name": "high"},
        "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}],
    }
    made = root.client("ec2").create_launch_template(
        LaunchTemplateName=f"high-{len(own)}", LaunchTemplateData=data
    )
    someone = user(document(allow("ec2:*"), allow("iam:PassRole", on=profiles[1])))
    template = {"LaunchTemplateId": made["LaunchTemplate"]["LaunchTemplateId"]}
    launching = someone.client("ec2").run_instances
    said = refused(launching, LaunchTemplate=template, MinCount=1, MaxCount=1, **own)

    assert (said.code, "iam:PassRole" in said.message) == ("UnauthorizedOperation", True)


@pytest.mark.parametrize(
    ("scope", "content"),
    [
        (
            "ssm",
            gzip.compress(b'{"Name":"/p/a"}', mtime=0) + gzip.compress(b'{"Name":"/p/b"}', mtime=0),
        ),
        ("ssm", gzip.compress(b'{"Name":"/p/a","N\\u0061me":"/p/b"}', mtime=0)),
        (
            "ssm",
            gzip.compress(b'{"Name":"arn:aws:ssm:us-east-1:111122223333:parameter/p/b"}', mtime=0),
        ),
        ("ssm", gzip.compress(b'{"Name":"/p/a/../b"}', mtime=0)),
        ("logs", gzip.compress(b'{"Name":"/p/b"}', mtime=0)),
    ],
)
def test_no_body_reads_another_parameter(
    scope: str, content: bytes, user: Make, root: Identity
) -> None:
    for name in ("a", "b"):
        root.client("ssm").put_parameter(
            Name=f"/p/{name}", Value=f"value {name}", Type="String", Overwrite=True
        )
    someone = user(document(allow("ssm:*", on=f"arn:aws:ssm:{HERE}:parameter/p/a")))
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "Content-Encoding": "gzip",
        "X-Amz-Target": "AmazonSSM.GetParameter",
    }
    _, body = send(someone, scope, content, headers=headers)

    assert "value b" not in body


@pytest.mark.parametrize("operation", ["GetParameters", "DeleteParameters"])
def test_no_list_is_written_as_a_map(operation: str, user: Make, root: Identity) -> None:
    ssm = root.client("ssm")
    ssm.put_parameter(Name="/p/b", Value="kept", Type="String", Overwrite=True)
    someone = user(document(allow("ssm:*", on=f"arn:aws:ssm:{HERE}:parameter/a")))
    decoy = {"Names": {"/p/b": 1}, "Name": "a"}
    status, body = call(someone, "ssm", operation, decoy)

    assert (status, "SerializationException" in body, "kept" in body) == (400, True, False)
    assert ssm.get_parameters(Names=["/p/b"])["Parameters"]


def test_a_log_group_is_not_named_by_a_member_its_call_has_not(user: Make, root: Identity) -> None:
    root.client("logs").create_log_group(logGroupName="victim")
    mine = f"arn:aws:logs:{HERE}:log-group:mine"
    someone = user(document(allow("logs:*", on=f"{mine}:*")))
    decoy = {"logGroupName": "victim", "resourceArn": f"{mine}:x"}
    status, _ = call(someone, "logs", "DeleteLogGroup", decoy)

    assert status == 400
    assert root.client("logs").describe_log_groups(logGroupNamePrefix="victim")["logGroups"]


def test_a_rule_is_not_named_by_a_member_its_call_has_not(user: Make, root: Identity) -> None:
    root.client("events").put_rule(Name="victim", ScheduleExpression="rate(1 day)")
    someone = user(document(allow("events:*", on=f"arn:aws:events:{HERE}:rule/mine")))
    status, _ = call(someone, "events", "DeleteRule", {"Name": "victim", "Rule": "mine"})

    assert status == 400
    assert root.client("events").describe_rule(Name="victim")


def test_a_message_goes_to_one_target(user: Make, root: Identity) -> None:
    sns, sqs = root.client("sns"), root.client("sqs")
    topics = {name: sns.create_topic(Name=name)["TopicArn"] for name in ("mine", "victim")}
    queue = sqs.create_queue(QueueName="inbox")["QueueUrl"]
    sns.subscribe(TopicArn=topics["victim"], Protocol="sqs", Endpoint=f"arn:aws:sqs:{HERE}:inbox")
    someone = user(document(allow("sns:*", on=topics["mine"])))
    both = {"TopicArn": topics["mine"], "TargetArn": topics["victim"], "Message": "x"}

    assert refused(someone.client("sns").publish, **both).code == "InvalidParameter"
    del both["TopicArn"]
    assert refused(someone.client("sns").publish, **both).code == "AuthorizationError"
    assert "Messages" not in sqs.receive_message(QueueUrl=queue)


JSON = "application/x-amz-json-1.1"
VICTIM, MINE = "victim-1", "mine-1"


@pytest.fixture(scope="module")
def ids(root: Identity) -> dict[str, str]:
    """Make two of everything; return the ids of the instances and security groups."""
    root.client("s3").create_bucket(Bucket=VICTIM)
    root.client("s3").put_object(Bucket=VICTIM, Key="kept", Body=b"x")
    made = {}
    for name in (MINE, VICTIM):
        made[name] = launch(root.client("ec2"), tags={"whose": name})
        group = root.client("ec2").create_security_group(GroupName=name, Description="x")
        made[f"group {name}"] = group["GroupId"]
        made[f"key {name}"] = root.client("ec2").create_key_pair(KeyName=name)["KeyPairId"]
        root.client("iam").create_user(UserName=name)
        root.client("ssm").put_parameter(Name=name, Value="secret-text", Type="String")
        root.client("secretsmanager").create_secret(Name=name, SecretString="secret-text")
        root.client("logs").create_log_group(logGroupName=name)
        root.client("sqs").create_queue(QueueName=name)
        root.client("events").put_rule(Name=name, ScheduleExpression="rate(1 day)")
        root.client("cloudwatch").put_metric_alarm(
            AlarmName=name,
            Namespace="Mine",
            MetricName="m",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1.0,
            Statistic="Sum",
            ComparisonOperator="GreaterThanThreshold",
        )
    return made


def spared(root: Identity) -> dict[str, Any]:
    """Return what is there of the victim."""
    ec2 = root.client("ec2")
    running = ec2.describe_instances(Filters=[{"Name": "tag:whose", "Values": [VICTIM]}])
    return {
        "instance": running["Reservations"][0]["Instances"][0]["State"]["Name"],
        "group": len(ec2.describe_security_groups(GroupNames=[VICTIM])["SecurityGroups"]),
        "key": len(ec2.describe_key_pairs(KeyNames=[VICTIM])["KeyPairs"]),
        "user": root.client("iam").get_user(UserName=VICTIM)["User"].get("Tags"),
        "parameter": len(root.client("ssm").get_parameters(Names=[VICTIM])["Parameters"]),
        "secret": "DeletedDate" in root.client("secretsmanager").describe_secret(SecretId=VICTIM),
        "logs": len(
            root.client("logs").describe_log_groups(logGroupNamePrefix=VICTIM)["logGroups"]
        ),
        "queue": len(root.client("sqs").list_queues(QueueNamePrefix=VICTIM)["QueueUrls"]),
        "rule": root.client("events").describe_rule(Name=VICTIM)["State"],
        "alarms": len(
            root.client("cloudwatch").describe_alarms(AlarmNames=[VICTIM])["MetricAlarms"]
        ),
        "objects": root.client("s3").list_objects_v2(Bucket=VICTIM)["KeyCount"],
    }


SPARED = {
    "instance": "running",
    "group": 1,
    "key": 1,
    "user": None,
    "parameter": 1,
    "secret": False,
    "logs": 1,
    "queue": 1,
    "rule": "ENABLED",
    "alarms": 1,
    "objects": 1,
}

ON_MINE = document(
    allow("ec2:*", StringEquals={"ec2:ResourceTag/whose": MINE}),
    allow(
        "iam:*",
        on=[f"arn:aws:iam::{ACCOUNT}:user/{MINE}", f"arn:aws:iam::{ACCOUNT}:role/{MINE}"],
    ),
    allow("ssm:*", on=f"arn:aws:ssm:{HERE}:parameter/{MINE}"),
    allow("secretsmanager:*", on=f"arn:aws:secretsmanager:{HERE}:secret:{MINE}-*"),
    allow("logs:*", on=f"arn:aws:logs:{HERE}:log-group:{MINE}:*"),
    allow("events:*", on=f"arn:aws:events:{HERE}:rule/{MINE}"),
    allow("cloudwatch:*", on=f"arn:aws:cloudwatch:{HERE}:alarm:{MINE}"),
    allow("s3:*", on=[f"arn:aws:s3:::{MINE}", f"arn:aws:s3:::{MINE}/*"]),
)


def packed(text: str) -> str:
    return f"{0x60 + len(text):02x}{text.encode().hex()}"


TWICE = bytes.fromhex(
    f"a2{packed('AlarmNames')}81{packed(MINE)}{packed('AlarmNames')}81{packed(VICTIM)}"
)
CBOR = {"smithy-protocol": "rpc-v2-cbor", "Content-Type": "application/cbor"}
ALARMS = "/service/GraniteServiceVersion20100801/operation/DeleteAlarms"


def form(**fields: str) -> str:
    return "&".join(f"{name.replace('__', '.')}={value}" for name, value in fields.items())


def target(name: str) -> dict[str, str]:
    return {"Content-Type": JSON, "X-Amz-Target": name}


# Each: the service, the request (method, target, headers, body), and where it stands for itself
# what is special about it. `{mine}` and `{victim}` stand for ids.
DECOYS: dict[str, tuple[str, str, str, dict[str, str], str | bytes]] = {
    "ec2, a list beside a scalar of its name": (
        "ec2",
        "POST",
        "/",
        {},
        "Action=TerminateInstances&InstanceId={victim}&InstanceId.1={mine}",
    ),
    "ec2, a list with a gap": (
        "ec2",
        "POST",
        "/",
        {},
        "Action=TerminateInstances&InstanceId.1={mine}&InstanceId.3={victim}",
    ),
    "ec2, one number written in two ways": (
        "ec2",
        "POST",
        "/",
        {},
        "Action=TerminateInstances&InstanceId.1={mine}&InstanceId.01={victim}",
    ),
    "ec2, an id and a name": (
        "ec2",
        "POST",
        "/",
        {},
        "Action=DeleteSecurityGroup&GroupId={group mine}&GroupName=victim-1",
    ),
    "ec2, a key pair by id and by name": (
        "ec2",
        "POST",
        "/",
        {},
        "Action=DeleteKeyPair&KeyPairId={key mine}&KeyName=victim-1",
    ),
    "ec2, the target of another protocol": (
        "ec2",
        "POST",
        "/",
        {"X-Amz-Target": "AmazonEC2.TerminateInstances"},
        "Action=StopInstances&InstanceId.1={mine}&InstanceIds=%5B%22{victim}%22%5D",
    ),
    "iam, a name in other letters": (
        "iam",
        "POST",
        "/",
        {},
        "Action=DeleteUser&UserName=mine-1&userName=victim-1",
    ),
    "iam, a parameter twice": (
        "iam",
        "POST",
        "/",
        {},
        "Action=DeleteUser&UserName=mine-1&UserName=victim-1",
    ),
    "iam, in the URL and in the body": (
        "iam",
        "POST",
        "/?UserName=victim-1",
        {},
        "Action=DeleteUser&UserName=mine-1",
    ),
    "iam, a list in the form of another protocol": (
        "iam",
        "POST",
        "/",
        {},
        "Action=TagUser&UserName=victim-1&Tags.1.Key=a&Tags.1.Value=b",
    ),
    "sts, another operation's parameter": (
        "sts",
        "POST",
        "/",
        {},
        f"Action=AssumeRole&RoleArn=arn:aws:iam::{ACCOUNT}:role/none&RoleSessionName=a"
        f"&PrincipalArn=arn:aws:iam::{ACCOUNT}:role/{MINE}",
    ),
    "monitoring, a member twice in CBOR": ("monitoring", "POST", ALARMS, CBOR, TWICE),
    "monitoring, a map for a list in CBOR": (
        "monitoring",
        "POST",
        ALARMS,
        CBOR,
        bytes.fromhex(f"a1{packed('AlarmNames')}a1{packed(VICTIM)}01"),
    ),
    "monitoring, a member twice in JSON": (
        "monitoring",
        "POST",
        "/",
        target("GraniteServiceVersion20100801.DeleteAlarms"),
        '{{"AlarmNames": ["mine-1"], "AlarmNames": ["victim-1"]}}',
    ),
    "monitoring, a form under a target": (
        "monitoring",
        "POST",
        "/",
        {"X-Amz-Target": "GraniteServiceVersion20100801.ListMetrics"},
        "Action=DeleteAlarms&AlarmNames.member.1=victim-1",
    ),
    "sqs, one queue in the path and one in the body": (
        "sqs",
        "POST",
        f"/{ACCOUNT}/{VICTIM}",
        {},
        f"Action=DeleteQueue&QueueUrl=http://sqs.us-east-1.amazonaws.com/{ACCOUNT}/{MINE}",
    ),
    "secretsmanager, a name in other letters": (
        "secretsmanager",
        "POST",
        "/",
        target("secretsmanager.GetSecretValue"),
        '{{"SecretId": "mine-1", "secretId": "victim-1"}}',
    ),
    "ssm, a list for a text": (
        "ssm",
        "POST",
        "/",
        target("AmazonSSM.GetParameter"),
        '{{"Name": ["victim-1"], "Names": ["mine-1"]}}',
    ),
    "logs, two members for one thing": (
        "logs",
        "POST",
        "/",
        target("Logs_20140328.FilterLogEvents"),
        '{{"logGroupName": "mine-1", "logGroupIdentifier": "victim-1"}}',
    ),
    "events, a map for a list": (
        "events",
        "POST",
        "/",
        target("AWSEvents.DeleteRule"),
        '{{"Name": "victim-1", "Names": {{"mine-1": 1}}}}',
    ),
    "cloudtrail, another operation's member": (
        "cloudtrail",
        "POST",
        "/",
        target("com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.DeleteTrail"),
        '{{"Name": "victim-1", "TrailName": "mine-1"}}',
    ),
    "s3, a key within the bucket's name": ("s3", "DELETE", "/victim-1%2Fkept", {}, ""),
    "s3, a bucket in the host": (
        "s3",
        "DELETE",
        "/kept",
        {"Host": f"{VICTIM}.s3.us-east-1.amazonaws.com"},
        "",
    ),
    "s3, two words in the query": ("s3", "PUT", f"/{MINE}?acl&policy", {}, "x"),
    "lambda, a parameter its operation has not": (
        "lambda",
        "DELETE",
        f"/2015-03-31/functions/{MINE}?FunctionName={VICTIM}",
        {},
        "",
    ),
}


@pytest.mark.parametrize("name", DECOYS)
def test_a_decoy_is_refused_or_judged_by_what_would_run(
    name: str, ids: dict[str, str], user: Make, root: Identity
) -> None:
    service, method, path, headers, body = DECOYS[name]
    if isinstance(body, str):
        body = body.format(
            mine=ids[MINE],
            victim=ids[VICTIM],
            **{"group mine": ids[f"group {MINE}"], "key mine": ids[f"key {MINE}"]},
        )
    someone = user(ON_MINE)
    status, answer = send(someone, service, body, target=path, method=method, headers=headers)

    assert 400 <= status < 500
    assert "secret-text" not in answer
    assert spared(root) == SPARED
