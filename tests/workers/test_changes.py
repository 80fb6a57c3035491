"""What is asked of EC2, and what is refused before anything is asked."""

import dataclasses
import re
from typing import Any

import pytest

from cml_iam import errors
from cml_iam.workers import Disk, Launch, WorkerManager
from cml_iam.workers._changes import stop_change
from cml_iam.workers._model import worker_from
from tests.workers.fake import FakeAws, instance

ID = "i-00000000000000001"
LAUNCH = Launch("lab-1", "ami-0a1b2c3d4e5f60001", "m5zn.metal")


@pytest.fixture
def aws() -> FakeAws:
    return FakeAws(instances=[instance()])


def asked(aws: FakeAws, launch: Launch) -> dict[str, Any]:
    WorkerManager(aws).create_instance(launch)
    return aws.calls[-1][1]


def test_exactly_one_worker_with_token_tags_and_metadata_tokens(aws: FakeAws) -> None:
    tags = [
        {"Key": "Name", "Value": "lab-1"},
        {"Key": "ManagedBy", "Value": "lablet-cloud-manager"},
    ]

    assert asked(aws, LAUNCH) == {
        "region": "us-east-1",
        "ImageId": "ami-0a1b2c3d4e5f60001",
        "InstanceType": "m5zn.metal",
        "MinCount": 1,
        "MaxCount": 1,
        "ClientToken": LAUNCH.client_token,
        "TagSpecifications": [
            {"ResourceType": "instance", "Tags": tags},
            {"ResourceType": "volume", "Tags": tags},
        ],
        "MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled"},
    }


@pytest.mark.parametrize(
    ("options", "key", "expected"),
    [
        ({"subnet_id": "subnet-1"}, "SubnetId", "subnet-1"),
        ({"security_group_ids": ("sg-1", "sg-2")}, "SecurityGroupIds", ["sg-1", "sg-2"]),
        ({"key_name": "k"}, "KeyName", "k"),
        ({"instance_profile": "cml"}, "IamInstanceProfile", {"Name": "cml"}),
        (
            {"instance_profile": "arn:aws:iam::1:instance-profile/cml"},
            "IamInstanceProfile",
            {"Arn": "arn:aws:iam::1:instance-profile/cml"},
        ),
        ({"nested": True}, "CpuOptions", {"NestedVirtualization": "enabled"}),
        ({"detailed_monitoring": True}, "Monitoring", {"Enabled": True}),
        ({"user_data": "#cloud-config"}, "UserData", "#cloud-config"),
        (
            {"disk": Disk(64, device="/dev/xvda")},
            "BlockDeviceMappings",
            [
                {
                    "DeviceName": "/dev/xvda",
                    "Ebs": {
                        "VolumeSize": 64,
                        "VolumeType": "gp3",
                        "Encrypted": True,
                        "DeleteOnTermination": True,
                    },
                }
            ],
        ),
    ],
)
def test_each_option_is_asked_for_and_absent_otherwise(
    aws: FakeAws, options: dict[str, Any], key: str, expected: object
) -> None:
    assert key not in asked(aws, LAUNCH)
    assert asked(aws, Launch("w", "ami-1", "m8i.large", **options))[key] == expected


def test_the_same_launch_again_is_the_same_token_another_launch_another(aws: FakeAws) -> None:
    first, again = asked(aws, LAUNCH)["ClientToken"], asked(aws, LAUNCH)["ClientToken"]
    other = asked(aws, Launch("lab-1", "ami-1", "m5zn.metal"))["ClientToken"]

    assert first == again != other
    assert asked(aws, Launch("w", "ami-1", "t", client_token="mine"))["ClientToken"] == "mine"


def test_without_an_answer_the_remedy_names_the_token(aws: FakeAws) -> None:
    aws.failing["run_instances"] = errors.UnreachableError("no answer: read timeout")

    with pytest.raises(errors.UnreachableError) as caught:
        WorkerManager(aws).create_instance(LAUNCH)

    assert f"`{LAUNCH.client_token}`" in (caught.value.remedy or "")
    assert aws.failing["run_instances"].remedy is None  # another call may have the same error


@pytest.mark.parametrize(
    ("launch", "kind", "said"),
    [
        (Launch("", "ami-1", "t"), errors.InputError, "needs a name"),
        (Launch("w", "cml", "t"), errors.InputError, "not an image id: `cml`"),
        (Launch("w", "ami-1", "t", client_token="x" * 65), errors.InputError, "client token"),
        (Launch("w", "ami-1", "t", client_token="ü"), errors.InputError, "client token"),
        (Launch("w", "ami-1", "t", user_data="x" * 16385), errors.InputError, "16 KiB"),
        (Launch("w", "ami-1", "t", disk=Disk(0)), errors.InputError, "1 GiB"),
        (Launch("w", "ami-1", "t", tags={"managedby": "x"}), errors.RefusedError, "guard tag"),
        (Launch("w", "ami-1", "t", tags={"ManagedBy": "me"}), errors.RefusedError, "guard tag"),
        (Launch("w", "ami-1", "t", tags={"aws:x": "y"}), errors.RefusedError, "reserved"),
        (
            Launch("w", "ami-1", "t", tags={str(number): "" for number in range(49)}),
            errors.InputError,
            "51 tags",
        ),
    ],
)
def test_a_launch_that_cannot_be_is_not_sent(
    aws: FakeAws, launch: Launch, kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=re.escape(said)):
        WorkerManager(aws).create_instance(launch)

    assert aws.calls == []


def test_the_guard_tag_itself_may_be_repeated_at_launch(aws: FakeAws) -> None:
    launch = Launch("w", "ami-1", "t", tags={"ManagedBy": "lablet-cloud-manager"})

    (instance_tags, _) = asked(aws, launch)["TagSpecifications"]
    assert len(instance_tags["Tags"]) == 2


@pytest.mark.parametrize(
    ("tags", "kind"),
    [
        ({}, errors.InputError),
        ({"ManagedBy": "other"}, errors.RefusedError),
        ({"ManagedBy": "lablet-cloud-manager"}, errors.RefusedError),
        ({"MANAGEDBY": "x"}, errors.RefusedError),
        ({"aws:cloudformation:stack": "x"}, errors.RefusedError),
        ({"AWS:x": "y"}, errors.RefusedError),
        ({"": "x"}, errors.InputError),
        ({"k" * 129: "x"}, errors.InputError),
        ({"k": "v" * 257}, errors.InputError),
    ],
)
def test_tags_that_may_not_be_set(aws: FakeAws, tags: dict[str, str], kind: type) -> None:
    with pytest.raises(kind):
        WorkerManager(aws).update_instance_tags(ID, tags)

    assert aws.calls == []


@pytest.mark.parametrize(
    ("keys", "kind"),
    [
        ([], errors.InputError),
        (["ManagedBy"], errors.RefusedError),
        (["team", "managedby"], errors.RefusedError),
        (["aws:x"], errors.RefusedError),
        ([""], errors.InputError),
    ],
)
def test_tags_that_may_not_be_removed(aws: FakeAws, keys: list[str], kind: type) -> None:
    with pytest.raises(kind):
        WorkerManager(aws).delete_instance_tags(ID, keys)

    assert aws.calls == []


def test_tags_are_removed_whatever_their_value(aws: FakeAws) -> None:
    WorkerManager(aws).delete_instance_tags(ID, ["team", "owner", "team"])

    assert aws.calls[-1][1]["Tags"] == [{"Key": "team"}, {"Key": "owner"}]


@pytest.mark.parametrize("text", ["", "web-1", "i-", "i-1234567", "i-XYZ45678", "i-1234567890"])
def test_what_is_no_id_is_not_sent(aws: FakeAws, text: str) -> None:
    manager = WorkerManager(aws)
    for method in (
        manager.start_instance,
        manager.stop_instance,
        manager.terminate_instance,
        manager.get_instance_details,
        manager.get_instance_status,
        manager.get_instance_tags,
        manager.get_instance_resources_utilization,
    ):
        with pytest.raises(errors.InputError, match="not an instance id"):
            method(text)

    assert aws.calls == []


def test_force_and_hibernate() -> None:
    assert stop_change([ID], force=True).parameters == {"InstanceIds": [ID], "Force": True}
    assert stop_change([ID], hibernate=True).parameters == {"InstanceIds": [ID], "Hibernate": True}
    with pytest.raises(errors.InputError):
        stop_change([ID], force=True, hibernate=True)


def test_images_are_never_searched_among_everybodys(aws: FakeAws) -> None:
    with pytest.raises(errors.RefusedError):
        WorkerManager(aws).get_ami_ids_by_name("ubuntu*", owners=())

    assert aws.calls == []


def test_images_are_ours_unless_said_and_newest_first(aws: FakeAws) -> None:
    aws.images = [
        {"ImageId": "ami-b", "Name": "x", "CreationDate": "2026-01-02T00:00:00.000Z"},
        {"ImageId": "ami-c", "Name": "x", "CreationDate": "2026-02-01T00:00:00.000Z"},
        {"ImageId": "ami-a", "Name": "x", "CreationDate": "2025-12-31T00:00:00.000Z"},
    ]

    assert WorkerManager(aws).get_ami_ids_by_name("x") == ("ami-c", "ami-b", "ami-a")
    assert aws.calls[-1][1]["Owners"] == ["self"]


def test_a_change_that_ec2_does_not_confirm_is_an_error(
    aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws, "_stop_instances", lambda _: {"StoppingInstances": []}, raising=False)

    with pytest.raises(errors.AwsError, match="did not confirm"):
        WorkerManager(aws).stop_instance(ID)


def test_a_dry_run_that_is_taken_for_real_is_an_error(
    aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = aws.call
    monkeypatch.setattr(
        aws,
        "call",
        lambda service, operation, **given: real(
            service, operation, **{k: v for k, v in given.items() if k != "DryRun"}
        ),
    )

    with pytest.raises(errors.AwsError, match="as a real call"):
        WorkerManager(aws).permits(stop_change([ID]))


def test_no_region_anywhere_is_wrong_input() -> None:
    with pytest.raises(errors.InputError, match="no region"):
        WorkerManager(FakeAws(region=None)).get_all_instances()


def test_the_region_asked_for_is_the_region_of_the_call_and_of_the_worker(aws: FakeAws) -> None:
    (worker,) = WorkerManager(aws).get_all_instances(region="eu-west-1")

    assert (worker.region, aws.calls[-1][1]["region"]) == ("eu-west-1", "eu-west-1")


def test_the_names_of_the_original_code_mean_the_same() -> None:
    pairs = {
        "list_instances": "get_all_instances",
        "get_instance_status_checks": "get_instance_status",
        "add_tags": "update_instance_tags",
        "remove_tags": "delete_instance_tags",
        "get_tags": "get_instance_tags",
    }

    for old, new in pairs.items():
        assert getattr(WorkerManager, old) is getattr(WorkerManager, new)


def test_only_workers_are_asked_for_unless_every_instance_is_wanted(aws: FakeAws) -> None:
    guard = {"Name": "tag:ManagedBy", "Values": ["lablet-cloud-manager"]}
    manager = WorkerManager(aws)

    manager.get_all_instances(states=["running"], tags={"team": "core"})
    assert guard in aws.calls[-1][1]["Filters"]
    manager.get_all_instances(managed_only=False)
    assert "Filters" not in aws.calls[-1][1]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "needs a name"),
        ("   ", "needs a name"),
        ("lab\n", r"invisible characters: \n"),
        ("la\x1b[2Jb", r"invisible characters: \x1b"),
        ("lab\u202e1", r"invisible characters: \u202e"),
        (" lab", "begin or end with a space"),
        ("lab*", "would match other workers too"),
        ("i-00000000000000001", "looks like an instance id"),
    ],
)
def test_a_name_that_cannot_be_typed_or_means_others_is_refused(
    aws: FakeAws, name: str, words: str
) -> None:
    with pytest.raises((errors.InputError, errors.RefusedError)) as raised:
        asked(aws, dataclasses.replace(LAUNCH, name=name))

    assert words in raised.value.message
    assert aws.calls == []


@pytest.mark.parametrize("name", ["lab 1", "Prüfstand", "i-abc", "a=b, (c)"])
def test_any_other_name_is_taken(aws: FakeAws, name: str) -> None:
    tags = asked(aws, dataclasses.replace(LAUNCH, name=name))["TagSpecifications"][0]["Tags"]

    assert {"Key": "Name", "Value": name} in tags


@pytest.mark.parametrize("tags", [{"a": "b\nc"}, {"a\x7f": "b"}, {"a": "\x9b"}, {"a\u200bb": ""}])
def test_a_tag_with_what_cannot_be_seen_is_refused(aws: FakeAws, tags: dict[str, str]) -> None:
    manager = WorkerManager(aws)

    with pytest.raises(errors.InputError, match="invisible characters"):
        manager.update_instance_tags(ID, tags)
    with pytest.raises(errors.InputError, match="invisible characters"):
        manager.create_instance(dataclasses.replace(LAUNCH, tags=tags))
    assert aws.calls == []


def test_a_tag_of_somebody_else_that_cannot_be_seen_can_be_removed(aws: FakeAws) -> None:
    WorkerManager(aws).delete_instance_tags(ID, ["a\x1b"])

    assert aws.actions == ["ec2:DeleteTags"]


def test_a_label_shows_what_a_terminal_would_obey() -> None:
    name = {"Key": "Name", "Value": "lab\x1b[2J"}

    assert worker_from(instance(Tags=[name]), "us-east-1").label == rf"lab\x1b[2J ({ID})"


@pytest.mark.parametrize(
    "kind", ["c8i.large", "m8i.2xlarge", "r8i-flex.large", "m8id.large", "x8i.large", "c10i.large"]
)
def test_nested_virtualization_is_asked_of_types_that_may_have_it(aws: FakeAws, kind: str) -> None:
    said = asked(aws, dataclasses.replace(LAUNCH, instance_type=kind, nested=True))

    assert said["CpuOptions"] == {"NestedVirtualization": "enabled"}


@pytest.mark.parametrize(
    "kind", ["m5zn.metal", "c5.large", "m8g.large", "m7i.large", "c8i.metal-48xl"]
)
def test_nested_virtualization_is_refused_for_others(aws: FakeAws, kind: str) -> None:
    with pytest.raises(errors.InputError, match="has no nested virtualization"):
        asked(aws, dataclasses.replace(LAUNCH, instance_type=kind, nested=True))
    assert aws.calls == []
