"""Worker load from CloudWatch or, if it is unknown, the reason and a remedy.

Each set of dimensions is a separate metric, and a request for one metric does not find another's
points. The candidates for a measure are therefore tried in rounds. Each round requests everything
that is still unknown, with GetMetricStatistics in threads or GetMetricData in batches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
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


@dataclass(frozen=True, slots=True)
class Candidate:
    """A metric under the dimensions of *parts*; points of several parts are summed."""

    namespace: str
    metric: str
    parts: tuple[Dimensions, ...]

    @property
    def dimension_names(self) -> str:
        """The names of the dimensions, as a phrase."""
        return ", ".join(name for name, _ in self.parts[0]) or "none"

    @property
    def form(self) -> str:
        """The properties that corresponding candidates of all workers share."""
        return f"{self.namespace} {self.metric}: {self.dimension_names}"


def only_id(instance_id: str, region: str) -> Worker:
    """Return a running worker of which nothing but the id is known."""
    return Worker(instance_id, region, "running", instance_type="", image_id="")


def _candidates(measure: Measure, worker: Worker) -> tuple[Candidate, ...]:
    """Return where to search for *measure* of *worker* alone, in order."""
    alone: Dimensions = (("InstanceId", worker.id),)
    if measure is Measure.MEMORY:
        return tuple(map(_memory, _agent_dimensions(worker)))
    if measure in _INSTANCE:
        return (Candidate("AWS/EC2", _INSTANCE[measure], (alone,)),)
    # The instance's own metric, and the sum of its volumes: bare metal has only the latter.
    # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/viewing_metrics_with_cloudwatch.html
    # https://docs.aws.amazon.com/ebs/latest/userguide/using_cloudwatch_ebs.html
    of_instance, of_volume = _DISK[measure]
    instance = Candidate("AWS/EC2", of_instance, (alone,))
    if not worker.volume_ids:
        return (instance,)
    parts = tuple((("VolumeId", volume),) for volume in worker.volume_ids)
    volumes = Candidate("AWS/EBS", of_volume, parts)
    return (volumes, instance) if ".metal" in worker.instance_type else (instance, volumes)


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


def _shared(worker: Worker) -> list[Candidate]:
    """Return where an agent may report several workers together, without a point for each."""
    image: Dimensions = (("ImageId", worker.image_id),)
    kind: Dimensions = (("InstanceType", worker.instance_type),)
    return [_memory(dimensions) for dimensions in (image, kind, *_group(worker), ())]


def _group(worker: Worker) -> list[Dimensions]:
    name = worker.auto_scaling_group
    return [(("AutoScalingGroupName", name),)] if name else []


def _memory(dimensions: Dimensions) -> Candidate:
    return Candidate("CWAgent", "mem_used_percent", (dimensions,))


class History:
    """Remembers where metrics were found, so that the next search begins there.

    May be used from many threads.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._own: dict[tuple[str, Measure], str] = {}
        self._forms: Counter[str] = Counter()

    def note(self, search: Search, candidate: Candidate) -> None:
        """Record that *candidate* has points of what *search* is for."""
        with self._lock:
            if self._own.get(search.key) != candidate.form:
                self._own[search.key] = candidate.form
                self._forms[candidate.form] += 1

    def candidates(self, search: Search) -> list[Candidate]:
        """Return where to search: first the instance's known place, then the most frequent ones."""
        with self._lock:
            own = self._own.get(search.key)
            return sorted(
                _candidates(search.measure, search.worker),
                key=lambda candidate: (candidate.form != own, -self._forms[candidate.form]),
            )


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """The search for one measure of one worker in a window."""

    worker: Worker
    measure: Measure
    window: Window

    @property
    def key(self) -> tuple[str, Measure]:
        """What is searched for, at any time."""
        return self.worker.id, self.measure

    def series(self, candidate: Candidate) -> list[Series]:
        """Return the series to request for *candidate*."""
        rate, region = self.measure.is_rate, self.worker.region
        return [
            Series(candidate.namespace, candidate.metric, part, rate, region, self.window)
            for part in candidate.parts
        ]

    def metric(self, **fields: Any) -> Metric:
        """Return the result with *fields*."""
        measure = self.measure
        return Metric(measure.value, self.window.period, unit=measure.unit, **fields)


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
        [Search(worker, each, windows[worker.detailed_monitoring]) for each in measures]
        for worker in workers
    ]
    searches = [search for row in by_worker for search in row]
    metrics = _found(query, searches, history)
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


def _found(query: Query, searches: Sequence[Search], history: History) -> dict[Search, Metric]:
    """Return the metric of each search that found points, or was refused.

    If all points are old, the candidate with the newest point is used.
    """
    metrics = {search: metric for search in searches if (metric := _of_stopped(search))}
    stale: dict[Search, Metric] = {}
    left = {search: history.candidates(search) for search in searches}
    while tried := [
        (search, untried.pop(0))
        for search, untried in left.items()
        if search not in metrics and untried
    ]:
        answers = query([series for search, place in tried for series in search.series(place)])
        for search, candidate in tried:
            points = _summed([answers[series] for series in search.series(candidate)])
            if isinstance(points, AwsError):
                reason = next(reason for kind, reason in BY_ERROR if isinstance(points, kind))
                metrics[search] = search.metric(unknown=reason, detail=points.message)
            elif points:
                history.note(search, candidate)
                metric = _with_points(search, candidate, points)
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


def _with_points(search: Search, candidate: Candidate, points: tuple[Point, ...]) -> Metric:
    """Return the metric of *points*; stale if the last two periods have none."""
    period = timedelta(seconds=search.window.period)
    metric = search.metric(
        points=points,
        dimensions=candidate.parts[0],
        source=f"{candidate.namespace} {candidate.metric}",
    )
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
    tried = _candidates(search.measure, worker)
    if worker.launched_at and window.end - worker.launched_at < two_periods:
        age = int((window.end - worker.launched_at).total_seconds())
        reason = Unknown.TOO_YOUNG
        detail = f"started {age} s ago, and a period is {window.period} s"
    elif window.asked < two_periods:
        reason = Unknown.WINDOW_TOO_SHORT
        detail = f"the window holds fewer than two periods of {window.period} s"
    elif search.measure is not Measure.MEMORY:
        reason = Unknown.NO_DATA
        names = " or ".join(f"{candidate.namespace} {candidate.metric}" for candidate in tried)
        detail = f"no {names} in the window"
    elif not worker.image_id:
        reason = Unknown.NOT_IDENTIFIED
        detail = "only the dimension InstanceId could be tried"
    else:
        reason = Unknown.NO_AGENT
        names = "; ".join(candidate.dimension_names for candidate in tried)
        detail = f"no mem_used_percent under the dimensions: {names}"
    return search.metric(unknown=reason, detail=detail)


def _shared_only(query: Query, missing: Mapping[Search, Metric]) -> dict[Search, Metric]:
    """Return the metrics that the agent reports only for several workers together.

    This takes few calls, because workers of one image, type or group share metrics.
    """
    places = {
        search: [(place, search.series(place)[0]) for place in _shared(search.worker)]
        for search, metric in missing.items()
        if metric.unknown is Unknown.NO_AGENT
    }
    wanted = dict.fromkeys(series for row in places.values() for _, series in row)
    answers = query(list(wanted)) if wanted else {}
    metrics = {}
    for search, row in places.items():
        with_points = [
            place.dimension_names
            for place, series in row
            if answers[series] and not isinstance(answers[series], AwsError)
        ]
        if with_points:
            metrics[search] = search.metric(
                unknown=Unknown.OTHER_DIMENSIONS,
                detail="mem_used_percent exists only under these dimensions, so it belongs to no "
                f"single worker: {'; '.join(with_points)}",
            )
    return metrics
