"""CloudWatch's metrics: its limits, and its unordered, periodic, paged responses.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_ListMetrics.html
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from itertools import groupby
from math import ceil
from typing import TYPE_CHECKING, Any, Final

from cml_iam.sandbox._answers import keep_place, place_of
from cml_iam.sandbox._series import Metric, Sample, metrics_of, number_of, rounded, samples
from cml_iam.sandbox._wire import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._principals import Principal
    from cml_iam.sandbox._wire import Values
    from cml_iam.sandbox._world import World

MOST_POINTS: Final = 1440
"""The maximum number of points in one GetMetricStatistics call."""

MOST_QUERIES: Final = 500
MOST_DATA: Final = 100_800
"""The maximum queries in a GetMetricData call, and the maximum points on a response page."""

LISTED: Final = 500
"""The number of metrics on one page of ListMetrics."""

_HIGH_RESOLUTION: Final = frozenset({1, 5, 10, 20, 30})
_KEPT: Final = (
    (timedelta(hours=3), 60),
    (timedelta(days=15), 300),
    (timedelta(days=63), 3600),
)
"""The shortest period, in seconds, that CloudWatch keeps for points older than each age."""

_LONGEST_KEPT: Final = timedelta(days=455)
_ID: Final = re.compile(r"[a-z][a-zA-Z0-9_]*")
_PERCENTILE: Final = re.compile(r"p(\d{1,2}(?:\.\d{1,10})?|100)")
_STATISTICS: Final = ("Average", "Minimum", "Maximum", "Sum", "SampleCount")


def check_cloudwatch(call: Call) -> None:
    """Raise Fault for values that CloudWatch refuses."""
    match call.operation:
        case "PutMetricData" if call.params["Namespace"].startswith("AWS/"):
            said = f"The value {call.params['Namespace']} for parameter Namespace is invalid."
            raise Fault("InvalidParameterValue", said)
        case "GetMetricStatistics":
            _check_statistics(call.params)
        case "GetMetricData":
            _check_data(call.params)


def _check_statistics(params: Mapping[str, Any]) -> None:
    named = [*params.get("Statistics", ()), *params.get("ExtendedStatistics", ())]
    if not named:
        said = "At least one of the parameters Statistics and ExtendedStatistics must be specified."
        raise Fault("InvalidParameterCombination", said)
    for each in named:
        _check_statistic(each, "InvalidParameterValue")
    _check_period(params["Period"], params["Namespace"], "InvalidParameterValue")
    seconds = _seconds(params, "InvalidParameterCombination")
    if (points := ceil(seconds / params["Period"])) > MOST_POINTS:
        said = f"You have requested up to {points:,} datapoints, which exceeds the limit of 1,440. "
        more = "You may reduce the datapoints requested by increasing Period, or decreasing the "
        raise Fault("InvalidParameterCombination", f"{said}{more}time range.")


def _check_data(params: Mapping[str, Any]) -> None:
    queries = params["MetricDataQueries"]
    if len(queries) > MOST_QUERIES:
        said = "The collection MetricDataQueries must not have a size greater than 500."
        raise Fault("ValidationError", said)
    _seconds(params, "ValidationError")
    if not 1 <= params.get("MaxDatapoints", MOST_DATA) <= MOST_DATA:
        raise Fault("ValidationError", f"MaxDatapoints must be 1 to {MOST_DATA}.")
    ids = [query.get("Id", "") for query in queries]
    for each in ids:
        if not _ID.fullmatch(each) or len(each) > 255:
            said = "must start with a lower case letter, and have only letters, digits and _"
            raise Fault("ValidationError", f"The id '{each}' {said}.")
    if len(set(ids)) != len(ids):
        raise Fault("ValidationError", "The ids of MetricDataQueries must be unique.")
    for query in queries:
        _check_query(query)


def _check_query(query: Mapping[str, Any]) -> None:
    asked = query.get("MetricStat")
    if (asked is None) == ("Expression" not in query):
        said = "A query has either a MetricStat or an Expression."
        raise Fault("ValidationError", said)
    if asked is None:
        raise Fault("UnsupportedOperation", "The sandbox computes no expressions.")
    _check_period(asked["Period"], asked["Metric"].get("Namespace", ""), "ValidationError")
    _check_statistic(asked["Stat"], "ValidationError")


def _check_period(period: int, namespace: str, code: str) -> None:
    if period <= 0 or (period % 60 and period not in _HIGH_RESOLUTION):
        said = "The parameter Period must be 1, 5, 10, 20, 30 or a multiple of 60."
        raise Fault(code, said)
    if period % 60 and namespace.startswith("AWS/"):
        said = f"{namespace} has no high-resolution metrics: Period must be a multiple of 60."
        raise Fault(code, said)


def _check_statistic(name: str, code: str) -> None:
    if name not in _STATISTICS and not _PERCENTILE.fullmatch(name):
        raise Fault(code, f"The value {name} for a statistic is not supported.")


def _seconds(params: Mapping[str, Any], code: str) -> float:
    seconds: float = (params["EndTime"] - params["StartTime"]).total_seconds()
    if seconds <= 0:
        said = "The parameter StartTime must be less than the parameter EndTime."
        raise Fault(code, said)
    return seconds


def get_metric_statistics(world: World, _: Principal, call: Call) -> Values:
    """Answer GetMetricStatistics with the points in no particular order, as CloudWatch does."""
    params = call.params
    plain = tuple(params.get("Statistics", ()))
    extended = tuple(params.get("ExtendedStatistics", ()))
    points = []
    for at, unit, found in _periods(world, call, params, params["Period"], params.get("Unit")):
        point: dict[str, Any] = {"Timestamp": at, "Unit": unit or "None"}
        point |= {name: _statistic(found, name) for name in plain}
        if extended:
            point["ExtendedStatistics"] = {name: _statistic(found, name) for name in extended}
        points.append(point)
    points.sort(key=lambda point: number_of(str(point["Timestamp"])))
    return {"Label": params["MetricName"], "Datapoints": points}


def get_metric_data(world: World, _: Principal, call: Call) -> Values:
    """Answer a page of GetMetricData, with each query's values in order of time."""
    start = place_of(world, call, "InvalidNextToken")
    size = call.params.get("MaxDatapoints", MOST_DATA)
    results, passed = [], 0
    for query in call.params["MetricDataQueries"]:
        if not query.get("ReturnData", True):
            continue
        values = _queried(world, call, query)
        first = max(0, start - passed)
        last = max(0, min(len(values), start + size - passed))
        # A query without values appears on the first page.
        if first < last or (not values and not start):
            results.append(_result(query, values[first:last], whole=last >= len(values)))
        passed += len(values)
    answer: Values = {"MetricDataResults": results, "Messages": []}
    if passed > start + size:
        answer["NextToken"] = keep_place(world, call, start + size)
    return answer


def _queried(world: World, call: Call, query: Mapping[str, Any]) -> list[tuple[datetime, float]]:
    asked = query["MetricStat"]
    periods = _periods(world, call, asked["Metric"], asked["Period"], asked.get("Unit"))
    values = [(at, _statistic(found, asked["Stat"])) for at, _, found in periods]
    ascending = call.params.get("ScanBy") == "TimestampAscending"
    return sorted(values, reverse=not ascending)


def _result(
    query: Mapping[str, Any], values: Sequence[tuple[datetime, float]], *, whole: bool
) -> dict[str, Any]:
    return {
        "Id": query["Id"],
        "Label": query.get("Label", query["MetricStat"]["Metric"]["MetricName"]),
        "Timestamps": [at for at, _ in values],
        "Values": [value for _, value in values],
        "StatusCode": "Complete" if whole else "PartialData",
    }


def list_metrics(world: World, _: Principal, call: Call) -> Values:
    """Answer a page of ListMetrics; a dimension without a value matches every value."""
    wanted = [(each["Name"], each.get("Value")) for each in call.params.get("Dimensions", ())]
    found = []
    for metric in metrics_of(world, call.region):
        own = dict(metric.dimensions)
        if (
            call.params.get("Namespace", metric.namespace) == metric.namespace
            and call.params.get("MetricName", metric.name) == metric.name
            and all(name in own and value in (None, own[name]) for name, value in wanted)
        ):
            found.append(_listed(metric))
    start = place_of(world, call, "InvalidParameterValue")
    answer: Values = {"Metrics": found[start : start + LISTED]}
    if len(found) > start + LISTED:
        answer["NextToken"] = keep_place(world, call, start + LISTED)
    return answer


def _listed(metric: Metric) -> dict[str, Any]:
    dimensions = [{"Name": name, "Value": value} for name, value in sorted(metric.dimensions)]
    return {
        "Namespace": metric.namespace,
        "MetricName": metric.name,
        "Dimensions": dimensions,
    }


def _periods(
    world: World, call: Call, named: Mapping[str, Any], seconds: int, unit: str | None
) -> Iterable[tuple[datetime, str | None, list[Sample]]]:
    """Yield the start of each period that has samples of a metric, with those samples."""
    period = timedelta(seconds=seconds)
    now = world.now().replace(tzinfo=None)
    start = rounded(call.params["StartTime"], period)
    end = call.params["EndTime"].replace(tzinfo=None)
    found = samples(world, call.region, Metric.of(named), start, end)
    found = [sample for sample in found if unit in (None, sample.unit)]
    found.sort(key=lambda each: each.at)
    for at, grouped in groupby(
        found, key=lambda each: start + (each.at - start) // period * period
    ):
        listed = list(grouped)
        if _is_kept(now - at, seconds):
            yield at, listed[-1].unit, listed


def _is_kept(age: timedelta, seconds: int) -> bool:
    """Return whether CloudWatch still has points of *seconds* at this *age*."""
    fine = all(seconds % least == 0 for limit, least in _KEPT if age > limit)
    return fine and age <= _LONGEST_KEPT


def _statistic(found: Sequence[Sample], name: str) -> float:
    total, count = sum(sample.sum for sample in found), sum(sample.count for sample in found)
    match name:
        case "Average":
            return total / count if count else 0.0
        case "Minimum":
            return min(sample.minimum for sample in found)
        case "Maximum":
            return max(sample.maximum for sample in found)
        case "Sum":
            return total
        case "SampleCount":
            return count
    rank = ceil(float(name.removeprefix("p")) / 100 * len(found))
    return sorted(sample.maximum for sample in found)[max(0, rank - 1)]
