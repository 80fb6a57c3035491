"""Request series of data points from CloudWatch: one per call, or many in one call.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from cml_iam.errors import AwsError, CredentialsError, DeniedError, InputError
from cml_iam.workers._metric import Dimensions, Point
from cml_iam.workers._model import in_utc
from cml_iam.workers._threads import in_threads

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws


DEFAULT_WINDOW: Final = timedelta(minutes=15)
"""Three periods of basic monitoring; a shorter window often has no data point."""

BASIC_PERIOD, DETAILED_PERIOD = 300, 60
MAX_POINTS = 1440
"""The maximum number of points in one GetMetricStatistics answer.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html
"""

_PERIODS = (60, 300, 900, 3600, 21600, 86400)
# One-minute points are kept for 15 days, five-minute points for 63, hourly points for 455.
_KEPT = ((timedelta(days=63), 3600), (timedelta(days=15), 300))


@dataclass(frozen=True, slots=True)
class Window:
    """The whole periods, of *period* seconds, that cover the duration *asked* before *end*."""

    start: datetime
    end: datetime
    period: int
    asked: timedelta


def choose_period(window: timedelta, *, detailed: bool) -> int:
    """Return the smallest period, in seconds, that monitoring, limits and retention allow."""
    seconds = window.total_seconds()
    least = DETAILED_PERIOD if detailed else BASIC_PERIOD
    for age, kept in _KEPT:
        if window > age:
            least = max(least, kept)
    for period in _PERIODS:
        if period >= least and seconds / period <= MAX_POINTS:
            return period
    raise InputError("the window is longer than CloudWatch keeps points: 455 days")


def window_of(window: timedelta, now: datetime, *, detailed: bool) -> Window:
    """Return the whole periods that cover the last *window* before *now*.

    Raises InputError for a window that CloudWatch cannot answer.
    """
    if window < timedelta(minutes=1):
        raise InputError(
            "the window is shorter than a minute", remedy="EC2 reports every minute at the finest"
        )
    if window > timedelta(days=455):
        raise InputError("the window is longer than CloudWatch keeps points: 455 days")
    period = choose_period(window, detailed=detailed)
    # The window begins with a period, so that the first point covers a whole period.
    start = int((now - window).timestamp()) // period * period
    return Window(datetime.fromtimestamp(start, UTC), now, period, window)


THREADS: Final = 32
"""The number of concurrent calls, which is the client's number of connections.

CloudWatch allows 400 calls a second.
"""


@dataclass(frozen=True, slots=True)
class Series:
    """One metric under one set of dimensions, in a region and a window.

    For a *rate*, a period's bytes are requested and divided by its seconds. An unfinished period is
    omitted, because its rate would be too low.
    """

    namespace: str
    metric: str
    dimensions: Dimensions
    rate: bool
    region: str
    window: Window

    @property
    def statistics(self) -> tuple[str, ...]:
        """The statistics requested for each period."""
        return ("Sum",) if self.rate else ("Average", "Maximum", "SampleCount")

    def as_aws(self) -> dict[str, Any]:
        """Return the metric in the form of CloudWatch's API."""
        dimensions = [{"Name": name, "Value": value} for name, value in self.dimensions]
        return {
            "Namespace": self.namespace,
            "MetricName": self.metric,
            "Dimensions": dimensions,
        }

    def points(self, periods: Sequence[Mapping[str, Any]]) -> tuple[Point, ...]:
        """Return the points in *periods*, from their Timestamp and statistics."""
        made = (self._point(period) for period in periods)
        # AWS says that it returns the points in no particular order.
        return tuple(sorted((each for each in made if each), key=lambda point: point.at))

    def _point(self, raw: Mapping[str, Any]) -> Point | None:
        at = in_utc(raw.get("Timestamp"))
        if at is None:
            raise AwsError("a CloudWatch data point has no time", operation="GetMetricStatistics")
        if self.rate:
            if "Sum" not in raw or at + timedelta(seconds=self.window.period) > self.window.end:
                return None
            rate = float(raw["Sum"]) / self.window.period
            return Point(at, rate, rate, 1.0)
        if "Average" not in raw:
            return None
        average = float(raw["Average"])
        maximum = float(raw.get("Maximum", average))
        return Point(at, average, maximum, float(raw.get("SampleCount") or 1.0))


PointsOrError = tuple[Point, ...] | AwsError
Query = Callable[[Sequence[Series]], Mapping[Series, PointsOrError]]
"""Returns the points of each given series; raises only CredentialsError."""


def by_statistics(aws: Aws) -> Query:
    """Return a query that calls GetMetricStatistics for each series, several at a time."""

    def answer(series: Series) -> PointsOrError:
        try:
            said = aws.call(
                "cloudwatch",
                "get_metric_statistics",
                region=series.region,
                **series.as_aws(),
                StartTime=series.window.start,
                EndTime=series.window.end,
                Period=series.window.period,
                Statistics=list(series.statistics),
            )
            return series.points(said.get("Datapoints", ()))
        except CredentialsError:
            raise
        except AwsError as error:
            return error

    def ask(wanted: Sequence[Series]) -> Mapping[Series, PointsOrError]:
        return dict(zip(wanted, in_threads(answer, wanted, THREADS), strict=True))

    return ask


MAX_QUERIES: Final = 500
DATA_MAX_POINTS: Final = 100_800


def by_data(aws: Aws, otherwise: Query) -> Query:
    """Return a query that calls GetMetricData in batches, or *otherwise* if that is refused."""

    def answer(batch: Sequence[Series]) -> Mapping[Series, PointsOrError]:
        try:
            return _data_of(aws, batch)
        except DeniedError:
            return otherwise(batch)
        except CredentialsError:
            raise
        except AwsError as error:
            return dict.fromkeys(batch, error)

    def ask(wanted: Sequence[Series]) -> Mapping[Series, PointsOrError]:
        parts = in_threads(answer, list(batches(wanted)))
        return {series: points for part in parts for series, points in part.items()}

    return ask


def batches(series: Iterable[Series]) -> Iterator[list[Series]]:
    """Yield *series* in groups of one region and window, as many as one call accepts."""
    groups: dict[tuple[str, Window], list[Series]] = defaultdict(list)
    for sery in series:
        groups[sery.region, sery.window].append(sery)
    for (_, window), group in groups.items():
        length = (window.end - window.start).total_seconds()
        room = min(MAX_QUERIES, DATA_MAX_POINTS // int(length // window.period + 1))
        yield from _filled(group, room)


def _filled(group: Sequence[Series], room: int) -> Iterator[list[Series]]:
    """Yield *group* in parts of up to *room* statistics each."""
    batch: list[Series] = []
    used = 0
    for series in group:
        if batch and used + len(series.statistics) > room:
            yield batch
            batch, used = [], 0
        batch.append(series)
        used += len(series.statistics)
    yield batch


def _data_of(aws: Aws, batch: Sequence[Series]) -> dict[Series, PointsOrError]:
    """Request all of *batch*, of one region and window, in one call with all its pages."""
    named = {f"q{number}": each for number, each in enumerate(batch)}
    window = batch[0].window
    results = aws.pages(
        "cloudwatch",
        "get_metric_data",
        "MetricDataResults",
        region=batch[0].region,
        MetricDataQueries=[
            {
                "Id": f"{name}_{statistic.lower()}",
                "MetricStat": {
                    "Metric": each.as_aws(),
                    "Period": window.period,
                    "Stat": statistic,
                },
            }
            for name, each in named.items()
            for statistic in each.statistics
        ],
        StartTime=window.start,
        EndTime=window.end,
        ScanBy="TimestampAscending",
    )
    values, failures = _merged(results)
    return {
        each: failures[name] if name in failures else each.points(_periods(values[name]))
        for name, each in named.items()
    }


Values = dict[datetime, dict[str, Any]]
_NAMES: Final = {each.lower(): each for each in ("Average", "Maximum", "SampleCount", "Sum")}


def _merged(results: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Values], dict[str, AwsError]]:
    """Return the values by series, time and statistic, and the series without an answer from AWS.

    A result may come in parts, over several pages.
    """
    values: dict[str, Values] = defaultdict(lambda: defaultdict(dict))
    failures: dict[str, AwsError] = {}
    for result in results:
        name, _, statistic = result["Id"].partition("_")
        if result.get("StatusCode") in ("Forbidden", "InternalError"):
            failures[name] = _failure(result)
        for at, value in zip(result.get("Timestamps", ()), result.get("Values", ()), strict=True):
            values[name][at][_NAMES[statistic]] = value
    return values, failures


def _periods(values: Values) -> list[dict[str, Any]]:
    return [{"Timestamp": at, **one} for at, one in values.items()]


def _failure(result: Mapping[str, Any]) -> AwsError:
    said = "; ".join(each.get("Value", "") for each in result.get("Messages", ()))
    kind = DeniedError if result["StatusCode"] == "Forbidden" else AwsError
    return kind(f"CloudWatch answered {result['StatusCode']}: {said}", operation="GetMetricData")
