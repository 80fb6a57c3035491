"""Worker load from CloudWatch or, if it is unknown, the reason and a remedy.

Each set of dimensions is a separate metric, and a request for one metric does not find another's
points. The candidates for a measure are therefore tried in rounds. Each round requests everything
that is still unknown, with GetMetricStatistics in threads or GetMetricData in batches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, Final

from cml_iam import errors
from cml_iam.workers._metric import (
    UNTIL_IT_RUNS,
    Dimensions,
    Measure,
    Metric,
    Point,
    Unknown,
    Utilization,
)
from cml_iam.workers._metric_series import PointsOrError, Query, Series, Window, window_of
from cml_iam.workers._model import Worker, check_id

_BY_ERROR: Final = (
    (errors.DeniedError, Unknown.NO_PERMISSION),
    (errors.ThrottledError, Unknown.THROTTLED),
    (errors.NotOfferedError, Unknown.NOT_OFFERED),
    (errors.UnreachableError, Unknown.NO_ANSWER),
    (errors.AwsError, Unknown.FAILED),
)
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


@dataclass(frozen=True, slots=True)
class Subject:
    """What to measure: a *worker*, or an *id* in a *region* if nothing more is known."""

    id: str
    region: str
    worker: Worker | None = field(default=None, compare=False)

    @property
    def detailed(self) -> bool:
        """Whether the instance is known to report every minute."""
        return self.worker is not None and self.worker.detailed_monitoring


def subject_of(worker: Worker | str, region: str) -> Subject:
    """Return *worker*, or the instance of that id in *region*, as a subject."""
    if isinstance(worker, Worker):
        return Subject(worker.id, worker.region, worker)
    return Subject(check_id(worker), region)


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


def candidates(measure: Measure, subject: Subject) -> tuple[Candidate, ...]:
    """Return where to search for *measure* of *subject* alone, in order."""
    alone: Dimensions = (("InstanceId", subject.id),)
    if measure in _INSTANCE:
        return (Candidate("AWS/EC2", _INSTANCE[measure], (alone,)),)
    if measure in _DISK:
        return _disk_candidates(measure, alone, subject.worker)
    return tuple(_memory(dimension) for dimension in agent_dimensions(subject.id, subject.worker))


def agent_dimensions(instance_id: str, worker: Worker | None) -> tuple[Dimensions, ...]:
    """Return the sets of dimensions that the CloudWatch agent may use for a worker.

    The agent's wizard appends image, id and type, and in an Auto Scaling group the group's name.
    The other common set is InstanceId alone, by `aggregation_dimensions` of `[["InstanceId"]]`. An
    agent that appends nothing reports only `host`, the machine's own name.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch-Agent-Configuration-File-Details.html
    """
    alone: Dimensions = (("InstanceId", instance_id),)
    if worker is None:
        return (alone,)
    typed = ("InstanceType", worker.instance_type)
    full: Dimensions = (("ImageId", worker.image_id), *alone, typed)
    grouped = [(*group, *full) for group in _group(worker)]
    hosts: list[Dimensions] = [(("host", name),) for name in _host_names(worker)]
    return (full, alone, *grouped, *hosts, (*alone, typed))


def _group(worker: Worker) -> list[Dimensions]:
    name = worker.auto_scaling_group
    return [(("AutoScalingGroupName", name),)] if name else []


def _host_names(worker: Worker) -> list[str]:
    """Return the machine's possible names: its private DNS name, with and without the domain."""
    name = worker.private_dns_name or ""
    return list(dict.fromkeys(text for text in (name, name.partition(".")[0]) if text))


def _shared(measure: Measure, worker: Worker | None) -> tuple[Candidate, ...]:
    """Return where an agent may report several workers together, without a point for each."""
    if measure is not Measure.MEMORY or worker is None:
        return ()
    image: Dimensions = (("ImageId", worker.image_id),)
    kind: Dimensions = (("InstanceType", worker.instance_type),)
    return tuple(_memory(each) for each in (image, kind, *_group(worker), ()))


def _memory(dimensions: Dimensions) -> Candidate:
    return Candidate("CWAgent", "mem_used_percent", (dimensions,))


def _disk_candidates(
    measure: Measure, alone: Dimensions, worker: Worker | None
) -> tuple[Candidate, ...]:
    """Return the instance's own metric, and the sum of its volumes: bare metal has only the latter.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/viewing_metrics_with_cloudwatch.html
    https://docs.aws.amazon.com/ebs/latest/userguide/using_cloudwatch_ebs.html
    """
    of_instance, of_volume = _DISK[measure]
    instance = Candidate("AWS/EC2", of_instance, (alone,))
    if worker is None or not worker.volume_ids:
        return (instance,)
    parts = tuple((("VolumeId", volume),) for volume in worker.volume_ids)
    volumes = Candidate("AWS/EBS", of_volume, parts)
    return (volumes, instance) if ".metal" in worker.instance_type else (instance, volumes)


class History:
    """Remembers where metrics were found, so that the next search begins there.

    May be used from many threads.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._own: dict[tuple[str, Measure], str] = {}
        self._forms: Counter[str] = Counter()

    def note(self, instance_id: str, measure: Measure, candidate: Candidate) -> None:
        """Record that *candidate* has points of *measure* for the instance."""
        with self._lock:
            if self._own.get((instance_id, measure)) != candidate.form:
                self._own[instance_id, measure] = candidate.form
                self._forms[candidate.form] += 1

    def ordered(
        self, instance_id: str, measure: Measure, candidates: Sequence[Candidate]
    ) -> list[Candidate]:
        """Return *candidates* in order: the instance's known one, then the most frequent ones."""
        with self._lock:
            own = self._own.get((instance_id, measure))
            return sorted(candidates, key=lambda each: (each.form != own, -self._forms[each.form]))


@dataclass(frozen=True, slots=True)
class _Search:
    """The search for one measure of one subject in a window."""

    subject: Subject
    measure: Measure
    window: Window

    def series(self, candidate: Candidate) -> list[Series]:
        rate, region = self.measure.is_rate, self.subject.region
        return [
            Series(candidate.namespace, candidate.metric, part, rate, region, self.window)
            for part in candidate.parts
        ]

    def metric(self, **fields: Any) -> Metric:
        measure = self.measure
        return Metric(measure.value, self.window.period, unit=measure.unit, **fields)


def measure(
    query: Query,
    subjects: Sequence[Subject],
    measures: Sequence[Measure],
    window: timedelta,
    now: datetime,
    history: History,
) -> list[Utilization]:
    """Measure each of *subjects* in the last *window* before *now*, by *query*.

    Raises CredentialsError, and InputError for a window that CloudWatch cannot answer.
    """
    windows = {
        detailed: window_of(window, now, detailed=detailed)
        for detailed in {subject.detailed for subject in subjects}
    }
    searches = [
        _Search(subject, each, windows[subject.detailed])
        for subject in subjects
        for each in measures
    ]
    metrics = _found(query, searches, history)
    missing = {search: _why_missing(search) for search in searches if search not in metrics}
    metrics |= missing | _shared_only(query, missing)
    return [
        Utilization(
            subject.id,
            subject.region,
            windows[subject.detailed].start,
            now,
            {each: metrics[_Search(subject, each, windows[subject.detailed])] for each in measures},
        )
        for subject in subjects
    ]


def _found(query: Query, searches: Sequence[_Search], history: History) -> dict[_Search, Metric]:
    """Return the metric of each search that found points, or was refused.

    If all points are old, the candidate with the newest point is used.
    """
    metrics = {each: metric for each in searches if (metric := _of_stopped(each))}
    stale: dict[_Search, Metric] = {}
    left = {
        each: history.ordered(each.subject.id, each.measure, candidates(each.measure, each.subject))
        for each in searches
    }
    while tried := [
        (each, left[each].pop(0)) for each in left if each not in metrics and left[each]
    ]:
        answers = query([series for each, at in tried for series in each.series(at)])
        for search, candidate in tried:
            points = _summed([answers[series] for series in search.series(candidate)])
            if isinstance(points, errors.AwsError):
                reason = next(reason for kind, reason in _BY_ERROR if isinstance(points, kind))
                metrics[search] = search.metric(unknown=reason, detail=points.message)
            elif points:
                history.note(search.subject.id, search.measure, candidate)
                metric = _with_points(search, candidate, points)
                if metric.unknown is None:
                    metrics[search] = metric
                elif search not in stale or stale[search].points[-1].at < points[-1].at:
                    stale[search] = metric
    return stale | metrics


def _of_stopped(search: _Search) -> Metric | None:
    worker = search.subject.worker
    if worker is None or worker.state == "running":
        return None
    return search.metric(
        unknown=Unknown.NOT_RUNNING,
        detail=f"the worker is {worker.state}",
        advice=UNTIL_IT_RUNS.get(worker.state),
    )


def _with_points(search: _Search, candidate: Candidate, points: tuple[Point, ...]) -> Metric:
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
    by_time: list[Mapping[datetime, Point]] = []
    for answer in answers:
        if isinstance(answer, errors.AwsError):
            return answer
        by_time.append({point.at: point for point in answer})
    if len(by_time) == 1:
        return answers[0]
    shared = sorted(set.intersection(*map(set, by_time)))
    return tuple(
        Point(
            at,
            sum(points[at].average for points in by_time),
            sum(points[at].maximum for points in by_time),
            min(points[at].samples for points in by_time),
        )
        for at in shared
    )


def _why_missing(search: _Search) -> Metric:
    worker, window = search.subject.worker, search.window
    two_periods = timedelta(seconds=2 * window.period)
    tried = candidates(search.measure, search.subject)
    if worker and worker.launched_at and window.end - worker.launched_at < two_periods:
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
    elif worker is None:
        reason = Unknown.NOT_IDENTIFIED
        detail = "only the dimension InstanceId could be tried"
    else:
        reason = Unknown.NO_AGENT
        names = "; ".join(candidate.dimension_names for candidate in tried)
        detail = f"no mem_used_percent under the dimensions: {names}"
    return search.metric(unknown=reason, detail=detail)


def _shared_only(query: Query, missing: Mapping[_Search, Metric]) -> dict[_Search, Metric]:
    """Return the metrics that the agent reports only for several workers together.

    This takes few calls, because workers of one image, type or group share metrics.
    """
    searches = [each for each, why in missing.items() if why.unknown is Unknown.NO_AGENT]
    series = {one: None for each in searches for _, one in _shared_series(each)}
    answers = query(list(series)) if series else {}
    metrics = {}
    for search in searches:
        names = [
            candidate.dimension_names
            for candidate, one in _shared_series(search)
            if not isinstance(answers[one], errors.AwsError) and answers[one]
        ]
        if names:
            metrics[search] = search.metric(
                unknown=Unknown.OTHER_DIMENSIONS,
                detail="mem_used_percent exists only under these dimensions, so it belongs to no "
                f"single worker: {'; '.join(names)}",
            )
    return metrics


def _shared_series(search: _Search) -> Iterator[tuple[Candidate, Series]]:
    for candidate in _shared(search.measure, search.subject.worker):
        for series in search.series(candidate):
            yield candidate, series
