"""An expectation, the resources of its calls, and the cases of the restrictions.

Each resource (a worker, a foreign instance, another region, a launch) breaks exactly one
restriction of the site. Their ids are descriptive, because people see them as witnesses. The cases
of the four main restrictions apply to every site, the cases of other restrictions only if the site
has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, Literal, NamedTuple

from cml_iam.catalogue import Permission, load_catalogue
from cml_iam.engine import Request
from cml_iam.engine import authorization as ask
from cml_iam.facts import EXAMPLE_REGIONS, OTHER_ACCOUNT, service_principal
from cml_iam.restrict import (
    LAUNCH_RESTRICTIONS,
    RESTRICTED,
    RUN,
    Case,
    Restriction,
    Situation,
    Tag,
    splits_launch,
)
from cml_iam.restrict.calls import addresses, passed_role
from cml_iam.restrict.guard_tag import guard_tag
from cml_iam.restrict.images import launch_regions
from cml_iam.restrict.launch import INSTANCE_TYPES, launch_cases
from cml_iam.site import Site

_LAUNCH: Final[Mapping[str, Any]] = {
    "subnet": "subnet-0a1b2c3d4e5f60001",
    "security_groups": ("sg-0a1b2c3d4e5f60001", "sg-0a1b2c3d4e5f60002"),
}
"""A launch that no restriction limits."""


Answer = Literal["allowed", "refused"]

AS_SENT: Final = "-as-sent"
"""The suffix of the id of a launch with the tags that CML Cloud Manager sends."""


class Expectation(NamedTuple):
    """A call, its authorizations, and the required answer.

    *violates* names the restrictions of the site that refuse the call; a call that violates none
    must be allowed. *decisive* are the positions in *requests* of the authorizations that the
    restriction itself must refuse; a sound policy refuses each of these.
    """

    id: str
    permission: str
    situation: Situation
    description: str
    requests: tuple[Request, ...]
    expected: Answer
    violates: frozenset[str] = frozenset()
    decisive: tuple[int, ...] = ()

    @property
    def as_sent(self) -> bool:
        """Whether this is the launch with the tags that CML Cloud Manager sends."""
        return self.id.endswith(AS_SENT)


def expect(
    action: str,
    situation: Situation,
    name: str,
    description: str,
    requests: tuple[Request, ...],
    violates: tuple[str, ...] = (),
    decisive: tuple[int, ...] = (0,),
    *,
    expected: Answer = "allowed",
) -> Expectation:
    """Return an expectation: allowed, unless the site's restrictions refuse it."""
    return Expectation(
        id=f"{action.partition(':')[2]}/{situation.replace(' ', '-')}/{name}",
        permission=action,
        situation=situation,
        description=description,
        requests=requests,
        expected=expected,
        violates=frozenset(violates),
        decisive=decisive,
    )


class Stage(NamedTuple):
    """The resources with which the expectations of one site are built."""

    site: Site
    caller: ask.Caller
    rows: tuple[Restriction, ...]

    @classmethod
    def of(cls, site: Site) -> Stage:
        """Return the stage of *site* with its principal as caller; for a role, a session of it."""
        session = f"sts::{site.account}:assumed-role/{site.role}/cml-cloud-manager"
        arn = f"arn:{site.partition}:{session}" if site.role else site.principal_arn
        mfa = site.restrict.mfa_to_terminate or None
        address = next(iter(addresses(site)), "203.0.113.10")
        # What breaks a main restriction must be allowed where the site does not have it.
        rows = tuple(row for row in RESTRICTED if row.main or row.active(site))
        return cls(site, ask.Caller(arn, source_ip=address, mfa=mfa), rows)

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
        return launch_regions(self.site)

    @property
    def other_regions(self) -> tuple[str, ...]:
        """Regions of the partition in which the manager does not work."""
        examples = EXAMPLE_REGIONS[self.site.partition]
        return tuple(region for region in examples if region not in self.site.restrict.regions)[:1]

    def worker(self, region: str) -> ask.Instance:
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
            return ask.use(self.caller, permission.action, instance, keys)
        return ask.use(self.caller, permission.action, instance)

    def _instance(self, name: str, region: str, tags: dict[str, str]) -> ask.Instance:
        kind = INSTANCE_TYPES.usual(self.site, region)["instance_type"]
        return ask.Instance(name, region, self.site.account, kind, tags)


_SPLIT = tuple(sorted(LAUNCH_RESTRICTIONS))


def derive_cases(stage: Stage) -> Iterator[Expectation]:
    """Yield the calls that each restriction must allow or refuse, and the launches."""
    for row in stage.rows:
        for case in row.cases(stage.site):
            for action in case.actions:
                yield _use(stage, case, action, () if case.allowed else (row.name,))
            if not case.actions and stage.launch_regions:
                yield _launch(stage, case, (row.name,))
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


def _launch(stage: Stage, case: Case, violates: tuple[str, ...]) -> Expectation:
    """Return the launch of *case*, which the authorization of its type must refuse."""
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
    restrict, tags = stage.site.restrict, stage.launch(region).tags["instance"]
    everything = dict.fromkeys(("instance", "volume", "network-interface"), tags)
    usual = stage.launch(region, {"key_name": "cml-admin", "tags": everything})
    requests = ask.launch(stage.caller, replace(usual, account=OTHER_ACCOUNT))

    def names_account(request: Request) -> bool:
        """Return whether the policy names the account for this authorization."""
        if f":{OTHER_ACCOUNT}:" not in request.resource:
            return False
        if request.action != RUN:
            # Without the guard tag, tags may be set on anything that may be launched.
            return restrict.guard_tag is not None
        # A listed subnet may be shared by the account that owns it.
        return not (restrict.subnets and ":subnet/" in request.resource)

    return expect(
        RUN,
        "other resources",
        "other-account",
        "launch with another account's resources",
        requests,
        _SPLIT,
        tuple(index for index, request in enumerate(requests) if names_account(request)),
    )


def _passed_role(stage: Stage, region: str) -> Iterator[Expectation]:
    name, arn = stage.site.grant.pass_role, passed_role(stage.site)
    if not (name and arn):
        return
    requests = ask.launch(stage.caller, stage.launch(region, {"profile_role": arn}))
    passing = requests[-1]

    def passed(key: str, value: str) -> tuple[Request]:
        return (passing._replace(context={**passing.context, key: value}),)

    yield expect("iam:PassRole", "as intended", name, f"launch with the role {name}", requests)
    # IAM is a global service: its documentation does not say which region it assumes for the call.
    words = f"pass the role {name}, whichever region IAM assumes for it"
    anywhere = passed("aws:RequestedRegion", "aws-global")
    yield expect("iam:PassRole", "as intended", f"{name}-anywhere", words, anywhere)
    to_lambda = passed("iam:PassedToService", service_principal("lambda", stage.site.partition))
    foreign = passing._replace(resource=arn.replace(stage.site.account, OTHER_ACCOUNT))
    for manner, words, refused in (
        ("lambda", f"pass the role {name} to another service", to_lambda),
        ("other-account", "pass a role of another account", (foreign,)),
    ):
        yield expect("iam:PassRole", "other manner", manner, words, refused, expected="refused")
