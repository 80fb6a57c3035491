"""What docs/sandbox.md lists as more lenient, not judged or refused is so, line by line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from cml_iam.sandbox import Conditions
from tests.sandbox.conftest import Identity, Make, fetch, launch, refused, send
from tests.sandbox.documents import ACCOUNT, allow, deny, document

PAGE = Path(__file__).parents[2] / "docs" / "sandbox.md"
SECTIONS = ("Where it is more lenient than AWS", "What is not evaluated", "What it refuses")
JSON = {"Content-Type": "application/x-amz-json-1.1"}

Check = Callable[[Identity, Make], None]
CHECKS: dict[str, Check] = {}


def line(title: str) -> Callable[[Check], Check]:
    """Register the check of the line of the page that begins with *title*."""

    def register(check: Check) -> Check:
        CHECKS[title] = check
        return check

    return register


def test_every_line_has_a_check() -> None:
    text = PAGE.read_text("utf-8")
    listed = [
        title
        for section in SECTIONS
        for title in re.findall(
            r"^- \*\*(.+?)\*\*", text.partition(f"## {section}\n")[2].partition("\n## ")[0], re.M
        )
    ]

    assert sorted(listed) == sorted(CHECKS)


@line("Capacity")
def _(root: Identity, _: Make) -> None:
    assert Conditions().no_capacity == ()
    ec2 = root.client("ec2")
    made = ec2.run_instances(
        ImageId="ami-0a1b2c3d4e5f60001", InstanceType="m5zn.metal", MinCount=40, MaxCount=40
    )
    assert len(made["Instances"]) == 40


@line("Checks")
def _(root: Identity, _: Make) -> None:
    ec2 = root.client("ec2")
    launch(ec2)
    failed = [{"Name": "instance-status.status", "Values": ["impaired"]}]
    assert ec2.describe_instance_status(Filters=failed)["InstanceStatuses"] == []


def points(root: Identity, **metric: Any) -> list[Any]:
    now = datetime.now(UTC)
    return list(
        root.client("cloudwatch").get_metric_statistics(
            **{"Period": 300, "Statistics": ["Average"], **metric},
            StartTime=now - timedelta(hours=1),
            EndTime=now,
        )["Datapoints"]
    )


@line("Metrics")
def _(root: Identity, _: Make) -> None:
    instance = launch(root.client("ec2"))
    of_it = [{"Name": "InstanceId", "Value": instance}]
    cpu = points(root, Namespace="AWS/EC2", MetricName="CPUUtilization", Dimensions=of_it)
    assert len(cpu) > 10


@line("Agent")
def _(root: Identity, _: Make) -> None:
    instance = launch(root.client("ec2"))
    listed = root.client("cloudwatch").list_metrics(
        Namespace="CWAgent", Dimensions=[{"Name": "InstanceId", "Value": instance}]
    )
    assert listed["Metrics"]


@line("Consistency")
def _(root: Identity, user: Make) -> None:
    someone = user(document(allow("ec2:DescribeTags")))
    someone.client("ec2").describe_tags()
    arn = f"arn:aws:iam::{ACCOUNT}:policy/{someone.name}-0"
    root.client("iam").detach_user_policy(UserName=someone.name, PolicyArn=arn)
    assert refused(someone.client("ec2").describe_tags).code == "UnauthorizedOperation"


@line("Bounds")
def _(root: Identity, _: Make) -> None:
    root.client("logs").create_log_group(logGroupName="a b")
    assert refused(root.client("iam").create_user, UserName="a b").code == "ValidationError"


@line("MFA codes")
def _(root: Identity, user: Make) -> None:
    someone, iam = user(), root.client("iam")
    made = iam.create_virtual_mfa_device(VirtualMFADeviceName=someone.name)
    serial = made["VirtualMFADevice"]["SerialNumber"]
    codes = {"AuthenticationCode1": "111111", "AuthenticationCode2": "222222"}
    iam.enable_mfa_device(UserName=someone.name, SerialNumber=serial, **codes)
    sts = someone.client("sts")
    assert sts.get_session_token(SerialNumber=serial, TokenCode="999999")["Credentials"]


@line("Thumbprints")
def _(root: Identity, _: Make) -> None:
    iam = root.client("iam")
    iam.create_open_id_connect_provider(
        Url="https://thumb.example", ClientIDList=["sts.amazonaws.com"], ThumbprintList=["0" * 40]
    )
    trust = {
        "Effect": "Allow",
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/thumb.example"},
    }
    made = iam.create_role(RoleName="thumb", AssumeRolePolicyDocument=document(trust))["Role"]
    token = root.sandbox.web_identity_token("https://thumb.example", "x")
    assert root.client("sts").assume_role_with_web_identity(
        RoleArn=made["Arn"], RoleSessionName="session", WebIdentityToken=token
    )


@line("Organizations")
def _(root: Identity, user: Make) -> None:
    organizations = root.client("organizations")
    organizations.create_organization(FeatureSet="ALL")
    top = organizations.list_roots()["Roots"][0]["Id"]
    policy = organizations.create_policy(
        Content=document(deny("ec2:*")), Description="x", Name="x", Type="SERVICE_CONTROL_POLICY"
    )
    organizations.enable_policy_type(RootId=top, PolicyType="SERVICE_CONTROL_POLICY")
    organizations.attach_policy(PolicyId=policy["Policy"]["PolicySummary"]["Id"], TargetId=top)
    user(document(allow("ec2:*"))).client("ec2").describe_tags()


@line("Resource policies")
def _(root: Identity, user: Make) -> None:
    sns, someone = root.client("sns"), user(document(allow("sns:*")))
    topic = sns.create_topic(Name="policed")["TopicArn"]
    denying = {**deny("sns:*", on=topic), "Principal": "*"}
    sns.set_topic_attributes(
        TopicArn=topic, AttributeName="Policy", AttributeValue=document(denying)
    )
    someone.client("sns").publish(TopicArn=topic, Message="x")


@line("Other services")
def _(root: Identity, user: Make) -> None:
    key = root.client("kms").create_key()["KeyMetadata"]["Arn"]
    named = user(document(allow("kms:DescribeKey", on=key)))
    every = user(document(allow("kms:DescribeKey")))
    assert refused(named.client("kms").describe_key, KeyId=key).code == "AccessDeniedException"
    every.client("kms").describe_key(KeyId=key)


@line("Launches by other services")
def _(root: Identity, user: Make) -> None:
    someone = user(document(allow("autoscaling:*")))
    subnet = root.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    scaling = someone.client("autoscaling")
    scaling.create_launch_configuration(
        LaunchConfigurationName="x", ImageId="ami-0a1b2c3d4e5f60001", InstanceType="c5.large"
    )
    scaling.create_auto_scaling_group(
        AutoScalingGroupName="x",
        LaunchConfigurationName="x",
        MinSize=1,
        MaxSize=1,
        VPCZoneIdentifier=subnet,
    )
    groups = scaling.describe_auto_scaling_groups()["AutoScalingGroups"]
    assert len(groups[0]["Instances"]) == 1


@line("Metric math")
def _(root: Identity, _: Make) -> None:
    said = refused(
        root.client("cloudwatch").get_metric_data,
        MetricDataQueries=[{"Id": "a", "Expression": "1 + 1"}],
        StartTime=0,
        EndTime=600,
    )
    assert said.code == "UnsupportedOperation"


@line("Short periods")
def _(root: Identity, _: Make) -> None:
    cpu = {"Namespace": "AWS/EC2", "MetricName": "CPUUtilization", "Period": 30}
    assert refused(points, root=root, **cpu).code == "InvalidParameterValue"


@line("SAML")
def _(root: Identity, _: Make) -> None:
    named = {
        "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/saml",
        "PrincipalArn": f"arn:aws:iam::{ACCOUNT}:saml-provider/x",
    }
    call = root.client("sts").assume_role_with_saml
    assert refused(call, **named, SAMLAssertion="eA==").code == "InvalidIdentityToken"


@line("Old signatures")
def _(root: Identity, _: Make) -> None:
    root.client("s3").create_bucket(Bucket="presigned")
    wanted = {"Bucket": "presigned"}
    new = root.client("s3", signature_version="s3v4").generate_presigned_url("head_bucket", wanted)
    old = root.client("s3", signature_version="s3").generate_presigned_url("head_bucket", wanted)
    assert fetch(new, "HEAD")[0] == 200
    assert fetch(old, "HEAD")[0] == 403


@line("Unknown members")
def _(root: Identity, _: Make) -> None:
    body = json.dumps({"Names": ["a"], "Nmaes": ["b"]})
    headers = {**JSON, "X-Amz-Target": "AmazonSSM.GetParameters"}
    status, answer = send(root, "ssm", body, headers=headers)
    assert (status, "Nmaes" in answer) == (400, True)


@line("S3 calls with several permissions")
def _(root: Identity, user: Make) -> None:
    root.client("s3").create_bucket(Bucket="copies")
    root.client("s3").put_object(Bucket="copies", Key="a", Body=b"x")
    copy = {"Bucket": "copies", "Key": "b", "CopySource": "copies/a"}
    assert refused(user(document(allow("s3:*"))).client("s3").copy_object, **copy).status == 403
    root.client("s3").copy_object(**copy)


@line("Services that need more packages")
def _(root: Identity, _: Make) -> None:
    call = root.client("cloudformation").list_stacks
    if find_spec("openapi_spec_validator"):
        call()
        return
    said = refused(call)
    assert (said.status, "pip install 'moto[cloudformation]'" in said.message) == (400, True)


@line("Failures of moto")
def _(root: Identity, _: Make) -> None:
    # Moto trips over the missing AllocationStrategy.
    config = {
        "IamFleetRole": f"arn:aws:iam::{ACCOUNT}:role/fleet",
        "TargetCapacity": 1,
        "LaunchSpecifications": [],
    }
    call = root.client("ec2").request_spot_fleet
    assert refused(call, SpotFleetRequestConfig=config).status == 501


@pytest.mark.parametrize("title", CHECKS)
def test_a_line_is_true(title: str, root: Identity, user: Make) -> None:
    CHECKS[title](root, user)


def test_the_rehearsal_makes_the_profile_of_the_first_pages(tmp_path: Path) -> None:
    section = PAGE.read_text("utf-8").partition("## Rehearse a setup\n")[2]
    block = section.split("```")[1].removeprefix("console\n")
    site = "--account 111122223333 --administrator profile:admin"
    script = (
        f"{re.sub(r'^[$] ', '', block, flags=re.M)}\n"
        f"cml-iam init {site}; cml-iam bootstrap plan; echo plan: $?; kill %1; wait"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    ran = subprocess.run(
        ["bash", "-mc", script],
        cwd=tmp_path,
        env={**kept, "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "plan: 6" in ran.stdout, ran.stderr
    assert "from profile `admin`" in ran.stderr
