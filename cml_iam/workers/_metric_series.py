"""Request series of data points from CloudWatch: one per call, or many in one call.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cml_iam.aws.port import Aws
from cml_iam.errors import AwsError, CredentialsError, DeniedError, InputError
from cml_iam.workers._metric import Dimensions, Point
from cml_iam.workers._model import in_utc
from cml_iam.workers._threads import in_threads

DEFAULT_WINDOW: Final = timedelta(minutes=15)
"""Three periods of basic monitoring; a shorter window often has no data point."""

_LONGEST_WINDOW: Final = timedelta(days=455)
_PERIODS: Final = (60, 300, 900, 3600, 21600, 86400)
# One-minute points are kept for 15 days, five-minute points for 63, hourly points for 455.
_KEPT: Final = ((timedelta(days=63), 3600), (timedelta(days=15), 300))
_MAX_POINTS: Final = 1440
"""The maximum number of points in one GetMetricStatistics answer."""

_THREADS: Final = 32
"""The number of concurrent calls, which is the client's number of connections.

CloudWatch allows 400 calls a second.
"""

_MAX_QUERIES: Final = 500
_DATA_MAX_POINTS: Final = 100_800
"""The maximum numbers of statistics and of points in one GetMetricData call."""


@dataclass(frozen=True, slots=True)
class Window:
    """The whole periods, of *period* seconds, that cover the requested *duration* before *end*."""

    start: datetime
    end: datetime
    period: int
    duration: timedelta


def choose_period(window: timedelta, *, detailed: bool) -> int:
    """Return the smallest period, in seconds, that monitoring, limits and retention allow."""
    kept = (seconds for age, seconds in _KEPT if window > age)
    least = max(60 if detailed else 300, *kept, window.total_seconds() / _MAX_POINTS)
    return next(period for period in _PERIODS if period >= least)


def window_of(window: timedelta, now: datetime, *, detailed: bool) -> Window:
    """Return the whole periods that cover the last *window* before *now*.

    Raises InputError for a window that CloudWatch cannot answer.
    """
    if window < timedelta(minutes=1):
        raise InputError(
            "the window is shorter than a minute", remedy="EC2 reports every minute at the finest"
        )
    if window > _LONGEST_WINDOW:
        raise InputError("the window is longer than CloudWatch keeps points: 455 days")
    period = choose_period(window, detailed=detailed)
    # The window begins with a period, so that the first point covers a whole period.
    start = int((now - window).timestamp()) // period * period
    return Window(datetime.fromtimestamp(start, UTC), now, period, window)


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
    def source(self) -> str:
        return f"{self.namespace} {self.metric}"

    @property
    def dimension_names(self) -> str:
        return ", ".join(name for name, _ in self.dimensions) or "none"

    @property
    def statistics(self) -> tuple[str, ...]:
        return ("Sum",) if self.rate else ("Average", "Maximum", "SampleCount")

    def as_aws(self) -> dict[str, Any]:
        return {
            "Namespace": self.namespace,
            "MetricName": self.metric,
            "Dimensions": [{"Name": name, "Value": value} for name, value in self.dimensions],
        }

    def points(self, periods: Iterable[Mapping[str, Any]]) -> tuple[Point, ...]:
        """Return the points in *periods*, from their Timestamp and statistics."""
        points = filter(None, map(self._point, periods))
        # AWS says that it returns the points in no particular order.
        return tuple(sorted(points, key=lambda point: point.at))

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


def by_statistics(aws: Aws, requests: Sequence[Series]) -> dict[Series, PointsOrError]:
    """Return the points of *requests* by GetMetricStatistics, several calls at a time.

    Raises only CredentialsError.
    """

    def answer(series: Series) -> PointsOrError:
        try:
            statistics = aws.call(
                "cloudwatch",
                "get_metric_statistics",
                region=series.region,
                **series.as_aws(),
                StartTime=series.window.start,
                EndTime=series.window.end,
                Period=series.window.period,
                Statistics=list(series.statistics),
            )
            return series.points(statistics.get("Datapoints", ()))
        except CredentialsError:
            raise
        except AwsError as error:
            return error

    return dict(zip(requests, in_threads(answer, requests, _THREADS), strict=True))


def by_data(aws: Aws, requests: Sequence[Series]) -> dict[Series, PointsOrError]:
    """Return the points of *requests* by GetMetricData, or `by_statistics` if that is refused.

    Raises only CredentialsError.
    """

    def answer(batch: Sequence[Series]) -> dict[Series, PointsOrError]:
        try:
            return _data_of(aws, batch)
        except DeniedError:
            return by_statistics(aws, batch)
        except CredentialsError:
            raise
        except AwsError as error:
            return dict.fromkeys(batch, error)

    answers = in_threads(answer, list(_batches(requests)))
    return {series: points for part in answers for series, points in part.items()}


def _batches(requests: Iterable[Series]) -> Iterator[list[Series]]:
    """Yield the series in groups of one region and window, as many as one call accepts."""
    groups: dict[tuple[str, Window], list[Series]] = defaultdict(list)
    for series in requests:
        groups[series.region, series.window].append(series)
    for (_, window), group in groups.items():
        length = (window.end - window.start).total_seconds()
        room = min(_MAX_QUERIES, _DATA_MAX_POINTS // int(length // window.period + 1))
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
    window = batch[0].window
    queries = {
        f"q{number}_{statistic.lower()}": (series, statistic)
        for number, series in enumerate(batch)
        for statistic in series.statistics
    }
    results = aws.pages(
        "cloudwatch",
        "get_metric_data",
        "MetricDataResults",
        region=batch[0].region,
        MetricDataQueries=[
            {
                "Id": name,
                "MetricStat": {
                    "Metric": series.as_aws(),
                    "Period": window.period,
                    "Stat": statistic,
                },
            }
            for name, (series, statistic) in queries.items()
        ],
        StartTime=window.start,
        EndTime=window.end,
        ScanBy="TimestampAscending",
    )
    values: dict[Series, dict[datetime, dict[str, Any]]] = {series: {} for series in batch}
    failures: dict[Series, AwsError] = {}
    # A result may come in parts, over several pages.
    for result in results:
        series, statistic = queries[result["Id"]]
        if result.get("StatusCode") in ("Forbidden", "InternalError"):
            failures[series] = _failure(result)
        periods = values[series]
        for at, value in zip(result.get("Timestamps", ()), result.get("Values", ()), strict=True):
            periods.setdefault(at, {"Timestamp": at})[statistic] = value
    return {
        series: failures[series] if series in failures else series.points(periods.values())
        for series, periods in values.items()
    }


def _failure(result: Mapping[str, Any]) -> AwsError:
    messages = "; ".join(message.get("Value", "") for message in result.get("Messages", ()))
    kind = DeniedError if result["StatusCode"] == "Forbidden" else AwsError
    text = f"CloudWatch answered {result['StatusCode']}: {messages}"
    return kind(text, operation="GetMetricData")
