"""The authorizations of an EC2 call, with the current tags of its resources.

The defaults of a launch and its launch template become parameters before it is authorized.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/use-launch-templates-to-control-launching-instances.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from cml_iam.engine import Request
from cml_iam.engine.authorization import (
    CREATED,
    Caller,
    Image,
    Instance,
    Launch,
    Resource,
    Tags,
    describe,
    launch,
    tag_on_create,
    use,
)
from cml_iam.facts import service_principal
from cml_iam.sandbox._wire import Call, Fault, kind_of, operation_model, resource_types, rows
from cml_iam.sandbox._world import World

_OVERRIDES: Final = frozenset(
    {"BlockDeviceMappings", "ImageId", "InstanceType", "Placement", "SubnetId"}
)
"""The launch template members that a fleet may override."""


def ec2_authorizations(world: World, caller: Caller, call: Call) -> list[Request]:
    """Return every authorization that an EC2 call needs; all must be allowed."""
    tags = call.params.get("Tags", ())
    match call.operation:
        case "RunInstances":
            return _launching(world, caller, call)
        case "StartInstances" | "StopInstances" | "TerminateInstances" | "RebootInstances":
            return _on_each(world, caller, call, "InstanceIds", ())
        case "CreateTags":
            values = {tag["Key"]: tag.get("Value", "") for tag in tags}
            return _on_each(world, caller, call, "Resources", values)
        case "DeleteTags":
            return _on_each(world, caller, call, "Resources", tuple(tag["Key"] for tag in tags))
    return [*_others(world, caller, call), *_launched_by(world, caller, call)]


def _instance(world: World, region: str, instance_id: str) -> Instance:
    """Return the instance as IAM sees it; an unknown instance has no tags."""
    instance = world.ec2(region).get_instance_by_id(instance_id)
    if instance is None:
        return Instance(instance_id, region, world.account, "", {})
    return Instance(
        instance_id,
        region,
        world.account,
        instance.instance_type,
        _tags(world, region, instance_id),
        instance.availability_zone or "",
        getattr(instance.iam_instance_profile, "arn", "") or "",
    )


def _tags(world: World, region: str, resource_id: str) -> dict[str, str]:
    return dict(world.ec2(region).tags.get(resource_id, {}))


def _resource(world: World, region: str, resource_id: str) -> Resource:
    kind = kind_of(resource_id)
    if kind is None:
        raise Fault("InvalidID", f"The ID '{resource_id}' is not valid")
    return Resource(kind, resource_id, region, world.account, _tags(world, region, resource_id))


def _on_each(
    world: World, caller: Caller, call: Call, ids: str, keys: Tags | tuple[str, ...]
) -> list[Request]:
    """Return an authorization for each of the *ids*, with the tags or tag keys of the call."""
    requests: list[Request] = []
    for resource_id in call.params.get(ids, ()):
        if resource_id.startswith("i-"):
            requests += use(caller, call.action, _instance(world, call.region, resource_id), keys)
        else:
            requests += use(caller, call.action, _resource(world, call.region, resource_id), keys)
    return requests


def _others(world: World, caller: Caller, call: Call) -> list[Request]:
    """Return an authorization for each resource that the call names by id or must use or create."""
    kinds = resource_types("ec2", call.operation)
    if not kinds:
        return [*describe(caller, call.action, call.region)]
    tags = _specified_tags(call)
    named = [_resource(world, call.region, resource_id) for resource_id in _ids(call.params)]
    named = [item for item in (*named, *_named(world, call)) if item.kind in kinds]
    requests = [request for item in named for request in use(caller, call.action, item)]
    required = {kind for kind, needed in kinds.items() if needed}
    for kind in sorted(required - {item.kind for item in named}):
        new = Resource(kind, CREATED, call.region, world.account)
        requests += use(caller, call.action, new, tags.get(kind, {}))
        if tags.get(kind):
            requests += tag_on_create(caller, call.operation, new, tags[kind])
    if "IamInstanceProfile" in call.params:
        context = {**caller.context(), "aws:RequestedRegion": call.region}
        requests.append(pass_role(caller, profile_and_role(world, call)[1], "ec2", context))
    return requests or [*describe(caller, call.action, call.region)]


def _ids(value: Any) -> Iterator[str]:
    match value:
        case str() if kind_of(value):
            yield value
        case dict():
            for held in value.values():
                yield from _ids(held)
        case list():
            for element in value:
                yield from _ids(element)


def _named(world: World, call: Call) -> Iterator[Resource]:
    """Yield the resources that the call names by name, not by id."""
    params, backend = call.params, world.ec2(call.region)
    if "KeyName" in params:
        name = params["KeyName"]
        tags = _tags(world, call.region, name)
        yield Resource("key-pair", name, call.region, world.account, tags)
    template = backend.launch_template_name_to_ids.get(params.get("LaunchTemplateName"))
    if template is not None:
        yield _resource(world, call.region, template)
    if "GroupName" in params:
        group = backend.get_security_group_by_name_or_id(params["GroupName"])
        if group is not None:
            yield _resource(world, call.region, group.id)


def pass_role(
    caller: Caller, role: str, service: str, context: Mapping[str, str | list[str]]
) -> Request:
    """Return the authorization to pass *role* to *service*, in a call with this *context*."""
    passed = {"iam:PassedToService": service_principal(service, caller.partition)}
    return Request("iam:PassRole", role, caller.arn, {**context, **passed})


def _launched_by(world: World, caller: Caller, call: Call) -> list[Request]:
    """Return the RunInstances authorizations of another operation that launches instances.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-fleet-prerequisites.html
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-fleet-prerequisites.html
    """
    requests: list[Request] = []
    model = operation_model("ec2", "RunInstances")
    for params in _specifications(world, call):
        launch_call = replace(call, operation="RunInstances", params=params, model=model)
        requests += _launching(world, caller, settle(world, launch_call))
    role = call.params.get("SpotFleetRequestConfig", {}).get("IamFleetRole")
    if role:
        requests.append(pass_role(caller, role, "spotfleet", caller.context()))
    return requests


def _specifications(world: World, call: Call) -> Iterator[dict[str, Any]]:
    params = call.params
    match call.operation:
        case "RequestSpotInstances":
            spot = {"InstanceMarketOptions": {"MarketType": "spot"}}
            yield {**params.get("LaunchSpecification", {}), **spot}
        case "CreateFleet" | "RequestSpotFleet":
            config = params.get("SpotFleetRequestConfig", params)
            yield from config.get("LaunchSpecifications", ())
            specified = params.get("TagSpecifications", ())
            tags = [row for row in specified if row.get("ResourceType") == "instance"]
            for template in config.get("LaunchTemplateConfigs", ()):
                yield from _overridden(template, {"TagSpecifications": tags} if tags else {})
        case "ModifySpotFleetRequest":
            # The fleet may grow.
            fleets = world.ec2(call.region).spot_fleet_requests
            fleet = fleets.get(params["SpotFleetRequestId"])
            for spec in fleet.launch_specs if fleet is not None else ():
                held = {
                    "ImageId": spec.image_id,
                    "InstanceType": spec.instance_type,
                    "SubnetId": spec.subnet_id,
                    "KeyName": spec.key_name,
                    "IamInstanceProfile": spec.iam_instance_profile,
                }
                yield {name: value for name, value in held.items() if value}


def _overridden(template: dict[str, Any], common: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the parameters of each launch from a fleet's *template*, with the *common* ones."""
    named = {"LaunchTemplate": template.get("LaunchTemplateSpecification", {})}
    for override in template.get("Overrides") or [{}]:
        own = {name: value for name, value in override.items() if name in _OVERRIDES}
        if "AvailabilityZone" in override:
            own.setdefault("Placement", {"AvailabilityZone": override["AvailabilityZone"]})
        yield {**own, **named, **common}


def settle(world: World, call: Call) -> Call:
    """Return the launch with the defaults of EC2 and of its launch template filled in."""
    if call.params.get("LaunchTemplate"):
        call = _with_template(world, call, call.params["LaunchTemplate"])
    _check_parameters(call)
    call = call.with_params(InstanceType=call.params.get("InstanceType", "m1.small"))
    if call.params.get("NetworkInterfaces"):
        return call
    subnet = _subnet(world, call, call.params.get("SubnetId"))
    if subnet is None:
        return call
    call = call.with_params(SubnetId=subnet.id)
    if call.params.get("SecurityGroupIds") or call.params.get("SecurityGroups"):
        return call
    return call.with_params(SecurityGroupIds=[*_groups(world, call, subnet, {})] or None)


def _check_parameters(call: Call) -> None:
    for name in rows("not-judged")["RunInstances"]:
        if name in call.params:
            raise Fault("UnsupportedOperation", f"The sandbox does not know {name}.")
    if "ImageId" not in call.params:
        raise Fault("MissingParameter", "The request must contain the parameter ImageId")
    if call.params.get("NetworkInterfaces"):
        for name, subject in rows("instance-level").items():
            if name in call.params:
                text = f"Network interfaces and an instance-level {subject} may not be "
                raise Fault("InvalidParameterCombination", f"{text}specified on the same request")


def _with_template(world: World, call: Call, named: dict[str, str]) -> Call:
    """Return the launch with the contents of its template; raises moto's error if it is missing."""
    backend = world.ec2(call.region)
    if len({"LaunchTemplateId", "LaunchTemplateName"} & named.keys()) != 1:
        text = "Name a launch template either by its id or by its name."
        raise Fault("InvalidParameterCombination", text)
    if "LaunchTemplateId" in named:
        template = backend.get_launch_template(named["LaunchTemplateId"])
    else:
        template = backend.get_launch_template_by_name(named["LaunchTemplateName"])
    version = template.get_version(named.get("Version", template.default_version_number))
    members = call.model.input_shape.members
    contents = dict(version.data).items()
    data = {name: value for name, value in contents if name in members and value is not None}
    if "UserData" in data:
        data["UserData"] = str(data["UserData"])
    identified = {"LaunchTemplateId": template.id, "Version": str(version.number)}
    return replace(call, params={**data, **call.params, "LaunchTemplate": identified})


def _launching(world: World, caller: Caller, call: Call) -> list[Request]:
    """Return the authorizations of the completed launch; further volumes add only their own."""
    base = _launch(world, call)
    disks = [row["Ebs"] for row in call.params.get("BlockDeviceMappings", ()) if "Ebs" in row]
    snapshots = tuple(disk["SnapshotId"] for disk in disks if "SnapshotId" in disk)
    requests: list[Request] = []
    for disk in disks or [{}]:
        part = replace(
            base,
            snapshots=snapshots,
            encrypted=disk.get("Encrypted"),
            volume_type=disk.get("VolumeType", base.volume_type),
            volume_size=disk.get("VolumeSize", base.volume_size),
        )
        launching = launch(caller, part)
        requests += filter(_of_volume, launching) if requests else launching
    return requests


def _of_volume(request: Request) -> bool:
    return request.action == "ec2:RunInstances" and ":volume/" in request.resource


def _launch(world: World, call: Call) -> Launch:
    """Return the completed *call* without its volumes."""
    params = call.params
    placement = params.get("Placement", {})
    subnet, network = network_of(world, call)
    profile, role = profile_and_role(world, call)
    return Launch(
        region=call.region,
        account=world.account,
        image=_image(world, call.region, params["ImageId"]),
        instance_type=params["InstanceType"],
        tags=_specified_tags(call),
        subnet=subnet.id if subnet else network.get("SubnetId", "*"),
        subnet_account=subnet.owner_id if subnet else "",
        vpc=subnet.vpc_id if subnet else "*",
        zone=subnet.availability_zone if subnet else placement.get("AvailabilityZone", ""),
        security_groups=_groups(world, call, subnet, network),
        network_interface=network.get("NetworkInterfaceId", ""),
        key_name=params.get("KeyName", ""),
        profile=profile,
        profile_role=role,
        launch_template=params.get("LaunchTemplate", {}).get("LaunchTemplateId", ""),
        market=params.get("InstanceMarketOptions", {}).get("MarketType", "on-demand"),
        metadata_tokens=params.get("MetadataOptions", {}).get("HttpTokens", ""),
        tenancy=placement.get("Tenancy", "default"),
        ebs_optimized=bool(params.get("EbsOptimized", False)),
        placement_group=placement.get("GroupName", ""),
    )


def _image(world: World, region: str, image_id: str) -> Image:
    """Return the image as IAM sees it; an unknown image has no owner."""
    image = world.ec2(region).amis.get(image_id)
    if image is None:
        return Image(image_id, "")
    owner = image.owner_alias or image.owner_id
    return Image(image_id, owner, image.is_public, _tags(world, region, image_id))


def _subnet(world: World, call: Call, subnet_id: str | None) -> Any:
    """Return the subnet with this id, or else the default subnet of the launch."""
    backend = world.ec2(call.region)
    if subnet_id:
        subnets = backend.describe_subnets()
        return next((subnet for subnet in subnets if subnet.id == subnet_id), None)
    zone = call.params.get("Placement", {}).get("AvailabilityZone")
    defaults = backend.get_default_subnets()
    return defaults.get(zone or min(defaults, default=None))


def network_of(world: World, call: Call) -> tuple[Any, dict[str, Any]]:
    """Return the subnet, and the first network interface that the call requests, if any."""
    interfaces = call.params.get("NetworkInterfaces") or [{}]
    if len(interfaces) > 1:
        text = "The sandbox supports only one network interface per launch."
        raise Fault("UnsupportedOperation", text)
    network = dict(interfaces[0])
    existing = world.ec2(call.region).enis.get(network.get("NetworkInterfaceId"))
    if existing is not None:
        return existing.subnet, network
    subnet_id = network.get("SubnetId") or call.params.get("SubnetId")
    return _subnet(world, call, subnet_id), network


def _groups(world: World, call: Call, subnet: Any, network: dict[str, Any]) -> tuple[str, ...]:
    backend = world.ec2(call.region)
    ids = [*call.params.get("SecurityGroupIds", ()), *network.get("Groups", ())]
    for name in call.params.get("SecurityGroups", ()):
        group = backend.get_security_group_by_name_or_id(name)
        ids.append(group.id if group else name)
    if not ids and subnet and not network.get("NetworkInterfaceId"):
        group = backend.get_default_security_group(subnet.vpc_id)
        return (group.id,) if group else ()
    return tuple(ids)


def profile_and_role(world: World, call: Call) -> tuple[str, str]:
    """Return the ARNs of the launch's instance profile and its role; empty if it names none.

    Raises Fault for a profile that does not exist or has no role.
    """
    named = call.params.get("IamInstanceProfile")
    if not named:
        return "", ""
    if len(named) > 1:
        # Only a launch template can have both: a request with both was refused when it was parsed.
        text = "The parameter iamInstanceProfile.name cannot be used with iamInstanceProfile.arn"
        raise Fault("InvalidParameterCombination", text)
    name = named.get("Name") or named.get("Arn")
    profile = world.entity("instance-profile", name)
    if profile is None:
        raise Fault("InvalidParameterValue", f"Invalid IAM Instance Profile {name}")
    if not profile.roles:
        raise Fault("InvalidParameterValue", f"The profile {profile.name} has no role.")
    return profile.arn, profile.roles[0].arn


def _specified_tags(call: Call) -> dict[str, dict[str, str]]:
    tags: dict[str, dict[str, str]] = {}
    for row in call.params.get("TagSpecifications", ()):
        held = {tag["Key"]: tag.get("Value", "") for tag in row.get("Tags", ())}
        tags.setdefault(row.get("ResourceType", ""), {}).update(held)
    return tags
