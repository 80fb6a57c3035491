"""What CML Cloud Manager may do, now and in earlier versions: `policies/permissions.toml`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from cml_iam.errors import InputError
from cml_iam.files import shipped_text
from cml_iam.located import did_you_mean

Use = Literal["created", "existing", "optional"]


class ResourceUse(NamedTuple):
    """A resource type that an action uses: how, and which condition keys restrict it."""

    type: str
    use: Use
    keys: tuple[str, ...]


class Permission(NamedTuple):
    """An IAM action that the manager needs, and why.

    *methods* are the manager's methods that call it; *access* is IAM's access level; *dry_run* says
    whether EC2's DryRun can test the permission; *resources* is empty where IAM accepts only
    `Resource: "*"`; *any_region* marks actions that must work in every region; *since* is the first
    version of the policy that has the permission.
    """

    action: str
    purpose: str
    methods: tuple[str, ...]
    access: str
    dry_run: bool
    region_keys: tuple[str, ...]
    resources: tuple[ResourceUse, ...]
    any_region: bool = False
    since: str = "1.0"

    @property
    def service(self) -> str:
        """The service prefix: `ec2` of `ec2:RunInstances`."""
        return self.action.partition(":")[0]

    @property
    def name(self) -> str:
        """The action's name: `RunInstances` of `ec2:RunInstances`."""
        return self.action.partition(":")[2]

    @property
    def operation(self) -> str:
        """The method of the service's client: `run_instances` of `ec2:RunInstances`."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", self.name).lower()

    @property
    def on_worker(self) -> bool:
        """Whether the call names an existing instance."""
        return any(
            resource.type == "instance" and resource.use == "existing"
            for resource in self.resources
        )


class Group(NamedTuple):
    """Permissions that share a statement of the base policy and a table of the documentation."""

    sid: str
    title: str
    permissions: tuple[Permission, ...]


class Catalogue(NamedTuple):
    """Everything the manager may do; *options* has further permissions by name in `[grant]`."""

    groups: tuple[Group, ...]
    options: tuple[tuple[str, Permission], ...] = ()

    def granted(self, grants: Iterable[str]) -> tuple[Permission, ...]:
        """Return the permissions that *grants* add to the documented ones."""
        names = frozenset(grants)
        return tuple(permission for grant, permission in self.options if grant in names)

    @property
    def permissions(self) -> tuple[Permission, ...]:
        """All permissions, in order."""
        return tuple(permission for group in self.groups for permission in group.permissions)

    @property
    def actions(self) -> tuple[str, ...]:
        """All actions, in order."""
        return tuple(permission.action for permission in self.permissions)

    @property
    def changing(self) -> tuple[Permission, ...]:
        """The permissions to launch, start, stop and terminate, which restrictions apply to."""
        return tuple(permission for permission in self.permissions if permission.access == "Write")

    def permission(self, action: str) -> Permission:
        """Return the permission for *action*; raises KeyError if it is not listed."""
        return self._by_action[action]

    def needs_worker(self, action: str) -> bool:
        """Return whether *action* acts on an existing instance, such as a worker."""
        permission = self._by_action.get(action)
        return permission is not None and permission.on_worker

    @property
    def _by_action(self) -> dict[str, Permission]:
        listed = (*self.permissions, *(permission for _, permission in self.options))
        return {permission.action: permission for permission in listed}


@cache
def _shipped() -> dict[str, Any]:
    return tomllib.loads(shipped_text("policies", "permissions.toml"))


@cache
def load_catalogue() -> Catalogue:
    """Return the catalogue that cml-iam ships."""
    raw = _shipped()
    return Catalogue(
        groups=tuple(
            Group(group["sid"], group["title"], tuple(map(_permission, group["permission"])))
            for group in raw["group"]
        ),
        options=tuple(
            (option["grant"], _permission(option["permission"])) for option in raw["option"]
        ),
    )


def granting(action: str) -> str:
    """Return what grants *action*: a statement of the base policy or an option of the site."""
    catalogue = load_catalogue()
    grants = {
        permission.action: f"the policy of a site with `[grant] {option}`"
        for option, permission in catalogue.options
    } | {
        permission.action: f"statement `{group.sid}` of the base policy"
        for group in catalogue.groups
        for permission in group.permissions
    }
    if action not in grants:
        return f"grant `{action}`"
    then = "then look for conditions, a boundary and explicit Deny"
    return f"grant `{action}`: {grants[action]} does; {then}"


def permission_tables(catalogue: Catalogue) -> str:
    """Return the catalogue as the documentation's Markdown tables, one per group."""
    return "\n\n".join(map(_table, catalogue.groups)) + "\n"


def _table(group: Group) -> str:
    rows = [
        f"| `{permission.action}` | {permission.purpose} "
        f"| {', '.join(f'`{method}()`' for method in permission.methods)} |"
        for permission in group.permissions
    ]
    head = ["| Permission | Purpose | Used In |", "|------------|---------|---------|"]
    return "\n".join([f"### {group.title}", "", *head, *rows])


def _permission(raw: dict[str, Any]) -> Permission:
    resources = (
        ResourceUse(resource["type"], resource["use"], tuple(resource["keys"]))
        for resource in raw["resources"]
    )
    lists = {name: tuple(raw[name]) for name in ("methods", "region_keys")}
    return Permission(**{**raw, **lists, "resources": tuple(resources)})


class PolicyVersion(NamedTuple):
    """A version: what it always grants, and what a site may grant, by name in `[grant]`."""

    version: str
    date: date
    changes: str
    actions: tuple[str, ...]
    optional: Mapping[str, str] = MappingProxyType({})

    def as_json(self) -> dict[str, Any]:
        """Return the version as JSON values."""
        return {**self._asdict(), "date": str(self.date)}


class Upgrade(NamedTuple):
    """The changes from version *start* to version *end*.

    *grant* has the permissions that only *end* needs, *revoke* those that only *start* needs.
    *optional* has what a site may grant in *end* but not in *start*, by name in `[grant]`.
    """

    start: PolicyVersion
    end: PolicyVersion
    grant: tuple[str, ...]
    revoke: tuple[str, ...]
    optional: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        """Return the changes as JSON values."""
        return {
            "from": self.start.version,
            "to": self.end.version,
            "grant": list(self.grant),
            "revoke": list(self.revoke),
            "optional": dict(self.optional),
        }


@cache
def load_history() -> tuple[PolicyVersion, ...]:
    """Return the history that cml-iam ships, oldest version first; the last version is current."""
    catalogue, shipped = load_catalogue(), _shipped()
    history = []
    for position, version in enumerate(shipped["version"], start=1):
        reached = {earlier["version"] for earlier in shipped["version"][:position]}
        actions = [row.action for row in catalogue.permissions if row.since in reached]
        actions += [
            row["action"]
            for row in shipped.get("withdrawn", ())
            if row["since"] in reached and row["until"] not in reached
        ]
        optional = {grant: row.action for grant, row in catalogue.options if row.since in reached}
        history.append(PolicyVersion(**version, actions=tuple(actions), optional=optional))
    return tuple(history)


def upgrade(start: str) -> Upgrade:
    """Return what changes from version *start* to the current one; raises InputError for others."""
    history = load_history()
    versions = {version.version: version for version in history}
    if start not in versions:
        hint = did_you_mean(start, [*versions]) or f"the history has {', '.join(versions)}"
        raise InputError(f"no such version of the policy: `{start}`", remedy=hint)
    before, after = versions[start], history[-1]
    former = (*before.actions, *before.optional.values())
    needed = (*after.actions, *after.optional.values())
    return Upgrade(
        start=before,
        end=after,
        grant=tuple(action for action in after.actions if action not in before.actions),
        revoke=tuple(action for action in former if action not in needed),
        optional={name: action for name, action in after.optional.items() if action not in former},
    )
