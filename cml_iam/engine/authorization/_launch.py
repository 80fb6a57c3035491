"""The authorizations of RunInstances: one for each resource that it uses or creates."""

from __future__ import annotations

from cml_iam.engine import Request
from cml_iam.engine.authorization._calls import (
    CREATED,
    Caller,
    Context,
    Launch,
    call_context,
    resource_tags,
    tag_request,
)
from cml_iam.facts import service_principal


def launch(caller: Caller, what: Launch) -> tuple[Request, ...]:
    """Return every authorization of a RunInstances call; all must be allowed."""
    return (
        *_launch_existing(caller, what),
        *_launch_created(caller, what),
        *_launch_tagging(caller, what),
        *_launch_passing(caller, what),
    )


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
            _named(caller, what, "snapshot", snapshot, "", _snapshot_keys(what, snapshot))
            for snapshot in what.snapshots
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
        # Requested only if the Spot request itself is tagged; see the page iam-policy-structure.
        asked.append(_created(caller, what, "spot-instances-request", {}))
    return asked


def _launch_tagging(caller: Caller, what: Launch) -> list[Request]:
    """Return ec2:CreateTags for every tagged type; AWS evaluates it only if tags are sent."""
    action = "ec2:CreateTags"
    return [
        Request(
            action,
            _arn(caller, what, kind, CREATED, what.account),
            caller.arn,
            call_context(caller, action, what.region)
            | tag_request(tags)
            | {"ec2:CreateAction": "RunInstances"},
        )
        for kind, tags in what.tags.items()
        if tags
    ]


def _launch_passing(caller: Caller, what: Launch) -> list[Request]:
    if not what.profile_role:
        return []
    service = service_principal("ec2", caller.partition)
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
    context = call_context(caller, action, what.region) | dict(keys or {})
    return Request(action, _arn(caller, what, kind, name, account), caller.arn, context)


def _arn(caller: Caller, what: Launch, kind: str, name: str, account: str) -> str:
    return f"arn:{caller.partition}:ec2:{what.region}:{account}:{kind}/{name}"


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
