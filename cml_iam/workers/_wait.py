"""Waiting until workers are where they are wanted, telling how far they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from cml_iam.errors import ThrottledError, UnreachableError
from cml_iam.workers._fleet import by_region, statuses

if TYPE_CHECKING:
    from cml_iam.workers._manager import WorkerManager
    from cml_iam.workers._model import InstanceStatus, Worker

DEFAULT_TIMEOUT: Final = timedelta(minutes=20)
"""A metal instance takes 5 to 10 minutes to come up, and its status checks a few more."""

_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 15.0

# What EC2 tells right after a change may still be what was before it.
# https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
_GRACE: Final = 30.0


class Goal(StrEnum):
    """Where workers are wanted: in a state, or running with both status checks passed."""

    RUNNING = "running"
    OK = "ok"
    STOPPED = "stopped"
    TERMINATED = "terminated"


_LOST: Final = {
    Goal.RUNNING: {"shutting-down", "terminated"},
    Goal.OK: {"shutting-down", "terminated"},
    Goal.STOPPED: {"shutting-down", "terminated"},
    Goal.TERMINATED: set[str](),
}
_FALLEN_BACK: Final = {Goal.RUNNING: {"stopped"}, Goal.OK: {"stopped"}}


@dataclass(frozen=True, slots=True)
class Waited:
    """How it ended for *worker*, as last seen; *detail* says why it is not where it should be."""

    worker: Worker
    reached: bool
    detail: str = ""
    given_up: bool = False


Tell = Callable[["Worker", str], None]


def wait_for(
    manager: WorkerManager,
    workers: Sequence[Worker],
    goal: Goal,
    *,
    timeout: timedelta = DEFAULT_TIMEOUT,
    tell: Tell = lambda _worker, _where: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[Waited, ...]:
    """Wait until each of *workers* has reached *goal*, cannot any more, or *timeout* is over.

    *tell* hears of each change on the way. No answer and throttling are waited out; every other
    AwsError is raised.
    """
    started, pause = clock(), _FIRST_PAUSE
    last = {worker.id: worker for worker in workers}
    told: dict[str, str] = {}
    done: dict[str, Waited] = {}
    while True:
        elapsed = clock() - started
        for worker, status in _look(manager, [last[each] for each in last if each not in done]):
            last[worker.id] = worker
            where = _where(worker, status, goal)
            if told.get(worker.id) != where:
                told[worker.id] = where
                tell(worker, where)
            if ended := _ended(worker, status, goal, elapsed):
                done[worker.id] = ended
        left = timeout.total_seconds() - (clock() - started)
        if len(done) == len(last) or left <= 0:
            break
        sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_PAUSE)
    return tuple(
        done.get(each) or Waited(last[each], False, f"still {told.get(each, 'unseen')}")
        for each in last
    )


def _look(
    manager: WorkerManager, workers: Sequence[Worker]
) -> list[tuple[Worker, InstanceStatus | None]]:
    """Return what EC2 says of *workers* now; of those it does not answer for, nothing."""
    try:
        found = [
            worker
            for region, ids in by_region(workers)
            for worker in manager.find_instances(ids, region=region)
        ]
        checks = statuses(manager, [each for each in found if each.state == "running"])
    except (UnreachableError, ThrottledError):
        return []
    return [(worker, checks.get(worker.id)) for worker in found]


def _where(worker: Worker, status: InstanceStatus | None, goal: Goal) -> str:
    if goal is Goal.OK and worker.state == "running" and status:
        return f"running, system check {status.system}, instance check {status.instance}"
    return worker.state


def _ended(
    worker: Worker, status: InstanceStatus | None, goal: Goal, elapsed: float
) -> Waited | None:
    if goal is Goal.OK:
        if status and status.ok:
            return Waited(worker, True)
    elif worker.state == goal.value:
        return Waited(worker, True)
    fallen = worker.state in _FALLEN_BACK.get(goal, ()) and elapsed > _GRACE
    if worker.state in _LOST[goal] or fallen:
        reason = f": {worker.state_reason}" if worker.state_reason else ""
        return Waited(worker, False, f"it is {worker.state}{reason}", given_up=True)
    return None
