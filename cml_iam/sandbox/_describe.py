"""EC2's descriptions of regions and instances; status and network depend on time and state.

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
from cml_iam.sandbox._transitions import status_of
from cml_iam.sandbox._wire import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._principals import Principal
    from cml_iam.sandbox._wire import Answer, Values
    from cml_iam.sandbox._world import World

MOST_IDS: Final = 100
"""The maximum number of ids in one DescribeInstanceStatus call."""

_REACHABILITY: Final = {"ok": "passed", "initializing": "initializing"}
_PUBLIC_NAME: Final = re.compile(rb"<publicDnsName>ip-([0-9-]+)\.[^<]*</publicDnsName>")


def passes(filters: Iterable[Mapping[str, Any]], values: Mapping[str, str]) -> bool:
    """Return whether *values*, by filter name, pass *filters*; raises Fault for unknown ones."""
    for each in filters:
        name = each.get("Name", "")
        if name not in values:
            raise Fault("InvalidParameterValue", f"The filter '{name}' is invalid")
        if not any(fnmatchcase(values[name], value) for value in each.get("Values", ())):
            return False
    return True


def describe_regions(world: World, _: Principal, call: Call) -> Values:
    """Answer DescribeRegions: the enabled regions, unless others or all are requested."""
    params = call.params
    regions = [_region(world, name) for name in known_regions(world.partition)]
    named = params.get("RegionNames")
    unknown = set(named or ()) - {region["RegionName"] for region in regions}
    if unknown:
        said = f"Invalid region names found: [{', '.join(sorted(unknown))}]"
        raise Fault("InvalidParameterValue", said)
    shown = []
    for region in regions:
        values = {
            "endpoint": region["Endpoint"],
            "opt-in-status": region["OptInStatus"],
            "region-name": region["RegionName"],
        }
        every = params.get("AllRegions", False) or region["OptInStatus"] != "not-opted-in"
        wanted = region["RegionName"] in named if named else every
        if wanted and passes(params.get("Filters", ()), values):
            shown.append(region)
    return {"Regions": shown}


def _region(world: World, name: str) -> dict[str, str]:
    status = "opt-in-not-required"
    if name in opt_in_regions():
        status = "opted-in" if name in world.regions else "not-opted-in"
    endpoint = f"ec2.{name}.{DOMAINS[world.partition]}"
    return {"RegionName": name, "Endpoint": endpoint, "OptInStatus": status}


def instance_status(world: World, _: Principal, call: Call) -> Values:
    """Answer DescribeInstanceStatus: only running instances, unless all are requested."""
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
    return {"InstanceStatuses": statuses}


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


def with_public_names(answer: Answer, region: str) -> Answer:
    """Return *answer* with the DNS names of public addresses.

    https://docs.aws.amazon.com/vpc/latest/userguide/vpc-dns.html
    """
    zone = "compute-1" if region == "us-east-1" else f"{region}.compute"
    name = rb"<publicDnsName>ec2-\1.%s.amazonaws.com</publicDnsName>" % zone.encode()
    return replace(answer, body=_PUBLIC_NAME.sub(name, answer.body))
