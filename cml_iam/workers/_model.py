"""The values that AWS reports about a worker, and the states to wait for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from sys import intern
from typing import Any, Final, TypeVar

from cml_iam.errors import InputError
from cml_iam.visible import visible

_INSTANCE_ID = re.compile(r"i-([0-9a-f]{8}|[0-9a-f]{17})")
_IMAGE_ID = re.compile(r"ami-([0-9a-f]{8}|[0-9a-f]{17})")

DEFAULT_TIMEOUT: Final = timedelta(minutes=20)
"""The default timeout: a metal instance takes 5 to 10 minutes to start, its checks a few more."""


class Goal(StrEnum):
    """What to wait for: a state, both status checks passed, or CML ready."""

    RUNNING = "running"
    OK = "ok"
    CML_READY = "cml-ready"
    STOPPED = "stopped"
    TERMINATED = "terminated"


@dataclass(frozen=True, slots=True)
class Worker:
    """An EC2 instance; *launched_at* is the time of its last start, in UTC.

    *detailed_monitoring* is True if the instance reports every minute rather than every five.
    """

    id: str
    region: str
    state: str
    instance_type: str
    image_id: str
    name: str = ""
    zone: str = ""
    public_ip: str | None = None
    private_ip: str | None = None
    launched_at: datetime | None = None
    detailed_monitoring: bool = False
    lifecycle: str = "on-demand"
    state_reason: str | None = None
    subnet_id: str | None = None
    vpc_id: str | None = None
    security_group_ids: tuple[str, ...] = ()
    key_name: str | None = None
    instance_profile: str | None = None
    architecture: str | None = None
    private_dns_name: str | None = None
    volume_ids: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The name and id for messages; only the id without a name."""
        return f"{visible(self.name)} ({self.id})" if self.name else self.id

    @property
    def named(self) -> dict[str, str]:
        """The id, name and region, which head what is reported about the worker."""
        return {"id": self.id, "name": self.name, "region": self.region}

    def as_json(self) -> dict[str, Any]:
        launched = self.launched_at
        return {**asdict(self), "launched_at": launched.isoformat() if launched else None}

    @property
    def ended(self) -> bool:
        """Whether EC2 is terminating the instance, or has terminated it."""
        return self.state in ("shutting-down", "terminated")

    @property
    def auto_scaling_group(self) -> str | None:
        """The worker's Auto Scaling group, from the tag that AWS sets on members."""
        return self.tags.get("aws:autoscaling:groupName")

    @property
    def address(self) -> str | None:
        """The worker's public address, otherwise the private one; None while stopped.

        A stopped instance keeps its private address, which does not answer, and loses its public
        address unless that is an Elastic IP address.
        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Stop_Start.html
        """
        return self.public_ip or (None if self.state == "stopped" else self.private_ip)


@dataclass(frozen=True, slots=True)
class StateChange:
    """The effect of a start, stop or termination: from state *previous* to *current*."""

    id: str
    previous: str
    current: str


@dataclass(frozen=True, slots=True)
class ScheduledEvent:
    """Something AWS will do to the instance, such as `instance-retirement`."""

    code: str
    description: str
    not_before: datetime | None


@dataclass(frozen=True, slots=True)
class InstanceStatus:
    """EC2's two status checks: each is `ok`, `impaired`, `initializing` or `insufficient-data`."""

    id: str
    state: str
    system: str
    instance: str
    zone: str = ""
    events: tuple[ScheduledEvent, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the worker is running and both checks pass."""
        return (self.state, self.system, self.instance) == ("running", "ok", "ok")


@dataclass(frozen=True, slots=True)
class Image:
    """An image that workers can be launched from; *created_at* is AWS's own string.

    *root_gib* is the minimum size of the root disk, which is the size of the image's snapshot.
    """

    id: str
    name: str
    owner: str
    created_at: str
    root_device: str | None = None
    architecture: str | None = None
    description: str | None = None
    root_gib: int | None = None


def check_id(instance_id: str) -> str:
    """Return *instance_id*; raises InputError if it cannot be an instance id."""
    if not is_instance_id(instance_id):
        raise InputError(
            f"not an instance id: `{instance_id}`",
            remedy="an id is `i-` and 8 or 17 hexadecimal digits",
        )
    return instance_id


def is_instance_id(text: str) -> bool:
    return _INSTANCE_ID.fullmatch(text) is not None


def is_image_id(text: str) -> bool:
    return _IMAGE_ID.fullmatch(text) is not None


def worker_from(raw: Mapping[str, Any], region: str) -> Worker:
    tags = from_aws(raw.get("Tags", ()))
    return Worker(
        id=raw["InstanceId"],
        region=region,
        state=_shared(raw.get("State", {}).get("Name", "unknown")),
        instance_type=_shared(raw.get("InstanceType", "")),
        image_id=_shared(raw.get("ImageId", "")),
        name=tags.get("Name", ""),
        zone=_shared(raw.get("Placement", {}).get("AvailabilityZone", "")),
        public_ip=raw.get("PublicIpAddress") or None,
        private_ip=raw.get("PrivateIpAddress") or None,
        launched_at=in_utc(raw.get("LaunchTime")),
        # `pending` and `disabling` are transitions; only `enabled` reports every minute.
        detailed_monitoring=raw.get("Monitoring", {}).get("State") == "enabled",
        lifecycle=_shared(raw.get("InstanceLifecycle") or "on-demand"),
        state_reason=raw.get("StateReason", {}).get("Message") or None,
        subnet_id=_shared(raw.get("SubnetId")),
        vpc_id=_shared(raw.get("VpcId")),
        security_group_ids=tuple(
            _shared(group["GroupId"]) for group in raw.get("SecurityGroups", ())
        ),
        key_name=_shared(raw.get("KeyName")),
        instance_profile=_shared(raw.get("IamInstanceProfile", {}).get("Arn")),
        architecture=_shared(raw.get("Architecture")),
        private_dns_name=raw.get("PrivateDnsName") or None,
        volume_ids=tuple(
            mapping["Ebs"]["VolumeId"]
            for mapping in raw.get("BlockDeviceMappings", ())
            if "VolumeId" in mapping.get("Ebs", {})
        ),
        tags=tags,
    )


Text = TypeVar("Text", str, str | None)


def _shared(text: Text) -> Text:
    """Return *text* as a shared object, because thousands of workers have few different values."""
    return intern(text) if text else text


def from_aws(tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return *tags* in the form of AWS's API as a mapping, sorted by key."""
    ordered = sorted(tags, key=lambda tag: tag["Key"])
    return {intern(tag["Key"]): intern(tag.get("Value", "")) for tag in ordered}


def change_from(raw: Mapping[str, Any]) -> StateChange:
    return StateChange(raw["InstanceId"], raw["PreviousState"]["Name"], raw["CurrentState"]["Name"])


def status_from(raw: Mapping[str, Any]) -> InstanceStatus:
    return InstanceStatus(
        id=raw["InstanceId"],
        state=raw.get("InstanceState", {}).get("Name", "unknown"),
        system=raw.get("SystemStatus", {}).get("Status", "unknown"),
        instance=raw.get("InstanceStatus", {}).get("Status", "unknown"),
        zone=raw.get("AvailabilityZone", ""),
        events=tuple(
            ScheduledEvent(
                event.get("Code", ""), event.get("Description", ""), in_utc(event.get("NotBefore"))
            )
            for event in raw.get("Events", ())
        ),
    )


def image_from(raw: Mapping[str, Any]) -> Image:
    device = raw.get("RootDeviceName")
    disks = {mapping.get("DeviceName"): mapping for mapping in raw.get("BlockDeviceMappings", ())}
    return Image(
        id=raw["ImageId"],
        name=raw.get("Name", ""),
        owner=raw.get("OwnerId", ""),
        created_at=raw.get("CreationDate", ""),
        root_device=device,
        architecture=raw.get("Architecture"),
        description=raw.get("Description"),
        root_gib=disks.get(device, {}).get("Ebs", {}).get("VolumeSize"),
    )


def in_utc(at: datetime | None) -> datetime | None:
    """Return *at* in UTC; a naive time counts as UTC."""
    if at is None:
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
