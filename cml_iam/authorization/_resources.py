"""What a call is about, and the condition keys that describe it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cml_iam.authorization._caller import Caller, Tags

CREATED: Final = "*"
"""The id of a resource that does not exist yet, as it stands in the authorization's ARN."""


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance that exists, and what EC2 tells IAM of it."""

    id: str
    region: str
    account: str
    instance_type: str = "c5.large"
    tags: Tags = field(default_factory=dict)
    zone: str = ""
    profile: str = ""


@dataclass(frozen=True, slots=True)
class Image:
    """An image to launch from; *owner* is an account id, `amazon` or `aws-marketplace`."""

    id: str
    owner: str
    public: bool = False
    tags: Tags = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Resource:
    """An EC2 resource of any *kind* (`volume`, `snapshot` …) that exists or, as `*`, is made."""

    kind: str
    id: str
    region: str
    account: str
    tags: Tags = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Launch:
    """A RunInstances call: what it names and what it makes.

    *tags* are the tags to put on what is made, by resource type (`instance`, `volume` …).
    """

    region: str
    account: str
    image: Image
    instance_type: str
    tags: Mapping[str, Tags] = field(default_factory=dict)
    subnet: str = "subnet-0a1b2c3d4e5f60001"
    subnet_account: str = ""
    vpc: str = "vpc-0a1b2c3d4e5f60001"
    zone: str = ""
    security_groups: tuple[str, ...] = ("sg-0a1b2c3d4e5f60001",)
    network_interface: str = ""
    key_name: str = ""
    profile_role: str = ""
    profile: str = ""
    snapshots: tuple[str, ...] = ()
    snapshot_tags: Tags = field(default_factory=dict)
    launch_template: str = ""
    market: str = "on-demand"
    metadata_tokens: str = ""
    encrypted: bool | None = None
    volume_type: str = "gp3"
    volume_size: int = 64
    tenancy: str = "default"
    ebs_optimized: bool = False
    placement_group: str = ""


def instance_arn(caller: Caller, instance: Instance) -> str:
    """Return the ARN of *instance*."""
    return f"arn:{caller.partition}:ec2:{instance.region}:{instance.account}:instance/{instance.id}"


def resource_arn(caller: Caller, resource: Resource) -> str:
    """Return the ARN of *resource*; those of images and snapshots name no account."""
    account = "" if resource.kind in {"image", "snapshot"} else resource.account
    where = f"arn:{caller.partition}:ec2:{resource.region}:{account}"
    return f"{where}:{resource.kind}/{resource.id}"


def tag_request(tags: Tags | tuple[str, ...]) -> dict[str, str | list[str]]:
    """Return the keys that describe the tags in a request; without tags there are none."""
    if not tags:
        return {}
    known: dict[str, str | list[str]] = {"aws:TagKeys": list(tags)}
    if isinstance(tags, Mapping):
        known.update({f"aws:RequestTag/{key}": value for key, value in tags.items()})
    return known


def resource_tags(tags: Tags) -> dict[str, str | list[str]]:
    """Return the keys that describe the tags a resource has: EC2 fills both spellings."""
    return {
        f"{prefix}:ResourceTag/{key}": value
        for key, value in tags.items()
        for prefix in ("aws", "ec2")
    }


def instance_keys(instance: Instance) -> dict[str, str | list[str]]:
    """Return the keys of an instance that exists."""
    known: dict[str, str | list[str]] = {
        "ec2:InstanceID": instance.id,
        "ec2:InstanceType": instance.instance_type,
        "ec2:AvailabilityZone": instance.zone or f"{instance.region}a",
        "ec2:RootDeviceType": "ebs",
        "ec2:Tenancy": "default",
    }
    if instance.profile:
        known["ec2:InstanceProfile"] = instance.profile
    return known | resource_tags(instance.tags)
