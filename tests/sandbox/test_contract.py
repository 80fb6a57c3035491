"""Every operation the product calls is answered here as botocore's models say, by a checker."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

import cml_iam
from cml_iam.catalogue import load_catalogue
from cml_iam.sandbox import Sandbox, start_sandbox
from tests.conftest import REPOSITORY
from tests.sandbox.conftest import Identity, launch
from tests.sandbox.contract import Raw, Recorder, problems
from tests.sandbox.documents import BASE, RESTRICTED, allow, document

SERVICES = ("ec2", "iam", "sts", "cloudwatch")
NOW = datetime.now(UTC).replace(second=0, microsecond=0)
_KINDS = "(?:user|role|group|policy)"
_NOT_SENT = {"assume_role", "generate_credential_report"}
"""Named by the code that tells reads from changes, and called by no part of it."""


@cache
def operations() -> dict[str, tuple[str, str]]:
    """Return service and name of every operation, by the name of its method."""
    import botocore.session

    session = botocore.session.get_session()
    return {
        xform_name(name): (service, name)
        for service in SERVICES
        for name in session.get_service_model(service).operation_names
    }


@cache
def called() -> tuple[str, ...]:
    """Return the methods the product's code names, and those of the catalogue's actions."""
    found = set()
    for path in sorted((REPOSITORY / "cml_iam").rglob("*.py")):
        if "sandbox" not in path.relative_to(REPOSITORY).parts:
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                found |= _named(node)
    for action in (*load_catalogue().permissions, *(p for _, p in load_catalogue().options)):
        method = xform_name(action.name)
        found |= {method} & operations().keys()
    return tuple(sorted(found - _NOT_SENT))


def _named(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return {node.value} & operations().keys()
    if isinstance(node, ast.JoinedStr):
        parts = [
            re.escape(value.value)
            if isinstance(value, ast.Constant) and isinstance(value.value, str)
            else _KINDS
            for value in node.values
        ]
        if any("_" in part and part != _KINDS for part in parts):
            return {
                operation for operation in operations() if re.fullmatch("".join(parts), operation)
            }
    return set()


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture(scope="module")
def answers(sandbox: Sandbox, root: Identity, recorder: Recorder) -> Recorder:
    """Every answer to a day of work that calls each operation at least once."""
    clients = {name: recorder.watch(root.client(name)) for name in SERVICES}
    _ec2(clients["ec2"])
    _iam(clients["iam"])
    _cloudwatch(clients["cloudwatch"], clients["ec2"])
    _sts(clients["sts"], root, clients["iam"], recorder)
    return recorder


def attempt(call: Callable[..., Any], **parameters: Any) -> None:
    """Call what is refused."""
    with pytest.raises(ClientError):
        call(**parameters)


ABSENT = "i-0a1b2c3d4e5f6ffff"
TRUST = document(
    {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
)


def _ec2(ec2: Any) -> None:
    tags = {"ManagedBy": "cml-cloud-manager", "Name": "a & b <c>"}
    disk = [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 64, "Encrypted": True}}]
    made = launch(ec2, tags=tags, BlockDeviceMappings=disk, ClientToken="token")
    launch(ec2, tags=tags, BlockDeviceMappings=disk, ClientToken="token")
    attempt(launch, ec2=ec2, ClientToken="token")
    attempt(launch, ec2=ec2, ImageId="ami-x")
    attempt(launch, ec2=ec2, DryRun=True)
    ec2.create_tags(Resources=[made], Tags=[{"Key": "team", "Value": "core"}])
    ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [made]}])
    ec2.delete_tags(Resources=[made], Tags=[{"Key": "team"}])
    ec2.describe_instances()
    ec2.describe_instances(InstanceIds=[made])
    ec2.describe_instance_status(InstanceIds=[made], IncludeAllInstances=True)
    ec2.describe_instance_types(InstanceTypes=["m5zn.metal", "c5.large"])
    ec2.describe_images(Owners=["self"])
    ec2.describe_images()
    ec2.describe_regions()
    ec2.monitor_instances(InstanceIds=[made])
    for change in (ec2.stop_instances, ec2.start_instances, ec2.terminate_instances):
        change(InstanceIds=[made])
        ec2.describe_instances(InstanceIds=[made])
        ec2.describe_instance_status(InstanceIds=[made], IncludeAllInstances=True)
        attempt(change, InstanceIds=[ABSENT])
        attempt(change, InstanceIds=["i-x"])
        attempt(change, InstanceIds=[made], DryRun=True)
    attempt(ec2.start_instances, InstanceIds=[made])
    attempt(ec2.describe_instances, InstanceIds=[ABSENT])
    attempt(ec2.describe_instances, MaxResults=5, NextToken="x")
    attempt(ec2.create_tags, Resources=[ABSENT], Tags=[{"Key": "a", "Value": "b"}])


def _iam(iam: Any) -> None:
    arn = iam.create_policy(PolicyName="p", PolicyDocument=BASE, Path="/cml/")["Policy"]["Arn"]
    attempt(iam.create_policy, PolicyName="p", PolicyDocument=BASE, Path="/cml/")
    attempt(iam.create_policy, PolicyName="q", PolicyDocument="{}")
    _iam_policy(iam, arn)
    limit = iam.create_policy(PolicyName="limit", PolicyDocument=RESTRICTED)["Policy"]["Arn"]
    iam.create_user(UserName="u", Tags=[{"Key": "a", "Value": "b"}], PermissionsBoundary=limit)
    attempt(iam.create_user, UserName="u")
    iam.create_group(GroupName="g")
    _iam_role(iam, arn, limit)
    for kind, name in (("user", "u"), ("group", "g")):
        _iam_holder(iam, kind, {f"{kind.title()}Name": name}, arn)
    iam.put_user_permissions_boundary(UserName="u", PermissionsBoundary=limit)
    iam.add_user_to_group(GroupName="g", UserName="u")
    iam.list_groups_for_user(UserName="u")
    iam.tag_user(UserName="u", Tags=[{"Key": "c", "Value": "d"}])
    iam.get_user(UserName="u")
    iam.get_group(GroupName="g")
    _iam_key(iam)
    _iam_asked(iam, arn)
    _iam_ended(iam)


def _iam_policy(iam: Any, arn: str) -> None:
    iam.tag_policy(PolicyArn=arn, Tags=[{"Key": "a", "Value": "b"}])
    made = iam.create_policy_version(PolicyArn=arn, PolicyDocument=RESTRICTED)["PolicyVersion"]
    iam.set_default_policy_version(PolicyArn=arn, VersionId=made["VersionId"])
    iam.delete_policy_version(PolicyArn=arn, VersionId="v1")
    attempt(iam.delete_policy_version, PolicyArn=arn, VersionId=made["VersionId"])
    iam.list_policy_versions(PolicyArn=arn)
    iam.get_policy_version(PolicyArn=arn, VersionId=made["VersionId"])
    iam.get_policy(PolicyArn=arn)
    attempt(iam.get_policy, PolicyArn=arn + "x")


def _iam_role(iam: Any, arn: str, limit: str) -> None:
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=TRUST, PermissionsBoundary=limit)
    attempt(iam.create_role, RoleName="r2", AssumeRolePolicyDocument=BASE)
    iam.update_assume_role_policy(RoleName="r", PolicyDocument=TRUST)
    iam.put_role_permissions_boundary(RoleName="r", PermissionsBoundary=limit)
    iam.tag_role(RoleName="r", Tags=[{"Key": "a", "Value": "b"}])
    iam.create_instance_profile(InstanceProfileName="r")
    iam.add_role_to_instance_profile(InstanceProfileName="r", RoleName="r")
    iam.list_instance_profiles_for_role(RoleName="r")
    iam.get_instance_profile(InstanceProfileName="r")
    iam.list_instance_profiles()
    iam.list_roles()
    iam.list_policies(Scope="Local")
    iam.get_account_authorization_details()
    iam.get_account_summary()
    iam.get_role(RoleName="r")
    _iam_holder(iam, "role", {"RoleName": "r"}, arn)
    iam.remove_role_from_instance_profile(InstanceProfileName="r", RoleName="r")
    iam.delete_instance_profile(InstanceProfileName="r")
    iam.delete_role(RoleName="r")
    attempt(iam.delete_role, RoleName="r")


def _iam_holder(iam: Any, kind: str, named: dict[str, str], arn: str) -> None:
    """Attach, put, list, read and take away the policies of a user, group or role."""

    def call(method: str, **more: Any) -> None:
        getattr(iam, method.format(kind))(**named, **more)

    call("attach_{}_policy", PolicyArn=arn)
    call("list_attached_{}_policies")
    iam.list_entities_for_policy(PolicyArn=arn)
    call("detach_{}_policy", PolicyArn=arn)
    call("put_{}_policy", PolicyName="inline", PolicyDocument=document(allow("ec2:Describe*")))
    call("list_{}_policies")
    call("get_{}_policy", PolicyName="inline")
    attempt(getattr(iam, f"get_{kind}_policy"), **named, PolicyName="none")
    call("delete_{}_policy", PolicyName="inline")


def _iam_key(iam: Any) -> None:
    key = iam.create_access_key(UserName="u")["AccessKey"]["AccessKeyId"]
    iam.list_access_keys(UserName="u")
    iam.get_access_key_last_used(AccessKeyId=key)
    iam.update_access_key(UserName="u", AccessKeyId=key, Status="Inactive")
    iam.create_access_key(UserName="u")
    attempt(iam.create_access_key, UserName="u")
    attempt(iam.delete_user, UserName="u")
    for each in iam.list_access_keys(UserName="u")["AccessKeyMetadata"]:
        iam.delete_access_key(UserName="u", AccessKeyId=each["AccessKeyId"])
    attempt(iam.delete_access_key, UserName="u", AccessKeyId=key)


def _iam_asked(iam: Any, arn: str) -> None:
    user = iam.get_user(UserName="u")["User"]["Arn"]
    resources = ["arn:aws:ec2:us-east-1:111122223333:instance/i-0a1b2c3d4e5f60001"]
    iam.simulate_principal_policy(PolicySourceArn=user, ActionNames=["ec2:StopInstances", "x:Y"])
    iam.simulate_principal_policy(
        PolicySourceArn=user, ActionNames=["ec2:StopInstances"], ResourceArns=resources
    )
    iam.simulate_custom_policy(PolicyInputList=[RESTRICTED], ActionNames=["ec2:DescribeRegions"])
    iam.get_context_keys_for_principal_policy(PolicySourceArn=user)
    attempt(iam.simulate_principal_policy, PolicySourceArn=user + "x", ActionNames=["ec2:X"])
    if "generate_service_last_accessed_details" in called():
        job = iam.generate_service_last_accessed_details(Arn=user)["JobId"]
        iam.get_service_last_accessed_details(JobId=job)
    iam.delete_policy(PolicyArn=arn)
    attempt(iam.delete_policy, PolicyArn=arn)


def _iam_ended(iam: Any) -> None:
    """Ask for everything a user may hold, as one does before deleting it."""
    iam.create_login_profile(UserName="u", Password="Contract-1-Password!")
    iam.get_login_profile(UserName="u")
    iam.delete_login_profile(UserName="u")
    attempt(iam.get_login_profile, UserName="u")
    iam.list_mfa_devices(UserName="u")
    device = iam.create_virtual_mfa_device(VirtualMFADeviceName="d")["VirtualMFADevice"]
    serial = device["SerialNumber"]
    codes = {"AuthenticationCode1": "123456", "AuthenticationCode2": "654321"}
    iam.enable_mfa_device(UserName="u", SerialNumber=serial, **codes)
    iam.list_mfa_devices(UserName="u")
    iam.deactivate_mfa_device(UserName="u", SerialNumber=serial)
    iam.delete_virtual_mfa_device(SerialNumber=serial)
    iam.list_signing_certificates(UserName="u")
    iam.list_ssh_public_keys(UserName="u")
    iam.list_service_specific_credentials(UserName="u")
    attempt(iam.delete_signing_certificate, UserName="u", CertificateId="C" * 24)
    attempt(iam.delete_ssh_public_key, UserName="u", SSHPublicKeyId="APKA" + "A" * 16)
    attempt(
        iam.delete_service_specific_credential,
        UserName="u",
        ServiceSpecificCredentialId="ACCA" + "A" * 16,
    )
    iam.remove_user_from_group(GroupName="g", UserName="u")
    iam.delete_group(GroupName="g")
    iam.delete_user(UserName="u")
    attempt(iam.get_user, UserName="u")


def _cloudwatch(cloudwatch: Any, ec2: Any) -> None:
    made = launch(ec2)
    cpu = {
        "Namespace": "AWS/EC2",
        "MetricName": "CPUUtilization",
        "Dimensions": [{"Name": "InstanceId", "Value": made}],
    }
    window = {"StartTime": NOW - timedelta(hours=1), "EndTime": NOW}
    statistics = {**cpu, **window, "Period": 300, "Statistics": ["Average", "SampleCount"]}
    cloudwatch.get_metric_statistics(**statistics)
    attempt(cloudwatch.get_metric_statistics, **statistics | {"Period": 90})
    attempt(cloudwatch.get_metric_statistics, **statistics | {"EndTime": NOW - timedelta(days=1)})
    stat = {"Metric": cpu, "Period": 300, "Stat": "Average"}
    queries = [{"Id": "m1", "MetricStat": stat}]
    cloudwatch.get_metric_data(MetricDataQueries=queries, MaxDatapoints=3, **window)
    attempt(cloudwatch.get_metric_data, MetricDataQueries=queries * 501, **window)
    attempt(cloudwatch.get_metric_data, MetricDataQueries=queries, NextToken="x", **window)
    cloudwatch.list_metrics()
    cloudwatch.put_metric_alarm(
        AlarmName="a",
        Namespace="CML",
        MetricName="refused",
        Statistic="Sum",
        Period=300,
        EvaluationPeriods=1,
        Threshold=3.0,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
    )
    cloudwatch.describe_alarms()


def _sts(sts: Any, root: Identity, iam: Any, recorder: Recorder) -> None:
    sts.get_caller_identity()
    attempt(sts.decode_authorization_message, EncodedMessage="nonsense")
    iam.create_user(UserName="nobody")
    key = iam.create_access_key(UserName="nobody")["AccessKey"]
    nobody = Identity(root.sandbox, key["AccessKeyId"], key["SecretAccessKey"])
    clients = {name: recorder.watch(nobody.client(name)) for name in SERVICES}
    attempt(clients["iam"].list_users)
    attempt(clients["cloudwatch"].list_metrics)
    attempt(clients["ec2"].describe_regions)
    try:
        clients["ec2"].describe_instances()
    except ClientError as error:
        said = error.response["Error"]["Message"]
        sts.decode_authorization_message(EncodedMessage=said.split("message: ")[1])
    stranger = Identity(root.sandbox, "AKIAIOSFODNN7EXAMPLE", "nonsense")
    for name, operation in (("ec2", "describe_regions"), ("iam", "list_users")):
        attempt(getattr(recorder.watch(stranger.client(name)), operation))
    attempt(recorder.watch(stranger.client("sts")).get_caller_identity)
    attempt(recorder.watch(stranger.client("cloudwatch")).list_metrics)


@pytest.mark.parametrize("method", called())
def test_an_operation_is_answered_as_its_model_says(method: str, answers: Recorder) -> None:
    service, operation = operations()[method]
    found = answers[operation]
    differences = sorted({problem for raw in found for problem in problems(raw)})

    assert found, f"no answer of {service}:{operation}: call it above"
    assert differences == []


def test_the_product_calls_what_we_think_it_calls() -> None:
    assert {"run_instances", "create_role", "get_metric_data", "delete_virtual_mfa_device"} <= set(
        called()
    )
    assert len(called()) > 80
    assert cml_iam.__name__ == "cml_iam"


def wrong(body: str, raw: Raw) -> list[str]:
    return problems(replace(raw, body=body.encode()))


MUTANTS: list[tuple[str, str, str, str]] = [
    ("GetUser", "<UserName>u</UserName>", "", "no UserName"),
    ("GetUser", "<UserName>u</UserName>", "<UserNome>u</UserNome>", "<UserNome> is no member"),
    ("GetUser", "GetUserResult", "GetUserAnswer", "no <GetUserResult>"),
    ("GetUser", "<RequestId>", "<RequestNo>", "no request id"),
    ("ListAccessKeys", "<Status>Active", "<Status>active", "'active' is none of Active"),
    ("ListUserPolicies", "<IsTruncated>false", "<IsTruncated>no", "'no' is no boolean"),
    ("DescribeInstances", "<code>16</code>", "<code>x</code>", "'x' is no integer"),
    ("DescribeInstances", "<name>running", "<name>runing", "'runing' is none of pending"),
    ("DescribeInstances", "<instancesSet>", "<instanceSet>", "<instanceSet> is no member"),
    ("DescribeInstances", "<launchTime>2", "<launchTime>x2", "is no timestamp"),
]


@pytest.mark.parametrize(("operation", "before", "after", "said"), MUTANTS)
def test_the_checker_sees_what_is_wrong(
    operation: str, before: str, after: str, said: str, answers: Recorder
) -> None:
    raw = next(
        each for each in answers[operation] if each.status == 200 and before in each.body.decode()
    )
    text = raw.body.decode().replace(before, after)
    text = text.replace(before.replace("<", "</"), after.replace("<", "</"))

    assert any(said in each for each in wrong(text, raw))


def test_the_checker_sees_what_is_wrong_in_json_and_in_errors(answers: Recorder) -> None:
    raw = next(metric for metric in answers["ListMetrics"] if metric.status == 200)
    for body, said in (
        ('{"Metrics": 3}', "3 is no list"),
        ('{"Metric": []}', "Metric is no member"),
        ('{"Metrics": [{"Namespace": 1}]}', "1 is no string"),
    ):
        assert any(said in each for each in wrong(body, raw))
    refused = next(each for each in answers["GetUser"] if each.status == 404)
    text = refused.body.decode().replace("NoSuchEntity", "NoSuchThing")
    assert any("`NoSuchThing` is none of the errors" in each for each in wrong(text, refused))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox of its own."""
    with start_sandbox() as running:
        yield running
