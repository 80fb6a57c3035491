"""The calls of CML Cloud Manager's own clients, sent by boto3 as those clients send them.

Under the documented policy, hardened by the application's tag and hardened by another one: what is
allowed and refused is what `verify` and `health` foretell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cml_iam.aws import connect
from cml_iam.check.verify import verify_offline
from cml_iam.expectations import derive_expectations
from cml_iam.render import render_policy
from cml_iam.sandbox import OWN_IMAGE, Sandbox, start_sandbox
from cml_iam.secret import Secret
from cml_iam.site import Application, Site, parse_site
from cml_iam.workers import Verdict, WorkerManager, launch_to_try, try_permissions
from tests.sandbox.conftest import Identity

pytestmark = pytest.mark.long

OLDER = {"Name": "cml-worker-01"}
"""All that the setup guide's client tags."""

TODAY = {
    **OLDER,
    "lcm:worker-id": "worker-1",
    "Environment": "lab",
    "ApplicationName": "lablet",
    "ManagedBy": "lablet-cloud-manager",
}
"""What today's client sends: what its caller passes, and the region file's `default_tags`."""

ACCOUNT = '[account]\nid = "111122223333"\n[grant]\ndetailed_monitoring = true\n'
RESTRICTED = """
[restrict]
regions = ["us-east-1"]
instance_types = ["m5zn.metal"]
image_owners = ["111122223333"]
guard_tag = { ManagedBy = "VALUE" }
"""
POLICIES = {
    "documented": ACCOUNT,
    "application's-tag": ACCOUNT + RESTRICTED.replace("VALUE", "lablet-cloud-manager"),
    "other-tag": ACCOUNT + RESTRICTED.replace("VALUE", "cml-cloud-manager"),
}
ON_WORKER = frozenset(
    {
        "start_instances",
        "stop_instances",
        "monitor_instances",
        "create_tags",
        "delete_tags",
        "terminate_instances",
    }
)
"""What names an instance, and is therefore out of reach where it has no guard tag."""

READS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "describe_regions": ("ec2", {}),
    "describe_images": ("ec2", {"Filters": [{"Name": "name", "Values": ["*cml*"]}]}),
    "describe_instances": ("ec2", {"Filters": [{"Name": "image-id", "Values": [OWN_IMAGE]}]}),
    "describe_instance_status": ("ec2", {"IncludeAllInstances": True}),
    "describe_tags": ("ec2", {"Filters": [{"Name": "resource-type", "Values": ["instance"]}]}),
    "get_metric_statistics": (
        "cloudwatch",
        {
            "Namespace": "AWS/EC2",
            "MetricName": "CPUUtilization",
            "Dimensions": [{"Name": "InstanceId", "Value": "i-0123456789abcdef0"}],
            "StartTime": datetime.now(UTC) - timedelta(minutes=10),
            "EndTime": datetime.now(UTC),
            "Period": 60,  # they ask for 30, which CloudWatch does not take for metrics of AWS/EC2
            "Statistics": ["Average"],
        },
    ),
}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with start_sandbox() as running:
        yield running


@pytest.mark.parametrize(
    ("policy", "tags", "launches"),
    [
        pytest.param("documented", OLDER, True, id="documented-older"),
        pytest.param("documented", TODAY, True, id="documented-today"),
        pytest.param("application's-tag", OLDER, False, id="application's-tag-older"),
        pytest.param("application's-tag", TODAY, True, id="application's-tag-today"),
        pytest.param("other-tag", OLDER, False, id="other-tag-older"),
        pytest.param("other-tag", TODAY, False, id="other-tag-today"),
    ],
)
def test_the_calls_of_both_clients_are_answered_as_verify_and_health_foretell(
    policy: str, tags: dict[str, str], launches: bool, sandbox: Sandbox
) -> None:
    site = replace(parse_site(POLICIES[policy]), application=Application(tags))
    manager, root = _manager(sandbox, site), _root(sandbox)

    refused = set() if launches else {"run_instances", *ON_WORKER}
    assert _foretold(site) == launches
    assert _probed(site, manager) == launches
    assert _refused(manager, root, tags) == refused


def _foretold(site: Site) -> bool:
    """Return whether `verify` finds the application's launch allowed, as it is to be."""
    verification = verify_offline(derive_expectations(site), [render_policy(site).document])
    (sent,) = [e for e in verification.judgements if e.expectation.id.endswith("as-sent")]
    return sent.answer == "allowed"


def _probed(site: Site, manager: Identity) -> bool:
    """Return whether `health` finds that the application can launch."""
    aws = connect(
        region="us-east-1",
        endpoint_url=manager.sandbox.endpoint_url,
        access_key=manager.key,
        secret_key=Secret(manager.secret),
    )
    workers = WorkerManager(aws, guard=site.restrict.guard_tag)
    launch = launch_to_try(workers, site, "us-east-1")
    assert launch
    launch = replace(launch, image_id=OWN_IMAGE, instance_type="m5zn.metal")
    (health,) = try_permissions(workers, ["us-east-1"], lambda _: launch)
    (check,) = [each for each in health.checks if each.action == "ec2:RunInstances"]
    assert check.verdict is not Verdict.UNCHECKED
    return check.verdict is Verdict.ALLOWED


def _refused(manager: Identity, root: Identity, tags: dict[str, str]) -> set[str]:
    """Send every call of the application's clients; return those that were refused."""
    refused: set[str] = set()

    def send(service: str, operation: str, **parameters: Any) -> Any:
        try:
            return getattr(manager.client(service), operation)(**parameters)
        except ClientError as error:
            if error.response["Error"]["Code"] != "UnauthorizedOperation":
                raise
            refused.add(operation)
            return None

    launch = {
        "ImageId": OWN_IMAGE,
        "InstanceType": "m5zn.metal",
        "MinCount": 1,
        "MaxCount": 1,
        "Monitoring": {"Enabled": True},
        "TagSpecifications": [
            {
                "ResourceType": "instance",
                "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
            }
        ],
    }
    launched = send("ec2", "run_instances", **launch)
    launched = launched or root.client("ec2").run_instances(**launch)
    worker = launched["Instances"][0]["InstanceId"]
    for operation, (service, parameters) in READS.items():
        send(service, operation, **parameters)
    tag = {"Resources": [worker], "Tags": [{"Key": "lcm:state", "Value": "ready"}]}
    send("ec2", "create_tags", **tag)
    send("ec2", "delete_tags", **{**tag, "Tags": [{"Key": "lcm:state"}]})
    for operation in ("stop", "start", "monitor", "terminate"):
        send("ec2", f"{operation}_instances", InstanceIds=[worker])
    return refused


def _root(sandbox: Sandbox) -> Identity:
    return Identity(sandbox, sandbox.root.id, sandbox.root.secret.reveal())


def _manager(sandbox: Sandbox, site: Site) -> Identity:
    """Return the site's user, with the policy of the site attached."""
    iam: Any = _root(sandbox).client("iam")
    iam.create_user(UserName=site.user)
    policy = iam.create_policy(PolicyName=site.policy, PolicyDocument=render_policy(site).text)[
        "Policy"
    ]
    iam.attach_user_policy(UserName=site.user, PolicyArn=policy["Arn"])
    key = iam.create_access_key(UserName=site.user)["AccessKey"]
    return Identity(sandbox, key["AccessKeyId"], key["SecretAccessKey"], name=str(site.user))
