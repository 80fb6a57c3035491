"""The metrics of many workers in few calls, by GetMetricData; a permission of its own.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from cml_iam.errors import AwsError, DeniedError
from cml_iam.workers._metric import Dimensions, Point
from cml_iam.workers._metrics import Source, Wanted, Window, as_aws
from cml_iam.workers._model import in_utc

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws

MAX_QUERIES: Final = 500
MAX_POINTS: Final = 100_800
STATISTICS: Final = ("Average", "Maximum", "SampleCount")


@dataclass(frozen=True, slots=True)
class Series:
    """One metric under one set of dimensions, in a region and a window."""

    wanted: Wanted
    dimensions: Dimensions
    region: str
    window: Window


def data_of(aws: Aws, batch: Sequence[Series]) -> dict[Series, tuple[Point, ...] | AwsError]:
    """Ask for all of *batch*, of one region and one window, in one call (and its further pages)."""
    series = {f"q{number}": each for number, each in enumerate(batch)}
    first = batch[0]
    results = aws.pages(
        "cloudwatch",
        "get_metric_data",
        "MetricDataResults",
        region=first.region,
        MetricDataQueries=[
            _query(f"{name}_{statistic.lower()}", each, statistic)
            for name, each in series.items()
            for statistic in STATISTICS
        ],
        StartTime=first.window.start,
        EndTime=first.window.end,
        ScanBy="TimestampAscending",
    )
    values, failures = _merged(results)
    return {
        each: failures[name] if name in failures else _points(values[name])
        for name, each in series.items()
    }


def batches(series: Iterable[Series]) -> Iterator[list[Series]]:
    """Yield *series* by region and window, as many together as one call takes."""
    groups: dict[tuple[str, Window], list[Series]] = defaultdict(list)
    for each in series:
        groups[each.region, each.window].append(each)
    for (_, window), group in groups.items():
        length = (window.end - window.start).total_seconds()
        points = int(length // window.period + 1)
        size = max(1, min(MAX_QUERIES, MAX_POINTS // points) // len(STATISTICS))
        for start in range(0, len(group), size):
            yield group[start : start + size]


def known_points(known: dict[Series, tuple[Point, ...] | AwsError], otherwise: Source) -> Source:
    """Return the source that has *known* already; what is not there it asks of *otherwise*."""

    def points(
        wanted: Wanted, dimensions: Dimensions, region: str, window: Window
    ) -> tuple[Point, ...]:
        found = known.get(Series(wanted, dimensions, region, window))
        if isinstance(found, AwsError):
            raise found
        return otherwise(wanted, dimensions, region, window) if found is None else found

    return points


def _query(name: str, series: Series, statistic: str) -> dict[str, Any]:
    metric = {
        "Namespace": series.wanted.namespace,
        "MetricName": series.wanted.metric,
        "Dimensions": as_aws(series.dimensions),
    }
    stat = {"Metric": metric, "Period": series.window.period, "Stat": statistic}
    return {"Id": name, "MetricStat": stat, "ReturnData": True}


Values = dict[datetime, dict[str, float]]


def _merged(results: Iterable[dict[str, Any]]) -> tuple[dict[str, Values], dict[str, AwsError]]:
    """Return the values by series, time and statistic, and the series that AWS did not answer.

    A result may come in pieces, over several pages.
    """
    values: dict[str, Values] = defaultdict(lambda: defaultdict(dict))
    failures: dict[str, AwsError] = {}
    for result in results:
        name, _, statistic = result["Id"].partition("_")
        if result.get("StatusCode") in ("Forbidden", "InternalError"):
            failures[name] = _failure(result)
        for at, value in zip(result.get("Timestamps", ()), result.get("Values", ()), strict=True):
            values[name][in_utc(at) or at][statistic] = float(value)
    return values, failures


def _failure(result: dict[str, Any]) -> AwsError:
    said = "; ".join(each.get("Value", "") for each in result.get("Messages", ()))
    kind = DeniedError if result["StatusCode"] == "Forbidden" else AwsError
    return kind(f"CloudWatch answered {result['StatusCode']}: {said}", operation="GetMetricData")


def _points(values: Values) -> tuple[Point, ...]:
    return tuple(
        Point(at, one["average"], one.get("maximum", one["average"]), one.get("samplecount") or 1.0)
        for at, one in sorted(values.items())
        if "average" in one
    )
