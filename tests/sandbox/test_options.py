"""What a sandbox may be told when it is started, and that there is one to a process."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime
from typing import Any

import pytest

from cml_iam.errors import InputError, MissingExtraError, RefusedError
from cml_iam.sandbox import start_sandbox
from tests.sandbox.conftest import launch, root_of
from tests.sandbox.documents import RESTRICTED

INSTANCE = "arn:aws:ec2:us-east-1:111122223333:instance/i-0a1b2c3d4e5f6000"


def test_a_second_sandbox_is_refused_and_a_later_one_starts_empty() -> None:
    with start_sandbox() as first:
        root_of(first).client("iam").create_user(UserName="a")
        with pytest.raises(RefusedError, match="already runs a sandbox"):
            start_sandbox()
        old_key = first.root.id
    with start_sandbox() as second:
        assert root_of(second).client("iam").list_users()["Users"] == []
        assert second.root.id != old_key


def test_stopping_frees_the_port_and_the_environment_and_can_be_repeated() -> None:
    before = dict(os.environ)
    sandbox = start_sandbox()
    port = int(sandbox.endpoint_url.rpartition(":")[2])
    sandbox.stop()
    sandbox.stop()

    assert dict(os.environ) == before
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_account_region_and_port_are_as_asked() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with start_sandbox("444455556666", "us-gov-west-1", port) as sandbox:
        sts = root_of(sandbox).client("sts", "us-gov-west-1")
        assert sts.get_caller_identity()["Arn"] == "arn:aws-us-gov:iam::444455556666:root"
        assert sandbox.endpoint_url == f"http://127.0.0.1:{port}"
        assert sandbox.environment()["AWS_REGION"] == "us-gov-west-1"
        ec2 = root_of(sandbox).client("ec2", "us-gov-west-1")
        owners = {image["OwnerId"] for image in ec2.describe_images(Owners=["self"])["Images"]}
        assert owners == {"444455556666"}


@pytest.mark.parametrize(
    "options",
    [{"account": "1"}, {"account": "11112222333x"}, {"region": "mars-1"}, {"port": 70000}],
)
def test_what_cannot_be_is_refused_and_leaves_nothing_running(options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        start_sandbox(**options)
    start_sandbox().stop()


def test_a_port_in_use_is_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match="cannot listen"):
            start_sandbox(port=taken.getsockname()[1])
    start_sandbox().stop()


def test_without_moto_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cml_iam.sandbox._moto.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError) as caught:
        start_sandbox()

    assert caught.value.remedy == "in the checkout of cml-iam: pip install '.[sandbox]'"
    monkeypatch.undo()
    start_sandbox().stop()


def test_secrets_are_not_shown_by_accident() -> None:
    with start_sandbox() as sandbox:
        assert sandbox.root.secret.reveal() not in repr((sandbox, sandbox.root))


def test_the_old_shape_has_one_result_for_each_resource() -> None:
    with start_sandbox(simulate_shape="old") as sandbox:
        answer = (
            root_of(sandbox)
            .client("iam")
            .simulate_custom_policy(
                PolicyInputList=[RESTRICTED],
                ActionNames=["ec2:StopInstances", "iam:CreateUser"],
                ResourceArns=[f"{INSTANCE}1", f"{INSTANCE}2"],
            )
        )

    asked = [
        (result["EvalActionName"], result["EvalResourceName"])
        for result in answer["EvaluationResults"]
    ]
    assert asked == [
        (action, f"{INSTANCE}{number}")
        for action in ("ec2:StopInstances", "iam:CreateUser")
        for number in (1, 2)
    ]


def test_instances_take_as_many_looks_to_arrive_as_told() -> None:
    with start_sandbox(describes_until_arrived=2) as sandbox:
        ec2 = root_of(sandbox).client("ec2")
        made = launch(ec2)

        def looks(count: int) -> list[str]:
            described = [ec2.describe_instances(InstanceIds=[made]) for _ in range(count)]
            return [each["Reservations"][0]["Instances"][0]["State"]["Name"] for each in described]

        assert looks(4) == ["pending", "pending", "running", "running"]
        ec2.stop_instances(InstanceIds=[made])
        assert looks(3) == ["stopping", "stopping", "stopped"]
        ec2.start_instances(InstanceIds=[made])
        assert looks(3) == ["pending", "pending", "running"]
        ec2.get_waiter("instance_running").wait(InstanceIds=[made])
        ec2.terminate_instances(InstanceIds=[made])
        assert looks(3) == ["shutting-down", "shutting-down", "terminated"]


def test_images_can_be_registered_under_a_given_id() -> None:
    with start_sandbox() as sandbox:
        sandbox.register_image("ami-0123456789abcdef0", region="us-west-2", owner="123456789012")
        ec2 = root_of(sandbox).client("ec2", "us-west-2")
        image = ec2.describe_images(ImageIds=["ami-0123456789abcdef0"])["Images"][0]
        assert (image["OwnerId"], image["State"]) == ("123456789012", "available")
        for wrong in ("ami-x", "i-0123456789abcdef0"):
            with pytest.raises(InputError):
                sandbox.register_image(wrong)
        with pytest.raises(InputError):
            sandbox.register_image("ami-0123456789abcdef0", region="mars-1")


def test_the_clock_can_be_given() -> None:
    then = datetime(2020, 1, 1, tzinfo=UTC)
    with start_sandbox(clock=lambda: then) as sandbox, pytest.raises(Exception, match="not yet"):
        root_of(sandbox).client("sts").get_caller_identity()


@pytest.mark.parametrize(
    ("region", "found"),
    [
        ("us-gov-west-1", {"us-gov-east-1", "us-gov-west-1"}),
        ("af-south-1", {"af-south-1", "us-east-1"}),
    ],
)
def test_the_region_of_the_sandbox_is_on_in_its_partition(region: str, found: set[str]) -> None:
    with start_sandbox(region=region) as sandbox:
        described = root_of(sandbox).client("ec2", region).describe_regions()["Regions"]
    status = {each["RegionName"]: each["OptInStatus"] for each in described}

    assert found <= set(status)
    assert len(status) == (2 if "gov" in region else 18)
    assert status.get("af-south-1") in (None, "opted-in")
