"""How busy a worker is, from CloudWatch; where that is unknown, why, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from cml_iam import errors
from cml_iam.workers._model import Worker, check_id, in_utc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cml_iam.aws.port import Aws

DEFAULT_WINDOW: Final = timedelta(minutes=15)
"""Three periods of basic monitoring: in a shorter window there is often no point at all."""

BASIC_PERIOD, DETAILED_PERIOD = 300, 60
MAX_POINTS = 1440
"""The most that one GetMetricStatistics answers.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html
"""

_PERIODS = (60, 300, 900, 3600, 21600, 86400)
# Points of one minute are kept for 15 days, of five minutes for 63, of an hour for 455.
_KEPT = ((timedelta(days=63), 3600), (timedelta(days=15), 300))

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

_BY_ERROR: Final = (
    (errors.DeniedError, Unknown.NO_PERMISSION),
    (errors.ThrottledError, Unknown.THROTTLED),
    (errors.NotOfferedError, Unknown.NOT_OFFERED),
    (errors.UnreachableError, Unknown.NO_ANSWER),
    (errors.AwsError, Unknown.FAILED),
)


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


@dataclass(frozen=True, slots=True)
class _Window:
    start: datetime
    end: datetime
    period: int
    asked: timedelta


def measure(
    aws: Aws, worker: Worker | str, region: str, window: timedelta, now: datetime
) -> Utilization:
    """Return how busy *worker* was in the last *window* before *now*.

    Raises CredentialsError, and InputError for a window CloudWatch cannot answer.
    """
    known = worker if isinstance(worker, Worker) else None
    instance_id = known.id if known else check_id(str(worker))
    frame = _window(window, now, detailed=known is not None and known.detailed_monitoring)
    identity: Dimensions = (("InstanceId", instance_id),)
    cpu = _Wanted("cpu", "AWS/EC2", "CPUUtilization", (identity,))
    memory = _Wanted("memory", "CWAgent", "mem_used_percent", agent_dimensions(instance_id, known))
    return Utilization(
        instance_id,
        region,
        frame.start,
        frame.end,
        cpu=_metric(aws, cpu, known, region, frame),
        memory=_metric(aws, memory, known, region, frame),
    )


def agent_dimensions(instance_id: str, worker: Worker | None) -> tuple[Dimensions, ...]:
    """Return the sets of dimensions under which the CloudWatch agent may report a worker.

    Each set is a metric of its own, and asking for one finds no point of another. The agent's
    wizard appends image, id and type, and the group's name in an Auto Scaling group;
    `aggregation_dimensions` of `[["InstanceId"]]` makes the other common one.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch-Agent-Configuration-File-Details.html
    """
    alone: Dimensions = (("InstanceId", instance_id),)
    if worker is None:
        return (alone,)
    full: Dimensions = (
        ("ImageId", worker.image_id),
        ("InstanceId", instance_id),
        ("InstanceType", worker.instance_type),
    )
    group = worker.tags.get("aws:autoscaling:groupName")
    grouped: Dimensions = (("AutoScalingGroupName", group or ""), *full)
    return (full, alone, *([grouped] if group else []))


def choose_period(window: timedelta, *, detailed: bool) -> int:
    """Return the seconds of a point: as fine as the monitoring, few enough, and still kept."""
    seconds = window.total_seconds()
    least = DETAILED_PERIOD if detailed else BASIC_PERIOD
    for age, kept in _KEPT:
        if window > age:
            least = max(least, kept)
    for period in _PERIODS:
        if period >= least and seconds / period <= MAX_POINTS:
            return period
    raise errors.InputError("the window is longer than CloudWatch keeps points: 455 days")


@dataclass(frozen=True, slots=True)
class _Wanted:
    name: str
    namespace: str
    metric: str
    dimension_sets: tuple[Dimensions, ...]


def _window(window: timedelta, now: datetime, *, detailed: bool) -> _Window:
    if window < timedelta(minutes=1):
        raise errors.InputError(
            "the window is shorter than a minute", remedy="EC2 reports every minute at the finest"
        )
    if window > timedelta(days=455):
        raise errors.InputError("the window is longer than CloudWatch keeps points: 455 days")
    period = choose_period(window, detailed=detailed)
    # From the start of a period on, so that the first point is a whole one.
    start = int((now - window).timestamp()) // period * period
    return _Window(datetime.fromtimestamp(start, UTC), now, period, window)


def _metric(
    aws: Aws, wanted: _Wanted, worker: Worker | None, region: str, window: _Window
) -> Metric:
    if worker and worker.state != "running":
        return Metric(
            wanted.name,
            window.period,
            unknown=Unknown.NOT_RUNNING,
            detail=f"the worker is {worker.state}",
        )
    try:
        for dimensions in wanted.dimension_sets:
            points = _points(aws, wanted, dimensions, region, window)
            if points:
                return _judged(wanted, dimensions, points, window)
    except errors.CredentialsError:
        raise
    except errors.AwsError as error:
        reason = next(reason for kind, reason in _BY_ERROR if isinstance(error, kind))
        return Metric(wanted.name, window.period, unknown=reason, detail=error.message)
    return _missing(wanted, worker, window)


def _points(
    aws: Aws, wanted: _Wanted, dimensions: Dimensions, region: str, window: _Window
) -> tuple[Point, ...]:
    answer = aws.call(
        "cloudwatch",
        "get_metric_statistics",
        region=region,
        Namespace=wanted.namespace,
        MetricName=wanted.metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions],
        StartTime=window.start,
        EndTime=window.end,
        Period=window.period,
        Statistics=["Average", "Maximum", "SampleCount"],
    )
    # AWS says that it returns the points in no particular order.
    return tuple(sorted(map(_point, answer.get("Datapoints", ())), key=lambda point: point.at))


def _point(raw: dict[str, Any]) -> Point:
    at = in_utc(raw["Timestamp"])
    if at is None:
        raise errors.AwsError("a point of CloudWatch has no time", operation="GetMetricStatistics")
    average = float(raw["Average"])
    return Point(
        at, average, float(raw.get("Maximum", average)), float(raw.get("SampleCount") or 1.0)
    )


def _judged(
    wanted: _Wanted, dimensions: Dimensions, points: Sequence[Point], window: _Window
) -> Metric:
    made = Metric(wanted.name, window.period, tuple(points), dimensions)
    silent_since = points[-1].at + timedelta(seconds=window.period)
    if window.end - silent_since <= timedelta(seconds=2 * window.period):
        return made
    return Metric(
        wanted.name,
        window.period,
        tuple(points),
        dimensions,
        unknown=Unknown.STALE,
        detail=f"the last point is of {points[-1].at:%Y-%m-%d %H:%M} UTC",
    )


def _missing(wanted: _Wanted, worker: Worker | None, window: _Window) -> Metric:
    reason, detail = _why_missing(wanted, worker, window)
    return Metric(wanted.name, window.period, unknown=reason, detail=detail)


def _why_missing(wanted: _Wanted, worker: Worker | None, window: _Window) -> tuple[Unknown, str]:
    two_periods = timedelta(seconds=2 * window.period)
    if worker and worker.launched_at and window.end - worker.launched_at < two_periods:
        age = int((window.end - worker.launched_at).total_seconds())
        return Unknown.TOO_YOUNG, f"started {age} s ago, and a period has {window.period} s"
    if window.asked < two_periods:
        return Unknown.WINDOW_TOO_SHORT, f"the window holds fewer than two of {window.period} s"
    if wanted.namespace == "AWS/EC2":
        return Unknown.NO_DATA, "EC2 reported nothing in the window"
    if worker is None:
        return Unknown.NOT_IDENTIFIED, "only the dimension InstanceId could be tried"
    tried = "; ".join(
        ", ".join(name for name, _ in dimensions) for dimensions in wanted.dimension_sets
    )
    return Unknown.NO_AGENT, f"no {wanted.metric} under the dimensions: {tried}"
