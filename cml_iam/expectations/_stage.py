"""What the expectations are made of: the resources of calls, and the cases of the restrictions.

Each resource (a worker, a foreign instance, another region, a launch) breaks exactly one
restriction of the site. Their ids are descriptive, because people see them as witnesses. The cases
of the four main restrictions apply to every site, the cases of other restrictions only if the site
has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

from cml_iam.catalogue import Permission, load_catalogue
from cml_iam.engine import Request
from cml_iam.engine import authorization as ask
from cml_iam.expectations._expectation import Expectation, expect
from cml_iam.facts import EXAMPLE_REGIONS, OTHER_ACCOUNT, service_principal
from cml_iam.restrict import (
    INSTANCE_TYPES,
    LAUNCH_RESTRICTIONS,
    RESTRICTED,
    RUN,
    Case,
    Restriction,
    Tag,
    splits_launch,
)
from cml_iam.restrict.calls import addresses
from cml_iam.restrict.grants import passed_role
from cml_iam.restrict.guard_tag import guard_tag
from cml_iam.restrict.images import launch_regions
from cml_iam.restrict.launch import launch_cases
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
        """The guard tag, or an example if the site has none."""
        return guard_tag(self.site)

    @property
    def regions(self) -> tuple[str, ...]:
        """The regions in which the manager works."""
        return self.site.restrict.regions or (self.site.home_region,)

    @property
    def launch_regions(self) -> tuple[str, ...]:
        """The regions for launches."""
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
        """Return a typical launch of the manager, with *changes* applied."""
        parts = dict(_LAUNCH)
        for row in self.rows:
            parts |= row.usual(self.site, region)
        parts |= changes or {}
        image = ask.Image(**parts.pop("image"))
        return ask.Launch(region=region, account=self.site.account, image=image, **parts)

    def launches(self, region: str) -> Iterator[ask.Launch]:
        """Yield launches that must be allowed: with a key pair, and with every listed resource."""
        yield self.launch(region, {"key_name": "cml-admin"})
        for row in sorted(self.rows, key=lambda row: row.main):
            for changes in row.variants(self.site, region):
                yield self.launch(region, changes)

    def use(self, permission: Permission, region: str) -> tuple[Request, ...]:
        """Return the authorizations for the manager's use of *permission* in *region*."""
        if permission.action == RUN:
            return ask.launch(self.caller, self.launch(region))
        return self.use_on(permission, self.worker(region))

    def use_on(self, permission: Permission, instance: ask.Instance) -> tuple[Request, ...]:
        """Return the authorizations for a use of *permission* on *instance*."""
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


_SPLIT = tuple(sorted(LAUNCH_RESTRICTIONS))


def derive_cases(stage: Stage) -> Iterator[Expectation]:
    """Yield the calls that each restriction must allow or refuse, and the launches."""
    for row in stage.rows:
        for case in row.cases(stage.site):
            yield from _expected(stage, case, (row.name,))
    for region in dict.fromkeys((*stage.launch_regions[:1], *stage.launch_regions[-1:])):
        for case in launch_cases(stage.site, region):
            if case.type == "role":
                # No restriction is needed to refuse this: iam:PassRole is not in the catalogue.
                yield _launch(stage, case, ())._replace(expected="refused")
            else:
                yield _launch(stage, case, _SPLIT)
    for region in stage.launch_regions[:1]:
        if splits_launch(stage.site):
            yield _launch_elsewhere(stage, region)
        yield from _passed_role(stage, region)


def _expected(stage: Stage, case: Case, violates: tuple[str, ...]) -> Iterator[Expectation]:
    if case.actions:
        for action in case.actions:
            yield _use(stage, case, action, () if case.allowed else violates)
    elif stage.launch_regions:
        yield _launch(stage, case, violates)


def _launch(stage: Stage, case: Case, violates: tuple[str, ...]) -> Expectation:
    """Return the launch of *case*, which must be refused by the authorization of its type."""
    region = case.region or stage.launch_regions[0]
    requests = ask.launch(stage.caller, stage.launch(region, case.changes))
    decisive = tuple(
        index
        for index, request in enumerate(requests)
        if request.action != "ec2:CreateTags" and f":{case.type}/" in request.resource
    )
    words = f"launch {case.words}"
    return expect(RUN, case.situation, _name(case), words, requests, violates, decisive)


def _use(stage: Stage, case: Case, action: str, violates: tuple[str, ...]) -> Expectation:
    """Return a typical use of *action*: its first authorization, with the context of *case*."""
    permission = load_catalogue().permission(action)
    request = stage.use(permission, stage.regions[0])[0]
    request = request._replace(context={**request.context, **case.context})
    situation = "as intended" if case.allowed else case.situation
    words = f"{permission.name} {case.words}"
    return expect(action, situation, _name(case), words, (request,), violates)


def _name(case: Case) -> str:
    return case.name or case.words.replace(" ", "-")


def _launch_elsewhere(stage: Stage, region: str) -> Expectation:
    """Return a launch with another account's resources, which only a split launch rules out.

    Otherwise, the policy names no account, and only the owner of the resources decides.
    """
    tags = stage.launch(region).tags["instance"]
    everything = dict.fromkeys(("instance", "volume", "network-interface"), tags)
    usual = stage.launch(region, {"key_name": "cml-admin", "tags": everything})
    requests = ask.launch(stage.caller, replace(usual, account=OTHER_ACCOUNT))
    return expect(
        RUN,
        "other resources",
        "other-account",
        "launch with another account's resources",
        requests,
        _SPLIT,
        tuple(n for n, each in enumerate(requests) if _pins(stage, each)),
    )


def _pins(stage: Stage, request: Request) -> bool:
    """Return whether the policy names the account for this authorization of a launch."""
    if f":{OTHER_ACCOUNT}:" not in request.resource:
        return False
    restrict = stage.site.restrict
    if request.action != RUN:
        # Without the guard tag, tags may be set on anything that may be launched.
        return restrict.guard_tag is not None
    # A listed subnet may be shared by the account that owns it.
    return not (restrict.subnets and ":subnet/" in request.resource)


def _passed_role(stage: Stage, region: str) -> Iterator[Expectation]:
    name, arn = stage.site.grant.pass_role, passed_role(stage.site)
    if not (name and arn):
        return
    requests = ask.launch(stage.caller, stage.launch(region, {"profile_role": arn}))
    passing = requests[-1]

    yield expect("iam:PassRole", "as intended", name, f"launch with the role {name}", requests)
    # IAM is a global service: its documentation does not say which region it assumes for the call.
    anywhere = _with(passing, "aws:RequestedRegion", "aws-global")
    words = f"pass the role {name}, whichever region IAM assumes for it"
    yield expect("iam:PassRole", "as intended", f"{name}-anywhere", words, (anywhere,))
    service = service_principal("lambda", stage.site.partition)
    foreign = arn.replace(stage.site.account, OTHER_ACCOUNT)
    for manner, words, request in (
        (
            "lambda",
            f"pass the role {name} to another service",
            _with(passing, "iam:PassedToService", service),
        ),
        (
            "other-account",
            "pass a role of another account",
            passing._replace(resource=foreign),
        ),
    ):
        made = expect("iam:PassRole", "other manner", manner, words, (request,))
        yield made._replace(expected="refused")


def _with(request: Request, key: str, value: str) -> Request:
    return request._replace(context={**request.context, key: value})
