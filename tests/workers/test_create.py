"""Creating a worker: where there is capacity, and never a second one for one request."""

import json
import random
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cml_iam import errors
from cml_iam.site import WorkerProfile
from cml_iam.workers import (
    Launch,
    Patience,
    PendingLaunches,
    Placement,
    Worker,
    WorkerManager,
    create_worker,
    placements,
)
from tests.workers.fake import NOW, FakeAws, instance

LAUNCH = Launch("lab", "ami-0a1b2c3d4e5f60001", "m5zn.metal", user_data="a secret")
TRIES = (
    Placement("m5zn.metal", "subnet-1", "us-east-1a"),
    Placement("m5zn.metal", "subnet-2", "us-east-1b"),
    Placement("c5.metal", "subnet-1", "us-east-1a"),
)
NO_CAPACITY = errors.CapacityError("none here", code="InsufficientInstanceCapacity")
NO_ANSWER = errors.UnreachableError("no answer")
THROTTLED = errors.ThrottledError("slower", code="RequestLimitExceeded")


@dataclass
class Ec2(FakeAws):
    """Remembers client tokens; *faults* are what befalls one launch after the other.

    "lost" makes the worker and loses the answer; an error is answered; None makes the worker.
    """

    faults: list[Any] = field(default_factory=list)
    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)

    def _run_instances(self, given: Any) -> dict[str, Any]:
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, errors.AwsError):
            raise fault
        token = given["ClientToken"]
        known = self.tokens.get(token)
        if known and known["given"] != given:
            raise errors.RequestError("not the same", code="IdempotentParameterMismatch")
        if not known:
            made = super()._run_instances(given)
            self.instances[-1] |= {"ClientToken": token, "Tags": instance()["Tags"]}
            self.tokens[token] = {"given": given, "answer": made}
        if fault == "lost":
            raise NO_ANSWER
        answer: dict[str, Any] = self.tokens[token]["answer"]
        return answer

    def _describe_instances(self, given: Any) -> dict[str, Any]:
        (asked,) = given["Filters"]
        assert asked["Name"] == "client-token"
        found = [one for one in self.instances if one["ClientToken"] in asked["Values"]]
        return {"Reservations": [{"Instances": found}]}

    @property
    def asked(self) -> list[tuple[str, str]]:
        return [(given["InstanceType"], given["SubnetId"]) for _, given in self.calls]


Create = Callable[..., Worker]


@pytest.fixture
def pending(tmp_path: Path) -> PendingLaunches:
    return PendingLaunches(tmp_path / "launches")


@pytest.fixture
def create(pending: PendingLaunches) -> Create:
    def made(aws: Ec2, **changed: Any) -> Worker:
        at = NOW + changed.pop("later", timedelta())
        worker = create_worker(
            WorkerManager(aws),
            changed.pop("launch", LAUNCH),
            TRIES,
            region="us-east-1",
            key="lab",
            pending=pending,
            now=lambda: at,
            patience=Patience(3, lambda _: None),
        )
        pending.forget("lab")
        return worker

    return made


def kept(pending: PendingLaunches) -> list[Path]:
    return list(pending.folder.glob("*")) if pending.folder.exists() else []


def test_the_first_place_with_capacity_is_taken(create: Create, pending: PendingLaunches) -> None:
    aws = Ec2(faults=[NO_CAPACITY, errors.NotOfferedError("not here", code="Unsupported")])

    create(aws)

    assert aws.asked == [(each.instance_type, each.subnet_id) for each in TRIES]
    assert len({given["ClientToken"] for _, given in aws.calls}) == 3
    assert kept(pending) == []


def test_no_capacity_anywhere_names_every_place(create: Create) -> None:
    with pytest.raises(errors.CapacityError) as raised:
        create(Ec2(faults=[NO_CAPACITY] * 3))

    for each in TRIES:
        assert str(each) in raised.value.message


def test_what_ec2_refuses_is_not_tried_elsewhere(create: Create, pending: PendingLaunches) -> None:
    aws = Ec2(denied={"ec2:RunInstances"})

    with pytest.raises(errors.DeniedError):
        create(aws)

    assert len(aws.calls) == 1
    assert kept(pending) == []


def test_a_lost_answer_is_asked_for_again_with_the_same_request(create: Create) -> None:
    aws = Ec2(faults=["lost", THROTTLED])

    create(aws)

    assert len(aws.instances) == 1
    assert [given for _, given in aws.calls] == [aws.calls[0][1]] * 3


def test_a_rerun_after_a_lost_answer_finds_the_same_worker(
    create: Create, pending: PendingLaunches
) -> None:
    aws = Ec2(faults=["lost", NO_ANSWER, NO_ANSWER])
    with pytest.raises(errors.IncompleteError):
        create(aws)
    (file,) = kept(pending)

    worker = create(aws)

    assert [one["InstanceId"] for one in aws.instances] == [worker.id]
    assert not file.exists()


def test_no_capacity_after_a_lost_answer_is_not_believed(create: Create) -> None:
    aws = Ec2(faults=["lost", NO_CAPACITY])

    with pytest.raises(errors.IncompleteError, match="cannot tell whether"):
        create(aws)

    assert len(aws.instances) == len(set(aws.asked)) == 1


@pytest.mark.parametrize(("fault", "launches"), [("lost", 0), (NO_ANSWER, 1)])
def test_later_ec2_is_asked_whether_there_is_one(create: Create, fault: Any, launches: int) -> None:
    aws = Ec2(faults=[fault, NO_ANSWER, NO_ANSWER])
    with pytest.raises(errors.IncompleteError):
        create(aws)
    aws.calls.clear()

    create(aws, later=timedelta(minutes=6))

    assert len(aws.instances) == 1
    assert aws.actions == ["ec2:DescribeInstances", *["ec2:RunInstances"] * launches]


def test_the_file_is_private_and_holds_no_user_data(
    create: Create, pending: PendingLaunches
) -> None:
    with pytest.raises(errors.IncompleteError):
        create(Ec2(faults=[NO_ANSWER] * 3))

    (file,) = kept(pending)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(pending.folder.stat().st_mode) == 0o700
    assert "a secret" not in file.read_text()
    assert json.loads(file.read_text())["unanswered"] is True


def test_other_user_data_is_another_request(create: Create) -> None:
    aws = Ec2(faults=[NO_ANSWER] * 3)
    with pytest.raises(errors.IncompleteError):
        create(aws)

    with pytest.raises(errors.InputError, match="different user data"):
        create(aws, launch=Launch("lab", "ami-0a1b2c3d4e5f60001", "m5zn.metal"))


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"version": 2}'])
def test_a_file_that_cannot_be_read_is_not_taken_for_absent(
    create: Create, pending: PendingLaunches, text: str
) -> None:
    with pytest.raises(errors.IncompleteError):
        create(Ec2(faults=[NO_ANSWER] * 3))
    kept(pending)[0].write_text(text)
    aws = Ec2()

    with pytest.raises(errors.InputError, match="cannot read"):
        create(aws)

    assert aws.calls == []


def test_whatever_befalls_it_no_request_makes_two(create: Create, pending: PendingLaunches) -> None:
    chance = random.Random(6)  # noqa: S311 - the same faults in every run
    befalls = [None, "lost", NO_ANSWER, THROTTLED, NO_CAPACITY]
    for _ in range(200):
        aws = Ec2(faults=[chance.choice(befalls) for _ in range(8)])
        for _ in range(10):
            try:
                worker = create(aws, later=chance.choice([timedelta(), timedelta(minutes=6)]))
            except (errors.IncompleteError, errors.CapacityError, errors.ThrottledError) as error:
                unknown = isinstance(error, errors.IncompleteError)
                assert unknown or aws.instances == []
                assert bool(kept(pending)) == unknown
            else:
                assert [one["InstanceId"] for one in aws.instances] == [worker.id]
                break
        else:
            pytest.fail("never ended")


def test_a_profile_is_tried_in_every_zone_before_the_next_type() -> None:
    profile = WorkerProfile(
        "lab",
        ("m5zn.metal", "c5.metal"),
        "cml-*",
        subnets={"us-east-1b": "subnet-2", "us-west-2a": "subnet-3", "us-east-1a": "subnet-1"},
    )

    assert [str(placement) for placement in placements(profile, "us-east-1")] == [
        "m5zn.metal in us-east-1b",
        "m5zn.metal in us-east-1a",
        "c5.metal in us-east-1b",
        "c5.metal in us-east-1a",
    ]
    with pytest.raises(errors.InputError, match="no subnet in `eu-west-1`"):
        placements(profile, "eu-west-1")
