"""The authorizations that AWS requests for a call, with their resources and contexts.

IAM never sees an API call, only these: for RunInstances, one for each resource that it uses or
creates, with the condition keys of its type. A call succeeds if all of them are allowed.
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/iam-policy-structure.html
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

from cml_iam.engine import Request
from cml_iam.facts import names_of, principal_arn, service_principal
from cml_iam.policy import Arn

Tags = Mapping[str, str]
Context = Mapping[str, str | list[str]]

CREATED: Final = "*"
"""The id in an authorization's ARN of a resource that does not exist yet."""

_PRINCIPAL_TYPES: Final = {
    "assumed-role": "AssumedRole",
    "federated-user": "FederatedUser",
    "role": "AssumedRole",
    "user": "User",
}


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
        kind, _, name = Arn.parse(self.arn).resource.partition("/")
        context: dict[str, str | list[str]] = {
            "aws:PrincipalAccount": self.account,
            "aws:PrincipalArn": principal_arn(self.arn) or self.arn,
            "aws:PrincipalType": _PRINCIPAL_TYPES.get(kind, "Account"),
            "aws:SecureTransport": "true",
            "aws:SourceIp": self.source_ip,
            "aws:userid": self.user_id,
        }
        if self.mfa is not None:
            context["aws:MultiFactorAuthPresent"] = str(self.mfa).lower()
        if kind == "user":
            context["aws:username"] = name.rpartition("/")[2]
        return context | {f"aws:PrincipalTag/{key}": value for key, value in self.tags.items()}


@dataclass(frozen=True, slots=True)
class Instance:
    """An existing instance, with the properties that EC2 reports to IAM."""

    kind: ClassVar[str] = "instance"
    id: str
    region: str
    account: str
    instance_type: str = "c5.large"
    tags: Tags = field(default_factory=dict)
    zone: str = ""
    profile: str = ""

    def keys(self) -> Context:
        """Return the condition keys that describe the instance."""
        profile = {"ec2:InstanceProfile": self.profile} if self.profile else {}
        return {
            "ec2:InstanceID": self.id,
            "ec2:InstanceType": self.instance_type,
            "ec2:AvailabilityZone": self.zone or f"{self.region}a",
            "ec2:RootDeviceType": "ebs",
            "ec2:Tenancy": "default",
            **profile,
            **_resource_tags(self.tags),
        }


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

    def keys(self) -> Context:
        """Return the condition keys that describe the resource."""
        return _resource_tags(self.tags)


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


def tag_request(tags: Tags | tuple[str, ...]) -> dict[str, str | list[str]]:
    """Return the condition keys for the tags in a request; empty without tags."""
    if not tags:
        return {}
    values = tags if isinstance(tags, Mapping) else {}
    return {
        "aws:TagKeys": list(tags),
        **{f"aws:RequestTag/{key}": value for key, value in values.items()},
    }


def _resource_tags(tags: Tags) -> dict[str, str]:
    """Return the condition keys for the tags of a resource; EC2 sends both spellings."""
    return {
        f"{prefix}:ResourceTag/{key}": value
        for key, value in tags.items()
        for prefix in ("aws", "ec2")
    }


def describe(caller: Caller, action: str, region: str) -> tuple[Request, ...]:
    """Return the single authorization of a call without resources, such as a Describe call."""
    return (_request(caller, action, region, "*", {}),)


def use(
    caller: Caller, action: str, resource: Resource | Instance, keys: Tags | tuple[str, ...] = ()
) -> tuple[Request, ...]:
    """Return the authorization of *action* on a *resource* of any kind.

    *keys* are the tags to set, or the keys of tags to delete. A DeleteTags call without keys
    deletes all tags and has no `aws:TagKeys`.
    """
    context = {**resource.keys(), **tag_request(keys)}
    return (_request(caller, action, resource.region, resource_arn(caller, resource), context),)


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


def resource_arn(caller: Caller, resource: Resource | Instance) -> str:
    """Return the ARN of *resource*; ARNs of images and snapshots name no account."""
    account = "" if resource.kind in {"image", "snapshot"} else resource.account
    return _arn(caller, resource.region, account, resource.kind, resource.id)


def launch(caller: Caller, what: Launch) -> tuple[Request, ...]:
    """Return every authorization of a RunInstances call; all must be allowed."""
    run, region = "ec2:RunInstances", what.region
    requests = (
        _request(caller, run, region, _arn(caller, region, account, kind, name), keys)
        for kind, name, account, keys in (*_used(caller, what), *_created(caller, what))
    )
    return (*requests, *_tagged(caller, what), *_passed(caller, what))


_Row = tuple[str, str, str, Context]
"""A resource of a launch: its type, id and account, and its condition keys."""


def _used(caller: Caller, what: Launch) -> Iterator[_Row]:
    """Yield the resources that exist before the launch."""
    own, subnet_owner = what.account, what.subnet_account or what.account
    image = {
        "ec2:ImageID": what.image.id,
        "ec2:ImageType": "machine",
        "ec2:Owner": what.image.owner,
        "ec2:Public": str(what.image.public).lower(),
        "ec2:RootDeviceType": "ebs",
        **_resource_tags(what.image.tags),
    }
    yield "image", what.image.id, "", image
    subnet = {"ec2:SubnetID": what.subnet, **_zone(what), "ec2:Vpc": _vpc(caller, what)}
    yield "subnet", what.subnet, subnet_owner, subnet
    vpc = _arn(caller, what.region, own, "vpc", what.vpc)
    for group in what.security_groups:
        yield "security-group", group, own, {"ec2:SecurityGroupID": group, "ec2:Vpc": vpc}
    for snapshot in what.snapshots:
        keys = {"ec2:SnapshotID": snapshot, "ec2:Owner": own, **_resource_tags(what.snapshot_tags)}
        yield "snapshot", snapshot, "", keys
    if what.key_name:
        yield "key-pair", what.key_name, own, {"ec2:KeyPairName": what.key_name}
    if what.launch_template:
        yield "launch-template", what.launch_template, own, {}
    if group := what.placement_group:
        yield "placement-group", group, own, {"ec2:PlacementGroup": group}


def _created(caller: Caller, what: Launch) -> Iterator[_Row]:
    own, subnet_owner = what.account, what.subnet_account or what.account
    instance = {
        "ec2:InstanceType": what.instance_type,
        **_zone(what),
        "ec2:InstanceMarketType": what.market,
        "ec2:EbsOptimized": str(what.ebs_optimized).lower(),
        "ec2:RootDeviceType": "ebs",
        "ec2:Tenancy": what.tenancy,
    }
    if what.metadata_tokens:
        instance["ec2:MetadataHttpTokens"] = what.metadata_tokens
    if what.profile:
        instance["ec2:InstanceProfile"] = what.profile
    volume = {
        **_zone(what),
        "ec2:VolumeType": what.volume_type,
        "ec2:VolumeSize": str(what.volume_size),
    }
    if what.encrypted is not None:
        volume["ec2:Encrypted"] = str(what.encrypted).lower()
    interface = {
        **_zone(what),
        "ec2:Subnet": _arn(caller, what.region, subnet_owner, "subnet", what.subnet),
        "ec2:Vpc": _vpc(caller, what),
    }
    yield "instance", CREATED, own, {**instance, **_new_tags(what, "instance")}
    yield "volume", CREATED, own, {**volume, **_new_tags(what, "volume")}
    kind = "network-interface"
    yield kind, what.network_interface or CREATED, own, {**interface, **_new_tags(what, kind)}
    kind = "spot-instances-request"
    if kind in what.tags:
        # Requested only if the Spot request itself is tagged; see the page iam-policy-structure.
        yield kind, CREATED, own, _new_tags(what, kind)


def _zone(what: Launch) -> dict[str, str]:
    return {"ec2:AvailabilityZone": what.zone or f"{what.region}a"}


def _vpc(caller: Caller, what: Launch) -> str:
    """Return the ARN of the VPC, which has the subnet's account."""
    return _arn(caller, what.region, what.subnet_account or what.account, "vpc", what.vpc)


def _new_tags(what: Launch, kind: str) -> dict[str, str | list[str]]:
    return tag_request(what.tags.get(kind, {}))


def _tagged(caller: Caller, what: Launch) -> Iterator[Request]:
    """Yield ec2:CreateTags for every tagged type; AWS evaluates it only if tags are sent."""
    for kind, tags in what.tags.items():
        if tags:
            new = Resource(kind, CREATED, what.region, what.account)
            yield from tag_on_create(caller, "RunInstances", new, tags)


def _passed(caller: Caller, what: Launch) -> Iterator[Request]:
    if what.profile_role:
        service = service_principal("ec2", caller.partition)
        keys = {"aws:RequestedRegion": what.region, "iam:PassedToService": service}
        yield Request("iam:PassRole", what.profile_role, caller.arn, caller.context() | keys)


def _request(caller: Caller, action: str, region: str, resource: str, keys: Context) -> Request:
    """Return a request with the condition keys of the caller and the region, and *keys*."""
    every = caller.context() | dict.fromkeys(names_of("aws:RequestedRegion", action), region)
    return Request(action, resource, caller.arn, every | dict(keys))


def _arn(caller: Caller, region: str, account: str, kind: str, name: str) -> str:
    return f"arn:{caller.partition}:ec2:{region}:{account}:{kind}/{name}"
