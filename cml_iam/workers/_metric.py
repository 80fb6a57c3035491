"""A metric with its values or the reason it is unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Self

from cml_iam import errors
from cml_iam.workers._model import Worker

Dimensions = tuple[tuple[str, str], ...]


class Measure(StrEnum):
    """A measurement of a worker: CPU and memory in percent, the others per second."""

    CPU = "cpu"
    MEMORY = "memory"
    NETWORK_IN = "network_in"
    NETWORK_OUT = "network_out"
    DISK_READ = "disk_read"
    DISK_WRITE = "disk_write"
    DISK_READ_OPS = "disk_read_ops"
    DISK_WRITE_OPS = "disk_write_ops"

    @property
    def words(self) -> str:
        """The display name: `network in`."""
        return self.value.replace("_", " ")

    @property
    def is_rate(self) -> bool:
        """Whether it is a rate per second rather than a percentage."""
        return self not in (Measure.CPU, Measure.MEMORY)

    @property
    def unit(self) -> str:
        """The unit: `percent`, `bytes/s` or `operations/s`."""
        if self in (Measure.DISK_READ_OPS, Measure.DISK_WRITE_OPS):
            return "operations/s"
        return "bytes/s" if self.is_rate else "percent"


USAGE: Final = (Measure.CPU, Measure.MEMORY)
"""The metrics of a worker that the documentation asks for: CPU and memory."""

EVERY: Final = (
    *USAGE,
    Measure.NETWORK_IN,
    Measure.NETWORK_OUT,
    Measure.DISK_READ,
    Measure.DISK_WRITE,
)


class Unknown(StrEnum):
    """The reason why a metric is unknown, with its usual *remedy*."""

    remedy: str

    NOT_RUNNING = "not running", "start the worker: EC2 reports only on running instances"
    TOO_YOUNG = "too young", "try again in ten minutes: the first points come after two periods"
    NO_PERMISSION = ("no permission", "grant `cloudwatch:GetMetricStatistics`, for this region too")
    NO_AGENT = (
        "no agent",
        "install the CloudWatch agent on the worker, give the worker's role "
        "CloudWatchAgentServerPolicy, and have it collect mem_used_percent",
    )
    OTHER_DIMENSIONS = (
        "other dimensions",
        'make the agent report per worker too: "aggregation_dimensions": [["InstanceId"]] in its '
        'configuration, with "append_dimensions" of "InstanceId": "${aws:InstanceId}"',
    )
    NOT_IDENTIFIED = (
        "not identified",
        "pass the worker of `get_instance_details`: metrics depend on image",
    )
    WINDOW_TOO_SHORT = (
        "window too short",
        "ask for a longer window, or enable detailed monitoring",
    )
    STALE = "stale", "check whether the worker or its agent hangs; the last point is too old"
    NO_DATA = (
        "no data",
        "check the region and the endpoint, and CloudWatch's health in the region",
    )
    THROTTLED = "throttled", "ask less often"
    NOT_OFFERED = "not offered", "check that CloudWatch is available in the region"
    NO_ANSWER = "no answer", "check the region, the endpoint and the network"
    FAILED = "failed", "see AWS's message"

    def __new__(cls, reason: str, remedy: str) -> Self:
        member = str.__new__(cls, reason)
        member._value_ = reason
        member.remedy = remedy
        return member


BY_ERROR: Final = (
    (errors.DeniedError, Unknown.NO_PERMISSION),
    (errors.ThrottledError, Unknown.THROTTLED),
    (errors.NotOfferedError, Unknown.NOT_OFFERED),
    (errors.UnreachableError, Unknown.NO_ANSWER),
    (errors.AwsError, Unknown.FAILED),
)
"""The reason for each error of CloudWatch, the most specific first."""

NOT_ASKED: Final = frozenset(reason for _, reason in BY_ERROR)
"""The reasons that CloudWatch did not answer; they say nothing about the worker."""


@dataclass(frozen=True, slots=True)
class Point:
    """One period: its start in UTC, its average and maximum, and the number of samples.

    For a rate, average and maximum are both the period's bytes divided by its seconds.
    """

    at: datetime
    average: float
    maximum: float
    samples: float


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric in *unit* over a window, *period* seconds per point, oldest point first.

    If *unknown* is set, `mean`, `latest` and `maximum` are None, never 0; stale *points* are kept
    for display. *source* is CloudWatch's namespace and metric. *dimensions* are where the points
    were found; for a sum over several volumes, they are the first volume's. *advice* is what to do
    about an unknown value, if it differs from the usual remedy for its reason.
    """

    name: str
    period: int
    points: tuple[Point, ...] = ()
    dimensions: Dimensions = ()
    unknown: Unknown | None = None
    detail: str | None = None
    unit: str = "percent"
    source: str = ""
    advice: str | None = None

    @property
    def _known(self) -> bool:
        return bool(self.points) and not self.unknown

    @property
    def mean(self) -> float | None:
        """The mean over the window, each period weighted by its samples."""
        if not self._known:
            return None
        samples = sum(point.samples for point in self.points)
        return sum(point.average * point.samples for point in self.points) / samples

    @property
    def latest(self) -> float | None:
        """The average of the last period."""
        return self.points[-1].average if self._known else None

    @property
    def maximum(self) -> float | None:
        """The highest value within any period; for a rate, the highest average of a period."""
        return max(point.maximum for point in self.points) if self._known else None

    @property
    def count(self) -> int:
        return len(self.points)

    @property
    def remedy(self) -> str | None:
        return (self.advice or self.unknown.remedy) if self.unknown else None

    def as_json(self) -> dict[str, Any]:
        """Return the metric as JSON values: unknown values are null."""
        return {
            "unit": self.unit,
            "mean": self.mean,
            "latest": self.latest,
            "maximum": self.maximum,
            "count": self.count,
            "period": self.period,
            "unknown": self.unknown,
            "detail": self.detail,
            "remedy": self.remedy,
            "source": self.source or None,
            "dimensions": dict(self.dimensions),
            "points": [
                {"at": point.at.isoformat(), "average": point.average, "maximum": point.maximum}
                for point in self.points
            ],
        }

    def slots(self, start: datetime, end: datetime) -> list[float | None]:
        """Return the average of each period from *start* to *end*; None for a missing point."""
        averages = {point.at: point.average for point in self.points}
        step = timedelta(seconds=self.period)
        count = max(0, -((start - end) // step))
        return [averages.get(start + step * number) for number in range(count)]


@dataclass(frozen=True, slots=True)
class Utilization:
    """The requested measures of a worker between *start* and *end*.

    `cpu` and the others raise KeyError for a measure that was not requested.
    """

    id: str
    region: str
    start: datetime
    end: datetime
    metrics: Mapping[Measure, Metric] = field(default_factory=dict)

    def as_json(self, worker: Worker) -> dict[str, Any]:
        return {
            **worker.named,
            "state": worker.state,
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            **{str(measure): metric.as_json() for measure, metric in self.metrics.items()},
        }

    def since(self, start: datetime) -> Utilization:
        """Return the metric with only the points from *start* on; makes no calls."""
        metrics = {
            measure: replace(
                metric, points=tuple(point for point in metric.points if point.at >= start)
            )
            for measure, metric in self.metrics.items()
        }
        return replace(self, start=max(start, self.start), metrics=metrics)

    @property
    def cpu(self) -> Metric:
        """The CPU, in percent."""
        return self.metrics[Measure.CPU]

    @property
    def memory(self) -> Metric:
        """The memory in use, in percent, as the CloudWatch agent reports it."""
        return self.metrics[Measure.MEMORY]

    @property
    def network_in(self) -> Metric:
        """Network traffic received on all interfaces, in bytes per second."""
        return self.metrics[Measure.NETWORK_IN]

    @property
    def network_out(self) -> Metric:
        """Network traffic sent on all interfaces, in bytes per second."""
        return self.metrics[Measure.NETWORK_OUT]

    @property
    def disk_read(self) -> Metric:
        """Data read from all EBS volumes, in bytes per second."""
        return self.metrics[Measure.DISK_READ]

    @property
    def disk_write(self) -> Metric:
        """Data written to all EBS volumes, in bytes per second."""
        return self.metrics[Measure.DISK_WRITE]

    @property
    def avg_cpu_utilization(self) -> float | None:
        """The mean of the CPU in percent, or None when unknown."""
        return self.cpu.mean

    @property
    def avg_memory_utilization(self) -> float | None:
        """The mean of the memory in percent, or None when unknown."""
        return self.memory.mean
