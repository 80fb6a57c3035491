"""Waiting, against a clock of our own and an EC2 whose states change as time goes by."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from cml_iam import errors
from cml_iam.workers import Goal, Waited, Worker, WorkerManager, wait_for
from tests.workers.fake import FakeAws, instance

ID = "i-00000000000000001"


@dataclass
class Scene:
    """*script* says from which second on an instance is in which state; None is not seen."""

    script: dict[int, list[tuple[float, str | None]]]
    checks: list[tuple[float, str]] = field(default_factory=lambda: [(0.0, "ok")])
    now: float = 0.0
    told: list[str] = field(default_factory=list)
    failing: dict[float, errors.AwsError] = field(default_factory=dict)

    def wait(self, goal: Goal, timeout: float = 1200) -> tuple[Waited, ...]:
        workers = [Worker(f"i-{n:017x}", "us-east-1", "?", "t", "ami-1") for n in self.script]
        return wait_for(
            WorkerManager(self.aws()),
            workers,
            goal,
            timeout=timedelta(seconds=timeout),
            tell=lambda worker, where: self.told.append(f"{worker.name} {where}"),
            clock=lambda: self.now,
            sleep=self.sleep,
        )

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def aws(self) -> FakeAws:
        scene = self

        class Changing(FakeAws):
            def call(self, service: str, operation: str, **given: Any) -> dict[str, Any]:
                for since in [at for at in scene.failing if at <= scene.now]:
                    raise scene.failing.pop(since)
                self.instances = [
                    instance(number, State={"Name": state}, StateReason={"Message": "why"})
                    for number, states in scene.script.items()
                    if (state := scene.at(states))
                ]
                return super().call(service, operation, **given)

            def _describe_instance_status(self, given: Any) -> dict[str, Any]:
                answer = super()._describe_instance_status(given)
                for status in answer["InstanceStatuses"]:
                    status["InstanceStatus"] = {"Status": scene.at(scene.checks)}
                return answer

        return Changing()

    def at(self, states: Any) -> Any:
        return [state for since, state in states if since <= self.now][-1]


def test_it_waits_through_pending_until_running_and_tells_each_change() -> None:
    scene = Scene({1: [(0, "pending"), (40, "running")]})

    (waited,) = scene.wait(Goal.RUNNING)

    assert waited.reached
    assert scene.told == ["worker-1 pending", "worker-1 running"]
    assert 40 <= scene.now < 60


def test_running_is_not_enough_where_both_checks_are_wanted() -> None:
    scene = Scene({1: [(0, "running")]}, checks=[(0, "initializing"), (100, "ok")])

    (waited,) = scene.wait(Goal.OK)

    assert waited.reached
    assert scene.now >= 100
    assert scene.told[0] == "worker-1 running, system check ok, instance check initializing"


def test_one_that_is_not_seen_yet_is_waited_for() -> None:
    scene = Scene({1: [(0, None), (10, "pending"), (20, "running")]})

    assert scene.wait(Goal.RUNNING)[0].reached


def test_one_that_is_terminated_will_never_run() -> None:
    scene = Scene({1: [(0, "pending"), (20, "terminated")]})

    (waited,) = scene.wait(Goal.RUNNING)

    assert (waited.reached, waited.given_up, waited.detail) == (
        False,
        True,
        "it is terminated: why",
    )
    assert scene.now < 60


def test_stopped_right_after_a_start_may_be_old_news() -> None:
    scene = Scene({1: [(0, "stopped"), (10, "pending"), (60, "running")]})

    assert scene.wait(Goal.RUNNING)[0].reached


def test_one_that_falls_back_to_stopped_is_given_up() -> None:
    scene = Scene({1: [(0, "pending"), (40, "stopped")]})

    (waited,) = scene.wait(Goal.RUNNING)

    assert (waited.reached, waited.given_up) == (False, True)


@pytest.mark.parametrize(
    ("goal", "states"),
    [
        (Goal.STOPPED, [(0, "running"), (5, "stopping"), (300, "stopped")]),
        (Goal.TERMINATED, [(0, "shutting-down"), (300, "terminated")]),
    ],
)
def test_other_goals(goal: Goal, states: list[tuple[float, str | None]]) -> None:
    assert Scene({1: states}).wait(goal)[0].reached


def test_the_time_out_says_where_it_got_stuck() -> None:
    scene = Scene({1: [(0, "pending")]})

    (waited,) = scene.wait(Goal.RUNNING, timeout=60)

    assert (waited.reached, waited.given_up, waited.detail) == (False, False, "still pending")
    assert scene.now == pytest.approx(60)


def test_each_worker_has_its_own_end() -> None:
    scene = Scene({1: [(0, "running")], 2: [(0, "terminated")], 3: [(0, "pending")]})

    ends = scene.wait(Goal.RUNNING, timeout=30)

    assert [(end.worker.name, end.reached) for end in ends] == [
        ("worker-1", True),
        ("worker-2", False),
        ("worker-3", False),
    ]


def test_no_answer_and_throttling_are_waited_out() -> None:
    scene = Scene(
        {1: [(0, "running")]},
        failing={0.0: errors.UnreachableError("x"), 1.0: errors.ThrottledError("x")},
    )

    assert scene.wait(Goal.RUNNING)[0].reached


def test_a_refusal_is_not_waited_out() -> None:
    scene = Scene({1: [(0, "pending")]}, failing={5.0: errors.DeniedError("no")})

    with pytest.raises(errors.DeniedError):
        scene.wait(Goal.RUNNING)


@pytest.mark.parametrize(
    ("state", "public", "address"),
    [
        ("running", "203.0.113.7", "203.0.113.7"),
        ("running", None, "10.0.0.7"),
        ("stopping", None, "10.0.0.7"),
        ("stopped", None, None),
        ("stopped", "203.0.113.7", "203.0.113.7"),  # an Elastic IP address stays
    ],
)
def test_where_a_worker_is_reached(state: str, public: str | None, address: str | None) -> None:
    worker = Worker(
        "i-1", "us-east-1", state, "m5.large", "ami-1", public_ip=public, private_ip="10.0.0.7"
    )

    assert worker.address == address
