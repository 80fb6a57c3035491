"""Read the site file into a Site, or report every problem with its place; write a new one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from cml_iam.clock import parse_length
from cml_iam.errors import DocumentError, InputError, Problem, SiteError
from cml_iam.facts import known_regions, meant_region, partition_of
from cml_iam.files import regular_text, shipped_templates, shipped_text
from cml_iam.located import Located, located_problems, parse_toml
from cml_iam.restrict import contradictions_of, grants_from, restrictions_from
from cml_iam.site._model import (
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
from cml_iam.site._names import DEFAULT_POLICY, DEFAULT_USER, IDLE_RULES
from cml_iam.tag import Tag

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
    principal = value.get("principal", {})
    own_user = None if "role" in principal else principal.get("user", DEFAULT_USER)
    kinds: dict[str, Any] = {"eks": Eks, "roles_anywhere": RolesAnywhere, "oidc": Oidc}
    return Site(
        account=value["account"]["id"],
        partition=value["account"].get("partition", "aws"),
        **{**principal, "user": own_user},
        restrict=restrictions_from(value.get("restrict", {}), value["account"]["id"]),
        grant=grants_from(value.get("grant", {})),
        **{name: kind(**value[name]) for name, kind in kinds.items() if name in value},
        ecs_region=value.get("ecs", {}).get("region"),
        audit_names=MappingProxyType(value.get("audit", {})),
        workers=MappingProxyType(
            {
                name: WorkerProfile(name, **_frozen(profile))
                for name, profile in value.get("workers", {}).items()
            }
        ),
        idle=_idle(value.get("idle", {})),
        fleet=Fleet(**value.get("fleet", {})),
        application=Application(**_frozen(value["manager"])) if "manager" in value else None,
        credentials=Credentials(**_frozen(value.get("credentials", {}))),
        expected=_frozen(value.get("expected", {})),
        kinds=MappingProxyType(value.get("lint", {}).get("kinds", {})),
    )


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return MappingProxyType({key: _frozen(member) for key, member in value.items()})
    return tuple(value) if isinstance(value, list) else value


def _idle(raw: Mapping[str, Any]) -> Idle:
    values = {name: raw[name] for name in IDLE_RULES.values() if name in raw}
    if "window" in raw:
        values["window"] = parse_length(raw["window"])
    rules = raw.get("rules", IDLE_RULES)
    off = {name: None for rule, name in IDLE_RULES.items() if rule not in rules}
    return Idle(**{**values, **off})


def doubtful_regions(located: Located, partition: str) -> Iterator[Problem]:
    """Yield the regions that this release does not know in *partition*: newer ones work too."""
    regions = known_regions(partition)
    for path, region in named_regions(located.value):
        if region not in regions:
            yield Problem(
                f"region `{region}` is not a known region of the partition `{partition}`",
                located.name_place(path),
                meant_region(region, regions) or "it is used as written: it may be a new region",
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
    for message, path, remedy, name in contradictions_of(site):
        place = located.name_place(path) if name else located.place(path)
        yield Problem(message, place, remedy)
    yield from _refused_profiles(located, site)


def _refused_profiles(located: Located, site: Site) -> Iterator[Problem]:
    """Yield the values of a worker profile that the site's own policy would refuse."""
    for name, profile in site.workers.items():
        values: list[tuple[str, Keys, str]] = [
            *(("instance_types", (n,), type_) for n, type_ in enumerate(profile.instance_types)),
            *(("security_groups", (n,), group) for n, group in enumerate(profile.security_groups)),
            *(("subnets", (zone,), subnet) for zone, subnet in profile.subnets.items()),
            *(("regions", (), region) for region in (profile.region,) if region),
        ]
        for option, keys, value in values:
            place = located.place(("workers", name, option if keys else "region", *keys))
            allowed = getattr(site.restrict, option)
            if allowed and not any(fnmatchcase(value, pattern) for pattern in allowed):
                yield Problem(
                    f"worker profile `{name}`: `{value}` is not among `restrict.{option}`, "
                    "so the policy refuses it",
                    place,
                    f"add it to `restrict.{option}`, or choose another",
                )
        yield from _wrong_types(located, profile)


def _wrong_types(located: Located, profile: WorkerProfile) -> Iterator[Problem]:
    for index, instance_type in enumerate(profile.instance_types):
        problem = f"worker profile `{profile.name}`: `{instance_type}`"
        place = located.place(("workers", profile.name, "instance_types", index))
        metal = ".metal" in instance_type
        if profile.virtualization == "metal" and not metal:
            remedy = "choose a metal type, or remove `virtualization`"
            yield Problem(f"{problem} is not a metal type", place, remedy)
        if profile.virtualization == "nested" and metal:
            yield Problem(
                f"{problem} is a metal type, which needs no nested virtualization",
                place,
                'set `virtualization = "metal"`, or choose a virtual type of c8i, m8i or r8i',
            )


def site_text(
    *,
    account: str,
    partition: str = "aws",
    user: str | None = None,
    role: str | None = None,
    policy: str = DEFAULT_POLICY,
    regions: tuple[str, ...] = (),
    guard_tag: Tag | None = None,
    instance_types: tuple[str, ...] = (),
    image_owners: tuple[str, ...] = (),
    images: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
    detailed_monitoring: bool = False,
    application_tags: Mapping[str, str] = MappingProxyType({}),
    manager: str | None = None,
    administrator: str | None = None,
) -> str:
    """Return the text of a site file with these values and explanatory comments."""
    values = {**locals(), "user": user or DEFAULT_USER}
    return shipped_templates("templates", _toml).get_template("site.toml.j2").render(values)


def _toml(value: str | tuple[str, ...]) -> str:
    """Return *value* in TOML, whose basic strings are escaped as in JSON, except for DEL."""
    if isinstance(value, str):
        return json.dumps(value).replace("\x7f", "\\u007f")
    return f"[{', '.join(map(_toml, value))}]"
