"""The permission catalogue: what CML Cloud Manager may do, from `policies/permissions.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from cml_iam.shipped import shipped_text

Use = Literal["created", "existing", "optional"]


@dataclass(frozen=True, slots=True)
class ResourceUse:
    """A resource type an action is used on: how, and by which keys it can be restricted."""

    type: str
    use: Use
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Permission:
    """One IAM action the manager needs, and for what.

    *methods* are the manager's methods that call it; *access* is IAM's access level; *dry_run*
    says whether EC2 can be asked for permission without doing anything; *resources* is empty
    where IAM takes only `Resource: "*"`; *any_region* marks what must work from every region.
    """

    action: str
    purpose: str
    methods: tuple[str, ...]
    access: str
    dry_run: bool
    region_keys: tuple[str, ...]
    resources: tuple[ResourceUse, ...]
    any_region: bool = False

    @property
    def service(self) -> str:
        """The service prefix: `ec2` of `ec2:RunInstances`."""
        return self.action.partition(":")[0]

    @property
    def name(self) -> str:
        """The action's name: `RunInstances` of `ec2:RunInstances`."""
        return self.action.partition(":")[2]


@dataclass(frozen=True, slots=True)
class Group:
    """Permissions that stand in one statement of the base policy and in one documented table."""

    sid: str
    title: str
    permissions: tuple[Permission, ...]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything the manager may do; *options* are what a site may grant beyond, by grant."""

    groups: tuple[Group, ...]
    options: tuple[tuple[str, Permission], ...] = ()

    def granted(self, grants: Iterable[str]) -> tuple[Permission, ...]:
        """Return the permissions beyond the documented ones that these *grants* stand for."""
        wanted = frozenset(grants)
        return tuple(permission for grant, permission in self.options if grant in wanted)

    @property
    def permissions(self) -> tuple[Permission, ...]:
        """All permissions, in order."""
        return tuple(each for group in self.groups for each in group.permissions)

    @property
    def actions(self) -> tuple[str, ...]:
        """All actions, in order."""
        return tuple(each.action for each in self.permissions)

    def permission(self, action: str) -> Permission:
        """Return the permission for *action*; raises KeyError for one that is not listed."""
        listed = (*self.permissions, *(each for _, each in self.options))
        return {each.action: each for each in listed}[action]


@cache
def load_catalogue() -> Catalogue:
    """Read the shipped catalogue."""
    raw = tomllib.loads(shipped_text("policies", "permissions.toml"))
    return Catalogue(
        groups=tuple(_group(each) for each in raw["group"]),
        options=tuple((each["grant"], _permission(each["permission"])) for each in raw["option"]),
    )


def permission_tables(catalogue: Catalogue) -> str:
    """Return the catalogue as the documentation's Markdown tables, one for each group."""
    return "\n\n".join(_table(group) for group in catalogue.groups) + "\n"


def _table(group: Group) -> str:
    rows = [
        f"| `{each.action}` | {each.purpose} | {', '.join(f'`{m}()`' for m in each.methods)} |"
        for each in group.permissions
    ]
    head = ["| Permission | Purpose | Used In |", "|------------|---------|---------|"]
    return "\n".join([f"### {group.title}", "", *head, *rows])


def _group(raw: dict[str, Any]) -> Group:
    permissions = tuple(_permission(each) for each in raw["permission"])
    return Group(raw["sid"], raw["title"], permissions)


def _permission(raw: dict[str, Any]) -> Permission:
    return Permission(
        action=raw["action"],
        purpose=raw["purpose"],
        methods=tuple(raw["methods"]),
        access=raw["access"],
        dry_run=raw["dry_run"],
        region_keys=tuple(raw["region_keys"]),
        resources=tuple(
            ResourceUse(each["type"], each["use"], tuple(each["keys"])) for each in raw["resources"]
        ),
        any_region=raw.get("any_region", False),
    )
