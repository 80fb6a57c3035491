"""Create exactly one worker per request; without capacity, in another zone or of another type.

A launch without a response may have created a worker. The request is therefore stored on disk until
its outcome is known. This module itself retries, because botocore would hide that the first attempt
had no response. A retry is the same request with the same client token.
https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from cml_iam.errors import (
    AwsError,
    CapacityError,
    CmlIamError,
    IncompleteError,
    InputError,
    NotOfferedError,
    ThrottledError,
    UnreachableError,
)
from cml_iam.workers._launches import Placement
from cml_iam.workers._pending import PendingLaunch, PendingLaunches

if TYPE_CHECKING:
    from datetime import datetime

    from cml_iam.workers._changes import Launch
    from cml_iam.workers._manager import WorkerManager
    from cml_iam.workers._model import Worker

ATTEMPTS: Final = 5
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 20.0

SETTLED: Final = timedelta(minutes=5)
"""How long EC2 may take until every call that describes instances shows a new one.

https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
"""

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Patience:
    """How many times to send a request that is unanswered or throttled, and how long to wait."""

    attempts: int = ATTEMPTS
    sleep: Callable[[float], None] = time.sleep


def create_worker(
    manager: WorkerManager,
    launch: Launch,
    tries: Sequence[Placement],
    *,
    region: str,
    key: str,
    pending: PendingLaunches,
    now: Callable[[], datetime],
    patience: Patience | None = None,
    tell: Tell = lambda _: None,
) -> Worker:
    """Launch one worker from *launch*, in the first of *tries* with capacity.

    If a launch with the same *key* is pending, it is finished and its worker returned, so no second
    worker is created. Call `pending.forget(key)` after the worker has been reported to the user.

    Raises IncompleteError if the outcome is unknown (repeating is safe), CapacityError if no place
    has capacity, and any other AwsError from EC2 if nothing was created.
    """
    made = _Creation(manager, region, key, pending, now, patience or Patience(), tell)
    before = pending.find(key, launch.user_data)
    resumed = None
    if before is not None:
        worker, resumed = made.resume(before)
        if worker is not None:
            return worker
    refusals: list[str] = [] if resumed is None else [resumed[1]]
    for placement in _placements_after(tries, resumed[0] if resumed else None):
        asked = replace(
            launch,
            instance_type=placement.instance_type,
            subnet_id=placement.subnet_id,
            client_token=str(uuid4()),
        )
        try:
            return made.ask(PendingLaunch(asked, region, now()))
        except (CapacityError, NotOfferedError) as error:
            refusals.append(f"{placement}: {error.code or error.message}")
            tell(f"{placement}: {error.message}")
    raise CapacityError(
        f"no capacity for `{launch.name}` anywhere: {'; '.join(refusals)}",
        operation="RunInstances",
        remedy="add zones or types to the worker profile, or try again later",
    )


def _placements_after(tries: Sequence[Placement], failed: Placement | None) -> Iterator[Placement]:
    """Yield *tries* without the place that just had no capacity."""
    for placement in tries:
        known = (placement.instance_type, placement.subnet_id)
        if failed is None or known != (failed.instance_type, failed.subnet_id):
            yield placement


@dataclass(frozen=True, slots=True)
class _Creation:
    manager: WorkerManager
    region: str
    key: str
    pending: PendingLaunches
    now: Callable[[], datetime]
    patience: Patience
    tell: Tell

    def resume(self, before: PendingLaunch) -> tuple[Worker | None, tuple[Placement, str] | None]:
        """Finish the launch *before*; return its worker, the place without capacity, or neither."""
        launch = before.launch
        where = Placement(launch.instance_type, launch.subnet_id)
        self.tell(
            f"a launch from {before.since:%Y-%m-%d %H:%M} UTC has no known answer: repeating it "
            f"({where}) instead of launching another worker"
        )
        if self.now() - before.since > SETTLED:
            worker = self.manager.find_by_client_token(launch.client_token, region=before.region)
            if worker is None:  # by now every call would show it, so it was never created
                self.pending.forget(self.key)
            return worker, None
        try:
            return self.ask(before, kept=True), None
        except (CapacityError, NotOfferedError) as error:
            return None, (where, f"{where}: {error.code or error.message}")

    def ask(self, asked: PendingLaunch, *, kept: bool = False) -> Worker:
        """Send *asked* until the outcome is known; raises EC2's error."""
        asked = replace(asked, since=self.now())
        if kept:
            self.pending.change(self.key, asked)
        else:
            asked = self.pending.keep(self.key, asked)
        unanswered, pause = asked.unanswered, _FIRST_PAUSE
        for attempt in range(1, self.patience.attempts + 1):
            try:
                return self.manager.create_instance(asked.launch, region=asked.region, once=True)
            except (UnreachableError, ThrottledError) as error:
                if isinstance(error, UnreachableError):
                    unanswered = True
                    late = replace(asked, unanswered=True, since=self.now())
                    self.pending.change(self.key, late)
                if attempt == self.patience.attempts:
                    self._give_up(error, unanswered=unanswered)
                self.patience.sleep(random.uniform(0.5, 1.0) * pause)  # noqa: S311 - no secret
                pause = min(pause * 2, _LONGEST_PAUSE)
            except AwsError as error:
                self._give_up(error, unanswered=unanswered)
            except CmlIamError:  # refused by cml-iam: nothing was sent
                if not unanswered:
                    self.pending.forget(self.key)
                raise
        raise InputError("a launch is sent at least once")

    def _give_up(self, error: AwsError, *, unanswered: bool) -> None:
        """Raise *error*, or IncompleteError if an attempt may have succeeded."""
        if not unanswered:
            self.pending.forget(self.key)
            raise error
        raise IncompleteError(
            f"cannot tell whether the worker was created: {error.message}",
            remedy="repeat the same command: it never creates a second worker, and "
            f"{int(SETTLED.total_seconds()) // 60} minutes after the first attempt it is certain",
        ) from None
