"""How busy a worker is; unknown is None with a reason, never zero."""

from datetime import timedelta
from typing import Any

import pytest

from cml_iam import errors
from cml_iam.workers import Measure, Metric, Point, Unknown, Utilization, WorkerManager
from cml_iam.workers._metric_series import choose_period
from tests.workers.fake import NOW, FakeAws, instance

ID = "i-00000000000000001"
ALONE = {"InstanceId": ID}
FULL = {**ALONE, "ImageId": "ami-0a1b2c3d4e5f60001", "InstanceType": "m5zn.metal"}
GROUP = {"Key": "aws:autoscaling:groupName", "Value": "g"}


def utilization(aws: FakeAws, window: timedelta = timedelta(minutes=15)) -> Utilization:
    manager = WorkerManager(aws, now=lambda: NOW)
    return manager.get_instance_resources_utilization(
        manager.get_instance_details(ID), window=window
    )


def having(**changed: Any) -> FakeAws:
    return FakeAws(instances=[instance(**changed)])


def test_points_in_disorder_give_the_true_mean_latest_and_maximum() -> None:
    aws = having(Monitoring={"State": "enabled"})
    values = [25.0, 20.0, 17.0, 19.0, 22.0, 16.0, 18.0, 15.0, 21.0, 24.0, 14.0, 13.0, 23.0, 12.0]
    aws.publish("CPUUtilization", ALONE, [*values, 11.0], period=60)

    cpu = utilization(aws).cpu

    assert (cpu.mean, cpu.latest, cpu.maximum, cpu.count) == (18.0, 11.0, 25.0, 15)
    assert [point.at for point in cpu.points] == sorted(point.at for point in cpu.points)


def test_the_maximum_is_of_the_samples_not_of_the_averages() -> None:
    aws = having()
    aws.publish("CPUUtilization", ALONE, [10.0, 20.0], peak=30.0)

    assert utilization(aws).cpu.maximum == 50.0


def test_a_period_weighs_as_many_samples_as_it_has() -> None:
    aws = having()
    aws.publish("CPUUtilization", ALONE, [10.0, 40.0])
    points = next(iter(aws.metrics.values()))
    next(point for point in points if point["Average"] == 40.0)["SampleCount"] = 1.0

    assert utilization(aws).cpu.mean == pytest.approx((5 * 10 + 40) / 6)


def test_zero_is_a_value() -> None:
    aws = having()
    aws.publish("CPUUtilization", ALONE, [0.0, 0.0])

    cpu = utilization(aws).cpu

    assert (cpu.mean, cpu.latest, cpu.maximum, cpu.unknown) == (0.0, 0.0, 0.0, None)
    assert utilization(aws).avg_cpu_utilization == 0.0


HOST = "ip-10-0-0-5.eu-west-1.compute.internal"


@pytest.mark.parametrize(
    ("dimensions", "tags"),
    [
        (FULL, []),
        (ALONE, []),
        ({**FULL, "AutoScalingGroupName": "g"}, [GROUP]),
        ({"host": HOST}, []),
        ({"host": "ip-10-0-0-5"}, []),
        ({**ALONE, "InstanceType": "m5zn.metal"}, []),
    ],
    ids=["wizard", "aggregated", "group", "default, full name", "default, short name", "by type"],
)
def test_memory_is_found_under_each_set_of_the_agents_dimensions(
    dimensions: dict[str, str], tags: list[dict[str, str]]
) -> None:
    aws = having(Tags=tags, PrivateDnsName=HOST)
    aws.publish("mem_used_percent", dimensions, [61.5, 62.5])

    memory = utilization(aws).memory

    assert (memory.mean, dict(memory.dimensions)) == (62.0, dimensions)


def test_points_under_other_dimensions_are_not_taken() -> None:
    aws = having()
    aws.publish("mem_used_percent", {**FULL, "path": "/"}, [61.5, 62.5])

    memory = utilization(aws).memory

    assert memory.unknown is Unknown.NO_AGENT
    assert "ImageId, InstanceId, InstanceType; InstanceId" in (memory.detail or "")


@pytest.mark.parametrize(
    ("window", "detailed", "period"),
    [
        (timedelta(minutes=15), False, 300),
        (timedelta(minutes=15), True, 60),
        (timedelta(hours=24), True, 60),
        (timedelta(hours=25), True, 300),
        (timedelta(days=5), False, 300),
        (timedelta(days=6), False, 900),
        (timedelta(days=16), True, 3600),
        (timedelta(days=60), False, 3600),
        (timedelta(days=400), False, 86400),
    ],
)
def test_the_period_suits_the_monitoring_and_the_window(
    window: timedelta, detailed: bool, period: int
) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html"""
    assert choose_period(window, detailed=detailed) == period


@pytest.mark.parametrize("window", [timedelta(seconds=30), timedelta(days=456)])
def test_a_window_that_cannot_be_answered_is_wrong_input(window: timedelta) -> None:
    with pytest.raises(errors.InputError):
        utilization(having(), window)


def test_the_window_is_asked_from_the_start_of_a_period() -> None:
    aws = having()
    utilization(aws)

    asked = aws.calls[-1][1]
    assert (NOW - asked["StartTime"], asked["EndTime"]) == (timedelta(minutes=17, seconds=30), NOW)


def test_the_worker_alone_by_id_is_asked_under_its_id_only() -> None:
    aws = having()
    manager = WorkerManager(aws, now=lambda: NOW)

    used = manager.get_instance_resources_utilization(ID)

    assert (used.cpu.unknown, used.memory.unknown) == (Unknown.NO_DATA, Unknown.NOT_IDENTIFIED)
    assert set(aws.actions) == {"cloudwatch:GetMetricStatistics"}


def failing(error: errors.AwsError) -> FakeAws:
    return FakeAws(instances=[instance()], failing={"get_metric_statistics": error})


def stale() -> FakeAws:
    aws = having()
    aws.publish("CPUUtilization", ALONE, [5.0, 6.0], until=NOW - timedelta(minutes=30))
    aws.publish("mem_used_percent", FULL, [5.0, 6.0], until=NOW - timedelta(minutes=30))
    return aws


def elsewhere() -> FakeAws:
    aws = having()
    aws.publish("mem_used_percent", {"ImageId": FULL["ImageId"]}, [50.0, 60.0])
    return aws


def test_points_that_several_workers_share_are_named_by_their_dimensions() -> None:
    memory = utilization(elsewhere()).memory

    assert memory.unknown is Unknown.OTHER_DIMENSIONS
    assert (memory.detail or "").endswith("so it belongs to no single worker: ImageId")


HOUR = timedelta(hours=1)
QUARTER = timedelta(minutes=15)
REASONS: list[tuple[Unknown, Unknown, FakeAws, timedelta]] = [
    (Unknown.NOT_RUNNING,) * 2 + (having(State={"Name": "stopped"}), QUARTER),
    (Unknown.TOO_YOUNG,) * 2 + (having(LaunchTime=NOW - timedelta(minutes=9)), QUARTER),
    (Unknown.NO_DATA, Unknown.NO_AGENT, having(), QUARTER),
    (Unknown.NO_DATA, Unknown.OTHER_DIMENSIONS, elsewhere(), QUARTER),
    (Unknown.WINDOW_TOO_SHORT,) * 2 + (having(), timedelta(minutes=5)),
    (Unknown.STALE,) * 2 + (stale(), HOUR),
    (Unknown.NO_PERMISSION,) * 2 + (failing(errors.DeniedError("no")), QUARTER),
    (Unknown.THROTTLED,) * 2 + (failing(errors.ThrottledError("slow")), QUARTER),
    (Unknown.NOT_OFFERED,) * 2 + (failing(errors.NotOfferedError("not here")), QUARTER),
    (Unknown.NO_ANSWER,) * 2 + (failing(errors.UnreachableError("dead")), QUARTER),
    (Unknown.FAILED,) * 2 + (failing(errors.RequestError("odd")), QUARTER),
]


@pytest.mark.parametrize(
    ("cpu", "memory", "aws", "window"), REASONS, ids=[str(reason[0]) for reason in REASONS]
)
def test_unknown_has_its_reason_and_remedy_and_is_never_zero(
    cpu: Unknown, memory: Unknown, aws: FakeAws, window: timedelta
) -> None:
    used = utilization(aws, window)

    assert (used.cpu.unknown, used.memory.unknown) == (cpu, memory)
    for metric in (used.cpu, used.memory):
        assert (metric.mean, metric.latest, metric.maximum) == (None, None, None)
        assert metric.remedy
        assert metric.detail


@pytest.mark.parametrize(
    ("state", "advice"),
    [
        ("stopped", "start the worker"),
        ("pending", "wait: the worker is starting"),
        ("stopping", "wait until the worker is stopped"),
        ("shutting-down", "nothing: the worker is being terminated"),
        ("terminated", "nothing: the worker is terminated"),
    ],
)
def test_nobody_is_told_to_start_what_cannot_be_started(state: str, advice: str) -> None:
    cpu = utilization(having(State={"Name": state})).cpu

    assert cpu.unknown is Unknown.NOT_RUNNING
    assert (cpu.remedy or "").startswith(advice)


def test_every_reason_is_produced_in_these_tests_and_has_a_remedy() -> None:
    produced = {each for row in REASONS for each in row[:2]} | {Unknown.NOT_IDENTIFIED}

    assert produced == set(Unknown)
    assert all(each.remedy for each in Unknown)


def test_stale_points_stay_to_be_looked_at() -> None:
    cpu = utilization(stale(), HOUR).cpu

    assert [point.average for point in cpu.points] == [5.0, 6.0]


def test_a_worker_that_does_not_run_costs_no_call() -> None:
    aws = having(State={"Name": "stopped"})
    utilization(aws)

    assert "cloudwatch:GetMetricStatistics" not in aws.actions


def test_refused_credentials_are_raised_not_reported_per_metric() -> None:
    with pytest.raises(errors.CredentialsError):
        utilization(failing(errors.CredentialsError("AuthFailure")))


def test_one_metric_failing_leaves_the_other() -> None:
    aws = having()
    aws.publish("CPUUtilization", ALONE, [10.0, 20.0])

    used = utilization(aws)

    assert (used.cpu.mean, used.memory.unknown) == (15.0, Unknown.NO_AGENT)


def test_a_metric_without_points_is_none_even_if_nobody_said_why() -> None:
    assert Metric("cpu", 300).mean is None


def of_fleet(aws: FakeAws, *, metric_data: bool) -> dict[str, Utilization]:
    manager = WorkerManager(aws, now=lambda: NOW)
    workers = manager.get_all_instances()
    aws.calls.clear()
    return manager.get_utilization_of(workers, metric_data=metric_data)


def busy_fleet(size: int) -> FakeAws:
    aws = FakeAws(instances=[instance(number) for number in range(1, size + 1)])
    for each in aws.instances[: size // 2]:
        identity = {"InstanceId": each["InstanceId"]}
        aws.publish("CPUUtilization", identity, [10.0, 20.0, 30.0], peak=5.0)
        aws.publish("mem_used_percent", {**FULL, **identity}, [61.0, 63.0])
    return aws


def test_metric_data_tells_the_same_as_statistics_in_few_calls() -> None:
    aws = busy_fleet(120)

    one_by_one = of_fleet(aws, metric_data=False)
    candidates, shared = 3, 3
    assert len(aws.calls) == 120 + 60 + 60 * candidates + shared
    together = of_fleet(aws, metric_data=True)

    assert together == one_by_one
    assert set(aws.actions) == {"cloudwatch:GetMetricData"}
    assert len(aws.calls) == 2 + (candidates - 1) + 1


def test_metric_data_that_is_refused_is_asked_for_one_by_one() -> None:
    aws = busy_fleet(4)
    aws.denied.add("cloudwatch:GetMetricData")

    used = of_fleet(aws, metric_data=True)

    assert used[ID].cpu.mean == 20.0
    assert "cloudwatch:GetMetricStatistics" in aws.actions


@pytest.mark.parametrize(
    ("status", "reason"),
    [("Forbidden", Unknown.NO_PERMISSION), ("InternalError", Unknown.FAILED)],
)
def test_a_result_without_an_answer_has_its_reason(status: str, reason: Unknown) -> None:
    aws = busy_fleet(2)
    aws.data_status = status

    assert of_fleet(aws, metric_data=True)[ID].cpu.unknown is reason


def test_detailed_and_basic_monitoring_are_asked_apart() -> None:
    aws = FakeAws(instances=[instance(1), instance(2, Monitoring={"State": "enabled"})])
    aws.publish("CPUUtilization", {"InstanceId": "i-00000000000000002"}, [7.0], period=60)

    used = of_fleet(aws, metric_data=True)

    assert used["i-00000000000000002"].cpu.mean == 7.0
    periods = [
        {query["MetricStat"]["Period"] for query in given["MetricDataQueries"]}
        for _, given in aws.calls
    ]
    assert all(len(period) == 1 for period in periods)
    assert set.union(*periods) == {60, 300}


def test_a_long_window_of_many_workers_stays_within_the_points_of_a_call() -> None:
    aws = busy_fleet(100)
    manager = WorkerManager(aws, now=lambda: NOW)

    manager.get_utilization_of(
        manager.get_all_instances(), window=timedelta(days=4), metric_data=True
    )

    assert len(aws.calls) > 3


def test_metric_data_that_is_throttled_is_a_reason_and_no_exception() -> None:
    aws = busy_fleet(4)
    aws.failing["get_metric_data"] = errors.ThrottledError("slow")

    assert of_fleet(aws, metric_data=True)[ID].cpu.unknown is Unknown.THROTTLED


def test_where_a_metric_was_found_it_is_looked_for_first() -> None:
    aws = having()
    aws.publish("mem_used_percent", {**ALONE, "InstanceType": "m5zn.metal"}, [61.0, 63.0])
    manager = WorkerManager(aws, now=lambda: NOW)
    worker = manager.get_instance_details(ID)

    def calls() -> int:
        aws.calls.clear()
        used = manager.get_instance_resources_utilization(worker, measures=[Measure.MEMORY])
        assert used.memory.mean == 62.0
        return len(aws.calls)

    assert (calls(), calls()) == (3, 1)


def test_where_most_workers_have_it_a_new_one_is_looked_for_first() -> None:
    aws = FakeAws(instances=[instance(1), instance(2), instance(3)])
    for each in aws.instances:
        aws.publish("mem_used_percent", {"InstanceId": each["InstanceId"]}, [61.0, 63.0])
    manager = WorkerManager(aws, now=lambda: NOW)
    first, second, new = manager.get_all_instances()
    manager.get_utilization_of([first, second])
    aws.calls.clear()

    assert manager.get_utilization_of([new])[new.id].memory.mean == 62.0
    assert len(aws.calls) == 2


def test_points_that_go_on_elsewhere_are_preferred_to_stale_ones() -> None:
    aws = stale()
    aws.publish("mem_used_percent", ALONE, [7.0, 8.0])

    assert utilization(aws, HOUR).memory.latest == 8.0


BYTES = 300.0 * 1024
VOLUMES = [{"Ebs": {"VolumeId": "vol-1"}}, {"Ebs": {"VolumeId": "vol-2"}}, {"DeviceName": "x"}]


def test_network_is_bytes_of_a_period_by_its_seconds() -> None:
    aws = having()
    aws.publish("NetworkIn", ALONE, [BYTES, 3 * BYTES], samples=1.0)
    aws.publish("NetworkOut", ALONE, [0.0, 0.0], samples=1.0)

    used = utilization(aws)

    network = used.network_in
    assert (network.mean, network.latest, network.maximum) == (2048.0, 3072.0, 3072.0)
    assert (network.unit, network.count, network.source) == ("bytes/s", 2, "AWS/EC2 NetworkIn")
    assert used.network_out.mean == 0.0


def test_a_period_that_has_not_ended_is_no_point_of_a_rate() -> None:
    aws = having()
    aws.publish("NetworkIn", ALONE, [BYTES, BYTES], until=NOW + timedelta(minutes=5), samples=1.0)

    assert utilization(aws).network_in.count == 1


def test_the_disks_of_bare_metal_are_the_sum_of_its_volumes() -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/viewing_metrics_with_cloudwatch.html"""
    aws = having(BlockDeviceMappings=VOLUMES)
    aws.publish("VolumeReadBytes", {"VolumeId": "vol-1"}, [BYTES, BYTES], samples=1.0)
    aws.publish("VolumeReadBytes", {"VolumeId": "vol-2"}, [BYTES, 2 * BYTES], samples=1.0)

    disk = utilization(aws).disk_read

    assert (disk.mean, disk.latest, disk.source) == (2560.0, 3072.0, "AWS/EBS VolumeReadBytes")


def test_one_volume_without_points_leaves_the_sum_unknown() -> None:
    aws = having(BlockDeviceMappings=VOLUMES)
    aws.publish("VolumeReadBytes", {"VolumeId": "vol-1"}, [BYTES, BYTES], samples=1.0)

    assert utilization(aws).disk_read.unknown is Unknown.NO_DATA


def test_the_disks_of_others_are_the_instances_own_sum() -> None:
    aws = having(InstanceType="c8i.4xlarge", BlockDeviceMappings=VOLUMES)
    aws.publish("EBSWriteBytes", ALONE, [BYTES, BYTES], samples=1.0)

    assert utilization(aws).disk_write.mean == 1024.0


def test_rates_are_the_same_by_metric_data() -> None:
    aws = busy_fleet(3)
    aws.publish("NetworkIn", ALONE, [BYTES, 3 * BYTES], samples=1.0)
    manager = WorkerManager(aws, now=lambda: NOW)
    workers = manager.get_all_instances()

    by_data, by_statistics = (
        manager.get_utilization_of(workers, measures=list(Measure), metric_data=granted)
        for granted in (True, False)
    )

    assert by_data == by_statistics
    assert by_data[ID].network_in.mean == 2048.0


def test_a_period_without_a_point_is_a_gap() -> None:
    start = NOW - timedelta(minutes=17, seconds=30)
    points = [Point(start + timedelta(minutes=at), 1.0, 1.0, 1.0) for at in (0, 10)]

    slots = Metric("cpu", 300, tuple(points)).slots(start, NOW)

    assert slots == [1.0, None, 1.0, None]
