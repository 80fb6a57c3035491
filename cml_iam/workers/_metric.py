"""A metric and what is known of it, as values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

Dimensions = tuple[tuple[str, str], ...]


class Unknown(StrEnum):
    """Why a metric is unknown."""

    NOT_RUNNING = "not running"
    TOO_YOUNG = "too young"
    NO_PERMISSION = "no permission"
    NO_AGENT = "no agent"
    NOT_IDENTIFIED = "not identified"
    WINDOW_TOO_SHORT = "window too short"
    STALE = "stale"
    NO_DATA = "no data"
    THROTTLED = "throttled"
    NOT_OFFERED = "not offered"
    NO_ANSWER = "no answer"
    FAILED = "failed"


REMEDY: Final = {
    Unknown.NOT_RUNNING: "start the worker; EC2 reports only on running instances",
    Unknown.TOO_YOUNG: "ask again in ten minutes: the first points come after two periods",
    Unknown.NO_PERMISSION: "grant `cloudwatch:GetMetricStatistics`, for this region too",
    Unknown.NO_AGENT: "install the CloudWatch agent on the worker, give the worker's role "
    "CloudWatchAgentServerPolicy, and have it collect mem_used_percent",
    Unknown.NOT_IDENTIFIED: "give the worker as `get_instance_details` returns it: the agent's "
    "default dimensions hold its image and type",
    Unknown.WINDOW_TOO_SHORT: "ask for a longer window, or enable detailed monitoring",
    Unknown.STALE: "look whether the worker or its agent hangs; the last point is too old",
    Unknown.NO_DATA: "check the region and the endpoint, and CloudWatch's health in the region",
    Unknown.THROTTLED: "ask less often",
    Unknown.NOT_OFFERED: "check that CloudWatch is available in the region",
    Unknown.NO_ANSWER: "check the region, the endpoint and the network",
    Unknown.FAILED: "see what AWS said",
}


@dataclass(frozen=True, slots=True)
class Point:
    """One period: its start in UTC, its average and maximum, and of how many samples."""

    at: datetime
    average: float
    maximum: float
    samples: float


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric in percent over a window of *period* seconds a point, oldest point first.

    When *unknown* is set, `mean`, `latest` and `maximum` are None, never 0; stale *points* are kept
    for the eye. *dimensions* are those under which the points were found.
    """

    name: str
    period: int
    points: tuple[Point, ...] = ()
    dimensions: Dimensions = ()
    unknown: Unknown | None = None
    detail: str | None = None

    @property
    def mean(self) -> float | None:
        """The mean over the window, each period weighted by its samples."""
        if self.unknown or not self.points:
            return None
        samples = sum(point.samples for point in self.points)
        return sum(point.average * point.samples for point in self.points) / samples

    @property
    def latest(self) -> float | None:
        """The average of the last period."""
        return None if self.unknown or not self.points else self.points[-1].average

    @property
    def maximum(self) -> float | None:
        """The highest value within any period."""
        if self.unknown or not self.points:
            return None
        return max(point.maximum for point in self.points)

    @property
    def count(self) -> int:
        """The number of points."""
        return len(self.points)

    @property
    def remedy(self) -> str | None:
        """What to do about it being unknown."""
        return REMEDY[self.unknown] if self.unknown else None


@dataclass(frozen=True, slots=True)
class Utilization:
    """A worker's CPU and memory between *start* and *end*."""

    id: str
    region: str
    start: datetime
    end: datetime
    cpu: Metric
    memory: Metric

    @property
    def avg_cpu_utilization(self) -> float | None:
        """The mean of the CPU in percent, or None when unknown."""
        return self.cpu.mean

    @property
    def avg_memory_utilization(self) -> float | None:
        """The mean of the memory in percent, or None when unknown."""
        return self.memory.mean
