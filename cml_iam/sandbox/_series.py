"""The samples of a metric: those sent by PutMetricData, and measurements of running instances.

Moto has no measurements. Ours are deterministic: a value depends on the instance, the metric and
the time. A running instance has values for the whole requested window, as if it had always been
running, so that a new worker has readings. With `metrics_since_launch`, it has values only since
its launch. An instance that is not running has none.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/viewing_metrics_with_cloudwatch.html
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from math import ceil, sin
from typing import TYPE_CHECKING, Any

from cml_iam.sandbox._services import rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cml_iam.sandbox._world import World

BASIC, DETAILED = 300, 60
"""Seconds between two values, for basic and detailed monitoring."""

Dimensions = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric with exactly these dimensions."""

    namespace: str
    name: str
    dimensions: Dimensions

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Metric:
        """Return the metric named by parameters of CloudWatch's API."""
        pairs = ((each["Name"], each["Value"]) for each in given.get("Dimensions") or ())
        return cls(given["Namespace"], given["MetricName"], frozenset(pairs))


@dataclass(frozen=True, slots=True)
class Sample:
    """One value, or the aggregate of several."""

    at: datetime
    minimum: float
    maximum: float
    sum: float
    count: float
    unit: str | None


def samples(
    world: World, region: str, metric: Metric, start: datetime, end: datetime
) -> list[Sample]:
    """Return the samples of *metric* from *start* to before *end*, both naive UTC."""
    found = [sample for sample in _stored(world, region, metric) if start <= sample.at < end]
    measured = rows("measured").get(metric.namespace, {}).get(metric.name)
    instance = _instance(world, region, metric) if measured else None
    if measured is not None and instance is not None and instance.state == "running":
        every = timedelta(seconds=DETAILED if instance.monitored else BASIC)
        if world.conditions.metrics_since_launch:
            start = max(start, instance.launch_time)
        end = min(end, world.now().replace(tzinfo=None))
        for moment in _moments(start, end, every):
            value = _value(measured, metric.name, instance.id, moment)
            found.append(Sample(moment, value, value, value, 1.0, measured[3]))
    return found


def metrics_of(world: World, region: str) -> Iterator[Metric]:
    """Yield every metric in *region*: of running instances, and from PutMetricData."""
    for instance in world.ec2(region).all_instances():
        if instance.state == "running":
            for namespace, names in rows("measured").items():
                if _measures(world, namespace, instance):
                    own = _own_dimensions(namespace, instance)
                    yield from (Metric(namespace, name, own) for name in names)
    seen = set()
    for each in world.cloudwatch(region).get_all_metrics():
        metric = _metric_of(each)
        if metric not in seen:
            seen.add(metric)
            yield metric


def rounded(moment: datetime, step: timedelta) -> datetime:
    """Return *moment* rounded down to a multiple of *step*, at least a minute."""
    whole = max(step, timedelta(seconds=60)) if step.total_seconds() >= 60 else step
    seconds = whole.total_seconds()
    epoch = moment.replace(tzinfo=UTC).timestamp()
    return datetime.fromtimestamp(epoch // seconds * seconds, UTC).replace(tzinfo=None)


def number_of(text: str) -> int:
    """Return a number that depends only on *text* and is the same in every run."""
    return int.from_bytes(sha256(text.encode()).digest()[:4], "big")


def _stored(world: World, region: str, metric: Metric) -> Iterator[Sample]:
    for each in world.cloudwatch(region).get_all_metrics():
        if each.namespace == metric.namespace and _metric_of(each) == metric:
            value = getattr(each, "value", None)
            if value is not None:
                yield Sample(each.timestamp, value, value, value, 1.0, each.unit)
            else:
                yield Sample(
                    each.timestamp, each.min, each.max, each.sum, each.sample_count, each.unit
                )


def _metric_of(datum: Any) -> Metric:
    pairs = frozenset((dimension.name, dimension.value) for dimension in datum.dimensions)
    return Metric(datum.namespace, datum.name, pairs)


def _instance(world: World, region: str, metric: Metric) -> Any:
    """Return the instance that the dimensions name, if they are exactly those of its metric."""
    named = dict(metric.dimensions).get("InstanceId", "")
    found = world.ec2(region).get_instance_by_id(named)
    if found is None or not _measures(world, metric.namespace, found):
        return None
    if _own_dimensions(metric.namespace, found) != metric.dimensions:
        return None
    return found


def _measures(world: World, namespace: str, instance: Any) -> bool:
    """Return whether *instance* has metrics of *namespace*: an agent needs a role to send its own.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/create-iam-roles-for-cloudwatch-agent.html
    """
    needed = namespace == "CWAgent" and world.conditions.agent_needs_profile
    return not needed or instance.iam_instance_profile is not None


def _own_dimensions(namespace: str, instance: Any) -> Dimensions:
    own = {"InstanceId": instance.id}
    if namespace == "CWAgent":
        # The dimensions that the agent's wizard appends; each combination is a separate metric.
        own |= {"ImageId": instance.image_id, "InstanceType": instance.instance_type}
    return frozenset(own.items())


def _moments(start: datetime, end: datetime, every: timedelta) -> Sequence[datetime]:
    first = rounded(start, every)
    first = first if first >= start else first + every
    return [first + every * n for n in range(max(0, ceil((end - first) / every)))]


def _value(measured: Sequence[Any], name: str, instance_id: str, moment: datetime) -> float:
    mean, spread, amplitude, _ = measured
    apart = number_of(instance_id + name) % 1000 / 1000 * spread
    swing = amplitude * sin(moment.replace(tzinfo=UTC).timestamp() / 900)
    return float(round(mean + apart + swing, 3))
