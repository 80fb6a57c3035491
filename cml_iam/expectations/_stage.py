"""The resources of the expectations: a worker, a foreign instance, another region, a launch.

Each one breaks exactly one restriction of the site. Their ids are descriptive, because people see
them as witnesses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from cml_iam import authorization as ask
from cml_iam.catalogue import Permission
from cml_iam.engine import Request
from cml_iam.facts import EXAMPLE_REGIONS
from cml_iam.restrict import INSTANCE_TYPES, RESTRICTED, RUN, Restriction, Tag
from cml_iam.restrict.guard_tag import guard_tag
from cml_iam.restrict.images import launch_regions
from cml_iam.restrict.source_ips import addresses
from cml_iam.site import Site

_LAUNCH: Final[Mapping[str, Any]] = {
    "subnet": "subnet-0a1b2c3d4e5f60001",
    "security_groups": ("sg-0a1b2c3d4e5f60001", "sg-0a1b2c3d4e5f60002"),
}
"""A launch that no restriction limits."""


class Stage(NamedTuple):
    """The resources with which the expectations of one site are built."""

    site: Site
    caller: ask.Caller
    rows: tuple[Restriction, ...]

    @classmethod
    def of(cls, site: Site) -> Stage:
        """Return the stage of *site* with its principal as caller; for a role, a session of it."""
        mfa = site.restrict.mfa_to_terminate or None
        address = next(iter(addresses(site)), "203.0.113.10")
        # What breaks a main restriction must be allowed where the site does not have it.
        rows = tuple(row for row in RESTRICTED if row.main or row.active(site))
        return cls(site, ask.Caller(_session_arn(site), source_ip=address, mfa=mfa), rows)

    @property
    def tag(self) -> Tag:
        """The guard tag, or a stand-in if the site has none."""
        return guard_tag(self.site)

    @property
    def regions(self) -> tuple[str, ...]:
        """The regions the manager works in."""
        return self.site.restrict.regions or (self.site.home_region,)

    @property
    def launch_regions(self) -> tuple[str, ...]:
        """The regions to launch in."""
        return launch_regions(self.site)

    @property
    def other_regions(self) -> tuple[str, ...]:
        """Regions of the partition in which the manager does not work."""
        known = EXAMPLE_REGIONS[self.site.partition]
        return tuple(each for each in known if each not in self.site.restrict.regions)[:1]

    def worker(self, region: str) -> ask.Instance:
        """Return a running worker in *region*."""
        return self._instance("i-0a1b2c3d4e5f60001", region, {self.tag.key: self.tag.value})

    def foreign(self, region: str) -> ask.Instance:
        """Return another team's instance: the guard tag's key with another value."""
        return self._instance("i-0f04e190000000002", region, {self.tag.key: "another-team"})

    def untagged(self, region: str) -> ask.Instance:
        """Return an instance without the guard tag."""
        return self._instance("i-0bad7a90000000003", region, {"Name": "database"})

    def launch(self, region: str, changes: Mapping[str, Any] | None = None) -> ask.Launch:
        """Return a launch as the manager makes it, with *changes* applied."""
        parts = dict(_LAUNCH)
        for row in self.rows:
            parts |= row.usual(self.site, region)
        parts |= changes or {}
        image = ask.Image(**parts.pop("image"))
        return ask.Launch(region=region, account=self.site.account, image=image, **parts)

    def launches(self, region: str) -> Iterator[ask.Launch]:
        """Yield launches that must be allowed: with a key pair, and with all the site lists."""
        yield self.launch(region, {"key_name": "cml-admin"})
        for row in sorted(self.rows, key=lambda row: row.main):
            for changes in row.variants(self.site, region):
                yield self.launch(region, changes)

    def use(self, permission: Permission, region: str) -> tuple[Request, ...]:
        """Return the authorizations of the manager's use of *permission* in *region*."""
        if permission.action == RUN:
            return ask.launch(self.caller, self.launch(region))
        return self.use_on(permission, self.worker(region))

    def use_on(self, permission: Permission, instance: ask.Instance) -> tuple[Request, ...]:
        """Return the authorizations of a use of *permission* on *instance*."""
        if not permission.resources:
            return ask.describe(self.caller, permission.action, instance.region)
        if permission.access == "Tagging":
            keys = {"Owner": "network-lab"} if permission.name == "CreateTags" else ("Owner",)
            return ask.retag(self.caller, permission.action, instance, keys)
        return ask.operate(self.caller, permission.action, instance)

    def _instance(self, name: str, region: str, tags: dict[str, str]) -> ask.Instance:
        kind = INSTANCE_TYPES.usual(self.site, region)["instance_type"]
        return ask.Instance(name, region, self.site.account, kind, tags)


def _session_arn(site: Site) -> str:
    if not site.role:
        return site.principal_arn
    return f"arn:{site.partition}:sts::{site.account}:assumed-role/{site.role}/cml-cloud-manager"
