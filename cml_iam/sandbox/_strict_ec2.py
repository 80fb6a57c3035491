"""EC2 checks that moto omits, so that a caller's errors do not go unnoticed.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
"""

from __future__ import annotations

import re
from contextlib import nullcontext
from fnmatch import fnmatchcase
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

from cml_iam.sandbox._answers import check_page, in_pages
from cml_iam.sandbox._describe import MOST_IDS, passes, with_public_names
from cml_iam.sandbox._launch import network_of, profile_and_role
from cml_iam.sandbox._services import rows
from cml_iam.sandbox._transitions import arrive, hide_public, launched, only, seen
from cml_iam.sandbox._wire import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cml_iam.sandbox._answers import Execute
    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._principals import Principal
    from cml_iam.sandbox._wire import Answer, Values
    from cml_iam.sandbox._world import World

_ID: Final = re.compile(r"[a-z]+-(?:[0-9a-f]{8}|[0-9a-f]{17})")
_TOKEN_LENGTH: Final = 64
_LOOKS: Final = frozenset({"DescribeInstances", "DescribeInstanceStatus"})
_OURS: Final = frozenset({"client-token", "instance-state-code"})
"""The filters of DescribeInstances that moto lacks."""

# https://www.w3.org/TR/xml/#charsets
_NOT_IN_XML: Final = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_STOPPED_ONLY: Final = ("InstanceType", "UserData", "EbsOptimized", "Kernel", "Ramdisk")


def check_ec2(call: Call) -> None:
    """Raise Fault for malformed values, which EC2 refuses before anything else."""
    params = call.params
    for name, (code, prefix) in rows("ids").items():
        ids = params.get(name, ())
        for each in [ids] if isinstance(ids, str) else ids:
            if not each.startswith(f"{prefix}-"):
                raise Fault(code, f'Invalid id: "{each}" (expecting "{prefix}-...")')
            if not _ID.fullmatch(each):
                raise Fault(code, f'Invalid id: "{each}"')
    if params.get("MaxResults") and params.get("InstanceIds"):
        said = "The parameter instancesSet cannot be used with the parameter maxResults"
        raise Fault("InvalidParameterCombination", said)
    check_page(call)
    if call.operation == "DescribeInstanceStatus" and len(params.get("InstanceIds", ())) > MOST_IDS:
        said = f"Too many instance ids: {len(params['InstanceIds'])}. The maximum is {MOST_IDS}."
        raise Fault("InvalidParameterValue", said)
    _check_tags(params.get("Tags", ()) if call.operation == "CreateTags" else ())
    for specification in params.get("TagSpecifications", ()):
        _check_tags(specification.get("Tags", ()))


def perform_ec2(world: World, call: Call, execute: Execute) -> Answer:
    """Let *execute* run the authorized *call*, with the steps before and after that moto omits."""
    if call.operation == "RunInstances":
        return _run(world, call, execute)
    if call.operation in _LOOKS:
        arrive(world, look=True)
    wanted = seen(world, call.region)
    with nullcontext() if wanted is None else only(world.ec2(call.region), wanted):
        _check(world, call)
        if call.operation == "DescribeInstances":
            answer = _described(world, call, execute)
        else:
            answer = in_pages(world, call, execute)
    return with_public_names(answer, call.region)


def _check(world: World, call: Call) -> None:
    """Raise Fault for a change that the state of the visible instances does not permit."""
    backend, ids = world.ec2(call.region), call.params.get("Resources", ())
    match call.operation:
        case "CreateTags" | "DeleteTags":
            backend.get_multi_instances_by_id([each for each in ids if each.startswith("i-")])
            backend.do_resources_exist(ids)
            for each in ids:
                if each.startswith("eni-"):
                    backend.get_network_interface(each)
        case "StopInstances" if call.params.get("Hibernate"):
            _check_hibernation(world, call)
        case "ModifyInstanceAttribute":
            _check_attribute(world, call)


def _run(world: World, call: Call, execute: Execute) -> Answer:
    token = call.params.get("ClientToken", "")
    if len(token) > _TOKEN_LENGTH or not token.isascii():
        raise Fault("InvalidParameterValue", "ClientToken must have at most 64 ASCII characters")
    known = world.launches.get((call.region, token)) if token else None
    if known is not None:
        earlier, answer = known
        if earlier.params != call.params:
            said = "Arguments on this idempotent request are inconsistent with arguments used in "
            raise Fault("IdempotentParameterMismatch", f"{said}previous request(s).")
        return answer
    _check_launch(world, call)
    made: list[Any] = []
    spot = call.params.get("InstanceMarketOptions", {}).get("SpotOptions", {})

    def complete(reservation: Any) -> Any:
        made.extend(reservation.instances)
        for each in made:
            each.disable_api_termination = bool(call.params.get("DisableApiTermination"))
            each.hibernation_options = {"Configured": _hibernates(call)}
            each.client_token = token
            each.persistent_spot = spot.get("SpotInstanceType") == "persistent"
            each.add_tags(_template_tags(call))
            hide_public(each)
        return reservation

    # Moto launches the minimum; EC2 launches the maximum, since capacity here is unlimited. The
    # contents of the launch template are already parameters of the call, so moto must not add them
    # again.
    asked = call.with_params(MinCount=call.params["MaxCount"], LaunchTemplate=None)
    answer = execute(asked, complete)
    launched(world, call.region, made)
    if made and token:
        world.launches[(call.region, token)] = (call, answer)
    return answer


def _template_tags(call: Call) -> dict[str, str]:
    """Return the tags that EC2 sets on instances from a launch template.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-tagging.html
    """
    template = call.params.get("LaunchTemplate")
    if not template:
        return {}
    marks = {"id": template["LaunchTemplateId"], "version": template["Version"]}
    return {f"aws:ec2launchtemplate:{name}": value for name, value in marks.items()}


def _check_launch(world: World, call: Call) -> None:
    """Raise Fault if the launch names something that does not exist in the region."""
    params = call.params
    if not 1 <= params["MinCount"] <= params["MaxCount"]:
        raise Fault("InvalidParameterValue", "MinCount must be 1 to MaxCount")
    if not offered(params["InstanceType"], call.region):
        said = f"Invalid value '{params['InstanceType']}' for InstanceType."
        raise Fault("InvalidParameterValue", said)
    if "KeyName" in params and params["KeyName"] not in world.ec2(call.region).key_pairs:
        said = f"The key pair '{params['KeyName']}' does not exist"
        raise Fault("InvalidKeyPair.NotFound", said)
    profile_and_role(world, call)
    # Moto checks images only if nothing in this process imported it before the sandbox.
    world.ec2(call.region).describe_images(ami_ids=[params["ImageId"]])
    _check_placed(world, call)
    if _hibernates(call):
        _check_hibernates(call)


def _check_placed(world: World, call: Call) -> None:
    """Raise Fault for an address outside the subnet, and for missing capacity."""
    subnet, network = network_of(world, call)
    address = call.params.get("PrivateIpAddress", network.get("PrivateIpAddress"))
    if address is not None and subnet is not None:
        try:
            inside = ip_address(address) in subnet.cidr
        except ValueError:
            said = f"Value ({address}) for parameter privateIpAddress is invalid."
            raise Fault("InvalidParameterValue", said) from None
        if not inside:
            said = f"Address {address} does not fall within the subnet's address range"
            raise Fault("InvalidParameterValue", said)
    kind, placed = call.params["InstanceType"], call.params.get("Placement", {})
    zone = subnet.availability_zone if subnet else placed.get("AvailabilityZone", "")
    for shortage in world.conditions.no_capacity:
        if fnmatchcase(kind, shortage.instance_type) and fnmatchcase(zone, shortage.zone):
            said = f"We currently do not have sufficient {kind} capacity in the Availability Zone "
            raise Fault("InsufficientInstanceCapacity", f"{said}you requested ({zone}).", 500)


def _hibernates(call: Call) -> bool:
    return bool(call.params.get("HibernationOptions", {}).get("Configured"))


def _check_hibernates(call: Call) -> None:
    """Raise Fault for a launch that cannot hibernate: bare metal, or an unencrypted disk.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/hibernating-prerequisites.html
    """
    disks = call.params.get("BlockDeviceMappings", ())
    encrypted = any(disk.get("Ebs", {}).get("Encrypted") for disk in disks)
    if ".metal" in call.params["InstanceType"]:
        said = f"Hibernation is not supported for {call.params['InstanceType']}."
        raise Fault("UnsupportedHibernationConfiguration", said)
    if not encrypted:
        said = "Hibernation needs an encrypted root volume."
        raise Fault("UnsupportedHibernationConfiguration", said)


def _check_hibernation(world: World, call: Call) -> None:
    """Raise Fault for hibernating an instance that was not launched for it."""
    for each in call.params.get("InstanceIds", ()):
        found = world.ec2(call.region).get_instance_by_id(each)
        if found is not None and not (found.hibernation_options or {}).get("Configured"):
            said = "The instance can't be hibernated because it was not configured at launch for "
            raise Fault("UnsupportedHibernationConfiguration", f"{said}hibernation: {each}")


def _described(world: World, call: Call, execute: Execute) -> Answer:
    """Describe instances: by id in one response, and with filters that moto lacks."""
    backend = world.ec2(call.region)
    ids = frozenset(call.params.get("InstanceIds", ()))
    if ids:
        backend.get_multi_instances_by_id(sorted(ids))
    filters = call.params.get("Filters", ())
    ours = [each for each in filters if each.get("Name") in _OURS]
    theirs = [each for each in filters if each not in ours] or None

    def wanted(instance: Any) -> bool:
        code, token = str(instance.state_code), instance.client_token or ""
        values = {"client-token": token, "instance-state-code": code}
        return (not ids or instance.id in ids) and passes(ours, values)

    # Moto would return at most a hundred at once.
    asked = call.with_params(Filters=theirs, InstanceIds=None)
    with only(backend, wanted):
        return in_pages(world, asked, execute)


def _check_attribute(world: World, call: Call) -> None:
    """Raise Fault for an attribute that can only change on a stopped instance."""
    found = world.ec2(call.region).get_instance_by_id(call.params.get("InstanceId", ""))
    named = call.params.get("Attribute", "")
    changed = [n for n in _STOPPED_ONLY if n in call.params or named.lower() == n.lower()]
    if found is not None and changed and found.state != "stopped":
        said = f"The instance '{found.id}' is not in the 'stopped' state."
        raise Fault("IncorrectInstanceState", said)


def monitor(world: World, _: Principal, call: Call) -> Values:
    """Switch detailed monitoring on or off, which moto cannot do."""
    backend = world.ec2(call.region)
    found = backend.get_multi_instances_by_id(call.params.get("InstanceIds", ()))
    on = call.operation == "MonitorInstances"
    listed = []
    for each in found:
        shown = each.monitoring_state
        if each.monitored != on:
            shown = "pending" if on else "disabling"
        each.monitoring_state = "enabled" if on else "disabled"
        listed.append({"InstanceId": each.id, "Monitoring": {"State": shown}})
    return {"InstanceMonitorings": listed}


def offered(instance_type: str, region: str) -> bool:
    """Return whether *region* has *instance_type*."""
    from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS

    offers = INSTANCE_TYPE_OFFERINGS["region"].get(region, ())
    return any(offer["InstanceType"] == instance_type for offer in offers)


def delete_tags(world: World, _: Principal, call: Call) -> Values | None:
    """Delete all tags set by users if DeleteTags names none; moto deletes only named tags."""
    if call.params.get("Tags"):
        return None
    backend = world.ec2(call.region)
    for each in call.params.get("Resources", ()):
        kept = {k: v for k, v in backend.tags.get(each, {}).items() if k.startswith("aws:")}
        backend.tags[each] = kept
    return {}


def _check_tags(tags: Iterable[dict[str, str]]) -> None:
    for tag in tags:
        if tag.get("Key", "").lower().startswith("aws:"):
            said = "Tag keys starting with 'aws:' are reserved for internal use"
            raise Fault("InvalidParameterValue", said)
        if _NOT_IN_XML.search(tag.get("Key", "") + tag.get("Value", "")):
            said = "Tag keys and values may hold only characters that XML can represent"
            raise Fault("InvalidParameterValue", said)
