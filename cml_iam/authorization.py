"""Which authorizations AWS makes for a call, with which resource and which context.

IAM never sees an API call, only the authorizations the service asks for: RunInstances is one for
each resource it uses or makes, each with the condition keys of that resource's type. A call goes
through if all of its authorizations are allowed.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/iam-policy-structure.html
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cml_iam.engine import Request
from cml_iam.policy import Arn

Tags = Mapping[str, str]
Context = Mapping[str, str | list[str]]

CREATED: Final = "*"
"""The id of a resource that does not exist yet, as it stands in the authorization's ARN."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and from where; *arn* is an IAM user's, a role session's or the root's.

    *mfa* is None for a long-term access key: those have no such key at all.
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


def describe(caller: Caller, action: str, region: str) -> tuple[Request, ...]:
    """Return the one authorization of a call that takes no resource, such as a Describe."""
    return (Request(action, "*", caller.arn, _at(caller, action, region)),)


def operate(caller: Caller, action: str, instance: Instance) -> tuple[Request, ...]:
    """Return the authorization of *action* (Start, Stop, Terminate) on *instance*."""
    context = _at(caller, action, instance.region) | _instance_keys(instance)
    return (Request(action, instance_arn(caller, instance), caller.arn, context),)


def retag(
    caller: Caller, action: str, instance: Instance, keys: Tags | tuple[str, ...]
) -> tuple[Request, ...]:
    """Return the authorization of CreateTags or DeleteTags on *instance*.

    *keys* are the tags to set, or the keys to delete; a DeleteTags without any (which deletes
    all tags) has no `aws:TagKeys` at all.
    """
    context = _at(caller, action, instance.region) | _instance_keys(instance) | tag_request(keys)
    return (Request(action, instance_arn(caller, instance), caller.arn, context),)


def use(
    caller: Caller, action: str, resource: Resource, keys: Tags | tuple[str, ...] = ()
) -> tuple[Request, ...]:
    """Return the authorization of *action* on a *resource* of any kind.

    *keys* are the tags of the request, or the tag keys, as in `retag`.
    """
    context = _at(caller, action, resource.region) | resource_tags(resource.tags)
    return (
        Request(action, resource_arn(caller, resource), caller.arn, context | tag_request(keys)),
    )


def tag_on_create(
    caller: Caller, create_action: str, resource: Resource, tags: Tags
) -> tuple[Request, ...]:
    """Return the ec2:CreateTags that EC2 asks for while *create_action* makes *resource*.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
    """
    return tuple(
        each._replace(context={**each.context, "ec2:CreateAction": create_action})
        for each in use(caller, "ec2:CreateTags", resource, tags)
    )


def launch(caller: Caller, what: Launch) -> tuple[Request, ...]:
    """Return every authorization of a RunInstances call: all must be allowed."""
    return (
        *_launch_existing(caller, what),
        *_launch_created(caller, what),
        *_launch_tagging(caller, what),
        *_launch_passing(caller, what),
    )


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


def _launch_existing(caller: Caller, what: Launch) -> list[Request]:
    owner = what.subnet_account or what.account
    asked = [
        _named(caller, what, "image", what.image.id, "", _image_keys(what)),
        _named(caller, what, "subnet", what.subnet, owner, _subnet_keys(caller, what, owner)),
        *(
            _named(
                caller,
                what,
                "security-group",
                group,
                what.account,
                _group_keys(caller, what, group),
            )
            for group in what.security_groups
        ),
        *(
            _named(caller, what, "snapshot", each, "", _snapshot_keys(what, each))
            for each in what.snapshots
        ),
    ]
    if what.key_name:
        keys: Context = {"ec2:KeyPairName": what.key_name}
        asked.append(_named(caller, what, "key-pair", what.key_name, what.account, keys))
    if what.launch_template:
        asked.append(_named(caller, what, "launch-template", what.launch_template, what.account))
    if what.placement_group:
        name: Context = {"ec2:PlacementGroup": what.placement_group}
        asked.append(
            _named(caller, what, "placement-group", what.placement_group, what.account, name)
        )
    return asked


def _launch_created(caller: Caller, what: Launch) -> list[Request]:
    interface = what.network_interface or CREATED
    asked = [
        _created(caller, what, "instance", _new_instance_keys(what)),
        _created(caller, what, "volume", _volume_keys(what)),
        _named(
            caller,
            what,
            "network-interface",
            interface,
            what.account,
            _interface_keys(caller, what),
        ),
    ]
    if "spot-instances-request" in what.tags:
        # Asked for only when the Spot request itself is tagged: iam-policy-structure's page.
        asked.append(_created(caller, what, "spot-instances-request", {}))
    return asked


def _launch_tagging(caller: Caller, what: Launch) -> list[Request]:
    """Return the ec2:CreateTags of every tagged type, evaluated only if tags are sent."""
    action = "ec2:CreateTags"
    return [
        Request(
            action,
            _arn(caller, what, kind, CREATED, what.account),
            caller.arn,
            _at(caller, action, what.region)
            | tag_request(tags)
            | {"ec2:CreateAction": "RunInstances"},
        )
        for kind, tags in what.tags.items()
        if tags
    ]


def _launch_passing(caller: Caller, what: Launch) -> list[Request]:
    if not what.profile_role:
        return []
    service = "ec2.amazonaws.com.cn" if caller.partition == "aws-cn" else "ec2.amazonaws.com"
    context = caller.context() | {
        "aws:RequestedRegion": what.region,
        "iam:PassedToService": service,
    }
    return [Request("iam:PassRole", what.profile_role, caller.arn, context)]


def _created(caller: Caller, what: Launch, kind: str, keys: Context) -> Request:
    tagged = tag_request(what.tags.get(kind, {}))
    return _named(caller, what, kind, CREATED, what.account, {**keys, **tagged})


def _named(
    caller: Caller, what: Launch, kind: str, name: str, account: str, keys: Context | None = None
) -> Request:
    action = "ec2:RunInstances"
    context = _at(caller, action, what.region) | dict(keys or {})
    return Request(action, _arn(caller, what, kind, name, account), caller.arn, context)


def _arn(caller: Caller, what: Launch, kind: str, name: str, account: str) -> str:
    return f"arn:{caller.partition}:ec2:{what.region}:{account}:{kind}/{name}"


def _at(caller: Caller, action: str, region: str) -> dict[str, str | list[str]]:
    context = caller.context() | {"aws:RequestedRegion": region}
    if action.startswith("ec2:"):
        context["ec2:Region"] = region
    return context


def _instance_keys(instance: Instance) -> dict[str, str | list[str]]:
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


def _new_instance_keys(what: Launch) -> Context:
    known: dict[str, str | list[str]] = {
        "ec2:InstanceType": what.instance_type,
        "ec2:AvailabilityZone": what.zone or f"{what.region}a",
        "ec2:InstanceMarketType": what.market,
        "ec2:EbsOptimized": str(what.ebs_optimized).lower(),
        "ec2:RootDeviceType": "ebs",
        "ec2:Tenancy": what.tenancy,
    }
    if what.metadata_tokens:
        known["ec2:MetadataHttpTokens"] = what.metadata_tokens
    if what.profile:
        known["ec2:InstanceProfile"] = what.profile
    return known


def _image_keys(what: Launch) -> Context:
    known: dict[str, str | list[str]] = {
        "ec2:ImageID": what.image.id,
        "ec2:ImageType": "machine",
        "ec2:Owner": what.image.owner,
        "ec2:Public": str(what.image.public).lower(),
        "ec2:RootDeviceType": "ebs",
    }
    return known | resource_tags(what.image.tags)


def _snapshot_keys(what: Launch, snapshot: str) -> Context:
    known = {"ec2:SnapshotID": snapshot, "ec2:Owner": what.account}
    return {**known, **resource_tags(what.snapshot_tags)}


def _subnet_keys(caller: Caller, what: Launch, owner: str) -> Context:
    return {
        "ec2:SubnetID": what.subnet,
        "ec2:AvailabilityZone": what.zone or f"{what.region}a",
        "ec2:Vpc": f"arn:{caller.partition}:ec2:{what.region}:{owner}:vpc/{what.vpc}",
    }


def _group_keys(caller: Caller, what: Launch, group: str) -> Context:
    return {
        "ec2:SecurityGroupID": group,
        "ec2:Vpc": f"arn:{caller.partition}:ec2:{what.region}:{what.account}:vpc/{what.vpc}",
    }


def _interface_keys(caller: Caller, what: Launch) -> Context:
    owner = what.subnet_account or what.account
    keys: dict[str, str | list[str]] = {
        "ec2:AvailabilityZone": what.zone or f"{what.region}a",
        "ec2:Subnet": f"arn:{caller.partition}:ec2:{what.region}:{owner}:subnet/{what.subnet}",
        "ec2:Vpc": f"arn:{caller.partition}:ec2:{what.region}:{owner}:vpc/{what.vpc}",
    }
    return keys | tag_request(what.tags.get("network-interface", {}))


def _volume_keys(what: Launch) -> Context:
    known: dict[str, str | list[str]] = {
        "ec2:AvailabilityZone": what.zone or f"{what.region}a",
        "ec2:VolumeType": what.volume_type,
        "ec2:VolumeSize": str(what.volume_size),
    }
    if what.encrypted is not None:
        known["ec2:Encrypted"] = str(what.encrypted).lower()
    return known


def _principal_arn(arn: str) -> str:
    """Return what aws:PrincipalArn holds: for a role session the role, not the session.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalarn
    """
    parsed = Arn.parse(arn)
    kind, _, rest = parsed.resource.partition("/")
    if kind != "assumed-role":
        return arn
    role = rest.rpartition("/")[0]
    return f"arn:{parsed.partition}:iam::{parsed.account}:role/{role}"


_PRINCIPAL_TYPES: Final = {"user": "User", "assumed-role": "AssumedRole", "role": "AssumedRole"}
