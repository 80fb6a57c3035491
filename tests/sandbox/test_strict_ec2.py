"""Where moto's EC2 is lenient this one refuses, in EC2's words.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.sandbox.conftest import Identity, launch, refused, tag_list
from tests.sandbox.documents import IMAGE

ABSENT = "0a1b2c3d4e5f6ffff"


@pytest.fixture(scope="module")
def ec2(root: Identity) -> Any:
    """The root's EC2."""
    return root.client("ec2")


@pytest.fixture
def instance(ec2: Any) -> str:
    """A running instance."""
    return launch(ec2)


def count(ec2: Any) -> int:
    pages = ec2.describe_instances()["Reservations"]
    return sum(len(each["Instances"]) for each in pages)


# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html#CommonErrors
LAUNCHES: list[tuple[dict[str, Any], str]] = [
    ({"ImageId": f"ami-{ABSENT}"}, "InvalidAMIID.NotFound"),
    ({"ImageId": "ami-nonsense"}, "InvalidAMIID.Malformed"),
    ({"ImageId": "nonsense"}, "InvalidAMIID.Malformed"),
    ({"InstanceType": "c5.tiny"}, "InvalidParameterValue"),
    ({"KeyName": "nobody's"}, "InvalidKeyPair.NotFound"),
    ({"SubnetId": f"subnet-{ABSENT}"}, "InvalidSubnetID.NotFound"),
    ({"SubnetId": "subnet-x"}, "InvalidSubnetID.Malformed"),
    ({"SecurityGroupIds": [f"sg-{ABSENT}"]}, "InvalidGroup.NotFound"),
    ({"MinCount": 2, "MaxCount": 1}, "InvalidParameterValue"),
    ({"MinCount": 0, "MaxCount": 0}, "InvalidParameterValue"),
    ({"ClientToken": "x" * 65}, "InvalidParameterValue"),
    ({"IamInstanceProfile": {"Name": "none"}}, "InvalidParameterValue"),
    ({"tags": {"aws:mine": "x"}}, "InvalidParameterValue"),
    ({"ElasticGpuSpecification": [{"Type": "x"}]}, "UnsupportedOperation"),
    (
        {"LaunchTemplate": {"LaunchTemplateId": f"lt-{ABSENT}"}},
        "InvalidLaunchTemplateId.NotFound",
    ),
]


@pytest.mark.parametrize(("parameters", "code"), LAUNCHES)
def test_a_launch_that_cannot_be_is_refused_and_launches_nothing(
    parameters: dict[str, Any], code: str, ec2: Any
) -> None:
    before = count(ec2)

    assert refused(launch, ec2=ec2, **parameters).code == code
    assert count(ec2) == before


@pytest.mark.parametrize("instance_type", ["m5zn.metal", "c5.large", "c5.metal", "c8i.2xlarge"])
def test_the_types_a_worker_may_have_are_offered(instance_type: str, ec2: Any) -> None:
    made = launch(ec2, InstanceType=instance_type)

    described = ec2.describe_instances(InstanceIds=[made])["Reservations"][0]["Instances"][0]
    assert described["InstanceType"] == instance_type
    assert described["ImageId"] == IMAGE
    assert described["SubnetId"].startswith("subnet-")
    assert [each["GroupName"] for each in described["SecurityGroups"]] == ["default"]


def test_a_client_token_launches_once(ec2: Any) -> None:
    before = count(ec2)
    first = launch(ec2, ClientToken="once")

    assert launch(ec2, ClientToken="once") == first
    assert count(ec2) == before + 1
    answer = refused(launch, ec2=ec2, ClientToken="once", InstanceType="m5zn.metal")
    assert answer.code == "IdempotentParameterMismatch"
    assert launch(ec2, ClientToken="twice") != first


def test_a_client_token_launches_once_however_many_ask_at_a_time(root: Identity) -> None:
    clients = [root.client("ec2") for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda ec2: launch(ec2, ClientToken="race"), clients))

    assert len(set(made)) == 1


def test_the_maximum_is_launched(ec2: Any) -> None:
    made = ec2.run_instances(ImageId=IMAGE, InstanceType="c5.large", MinCount=1, MaxCount=3)

    assert len(made["Instances"]) == 3


def test_a_terminated_instance_stays_so(ec2: Any, instance: str) -> None:
    ec2.terminate_instances(InstanceIds=[instance])

    for operation in (ec2.start_instances, ec2.stop_instances):
        assert refused(operation, InstanceIds=[instance]).code == "IncorrectInstanceState"
    ec2.terminate_instances(InstanceIds=[instance])


def test_termination_protection_of_the_launch_holds(ec2: Any) -> None:
    made = launch(ec2, DisableApiTermination=True)

    assert refused(ec2.terminate_instances, InstanceIds=[made]).code == "OperationNotPermitted"


@pytest.mark.parametrize(
    ("instance_id", "code"),
    [
        (f"i-{ABSENT}", "InvalidInstanceID.NotFound"),
        ("i-x", "InvalidInstanceID.Malformed"),
        ("i-0A1B2C3D4E5F60001", "InvalidInstanceID.Malformed"),
        (IMAGE, "InvalidInstanceID.Malformed"),
        ("", "InvalidInstanceID.Malformed"),
    ],
)
@pytest.mark.parametrize(
    "operation",
    ["start_instances", "stop_instances", "terminate_instances", "describe_instances"],
)
def test_an_id_that_is_none_is_told_apart(
    operation: str, instance_id: str, code: str, ec2: Any
) -> None:
    assert refused(getattr(ec2, operation), InstanceIds=[instance_id]).code == code


def test_a_page_and_ids_do_not_go_together(ec2: Any, instance: str) -> None:
    for operation in (ec2.describe_instances, ec2.describe_instance_status):
        answer = refused(operation, InstanceIds=[instance], MaxResults=5)
        assert answer.code == "InvalidParameterCombination"


def test_deleting_no_tag_in_particular_deletes_all(ec2: Any, instance: str) -> None:
    ec2.create_tags(Resources=[instance], Tags=tag_list({"a": "1", "b": "2"}))
    ec2.delete_tags(Resources=[instance])

    filters = [{"Name": "resource-id", "Values": [instance]}]
    assert ec2.describe_tags(Filters=filters)["Tags"] == []


@pytest.mark.parametrize(
    ("resource", "tags", "code"),
    [
        ("nonsense", {"a": "b"}, "InvalidID"),
        ("x-0a1b2c3d4e5f60001", {"a": "b"}, "InvalidID"),
        (f"i-{ABSENT}", {"a": "b"}, "InvalidInstanceID.NotFound"),
        (IMAGE, {"aws:x": "b"}, "InvalidParameterValue"),
    ],
)
def test_tags_go_on_what_there_is(resource: str, tags: dict[str, str], code: str, ec2: Any) -> None:
    assert refused(ec2.create_tags, Resources=[resource], Tags=tag_list(tags)).code == code


def test_the_seeded_images_are_the_accounts_own_and_a_foreign_one(ec2: Any) -> None:
    own = ec2.describe_images(Owners=["self"])["Images"]
    every = ec2.describe_images()["Images"]

    assert [(each["ImageId"], each["OwnerId"]) for each in own] == [(IMAGE, "111122223333")]
    assert {each["OwnerId"] for each in every} == {"111122223333", "099720109477"}
