"""CloudWatch's metrics: those sent by PutMetricData, and measurements of running instances.

Moto has no measurements. Ours depend only on the instance, the metric and the time. A running
instance has values for the whole requested window, so that a new worker has readings; with
`metrics_since_launch`, only since its launch. An instance that is not running has none.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/viewing_metrics_with_cloudwatch.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import groupby
from math import ceil, sin
from typing import Any, Final

from cml_iam.sandbox._answers import answers, next_place, place_of
from cml_iam.sandbox._wire import Call, Fault, Values, rows
from cml_iam.sandbox._world import Principal, World

MOST_POINTS: Final = 1440
"""The maximum number of points in one GetMetricStatistics call."""

MOST_QUERIES: Final = 500
MOST_DATA: Final = 100_800
"""The maximum queries in a GetMetricData call, and the maximum points on a response page."""

LISTED: Final = 500
"""The number of metrics on one page of ListMetrics."""

BASIC, DETAILED = 300, 60
"""Seconds between two values, for basic and detailed monitoring."""

_HIGH_RESOLUTION: Final = frozenset({1, 5, 10, 20, 30})
_KEPT: Final = (
    (timedelta(hours=3), timedelta(minutes=1)),
    (timedelta(days=15), timedelta(minutes=5)),
    (timedelta(days=63), timedelta(hours=1)),
)
"""The shortest period that CloudWatch keeps for points older than each age."""

_LONGEST_KEPT: Final = timedelta(days=455)
_ID: Final = re.compile(r"[a-z][a-zA-Z0-9_]*")
_PERCENTILE: Final = re.compile(r"p(\d{1,2}(?:\.\d{1,10})?|100)")
_STATISTICS: Final = ("Average", "Minimum", "Maximum", "Sum", "SampleCount")


def check_cloudwatch(call: Call) -> None:
    """Raise Fault for values that CloudWatch refuses from every caller."""
    match call.operation:
        case "PutMetricData" if call.params["Namespace"].startswith("AWS/"):
            text = f"The value {call.params['Namespace']} for parameter Namespace is invalid."
            raise Fault("InvalidParameterValue", text)
        case "GetMetricStatistics":
            _check_statistics(call.params)
        case "GetMetricData":
            _check_data(call.params)


def _check_statistics(params: Mapping[str, Any]) -> None:
    names = [*params.get("Statistics", ()), *params.get("ExtendedStatistics", ())]
    if not names:
        text = "At least one of the parameters Statistics and ExtendedStatistics must be specified."
        raise Fault("InvalidParameterCombination", text)
    for name in names:
        _check_statistic(name, "InvalidParameterValue")
    _check_period(params["Period"], params["Namespace"], "InvalidParameterValue")
    seconds = _seconds(params, "InvalidParameterCombination")
    if (points := ceil(seconds / params["Period"])) > MOST_POINTS:
        raise Fault(
            "InvalidParameterCombination",
            f"You have requested up to {points:,} datapoints, which exceeds the limit of 1,440. "
            "You may reduce the datapoints requested by increasing Period, or decreasing the "
            "time range.",
        )


def _check_data(params: Mapping[str, Any]) -> None:
    queries = params["MetricDataQueries"]
    if len(queries) > MOST_QUERIES:
        raise _invalid("The collection MetricDataQueries must not have a size greater than 500.")
    _seconds(params, "ValidationError")
    if not 1 <= params.get("MaxDatapoints", MOST_DATA) <= MOST_DATA:
        raise _invalid(f"MaxDatapoints must be 1 to {MOST_DATA}.")
    ids = [query.get("Id", "") for query in queries]
    for query_id in ids:
        if not _ID.fullmatch(query_id) or len(query_id) > 255:
            text = "must start with a lower case letter, and have only letters, digits and _"
            raise _invalid(f"The id '{query_id}' {text}.")
    if len(set(ids)) != len(ids):
        raise _invalid("The ids of MetricDataQueries must be unique.")
    for query in queries:
        metric = query.get("MetricStat")
        if (metric is None) == ("Expression" not in query):
            raise _invalid("A query has either a MetricStat or an Expression.")
        if metric is None:
            raise Fault("UnsupportedOperation", "The sandbox computes no expressions.")
        namespace = metric["Metric"].get("Namespace", "")
        _check_period(metric["Period"], namespace, "ValidationError")
        _check_statistic(metric["Stat"], "ValidationError")


def _invalid(message: str) -> Fault:
    return Fault("ValidationError", message)


def _check_statistic(name: str, code: str) -> None:
    if name not in _STATISTICS and not _PERCENTILE.fullmatch(name):
        raise Fault(code, f"The value {name} for a statistic is not supported.")


def _check_period(period: int, namespace: str, code: str) -> None:
    if period <= 0 or (period % 60 and period not in _HIGH_RESOLUTION):
        raise Fault(code, "The parameter Period must be 1, 5, 10, 20, 30 or a multiple of 60.")
    if period % 60 and namespace.startswith("AWS/"):
        text = f"{namespace} has no high-resolution metrics: Period must be a multiple of 60."
        raise Fault(code, text)


def _seconds(params: Mapping[str, Any], code: str) -> float:
    seconds: float = (params["EndTime"] - params["StartTime"]).total_seconds()
    if seconds <= 0:
        raise Fault(code, "The parameter StartTime must be less than the parameter EndTime.")
    return seconds


@answers("cloudwatch:GetMetricStatistics")
def _get_metric_statistics(world: World, _: Principal, call: Call) -> Values:
    """Answer with the points in no particular order, as CloudWatch does."""
    params = call.params
    extended = tuple(params.get("ExtendedStatistics", ()))
    points = []
    for at, samples in _periods(world, call, params):
        point: dict[str, Any] = {"Timestamp": at, "Unit": samples[-1].unit or "None"}
        point |= {name: _statistic(samples, name) for name in params.get("Statistics", ())}
        if extended:
            point["ExtendedStatistics"] = {name: _statistic(samples, name) for name in extended}
        points.append(point)
    points.sort(key=lambda point: _number_of(str(point["Timestamp"])))
    return {"Label": params["MetricName"], "Datapoints": points}


@answers("cloudwatch:GetMetricData")
def _get_metric_data(world: World, _: Principal, call: Call) -> Values:
    """Answer with a page: each query's values in order of time."""
    start = place_of(world, call, "InvalidNextToken")
    size = call.params.get("MaxDatapoints", MOST_DATA)
    results, passed = [], 0
    for query in call.params["MetricDataQueries"]:
        if not query.get("ReturnData", True):
            continue
        values = _queried(world, call, query["MetricStat"])
        first = max(0, start - passed)
        last = max(0, min(len(values), start + size - passed))
        # A query without values appears on the first page.
        if first < last or (not values and not start):
            result = {
                "Id": query["Id"],
                "Label": query.get("Label", query["MetricStat"]["Metric"]["MetricName"]),
                "Timestamps": [at for at, _ in values[first:last]],
                "Values": [value for _, value in values[first:last]],
                "StatusCode": "Complete" if last >= len(values) else "PartialData",
            }
            results.append(result)
        passed += len(values)
    following = next_place(world, call, start + size, passed)
    return {"MetricDataResults": results, "Messages": [], "NextToken": following}


def _queried(world: World, call: Call, metric: Mapping[str, Any]) -> list[tuple[datetime, float]]:
    periods = _periods(world, call, {**metric["Metric"], **metric})
    values = [(at, _statistic(samples, metric["Stat"])) for at, samples in periods]
    return sorted(values, reverse=call.params.get("ScanBy") != "TimestampAscending")


@answers("cloudwatch:ListMetrics")
def _list_metrics(world: World, _: Principal, call: Call) -> Values:
    """Answer with a page; a dimension without a value matches every value."""
    params = call.params
    filters = [(row["Name"], row.get("Value")) for row in params.get("Dimensions", ())]
    listed = []
    for metric in _metrics_of(world, call.region):
        own = dict(metric.dimensions)
        if (
            params.get("Namespace", metric.namespace) == metric.namespace
            and params.get("MetricName", metric.name) == metric.name
            and all(name in own and value in (None, own[name]) for name, value in filters)
        ):
            dimensions = [{"Name": name, "Value": own[name]} for name in sorted(own)]
            row = {"Namespace": metric.namespace, "MetricName": metric.name}
            listed.append({**row, "Dimensions": dimensions})
    start = place_of(world, call, "InvalidParameterValue")
    end = start + LISTED
    return {"Metrics": listed[start:end], "NextToken": next_place(world, call, end, len(listed))}


@dataclass(frozen=True, slots=True)
class _Metric:
    """A metric with exactly these dimensions."""

    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _Sample:
    """One value, or the aggregate of several."""

    at: datetime
    minimum: float
    maximum: float
    sum: float
    count: float
    unit: str | None


def _periods(
    world: World, call: Call, query: Mapping[str, Any]
) -> Iterable[tuple[datetime, list[_Sample]]]:
    """Yield the start of each period that has samples of the metric, with those samples."""
    pairs = ((row["Name"], row["Value"]) for row in query.get("Dimensions") or ())
    metric = _Metric(query["Namespace"], query["MetricName"], frozenset(pairs))
    period, unit = timedelta(seconds=query["Period"]), query.get("Unit")
    now = world.naive_now()
    start = _rounded(call.params["StartTime"], period)
    end = call.params["EndTime"].replace(tzinfo=None)
    samples = [
        *_stored(world, call.region, metric),
        *_measured(world, call.region, metric, start, end),
    ]
    fitting = [sample for sample in samples if unit in (None, sample.unit)]
    kept = [sample for sample in fitting if start <= sample.at < end]
    kept.sort(key=lambda sample: sample.at)
    for number, grouped in groupby(kept, key=lambda sample: (sample.at - start) // period):
        at = start + number * period
        if _is_kept(now - at, period):
            yield at, list(grouped)


def _is_kept(age: timedelta, period: timedelta) -> bool:
    """Return whether CloudWatch still has the points of a *period* at this *age*."""
    return age <= _LONGEST_KEPT and not any(period % least for limit, least in _KEPT if age > limit)


def _statistic(samples: Sequence[_Sample], name: str) -> float:
    total, count = sum(sample.sum for sample in samples), sum(sample.count for sample in samples)
    match name:
        case "Average":
            return total / count if count else 0.0
        case "Minimum":
            return min(sample.minimum for sample in samples)
        case "Maximum":
            return max(sample.maximum for sample in samples)
        case "Sum":
            return total
        case "SampleCount":
            return count
    rank = ceil(float(name.removeprefix("p")) / 100 * len(samples))
    return sorted(sample.maximum for sample in samples)[max(0, rank - 1)]


def _metrics_of(world: World, region: str) -> Iterator[_Metric]:
    """Yield every metric in *region*: of running instances, and from PutMetricData."""
    for instance in world.ec2(region).all_instances():
        for namespace, names in rows("measured").items():
            own = _own_dimensions(world, namespace, instance)
            if instance.state == "running" and own:
                yield from (_Metric(namespace, name, own) for name in names)
    data = world.moto.backend("cloudwatch", region).get_all_metrics()
    yield from dict.fromkeys(map(_metric_of, data))


def _metric_of(datum: Any) -> _Metric:
    pairs = frozenset((dimension.name, dimension.value) for dimension in datum.dimensions)
    return _Metric(datum.namespace, datum.name, pairs)


def _stored(world: World, region: str, metric: _Metric) -> Iterator[_Sample]:
    for datum in world.moto.backend("cloudwatch", region).get_all_metrics():
        if datum.namespace == metric.namespace and _metric_of(datum) == metric:
            at, value, unit = datum.timestamp, getattr(datum, "value", None), datum.unit
            if value is not None:
                yield _Sample(at, value, value, value, 1.0, unit)
            else:
                yield _Sample(at, datum.min, datum.max, datum.sum, datum.sample_count, unit)


def _measured(
    world: World, region: str, metric: _Metric, start: datetime, end: datetime
) -> Iterator[_Sample]:
    """Yield the measurements of *metric*, from *start* to before *end*, both naive UTC."""
    measured = rows("measured").get(metric.namespace, {}).get(metric.name)
    named = dict(metric.dimensions).get("InstanceId", "")
    instance = world.ec2(region).get_instance_by_id(named) if measured else None
    if instance is None or instance.state != "running":
        return
    # The dimensions must be exactly those of the instance's metric.
    if _own_dimensions(world, metric.namespace, instance) != metric.dimensions:
        return
    every = timedelta(seconds=DETAILED if instance.monitored else BASIC)
    if world.conditions.metrics_since_launch:
        start = max(start, instance.launch_time)
    end = min(end, world.naive_now())
    mean, spread, amplitude, unit = measured
    apart = _number_of(instance.id + metric.name) % 1000 / 1000 * spread
    at = _rounded(start, every)
    if at < start:
        at += every
    while at < end:
        swing = amplitude * sin(at.replace(tzinfo=UTC).timestamp() / 900)
        value = float(round(mean + apart + swing, 3))
        yield _Sample(at, value, value, value, 1.0, unit)
        at += every


def _own_dimensions(
    world: World, namespace: str, instance: Any
) -> frozenset[tuple[str, str]] | None:
    """Return the dimensions of *instance* in *namespace*; None if nothing measures it there.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/create-iam-roles-for-cloudwatch-agent.html
    """
    own = {"InstanceId": instance.id}
    if namespace == "CWAgent":
        # An agent needs a role to send its metrics.
        if world.conditions.agent_needs_profile and instance.iam_instance_profile is None:
            return None
        # The dimensions that the agent's wizard appends; each combination is a separate metric.
        own |= {"ImageId": instance.image_id, "InstanceType": instance.instance_type}
    return frozenset(own.items())


def _rounded(moment: datetime, step: timedelta) -> datetime:
    """Return *moment* rounded down to a multiple of *step*, as naive UTC."""
    seconds = step.total_seconds()
    epoch = moment.replace(tzinfo=UTC).timestamp()
    return datetime.fromtimestamp(epoch // seconds * seconds, UTC).replace(tzinfo=None)


def _number_of(text: str) -> int:
    """Return a number that depends only on *text* and is the same in every run."""
    return int.from_bytes(sha256(text.encode()).digest()[:4], "big")
