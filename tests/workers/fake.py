"""A small strict AWS behind the port: strict where moto is lenient.

It records every call, refuses what it is told to, answers DryRun as EC2 does, matches dimensions
exactly, and hands out datapoints in disorder.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cml_iam import errors
from cml_iam.aws import Identity

NOW = datetime(2026, 3, 1, 12, 2, 30, tzinfo=UTC)
GUARD_TAG = {"Key": "ManagedBy", "Value": "lablet-cloud-manager"}

_KEYS = {
    "start_instances": ("StartingInstances", "running"),
    "stop_instances": ("StoppingInstances", "stopped"),
    "terminate_instances": ("TerminatingInstances", "terminated"),
}


def instance(number: int = 1, **changed: Any) -> dict[str, Any]:
    """Return a running instance with the guard tag, launched a day ago."""
    return {
        "InstanceId": f"i-{number:017x}",
        "ImageId": "ami-0a1b2c3d4e5f60001",
        "InstanceType": "m5zn.metal",
        "State": {"Name": "running", "Code": 16},
        "LaunchTime": NOW - timedelta(days=1),
        "Monitoring": {"State": "disabled"},
        "Placement": {"AvailabilityZone": "us-east-1a"},
        "SubnetId": "subnet-1",
        "SecurityGroups": [{"GroupId": "sg-1", "GroupName": "cml"}],
        "Tags": [GUARD_TAG, {"Key": "Name", "Value": f"worker-{number}"}],
        **changed,
    }


@dataclass
class FakeAws:
    """*denied* are actions refused, *failing* errors by operation, *metrics* by dimensions."""

    region: str | None = "us-east-1"
    instances: list[dict[str, Any]] = field(default_factory=list)
    images: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[tuple[str, frozenset[tuple[str, str]]], list[dict[str, Any]]] = field(
        default_factory=dict
    )
    denied: set[str] = field(default_factory=set)
    failing: dict[str, errors.AwsError] = field(default_factory=dict)
    data_status: str = "Complete"
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def identity(self) -> Identity:
        return Identity("111122223333", "arn:aws:iam::111122223333:user/u", "AIDAEXAMPLE")

    def pages(
        self, service: str, operation: str, key: str, *, region: Any = None, **parameters: Any
    ) -> Iterator[Any]:
        yield from self.call(service, operation, region=region, **parameters)[key]

    def call(
        self, service: str, operation: str, *, region: Any = None, once: bool = False, **given: Any
    ) -> dict[str, Any]:
        action = f"{service}:{''.join(part.title() for part in operation.split('_'))}"
        self.calls.append((action, {"region": region, **given}))
        if operation in self.failing:
            raise self.failing[operation]
        if action in self.denied:
            raise errors.DeniedError(
                f"An error occurred (UnauthorizedOperation) when calling {operation}",
                code="UnauthorizedOperation",
                action=action,
            )
        if given.pop("DryRun", False):
            raise errors.AwsError("would have succeeded", code="DryRunOperation")
        answer: dict[str, Any] = getattr(self, f"_{operation}")(given)
        return answer

    @property
    def actions(self) -> list[str]:
        return [action for action, _ in self.calls]

    def publish(
        self, metric: str, dimensions: dict[str, str], values: list[float], **options: Any
    ) -> None:
        """Put *values*, the last one of the newest whole period, in disorder."""
        period, until = options.get("period", 300), options.get("until", NOW)
        newest = int(until.timestamp()) // period * period - period
        points = [
            {
                "Timestamp": datetime.fromtimestamp(newest - period * age, UTC),
                "Average": value,
                "Maximum": value + options.get("peak", 0.0),
                "SampleCount": options.get("samples", 5.0),
                "Sum": value * options.get("samples", 5.0),
            }
            for age, value in enumerate(reversed(values))
        ]
        random.Random(7).shuffle(points)  # noqa: S311 - the same disorder in every run
        self.metrics[metric, frozenset(dimensions.items())] = points

    def _find(self, ids: list[str]) -> list[dict[str, Any]]:
        known = {each["InstanceId"]: each for each in self.instances}
        for each in ids:
            if each not in known:
                raise errors.NotFoundError(f"no `{each}`", code="InvalidInstanceID.NotFound")
        return [known[each] for each in ids]

    def _describe_regions(self, given: Any) -> dict[str, Any]:
        return {"Regions": [{"RegionName": "us-west-2"}, {"RegionName": "us-east-1"}]}

    def _describe_instances(self, given: Any) -> dict[str, Any]:
        found = self._find(given["InstanceIds"]) if "InstanceIds" in given else self.instances
        for each in given.get("Filters", ()):
            found = [one for one in found if _has(one, each)]
        return {"Reservations": [{"Instances": [one]} for one in found]}

    def _describe_instance_status(self, given: Any) -> dict[str, Any]:
        found = self._find(given["InstanceIds"])
        return {
            "InstanceStatuses": [
                {
                    "InstanceId": one["InstanceId"],
                    "InstanceState": one["State"],
                    "SystemStatus": {"Status": "ok"},
                    "InstanceStatus": {"Status": "initializing"},
                }
                for one in found
            ]
        }

    def _describe_images(self, given: Any) -> dict[str, Any]:
        return {"Images": self.images}

    def _describe_tags(self, given: Any) -> dict[str, Any]:
        (wanted,) = given["Filters"][0]["Values"]
        return {"Tags": self._find([wanted])[0]["Tags"]}

    def _run_instances(self, given: Any) -> dict[str, Any]:
        made = instance(len(self.instances) + 1, State={"Name": "pending", "Code": 0})
        self.instances.append(made)
        return {"Instances": [made]}

    def _start_instances(self, given: Any) -> dict[str, Any]:
        return self._change("start_instances", given)

    def _stop_instances(self, given: Any) -> dict[str, Any]:
        return self._change("stop_instances", given)

    def _terminate_instances(self, given: Any) -> dict[str, Any]:
        return self._change("terminate_instances", given)

    def _change(self, operation: str, given: Any) -> dict[str, Any]:
        key, state = _KEYS[operation]
        changes = []
        for one in self._find(given["InstanceIds"]):
            changes.append(
                {
                    "InstanceId": one["InstanceId"],
                    "PreviousState": one["State"],
                    "CurrentState": {"Name": state},
                }
            )
            one["State"] = {"Name": state}
        return {key: changes}

    def _create_tags(self, given: Any) -> dict[str, Any]:
        self._find(given["Resources"])
        return {}

    _delete_tags = _create_tags

    def _get_metric_statistics(self, given: Any) -> dict[str, Any]:
        assert given["Period"] % 60 == 0
        length = (given["EndTime"] - given["StartTime"]).total_seconds()
        assert length / given["Period"] <= 1440
        named = frozenset(
            (dimension["Name"], dimension["Value"]) for dimension in given["Dimensions"]
        )
        points = self.metrics.get((given["MetricName"], named), [])
        return {
            "Datapoints": [
                point
                for point in points
                if given["StartTime"] <= point["Timestamp"] < given["EndTime"]
            ]
        }

    def _get_metric_data(self, given: Any) -> dict[str, Any]:
        queries = given["MetricDataQueries"]
        assert len(queries) <= 500
        assert len({query["Id"] for query in queries}) == len(queries)
        periods = {query["MetricStat"]["Period"] for query in queries}
        length = (given["EndTime"] - given["StartTime"]).total_seconds()
        assert len(queries) * length / min(periods) <= 100_800
        pieces = []
        for query in queries:
            stat = query["MetricStat"]
            named = frozenset(
                (dimension["Name"], dimension["Value"])
                for dimension in stat["Metric"]["Dimensions"]
            )
            points = [
                (point["Timestamp"], point[stat["Stat"]])
                for point in self.metrics.get((stat["Metric"]["MetricName"], named), [])
                if given["StartTime"] <= point["Timestamp"] < given["EndTime"]
            ]
            # Over the pages of an answer, a result comes in pieces.
            pieces += [
                {
                    "Id": query["Id"],
                    "StatusCode": self.data_status,
                    "Timestamps": [at for at, _ in part],
                    "Values": [value for _, value in part],
                }
                for part in (points[:1], points[1:])
            ]
        return {"MetricDataResults": pieces}


def _has(one: dict[str, Any], wanted: dict[str, Any]) -> bool:
    name, values = wanted["Name"], wanted["Values"]
    if name.startswith("tag:"):
        return any(tag["Key"] == name[4:] and tag["Value"] in values for tag in one.get("Tags", ()))
    return {
        "instance-state-name": one["State"]["Name"],
        "instance-id": one["InstanceId"],
    }[name] in values
