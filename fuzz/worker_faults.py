"""Run workers under injected faults: `python fuzz/worker_faults.py [COUNT] [SEED]`.

Each run creates a worker and starts, stops or terminates some of a fleet, while answers are lost,
calls throttled, refused and capacity missing, and commands are repeated as a user would. Ends with
1 and the run if one request made two workers, if an instance changed that was not named, or if an
outcome was reported other than it was.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cml_iam import errors
from cml_iam.aws import Identity
from cml_iam.workers import (
    Launch,
    Patience,
    PendingLaunches,
    Placement,
    Worker,
    WorkerManager,
    act,
    create_worker,
    start_change,
    stop_change,
    terminate_change,
)

TRIES = tuple(Placement(kind, f"subnet-{n}") for kind in ("m5zn.metal", "c5.metal") for n in (1, 2))
VERBS = {
    "start_instances": (start_change, "StartingInstances", "pending"),
    "stop_instances": (stop_change, "StoppingInstances", "stopping"),
    "terminate_instances": (terminate_change, "TerminatingInstances", "shutting-down"),
}
REFUSALS = (
    errors.ThrottledError("slower", code="RequestLimitExceeded"),
    errors.UnreachableError("HTTP 503", code="Unavailable"),
    errors.CapacityError("none", code="InsufficientInstanceCapacity"),
    errors.DeniedError("no", code="UnauthorizedOperation"),
)


class Broken(Exception):  # noqa: N818 - a promise is
    """What must hold did not."""


def check(held: bool, what: object) -> None:
    """Raise Broken unless *held*."""
    if not held:
        raise Broken(what)


@dataclass
class Ec2:
    """EC2 with what befalls a call decided by *chance*; *bad* instances refuse a change."""

    chance: random.Random
    faults: float
    states: dict[str, str] = field(default_factory=dict)
    bad: set[str] = field(default_factory=set)
    tokens: dict[str, tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=dict)
    region: str | None = "us-east-1"

    def identity(self) -> Identity:
        """As the port's."""
        return Identity("111122223333", "arn:aws:iam::111122223333:user/u", "AIDAEXAMPLE")

    def pages(self, *_: str, **given: Any) -> Any:
        """Answer DescribeInstances with a filter by client token."""
        (token,) = given["Filters"][0]["Values"]
        if token in self.tokens:
            yield self.tokens[token][1]

    def call(self, _: str, operation: str, **given: Any) -> dict[str, Any]:
        """Refuse, do, or do and lose the answer."""
        given = {name: each for name, each in given.items() if name not in ("region", "once")}
        befalls = self.chance.random()
        if befalls < self.faults:
            raise self.chance.choice(REFUSALS)
        answer = self._run(given) if operation == "run_instances" else self._do(operation, given)
        if befalls < self.faults * 1.5:
            raise errors.UnreachableError("connection reset")
        return answer

    def _run(self, given: dict[str, Any]) -> dict[str, Any]:
        token = given["ClientToken"]
        if token not in self.tokens:
            made = {"InstanceId": f"i-{len(self.states):017x}", "State": {"Name": "pending"}}
            self.states[made["InstanceId"]] = "pending"
            self.tokens[token] = (given, {"Instances": [made]})
        if self.tokens[token][0] != given:
            raise errors.RequestError("not the same", code="IdempotentParameterMismatch")
        return self.tokens[token][1]

    def _do(self, operation: str, given: dict[str, Any]) -> dict[str, Any]:
        _, key, state = VERBS[operation]
        if self.bad & set(given["InstanceIds"]):
            raise errors.ProtectedError("protected", code="OperationNotPermitted")
        changes = []
        for each in given["InstanceIds"]:
            before = {"Name": self.states[each]}
            changes.append({"InstanceId": each, "PreviousState": before})
            changes[-1]["CurrentState"] = {"Name": state}
            self.states[each] = state
        return {key: changes}


def creating(chance: random.Random, folder: Path) -> str:
    """Create one worker, repeating the command until it ends; return how it ended."""
    ec2 = Ec2(chance, chance.choice([0.0, 0.2, 0.5, 0.8]))
    manager, pending = WorkerManager(ec2), PendingLaunches(folder)
    at = datetime(2026, 3, 1, tzinfo=UTC)
    unknown = False
    for _ in range(30):
        at += timedelta(seconds=chance.choice([1, 100, 400]))
        launch = Launch("lab", "ami-0a1b2c3d4e5f60001", "m5zn.metal")
        try:
            worker = create_worker(
                manager,
                launch,
                TRIES,
                region="us-east-1",
                key="lab",
                pending=pending,
                now=lambda now=at: now,
                patience=Patience(3, lambda _: None),
            )
        except errors.IncompleteError:
            unknown = True
            check(len(ec2.states) <= 1, ec2.states)
        except errors.AwsError as error:
            check(not ec2.states, (error, ec2.states))
            if chance.random() < 0.5:
                return f"nothing made: {type(error).__name__}"
        else:
            check(list(ec2.states) == [worker.id], (worker.id, ec2.states))
            pending.forget("lab")
            return "made, unknown in between" if unknown else "made"
    pending.forget("lab")
    return "still unknown after 30 times"


def acting(chance: random.Random) -> str:
    """Start, stop or terminate some of a fleet; return how much of it was done."""
    ids = [f"i-{number:017x}" for number in range(chance.choice([2, 60, 130]))]
    before = {each: chance.choice(["running", "stopped"]) for each in ids}
    bad = {each for each in ids if chance.random() < chance.choice([0.0, 0.05])}
    ec2 = Ec2(chance, chance.choice([0.0, 0.1, 0.4]), dict(before), bad)
    operation = chance.choice(sorted(VERBS))
    make, _, state = VERBS[operation]
    named = chance.sample(ids, chance.randint(1, len(ids)))
    fleet = [Worker(each, "us-east-1", before[each], "c5.large", "ami-1") for each in named]
    outcomes = act(WorkerManager(ec2), fleet, make)
    check([outcome.worker.id for outcome in outcomes] == named, outcomes)
    for each in set(ids) - set(named):
        check(ec2.states[each] == before[each], f"{operation} of {each} was not asked for")
    for outcome in outcomes:
        now = ec2.states[outcome.worker.id]
        if outcome.change:
            check((outcome.change.current, now) == (state, state), (outcome, now))
        elif not isinstance(outcome.error, errors.UnreachableError):
            check(outcome.error is not None and now == before[outcome.worker.id], (outcome, now))
    failed = sum(outcome.error is not None for outcome in outcomes)
    return f"{operation}: " + ("all" if not failed else "some" if failed < len(named) else "none")


def main() -> int:
    """Run; return the exit code."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    ended: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            chance = random.Random(f"{seed}/{number}")  # noqa: S311 - repeatable, not secret
            try:
                ended[creating(chance, Path(folder))] += 1
                ended[acting(chance)] += 1
            except Broken as error:
                sys.stdout.write(f"run {number} of seed {seed}: {error}\n")
                return 1
    sys.stdout.write(f"{count} runs: no duplicate, nothing unasked, every outcome as it was\n")
    for how, times in sorted(ended.items()):
        sys.stdout.write(f"  {how}: {times}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
