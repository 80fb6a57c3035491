"""EC2's and CloudWatch's request limits, and what befalls calls by the sandbox's conditions.

https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from cml_iam.sandbox._conditions import Bucket, Buckets
from cml_iam.sandbox._wire import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._conditions import Refusal
    from cml_iam.sandbox._wire import Answer


READS: Final = Buckets(Bucket(100, 20))
UNNARROWED: Final = Buckets(Bucket(50, 10))
"""For a read that neither pages nor filters, of an action in `_COSTLY_UNNARROWED`."""

CHANGES: Final = Buckets(Bucket(50, 5))

EC2: Final[Mapping[str, Buckets]] = {
    "RunInstances": Buckets(Bucket(5, 2), Bucket(1000, 2)),
    "StartInstances": Buckets(Bucket(5, 2), Bucket(1000, 2)),
    "StopInstances": Buckets(Bucket(50, 5), Bucket(1000, 20)),
    "TerminateInstances": Buckets(Bucket(100, 5), Bucket(1000, 20)),
    "CreateTags": Buckets(Bucket(100, 10)),
    "DeleteTags": Buckets(Bucket(100, 10)),
}

CLOUDWATCH: Final[Mapping[str, Buckets]] = {
    "GetMetricStatistics": Buckets(Bucket(400, 400)),
    "GetMetricData": Buckets(Bucket(50, 50)),
    "ListMetrics": Buckets(Bucket(25, 25)),
}

_COSTLY_UNNARROWED: Final = frozenset(
    {
        "DescribeInstances",
        "DescribeInstanceStatus",
        "DescribeNetworkInterfaces",
        "DescribeSecurityGroups",
        "DescribeSnapshots",
        "DescribeSpotInstanceRequests",
        "DescribeVolumes",
    }
)
_READS: Final = ("Describe", "Get", "List", "Search")
_PLUMBING: Final = frozenset({"DryRun"})


@dataclass(slots=True)
class _Level:
    """How many *tokens* a bucket held at a moment."""

    tokens: float
    at: datetime


class Throttle:
    """The buckets of an account; *own* replace those of AWS, by operation."""

    def __init__(self, own: Mapping[str, Buckets]) -> None:
        self._own = own
        self._levels: dict[tuple[str, ...], _Level] = {}

    def take(self, call: Call, now: datetime) -> None:
        """Take what *call* costs; raise Fault where a bucket has not as much."""
        name, buckets = self._of(call)
        if buckets is None:
            return
        key = (call.service, call.region, name)
        if not self._spend(key, buckets.requests, 1, now):
            raise _refusal(call)
        if buckets.resources is None or call.params.get("DryRun"):
            return
        if not self._spend((*key, "resources"), buckets.resources, _instances(call), now):
            raise _refusal(call)

    def _of(self, call: Call) -> tuple[str, Buckets | None]:
        """Return which bucket *call* takes from."""
        name = call.operation
        if name in self._own:
            return name, self._own[name]
        if call.service == "cloudwatch":
            return name, CLOUDWATCH.get(name)
        if call.service != "ec2":
            return name, None
        if name in EC2:
            return name, EC2[name]
        if name in _COSTLY_UNNARROWED and not set(call.params) - _PLUMBING:
            return f"{name} of everything", UNNARROWED
        return name, READS if name.startswith(_READS) else CHANGES

    def _spend(self, key: tuple[str, ...], bucket: Bucket, cost: int, now: datetime) -> bool:
        level = self._levels.setdefault(key, _Level(bucket.size, now))
        passed = max(0.0, (now - level.at).total_seconds())
        level.tokens = min(bucket.size, level.tokens + passed * bucket.refill)
        level.at = now
        if level.tokens < cost:
            return False
        level.tokens -= cost
        return True


def _instances(call: Call) -> int:
    if call.operation == "RunInstances":
        return max(1, int(call.params.get("MaxCount", 1)))
    return len(call.params.get("InstanceIds", ()))


def _refusal(call: Call) -> Fault:
    if call.service == "ec2":
        return Fault("RequestLimitExceeded", "Request limit exceeded.", 503)
    return Fault("Throttling", "Rate exceeded", 400)


class Suffering:
    """Counts the calls, and knows which of them the *refusals* befall."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        self._refusals = refusals
        self._earlier: Counter[int] = Counter()

    def answer(
        self, action: str, do: Callable[[], Answer], failed: Callable[[Fault], Answer]
    ) -> Answer:
        """Answer a call of *action* by *do*, or with what befalls it; *failed* writes a fault."""
        befalls = self._befalling(action)
        try:
            for each in befalls:
                if each.code:
                    raise Fault(each.code, each.message, each.status)
            answer = do()
        except Fault as fault:
            answer = failed(fault)
        seconds = sum(each.seconds for each in befalls)
        return replace(answer, lost=any(each.lost for each in befalls), seconds=seconds)

    def _befalling(self, action: str) -> list[Refusal]:
        """Return what befalls this call of *action*, and count it."""
        found = []
        for number, each in enumerate(self._refusals):
            if fnmatchcase(action, each.operation):
                if each.befalls(action, self._earlier[number]):
                    found.append(each)
                self._earlier[number] += 1
        return found
