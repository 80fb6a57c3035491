"""Worker load from CloudWatch or, if it is unknown, the reason and a remedy.

Each set of dimensions is a separate metric, and a request for one metric does not find another's
points. The places of a measure are therefore tried in rounds. Each round requests everything
that is still unknown, with GetMetricStatistics in threads or GetMetricData in batches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain
from threading import Lock
from typing import Any, Final

from cml_iam.errors import AwsError
from cml_iam.workers._metric import (
    BY_ERROR,
    Dimensions,
    Measure,
    Metric,
    Point,
    Unknown,
    Utilization,
)
from cml_iam.workers._metric_series import PointsOrError, Series, Window, window_of
from cml_iam.workers._model import Worker

_INSTANCE: Final = {
    Measure.CPU: "CPUUtilization",
    Measure.NETWORK_IN: "NetworkIn",
    Measure.NETWORK_OUT: "NetworkOut",
}
_DISK: Final = {
    Measure.DISK_READ: ("EBSReadBytes", "VolumeReadBytes"),
    Measure.DISK_WRITE: ("EBSWriteBytes", "VolumeWriteBytes"),
    Measure.DISK_READ_OPS: ("EBSReadOps", "VolumeReadOps"),
    Measure.DISK_WRITE_OPS: ("EBSWriteOps", "VolumeWriteOps"),
}
_UNTIL_IT_RUNS: Final = {
    "pending": "wait: the worker is starting",
    "stopping": "wait until the worker is stopped, then start it",
    "shutting-down": "nothing: the worker is being terminated",
    "terminated": "nothing: the worker is terminated",
}
"""The remedy for a worker in a state from which it cannot be started."""

_MEMORY: Final = ("CWAgent", "mem_used_percent")


Place = tuple[Series, ...]
"""Where a measure may be found; the points of several series are summed."""


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """The search for one measure of one worker in a window."""

    worker: Worker
    measure: Measure
    window: Window

    @property
    def key(self) -> tuple[str, Measure]:
        return self.worker.id, self.measure

    def metric(self, **fields: Any) -> Metric:
        measure = self.measure
        return Metric(measure.value, self.window.period, unit=measure.unit, **fields)

    def place(self, namespace: str, metric: str, *sets: Dimensions) -> Place:
        """Return the place of *metric*: a series for each set of dimensions in *sets*."""
        rate, region = self.measure.is_rate, self.worker.region
        return tuple(
            Series(namespace, metric, dimensions, rate, region, self.window) for dimensions in sets
        )

    def places(self) -> list[Place]:
        """Return where to search for the worker alone, in order."""
        worker, measure = self.worker, self.measure
        alone: Dimensions = (("InstanceId", worker.id),)
        if measure is Measure.MEMORY:
            return [self.place(*_MEMORY, dimensions) for dimensions in _agent_dimensions(worker)]
        if measure in _INSTANCE:
            return [self.place("AWS/EC2", _INSTANCE[measure], alone)]
        # The instance's own metric, and the sum of its volumes: bare metal has only the latter.
        # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/viewing_metrics_with_cloudwatch.html
        # https://docs.aws.amazon.com/ebs/latest/userguide/using_cloudwatch_ebs.html
        of_instance, of_volume = _DISK[measure]
        instance = self.place("AWS/EC2", of_instance, alone)
        if not worker.volume_ids:
            return [instance]
        parts: list[Dimensions] = [(("VolumeId", volume),) for volume in worker.volume_ids]
        volumes = self.place("AWS/EBS", of_volume, *parts)
        return [volumes, instance] if ".metal" in worker.instance_type else [instance, volumes]

    def shared(self) -> tuple[Series, ...]:
        """Return where an agent may report several workers together, without a point for each."""
        image: Dimensions = (("ImageId", self.worker.image_id),)
        kind: Dimensions = (("InstanceType", self.worker.instance_type),)
        return self.place(*_MEMORY, image, kind, *_group(self.worker), ())


def _agent_dimensions(worker: Worker) -> tuple[Dimensions, ...]:
    """Return the sets of dimensions that the CloudWatch agent may use for a worker.

    The agent's wizard appends image, id and type, and in an Auto Scaling group the group's name.
    The other common set is InstanceId alone, by `aggregation_dimensions` of `[["InstanceId"]]`. An
    agent that appends nothing reports only `host`, the machine's own name.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch-Agent-Configuration-File-Details.html
    """
    alone: Dimensions = (("InstanceId", worker.id),)
    if not worker.image_id:
        return (alone,)
    typed = ("InstanceType", worker.instance_type)
    full: Dimensions = (("ImageId", worker.image_id), *alone, typed)
    grouped = [(*group, *full) for group in _group(worker)]
    name = worker.private_dns_name or ""
    # The machine's possible names: its private DNS name, with and without the domain.
    names = dict.fromkeys(filter(None, (name, name.partition(".")[0])))
    hosts: list[Dimensions] = [(("host", host),) for host in names]
    return (full, alone, *grouped, *hosts, (*alone, typed))


def _group(worker: Worker) -> list[Dimensions]:
    name = worker.auto_scaling_group
    return [(("AutoScalingGroupName", name),)] if name else []


class History:
    """Remembers where metrics were found, so that the next search begins there.

    May be used from many threads.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._own: dict[tuple[str, Measure], str] = {}
        self._forms: Counter[str] = Counter()

    def note(self, search: Search, place: Place) -> None:
        form = _form(place)
        with self._lock:
            if self._own.get(search.key) != form:
                self._own[search.key] = form
                self._forms[form] += 1

    def places(self, search: Search) -> list[Place]:
        """Return where to search: first the instance's known place, then the most frequent ones."""
        with self._lock:
            own = self._own.get(search.key)
            return sorted(
                search.places(), key=lambda place: (_form(place) != own, -self._forms[_form(place)])
            )


def _form(place: Place) -> str:
    """Return what corresponding places of all workers have in common."""
    return f"{place[0].source}: {place[0].dimension_names}"


Query = Callable[[Sequence[Series]], Mapping[Series, PointsOrError]]


def measure(
    query: Query,
    workers: Sequence[Worker],
    measures: Sequence[Measure],
    window: timedelta,
    now: datetime,
    history: History,
) -> list[Utilization]:
    """Measure each of *workers* in the last *window* before *now*, by *query*.

    Raises CredentialsError, and InputError for a window that CloudWatch cannot answer.
    """
    windows = {
        detailed: window_of(window, now, detailed=detailed)
        for detailed in {worker.detailed_monitoring for worker in workers}
    }
    by_worker = [
        [Search(worker, kind, windows[worker.detailed_monitoring]) for kind in measures]
        for worker in workers
    ]
    searches = [search for row in by_worker for search in row]
    metrics = _answered(query, searches, history)
    missing = {search: _why_missing(search) for search in searches if search not in metrics}
    metrics |= missing | _shared_only(query, missing)
    return [
        Utilization(
            worker.id,
            worker.region,
            windows[worker.detailed_monitoring].start,
            now,
            {search.measure: metrics[search] for search in row},
        )
        for worker, row in zip(workers, by_worker, strict=True)
    ]


def _answered(query: Query, searches: Sequence[Search], history: History) -> dict[Search, Metric]:
    """Return the metric of each search that found points, or was refused.

    If all points are old, the place with the newest point is used.
    """
    metrics = {search: metric for search in searches if (metric := _of_stopped(search))}
    stale: dict[Search, Metric] = {}
    left = {search: history.places(search) for search in searches}
    while tried := [
        (search, untried.pop(0))
        for search, untried in left.items()
        if search not in metrics and untried
    ]:
        answers = query([series for _, place in tried for series in place])
        for search, place in tried:
            points = _summed([answers[series] for series in place])
            if isinstance(points, AwsError):
                reason = next(reason for kind, reason in BY_ERROR if isinstance(points, kind))
                metrics[search] = search.metric(unknown=reason, detail=points.message)
            elif points:
                history.note(search, place)
                metric = _with_points(search, place[0], points)
                if metric.unknown is None:
                    metrics[search] = metric
                elif search not in stale or stale[search].points[-1].at < points[-1].at:
                    stale[search] = metric
    return stale | metrics


def _of_stopped(search: Search) -> Metric | None:
    state = search.worker.state
    if state == "running":
        return None
    return search.metric(
        unknown=Unknown.NOT_RUNNING,
        detail=f"the worker is {state}",
        advice=_UNTIL_IT_RUNS.get(state),
    )


def _with_points(search: Search, series: Series, points: tuple[Point, ...]) -> Metric:
    """Return the metric of *points*; stale if the last two periods have none."""
    period = timedelta(seconds=search.window.period)
    metric = search.metric(points=points, dimensions=series.dimensions, source=series.source)
    if search.window.end - (points[-1].at + period) <= 2 * period:
        return metric
    last = f"the last point is from {points[-1].at:%Y-%m-%d %H:%M} UTC"
    return replace(metric, unknown=Unknown.STALE, detail=last)


def _summed(answers: Sequence[PointsOrError]) -> PointsOrError:
    """Return the sum of *answers* at the times that all have, or the first error."""
    if len(answers) == 1:
        return answers[0]
    by_time = []
    for answer in answers:
        if isinstance(answer, AwsError):
            return answer
        by_time.append({point.at: point for point in answer})
    return tuple(
        Point(
            at,
            sum(points[at].average for points in by_time),
            sum(points[at].maximum for points in by_time),
            min(points[at].samples for points in by_time),
        )
        for at in sorted(set.intersection(*map(set, by_time)))
    )


def _why_missing(search: Search) -> Metric:
    worker, window = search.worker, search.window
    two_periods = timedelta(seconds=2 * window.period)
    tried = [place[0] for place in search.places()]
    if worker.launched_at and window.end - worker.launched_at < two_periods:
        age = int((window.end - worker.launched_at).total_seconds())
        reason = Unknown.TOO_YOUNG
        detail = f"started {age} s ago, and a period is {window.period} s"
    elif window.duration < two_periods:
        reason = Unknown.WINDOW_TOO_SHORT
        detail = f"the window holds fewer than two periods of {window.period} s"
    elif search.measure is not Measure.MEMORY:
        reason = Unknown.NO_DATA
        names = " or ".join(series.source for series in tried)
        detail = f"no {names} in the window"
    elif not worker.image_id:
        reason = Unknown.NOT_IDENTIFIED
        detail = "only the dimension InstanceId could be tried"
    else:
        reason = Unknown.NO_AGENT
        names = "; ".join(series.dimension_names for series in tried)
        detail = f"no mem_used_percent under the dimensions: {names}"
    return search.metric(unknown=reason, detail=detail)


def _shared_only(query: Query, missing: Mapping[Search, Metric]) -> dict[Search, Metric]:
    """Return the metrics that the agent reports only for several workers together.

    This takes few calls, because workers of one image, type or group share metrics.
    """
    shared = {
        search: search.shared()
        for search, metric in missing.items()
        if metric.unknown is Unknown.NO_AGENT
    }
    distinct = list(dict.fromkeys(chain.from_iterable(shared.values())))
    answers = query(distinct) if distinct else {}
    metrics = {}
    for search, row in shared.items():
        with_points = [
            series.dimension_names
            for series in row
            if answers[series] and not isinstance(answers[series], AwsError)
        ]
        if with_points:
            metrics[search] = search.metric(
                unknown=Unknown.OTHER_DIMENSIONS,
                detail="mem_used_percent exists only under these dimensions, so it belongs to no "
                f"single worker: {'; '.join(with_points)}",
            )
    return metrics
