"""The site file `cml-iam.toml`: where CML Cloud Manager may do what the catalogue says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from ipaddress import ip_network
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

from cml_iam.errors import DocumentError, InputError, Problem, SiteError
from cml_iam.located import Located, located_problems, parse_toml
from cml_iam.shipped import shipped_text

Partition = Literal["aws", "aws-cn", "aws-us-gov"]

DEFAULT_USER: Final = "cml-cloud-manager-service"
DEFAULT_POLICY: Final = "CMLWorkerManagementPolicy"
DEFAULT_BOUNDARY: Final = "CMLWorkerBoundary"
DEFAULT_GUARD: Final = "CMLWorkerGuard"
RESTRICTIONS: Final = ("regions", "guard_tag", "instance_types", "images")
"""The four main restrictions, by their names in the site file; `images` is by id, owner or tag."""

OPTIONS: Final = (
    "subnets",
    "security_groups",
    "source_ips",
    "imdsv2",
    "on_demand_only",
    "encrypted_volumes",
    "mfa_to_terminate",
)
"""Further restrictions, by their names in the site file."""

LAUNCH_RESTRICTIONS: Final = frozenset(
    {
        "guard_tag",
        "instance_types",
        "images",
        "subnets",
        "security_groups",
        "imdsv2",
        "on_demand_only",
        "encrypted_volumes",
    }
)
"""The restrictions on one resource type of a launch: with any, RunInstances is split by type."""

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
    image_tag: Tag | None = None
    images: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    source_ips: tuple[str, ...] = ()
    imdsv2: bool = False
    on_demand_only: bool = False
    encrypted_volumes: bool = False
    mfa_to_terminate: bool = False

    @property
    def active(self) -> frozenset[str]:
        """The restrictions that are present, by their names in `RESTRICTIONS` and `OPTIONS`."""
        present = {name: getattr(self, name) for name in (*RESTRICTIONS, *OPTIONS)}
        present["images"] = self.images or self.other_images
        return frozenset(name for name, value in present.items() if value)

    @property
    def other_images(self) -> bool:
        """Whether images are admitted by owner or tag where none is listed for the region."""
        return bool(self.image_owners or self.image_tag)


@dataclass(frozen=True, slots=True)
class Grants:
    """Permissions beyond the documented twelve; *pass_role* is the name of a role."""

    pass_role: str | None = None
    metric_data: bool = False
    detailed_monitoring: bool = False
    instance_type_details: bool = False

    @property
    def active(self) -> frozenset[str]:
        """The grants that are present, by their names in the site file."""
        return frozenset(name for name in GRANTS if getattr(self, name))


GRANTS: Final = ("pass_role", "metric_data", "detailed_monitoring", "instance_type_details")


@dataclass(frozen=True, slots=True)
class Eks:
    """Where the manager runs on EKS; *oidc_provider* without `https://`."""

    cluster: str
    region: str
    oidc_provider: str | None = None
    namespace: str = "cml-cloud-manager"
    service_account: str = "cml-cloud-manager"


@dataclass(frozen=True, slots=True)
class Audit:
    """The trail and the log group that watch the manager."""

    region: str
    bucket: str
    trail: str = "cml-worker-management-audit"
    log_group: str = "cml-cloudtrail"


Virtualization = Literal["metal", "nested"]


@dataclass(frozen=True, slots=True)
class WorkerProfile:
    """What a worker is launched as: types and subnets (by zone) in order of preference.

    *image* is an id or a name with * and ?; *disk* is in GiB; *user_data* is the path of a file,
    relative to the site file.
    """

    name: str
    instance_types: tuple[str, ...]
    image: str
    region: str | None = None
    owners: tuple[str, ...] = ()
    subnets: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    security_groups: tuple[str, ...] = ()
    key_name: str | None = None
    disk: int | None = None
    instance_profile: str | None = None
    virtualization: Virtualization | None = None
    user_data: str | None = None
    tags: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Site:
    """One installation: its account, its principal, and its restrictions."""

    account: str
    user: str | None = DEFAULT_USER
    role: str | None = None
    partition: Partition = "aws"
    policy: str = DEFAULT_POLICY
    boundary: str = DEFAULT_BOUNDARY
    guard: str = DEFAULT_GUARD
    restrict: Restrictions = field(default_factory=Restrictions)
    grant: Grants = field(default_factory=Grants)
    eks: Eks | None = None
    ecs_region: str | None = None
    audit_names: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    workers: Mapping[str, WorkerProfile] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def audit(self) -> Audit:
        """The trail's names: those of the site file, or the defaults for this account."""
        defaults = {"region": self.home_region, "bucket": f"cml-audit-{self.account}"}
        return Audit(**{**defaults, **self.audit_names})

    @property
    def principal_arn(self) -> str:
        """The ARN of the user or role."""
        kind, name = ("role", self.role) if self.role else ("user", self.user)
        return f"arn:{self.partition}:iam::{self.account}:{kind}/{name}"

    @property
    def policy_arn(self) -> str:
        """The ARN of the customer managed policy."""
        return self._policy_arn(self.policy)

    @property
    def boundary_arn(self) -> str:
        """The ARN of the permissions boundary policy."""
        return self._policy_arn(self.boundary)

    @property
    def guard_arn(self) -> str:
        """The ARN of the Deny guard policy."""
        return self._policy_arn(self.guard)

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
            dropped |= {"image_owners": (), "image_tag": None}
        return replace(self, restrict=replace(self.restrict, **dropped))

    def _policy_arn(self, name: str) -> str:
        return f"arn:{self.partition}:iam::{self.account}:policy/{name}"


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
    yield from _addresses(located, site)
    yield from _images_twice(located, site)
    if site.restrict.guard_tag and site.restrict.guard_tag.key.lower() == "name":
        yield Problem(
            "the guard tag cannot be `Name`: every worker has a name of its own",
            located.place(("restrict", "guard_tag")),
            'choose another key, such as { ManagedBy = "cml-cloud-manager" }',
        )
    if site.user and site.restrict.mfa_to_terminate:
        yield Problem(
            "a user's access key never has MFA, so nothing could be terminated",
            located.name_place(("restrict", "mfa_to_terminate")),
            "use a `role`, or remove `mfa_to_terminate`",
        )
    yield from _refused_profiles(located, site)
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


def _images_twice(located: Located, site: Site) -> Iterator[Problem]:
    """Yield images listed for a second region: an image has another id in each."""
    first: dict[str, str] = {}
    for region, images in site.restrict.images.items():
        for index, image in enumerate(images):
            if first.setdefault(image, region) != region:
                yield Problem(
                    f"image `{image}` is listed for `{first[image]}` already, and an image has"
                    " another id in every region",
                    located.place(("restrict", "images", region, index)),
                    f"give the id it has in `{region}`",
                )


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


def _addresses(located: Located, site: Site) -> Iterator[Problem]:
    for index, text in enumerate(site.restrict.source_ips):
        try:
            ip_network(text, strict=False)
        except ValueError:
            place = located.place(("restrict", "source_ips", index))
            yield Problem(f"not an address or range: `{text}`", place)


def _regions(value: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    restrict = value.get("restrict", {})
    for index, region in enumerate(restrict.get("regions", ())):
        yield ("restrict", "regions", index), region
    for region in restrict.get("images", ()):
        yield ("restrict", "images", region), region
    for name, profile in value.get("workers", {}).items():
        if "region" in profile:
            yield ("workers", name, "region"), profile["region"]


def _in_partition(region: str, partition: str) -> bool:
    if partition in _REGION_PREFIX:
        return region.startswith(_REGION_PREFIX[partition])
    return not region.startswith(tuple(p for ps in _REGION_PREFIX.values() for p in ps))


def _site(value: Mapping[str, Any]) -> Site:
    account, principal = value["account"], value.get("principal", {})
    role = principal.get("role")
    eks = value.get("eks")
    return Site(
        account=account["id"],
        partition=account.get("partition", "aws"),
        role=role,
        user=None if role else principal.get("user", DEFAULT_USER),
        policy=principal.get("policy", DEFAULT_POLICY),
        boundary=principal.get("boundary", DEFAULT_BOUNDARY),
        guard=principal.get("guard", DEFAULT_GUARD),
        restrict=_restrictions(value.get("restrict", {})),
        grant=Grants(**value.get("grant", {})),
        eks=Eks(**eks) if eks else None,
        ecs_region=value.get("ecs", {}).get("region"),
        audit_names=MappingProxyType(value.get("audit", {})),
        workers=MappingProxyType(
            {name: _worker_profile(name, raw) for name, raw in value.get("workers", {}).items()}
        ),
    )


def _restrictions(raw: Mapping[str, Any]) -> Restrictions:
    lists = (
        "regions",
        "instance_types",
        "image_owners",
        "subnets",
        "security_groups",
        "source_ips",
    )
    flags = ("imdsv2", "on_demand_only", "encrypted_volumes", "mfa_to_terminate")
    images = {region: tuple(ids) for region, ids in raw.get("images", {}).items()}
    values: dict[str, Any] = {name: tuple(raw.get(name, ())) for name in lists}
    values |= {name: raw.get(name, False) for name in flags}
    return Restrictions(
        guard_tag=_tag(raw.get("guard_tag")),
        image_tag=_tag(raw.get("image_tag")),
        images=MappingProxyType(images),
        **values,
    )


def _worker_profile(name: str, raw: Mapping[str, Any]) -> WorkerProfile:
    def frozen(value: Any) -> Any:
        if isinstance(value, Mapping):
            return MappingProxyType(dict(value))
        return tuple(value) if isinstance(value, list) else value

    return WorkerProfile(name, **{key: frozen(value) for key, value in raw.items()})


def _tag(raw: Mapping[str, str] | None) -> Tag | None:
    return Tag(*next(iter(raw.items()))) if raw else None


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
