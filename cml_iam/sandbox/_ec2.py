"""EC2's answers and checks that moto lacks: launches, lists, regions, and status by time and state.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-instance-addressing.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from ipaddress import ip_address
from typing import Any, Final

from cml_iam.facts import DOMAINS, known_regions, opt_in_regions
from cml_iam.sandbox._answers import Execute, answers, in_pages
from cml_iam.sandbox._ec2_authorizations import network_of, profile_and_role
from cml_iam.sandbox._transitions import arrive, hide_public, launched, only, visible
from cml_iam.sandbox._wire import Answer, Call, Fault, Values
from cml_iam.sandbox._world import Principal, World

_TOKEN_LENGTH: Final = 64
_LOOKS: Final = frozenset({"DescribeInstances", "DescribeInstanceStatus"})
_OURS: Final = frozenset({"client-token", "instance-state-code"})
"""The filters of DescribeInstances that moto lacks."""

_STOPPED_ONLY: Final = ("InstanceType", "UserData", "EbsOptimized", "Kernel", "Ramdisk")
_PUBLIC_NAME: Final = re.compile(rb"<publicDnsName>ip-([0-9-]+)\.[^<]*</publicDnsName>")


def perform_ec2(world: World, call: Call, execute: Execute) -> Answer:
    """Let *execute* run the authorized *call*, with the steps before and after that moto omits."""
    if call.operation == "RunInstances":
        return _run(world, call, execute)
    if call.operation in _LOOKS:
        arrive(world, look=True)
    describe = _described if call.operation == "DescribeInstances" else in_pages
    with visible(world, call.region):
        _check(world, call)
        answer = describe(world, call, execute)
    # https://docs.aws.amazon.com/vpc/latest/userguide/vpc-dns.html
    zone = "compute-1" if call.region == "us-east-1" else f"{call.region}.compute"
    name = rb"<publicDnsName>ec2-\1.%s.amazonaws.com</publicDnsName>" % zone.encode()
    return replace(answer, body=_PUBLIC_NAME.sub(name, answer.body))


def _check(world: World, call: Call) -> None:
    """Raise Fault for a change that the state of the visible instances does not permit."""
    backend, params = world.ec2(call.region), call.params
    match call.operation:
        case "CreateTags" | "DeleteTags":
            ids = params.get("Resources", ())
            backend.get_multi_instances_by_id([name for name in ids if name.startswith("i-")])
            _check_groups(backend, [name for name in ids if name.startswith("sg-")])
            backend.do_resources_exist(ids)
            for name in ids:
                if name.startswith("eni-"):
                    backend.get_network_interface(name)
        case "DescribeSecurityGroups":
            _check_groups(backend, params.get("GroupIds", ()))
        case "StopInstances" if params.get("Hibernate"):
            for name in params.get("InstanceIds", ()):
                instance = backend.get_instance_by_id(name)
                if instance and not (instance.hibernation_options or {}).get("Configured"):
                    raise _not_hibernating(
                        "The instance can't be hibernated because it was not configured at launch "
                        f"for hibernation: {name}"
                    )
        case "ModifyInstanceAttribute":
            instance = backend.get_instance_by_id(params.get("InstanceId", ""))
            named = params.get("Attribute", "").lower()
            changed = any(name in params or named == name.lower() for name in _STOPPED_ONLY)
            if instance is not None and changed and instance.state != "stopped":
                text = f"The instance '{instance.id}' is not in the 'stopped' state."
                raise Fault("IncorrectInstanceState", text)


def _check_groups(backend: Any, ids: Iterable[str]) -> None:
    for name in ids:
        if backend.get_security_group_from_id(name) is None:
            raise Fault("InvalidGroup.NotFound", f"The security group '{name}' does not exist")


def _not_hibernating(message: str) -> Fault:
    return Fault("UnsupportedHibernationConfiguration", message)


def _run(world: World, call: Call, execute: Execute) -> Answer:
    token = call.params.get("ClientToken", "")
    if len(token) > _TOKEN_LENGTH or not token.isascii():
        raise Fault("InvalidParameterValue", "ClientToken must have at most 64 ASCII characters")
    former = world.launches.get((call.region, token)) if token else None
    if former is not None:
        earlier, answer = former
        if earlier.params != call.params:
            text = "Arguments on this idempotent request are inconsistent with arguments used in "
            raise Fault("IdempotentParameterMismatch", f"{text}previous request(s).")
        return answer
    hibernates = bool(call.params.get("HibernationOptions", {}).get("Configured"))
    _check_launch(world, call, hibernates)
    new: list[Any] = []
    spot = call.params.get("InstanceMarketOptions", {}).get("SpotOptions", {})
    tags = {}
    if template := call.params.get("LaunchTemplate"):
        # https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-tagging.html
        tags["aws:ec2launchtemplate:id"] = template["LaunchTemplateId"]
        tags["aws:ec2launchtemplate:version"] = template["Version"]

    def complete(reservation: Any) -> Any:
        new.extend(reservation.instances)
        for instance in new:
            instance.disable_api_termination = bool(call.params.get("DisableApiTermination"))
            instance.hibernation_options = {"Configured": hibernates}
            instance.client_token = token
            instance.persistent_spot = spot.get("SpotInstanceType") == "persistent"
            instance.add_tags(tags)
            hide_public(instance)
        return reservation

    # Moto launches the minimum; EC2 launches the maximum, since capacity here is unlimited. The
    # contents of the launch template are already parameters of the call, so moto must not add them
    # again.
    launch = call.with_params(MinCount=call.params["MaxCount"], LaunchTemplate=None)
    answer = execute(launch, complete)
    launched(world, call.region, new)
    if new and token:
        world.launches[(call.region, token)] = (call, answer)
    return answer


def _check_launch(world: World, call: Call, hibernates: bool) -> None:
    """Raise Fault if the launch names something that does not exist in the region."""
    params, backend = call.params, world.ec2(call.region)
    if not 1 <= params["MinCount"] <= params["MaxCount"]:
        raise Fault("InvalidParameterValue", "MinCount must be 1 to MaxCount")
    if not _offered(params["InstanceType"], call.region):
        text = f"Invalid value '{params['InstanceType']}' for InstanceType."
        raise Fault("InvalidParameterValue", text)
    if "KeyName" in params and params["KeyName"] not in backend.key_pairs:
        raise Fault("InvalidKeyPair.NotFound", f"The key pair '{params['KeyName']}' does not exist")
    profile_and_role(world, call)
    # Moto checks images only if nothing in this process imported it before the sandbox.
    backend.describe_images(ami_ids=[params["ImageId"]])
    _check_placed(world, call)
    # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/hibernating-prerequisites.html
    if hibernates and ".metal" in params["InstanceType"]:
        raise _not_hibernating(f"Hibernation is not supported for {params['InstanceType']}.")
    disks = params.get("BlockDeviceMappings", ())
    if hibernates and not any(disk.get("Ebs", {}).get("Encrypted") for disk in disks):
        raise _not_hibernating("Hibernation needs an encrypted root volume.")


def _offered(instance_type: str, region: str) -> bool:
    from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS

    offers = INSTANCE_TYPE_OFFERINGS["region"].get(region, ())
    return any(offer["InstanceType"] == instance_type for offer in offers)


def _check_placed(world: World, call: Call) -> None:
    subnet, network = network_of(world, call)
    address = call.params.get("PrivateIpAddress", network.get("PrivateIpAddress"))
    if address is not None and subnet is not None:
        try:
            inside = ip_address(address) in subnet.cidr
        except ValueError:
            text = f"Value ({address}) for parameter privateIpAddress is invalid."
            raise Fault("InvalidParameterValue", text) from None
        if not inside:
            text = f"Address {address} does not fall within the subnet's address range"
            raise Fault("InvalidParameterValue", text)
    kind, placement = call.params["InstanceType"], call.params.get("Placement", {})
    zone = subnet.availability_zone if subnet else placement.get("AvailabilityZone", "")
    for shortage in world.conditions.no_capacity:
        if fnmatchcase(kind, shortage.instance_type) and fnmatchcase(zone, shortage.zone):
            text = f"We currently do not have sufficient {kind} capacity in the Availability Zone "
            raise Fault("InsufficientInstanceCapacity", f"{text}you requested ({zone}).")


def _described(world: World, call: Call, execute: Execute) -> Answer:
    backend = world.ec2(call.region)
    ids = frozenset(call.params.get("InstanceIds", ()))
    if ids:
        backend.get_multi_instances_by_id(sorted(ids))
    filters = call.params.get("Filters", ())
    ours = [row for row in filters if row.get("Name") in _OURS]
    theirs = [row for row in filters if row not in ours] or None

    def passing(instance: Any) -> bool:
        code, token = str(instance.state_code), instance.client_token or ""
        values = {"client-token": token, "instance-state-code": code}
        return (not ids or instance.id in ids) and _passes(ours, values)

    # Moto would return at most a hundred at once.
    whole = call.with_params(Filters=theirs, InstanceIds=None)
    with only(backend, passing):
        return in_pages(world, whole, execute)


def _passes(filters: Iterable[Mapping[str, Any]], values: Mapping[str, str]) -> bool:
    """Return whether *values*, by filter name, pass *filters*; raises Fault for unknown ones."""
    for row in filters:
        name = row.get("Name", "")
        if name not in values:
            raise Fault("InvalidParameterValue", f"The filter '{name}' is invalid")
        if not any(fnmatchcase(values[name], value) for value in row.get("Values", ())):
            return False
    return True


@answers("ec2:DescribeRegions")
def _describe_regions(world: World, _: Principal, call: Call) -> Values:
    """Show the enabled regions, unless others or all are requested.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRegions.html
    """
    params, regions = call.params, known_regions(world.partition)
    named = params.get("RegionNames")
    unknown = set(named or ()) - set(regions)
    if unknown:
        text = f"Invalid region names found: [{', '.join(sorted(unknown))}]"
        raise Fault("InvalidParameterValue", text)
    shown = []
    for name in regions:
        status = "opt-in-not-required"
        if name in opt_in_regions():
            status = "opted-in" if name in world.regions else "not-opted-in"
        endpoint = f"ec2.{name}.{DOMAINS[world.partition]}"
        values = {"endpoint": endpoint, "opt-in-status": status, "region-name": name}
        every = params.get("AllRegions", False) or status != "not-opted-in"
        if (name in named if named else every) and _passes(params.get("Filters", ()), values):
            shown.append({"RegionName": name, "Endpoint": endpoint, "OptInStatus": status})
    return {"Regions": shown}


@answers("ec2:DescribeInstanceStatus")
def _instance_status(world: World, _: Principal, call: Call) -> Values:
    """Show only running instances, unless all are requested.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceStatus.html
    """
    backend = world.ec2(call.region)
    ids = list(dict.fromkeys(call.params.get("InstanceIds", ())))
    instances = backend.get_multi_instances_by_id(ids) if ids else backend.all_instances()
    shown = []
    for instance in instances:
        if instance.state != "running" and not call.params.get("IncludeAllInstances"):
            continue
        status, check = _status_check(world, instance)
        values = {
            "availability-zone": instance.availability_zone,
            "instance-state-code": str(instance.state_code),
            "instance-state-name": instance.state,
            "instance-status.status": status,
            "system-status.status": status,
        }
        if _passes(call.params.get("Filters", ()), values):
            row = {
                "AvailabilityZone": instance.availability_zone,
                "InstanceId": instance.id,
                "InstanceState": {"Code": instance.state_code, "Name": instance.state},
                "InstanceStatus": check,
                "SystemStatus": check,
            }
            shown.append(row)
    return {"InstanceStatuses": shown}


def _status_check(world: World, instance: Any) -> tuple[str, dict[str, Any]]:
    if instance.state != "running":
        return "not-applicable", {"Status": "not-applicable"}
    healthy = world.healthy.get(instance.id)
    initializing = healthy is not None and world.now() < healthy
    status, reachable = ("initializing", "initializing") if initializing else ("ok", "passed")
    details = [{"Name": "reachability", "Status": reachable}]
    return status, {"Status": status, "Details": details}


@answers("ec2:MonitorInstances", "ec2:UnmonitorInstances")
def _monitor(world: World, _: Principal, call: Call) -> Values:
    """Switch detailed monitoring on or off, which moto cannot do."""
    on = call.operation == "MonitorInstances"
    shown = []
    for instance in world.ec2(call.region).get_multi_instances_by_id(
        call.params.get("InstanceIds", ())
    ):
        state = instance.monitoring_state
        if instance.monitored != on:
            state = "pending" if on else "disabling"
        instance.monitoring_state = "enabled" if on else "disabled"
        shown.append({"InstanceId": instance.id, "Monitoring": {"State": state}})
    return {"InstanceMonitorings": shown}


@answers("ec2:DeleteTags")
def _delete_tags(world: World, _: Principal, call: Call) -> Values | None:
    """Delete all tags set by users if none are named; moto deletes only named tags."""
    if call.params.get("Tags"):
        return None
    held = world.ec2(call.region).tags
    for name in call.params.get("Resources", ()):
        held[name] = {k: v for k, v in held.get(name, {}).items() if k.startswith("aws:")}
    return {}
