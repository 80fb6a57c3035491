"""A restriction: a row of data from which documents, expectations and promises are derived.

A row states its meaning once, as rules: of these actions on that type of resource, only calls that
pass a test are permitted. An Allow has the test among its conditions; a Deny, and the promise, are
about the calls that fail it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

from cml_iam.catalogue import Permission, load_catalogue
from cml_iam.facts import TAGGING, Assumption, service
from cml_iam.policy import Conditions, PolicyDocument, Shape, merged
from cml_iam.restrict._options import Contradiction, Option, Restricted
from cml_iam.tag import Tag

RUN: Final = "ec2:RunInstances"

MAX_LISTED: Final = 4
"""Maximum number of names in a title; of more names it gives the number."""

_NEGATIONS: Final = {
    "ArnLike": "ArnNotLike",
    "Bool": "BoolIfExists",
    "ForAllValues:StringNotEqualsIgnoreCase": "ForAnyValue:StringEqualsIgnoreCase",
    "ForAnyValue:StringEquals": "ForAllValues:StringNotEquals",
    "IpAddress": "NotIpAddress",
    "Null": "Null",
    "StringEquals": "StringNotEquals",
    "StringLike": "StringNotLike",
}
"""The negation of each operator. It holds if the key is missing, unless the operator itself does.
For Bool and Null the value is negated, too."""

_OPPOSITES: Final = {"true": "false", "false": "true"}

Situation = Literal[
    "as intended",
    "other region",
    "foreign instance",
    "untagged instance",
    "guard tag",
    "other type",
    "other image",
    "other resources",
    "other manner",
    "unlisted action",
]
"""What is unusual about the call of an expectation."""


class KeyTest(NamedTuple):
    """That the condition *key* of a request has one of *values*, by *operator*.

    *denied_by* is the operator of a Deny, if it is not the usual negation.
    """

    key: str
    values: Any
    operator: str = "StringEquals"
    denied_by: str = ""

    @property
    def holds(self) -> Conditions:
        """The condition that the test passes."""
        return {self.operator: {self.key: self.values}}

    @property
    def fails(self) -> Conditions:
        """The condition that the test fails."""
        turned = self.operator in ("Bool", "Null")
        values = _OPPOSITES[self.values] if turned else self.values
        return {_NEGATIONS[self.operator]: {self.key: values}}

    @property
    def denied(self) -> Conditions:
        """The condition of a Deny: that the test fails."""
        return {self.denied_by: {self.key: self.values}} if self.denied_by else self.fails


class Rule(NamedTuple):
    """Of *actions* on resources of *type*, only calls that pass one of *tests* are permitted.

    *sid* names the Deny of all others. *allow* names the Allow statement for the resources of
    *type* in a launch, if they need one of their own; *type* is empty if the rule is about all
    resources. *resources* are the Deny's, if they are not all of that type; *not_actions* are the
    actions that the rule ignores.
    """

    sid: str
    tests: tuple[KeyTest, ...]
    actions: str | Sequence[str] = RUN
    type: str = "instance"
    allow: str = ""
    resources: str | Sequence[str] = ""
    not_actions: Sequence[str] | None = None

    def fails(self, site: Restricted) -> Shape:
        """Return the calls that the rule forbids."""
        return Shape(
            names(self.actions),
            names(self._resources(site)),
            merged(*(test.fails for test in self.tests)),
            self.not_actions,
        )

    def deny(self, site: Restricted, scope: Mapping[str, Any]) -> dict[str, Any]:
        """Return the Deny statement; *scope* is a condition that limits its callers."""
        actions = {"NotAction": self.not_actions} if self.not_actions else {"Action": self.actions}
        return {
            "Sid": self.sid,
            "Effect": "Deny",
            **actions,
            "Resource": self._resources(site),
            "Condition": {**scope, **merged(*(test.denied for test in self.tests))},
        }

    def _resources(self, site: Restricted) -> str | Sequence[str]:
        return self.resources or (every(site, self.type) if self.type else "*")


class Only(NamedTuple):
    """Of the resource *type*, a launch may use only those with *ids*; *shared*: of any account."""

    type: str
    ids: tuple[str, ...]
    shared: bool = False

    def arns(self, site: Restricted, account: str = "", partition: str = "") -> tuple[str, ...]:
        """Return their ARNs in *account* and *partition*, by default the site's."""
        owner = "*" if self.shared else account or site.account
        where = f"arn:{partition or site.partition}:ec2:*:{owner}"
        return tuple(f"{where}:{self.type}/{each}" for each in self.ids)

    def fails(self, site: Restricted) -> Shape:
        """Return the launches that use a different resource of the type."""
        others = (f"arn:*:ec2:*:*:{kind}/*" for kind in launched_types() if kind != self.type)
        return Shape((RUN,), not_resources=(*self.arns(site), *others))


class Case(NamedTuple):
    """A call that demonstrates the restriction: it must be refused, or allowed if *allowed*.

    It is a launch that differs from the usual one by *changes* and is decided by the authorization
    on *type*; with other *actions*, a typical use of each. *context* are condition keys that
    differ. *words* complete the description: "launch …". An empty *region* means the first launch
    region.
    """

    words: str
    changes: Mapping[str, Any] = MappingProxyType({})
    type: str = "instance"
    situation: Situation = "other manner"
    name: str = ""
    actions: Sequence[str] = ()
    context: Mapping[str, str] = MappingProxyType({})
    allowed: bool = False
    region: str = ""


class Promise(NamedTuple):
    """Something that must hold for all requests, or for all sequences of requests.

    *manner* says how it is asked: none of *shapes* is `never` allowed; the policies grant nothing
    but what *reference* does (`within`; *shapes* are what it does not); none of the resources of
    the one shape that do not carry *tag* can be reached by its actions, in any number of steps
    (`taken over`); none of them loses it (`lost`).

    *closing* are conditions that fix a statement that breaks it. *limits* say what no policy can
    promise here, because no request reveals it.
    """

    id: str
    title: str
    shapes: tuple[Shape, ...]
    manner: Literal["never", "within", "taken over", "lost"] = "never"
    closing: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
    limits: tuple[Assumption, ...] = ()
    tag: Tag | None = None
    reference: PolicyDocument | None = None

    @property
    def covers(self) -> tuple[str, ...]:
        """The actions it is about; empty for every action.

        The promise `catalogue` covers all other actions: as long as it holds, there are none, and
        this promise is about everything.
        """
        if self.reference is not None or any(s.not_actions is not None for s in self.shapes):
            return ()
        named = [action for shape in self.shapes for action in shape.actions]
        named += TAGGING if self.manner == "taken over" else ()
        return () if "*" in named else tuple(dict.fromkeys(named))


def _none(*_: Any) -> tuple[Any, ...]:
    return ()


def _unchanged(*_: Any) -> Mapping[str, Any]:
    return {}


class Restriction(NamedTuple):
    """One restriction, by its *name* in the site file: its meaning and consequences.

    *main* marks the four that every site should have: without the restriction, calls that violate
    it must work. *splits*: it is about one resource type of a launch, so that RunInstances needs a
    statement for each type. *resources* are the only ones of a type that a launch may use. *title*
    is the promise that no call breaks rules and resources, with {} for what is listed; *limits* are
    what no policy can promise; *promises* are further ones. *usual* says how a permitted launch
    differs in a region; *variants* are further launches that must be allowed; *cases* show what is
    refused.
    """

    name: str
    options: tuple[Option, ...] = ()
    main: bool = False
    splits: bool = True
    title: str = ""
    rules: Callable[[Restricted], Iterable[Rule]] = _none
    resources: Callable[[Restricted], Iterable[Only]] = _none
    limits: tuple[Assumption, ...] = ()
    promises: Callable[[Restricted], Iterable[Promise]] = _none
    usual: Callable[[Restricted, str], Mapping[str, Any]] = _unchanged
    variants: Callable[[Restricted, str], Iterable[Mapping[str, Any]]] = _none
    cases: Callable[[Restricted], Iterable[Case]] = _none
    contradictions: Callable[[Restricted], Iterable[Contradiction]] = _none

    def active(self, site: Restricted) -> bool:
        """Return whether the site has the restriction."""
        return self.name in site.restrict.active | site.grant.active

    def promised(self, site: Restricted) -> Iterator[Promise]:
        """Yield the promises of *site*, which has the restriction."""
        rules, resources = tuple(self.rules(site)), tuple(self.resources(site))
        meant: tuple[Rule | Only, ...] = (*resources, *rules)
        if self.title:
            value = getattr(site.restrict, self.name)
            # A condition does not close a statement that names resources of another type.
            tests = () if resources else (rule.tests[0].holds for rule in rules)
            yield Promise(
                self.name.replace("_", "-"),
                self.title.format(listing(value)) if "{}" in self.title else self.title,
                tuple(each.fails(site) for each in meant),
                closing=merged(*tests),
                limits=self.limits,
            )
        yield from self.promises(site)


def permissions(site: Restricted) -> tuple[Permission, ...]:
    """Return all permissions of the manager at *site*: the documented ones and its grants."""
    catalogue = load_catalogue()
    return (*catalogue.permissions, *catalogue.granted(site.grant.active))


def operations(site: Restricted) -> tuple[str, ...]:
    """Return the actions that change an instance: start, stop, terminate."""
    return tuple(
        each.action
        for each in permissions(site)
        if each.access == "Write" and each.service == "ec2" and each.action != RUN
    )


def every(site: Restricted, kind: str) -> str:
    """Return the ARN of every EC2 resource of *kind*, whoever owns it."""
    return f"arn:{site.partition}:ec2:*:*:{kind}/*"


def own(site: Restricted, kind: str, partition: str = "*") -> str:
    """Return the ARN of every resource of *kind* in the account; ARNs of images have no account."""
    account = "" if kind == "image" else site.account
    return f"arn:{partition}:ec2:*:{account}:{kind}/*"


def launched_types() -> tuple[str, ...]:
    """Return the resource types that AWS authorizes for a launch."""
    ec2 = service("ec2")
    action = ec2.action("RunInstances") if ec2 else None
    return tuple(each.type for each in action.targets if each.type) if action else ()


def listing(values: Sequence[str]) -> str:
    """Return *values* as text, or their number."""
    if len(values) > MAX_LISTED:
        return f"the {len(values)} that the site names"
    *most, last = values
    return f"{', '.join(most)} and {last}" if most else last


def names(one_or_more: str | Sequence[str]) -> tuple[str, ...]:
    """Return the names in a policy's element, which is one name or a list."""
    return (one_or_more,) if isinstance(one_or_more, str) else tuple(one_or_more)
