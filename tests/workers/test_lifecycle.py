"""A worker's whole life, against moto's EC2."""

from typing import Any

import pytest

from cml_iam import errors
from cml_iam.aws import Aws
from cml_iam.tag import Tag
from cml_iam.workers import Disk, Launch, WorkerManager


@pytest.fixture
def manager(moto: Aws) -> WorkerManager:
    return WorkerManager(moto)


@pytest.fixture
def image(moto: Aws) -> str:
    return str(moto.call("ec2", "register_image", Name="cml-2.9")["ImageId"])


@pytest.fixture
def launch(image: str) -> Launch:
    return Launch("lab-1", image, "m5zn.metal", tags={"team": "core"}, disk=Disk(64))


def test_a_worker_is_born_with_the_guard_tag(
    moto: Aws, manager: WorkerManager, launch: Launch
) -> None:
    worker = manager.create_instance(launch)

    assert worker.tags == {"ManagedBy": "lablet-cloud-manager", "Name": "lab-1", "team": "core"}
    assert (worker.name, worker.instance_type, worker.region) == (
        "lab-1",
        "m5zn.metal",
        "us-east-1",
    )
    volumes = moto.call("ec2", "describe_volumes")["Volumes"]
    assert [
        (volume["Size"], volume["VolumeType"], volume["Encrypted"], _tag(volume, "ManagedBy"))
        for volume in volumes
    ] == [(64, "gp3", True, "lablet-cloud-manager")]


def test_the_metadata_service_takes_tokens_only(
    moto: Aws, manager: WorkerManager, launch: Launch
) -> None:
    manager.create_instance(launch)

    (reservation,) = moto.pages("ec2", "describe_instances", "Reservations")
    assert reservation["Instances"][0]["MetadataOptions"]["HttpTokens"] == "required"


def test_stop_start_terminate(manager: WorkerManager, launch: Launch) -> None:
    worker = manager.create_instance(launch)

    stopped = manager.stop_instance(worker.id)
    assert (stopped.id, stopped.previous) == (worker.id, "running")
    assert manager.get_instance_details(worker.id).state == "stopped"
    manager.start_instance(worker.id)
    assert manager.get_instance_details(worker.id).state == "running"
    manager.terminate_instance(worker.id)
    assert manager.get_instance_details(worker.id).state == "terminated"


def test_status_of_a_running_and_of_a_stopped_worker(
    manager: WorkerManager, launch: Launch
) -> None:
    worker = manager.create_instance(launch)

    assert manager.get_instance_status(worker.id).ok
    manager.stop_instance(worker.id)
    status = manager.get_instance_status(worker.id)
    assert (status.state, status.ok) == ("stopped", False)


def test_a_worker_nobody_knows(manager: WorkerManager) -> None:
    unknown = "i-0123456789abcdef0"

    for method in (
        manager.get_instance_details,
        manager.get_instance_status,
        manager.start_instance,
        manager.terminate_instance,
    ):
        with pytest.raises(errors.NotFoundError):
            method(unknown)


def test_a_protected_worker_says_so(moto: Aws, manager: WorkerManager, launch: Launch) -> None:
    worker = manager.create_instance(launch)
    moto.call(
        "ec2",
        "modify_instance_attribute",
        InstanceId=worker.id,
        DisableApiTermination={"Value": True},
    )

    with pytest.raises(errors.ProtectedError):
        manager.terminate_instance(worker.id)


def test_tags_are_read_added_and_removed(manager: WorkerManager, launch: Launch) -> None:
    worker = manager.create_instance(launch)

    manager.update_instance_tags(worker.id, {"owner": "ann", "team": "edge"})
    assert manager.get_instance_tags(worker.id) == {
        "ManagedBy": "lablet-cloud-manager",
        "Name": "lab-1",
        "owner": "ann",
        "team": "edge",
    }
    manager.delete_instance_tags(worker.id, ["owner", "team"])
    assert list(manager.get_instance_tags(worker.id)) == ["ManagedBy", "Name"]


def test_all_workers_are_listed_and_only_workers(
    moto: Aws, manager: WorkerManager, launch: Launch, image: str
) -> None:
    moto.call("ec2", "run_instances", ImageId=image, MinCount=30, MaxCount=30)
    workers = [manager.create_instance(launch) for _ in range(3)]
    manager.stop_instance(workers[0].id)

    assert {instance.id for instance in manager.get_all_instances()} == {
        worker.id for worker in workers
    }
    assert len(manager.get_all_instances(managed_only=False)) == 33
    assert [instance.id for instance in manager.get_all_instances(states=["stopped"])] == [
        workers[0].id
    ]
    assert manager.get_all_instances(tags={"team": "edge"}) == ()
    assert manager.get_all_instances(region="us-west-2") == ()
    assert len(manager.get_all_instances(instance_types=["m5zn.*"])) == 3


def test_another_guard_tag(moto: Aws, launch: Launch) -> None:
    ours = WorkerManager(moto, guard=Tag("Owner", "us"))
    ours.create_instance(launch)

    assert len(ours.get_all_instances()) == 1
    assert WorkerManager(moto).get_all_instances() == ()


def test_images_are_found_by_name_newest_first(moto: Aws, manager: WorkerManager) -> None:
    for name in ("cml-2.8", "cml-2.9", "other"):
        moto.call("ec2", "register_image", Name=name)

    assert {image.name for image in manager.find_images("cml-*")} == {"cml-2.8", "cml-2.9"}
    assert manager.get_ami_ids_by_name("nothing") == ()
    assert len(manager.get_ami_ids_by_name("cml-2.9")) == 1


def test_a_dry_run_changes_nothing(manager: WorkerManager, launch: Launch) -> None:
    from cml_iam.workers._changes import launch_change, terminate_change

    worker = manager.create_instance(launch)
    manager.permits(terminate_change([worker.id]))
    manager.permits(launch_change(launch, manager.guard))

    assert [instance.state for instance in manager.get_all_instances()] == ["running"]


def test_health_of_a_whole_account(manager: WorkerManager, launch: Launch) -> None:
    manager.create_instance(launch)

    health = manager.health()

    assert health.ok, [check for check in health.checks if check.verdict != "allowed"]
    assert "us-west-2" in health.regions
    assert [instance.state for instance in manager.get_all_instances()] == ["running"]


def test_metrics_come_from_the_real_protocol(moto: Aws, launch: Launch) -> None:
    from datetime import UTC, datetime, timedelta

    now = datetime.now(UTC)
    manager = WorkerManager(moto, now=lambda: now + timedelta(hours=1))
    worker = manager.create_instance(launch)
    for minutes, value in ((56, 40.0), (51, 10.0), (46, 0.0)):
        moto.call(
            "cloudwatch",
            "put_metric_data",
            Namespace="AWS/EC2",
            MetricData=[
                {
                    "MetricName": "CPUUtilization",
                    "Dimensions": [{"Name": "InstanceId", "Value": worker.id}],
                    "Timestamp": now + timedelta(minutes=minutes),
                    "Value": value,
                }
            ],
        )

    used = manager.get_instance_resources_utilization(manager.get_instance_details(worker.id))

    assert used.cpu.mean == pytest.approx(50 / 3)
    assert (used.cpu.latest, used.cpu.maximum, used.cpu.count) == (40.0, 40.0, 3)
    assert used.memory.unknown == "no agent"


def _tag(raw: dict[str, Any], key: str) -> str:
    return next(tag["Value"] for tag in raw["Tags"] if tag["Key"] == key)
