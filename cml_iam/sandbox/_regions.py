"""DescribeRegions: the regions of the partition, and which of them the account has turned on.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRegions.html
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from cml_iam.facts import DOMAINS, known_regions, opt_in_regions
from cml_iam.sandbox._answers import result_answer
from cml_iam.sandbox._faults import Fault

if TYPE_CHECKING:
    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._principals import Principal
    from cml_iam.sandbox._wire import Answer
    from cml_iam.sandbox._world import World

_FILTERS: Final = {
    "endpoint": "Endpoint",
    "opt-in-status": "OptInStatus",
    "region-name": "RegionName",
}


def describe_regions(world: World, _: Principal, call: Call) -> Answer:
    """Answer DescribeRegions: the enabled regions, unless others are named or all are wanted."""
    params = call.params
    regions = [_region(world, name) for name in known_regions(world.partition)]
    named = params.get("RegionNames")
    unknown = set(named or ()) - {each["RegionName"] for each in regions}
    if unknown:
        said = f"Invalid region names found: [{', '.join(sorted(unknown))}]"
        raise Fault("InvalidParameterValue", said)
    shown = [
        each
        for each in regions
        if (each["RegionName"] in named if named else _is_shown(each, params))
        and all(_passes(each, given) for given in params.get("Filters", ()))
    ]
    return result_answer(call, {"Regions": shown})


def _region(world: World, name: str) -> dict[str, str]:
    status = "opt-in-not-required"
    if name in opt_in_regions():
        status = "opted-in" if name in world.regions else "not-opted-in"
    endpoint = f"ec2.{name}.{DOMAINS[world.partition]}"
    return {"RegionName": name, "Endpoint": endpoint, "OptInStatus": status}


def _is_shown(region: dict[str, str], params: dict[str, Any]) -> bool:
    return params.get("AllRegions", False) or region["OptInStatus"] != "not-opted-in"


def _passes(region: dict[str, str], given: dict[str, Any]) -> bool:
    name = given.get("Name", "")
    if name not in _FILTERS:
        raise Fault("InvalidParameterValue", f"The filter '{name}' is invalid")
    return any(fnmatchcase(region[_FILTERS[name]], value) for value in given.get("Values", ()))
