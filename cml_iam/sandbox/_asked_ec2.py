"""The authorizations of an EC2 call, with the current tags of its resources."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from cml_iam.engine import Request
from cml_iam.engine.authorization import (
    CREATED,
    Instance,
    Resource,
    describe,
    launch,
    operate,
    retag,
    tag_on_create,
    use,
)
from cml_iam.facts import service_principal
from cml_iam.sandbox._launch import launches, profile_and_role, settle, specified_tags
from cml_iam.sandbox._services import operation_model, resource_types
from cml_iam.sandbox._wire import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cml_iam.engine.authorization import Caller, Tags
    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._world import World

_KINDS: Final = {
    "flow-logs": "vpc-flow-log",
    "managed-prefix-list": "prefix-list",
    "nat-gateway": "natgateway",
    "vpc-elastic-ip": "elastic-ip",
}
"""IAM's names of resource types that moto names differently."""

_SPOT: Final = {"MarketType": "spot"}
_OVERRIDES: Final = frozenset(
    {"BlockDeviceMappings", "ImageId", "InstanceType", "Placement", "SubnetId"}
)
"""The launch template members that a fleet may override."""

_ID: Final = re.compile(r"([a-z]+)-(?:[0-9a-f]{8}|[0-9a-f]{17})")
_LIFECYCLE: Final = frozenset(
    {"StartInstances", "StopInstances", "TerminateInstances", "RebootInstances"}
)


def ec2_asked(world: World, caller: Caller, call: Call) -> tuple[Request, ...]:
    """Return every authorization *call* needs; all must be allowed."""
    if call.operation == "RunInstances":
        return _launching(world, caller, call)
    if call.operation in _LIFECYCLE:
        ids = call.params.get("InstanceIds", ())
        found = [operate(caller, call.action, instance(world, call.region, each)) for each in ids]
        return tuple(request for each in found for request in each)
    if call.operation in ("CreateTags", "DeleteTags"):
        return _retagging(world, caller, call)
    return (*_others(world, caller, call), *_launched_by(world, caller, call))


def instance(world: World, region: str, instance_id: str) -> Instance:
    """Return the instance as IAM sees it; an unknown instance has no tags."""
    backend = world.ec2(region)
    found = backend.get_instance_by_id(instance_id)
    tags = dict(backend.tags.get(instance_id, {})) if found is not None else {}
    if found is None:
        return Instance(instance_id, region, world.account, "", tags)
    profile = getattr(found.iam_instance_profile, "arn", "") or ""
    return Instance(
        instance_id,
        region,
        world.account,
        found.instance_type,
        tags,
        found.availability_zone or "",
        profile,
    )


def kind_of(resource_id: str) -> str | None:
    """Return IAM's type of the resource with this id; None if it is not an id."""
    from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE

    match = _ID.fullmatch(resource_id)
    kind = EC2_PREFIX_TO_RESOURCE.get(match[1]) if match else None
    return _KINDS.get(kind, kind) if kind else None


def resource(world: World, region: str, resource_id: str) -> Resource:
    """Return a resource of any type as IAM sees it."""
    kind = kind_of(resource_id)
    if kind is None:
        raise Fault("InvalidID", f"The ID '{resource_id}' is not valid")
    tags = dict(world.ec2(region).tags.get(resource_id, {}))
    return Resource(kind, resource_id, region, world.account, tags)


def _launching(world: World, caller: Caller, call: Call) -> tuple[Request, ...]:
    first, *more = launches(world, call)
    asked = list(launch(caller, first))
    for each in more:
        asked += [
            request
            for request in launch(caller, each)
            if request.action == "ec2:RunInstances" and ":volume/" in request.resource
        ]
    return tuple(asked)


def _launched_by(world: World, caller: Caller, call: Call) -> tuple[Request, ...]:
    """Return the RunInstances authorizations of another operation that launches instances.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-fleet-prerequisites.html
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-fleet-prerequisites.html
    """
    asked: list[Request] = []
    for params in (*_specifications(call), *_enlarged(world, call)):
        model = operation_model("ec2", "RunInstances")
        launch_call = replace(call, operation="RunInstances", params=params, model=model)
        asked += _launching(world, caller, settle(world, launch_call))
    role = call.params.get("SpotFleetRequestConfig", {}).get("IamFleetRole")
    if role:
        asked.append(pass_role(caller, role, "spotfleet", caller.context()))
    return tuple(asked)


def _specifications(call: Call) -> Iterator[dict[str, Any]]:
    """Yield the launch parameters of a fleet or a Spot request, one launch at a time."""
    params = call.params
    config = params.get("SpotFleetRequestConfig", params)
    if call.operation == "RequestSpotInstances":
        yield {**params.get("LaunchSpecification", {}), "InstanceMarketOptions": _SPOT}
    if call.operation not in ("CreateFleet", "RequestSpotFleet"):
        return
    yield from config.get("LaunchSpecifications", ())
    tags = [
        each
        for each in params.get("TagSpecifications", ())
        if each.get("ResourceType") == "instance"
    ]
    for template in config.get("LaunchTemplateConfigs", ()):
        named = {"LaunchTemplate": template.get("LaunchTemplateSpecification", {})}
        for override in template.get("Overrides") or [{}]:
            own = {name: value for name, value in override.items() if name in _OVERRIDES}
            if "AvailabilityZone" in override:
                own.setdefault("Placement", {"AvailabilityZone": override["AvailabilityZone"]})
            yield {**own, **named, **({"TagSpecifications": tags} if tags else {})}


def _enlarged(world: World, call: Call) -> Iterator[dict[str, Any]]:
    """Yield the parameters of each launch with which a Spot Fleet grows."""
    if call.operation != "ModifySpotFleetRequest":
        return
    fleet = world.ec2(call.region).spot_fleet_requests.get(call.params["SpotFleetRequestId"])
    for spec in fleet.launch_specs if fleet is not None else ():
        profile = spec.iam_instance_profile
        yield {
            "ImageId": spec.image_id,
            "InstanceType": spec.instance_type,
            **({"SubnetId": spec.subnet_id} if spec.subnet_id else {}),
            **({"KeyName": spec.key_name} if spec.key_name else {}),
            **({"IamInstanceProfile": profile} if profile else {}),
        }


def _retagging(world: World, caller: Caller, call: Call) -> tuple[Request, ...]:
    tags = call.params.get("Tags", ())
    keys: Tags | tuple[str, ...]
    if call.operation == "CreateTags":
        keys = {tag["Key"]: tag.get("Value", "") for tag in tags}
    else:
        keys = tuple(tag["Key"] for tag in tags)
    asked: list[Request] = []
    for each in call.params.get("Resources", ()):
        if each.startswith("i-"):
            asked += retag(caller, call.action, instance(world, call.region, each), keys)
        else:
            asked += use(caller, call.action, resource(world, call.region, each), keys)
    return tuple(asked)


def _others(world: World, caller: Caller, call: Call) -> tuple[Request, ...]:
    """Return an authorization for each resource that the call names by id or must use or create."""
    kinds = resource_types("ec2", call.operation)
    if not kinds:
        return describe(caller, call.action, call.region)
    tags = specified_tags(call)
    named = [resource(world, call.region, each) for each in _ids(call.params)]
    named = [each for each in (*named, *_named(world, call)) if each.kind in kinds]
    missing = {kind for kind, required in kinds.items() if required} - {e.kind for e in named}
    made = [Resource(kind, CREATED, call.region, world.account) for kind in sorted(missing)]
    asked = [request for each in named for request in use(caller, call.action, each)]
    for each in made:
        asked += use(caller, call.action, each, tags.get(each.kind, {}))
        if tags.get(each.kind):
            asked += tag_on_create(caller, call.operation, each, tags[each.kind])
    if "IamInstanceProfile" in call.params:
        context = {**caller.context(), "aws:RequestedRegion": call.region}
        asked.append(pass_role(caller, profile_and_role(world, call)[1], "ec2", context))
    return tuple(asked) or describe(caller, call.action, call.region)


def _named(world: World, call: Call) -> Iterator[Resource]:
    """Yield the resources that the call names by name, not by id."""
    params, backend = call.params, world.ec2(call.region)
    if "KeyName" in params:
        tags = dict(backend.tags.get(params["KeyName"], {}))
        yield Resource("key-pair", params["KeyName"], call.region, world.account, tags)
    template = backend.launch_template_name_to_ids.get(params.get("LaunchTemplateName"))
    if template is not None:
        yield resource(world, call.region, template)
    if "GroupName" in params:
        group = backend.get_security_group_by_name_or_id(params["GroupName"])
        if group is not None:
            yield resource(world, call.region, group.id)


def pass_role(
    caller: Caller, role: str, service: str, context: Mapping[str, str | list[str]]
) -> Request:
    """Return the authorization to pass *role* to *service*, in a call with this *context*."""
    passed = {"iam:PassedToService": service_principal(service, caller.partition)}
    return Request("iam:PassRole", role, caller.arn, {**context, **passed})


def _ids(value: Any) -> Iterator[str]:
    """Yield every string in *value* that is a resource id."""
    match value:
        case str() if kind_of(value):
            yield value
        case dict():
            for each in value.values():
                yield from _ids(each)
        case list():
            for each in value:
                yield from _ids(each)
