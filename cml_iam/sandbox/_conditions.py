"""The configurable conditions of a sandbox: the speed, delays and refusals of the real AWS.

Without any, a sandbox is as fast and as consistent as possible. docs/sandbox.md describes the file.
EC2's and CloudWatch's request limits are applied to calls here too.
https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from cml_iam.errors import DocumentError
from cml_iam.files import regular_text, shipped_text
from cml_iam.located import located_problems, parse_toml
from cml_iam.sandbox._wire import Call, Fault, rows


@dataclass(frozen=True, slots=True)
class Seconds:
    """Durations, in seconds of the sandbox's clock.

    *pending*, *stopping* and *shutting_down* are states of an instance; *status_checks* is how long
    both checks take on a running instance. The others are eventual consistency: the time until
    DescribeInstances finds a *new_instance*, a *new_access_key* is known, or a *policy_change*
    takes effect. https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
    """

    pending: float = 0.0
    status_checks: float = 0.0
    stopping: float = 0.0
    shutting_down: float = 0.0
    new_instance: float = 0.0
    new_access_key: float = 0.0
    policy_change: float = 0.0


@dataclass(frozen=True, slots=True)
class Bucket:
    """A token bucket of *size* tokens, refilled with *refill* tokens per second."""

    size: float
    refill: float


@dataclass(frozen=True, slots=True)
class Buckets:
    """A call's buckets: it takes a token of *requests*, and one of *resources* per instance."""

    requests: Bucket
    resources: Bucket | None = None


@dataclass(frozen=True, slots=True)
class Shortage:
    """A lack of capacity for *instance_type* in *zone*; both may contain wildcards."""

    instance_type: str = "*"
    zone: str = "*"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A failure of calls of *operation* (`ec2:RunInstances`, `ec2:*`).

    The first *after* calls succeed; the next *times* calls fail, or all of them if it is None. With
    a *code*, the call is refused before it does anything. With *lost*, it is executed, but the
    connection closes without a response. *seconds* delays the response, or its loss.
    """

    operation: str
    code: str = ""
    message: str = "Refused, as configured in the sandbox."
    status: int = 400
    after: int = 0
    times: int | None = None
    lost: bool = False
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Conditions:
    """All conditions of a sandbox; the default is none."""

    throttle: bool = False
    metrics_since_launch: bool = False
    agent_needs_profile: bool = False
    seconds: Seconds = Seconds()
    buckets: Mapping[str, Buckets] = field(default_factory=lambda: MappingProxyType({}))
    no_capacity: tuple[Shortage, ...] = ()
    refuse: tuple[Refusal, ...] = ()


AS_AWS: Final = Conditions(
    throttle=True,
    metrics_since_launch=True,
    agent_needs_profile=True,
    seconds=Seconds(
        pending=10,
        status_checks=60,
        stopping=20,
        shutting_down=20,
        new_instance=2,
        new_access_key=5,
        policy_change=5,
    ),
)
"""As slow and as throttled as AWS: documented limits; delays documented or reported by users."""


def load_conditions(path: Path) -> Conditions:
    """Read the conditions of a sandbox from the TOML file *path*; raises InputError."""
    return parse_conditions(regular_text(path), str(path))


def parse_conditions(text: str, name: str = "faults") -> Conditions:
    """Return the conditions that the TOML *text* called *name* describes; raises InputError."""
    located = parse_toml(text, name)
    schema = json.loads(shipped_text("policies", "sandbox-faults.schema.json"))
    problems = located_problems(located, schema)
    if problems:
        raise DocumentError(problems)
    held = located.value
    parts = {
        "seconds": Seconds(**held.get("seconds", {})),
        "buckets": MappingProxyType(_buckets(held.get("buckets", {}))),
        "no_capacity": tuple(Shortage(**row) for row in held.get("no_capacity", ())),
        "refuse": tuple(Refusal(**row) for row in held.get("refuse", ())),
    }
    return Conditions(**{**held, **parts})


_READS: Final = ("Describe", "Get", "List", "Search")
_UNNARROWED: Final = "ec2 without pages, filters or ids"


@cache
def _published() -> dict[str, dict[str, Buckets]]:
    return {service: _buckets(limits) for service, limits in rows("limits").items()}


def _buckets(held: Mapping[str, Any]) -> dict[str, Buckets]:
    return {
        operation: Buckets(**{kind: Bucket(*pair) for kind, pair in kinds.items()})
        for operation, kinds in held.items()
    }


class Throttle:
    """The buckets of an account; *own* replaces AWS's for some operations."""

    def __init__(self, own: Mapping[str, Buckets]) -> None:
        self._own = own
        self._levels: dict[tuple[str, ...], tuple[float, datetime]] = {}

    def take(self, call: Call, now: datetime) -> None:
        """Take the cost of *call*; raises Fault if a bucket has too few tokens."""
        name, buckets = self._of(call)
        if buckets is None:
            return
        key = (call.service, call.region, name)
        enough = self._spend(key, buckets.requests, 1, now)
        if enough and buckets.resources is not None and not call.params.get("DryRun"):
            enough = self._spend((*key, "resources"), buckets.resources, _instances(call), now)
        if not enough and call.service == "ec2":
            raise Fault("RequestLimitExceeded", "Request limit exceeded.")
        if not enough:
            raise Fault("Throttling", "Rate exceeded")

    def _of(self, call: Call) -> tuple[str, Buckets | None]:
        """Return the buckets for *call*, and the name under which they are shared."""
        name = call.operation
        published = _published().get(call.service, {})
        if name in self._own or call.service != "ec2":
            return name, self._own.get(name, published.get(name))
        whole = _published()[_UNNARROWED].get(name)
        if whole is not None and call.params.keys() <= {"DryRun"}:
            return f"{name} of everything", whole
        others = "other reads" if name.startswith(_READS) else "other changes"
        return name, published.get(name, published[others])

    def _spend(self, key: tuple[str, ...], bucket: Bucket, cost: int, now: datetime) -> bool:
        tokens, since = self._levels.get(key, (bucket.size, now))
        refilled = max(0.0, (now - since).total_seconds()) * bucket.refill
        tokens = min(bucket.size, tokens + refilled)
        enough = tokens >= cost
        self._levels[key] = (tokens - cost if enough else tokens, now)
        return enough


def _instances(call: Call) -> int:
    if call.operation == "RunInstances":
        return max(1, int(call.params.get("MaxCount", 1)))
    return len(call.params.get("InstanceIds", ()))


class Refusals:
    """Counts calls, and decides which of them the *configured* refusals affect."""

    def __init__(self, configured: Sequence[Refusal]) -> None:
        self._configured = configured
        self._earlier: Counter[int] = Counter()

    def of(self, action: str) -> list[Refusal]:
        """Return the refusals that affect this call of *action*, and count the call."""
        affecting = []
        for number, refusal in enumerate(self._configured):
            if fnmatchcase(action, refusal.operation):
                late = self._earlier[number] - refusal.after
                self._earlier[number] += 1
                if late >= 0 and (refusal.times is None or late < refusal.times):
                    affecting.append(refusal)
        return affecting
