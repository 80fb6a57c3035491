"""The site file `cml-iam.toml`: where CML Cloud Manager may do what the catalogue says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

from cml_iam.errors import DocumentError, InputError, Problem, SiteError
from cml_iam.located import Located, located_problems, parse_toml
from cml_iam.shipped import shipped_text

Partition = Literal["aws", "aws-cn", "aws-us-gov"]

DEFAULT_USER: Final = "cml-cloud-manager-service"
DEFAULT_POLICY: Final = "CMLWorkerManagementPolicy"
RESTRICTIONS: Final = ("regions", "guard_tag", "instance_types", "images")
"""The four restrictions, by their names in the site file; `images` includes `image_owners`."""

_REGION_PREFIX: Final = {"aws-cn": ("cn-",), "aws-us-gov": ("us-gov-",)}


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag: a key and its value, both case-sensitive."""

    key: str
    value: str

    def __str__(self) -> str:
        return f"{self.key}={self.value}"


@dataclass(frozen=True, slots=True)
class Restrictions:
    """What is restricted, and to what; empty or None means not restricted."""

    regions: tuple[str, ...] = ()
    guard_tag: Tag | None = None
    instance_types: tuple[str, ...] = ()
    image_owners: tuple[str, ...] = ()
    images: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def active(self) -> frozenset[str]:
        """The restrictions that are present, by their names in `RESTRICTIONS`."""
        present = {
            "regions": self.regions,
            "guard_tag": self.guard_tag,
            "instance_types": self.instance_types,
            "images": self.images or self.image_owners,
        }
        return frozenset(name for name, value in present.items() if value)


@dataclass(frozen=True, slots=True)
class Site:
    """One installation: its account, its principal, and its restrictions."""

    account: str
    user: str | None = DEFAULT_USER
    role: str | None = None
    partition: Partition = "aws"
    policy: str = DEFAULT_POLICY
    restrict: Restrictions = field(default_factory=Restrictions)

    @property
    def principal_arn(self) -> str:
        """The ARN of the user or role."""
        kind, name = ("role", self.role) if self.role else ("user", self.user)
        return f"arn:{self.partition}:iam::{self.account}:{kind}/{name}"

    @property
    def policy_arn(self) -> str:
        """The ARN of the customer managed policy."""
        return f"arn:{self.partition}:iam::{self.account}:policy/{self.policy}"

    @property
    def home_region(self) -> str:
        """The region to use where none is named: the first allowed one."""
        defaults = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
        return self.restrict.regions[0] if self.restrict.regions else defaults[self.partition]

    def without(self, *names: str) -> Site:
        """Return this site without the restrictions *names* (of `RESTRICTIONS`)."""
        empty = Restrictions()
        dropped: dict[str, Any] = {name: getattr(empty, name) for name in names}
        if "images" in names:
            dropped["image_owners"] = ()
        return replace(self, restrict=replace(self.restrict, **dropped))


def load_site(path: Path) -> Site:
    """Read the site file at *path*.

    Raises SiteError with every problem and its place, InputError when there is no such file.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise InputError(
            f"no site file: `{path}`", remedy="write one with `cml-iam init`, or name it: --site"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the site file `{path}`: {error}") from None
    return parse_site(text, str(path))


def parse_site(text: str, name: str = "<site>") -> Site:
    """Read the site from the TOML *text*, called *name* in messages; raises SiteError."""
    try:
        located = parse_toml(text, name)
    except DocumentError as error:
        raise SiteError(error.problems) from None
    problems = located_problems(located, json.loads(shipped_text("policies", "site.schema.json")))
    if not problems:
        problems = tuple(_contradictions(located))
    if problems:
        raise SiteError(problems)
    return _site(located.value)


def _contradictions(located: Located) -> Iterator[Problem]:
    """Yield what the schema cannot see: values that do not go together."""
    site = _site(located.value)
    for path, region in _regions(located.value):
        if not _in_partition(region, site.partition):
            yield Problem(
                f"region `{region}` is not in the partition `{site.partition}`",
                located.name_place(path),
                "set `account.partition`, or name a region of it",
            )
    allowed = site.restrict.regions
    for region in site.restrict.images:
        if allowed and region not in allowed:
            yield Problem(
                f"images for `{region}`, which is not among the allowed regions",
                located.name_place(("restrict", "images", region)),
                "add it to `restrict.regions`, or remove these images",
            )
    for region in allowed:
        if (
            site.restrict.images
            and not site.restrict.image_owners
            and region not in (site.restrict.images)
        ):
            yield Problem(
                f"no image may be launched in `{region}`: it has none in `restrict.images`",
                located.place(("restrict", "regions", allowed.index(region))),
                f"add `{region}` to [restrict.images], or remove it from `regions`",
            )


def _regions(value: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    restrict = value.get("restrict", {})
    for index, region in enumerate(restrict.get("regions", ())):
        yield ("restrict", "regions", index), region
    for region in restrict.get("images", ()):
        yield ("restrict", "images", region), region


def _in_partition(region: str, partition: str) -> bool:
    if partition in _REGION_PREFIX:
        return region.startswith(_REGION_PREFIX[partition])
    return not region.startswith(tuple(p for ps in _REGION_PREFIX.values() for p in ps))


def _site(value: Mapping[str, Any]) -> Site:
    account, principal = value["account"], value["principal"]
    role = principal.get("role")
    return Site(
        account=account["id"],
        partition=account.get("partition", "aws"),
        role=role,
        user=None if role else principal.get("user", DEFAULT_USER),
        policy=principal.get("policy", DEFAULT_POLICY),
        restrict=_restrictions(value.get("restrict", {})),
    )


def _restrictions(raw: Mapping[str, Any]) -> Restrictions:
    tag = next(iter(raw.get("guard_tag", {}).items()), None)
    images = {region: tuple(ids) for region, ids in raw.get("images", {}).items()}
    return Restrictions(
        regions=tuple(raw.get("regions", ())),
        guard_tag=Tag(*tag) if tag else None,
        instance_types=tuple(raw.get("instance_types", ())),
        image_owners=tuple(raw.get("image_owners", ())),
        images=MappingProxyType(images),
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
) -> str:
    """Return the text of a site file with these values, explained by comments."""
    principal = f"role = {_toml(role)}" if role else f"user = {_toml(user or DEFAULT_USER)}"
    lines = [
        "# Where CML Cloud Manager may do what it must. Read by `cml-iam`.",
        "",
        "[account]",
        f"id = {_toml(account)}",
        f"partition = {_toml(partition)}",
        "",
        "[principal]",
        principal,
        f"policy = {_toml(policy)}",
        "",
        "# Each line is optional; a restriction that is absent does not restrict.",
        "[restrict]",
    ]
    if regions:
        lines.append(f"regions = {_toml(regions)}")
    if guard_tag:
        tag = f"{_toml(guard_tag.key)} = {_toml(guard_tag.value)}"
        lines.append(f"guard_tag = {{ {tag} }}  # only what carries it may be operated")
    if instance_types:
        lines.append(f"instance_types = {_toml(instance_types)}")
    if image_owners:
        lines.append(f"image_owners = {_toml(image_owners)}  # where no image is listed")
    if images:
        lines += ["", "[restrict.images]  # by region; there, no others"]
        lines += [f"{_toml(region)} = {_toml(ids)}" for region, ids in images.items()]
    return "\n".join(lines) + "\n"


def _toml(value: str | tuple[str, ...]) -> str:
    """Return *value* in TOML; its basic strings escape as JSON's do, but for DEL."""
    if isinstance(value, str):
        return json.dumps(value).replace("\x7f", "\\u007f")
    return "[" + ", ".join(_toml(each) for each in value) + "]"
