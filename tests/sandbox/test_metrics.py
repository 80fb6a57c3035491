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
    times = [point["Timestamp"] for point in points]

    assert first["Datapoints"] == again["Datapoints"]
    assert first["Label"] == metric["MetricName"]
    assert 24 <= len(points) <= 25
    assert times != sorted(times)
    assert len(set(times)) == len(times)
    assert all(0 < point["Average"] <= point["Maximum"] <= 100 for point in points)
    assert {point["Unit"] for point in points} == {"Percent"}
    assert all(set(point) == {"Timestamp", "Unit", "Average", "Maximum"} for point in points)


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

    assert [datapoint["SampleCount"] for datapoint in answer["Datapoints"]] == [300.0]


def test_ones_own_metrics_are_kept_and_those_of_aws_are_not_ones_own(cloudwatch: Any) -> None:
    value = [{"MetricName": "labs", "Value": 3.0, "Timestamp": NOW - timedelta(minutes=5)}]
    cloudwatch.put_metric_data(Namespace="CML", MetricData=value)
    answer = cloudwatch.get_metric_statistics(
        **asked("i", {"Namespace": "CML", "MetricName": "labs"}, Dimensions=[])
    )

    assert [datapoint["Average"] for datapoint in answer["Datapoints"]] == [3.0]
    assert refused(cloudwatch.put_metric_data, Namespace="AWS/EC2", MetricData=value).code == (
        "InvalidParameterValue"
    )


def query(name: str, instance: str, metric: dict[str, str] = CPU, **changed: Any) -> dict[str, Any]:
    given = asked(instance, metric)
    named = {key: given[key] for key in ("Namespace", "MetricName", "Dimensions")}
    return {"Id": name, "MetricStat": {"Metric": named, "Period": 300, "Stat": "Average"}} | changed


def data(cloudwatch: Any, *queries: dict[str, Any], **changed: Any) -> dict[str, Any]:
    window = {"StartTime": NOW - timedelta(hours=2), "EndTime": NOW}
    return dict(cloudwatch.get_metric_data(MetricDataQueries=list(queries), **window | changed))


@pytest.mark.parametrize("metric", [CPU, MEMORY])
def test_metric_data_has_what_the_statistics_have_in_order(
    metric: dict[str, str], instance: str, cloudwatch: Any
) -> None:
    points = cloudwatch.get_metric_statistics(**asked(instance, metric))["Datapoints"]
    by_time = sorted((point["Timestamp"], point["Average"]) for point in points)
    (found,) = data(cloudwatch, query("m1", instance, metric))["MetricDataResults"]

    assert (found["Id"], found["StatusCode"]) == ("m1", "Complete")
    assert list(zip(found["Timestamps"], found["Values"], strict=True)) == by_time[::-1]
    (found,) = data(cloudwatch, query("m1", instance, metric), ScanBy="TimestampAscending")[
        "MetricDataResults"
    ]
    assert found["Values"] == [value for _, value in by_time]


def test_metric_data_comes_in_pages(instance: str, cloudwatch: Any) -> None:
    queries = [query("m1", instance), query("m2", "i-0a1b2c3d4e5f6ffff"), query("m3", instance)]
    whole = {
        result["Id"]: result["Values"] for result in data(cloudwatch, *queries)["MetricDataResults"]
    }
    pages = []
    token: dict[str, str] = {}
    while True:
        pages.append(data(cloudwatch, *queries, MaxDatapoints=10, **token))
        if "NextToken" not in pages[-1]:
            break
        token = {"NextToken": pages[-1]["NextToken"]}

    statuses = [result["StatusCode"] for result in pages[0]["MetricDataResults"]]
    assert statuses == ["PartialData", "Complete"]
    collected: dict[str, list[float]] = {}
    for page in pages:
        assert sum(len(result["Values"]) for result in page["MetricDataResults"]) <= 10
        for result in page["MetricDataResults"]:
            collected.setdefault(result["Id"], []).extend(result["Values"])
    assert collected == whole
    assert (len(whole["m2"]), len(whole["m1"])) == (0, len(whole["m3"]))
    wrong = refused(data, cloudwatch=cloudwatch, NextToken="x")
    assert wrong.code in ("InvalidNextToken", "InvalidNextTokenException")


def test_five_hundred_queries_and_no_more(instance: str, cloudwatch: Any) -> None:
    queries = [query(f"m{number}", instance) for number in range(501)]

    assert len(data(cloudwatch, *queries[:500])["MetricDataResults"]) == 500
    with pytest.raises(cloudwatch.exceptions.ClientError, match="ValidationError"):
        data(cloudwatch, *queries)


@pytest.mark.parametrize(
    "changed",
    [
        {"Id": "M"},
        {"Id": "1"},
        {"Id": "a-b"},
        {"MetricStat": None},
        {"Expression": "m1 + m1"},
        {"MetricStat": {"Metric": {**CPU, "Dimensions": []}, "Period": 90, "Stat": "Average"}},
        {"MetricStat": {"Metric": {**CPU, "Dimensions": []}, "Period": 300, "Stat": "Mean"}},
        {"MetricStat": {"Metric": {**CPU, "Dimensions": []}, "Period": 300}},
    ],
)
def test_a_query_that_is_none_is_refused(
    changed: dict[str, Any], instance: str, cloudwatch: Any
) -> None:
    asked_for = {k: v for k, v in query("m1", instance, **changed).items() if v is not None}

    with pytest.raises(cloudwatch.exceptions.ClientError, match="ValidationError"):
        data(cloudwatch, asked_for)


def test_the_same_id_twice_is_refused(instance: str, cloudwatch: Any) -> None:
    with pytest.raises(cloudwatch.exceptions.ClientError, match="ValidationError"):
        data(cloudwatch, query("m1", instance), query("m1", instance))


def test_the_metrics_of_an_instance_are_listed_under_their_dimensions(
    instance: str, cloudwatch: Any
) -> None:
    mine = [{"Name": "InstanceId", "Value": instance}]
    found = cloudwatch.list_metrics(Dimensions=mine)["Metrics"]
    (memory,) = [each for each in found if each["Namespace"] == "CWAgent"]

    assert {"CPUUtilization", "NetworkIn", "EBSWriteBytes"} <= {e["MetricName"] for e in found}
    names = {dimension["Name"] for dimension in memory["Dimensions"]}
    assert names == {"InstanceId", "ImageId", "InstanceType"}
    answer = cloudwatch.get_metric_statistics(
        **asked(instance, MEMORY, Dimensions=memory["Dimensions"])
    )
    assert answer["Datapoints"]
    only = cloudwatch.list_metrics(
        Namespace="AWS/EC2", MetricName="CPUUtilization", Dimensions=mine
    )
    assert only["Metrics"] == [{**CPU, "Dimensions": mine}]
    other = [{"Name": "InstanceId", "Value": "i-0a1b2c3d4e5f6ffff"}]
    assert cloudwatch.list_metrics(Dimensions=other)["Metrics"] == []


def test_metrics_are_listed_in_pages_of_five_hundred(cloudwatch: Any) -> None:
    for start in range(0, 600, 300):
        cloudwatch.put_metric_data(
            Namespace="Many",
            MetricData=[
                {"MetricName": f"m{number}", "Value": 1.0} for number in range(start, start + 300)
            ],
        )
    pages = [
        page["Metrics"]
        for page in cloudwatch.get_paginator("list_metrics").paginate(Namespace="Many")
    ]

    assert [len(each) for each in pages] == [500, 100]
    assert len({metric["MetricName"] for page in pages for metric in page}) == 600


def test_ones_own_metrics_are_found_under_exactly_their_dimensions(cloudwatch: Any) -> None:
    both = [{"Name": "InstanceId", "Value": "i-1"}, {"Name": "Disk", "Value": "sda"}]
    value = {"MetricName": "used", "Value": 7.0, "Timestamp": NOW - timedelta(minutes=5)}
    cloudwatch.put_metric_data(Namespace="Own", MetricData=[{**value, "Dimensions": both}])
    used = {"Namespace": "Own", "MetricName": "used"}
    found = {
        len(dimensions): cloudwatch.get_metric_statistics(
            **asked("i", used, Dimensions=dimensions)
        )["Datapoints"]
        for dimensions in ([], both[:1], both[::-1])
    }

    assert [len(found[size]) for size in (0, 1, 2)] == [0, 0, 1]
    (result,) = data(
        cloudwatch,
        {
            "Id": "m",
            "MetricStat": {
                "Metric": {**used, "Dimensions": both},
                "Period": 300,
                "Stat": "Maximum",
            },
        },
    )["MetricDataResults"]
    assert result["Values"] == [7.0]


@pytest.mark.parametrize(
    ("days", "period", "kept"),
    [
        (1, 60, True),
        (16, 60, False),
        (16, 300, True),
        (64, 300, False),
        (64, 3600, True),
        (456, 3600, False),
    ],
)
def test_old_points_are_kept_at_longer_periods_only(
    days: int, period: int, kept: bool, instance: str, cloudwatch: Any
) -> None:
    end = NOW - timedelta(days=days)
    window = {"StartTime": end - timedelta(hours=6), "EndTime": end, "Period": period}
    points = cloudwatch.get_metric_statistics(**asked(instance, **window))["Datapoints"]

    assert bool(points) == kept


def test_percentiles_and_units(instance: str, cloudwatch: Any) -> None:
    question = asked(instance, Statistics=["Maximum", "Minimum"], ExtendedStatistics=["p0", "p100"])
    for datapoint in cloudwatch.get_metric_statistics(**question | {"Period": 3600})["Datapoints"]:
        extended = datapoint["ExtendedStatistics"]
        assert (extended["p0"], extended["p100"]) == (datapoint["Minimum"], datapoint["Maximum"])
    for unit, there in (("Percent", True), ("Bytes", False)):
        points = cloudwatch.get_metric_statistics(**asked(instance, Unit=unit))["Datapoints"]
        assert bool(points) == there
