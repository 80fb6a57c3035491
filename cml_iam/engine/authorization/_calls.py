"""Calls with their callers and resources, and the authorizations that AWS requests for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cml_iam.engine import Request
from cml_iam.facts import names_of
from cml_iam.policy import Arn

Tags = Mapping[str, str]
Context = Mapping[str, str | list[str]]


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller and its address; *arn* is that of an IAM user, a role session or the root user.

    *mfa* is None for a long-term access key, whose requests have no MFA keys.
    """

    arn: str
    user_id: str = "AIDAEXAMPLE"
    source_ip: str = "203.0.113.10"
    tags: Tags = field(default_factory=dict)
    mfa: bool | None = None

    @property
    def partition(self) -> str:
        """The partition of the caller's ARN."""
        return Arn.parse(self.arn).partition

    @property
    def account(self) -> str:
        """The account of the caller."""
        return Arn.parse(self.arn).account

    def context(self) -> dict[str, str | list[str]]:
        """Return the global condition keys that describe the caller.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
        """
        resource = Arn.parse(self.arn).resource
        kind, _, name = resource.partition("/")
        known: dict[str, str | list[str]] = {
            "aws:PrincipalAccount": self.account,
            "aws:PrincipalArn": _principal_arn(self.arn),
            "aws:PrincipalType": _PRINCIPAL_TYPES.get(kind, "Account"),
            "aws:SecureTransport": "true",
            "aws:SourceIp": self.source_ip,
            "aws:userid": self.user_id,
        }
        if self.mfa is not None:
            known["aws:MultiFactorAuthPresent"] = str(self.mfa).lower()
        if kind == "user":
            known["aws:username"] = name.rpartition("/")[2]
        known.update({f"aws:PrincipalTag/{key}": value for key, value in self.tags.items()})
        return known


def call_context(caller: Caller, action: str, region: str) -> dict[str, str | list[str]]:
    """Return the condition keys that every call of *action* in *region* has."""
    names = names_of("aws:RequestedRegion", action)
    return caller.context() | dict.fromkeys(names, region)


def _principal_arn(arn: str) -> str:
    """Return the value of aws:PrincipalArn, which for a role session is the role's ARN.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalarn
    """
    parsed = Arn.parse(arn)
    kind, _, rest = parsed.resource.partition("/")
    if kind != "assumed-role":
        return arn
    role = rest.rpartition("/")[0]
    return f"arn:{parsed.partition}:iam::{parsed.account}:role/{role}"


_PRINCIPAL_TYPES: Final = {
    "assumed-role": "AssumedRole",
    "federated-user": "FederatedUser",
    "role": "AssumedRole",
    "user": "User",
}


CREATED: Final = "*"
"""The id in an authorization's ARN of a resource that does not exist yet."""


@dataclass(frozen=True, slots=True)
class Instance:
    """An existing instance, with the properties that EC2 reports to IAM."""

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
    """An EC2 resource of any *kind* (`volume`, `snapshot` …): existing, or new if its id is `*`."""

    kind: str
    id: str
    region: str
    account: str
    tags: Tags = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Launch:
    """A RunInstances call: the resources that it uses, and those that it creates.

    *tags* are the tags for the new resources, by resource type (`instance`, `volume` …).
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
    """Return the ARN of *resource*; ARNs of images and snapshots name no account."""
    account = "" if resource.kind in {"image", "snapshot"} else resource.account
    where = f"arn:{caller.partition}:ec2:{resource.region}:{account}"
    return f"{where}:{resource.kind}/{resource.id}"


def tag_request(tags: Tags | tuple[str, ...]) -> dict[str, str | list[str]]:
    """Return the condition keys for the tags in a request; empty without tags."""
    if not tags:
        return {}
    known: dict[str, str | list[str]] = {"aws:TagKeys": list(tags)}
    if isinstance(tags, Mapping):
        known.update({f"aws:RequestTag/{key}": value for key, value in tags.items()})
    return known


def resource_tags(tags: Tags) -> dict[str, str | list[str]]:
    """Return the condition keys for the tags of a resource; EC2 sends both spellings."""
    return {
        f"{prefix}:ResourceTag/{key}": value
        for key, value in tags.items()
        for prefix in ("aws", "ec2")
    }


def instance_keys(instance: Instance) -> dict[str, str | list[str]]:
    """Return the condition keys of an existing instance."""
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


def describe(caller: Caller, action: str, region: str) -> tuple[Request, ...]:
    """Return the single authorization of a call without resources, such as a Describe call."""
    return (Request(action, "*", caller.arn, call_context(caller, action, region)),)


def operate(caller: Caller, action: str, instance: Instance) -> tuple[Request, ...]:
    """Return the authorization of *action* (Start, Stop, Terminate) on *instance*."""
    context = call_context(caller, action, instance.region) | instance_keys(instance)
    return (Request(action, instance_arn(caller, instance), caller.arn, context),)


def retag(
    caller: Caller, action: str, instance: Instance, keys: Tags | tuple[str, ...]
) -> tuple[Request, ...]:
    """Return the authorization of CreateTags or DeleteTags on *instance*.

    *keys* are the tags to set, or the keys to delete. A DeleteTags call without keys deletes all
    tags and has no `aws:TagKeys`.
    """
    context = (
        call_context(caller, action, instance.region) | instance_keys(instance) | tag_request(keys)
    )
    return (Request(action, instance_arn(caller, instance), caller.arn, context),)


def use(
    caller: Caller, action: str, resource: Resource, keys: Tags | tuple[str, ...] = ()
) -> tuple[Request, ...]:
    """Return the authorization of *action* on a *resource* of any kind.

    *keys* are the tags of the request, or the tag keys, as in `retag`.
    """
    context = call_context(caller, action, resource.region) | resource_tags(resource.tags)
    return (
        Request(action, resource_arn(caller, resource), caller.arn, context | tag_request(keys)),
    )


def tag_on_create(
    caller: Caller, create_action: str, resource: Resource, tags: Tags
) -> tuple[Request, ...]:
    """Return the ec2:CreateTags authorization that comes with *create_action* on *resource*.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
    """
    return tuple(
        request._replace(context={**request.context, "ec2:CreateAction": create_action})
        for request in use(caller, "ec2:CreateTags", resource, tags)
    )
