"""Complete a RunInstances call: every default is filled in before authorization."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from cml_iam.engine.authorization import Image, Launch
from cml_iam.sandbox._services import rows
from cml_iam.sandbox._wire import Fault

if TYPE_CHECKING:
    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._world import World

_NOT_JUDGED: Final = (
    "ElasticGpuSpecification",
    "ElasticInferenceAccelerators",
    "LicenseSpecifications",
    "CapacityReservationSpecification",
    "SecondaryInterfaces",
)
"""Parameters that need permissions unknown to the sandbox, which refuses calls with them."""


def settle(world: World, call: Call) -> Call:
    """Return *call* with the defaults of EC2 and of its launch template filled in.

    The template's contents become parameters of the call, so that they are authorized too.
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/use-launch-templates-to-control-launching-instances.html
    """
    call = _with_template(world, call)
    for name in _NOT_JUDGED:
        if name in call.params:
            raise Fault("UnsupportedOperation", f"The sandbox does not know {name}.")
    if "ImageId" not in call.params:
        raise Fault("MissingParameter", "The request must contain the parameter ImageId")
    call = call.with_params(InstanceType=call.params.get("InstanceType", "m1.small"))
    if call.params.get("NetworkInterfaces"):
        for name, subject in rows("instance-level").items():
            if name in call.params:
                said = f"Network interfaces and an instance-level {subject} may not be "
                raise Fault("InvalidParameterCombination", f"{said}specified on the same request")
        return call
    subnet = _subnet(world, call)
    if subnet is None:
        return call
    pinned = call.with_params(SubnetId=subnet.id)
    if not call.params.get("SecurityGroupIds") and not call.params.get("SecurityGroups"):
        group = world.ec2(call.region).get_default_security_group(subnet.vpc_id)
        if group is not None:
            pinned = pinned.with_params(SecurityGroupIds=[group.id])
    return pinned


def launches(world: World, call: Call) -> tuple[Launch, ...]:
    """Return the completed *call* as Launches, one per volume and otherwise equal."""
    params = call.params
    placement = params.get("Placement", {})
    subnet, network = network_of(world, call)
    profile, role = profile_and_role(world, call)
    template = params.get("LaunchTemplate", {})
    disks = [each["Ebs"] for each in params.get("BlockDeviceMappings", ()) if "Ebs" in each]
    first = Launch(
        region=call.region,
        account=world.account,
        image=image(world, call.region, params["ImageId"]),
        instance_type=params["InstanceType"],
        tags=specified_tags(call),
        subnet=subnet.id if subnet else network.get("SubnetId", "*"),
        subnet_account=subnet.owner_id if subnet else "",
        vpc=subnet.vpc_id if subnet else "*",
        zone=subnet.availability_zone if subnet else placement.get("AvailabilityZone", ""),
        security_groups=_groups(world, call, subnet, network),
        network_interface=network.get("NetworkInterfaceId", ""),
        key_name=params.get("KeyName", ""),
        profile=profile,
        profile_role=role,
        snapshots=tuple(disk["SnapshotId"] for disk in disks if "SnapshotId" in disk),
        launch_template=template.get("LaunchTemplateId", ""),
        market=params.get("InstanceMarketOptions", {}).get("MarketType", "on-demand"),
        metadata_tokens=params.get("MetadataOptions", {}).get("HttpTokens", ""),
        tenancy=placement.get("Tenancy", "default"),
        ebs_optimized=bool(params.get("EbsOptimized", False)),
        placement_group=placement.get("GroupName", ""),
    )
    return tuple(_with_disk(first, disk) for disk in disks) or (first,)


def image(world: World, region: str, image_id: str) -> Image:
    """Return the image as IAM sees it; an unknown image has no owner."""
    found = world.ec2(region).amis.get(image_id)
    if found is None:
        return Image(image_id, "")
    tags = dict(world.ec2(region).tags.get(image_id, {}))
    return Image(image_id, found.owner_alias or found.owner_id, found.is_public, tags)


def _with_template(world: World, call: Call) -> Call:
    named = call.params.get("LaunchTemplate")
    if not named:
        return call
    template = _template(world, call.region, named)
    version = template.get_version(named.get("Version", template.default_version_number))
    known = call.model.input_shape.members
    data = {k: v for k, v in dict(version.data).items() if k in known and v is not None}
    if "UserData" in data:
        data["UserData"] = str(data["UserData"])
    identified = {"LaunchTemplateId": template.id, "Version": str(version.number)}
    return replace(call, params={**data, **call.params, "LaunchTemplate": identified})


def _template(world: World, region: str, named: dict[str, str]) -> Any:
    """Return moto's launch template; raises moto's error if there is none."""
    backend = world.ec2(region)
    if len({"LaunchTemplateId", "LaunchTemplateName"} & named.keys()) != 1:
        said = "Name a launch template either by its id or by its name."
        raise Fault("InvalidParameterCombination", said)
    if "LaunchTemplateId" in named:
        return backend.get_launch_template(named["LaunchTemplateId"])
    return backend.get_launch_template_by_name(named["LaunchTemplateName"])


def _subnet(world: World, call: Call) -> Any:
    backend = world.ec2(call.region)
    named = call.params.get("SubnetId")
    if named:
        return next((subnet for subnet in backend.describe_subnets() if subnet.id == named), None)
    zone = call.params.get("Placement", {}).get("AvailabilityZone")
    subnets = backend.get_default_subnets()
    return subnets.get(zone) if zone else next((subnets[z] for z in sorted(subnets)), None)


def network_of(world: World, call: Call) -> tuple[Any, dict[str, Any]]:
    """Return the subnet, and the first network interface that the call requests, if any."""
    interfaces = call.params.get("NetworkInterfaces") or [{}]
    if len(interfaces) > 1:
        raise Fault(
            "UnsupportedOperation", "The sandbox supports only one network interface per launch."
        )
    network = dict(interfaces[0])
    backend = world.ec2(call.region)
    existing = backend.enis.get(network.get("NetworkInterfaceId"))
    if existing is not None:
        return existing.subnet, network
    asked = call.with_params(SubnetId=network.get("SubnetId") or call.params.get("SubnetId"))
    return _subnet(world, asked), network


def _groups(world: World, call: Call, subnet: Any, network: dict[str, Any]) -> tuple[str, ...]:
    backend = world.ec2(call.region)
    named = [*call.params.get("SecurityGroupIds", ()), *network.get("Groups", ())]
    for name in call.params.get("SecurityGroups", ()):
        found = backend.get_security_group_by_name_or_id(name)
        named.append(found.id if found else name)
    if named or network.get("NetworkInterfaceId"):
        return tuple(named)
    group = backend.get_default_security_group(subnet.vpc_id) if subnet else None
    return (group.id,) if group else ()


def profile_and_role(world: World, call: Call) -> tuple[str, str]:
    """Return the ARNs of the instance profile and of its role."""
    named = call.params.get("IamInstanceProfile")
    if not named:
        return "", ""
    if len(named) > 1:
        # Only a launch template can have both: a request with both was refused when it was parsed.
        said = "The parameter iamInstanceProfile.name cannot be used with iamInstanceProfile.arn"
        raise Fault("InvalidParameterCombination", said)
    said = named.get("Name") or named.get("Arn")
    profile = world.entity("instance-profile", said)
    if profile is None:
        raise Fault("InvalidParameterValue", f"Invalid IAM Instance Profile {said}")
    if not profile.roles:
        raise Fault("InvalidParameterValue", f"The profile {profile.name} has no role.")
    return profile.arn, profile.roles[0].arn


def specified_tags(call: Call) -> dict[str, dict[str, str]]:
    """Return the tags that *call* sets on new resources, by resource type."""
    found: dict[str, dict[str, str]] = {}
    for each in call.params.get("TagSpecifications", ()):
        tags = {tag["Key"]: tag.get("Value", "") for tag in each.get("Tags", ())}
        found.setdefault(each.get("ResourceType", ""), {}).update(tags)
    return found


def _with_disk(what: Launch, disk: dict[str, Any]) -> Launch:
    return replace(
        what,
        encrypted=disk.get("Encrypted"),
        volume_type=disk.get("VolumeType", what.volume_type),
        volume_size=disk.get("VolumeSize", what.volume_size),
    )
