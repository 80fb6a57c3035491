"""What is authorized is what is executed: no request means one thing to us, another to moto."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from cml_iam.sandbox import Sandbox
from tests.sandbox.conftest import Identity, fetch, launch, send
from tests.sandbox.documents import IMAGE, allow, document

HERE = {"aws:RequestedRegion": "us-east-1"}
LOOK = "Action=DescribeInstances&Version=2016-11-15"


@pytest.fixture(scope="module")
def local(user: Callable[..., Identity]) -> Identity:
    """A user who may look at instances, in one region only."""
    return user(document(allow("ec2:DescribeInstances", StringEquals=HERE)))


@pytest.fixture(scope="module")
def elsewhere(root: Identity, sandbox: Sandbox) -> str:
    """An instance in another region."""
    sandbox.register_image(IMAGE, region="eu-west-1")
    return launch(root.client("ec2", "eu-west-1"), tags={})


@pytest.mark.parametrize(
    "unsigned",
    [
        {"User-Agent": "Boto3/1.44 region/eu-west-1"},
        {"x-moto-account-id": "999988887777"},
        {"X-Forwarded-Host": "ec2.eu-west-1.amazonaws.com"},
    ],
)
def test_no_header_moves_a_request_to_another_region_or_account(
    unsigned: dict[str, str], local: Identity, elsewhere: str
) -> None:
    status, body = send(local, "ec2", LOOK, unsigned=unsigned)

    assert status == 200
    assert elsewhere not in body


def test_a_signed_host_does_not_either(local: Identity, elsewhere: str) -> None:
    headers = {"Host": "ec2.eu-west-1.amazonaws.com"}
    status, body = send(local, "ec2", LOOK, headers=headers)

    assert status == 200
    assert elsewhere not in body
    status, body = send(local, "ec2", LOOK, region="eu-west-1")
    assert (status, "UnauthorizedOperation" in body) == (403, True)


def test_an_account_header_shows_no_other_account(root: Identity) -> None:
    headers = {"x-moto-account-id": "999988887777"}
    status, body = send(root, "iam", "Action=CreateUser&UserName=a", headers=headers)

    assert (status, "999988887777" in body) == (200, False)


@pytest.mark.parametrize(
    ("target", "body"),
    [
        (f"/?{LOOK}", "Action=TerminateInstances&InstanceId.1=i-0a1b2c3d4e5f60001"),
        ("/?Action=TerminateInstances&InstanceId.1=i-0a1b2c3d4e5f60001", LOOK),
        ("/?Region=eu-west-1", LOOK),
        ("/", f"{LOOK}&Action=TerminateInstances"),
        ("/", f"Action=TerminateInstances&{LOOK}"),
        ("/", f"{LOOK}&Filter.1.Name=a&Filter.1.Name=b"),
        ("/us-east-1/", LOOK),
        ("/?X-Amz-Target=x", LOOK + "&InstanceId.1=i-1&InstanceId.1=i-2"),
    ],
)
def test_parameters_stand_in_one_place_and_once(target: str, body: str, root: Identity) -> None:
    status, answer = send(root, "ec2", body, target=target)

    assert status in (400, 404)
    assert "<Code>" in answer


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("Version=2016-11-15", "MissingAction"),
        ("Action=Nonesuch", "InvalidAction"),
        ("Action=__class__", "InvalidAction"),
        ("Action=RunInstances&ImageId=ami-1", "MissingParameter"),
        (f"{LOOK}&Nonesuch=1", "UnknownParameter"),
        (f"{LOOK}&InstanceId.2=i-0a1b2c3d4e5f60001", "UnknownParameter"),
        (f"{LOOK}&MaxResults=many", "InvalidParameterValue"),
        ("Action=AcceptTransitGatewayPeeringAttachment", "MissingParameter"),
    ],
)
def test_what_is_no_call_is_an_error_of_aws_not_a_page(
    body: str, code: str, root: Identity
) -> None:
    status, answer = send(root, "ec2", body)

    assert (status, f"<Code>{code}</Code>" in answer) == (400, True)


SMUGGLED = "&Action=DescribeAlarms&Version=2010-08-01&"


@pytest.mark.parametrize("place", ["MetricName", "Namespace"])
def test_no_form_is_found_inside_json(
    place: str, user: Callable[..., Identity], root: Identity
) -> None:
    root.client("cloudwatch").put_metric_alarm(
        AlarmName="secret",
        Namespace="Mine",
        MetricName="m",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1.0,
        Statistic="Sum",
        ComparisonOperator="GreaterThanThreshold",
    )
    someone = user(document(allow("cloudwatch:GetMetricStatistics")))
    question = {
        "Namespace": "Mine",
        "MetricName": "m",
        "StartTime": 0,
        "EndTime": 600,
        "Period": 60,
        "Statistics": ["Sum"],
    }
    status, body = send(
        someone,
        "monitoring",
        json.dumps(question | {place: SMUGGLED}),
        headers={
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": "GraniteServiceVersion20100801.GetMetricStatistics",
        },
    )

    assert (status, "secret" in body) == (200, False)


def test_no_form_is_found_inside_the_json_of_other_services(
    user: Callable[..., Identity], root: Identity
) -> None:
    root.client("ssm").put_parameter(Name="x", Value="kept", Type="String")
    someone = user(document(allow("ssm:GetParameters")))
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": "AmazonSSM.GetParameters",
    }
    smuggled = {"Names": ["x", "&Action=DeleteParameter&Name=x&"]}
    status, body = send(someone, "ssm", json.dumps(smuggled), headers=headers)

    assert (status, "kept" in body) == (200, True)
    assert root.client("ssm").get_parameters(Names=["x"])["Parameters"]


@pytest.mark.parametrize(
    ("service", "target", "headers"),
    [
        ("ssm", "/?Action=DeleteParameter", {"X-Amz-Target": "AmazonSSM.GetParameters"}),
        ("ssm", "/", {"X-Amz-Target": "AmazonSSM.Nonesuch"}),
        ("ssm", "/", {"X-Amz-Target": "Other.GetParameters"}),
        ("ssm", "/", {}),
        ("sns", "/", {"X-Amz-Target": "SNS.ListTopics"}),
        ("nonesuch", "/", {}),
        ("monitoring", "/service/Other/operation/ListMetrics", {"smithy-protocol": "rpc-v2-cbor"}),
        ("monitoring", "/service/x", {"smithy-protocol": "rpc-v2-cbor"}),
    ],
)
def test_a_request_without_one_operation_is_refused(
    service: str, target: str, headers: dict[str, str], root: Identity
) -> None:
    status, body = send(root, service, target=target, headers=headers)

    assert status in (400, 404)
    assert any(code in body for code in ("UnknownOperation", "MalformedQuery", "MissingAction"))


@pytest.mark.parametrize(("method", "operation"), [("PUT", "CreateBucket"), ("GET", "ListBuckets")])
def test_s3_has_its_operations_by_method_and_path_alone(
    method: str, operation: str, user: Callable[..., Identity]
) -> None:
    action = {"CreateBucket": "s3:CreateBucket", "ListBuckets": "s3:ListAllMyBuckets"}[operation]
    someone = user(document(allow(action)))
    target = "/" if method == "GET" else "/mine-alone"
    headers = {"X-Amz-Target": "S3.DeleteBucket"}

    assert send(someone, "s3", target=target, method=method, headers=headers)[0] == 200


def test_what_moto_lacks_is_an_error_of_aws(root: Identity) -> None:
    status, answer = send(root, "ec2", "Action=DescribeAggregateIdFormat")
    assert (status, "<Code>UnsupportedOperation</Code>" in answer) == (400, True)
    status, answer = send(root, "iam", "Action=ListOrganizationsFeatures")
    assert (status, "<Code>UnsupportedOperation</Code>" in answer) == (400, True)


@pytest.mark.parametrize(
    "target",
    [
        "/moto-api/data.json",
        "/moto-api/reset",
        "/moto-api/",
        "/latest/meta-data/iam/security-credentials/",
        "/latest/api/token",
        "/%6doto-api/data.json",
        "/MOTO-API/data.json",
        "//moto-api/data.json",
        "/favicon.ico",
    ],
)
def test_motos_own_pages_are_closed(target: str, sandbox: Sandbox, root: Identity) -> None:
    nobody = Identity(sandbox, "AKIAIOSFODNN7EXAMPLE", "none")
    for identity in (root, nobody):
        for service in ("ec2", "iam", "moto_api", "instance_metadata", "s3", "ssm"):
            status, answer = send(identity, service, target=target, method="GET")
            assert status >= 400
            assert "SecretAccessKey" not in answer
            assert root.secret not in answer


def test_only_the_loopback_interface_listens(sandbox: Sandbox) -> None:
    assert sandbox.endpoint_url.startswith("http://127.0.0.1:")


def test_no_answer_invites_other_origins(root: Identity) -> None:
    _, answer = fetch(
        root.sandbox.endpoint_url, "OPTIONS", headers={"Origin": "http://evil.example"}
    )
    _, signed = send(root, "ec2", LOOK, unsigned={"Origin": "http://evil.example"})

    assert "access-control" not in (answer + signed).lower()


def test_moto_imported_before_the_sandbox_behaves_alike() -> None:
    """Moto reads some of its settings once, when it is imported."""
    program = """
import moto.settings
from cml_iam.sandbox import start_sandbox

with start_sandbox():
    from moto.moto_server import werkzeug_app
    print(werkzeug_app.DISABLE_GLOBAL_CORS, moto.settings.ENABLE_AMI_VALIDATION)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )

    assert ran.stdout.split() == ["True", "True"]
