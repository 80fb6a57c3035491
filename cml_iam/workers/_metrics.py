"""How busy workers are, from CloudWatch; where that is unknown, why, and what to do about it.

Places where a metric may be are tried in rounds: in each, everything still unknown is asked for at
once, of GetMetricStatistics in threads or of GetMetricData in batches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from cml_iam import errors
from cml_iam.workers._metric import (
    UNTIL_IT_RUNS,
    Measure,
    Metric,
    Point,
    Unknown,
    Utilization,
)
from cml_iam.workers._metric_places import Found, Place, Wanted, wanted_of
from cml_iam.workers._metric_series import Answer, AskFor, Series
from cml_iam.workers._metric_window import Window, window_of
from cml_iam.workers._model import Worker, check_id

if TYPE_CHECKING:
    from collections.abc import Iterator

_BY_ERROR: Final = (
    (errors.DeniedError, Unknown.NO_PERMISSION),
    (errors.ThrottledError, Unknown.THROTTLED),
    (errors.NotOfferedError, Unknown.NOT_OFFERED),
    (errors.UnreachableError, Unknown.NO_ANSWER),
    (errors.AwsError, Unknown.FAILED),
)


@dataclass(slots=True)
class _Search:
    """One measure of one worker: the places still to try, and what was found so far."""

    id: str
    region: str
    window: Window
    wanted: Wanted
    worker: Worker | None
    places: list[Place]
    stale: Metric | None = None
    metric: Metric | None = None

    @property
    def open(self) -> bool:
        return self.metric is None and bool(self.places)

    def series(self, place: Place) -> list[Series]:
        rate = self.wanted.measure.is_rate
        return [
            Series(place.namespace, place.metric, part, rate, self.region, self.window)
            for part in place.parts
        ]

    def made(self, **given: object) -> Metric:
        measure = self.wanted.measure
        made = Metric(measure.value, self.window.period, unit=measure.unit)
        return replace(made, **given)  # type: ignore[arg-type] # the fields of Metric


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom to measure: *worker*, or where only that is known an *id* in a *region*."""

    id: str
    region: str
    worker: Worker | None = field(default=None, compare=False)


def subject_of(worker: Worker | str, region: str) -> Subject:
    """Return *worker*, or the instance of that id in *region*, as whom to measure."""
    if isinstance(worker, Worker):
        return Subject(worker.id, worker.region, worker)
    return Subject(check_id(worker), region)


def measure(
    ask: AskFor,
    subjects: Sequence[Subject],
    measures: Sequence[Measure],
    window: timedelta,
    now: datetime,
    found: Found,
) -> list[Utilization]:
    """Return how busy each of *subjects* was in the last *window* before *now*, by *ask*.

    Raises CredentialsError, and InputError for a window CloudWatch cannot answer.
    """
    frames = {
        detailed: window_of(window, now, detailed=detailed)
        for detailed in {_is_detailed(each) for each in subjects}
    }
    searches = {
        (subject.id, each): _search(subject, each, frames[_is_detailed(subject)], found)
        for subject in subjects
        for each in measures
    }
    while opened := [each for each in searches.values() if each.open]:
        _try_next(ask, opened, found)
    _explain(ask, list(searches.values()))
    return [
        Utilization(
            subject.id,
            subject.region,
            frames[_is_detailed(subject)].start,
            now,
            {each: _metric_of(searches[subject.id, each]) for each in measures},
        )
        for subject in subjects
    ]


def _is_detailed(subject: Subject) -> bool:
    return subject.worker is not None and subject.worker.detailed_monitoring


def _search(subject: Subject, asked: Measure, window: Window, found: Found) -> _Search:
    wanted = wanted_of(asked, subject.id, subject.worker)
    places = list(found.ordered(subject.id, asked, wanted.places))
    made = _Search(subject.id, subject.region, window, wanted, subject.worker, places)
    worker = subject.worker
    if worker and worker.state != "running":
        made.metric = made.made(
            unknown=Unknown.NOT_RUNNING,
            detail=f"the worker is {worker.state}",
            advice=UNTIL_IT_RUNS.get(worker.state),
        )
    return made


def _try_next(ask: AskFor, searches: Sequence[_Search], found: Found) -> None:
    """Ask for the next place of each of *searches*, all at once."""
    tried = [(each, each.places.pop(0)) for each in searches]
    answers = ask([series for each, place in tried for series in each.series(place)])
    for each, place in tried:
        points = _summed([answers[series] for series in each.series(place)])
        if isinstance(points, errors.AwsError):
            reason = next(reason for kind, reason in _BY_ERROR if isinstance(points, kind))
            each.metric = each.made(unknown=reason, detail=points.message)
        elif points:
            _take(each, place, points)
            found.note(each.id, each.wanted.measure, place)


def _take(search: _Search, place: Place, points: tuple[Point, ...]) -> None:
    """Note *points* as the answer, or as a stale one that another place may better."""
    window = search.window
    made = search.made(
        points=points, dimensions=place.parts[0], source=f"{place.namespace} {place.metric}"
    )
    silent_since = points[-1].at + timedelta(seconds=window.period)
    if window.end - silent_since <= timedelta(seconds=2 * window.period):
        search.metric = made
        return
    last = f"the last point is of {points[-1].at:%Y-%m-%d %H:%M} UTC"
    if search.stale is None or search.stale.points[-1].at < points[-1].at:
        search.stale = replace(made, unknown=Unknown.STALE, detail=last)


def _summed(answers: Sequence[Answer]) -> Answer:
    """Return the sum of *answers* where all of them have a point; the first error, if any."""
    by_time: list[Mapping[datetime, Point]] = []
    for each in answers:
        if isinstance(each, errors.AwsError):
            return each
        by_time.append({point.at: point for point in each})
    if len(by_time) == 1:
        return answers[0]
    shared = sorted(set.intersection(*map(set, by_time)))
    return tuple(
        Point(
            at,
            sum(each[at].average for each in by_time),
            sum(each[at].maximum for each in by_time),
            min(each[at].samples for each in by_time),
        )
        for at in shared
    )


def _metric_of(search: _Search) -> Metric:
    if search.metric or search.stale:
        return search.metric or search.stale or search.made()
    reason, detail = _why_missing(search)
    return search.made(unknown=reason, detail=detail)


def _why_missing(search: _Search) -> tuple[Unknown, str]:
    worker, window = search.worker, search.window
    two_periods = timedelta(seconds=2 * window.period)
    if worker and worker.launched_at and window.end - worker.launched_at < two_periods:
        age = int((window.end - worker.launched_at).total_seconds())
        return Unknown.TOO_YOUNG, f"started {age} s ago, and a period has {window.period} s"
    if window.asked < two_periods:
        return Unknown.WINDOW_TOO_SHORT, f"the window holds fewer than two of {window.period} s"
    if search.wanted.measure is not Measure.MEMORY:
        tried = " or ".join(f"{each.namespace} {each.metric}" for each in search.wanted.places)
        return Unknown.NO_DATA, f"no {tried} in the window"
    if worker is None:
        return Unknown.NOT_IDENTIFIED, "only the dimension InstanceId could be tried"
    tried = "; ".join(_names(place) for place in search.wanted.places)
    return Unknown.NO_AGENT, f"no mem_used_percent under the dimensions: {tried}"


def _explain(ask: AskFor, searches: Sequence[_Search]) -> None:
    """Look whether what is missing is reported where no single worker can be told.

    Few calls: workers of one image, type or group share them.
    """
    missing = [
        each
        for each in searches
        if each.wanted.others and not (each.metric or each.stale)
        and _why_missing(each)[0] is Unknown.NO_AGENT
    ]  # fmt: skip
    asked = {one: place for each in missing for place, one in _others(each)}
    answers = ask(list(asked)) if asked else {}
    for each in missing:
        there = [_names(place) for place, one in _others(each) if _has_points(answers[one])]
        if there:
            each.metric = each.made(
                unknown=Unknown.OTHER_DIMENSIONS,
                detail="mem_used_percent is there under these dimensions only, and so is no single "
                f"worker's: {'; '.join(there)}",
            )


def _others(search: _Search) -> Iterator[tuple[Place, Series]]:
    return ((place, one) for place in search.wanted.others for one in search.series(place))


def _has_points(answer: Answer) -> bool:
    return not isinstance(answer, errors.AwsError) and bool(answer)


def _names(place: Place) -> str:
    return ", ".join(name for name, _ in place.parts[0]) or "none"
