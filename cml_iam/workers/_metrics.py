"""How busy a worker is, from CloudWatch; where that is unknown, why, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from cml_iam import errors
from cml_iam.workers._metric import Dimensions, Metric, Point, Unknown, Utilization
from cml_iam.workers._model import Worker, check_id, in_utc

if TYPE_CHECKING:
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

_BY_ERROR: Final = (
    (errors.DeniedError, Unknown.NO_PERMISSION),
    (errors.ThrottledError, Unknown.THROTTLED),
    (errors.NotOfferedError, Unknown.NOT_OFFERED),
    (errors.UnreachableError, Unknown.NO_ANSWER),
    (errors.AwsError, Unknown.FAILED),
)


@dataclass(frozen=True, slots=True)
class Window:
    """Whole periods of *period* seconds that cover the *asked* length of time before *end*."""

    start: datetime
    end: datetime
    period: int
    asked: timedelta


@dataclass(frozen=True, slots=True)
class Wanted:
    """A metric, and the sets of dimensions under which it may be found, in this order."""

    name: str
    namespace: str
    metric: str
    dimension_sets: tuple[Dimensions, ...]


Source = Callable[[Wanted, Dimensions, str, Window], tuple[Point, ...]]
"""Gives the points of a metric under exactly these dimensions, in a region and a window."""


def measure(
    source: Source, worker: Worker | str, region: str, window: timedelta, now: datetime
) -> Utilization:
    """Return how busy *worker* was in the last *window* before *now*, by the points of *source*.

    Raises CredentialsError, and InputError for a window CloudWatch cannot answer.
    """
    known = worker if isinstance(worker, Worker) else None
    instance_id = known.id if known else check_id(str(worker))
    frame = window_of(window, now, detailed=known is not None and known.detailed_monitoring)
    cpu, memory = wanted_of(instance_id, known)
    return Utilization(
        instance_id,
        region,
        frame.start,
        frame.end,
        cpu=_metric(source, cpu, known, region, frame),
        memory=_metric(source, memory, known, region, frame),
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


def wanted_of(instance_id: str, worker: Worker | None) -> tuple[Wanted, Wanted]:
    """Return the CPU's and the memory's metrics of an instance."""
    identity: Dimensions = (("InstanceId", instance_id),)
    return (
        Wanted("cpu", "AWS/EC2", "CPUUtilization", (identity,)),
        Wanted("memory", "CWAgent", "mem_used_percent", agent_dimensions(instance_id, worker)),
    )


def window_of(window: timedelta, now: datetime, *, detailed: bool) -> Window:
    if window < timedelta(minutes=1):
        raise errors.InputError(
            "the window is shorter than a minute", remedy="EC2 reports every minute at the finest"
        )
    if window > timedelta(days=455):
        raise errors.InputError("the window is longer than CloudWatch keeps points: 455 days")
    period = choose_period(window, detailed=detailed)
    # From the start of a period on, so that the first point is a whole one.
    start = int((now - window).timestamp()) // period * period
    return Window(datetime.fromtimestamp(start, UTC), now, period, window)


def _metric(
    source: Source, wanted: Wanted, worker: Worker | None, region: str, window: Window
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
            points = source(wanted, dimensions, region, window)
            if points:
                return _judged(wanted, dimensions, points, window)
    except errors.CredentialsError:
        raise
    except errors.AwsError as error:
        reason = next(reason for kind, reason in _BY_ERROR if isinstance(error, kind))
        return Metric(wanted.name, window.period, unknown=reason, detail=error.message)
    return _missing(wanted, worker, window)


def statistics_of(aws: Aws) -> Source:
    """Return the source that asks GetMetricStatistics for each metric."""

    def points(
        wanted: Wanted, dimensions: Dimensions, region: str, window: Window
    ) -> tuple[Point, ...]:
        answer = aws.call(
            "cloudwatch",
            "get_metric_statistics",
            region=region,
            Namespace=wanted.namespace,
            MetricName=wanted.metric,
            Dimensions=as_aws(dimensions),
            StartTime=window.start,
            EndTime=window.end,
            Period=window.period,
            Statistics=["Average", "Maximum", "SampleCount"],
        )
        # AWS says that it returns the points in no particular order.
        found = map(_point, answer.get("Datapoints", ()))
        return tuple(sorted(found, key=lambda point: point.at))

    return points


def as_aws(dimensions: Dimensions) -> list[dict[str, str]]:
    """Return *dimensions* in the form of CloudWatch's API."""
    return [{"Name": name, "Value": value} for name, value in dimensions]


def _point(raw: dict[str, Any]) -> Point:
    at = in_utc(raw["Timestamp"])
    if at is None:
        raise errors.AwsError("a point of CloudWatch has no time", operation="GetMetricStatistics")
    average = float(raw["Average"])
    return Point(
        at, average, float(raw.get("Maximum", average)), float(raw.get("SampleCount") or 1.0)
    )


def _judged(
    wanted: Wanted, dimensions: Dimensions, points: Sequence[Point], window: Window
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


def _missing(wanted: Wanted, worker: Worker | None, window: Window) -> Metric:
    reason, detail = _why_missing(wanted, worker, window)
    return Metric(wanted.name, window.period, unknown=reason, detail=detail)


def _why_missing(wanted: Wanted, worker: Worker | None, window: Window) -> tuple[Unknown, str]:
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
