"""What the application's clients take and return: the attributes are the application's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cml_iam.secret import Secret
    from cml_iam.workers import Image, Worker


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key with its region, for `AwsEc2SpiClient`; no repr shows the secret."""

    access_key_id: str
    secret_access_key: Secret
    region: str | None = None
    session_token: Secret | None = None


@dataclass(frozen=True, slots=True)
class AmiDetails:
    """An image; *ami_creation_date* is AWS's own text."""

    ami_id: str
    ami_name: str
    ami_description: str | None
    ami_creation_date: str


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance that was just launched; *id* is *aws_instance_id*."""

    id: str
    aws_instance_id: str
    aws_region: str
    instance_name: str
    ami_id: str
    ami_name: str
    instance_type: str
    security_group_ids: list[str]
    subnet_id: str | None
    instance_state: str
    key_pair_name: str | None
    public_ip: str | None
    private_ip: str | None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InstanceDetails:
    """An instance; *launch_time_relative* is how long ago it was started, such as `3h 12m`."""

    id: str
    type: str
    state: str
    image_id: str
    name: str
    launch_timestamp: datetime | None
    launch_time_relative: str
    public_ip: str | None
    private_ip: str | None


@dataclass(frozen=True, slots=True)
class ResourcesUtilization:
    """Means over the time, in percent; None where CloudWatch has nothing to tell."""

    id: str
    region_name: str
    relative_start_time: str
    start_time: datetime
    end_time: datetime
    avg_cpu_utilization: float | None
    avg_memory_utilization: float | None


@dataclass(frozen=True, slots=True)
class InstanceState:
    """An instance and its state; *state_reason* is what EC2 says of the last change."""

    instance_id: str
    state: str
    state_reason: str | None
    public_ip: str | None
    private_ip: str | None
    instance_type: str
    launch_time: datetime | None
    image_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Ec2Metrics:
    """The last values of an instance's metrics; None where CloudWatch has none.

    *cpu_utilization* is in percent; the others count bytes or operations in one period, as
    CloudWatch reports them; *timestamp* is the start of the last period, in UTC.
    """

    instance_id: str
    cpu_utilization: float | None
    network_in_bytes: float | None
    network_out_bytes: float | None
    disk_read_ops: float | None
    disk_write_ops: float | None
    timestamp: datetime | None


def ami_details(image: Image) -> AmiDetails:
    """Return *image* with the application's attributes."""
    return AmiDetails(image.id, image.name, image.description, image.created_at)


def instance_details(worker: Worker, now: datetime | None = None) -> InstanceDetails:
    """Return *worker* with the application's attributes."""
    return InstanceDetails(
        worker.id,
        worker.instance_type,
        worker.state,
        worker.image_id,
        worker.name,
        worker.launched_at,
        _ago(worker.launched_at, now or datetime.now(UTC)),
        worker.public_ip,
        worker.private_ip,
    )


def instance_state(worker: Worker) -> InstanceState:
    """Return the state of *worker* with the application's attributes."""
    return InstanceState(
        worker.id,
        worker.state,
        worker.state_reason,
        worker.public_ip,
        worker.private_ip,
        worker.instance_type,
        worker.launched_at,
        worker.image_id,
        worker.name,
    )


def _ago(at: datetime | None, now: datetime) -> str:
    if at is None:
        return ""
    age = max(now - at, timedelta())
    hours, seconds = divmod(age.seconds, 3600)
    parts = ((age.days, "d"), (hours, "h"), (seconds // 60, "m"), (seconds % 60, "s"))
    telling = [f"{count}{unit}" for count, unit in parts if count]
    return " ".join(telling[:2]) or "0s"
