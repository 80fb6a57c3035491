"""Read the site file into a Site, or report every problem with its place.

The schema defines the valid values. This module also finds contradictory values. An unknown region
only causes a warning.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from cml_iam.clock import parse_length
from cml_iam.errors import DocumentError, InputError, Problem, SiteError
from cml_iam.facts import known_regions, meant_region, partition_of
from cml_iam.files import regular_text, shipped_text
from cml_iam.located import Located, located_problems, parse_toml
from cml_iam.restrict import contradictions_of, grants_from, restrictions_from
from cml_iam.site._model import (
    DEFAULT_BOUNDARY,
    DEFAULT_GUARD,
    DEFAULT_POLICY,
    DEFAULT_USER,
    IDLE_RULES,
    Application,
    Credentials,
    Eks,
    Fleet,
    Idle,
    Oidc,
    RolesAnywhere,
    Site,
    WorkerProfile,
)

if TYPE_CHECKING:
    from pathlib import Path


LARGEST: Final = 1 << 20
"""The maximum size of a site file in bytes: a thousand times the usual size."""

Keys = tuple[str | int, ...]
"""The path to a value in the site file."""


def load_site(path: Path) -> Site:
    """Read the site file at *path*.

    Raises SiteError with every problem and its place, InputError if there is no file.
    """
    if not os.path.lexists(path):
        raise InputError(
            f"no site file: `{path}`", remedy="write one with `cml-iam init`, or name it: --site"
        )
    if path.is_dir():
        raise InputError(
            f"the site file `{path}` is a folder", remedy=f"name the file in it: --site {path}/…"
        )
    return parse_site(regular_text(path, LARGEST), str(path))


def parse_site(text: str, name: str = "<site>") -> Site:
    """Read the site from the TOML *text*, called *name* in messages; raises SiteError.

    Likely mistakes that are not errors are in the site's `doubts`.
    """
    try:
        located = parse_toml(text, name)
    except DocumentError as error:
        raise SiteError(error.problems) from None
    problems = located_problems(located, json.loads(shipped_text("policies", "site.schema.json")))
    if not problems:
        problems = tuple(contradictions(located))
    if problems:
        raise SiteError(problems)
    site = site_from(located.value)
    return replace(site, doubts=tuple(doubtful_regions(located, site.partition)))


def site_from(value: Mapping[str, Any]) -> Site:
    """Return the site that *value* describes."""
    account, principal = value["account"], value.get("principal", {})
    role = principal.get("role")
    eks = value.get("eks")
    return Site(
        account=account["id"],
        partition=account.get("partition", "aws"),
        role=role,
        user=None if role else principal.get("user", DEFAULT_USER),
        path=principal.get("path", "/"),
        policy=principal.get("policy", DEFAULT_POLICY),
        boundary=principal.get("boundary", DEFAULT_BOUNDARY),
        guard=principal.get("guard", DEFAULT_GUARD),
        restrict=restrictions_from(value.get("restrict", {}), account["id"]),
        grant=grants_from(value.get("grant", {})),
        eks=Eks(**eks) if eks else None,
        roles_anywhere=RolesAnywhere(**value["roles_anywhere"])
        if "roles_anywhere" in value
        else None,
        oidc=Oidc(**value["oidc"]) if "oidc" in value else None,
        ecs_region=value.get("ecs", {}).get("region"),
        audit_names=MappingProxyType(value.get("audit", {})),
        workers=MappingProxyType(
            {name: _worker_profile(name, raw) for name, raw in value.get("workers", {}).items()}
        ),
        idle=_idle(value.get("idle", {})),
        fleet=Fleet(**value.get("fleet", {})),
        application=_application(value["manager"]) if "manager" in value else None,
        credentials=_credentials(value.get("credentials", {})),
        expected=MappingProxyType(
            {name: tuple(each) for name, each in value.get("expected", {}).items()}
        ),
        kinds=MappingProxyType(value.get("lint", {}).get("kinds", {})),
    )


def _credentials(raw: Mapping[str, Any]) -> Credentials:
    return Credentials(**{**raw, "stores": tuple(raw.get("stores", ()))})


def _application(raw: Mapping[str, Any]) -> Application:
    tagged = tuple(raw.get("tagged", ("instance",)))
    return Application(MappingProxyType(dict(raw["tags"])), tagged)


def _idle(raw: Mapping[str, Any]) -> Idle:
    values = {name: raw[name] for name in IDLE_RULES.values() if name in raw}
    if "window" in raw:
        values["window"] = parse_length(raw["window"])
    left_out = {
        IDLE_RULES[rule]: None for rule in set(IDLE_RULES) - set(raw.get("rules", IDLE_RULES))
    }
    return Idle(**{**values, **left_out})


def _worker_profile(name: str, raw: Mapping[str, Any]) -> WorkerProfile:
    def frozen(value: Any) -> Any:
        if isinstance(value, Mapping):
            return MappingProxyType(dict(value))
        return tuple(value) if isinstance(value, list) else value

    return WorkerProfile(name, **{key: frozen(value) for key, value in raw.items()})


def doubtful_regions(located: Located, partition: str) -> Iterator[Problem]:
    """Yield the regions of the site file that are not known in *partition*.

    The list is as old as this release, so this also reports newer regions, which work.
    """
    known = known_regions(partition)
    for path, region in named_regions(located.value):
        if region not in known:
            yield Problem(
                f"region `{region}` is not a known region of the partition `{partition}`",
                located.name_place(path),
                meant_region(region, known) or "it is used as written: it may be a new region",
            )


def named_regions(value: Mapping[str, Any]) -> Iterator[tuple[Keys, str]]:
    """Yield every region in a site file, with its path."""
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


def contradictions(located: Located) -> Iterator[Problem]:
    """Yield contradictory values, which the schema cannot find."""
    site = site_from(located.value)
    for path, region in named_regions(located.value):
        if partition_of(region) != site.partition:
            yield Problem(
                f"region `{region}` is not in the partition `{site.partition}`",
                located.name_place(path),
                "set `account.partition`, or name one of its regions",
            )
    for contradiction in contradictions_of(site):
        place = (
            located.name_place(contradiction.path)
            if contradiction.name
            else located.place(contradiction.path)
        )
        yield Problem(contradiction.message, place, contradiction.remedy)
    yield from _refused_profiles(located, site)


def _refused_profiles(located: Located, site: Site) -> Iterator[Problem]:
    """Yield the values of a worker profile that the site's own policy would refuse."""
    for name, profile in site.workers.items():
        at = ("workers", name)
        values: list[tuple[str, Keys, str]] = [
            *(("instance_types", (n,), each) for n, each in enumerate(profile.instance_types)),
            *(("security_groups", (n,), each) for n, each in enumerate(profile.security_groups)),
            *(("subnets", (zone,), each) for zone, each in profile.subnets.items()),
            *(("regions", (), each) for each in (profile.region,) if each),
        ]
        for option, place, each in values:
            allowed = getattr(site.restrict, option)
            if allowed and not any(fnmatchcase(each, pattern) for pattern in allowed):
                yield Problem(
                    f"worker profile `{name}`: `{each}` is not among `restrict.{option}`, "
                    "so the policy refuses it",
                    located.place((*at, option if place else "region", *place)),
                    f"add it to `restrict.{option}`, or choose another",
                )
        for index, each in enumerate(profile.instance_types):
            if profile.virtualization == "metal" and ".metal" not in each:
                yield Problem(
                    f"worker profile `{name}`: `{each}` is not a metal type",
                    located.place((*at, "instance_types", index)),
                    "choose a metal type, or remove `virtualization`",
                )
            if profile.virtualization == "nested" and ".metal" in each:
                yield Problem(
                    f"worker profile `{name}`: `{each}` is a metal type, which needs no nested "
                    "virtualization",
                    located.place((*at, "instance_types", index)),
                    'set `virtualization = "metal"`, or choose a virtual type of c8i, m8i or r8i',
                )
