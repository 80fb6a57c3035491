"""EC2's descriptions of regions and instances: status checks over time, network by state.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRegions.html
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceStatus.html
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-instance-addressing.html
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/how-ec2-instance-termination-works.html
"""

from __future__ import annotations

import re
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from cml_iam.facts import DOMAINS, known_regions, opt_in_regions
from cml_iam.sandbox._answers import edited, result_answer
from cml_iam.sandbox._transitions import status_of
from cml_iam.sandbox._wire import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from xml.etree import ElementTree as ET

    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._principals import Principal
    from cml_iam.sandbox._wire import Answer
    from cml_iam.sandbox._world import World

MOST_IDS: Final = 100
"""The maximum number of ids in one DescribeInstanceStatus call."""

_REACHABILITY: Final = {"ok": "passed", "initializing": "initializing"}
_PUBLIC: Final = frozenset({"ipAddress", "dnsName", "association"})
_NETWORK: Final = _PUBLIC | {
    "groupSet",
    "networkInterfaceSet",
    "privateDnsName",
    "privateIpAddress",
    "subnetId",
    "vpcId",
}
_HIDDEN: Final = {"pending": _PUBLIC, "terminated": _NETWORK}
"""The members that an instance lacks, by state: nothing public before it runs."""

_EMPTY: Final = frozenset({"groupSet", "networkInterfaceSet"})
"""The lists that are shown even when they are empty."""

_PUBLIC_NAME: Final = re.compile(rb"<publicDnsName>ip-([0-9-]+)\.[^<]*</publicDnsName>")
_EMPTY_ASSOCIATION: Final = re.compile(rb"<association\s*/>|<association>\s*</association>")


def passes(filters: Iterable[Mapping[str, Any]], values: Mapping[str, str]) -> bool:
    """Return whether *values*, by filter name, pass all *filters*; raises Fault for others."""
    for each in filters:
        name = each.get("Name", "")
        if name not in values:
            raise Fault("InvalidParameterValue", f"The filter '{name}' is invalid")
        if not any(fnmatchcase(values[name], value) for value in each.get("Values", ())):
            return False
    return True


def describe_regions(world: World, _: Principal, call: Call) -> Answer:
    """Answer DescribeRegions: the enabled regions, unless others or all are requested."""
    params = call.params
    regions = [_region(world, name) for name in known_regions(world.partition)]
    named = params.get("RegionNames")
    unknown = set(named or ()) - {each["RegionName"] for each in regions}
    if unknown:
        said = f"Invalid region names found: [{', '.join(sorted(unknown))}]"
        raise Fault("InvalidParameterValue", said)
    shown = []
    for each in regions:
        values = {
            "endpoint": each["Endpoint"],
            "opt-in-status": each["OptInStatus"],
            "region-name": each["RegionName"],
        }
        every = params.get("AllRegions", False) or each["OptInStatus"] != "not-opted-in"
        wanted = each["RegionName"] in named if named else every
        if wanted and passes(params.get("Filters", ()), values):
            shown.append(each)
    return result_answer(call, {"Regions": shown})


def _region(world: World, name: str) -> dict[str, str]:
    status = "opt-in-not-required"
    if name in opt_in_regions():
        status = "opted-in" if name in world.regions else "not-opted-in"
    endpoint = f"ec2.{name}.{DOMAINS[world.partition]}"
    return {"RegionName": name, "Endpoint": endpoint, "OptInStatus": status}


def check_status(call: Call) -> None:
    """Raise Fault for more ids than one call accepts."""
    ids = call.params.get("InstanceIds", ())
    if call.operation == "DescribeInstanceStatus" and len(ids) > MOST_IDS:
        said = f"Too many instance ids: {len(ids)}. The maximum is {MOST_IDS}."
        raise Fault("InvalidParameterValue", said)


def instance_status(world: World, call: Call) -> Answer:
    """Answer the status of the requested instances; only running ones unless all are."""
    backend = world.ec2(call.region)
    ids = list(dict.fromkeys(call.params.get("InstanceIds", ())))
    found = backend.get_multi_instances_by_id(ids) if ids else backend.all_instances()
    if not call.params.get("IncludeAllInstances"):
        found = [each for each in found if each.state == "running"]
    statuses = []
    for each in found:
        status = status_of(world, each)
        values = {
            "availability-zone": each.availability_zone,
            "instance-state-code": str(each.state_code),
            "instance-state-name": each.state,
            "instance-status.status": status,
            "system-status.status": status,
        }
        if passes(call.params.get("Filters", ()), values):
            statuses.append(_status(each, status))
    return result_answer(call, {"InstanceStatuses": statuses})


def _status(instance: Any, status: str) -> dict[str, Any]:
    check: dict[str, Any] = {"Status": status}
    if status in _REACHABILITY:
        check["Details"] = [{"Name": "reachability", "Status": _REACHABILITY[status]}]
    return {
        "AvailabilityZone": instance.availability_zone,
        "InstanceId": instance.id,
        "InstanceState": {"Code": instance.state_code, "Name": instance.state},
        "InstanceStatus": check,
        "SystemStatus": check,
    }


def with_shown_addresses(answer: Answer) -> Answer:
    """Return the *answer* about instances with the network details that EC2 shows."""
    if not answer.ok or not any(b">%s<" % each.encode() in answer.body for each in _HIDDEN):
        return answer

    def hide(root: ET.Element, prefix: str) -> None:
        for listed in root.iter(f"{prefix}instancesSet"):
            for instance in listed:
                state = instance.findtext(f"{prefix}instanceState/{prefix}name") or ""
                _hide(instance, {f"{prefix}{each}" for each in _HIDDEN.get(state, ())}, prefix)

    return edited(answer, hide)


def with_public_names(answer: Answer, region: str) -> Answer:
    """Return *answer* with public names of addresses, and no association without one.

    https://docs.aws.amazon.com/vpc/latest/userguide/vpc-dns.html
    """
    if b"association" not in answer.body:
        return answer
    zone = "compute-1" if region == "us-east-1" else f"{region}.compute"
    name = rb"<publicDnsName>ec2-\1.%s.amazonaws.com</publicDnsName>" % zone.encode()
    body = _EMPTY_ASSOCIATION.sub(b"", _PUBLIC_NAME.sub(name, answer.body))
    return replace(answer, body=body)


def _hide(element: ET.Element, names: set[str], prefix: str) -> None:
    for each in list(element):
        if each.tag not in names:
            _hide(each, names, prefix)
        elif each.tag.removeprefix(prefix) in _EMPTY:
            each.clear()
        else:
            element.remove(each)
