"""What a restriction is: a row of data that documents, expectations and promises are read off.

A row says what it means once, as rules: of these actions on that type of resource, only what passes
a test is permitted. An Allow has the test among its conditions; a Deny, and the promise, are about
the calls that fail it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from cml_iam.catalogue import Permission, load_catalogue
from cml_iam.facts import TAGGING, Assumption, service
from cml_iam.policy import Conditions, PolicyDocument, Shape, merged
from cml_iam.restrict._options import Contradiction, Option, Restricted, Tag

RUN: Final = "ec2:RunInstances"

MAX_LISTED: Final = 4
"""Names that a title lists; of more it gives the number."""

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
"""The operator that holds where another does not; all of them hold where the key is missing,
unless the other does. Of Bool and Null the value is turned round too."""

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
"""What is unusual about a call that an expectation is of."""


@dataclass(frozen=True, slots=True)
class KeyTest:
    """That the condition *key* of a request has one of *values*, by *operator*.

    *denied_by* is the operator of a Deny where that is not the usual negation.
    """

    key: str
    values: Any
    operator: str = "StringEquals"
    denied_by: str = ""

    @property
    def holds(self) -> Conditions:
        """The condition that it holds."""
        return {self.operator: {self.key: self.values}}

    @property
    def fails(self) -> Conditions:
        """The condition that it does not hold."""
        turned = self.operator in ("Bool", "Null")
        values = _OPPOSITES[self.values] if turned else self.values
        return {_NEGATIONS[self.operator]: {self.key: values}}

    @property
    def denied(self) -> Conditions:
        """The condition of a Deny: that it does not hold."""
        return {self.denied_by: {self.key: self.values}} if self.denied_by else self.fails


@dataclass(frozen=True, slots=True)
class Rule:
    """Of *actions* on resources of *type*, only what passes one of *tests* is permitted.

    *sid* names the Deny of all else. *allow* names the Allow statement for the resources of *type*
    in a launch, where they need one of their own; *type* is empty where the rule is about all
    resources. *resources* are the Deny's, where they are not all of that type; *not_actions* are
    the actions that the rule leaves alone.
    """

    sid: str
    tests: tuple[KeyTest, ...]
    actions: str | Sequence[str] = RUN
    type: str = "instance"
    allow: str = ""
    resources: str | Sequence[str] = ""
    not_actions: Sequence[str] | None = None

    def fails(self, site: Restricted) -> Shape:
        """Return the calls that it forbids."""
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


@dataclass(frozen=True, slots=True)
class Only:
    """Of the resource *type* a launch may use those with *ids*; *shared* by any account."""

    type: str
    ids: tuple[str, ...]
    shared: bool = False

    def arns(self, site: Restricted, account: str = "", partition: str = "") -> tuple[str, ...]:
        """Return their ARNs: of *account* and *partition*, or the site's."""
        owner = "*" if self.shared else account or site.account
        where = f"arn:{partition or site.partition}:ec2:*:{owner}"
        return tuple(f"{where}:{self.type}/{each}" for each in self.ids)

    def fails(self, site: Restricted) -> Shape:
        """Return the launches that use another resource of the type."""
        others = (f"arn:*:ec2:*:*:{kind}/*" for kind in launched_types() if kind != self.type)
        return Shape((RUN,), not_resources=(*self.arns(site), *others))


@dataclass(frozen=True, slots=True)
class Case:
    """A call that shows the restriction: it must be refused, or allowed where *allowed* says so.

    A launch, of which *changes* differ from the usual one and the authorization on *type* decides;
    with other *actions*, a usual use of each. *context* are condition keys that differ. *words*
    follow on what is done: "launch …". *region* is the first that is launched in where it is empty.
    """

    words: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    type: str = "instance"
    situation: Situation = "other manner"
    name: str = ""
    actions: Sequence[str] = ()
    context: Mapping[str, str] = field(default_factory=dict)
    allowed: bool = False
    region: str = ""


@dataclass(frozen=True, slots=True)
class Promise:
    """Something that must hold of all requests, or of all sequences of them.

    *manner* says how it is asked: none of *shapes* is `never` allowed; the policies grant nothing
    but what *reference* does (`within`; *shapes* are what it does not); none of the resources of
    the one shape that do not carry *tag* meets its actions, in any number of steps (`taken over`);
    none of them loses it (`lost`).
    *closing* are conditions that close a statement by which it is broken. *limits* say what no
    policy can promise here, because no request tells.
    """

    id: str
    title: str
    shapes: tuple[Shape, ...]
    manner: Literal["never", "within", "taken over", "lost"] = "never"
    closing: Conditions = field(default_factory=dict)
    limits: tuple[Assumption, ...] = ()
    tag: Tag | None = None
    reference: PolicyDocument | None = None

    @property
    def covers(self) -> tuple[str, ...]:
        """The actions it is about; empty for every action.

        What other actions do is a matter of the promise `catalogue`: as long as that holds there
        are none, and this one is about everything.
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


@dataclass(frozen=True, slots=True)
class Restriction:
    """One restriction, by its *name* in the site file: what it means and what follows.

    *main* is one of the four that every site should have: what breaks it must work where it is
    absent. *splits* says that it is about one resource type of a launch, so that RunInstances needs
    a statement for each type. *resources* are the only ones of a type that a launch may use.

    *title* words the promise that no call breaks rules and resources, with {} for what is listed;
    *limits* are what no policy can promise of it; *promises* are those that need more words.

    *usual* says how a launch differs that meets the restriction, in a region; *variants* are
    further launches that must be allowed; *cases* show what is refused.
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
        """Say whether the site has it."""
        return self.name in site.restrict.active | site.grant.active

    def promised(self, site: Restricted) -> Iterator[Promise]:
        """Yield what *site*, which has the restriction, promises by it."""
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
    """Return all that the manager may do at *site*: the documented, and what is granted beyond."""
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
    """Return the ARN of every resource of *kind* in the account; images belong to none in ARNs."""
    account = "" if kind == "image" else site.account
    return f"arn:{partition}:ec2:*:{account}:{kind}/*"


def launched_types() -> tuple[str, ...]:
    """Return the resource types that AWS asks a launch about."""
    ec2 = service("ec2")
    action = ec2.action("RunInstances") if ec2 else None
    return tuple(each.type for each in action.targets if each.type) if action else ()


def listing(values: Sequence[str]) -> str:
    """Return *values* as words, or how many they are."""
    if len(values) > MAX_LISTED:
        return f"the {len(values)} that the site names"
    *most, last = values
    return f"{', '.join(most)} and {last}" if most else last


def names(one_or_more: str | Sequence[str]) -> tuple[str, ...]:
    """Return the names of a policy's element, which is one name or a list."""
    return (one_or_more,) if isinstance(one_or_more, str) else tuple(one_or_more)
