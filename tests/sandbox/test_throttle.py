"""EC2's token buckets, on a clock that stands still unless it is told to go on.

https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cml_iam.sandbox import Bucket, Buckets, Conditions, start_sandbox
from tests.sandbox.conftest import Identity, StoppedClock, launch, refused, root_of
from tests.sandbox.documents import IMAGE


@pytest.fixture
def time() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def busy(time: StoppedClock) -> Iterator[Identity]:
    """The root of a sandbox that throttles as AWS does."""
    with start_sandbox(conditions=Conditions(throttle=True), clock=time) as running:
        yield root_of(running)


def passed(call: Any, most: int, **parameters: Any) -> int:
    """Return how many of *most* calls come before the first that is throttled."""
    from botocore.exceptions import ClientError

    for number in range(most):
        try:
            call(**parameters)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("RequestLimitExceeded", "Throttling"):
                return number
    return most


NOBODY = "i-0a1b2c3d4e5f6ffff"

# The page's tables: how many at once, and how many more after a second.
REQUESTS: list[tuple[str, dict[str, Any], int, int]] = [
    ("run_instances", {"ImageId": "ami-x", "MinCount": 1, "MaxCount": 1}, 5, 2),
    ("start_instances", {"InstanceIds": [NOBODY]}, 5, 2),
    ("stop_instances", {"InstanceIds": [NOBODY]}, 50, 5),
    ("terminate_instances", {"InstanceIds": [NOBODY]}, 100, 5),
    ("create_tags", {"Resources": [NOBODY], "Tags": [{"Key": "a", "Value": "b"}]}, 100, 10),
    ("delete_tags", {"Resources": [NOBODY], "Tags": [{"Key": "a"}]}, 100, 10),
    ("monitor_instances", {"InstanceIds": [NOBODY]}, 50, 5),
    ("describe_instances", {}, 50, 10),
    ("describe_instances", {"MaxResults": 5}, 100, 20),
    ("describe_instances", {"InstanceIds": [NOBODY]}, 100, 20),
    ("describe_instances", {"Filters": [{"Name": "vpc-id", "Values": ["x"]}]}, 100, 20),
    ("describe_instance_status", {}, 50, 10),
    ("describe_regions", {}, 100, 20),
]


@pytest.mark.parametrize(("operation", "parameters", "size", "refill"), REQUESTS)
def test_each_operation_has_the_bucket_of_the_page(
    operation: str,
    parameters: dict[str, Any],
    size: int,
    refill: int,
    busy: Identity,
    time: StoppedClock,
) -> None:
    call = getattr(busy.client("ec2"), operation)

    assert passed(call, size + 1, **parameters) == size
    answer = refused(call, **parameters)
    assert (answer.code, answer.status) == ("RequestLimitExceeded", 503)
    time.go_on(1)
    assert passed(call, size, **parameters) == refill


def test_buckets_are_for_each_region_and_operation(busy: Identity) -> None:
    east, west = busy.client("ec2"), busy.client("ec2", "us-west-2")
    passed(east.start_instances, 6, InstanceIds=[NOBODY])

    assert refused(east.start_instances, InstanceIds=[NOBODY]).code == "RequestLimitExceeded"
    assert refused(west.start_instances, InstanceIds=[NOBODY]).code == "InvalidInstanceID.NotFound"
    assert refused(east.stop_instances, InstanceIds=[NOBODY]).code == "InvalidInstanceID.NotFound"


def test_instances_are_counted_too_and_a_dry_run_counts_none(
    busy: Identity, time: StoppedClock
) -> None:
    ec2 = busy.client("ec2")
    many = {"ImageId": IMAGE, "InstanceType": "c5.large", "MinCount": 1, "MaxCount": 999}

    assert refused(ec2.run_instances, **many, DryRun=True).code == "DryRunOperation"
    assert refused(ec2.run_instances, **many | {"KeyName": "none"}).code.startswith("InvalidKey")
    assert launch(ec2)
    assert refused(launch, ec2=ec2).code == "RequestLimitExceeded"
    time.go_on(0.5)
    assert launch(ec2)


def test_sixty_workers_start_in_one_call_and_not_in_sixty(
    busy: Identity, time: StoppedClock
) -> None:
    ec2 = busy.client("ec2")
    made = ec2.run_instances(ImageId=IMAGE, InstanceType="c5.large", MinCount=60, MaxCount=60)
    ids = [instance["InstanceId"] for instance in made["Instances"]]
    ec2.stop_instances(InstanceIds=ids)

    assert sum(passed(ec2.start_instances, 1, InstanceIds=[each]) for each in ids) == 5
    time.go_on(1)
    assert len(ec2.start_instances(InstanceIds=ids)["StartingInstances"]) == 60
    states = {
        instance["State"]["Name"]
        for page in ec2.get_paginator("describe_instances").paginate(MaxResults=100)
        for reservation in page["Reservations"]
        for instance in reservation["Instances"]
    }
    assert states == {"running"}


def test_cloudwatch_throttles_in_its_own_words(busy: Identity) -> None:
    cloudwatch = busy.client("cloudwatch")

    assert passed(cloudwatch.list_metrics, 26) == 25
    assert refused(cloudwatch.list_metrics).code == "Throttling"


def test_ones_own_buckets_replace_those_of_aws(time: StoppedClock) -> None:
    own = {"DescribeRegions": Buckets(Bucket(1, 0))}
    with start_sandbox(conditions=Conditions(throttle=True, buckets=own), clock=time) as running:
        root = root_of(running)
        assert passed(root.client("ec2").describe_regions, 5) == 1


def test_nothing_is_throttled_unless_it_is_asked_for(root: Identity) -> None:
    assert passed(root.client("ec2").start_instances, 20, InstanceIds=[NOBODY]) == 20
