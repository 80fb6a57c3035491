"""Wait until workers reach a goal, reporting progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from cml_iam.errors import ThrottledError, UnreachableError
from cml_iam.workers._cml import CmlAccess, CmlAnswer
from cml_iam.workers._fleet import by_region, statuses
from cml_iam.workers._model import DEFAULT_TIMEOUT, Goal, InstanceStatus, Worker
from cml_iam.workers._threads import in_threads

if TYPE_CHECKING:
    from cml_iam.workers._manager import WorkerManager

_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 15.0

# Right after a change, EC2 may still report the previous state.
# https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
_GRACE: Final = 30.0

_CHECKED: Final = (Goal.OK, Goal.CML_READY)
_UP: Final = (Goal.RUNNING, *_CHECKED)


@dataclass(frozen=True, slots=True)
class Waited:
    """The outcome for *worker*, as last seen; *detail* says why it did not reach the goal.

    *cml* is CML's last answer, if it was queried.
    """

    worker: Worker
    reached: bool
    detail: str = ""
    given_up: bool = False
    cml: CmlAnswer | None = None

    def as_json(self) -> dict[str, Any]:
        ended = {"reached": self.reached, "detail": self.detail or None}
        return ended | ({"cml": asdict(self.cml)} if self.cml else {})


@dataclass(frozen=True, slots=True)
class _Seen:
    """A worker as it is now; *cml* is set only if both status checks pass and CML was queried."""

    worker: Worker
    status: InstanceStatus | None = None
    cml: CmlAnswer | None = None


Tell = Callable[["Worker", str], None]


def wait_for(
    manager: WorkerManager,
    workers: Sequence[Worker],
    goal: Goal,
    *,
    timeout: timedelta = DEFAULT_TIMEOUT,
    tell: Tell = lambda _worker, _where: None,
    cml: Callable[[Worker], CmlAnswer] | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[Waited, ...]:
    """Wait until each of *workers* reaches *goal* or no longer can, or until *timeout*.

    *tell* is called for each change; *cml* queries CML, by default as CmlAccess does. If EC2 does
    not answer or throttles, this keeps waiting; every other AwsError is raised.
    """
    started, pause = clock(), _FIRST_PAUSE
    ask = cml or CmlAccess().ask
    last = {worker.id: _Seen(worker) for worker in workers}
    reported: dict[str, str] = {}
    done: dict[str, Waited] = {}
    while True:
        elapsed = clock() - started
        left_over = [seen.worker for id_, seen in last.items() if id_ not in done]
        for seen in _look(manager, left_over, ask if goal is Goal.CML_READY else None):
            last[seen.worker.id] = seen
            where = _where(seen, goal)
            if reported.get(seen.worker.id) != where:
                reported[seen.worker.id] = where
                tell(seen.worker, where)
            if ended := _ended(seen, goal, elapsed):
                done[seen.worker.id] = ended
        left = timeout.total_seconds() - (clock() - started)
        if len(done) == len(last) or left <= 0:
            break
        sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_PAUSE)
    return tuple(
        done.get(id_)
        or Waited(seen.worker, False, f"still {reported.get(id_, 'unseen')}", cml=seen.cml)
        for id_, seen in last.items()
    )


def _look(
    manager: WorkerManager, workers: Sequence[Worker], ask: Callable[[Worker], CmlAnswer] | None
) -> list[_Seen]:
    """Return what EC2 now reports about *workers*, and CML's answers where both checks pass.

    Workers that EC2 does not report are omitted.
    """
    try:
        current = [
            worker
            for region, ids in by_region(workers)
            for worker in manager.find_instances(ids, region=region)
        ]
        running = [worker for worker in current if worker.state == "running"]
        checks = statuses(manager, running)
    except (UnreachableError, ThrottledError):
        return []

    def seen(worker: Worker) -> _Seen:
        status = checks.get(worker.id)
        return _Seen(worker, status, ask(worker) if ask and status and status.ok else None)

    return in_threads(seen, current)


def _where(seen: _Seen, goal: Goal) -> str:
    status = seen.status
    if goal not in _CHECKED or seen.worker.state != "running" or status is None:
        return seen.worker.state
    if seen.cml:
        return f"running, status 2/2, {seen.cml.said}"
    return f"running, system check {status.system}, instance check {status.instance}"


def _ended(seen: _Seen, goal: Goal, elapsed: float) -> Waited | None:
    worker, cml = seen.worker, seen.cml
    if _arrived(seen, goal):
        return Waited(worker, True, cml=cml)
    if cml and cml.hopeless:
        return Waited(worker, False, cml.said, given_up=True, cml=cml)
    lost = worker.ended and goal is not Goal.TERMINATED
    fallen_back = worker.state == "stopped" and goal in _UP and elapsed > _GRACE
    if lost or fallen_back:
        reason = f": {worker.state_reason}" if worker.state_reason else ""
        return Waited(worker, False, f"it is {worker.state}{reason}", given_up=True)
    return None


def _arrived(seen: _Seen, goal: Goal) -> bool:
    if goal is Goal.CML_READY:
        return seen.cml is not None and seen.cml.ready
    if goal is Goal.OK:
        return seen.status is not None and seen.status.ok
    return seen.worker.state == goal.value
