"""The measurements of running instances, which moto does not have.

Deterministic: a value depends on the instance, the metric and the moment. A running instance has
them for the whole window asked for, as if it had been running all along, so that a worker a few
seconds old can be read; a stopped one has none.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from math import ceil, sin
from typing import TYPE_CHECKING, Any, Final

from cml_iam.sandbox._answers import result_answer
from cml_iam.sandbox._faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._principals import Principal
    from cml_iam.sandbox._wire import Answer
    from cml_iam.sandbox._world import World

MOST_POINTS: Final = 1440
"""https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html"""

BASIC, DETAILED = 300, 60
"""Seconds between two values, by the instance's monitoring."""

_MEASURED: Final = {("AWS/EC2", "CPUUtilization"): 12.0, ("CWAgent", "mem_used_percent"): 38.0}
"""The metrics there are, and the mean around which each swings."""

_HIGH_RESOLUTION: Final = frozenset({1, 5, 10, 20, 30})


def check_cloudwatch(call: Call) -> None:
    """Raise Fault for the values CloudWatch refuses."""
    if call.operation == "PutMetricData" and call.params["Namespace"].startswith("AWS/"):
        said = f"The value {call.params['Namespace']} for parameter Namespace is invalid."
        raise Fault("InvalidParameterValue", said)
    if call.operation == "GetMetricStatistics":
        _check_statistics(call.params)


def perform_cloudwatch(
    world: World, _: Principal, call: Call, execute: Callable[[Call], Answer]
) -> Answer:
    """Do the authorized *call*, by *execute* unless it asks for what is measured here."""
    if call.operation != "GetMetricStatistics":
        return execute(call)
    measured = (call.params["Namespace"], call.params["MetricName"])
    instance = _instance(world, call)
    if measured not in _MEASURED or instance is None:
        return execute(call)
    points = _points(world, call, instance) if instance.state == "running" else []
    return result_answer(call, {"Label": measured[1], "Datapoints": points})


def _check_statistics(params: dict[str, Any]) -> None:
    period = params["Period"]
    if period <= 0 or (period % 60 and period not in _HIGH_RESOLUTION):
        said = "The parameter Period has to be 1, 5, 10, 20, 30 or a multiple of 60."
        raise Fault("InvalidParameterValue", said)
    if period % 60 and params["Namespace"].startswith("AWS/"):
        said = f"{params['Namespace']} has no metrics of high resolution: Period must be a multiple"
        raise Fault("InvalidParameterValue", f"{said} of 60.")
    if not params.get("Statistics") and not params.get("ExtendedStatistics"):
        said = "At least one of the parameters Statistics and ExtendedStatistics must be specified."
        raise Fault("InvalidParameterCombination", said)
    seconds = (params["EndTime"] - params["StartTime"]).total_seconds()
    if seconds <= 0:
        said = "The parameter StartTime must be less than the parameter EndTime."
        raise Fault("InvalidParameterCombination", said)
    if (points := ceil(seconds / period)) > MOST_POINTS:
        said = f"You have requested up to {points:,} datapoints, which exceeds the limit of 1,440. "
        more = "You may reduce the datapoints requested by increasing Period, or decreasing the "
        raise Fault("InvalidParameterCombination", f"{said}{more}time range.")


def _instance(world: World, call: Call) -> Any:
    """Return the instance the dimensions name, if they are exactly those of the metric."""
    given = {each["Name"]: each["Value"] for each in call.params.get("Dimensions", ())}
    found = world.ec2(call.region).get_instance_by_id(given.get("InstanceId", ""))
    if found is None:
        return None
    own = {"InstanceId": found.id}
    if call.params["Namespace"] == "CWAgent":
        # What the agent's wizard appends; each combination of dimensions is a metric of its own.
        own |= {"ImageId": found.image_id, "InstanceType": found.instance_type}
    return found if given == own else None


def _points(world: World, call: Call, instance: Any) -> list[dict[str, Any]]:
    """Return the datapoints, in no order of time, as CloudWatch returns them."""
    params = call.params
    period = timedelta(seconds=params["Period"])
    every = timedelta(seconds=DETAILED if instance.monitored else BASIC)
    end = min(params["EndTime"], world.now().replace(tzinfo=None))
    unit = {"Unit": "Percent"}
    points = []
    start = _rounded(params["StartTime"], period)
    while start < end:
        moments = _moments(start, min(start + period, end), every)
        if moments:
            values = [_value(call, instance.id, moment) for moment in moments]
            kept = {k: v for k, v in _statistics(values).items() if k in params["Statistics"]}
            points.append({"Timestamp": start, **kept, **unit})
        start += period
    return sorted(points, key=lambda point: _hash(str(point["Timestamp"])))


def _moments(start: datetime, end: datetime, every: timedelta) -> list[datetime]:
    first = _rounded(start, every)
    first = first if first >= start else first + every
    return [first + every * n for n in range(max(0, ceil((end - first) / every)))]


def _statistics(values: list[float]) -> dict[str, float]:
    total = sum(values)
    return {
        "Average": total / len(values),
        "Minimum": min(values),
        "Maximum": max(values),
        "Sum": total,
        "SampleCount": float(len(values)),
    }


def _value(call: Call, instance_id: str, moment: datetime) -> float:
    mean = _MEASURED[(call.params["Namespace"], call.params["MetricName"])]
    own = _hash(instance_id + call.params["MetricName"]) % 1000 / 100
    return round(mean + own + 3 * sin(moment.replace(tzinfo=UTC).timestamp() / 900), 3)


def _rounded(moment: datetime, step: timedelta) -> datetime:
    """Return *moment* rounded down to a multiple of *step*, at least to the minute."""
    whole = max(step, timedelta(seconds=60)) if step.total_seconds() >= 60 else step
    seconds = whole.total_seconds()
    epoch = moment.replace(tzinfo=UTC).timestamp()
    return datetime.fromtimestamp(epoch // seconds * seconds, UTC).replace(tzinfo=None)


def _hash(text: str) -> int:
    return int.from_bytes(sha256(text.encode()).digest()[:4], "big")
