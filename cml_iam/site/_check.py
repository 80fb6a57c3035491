"""What the schema of a site file cannot see: values that do not go together."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Final

from cml_iam.errors import Problem
from cml_iam.located import Located
from cml_iam.restrict import contradictions_of
from cml_iam.site._build import site_from
from cml_iam.site._model import Site
from cml_iam.site._regions import named_regions

_REGION_PREFIX: Final = {"aws-cn": ("cn-",), "aws-us-gov": ("us-gov-",)}


def contradictions(located: Located) -> Iterator[Problem]:
    """Yield what the schema cannot see: values that do not go together."""
    site = site_from(located.value)
    for path, region in named_regions(located.value):
        if not _in_partition(region, site.partition):
            yield Problem(
                f"region `{region}` is not in the partition `{site.partition}`",
                located.name_place(path),
                "set `account.partition`, or name a region of it",
            )
    for each in contradictions_of(site):
        place = located.name_place(each.path) if each.name else located.place(each.path)
        yield Problem(each.message, place, each.remedy)
    yield from _refused_profiles(located, site)


def _refused_profiles(located: Located, site: Site) -> Iterator[Problem]:
    """Yield what a worker profile asks for and the site's own policy would refuse."""
    restrict = site.restrict
    for name, profile in site.workers.items():
        at: tuple[str | int, ...] = ("workers", name)
        asked: list[tuple[str, tuple[str | int, ...], str, tuple[str, ...]]] = [
            ("instance_types", ("instance_types", index), each, restrict.instance_types)
            for index, each in enumerate(profile.instance_types)
        ]
        asked += [
            ("security_groups", ("security_groups", index), each, restrict.security_groups)
            for index, each in enumerate(profile.security_groups)
        ]
        asked += [
            ("subnets", ("subnets", zone), each, restrict.subnets)
            for zone, each in profile.subnets.items()
        ]
        if profile.region:
            asked.append(("regions", ("region",), profile.region, restrict.regions))
        for restriction, place, each, allowed in asked:
            if allowed and not any(fnmatchcase(each, pattern) for pattern in allowed):
                yield Problem(
                    f"worker profile `{name}`: `{each}` is not among `restrict.{restriction}`, "
                    "so the policy refuses it",
                    located.place((*at, *place)),
                    f"add it to `restrict.{restriction}`, or take another",
                )
        for index, each in enumerate(profile.instance_types):
            if profile.virtualization == "metal" and ".metal" not in each:
                yield Problem(
                    f"worker profile `{name}`: `{each}` is no metal type",
                    located.place((*at, "instance_types", index)),
                    "take a metal one, or remove `virtualization`",
                )
            if profile.virtualization == "nested" and ".metal" in each:
                yield Problem(
                    f"worker profile `{name}`: `{each}` is a metal type, which needs no nested "
                    "virtualization",
                    located.place((*at, "instance_types", index)),
                    'say `virtualization = "metal"`, or take a virtual type of c8i, m8i or r8i',
                )


def _in_partition(region: str, partition: str) -> bool:
    if partition in _REGION_PREFIX:
        return region.startswith(_REGION_PREFIX[partition])
    return not region.startswith(tuple(p for ps in _REGION_PREFIX.values() for p in ps))
