"""Where moto's EC2 is lenient this one refuses, in EC2's words.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from cml_iam.sandbox import Sandbox
from tests.sandbox.conftest import Identity, launch, refused, tag_list
from tests.sandbox.documents import IMAGE
from tests.worlds import Snapshot

ABSENT = "0a1b2c3d4e5f6ffff"


@pytest.fixture
def instance(ec2: Any) -> str:
    """A running instance."""
    return launch(ec2)


def count(ec2: Any) -> int:
    pages = ec2.describe_instances()["Reservations"]
    return sum(len(page["Instances"]) for page in pages)


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
    assert [group["GroupName"] for group in described["SecurityGroups"]] == ["default"]


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
        (IMAGE, {"a": "\x1b[2J"}, "InvalidParameterValue"),
        (IMAGE, {"a\x00": "b"}, "InvalidParameterValue"),
    ],
)
def test_tags_go_on_what_there_is(resource: str, tags: dict[str, str], code: str, ec2: Any) -> None:
    assert refused(ec2.create_tags, Resources=[resource], Tags=tag_list(tags)).code == code


def test_a_missing_security_group_is_named(ec2: Any) -> None:
    group = f"sg-{ABSENT}"
    tagging = refused(ec2.create_tags, Resources=[group], Tags=tag_list({"a": "b"}))
    describing = refused(ec2.describe_security_groups, GroupIds=[group])

    assert tagging.code == describing.code == "InvalidGroup.NotFound"
    assert tagging.message == f"The security group '{group}' does not exist"
    assert describing.message == tagging.message


def test_the_seeded_images_are_the_accounts_own_and_a_foreign_one(ec2: Any) -> None:
    own = ec2.describe_images(Owners=["self"])["Images"]
    every = ec2.describe_images()["Images"]

    assert [(each["ImageId"], each["OwnerId"]) for each in own] == [(IMAGE, "111122223333")]
    assert {each["OwnerId"] for each in every} == {"111122223333", "099720109477"}


def test_a_client_token_finds_its_launch(ec2: Any) -> None:
    made = launch(ec2, ClientToken="to-be-found")
    filters = [{"Name": "client-token", "Values": ["to-be-found"]}]
    found = ec2.describe_instances(Filters=filters)["Reservations"]

    assert [each["InstanceId"] for one in found for each in one["Instances"]] == [made]
    assert found[0]["Instances"][0]["ClientToken"] == "to-be-found"
    both = [*filters, {"Name": "instance-type", "Values": ["m5.large"]}]
    assert ec2.describe_instances(Filters=both)["Reservations"] == []


def test_an_address_comes_with_running_and_goes_with_it(ec2: Any, instance: str) -> None:
    def address() -> str | None:
        (found,) = ec2.describe_instances(InstanceIds=[instance])["Reservations"]
        return found["Instances"][0].get("PublicIpAddress")

    before = address()
    ec2.stop_instances(InstanceIds=[instance])
    assert (bool(before), address()) == (True, None)
    ec2.start_instances(InstanceIds=[instance])
    assert address() not in (None, before)
    ec2.terminate_instances(InstanceIds=[instance])
    assert address() is None


def test_stop_protection_protects_from_stop_and_from_termination(ec2: Any) -> None:
    made = launch(ec2, DisableApiStop=True)
    other = launch(ec2)

    for operation in (ec2.stop_instances, ec2.terminate_instances):
        answer = refused(operation, InstanceIds=[made])
        assert answer.code == "OperationNotPermitted"
        assert "disableApiStop" in answer.message
    assert refused(ec2.stop_instances, InstanceIds=[other, made]).code == "OperationNotPermitted"
    assert state(ec2, other) == state(ec2, made) == "running"
    ec2.modify_instance_attribute(InstanceId=made, DisableApiStop={"Value": False})
    ec2.terminate_instances(InstanceIds=[made])
    assert state(ec2, made) == "terminated"


def test_a_protected_instance_spares_its_zone_and_no_other(ec2: Any) -> None:
    subnets = {subnet["AvailabilityZone"]: subnet["SubnetId"] for subnet in all_subnets(ec2)}
    protected = launch(ec2, DisableApiTermination=True, SubnetId=subnets["us-east-1a"])
    beside = launch(ec2, SubnetId=subnets["us-east-1a"])
    elsewhere = launch(ec2, SubnetId=subnets["us-east-1b"])

    answer = refused(ec2.terminate_instances, InstanceIds=[beside, elsewhere, protected])
    assert (answer.code, protected in answer.message) == ("OperationNotPermitted", True)
    states = {each: state(ec2, each) for each in (protected, beside, elsewhere)}
    assert states == {protected: "running", beside: "running", elsewhere: "terminated"}


def test_one_id_that_is_not_there_and_none_is_changed(ec2: Any, instance: str) -> None:
    for operation in (ec2.stop_instances, ec2.terminate_instances):
        answer = refused(operation, InstanceIds=[instance, f"i-{ABSENT}"])
        assert answer.code == "InvalidInstanceID.NotFound"
        assert state(ec2, instance) == "running"


def test_only_what_was_launched_to_hibernate_does(ec2: Any, instance: str) -> None:
    answer = refused(ec2.stop_instances, InstanceIds=[instance], Hibernate=True)
    assert answer.code == "UnsupportedHibernationConfiguration"
    assert state(ec2, instance) == "running"

    wanted = {"HibernationOptions": {"Configured": True}}
    disk = [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 64, "Encrypted": True}}]
    for changed in ({"InstanceType": "m5zn.metal", "BlockDeviceMappings": disk}, {}):
        code = refused(launch, ec2=ec2, **wanted, **changed).code
        assert code == "UnsupportedHibernationConfiguration"
    made = launch(ec2, **wanted, BlockDeviceMappings=disk)
    ec2.stop_instances(InstanceIds=[made], Hibernate=True)
    (found,) = ec2.describe_instances(InstanceIds=[made])["Reservations"][0]["Instances"]
    assert found["HibernationOptions"] == {"Configured": True}
    assert found["StateReason"]["Code"] == "Client.UserInitiatedHibernate"


def test_only_a_stopped_instance_changes_its_type(ec2: Any, instance: str) -> None:
    change = {"InstanceId": instance, "InstanceType": {"Value": "m5zn.metal"}}

    assert refused(ec2.modify_instance_attribute, **change).code == "IncorrectInstanceState"
    ec2.stop_instances(InstanceIds=[instance])
    ec2.modify_instance_attribute(**change)
    (found,) = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"]
    assert found["InstanceType"] == "m5zn.metal"


def test_detailed_monitoring_can_be_switched(ec2: Any, instance: str) -> None:
    def monitoring() -> str:
        (found,) = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"]
        return str(found["Monitoring"]["State"])

    (answer,) = ec2.monitor_instances(InstanceIds=[instance])["InstanceMonitorings"]
    assert (answer["Monitoring"]["State"], monitoring()) == ("pending", "enabled")
    (answer,) = ec2.unmonitor_instances(InstanceIds=[instance])["InstanceMonitorings"]
    assert (answer["Monitoring"]["State"], monitoring()) == ("disabling", "disabled")


@pytest.fixture
def before(sandbox: Sandbox) -> Iterator[None]:
    """The sandbox is afterwards as before: terminated instances would be described for an hour."""
    snapshot = Snapshot(sandbox)
    yield
    snapshot.restore()


@pytest.mark.usefixtures("before")
def test_a_hundred_ids_of_status_and_no_more(ec2: Any) -> None:
    made = ec2.run_instances(ImageId=IMAGE, InstanceType="c5.large", MinCount=101, MaxCount=101)
    ids = [each["InstanceId"] for each in made["Instances"]]

    answer = ec2.describe_instance_status(InstanceIds=ids[:100])
    assert len(answer["InstanceStatuses"]) == 100
    assert refused(ec2.describe_instance_status, InstanceIds=ids).code == "InvalidParameterValue"
    found = ec2.describe_instances(InstanceIds=ids)
    assert sum(len(reservation["Instances"]) for reservation in found["Reservations"]) == 101
    assert "NextToken" not in found
    ec2.terminate_instances(InstanceIds=ids)
    assert ec2.describe_instance_status(InstanceIds=ids[:100])["InstanceStatuses"] == []


PAGED: list[tuple[str, dict[str, Any], str, str]] = [
    ("describe_instances", {}, "Reservations", "ReservationId"),
    ("describe_instance_status", {"IncludeAllInstances": True}, "InstanceStatuses", "InstanceId"),
    ("describe_tags", {}, "Tags", "ResourceId"),
    ("describe_subnets", {}, "Subnets", "SubnetId"),
    (
        "describe_instance_types",
        {"Filters": [{"Name": "instance-type", "Values": ["c5.*"]}]},
        "InstanceTypes",
        "InstanceType",
    ),
]


@pytest.mark.parametrize(("operation", "parameters", "members", "name"), PAGED)
def test_pages_hold_everything_once(
    operation: str, parameters: dict[str, Any], members: str, name: str, ec2: Any
) -> None:
    for _ in range(6):
        launch(ec2)
    call = getattr(ec2, operation)
    asked = {**parameters, "MaxResults": 5}
    first = call(**asked)
    second = call(**asked, NextToken=first["NextToken"])

    assert len(first[members]) == 5
    assert not {str(each) for each in first[members]} & {str(each) for each in second[members]}
    whole = [
        each
        for page in ec2.get_paginator(operation).paginate(**parameters)
        for each in page[members]
    ]
    paged = [
        each for page in ec2.get_paginator(operation).paginate(**asked) for each in page[members]
    ]
    assert [each[name] for each in paged] == [each[name] for each in whole]
    assert refused(call, **asked, NextToken="mine").code == "InvalidNextToken"
    other = {**asked, "Filters": [{"Name": "availability-zone", "Values": ["x"]}]}
    assert refused(call, **other, NextToken=first["NextToken"]).code == "InvalidNextToken"


@pytest.mark.parametrize("size", [4, 0, 1001])
@pytest.mark.parametrize("operation", ["describe_instances", "describe_tags"])
def test_a_page_too_short_or_too_long_is_refused(operation: str, size: int, ec2: Any) -> None:
    assert refused(getattr(ec2, operation), MaxResults=size).code == "InvalidParameterValue"


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("start_instances", {}),
        ("stop_instances", {}),
        ("terminate_instances", {}),
        ("monitor_instances", {}),
    ],
)
def test_a_dry_run_changes_nothing(
    operation: str, parameters: dict[str, Any], ec2: Any, instance: str
) -> None:
    answer = refused(getattr(ec2, operation), InstanceIds=[instance], DryRun=True, **parameters)

    assert (answer.code, answer.status) == ("DryRunOperation", 412)
    assert state(ec2, instance) == "running"


def test_a_dry_run_of_a_launch_launches_nothing_and_keeps_no_token(ec2: Any) -> None:
    before = count(ec2)

    assert refused(launch, ec2=ec2, ClientToken="dry", DryRun=True).code == "DryRunOperation"
    assert count(ec2) == before
    assert launch(ec2, ClientToken="dry", InstanceType="m5zn.metal")


def state(ec2: Any, instance_id: str) -> str:
    (found,) = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"]
    return str(found["State"]["Name"])


def all_subnets(ec2: Any) -> list[dict[str, Any]]:
    return list(ec2.describe_subnets()["Subnets"])


def test_a_launch_shows_no_public_address_yet(ec2: Any) -> None:
    made = ec2.run_instances(ImageId=IMAGE, InstanceType="c5.large", MinCount=1, MaxCount=1)
    (shown,) = made["Instances"]

    assert (shown["State"]["Name"], bool(shown["PrivateIpAddress"])) == ("pending", True)
    assert "54." not in str(shown)
    assert "Association" not in shown["NetworkInterfaces"][0]


def test_a_terminated_instance_shows_no_network(ec2: Any, instance: str) -> None:
    ec2.terminate_instances(InstanceIds=[instance])
    (found,) = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"]

    assert (found["SecurityGroups"], found["NetworkInterfaces"]) == ([], [])
    assert not {"PrivateIpAddress", "SubnetId", "VpcId", "PublicIpAddress"} & set(found)
    assert found["InstanceType"] == "c5.large"
