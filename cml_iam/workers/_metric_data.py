"""The metrics of many workers in few calls, by GetMetricData; a permission of its own.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from cml_iam.errors import AwsError, CredentialsError, DeniedError
from cml_iam.workers._metric_series import Answer, AskFor, Series
from cml_iam.workers._metric_window import Window
from cml_iam.workers._threads import in_threads

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws

MAX_QUERIES: Final = 500
MAX_POINTS: Final = 100_800


def by_data(aws: Aws, otherwise: AskFor) -> AskFor:
    """Return what asks GetMetricData in batches, and *otherwise* where that is refused."""

    def answer(batch: Sequence[Series]) -> Mapping[Series, Answer]:
        try:
            return _data_of(aws, batch)
        except DeniedError:
            return otherwise(batch)
        except CredentialsError:
            raise
        except AwsError as error:
            return dict.fromkeys(batch, error)

    def ask(wanted: Sequence[Series]) -> Mapping[Series, Answer]:
        parts = in_threads(answer, list(batches(wanted)))
        return {series: points for part in parts for series, points in part.items()}

    return ask


def batches(series: Iterable[Series]) -> Iterator[list[Series]]:
    """Yield *series* by region and window, as many together as one call takes."""
    groups: dict[tuple[str, Window], list[Series]] = defaultdict(list)
    for each in series:
        groups[each.region, each.window].append(each)
    for (_, window), group in groups.items():
        length = (window.end - window.start).total_seconds()
        room = min(MAX_QUERIES, MAX_POINTS // int(length // window.period + 1))
        yield from _filled(group, room)


def _filled(group: Sequence[Series], room: int) -> Iterator[list[Series]]:
    """Yield *group* in parts of up to *room* statistics each."""
    batch: list[Series] = []
    used = 0
    for each in group:
        if batch and used + len(each.statistics) > room:
            yield batch
            batch, used = [], 0
        batch.append(each)
        used += len(each.statistics)
    yield batch


def _data_of(aws: Aws, batch: Sequence[Series]) -> dict[Series, Answer]:
    """Ask for all of *batch*, of one region and one window, in one call (and its further pages)."""
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
            values[name][at][_NAMES[statistic]] = value
    return values, failures


def _periods(values: Values) -> list[dict[str, Any]]:
    return [{"Timestamp": at, **one} for at, one in values.items()]


def _failure(result: Mapping[str, Any]) -> AwsError:
    said = "; ".join(each.get("Value", "") for each in result.get("Messages", ()))
    kind = DeniedError if result["StatusCode"] == "Forbidden" else AwsError
    return kind(f"CloudWatch answered {result['StatusCode']}: {said}", operation="GetMetricData")
