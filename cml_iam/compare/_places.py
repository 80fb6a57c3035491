"""Where requests can be made: actions, what they are about, regions and callers."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from cml_iam.authorization import Caller
from cml_iam.compare._clauses import Clause, Test
from cml_iam.compare._values import filled, substituted
from cml_iam.engine import Request
from cml_iam.expectations import UNLISTED_ACTIONS
from cml_iam.facts import (
    ANY,
    FIELDS,
    Action,
    ArnPattern,
    Keys,
    Target,
    arn_pattern,
    is_region,
    overlap,
    service,
)
from cml_iam.policy import pattern_matches

ACCOUNT: Final = "111122223333"
OTHER_ACCOUNT: Final = "999999999999"
REGIONS: Final = {
    "aws": ("us-east-1", "eu-central-1", "ap-southeast-2", "sa-east-1"),
    "aws-cn": ("cn-north-1", "cn-northwest-1"),
    "aws-us-gov": ("us-gov-west-1", "us-gov-east-1"),
}
KNOWN_REGIONS: Final = (
    *(region for regions in REGIONS.values() for region in regions),
    *("us-east-2", "us-west-1", "us-west-2", "ca-central-1", "eu-west-1", "eu-west-2"),
    *("eu-west-3", "eu-north-1", "eu-south-1", "ap-northeast-1", "ap-northeast-2"),
    *("ap-southeast-1", "ap-south-1", "me-central-1", "af-south-1", "il-central-1"),
)
ELSEWHERE: Final = "xx-nowhere-1"
"""A region that no policy lists, should one list all of the partition's."""

_IDS: Final = {
    "instance": "i-0a1b2c3d4e5f60001",
    "image": "ami-0f04e190000000002",
    "volume": "vol-0a1b2c3d4e5f60001",
    "network-interface": "eni-0a1b2c3d4e5f60001",
    "security-group": "sg-0a1b2c3d4e5f60001",
    "subnet": "subnet-0a1b2c3d4e5f60001",
    "snapshot": "snap-0a1b2c3d4e5f60001",
}
_WILD: Final = re.compile(r"[*?]")
_EVERY_KEY: Final = Keys(frozenset({"*"}))


@dataclass(frozen=True)
class Place:
    """Requests for one action on one resource: *base* are the keys each of them has.

    *alike* counts the actions that no statement tells from this one, itself included.
    """

    action: str
    target: Target
    resource: str
    principal: str | None
    base: Mapping[str, Any]
    alike: int = 1

    def request(self, context: Mapping[str, Any]) -> Request:
        """Return the request with *context* instead of what `base` says of the same keys."""
        return Request(self.action, self.resource, self.principal, context)


@dataclass(frozen=True)
class World:
    """What both sides' statements name together."""

    clauses: tuple[Clause, ...]
    _known: dict[Any, bool] = field(default_factory=dict, repr=False)
    _bases: dict[Any, Mapping[str, Any]] = field(default_factory=dict, repr=False)

    @cached_property
    def partition(self) -> str:
        """The partition that the ARNs name, or `aws`."""
        named = (p[1] for _, p in self.patterns if re.fullmatch(r"aws[a-z-]*", p[1]))
        return next(named, "aws")

    @cached_property
    def account(self) -> str:
        """The account that the ARNs name, or AWS's example account."""
        named = (p[4] for _, p in self.patterns if re.fullmatch(r"[0-9]{12}", p[4]))
        return next(named, ACCOUNT)

    @cached_property
    def patterns(self) -> tuple[tuple[str, ArnPattern], ...]:
        """Every element of Resource and NotResource, its variables filled in."""
        known = {"aws:username": "example"}
        texts = dict.fromkeys(
            text
            for clause in self.clauses
            for element in clause.resources()
            for text in substituted(element, known)
        )
        read = ((text, arn_pattern(text, variables=False)) for text in texts)
        return tuple((text, pattern) for text, pattern in read if pattern)

    @cached_property
    def regions(self) -> tuple[str, ...]:
        """Regions to try: all that conditions and ARNs name, and some they do not."""
        named = [
            region
            for clause in self.clauses
            for condition, _ in clause.conditions
            if is_region(condition.key)
            for value in condition.values
            for region in _regions_of(value)
        ]
        literal = [p[3] for _, p in self.patterns if p[3] and not _WILD.search(p[3])]
        usual = REGIONS.get(self.partition, REGIONS["aws"])
        return tuple(dict.fromkeys((*named, *literal, *usual, ELSEWHERE)))

    @cached_property
    def actions(self) -> dict[str, int]:
        """The actions to try, with how many others no statement tells from each.

        Every action a statement names, and of those a wildcard names one for each set of
        statements about it and each type of resource.
        """
        named = dict.fromkeys(self._exact(), 1)
        groups: dict[Any, list[str]] = defaultdict(list)
        for action in self._candidates():
            if action.full.lower() not in {each.lower() for each in named}:
                for target in action.targets:
                    groups[self._about(action.full), target.type].append(action.full)
        for found in groups.values():
            chosen = next((each for each in found if each in named), found[0])
            named[chosen] = max(named.get(chosen, 1), len(found))
        return named

    def _exact(self) -> list[str]:
        """Return the actions named in full; in the spelling of the service reference."""
        texts = [each for clause in self.clauses for each in clause.actions()]
        exact = [known_name(each) for each in texts if ":" in each and not _WILD.search(each)]
        return list(dict.fromkeys((*exact, *UNLISTED_ACTIONS)))

    def _candidates(self) -> Iterator[Action]:
        """Yield all actions of the services that an element with wildcards names."""
        texts = {each for clause in self.clauses for each in clause.actions()}
        prefixes = {each.partition(":")[0].lower() for each in texts if ":" in each}
        wild = any(_WILD.search(each) for each in texts)
        negated = any(clause.statement.not_action for clause in self.clauses)
        for prefix in sorted(prefixes) if wild or negated else ():
            owner = service(prefix)
            if owner:
                yield from owner.matching("*")
        for text in sorted(texts):
            prefix, _, name = text.partition(":")
            if name and _WILD.search(name) and not service(prefix):
                for made in dict.fromkeys(filled(name)):
                    yield Action(prefix, made or "x", frozenset(), (_any_target(),))

    def concerning(self, action: str) -> tuple[Clause, ...]:
        """Return the statements about *action*, whatever else they say."""
        about = self._about(action)
        return tuple(each for each, said in zip(self.clauses, about, strict=True) if said)

    def fits(self, test: Test, place: Place) -> bool:
        """Say whether *test*, which asks for nothing an axis holds, fits in *place*."""
        region = place.base["aws:RequestedRegion"]
        key = (id(test), place.resource, place.principal, region, "ec2:Region" in place.base)
        return self._remembered(key, test, place.request(place.base))

    def base(self, action: str, region: str, principal: str | None) -> Mapping[str, Any]:
        """Return the condition keys that every request for *action* has."""
        key = (action.lower().startswith("ec2:"), region, principal)
        if key not in self._bases:
            self._bases[key] = base_context(self, action, region, principal)
        return self._bases[key]

    def _about(self, action: str) -> tuple[bool, ...]:
        request = Request(action)
        return tuple(
            self._remembered((index, action), clause.about, request)
            for index, clause in enumerate(self.clauses)
        )

    def _remembered(self, key: Any, test: Test, request: Request) -> bool:
        if key not in self._known:
            self._known[key] = test.holds(request)
        return self._known[key]

    @cached_property
    def principals(self) -> tuple[str | None, ...]:
        """Callers to try: None, unless statements name principals."""
        if self.clauses[0].form == "attached":
            return (None,)
        named = [
            caller
            for clause in self.clauses
            for part in (clause.statement.principal, clause.statement.not_principal)
            if part is not None
            for kind, ids in part.ids
            for each in ids
            for caller in _callers(kind, each)
        ]
        others = (
            f"arn:{self.partition}:iam::{self.account}:user/other",
            f"arn:{self.partition}:iam::{OTHER_ACCOUNT}:user/other",
            "other.amazonaws.com",
        )
        return tuple(dict.fromkeys((*named, *others)))


def places(world: World, *, unusual: bool = False) -> Iterator[Place]:
    """Yield the places of *world*, one for each way that statements can fit action and resource.

    *unusual* are requests with condition keys or resources that the service reference does not
    know for the action.
    """
    for name, alike in world.actions.items():
        for target in (_any_target(),) if unusual else targets_of(name):
            yield from _places_on(world, name, target, alike)


def _places_on(world: World, name: str, target: Target, alike: int) -> Iterator[Place]:
    seen = set()
    clauses = world.concerning(name)
    for region in world.regions if clauses else world.regions[:1]:
        arns = arns_of(world, target, region)
        for principal in world.principals:
            base = world.base(name, region, principal)
            for arn in arns:
                place = Place(name, target, arn, principal, base, alike)
                known = _fits(world, clauses, place)
                if known not in seen:
                    seen.add(known)
                    yield place


def _fits(world: World, clauses: tuple[Clause, ...], place: Place) -> tuple[bool, ...]:
    """Say of each statement whether it fits in all that is the same throughout *place*."""
    return tuple(
        world.fits(test, place)
        for clause in clauses
        for test in (
            clause.reach,
            *(test for condition, test in clause.conditions if is_region(condition.key)),
        )
    )


def targets_of(name: str) -> tuple[Target, ...]:
    """Return what the action *name* is about; anything, where the reference does not know it."""
    prefix, _, rest = name.partition(":")
    owner = service(prefix)
    action = owner.action(rest) if owner else None
    return action.targets if action else (_any_target(),)


def known_name(text: str) -> str:
    """Return the action *text* in the spelling of the service reference."""
    prefix, _, rest = text.partition(":")
    owner = service(prefix)
    action = owner.action(rest) if owner else None
    return action.full if action else text


def arns_of(world: World, target: Target, region: str) -> list[str]:
    """Return resources of the type *target* in *region* that the patterns tell apart."""
    if not target.type:
        return ["*"]
    found: list[str] = []
    for wanted in target.arns or (ANY,):
        found += _variants(wanted, wanted, target, world, region)
        for _, pattern in world.patterns:
            if pattern != ANY and overlap(pattern, wanted):
                found += _variants(pattern, wanted, target, world, region)
    if not target.arns:
        found.append("*")
    here = (each for each in found if each == "*" or each.split(":", 4)[3] in ("", region))
    return list(dict.fromkeys(here))


def _variants(
    pattern: ArnPattern, wanted: ArnPattern, target: Target, world: World, region: str
) -> Iterator[str]:
    """Yield ARNs that *pattern* names, and the same in another account and partition."""
    defaults = ("arn", world.partition, "example", region, world.account)
    fields = [
        _field(mine, theirs, default)
        for mine, theirs, default in zip(pattern[:5], wanted[:5], defaults, strict=True)
    ]
    partition = "aws-cn" if world.partition == "aws" else "aws"
    for resource in _resources(pattern[FIELDS - 1], wanted[FIELDS - 1], target):
        yield ":".join((*fields, resource))
        if _WILD.search(wanted[4]):
            yield ":".join((*fields[:4], OTHER_ACCOUNT, resource))
        if _WILD.search(wanted[1]):
            yield ":".join((fields[0], partition, *fields[2:], resource))


def _field(mine: str, theirs: str, default: str) -> str:
    """Return a text for both patterns of one field."""
    for each in (mine, theirs):
        if not _WILD.search(each):
            return each
    for each in (mine, theirs):
        if not pattern_matches(each, default):
            return each.replace("*", "").replace("?", "x")
    return default


def _resources(mine: str, wanted: str, target: Target) -> Iterator[str]:
    name = _IDS.get(target.type, "example")
    for each in (mine, wanted):
        if not _WILD.search(each):
            yield each
            return
    chosen = mine if "/" in mine or ":" in mine or mine.strip("*") else wanted
    yield chosen.replace("?", "0").replace("*", name)
    if mine.count("*") > wanted.count("*") or not mine.endswith("/*"):
        yield chosen.replace("?", "0").replace("*", "")


def base_context(world: World, action: str, region: str, principal: str | None) -> dict[str, Any]:
    """Return the condition keys that every request for *action* has."""
    arn = principal if principal and principal.startswith("arn:") else None
    own = f"arn:{world.partition}:iam::{world.account}:user/example"
    context: dict[str, Any] = Caller(arn or own).context()
    context |= {"aws:CurrentTime": "2026-01-01T12:00:00Z", "aws:RequestedRegion": region}
    if action.lower().startswith("ec2:"):
        context["ec2:Region"] = region
    return context


def _any_target() -> Target:
    return Target("any", (), _EVERY_KEY, required=False)


def _regions_of(pattern: str) -> list[str]:
    if not _WILD.search(pattern):
        return [pattern]
    matching = [each for each in KNOWN_REGIONS if pattern_matches(pattern, each)]
    return matching or [_WILD.sub("1", pattern)]


def _callers(kind: str, text: str) -> Iterator[str]:
    """Yield callers that a principal's id names: itself, someone of the account, a session."""
    if kind != "AWS":
        yield text
    elif re.fullmatch(r"[0-9]{12}", text):
        yield f"arn:aws:iam::{text}:user/example"
    elif text.startswith("arn:"):
        prefix, _, name = text.rpartition("/")
        if text.endswith(":root"):
            yield text.removesuffix("root") + "user/example"
        yield text
        if ":role/" in text:
            account = prefix.split(":")[4]
            yield f"arn:aws:sts::{account}:assumed-role/{name}/session"
