"""Regions that a site file names and AWS is not known to have: doubted, never refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cml_iam.errors import Problem
from cml_iam.facts import known_regions, meant_region
from cml_iam.located import Located

Path = tuple[str | int, ...]


def doubtful_regions(located: Located, partition: str) -> Iterator[Problem]:
    """Yield the regions named in the site file that *partition* is not known to have.

    The list is as old as this release, so that a new region is doubted too, and works.
    """
    known = known_regions(partition)
    for path, region in named_regions(located.value):
        if region not in known:
            yield Problem(
                f"region `{region}` is not among the known ones of the partition `{partition}`",
                located.name_place(path),
                meant_region(region, known) or "it is used as written; a new region is no error",
            )


def named_regions(value: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yield every region that a site file names, with its path."""
    restrict = value.get("restrict", {})
    for index, region in enumerate(restrict.get("regions", ())):
        yield ("restrict", "regions", index), region
    for region in restrict.get("images", ()):
        yield ("restrict", "images", region), region
    for name in ("eks", "ecs", "audit"):
        if "region" in value.get(name, {}):
            yield (name, "region"), value[name]["region"]
    for name, profile in value.get("workers", {}).items():
        if "region" in profile:
            yield ("workers", name, "region"), profile["region"]
        for zone in profile.get("subnets", ()):
            yield ("workers", name, "subnets", zone), zone[:-1]
