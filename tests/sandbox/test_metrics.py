"""A running instance can be measured, in the way CloudWatch answers.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.sandbox.conftest import Identity, launch, refused
from tests.sandbox.documents import IMAGE

NOW = datetime.now(UTC).replace(second=0, microsecond=0)
CPU = {"Namespace": "AWS/EC2", "MetricName": "CPUUtilization"}
MEMORY = {"Namespace": "CWAgent", "MetricName": "mem_used_percent"}


@pytest.fixture(scope="module")
def instance(root: Identity) -> str:
    """A running instance with basic monitoring."""
    return launch(root.client("ec2"))


@pytest.fixture(scope="module")
def cloudwatch(root: Identity) -> Any:
    """The root's CloudWatch."""
    return root.client("cloudwatch")


def asked(instance: str, metric: dict[str, str] = CPU, **changed: Any) -> dict[str, Any]:
    dimensions = {"InstanceId": instance}
    if metric is MEMORY:
        dimensions |= {"ImageId": IMAGE, "InstanceType": "c5.large"}
    return {
        **metric,
        "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
        "StartTime": NOW - timedelta(hours=2),
        "EndTime": NOW,
        "Period": 300,
        "Statistics": ["Average", "Maximum"],
        **changed,
    }


@pytest.mark.parametrize("metric", [CPU, MEMORY])
def test_the_values_are_the_same_each_time_and_in_no_order(
    metric: dict[str, str], instance: str, cloudwatch: Any
) -> None:
    first = cloudwatch.get_metric_statistics(**asked(instance, metric))
    again = cloudwatch.get_metric_statistics(**asked(instance, metric))
    points = first["Datapoints"]
    times = [each["Timestamp"] for each in points]

    assert first["Datapoints"] == again["Datapoints"]
    assert first["Label"] == metric["MetricName"]
    assert 24 <= len(points) <= 25
    assert times != sorted(times)
    assert len(set(times)) == len(times)
    assert all(0 < each["Average"] <= each["Maximum"] <= 100 for each in points)
    assert {each["Unit"] for each in points} == {"Percent"}
    assert all(set(each) == {"Timestamp", "Unit", "Average", "Maximum"} for each in points)


def test_longer_periods_sum_up_what_shorter_ones_show(instance: str, cloudwatch: Any) -> None:
    statistics = ["Average", "Minimum", "Maximum", "Sum", "SampleCount"]
    hour = NOW.replace(minute=0) - timedelta(hours=1)
    window = {"StartTime": hour, "EndTime": hour + timedelta(hours=1), "Statistics": statistics}
    short = cloudwatch.get_metric_statistics(**asked(instance, **window))["Datapoints"]
    (whole,) = cloudwatch.get_metric_statistics(**asked(instance, **window, Period=3600))[
        "Datapoints"
    ]

    assert whole["SampleCount"] == len(short) == 12
    assert whole["Sum"] == pytest.approx(sum(each["Sum"] for each in short))
    assert whole["Maximum"] == max(each["Maximum"] for each in short)
    assert whole["Minimum"] == min(each["Minimum"] for each in short)


def test_basic_monitoring_has_a_value_every_five_minutes_and_detailed_every_one(
    root: Identity, instance: str, cloudwatch: Any
) -> None:
    detailed = launch(root.client("ec2"), Monitoring={"Enabled": True})
    start = NOW.replace(minute=0) - timedelta(hours=1)
    window = {"StartTime": start, "EndTime": start + timedelta(minutes=30), "Period": 60}

    def count(one: str) -> int:
        return len(cloudwatch.get_metric_statistics(**asked(one, **window))["Datapoints"])

    assert (count(instance), count(detailed)) == (6, 30)


def test_a_stopped_instance_has_no_values(root: Identity, cloudwatch: Any) -> None:
    ec2 = root.client("ec2")
    made = launch(ec2)
    ec2.stop_instances(InstanceIds=[made])

    assert cloudwatch.get_metric_statistics(**asked(made))["Datapoints"] == []


@pytest.mark.parametrize("metric", [CPU, MEMORY])
def test_other_dimensions_are_another_metric(
    metric: dict[str, str], instance: str, cloudwatch: Any
) -> None:
    question = asked(instance, metric)
    alone = [{"Name": "InstanceId", "Value": instance}]
    extra = [*question["Dimensions"], {"Name": "AutoScalingGroupName", "Value": "x"}]
    wrong = [{"Name": "InstanceId", "Value": "i-0a1b2c3d4e5f6ffff"}]
    for dimensions in ([], extra, wrong, *([alone] if metric is MEMORY else [])):
        answer = cloudwatch.get_metric_statistics(**{**question, "Dimensions": dimensions})
        assert answer["Datapoints"] == []


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"Period": 90}, "InvalidParameterValue"),
        ({"Period": 30}, "InvalidParameterValue"),
        ({"Period": 0}, "InvalidParameterValue"),
        ({"Period": 60, "StartTime": NOW - timedelta(hours=24, minutes=1)}, "InvalidParameterC"),
        ({"StartTime": NOW, "EndTime": NOW}, "InvalidParameterCombination"),
        ({"Statistics": []}, "InvalidParameterCombination"),
    ],
)
def test_a_question_cloudwatch_does_not_take_is_refused(
    changed: dict[str, Any], code: str, instance: str, cloudwatch: Any
) -> None:
    answer = refused(cloudwatch.get_metric_statistics, **asked(instance, **changed))

    assert answer.code.startswith(code)


def test_1440_points_are_taken(instance: str, cloudwatch: Any) -> None:
    question = asked(instance, StartTime=NOW - timedelta(hours=24), Period=60)
    points = cloudwatch.get_metric_statistics(**question)["Datapoints"]

    assert 287 <= len(points) <= 289


def test_many_values_at_once_come_compressed_and_are_kept(cloudwatch: Any) -> None:
    values = [
        {"MetricName": "many", "Value": 1.0, "Timestamp": NOW - timedelta(minutes=5)}
        for _ in range(300)
    ]
    cloudwatch.put_metric_data(Namespace="CML", MetricData=values)
    answer = cloudwatch.get_metric_statistics(
        **asked(
            "i",
            {"Namespace": "CML", "MetricName": "many"},
            Dimensions=[],
            Statistics=["SampleCount"],
        )
    )

    assert [each["SampleCount"] for each in answer["Datapoints"]] == [300.0]


def test_ones_own_metrics_are_kept_and_those_of_aws_are_not_ones_own(cloudwatch: Any) -> None:
    value = [{"MetricName": "labs", "Value": 3.0, "Timestamp": NOW - timedelta(minutes=5)}]
    cloudwatch.put_metric_data(Namespace="CML", MetricData=value)
    answer = cloudwatch.get_metric_statistics(
        **asked("i", {"Namespace": "CML", "MetricName": "labs"}, Dimensions=[])
    )

    assert [each["Average"] for each in answer["Datapoints"]] == [3.0]
    assert refused(cloudwatch.put_metric_data, Namespace="AWS/EC2", MetricData=value).code == (
        "InvalidParameterValue"
    )
