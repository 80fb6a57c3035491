"""A restriction: a row of data from which documents, expectations and promises are derived.

A row states its meaning once, as rules: only calls that pass a test are permitted for certain
actions on a type of resource. An Allow has the test among its conditions; a Deny and the promise
are about the calls that fail it.
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
"""The maximum number of names in a title; a longer list is replaced by its number."""

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
"""The negation of each operator. It holds if the key is absent, unless the operator itself holds
then. For Bool and Null, the value is negated instead.
"""

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
"""The unusual property of the call in an expectation."""


class KeyTest(NamedTuple):
    """A test that the condition *key* of a request has one of *values*, by *operator*.

    *denied_by* is the operator of a Deny, if it is not the usual negation.
    """

    key: str
    values: Any
    operator: str = "StringEquals"
    denied_by: str = ""

    @property
    def holds(self) -> Conditions:
        """The condition under which the test passes."""
        return {self.operator: {self.key: self.values}}

    @property
    def fails(self) -> Conditions:
        """The condition under which the test fails."""
        values = self.values
        if self.operator in ("Bool", "Null"):
            values = "false" if values == "true" else "true"
        return {_NEGATIONS[self.operator]: {self.key: values}}

    @property
    def denied(self) -> Conditions:
        """The condition of a Deny, under which the test fails."""
        return {self.denied_by: {self.key: self.values}} if self.denied_by else self.fails


class Rule(NamedTuple):
    """The rule that *actions* on resources of *type* must pass one of *tests*.

    *sid* names the Deny of all other calls. *allow* names the Allow statement for the resources of
    *type* in a launch, if they need their own; *type* is empty if the rule is about all resources.
    *resources* are the resources of the Deny, if these are not all of the type; *not_actions* are
    actions to which the rule does not apply.
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
    """The only resources of *type* that a launch may use; *shared* ones are of any account."""

    type: str
    ids: tuple[str, ...]
    shared: bool = False

    def arns(self, site: Restricted, partition: str = "") -> tuple[str, ...]:
        """Return the ARNs of the resources in *partition*, by default the site's."""
        owner = "*" if self.shared else site.account
        where = f"arn:{partition or site.partition}:ec2:*:{owner}"
        return tuple(f"{where}:{self.type}/{id_}" for id_ in self.ids)

    def fails(self, site: Restricted) -> Shape:
        """Return the launches that use a different resource of the type."""
        return Shape((RUN,), not_resources=(*self.arns(site), *other_types(self.type)))


class Case(NamedTuple):
    """A call that demonstrates the restriction: it must be refused, or allowed if *allowed*.

    The call is a launch that differs from the usual one by *changes*, and the authorization on
    *type* decides it; with other *actions*, it is a typical use of each. *context* are the
    condition keys that differ. *words* complete the description "launch …". An empty *region* means
    the first launch region.
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
    """A statement that must hold for all requests, or for all sequences of requests.

    *manner* is the kind of statement. `never`: no request of *shapes* is allowed. `within`: the
    policies grant only what *reference* grants (*shapes* are all other requests). `taken over`: the
    actions of the only shape cannot reach its resources without *tag*, in any number of steps.
    `lost`: none of these resources loses *tag*.

    *closing* are conditions that fix a statement which breaks the promise. *limits* say what no
    policy can promise, because requests do not reveal it.
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
        """The actions that the promise is about; empty for every action.

        The promise `catalogue` covers all other actions: as long as it holds, none of them is
        allowed, and this promise is about everything.
        """
        if self.reference is not None:
            return ()
        if any(shape.not_actions is not None for shape in self.shapes):
            return ()
        named = [action for shape in self.shapes for action in shape.actions]
        named += TAGGING if self.manner == "taken over" else ()
        return () if "*" in named else tuple(dict.fromkeys(named))


def _none(*_: Any) -> tuple[Any, ...]:
    return ()


class Restriction(NamedTuple):
    """One restriction, by its *name* in the site file: its meaning and consequences.

    *main* marks the four restrictions that every site should have; without them, calls that violate
    them must work. *splits* says that the restriction is about one resource type of a launch, so
    that RunInstances needs a statement for each type. *resources* are the only resources of a type
    that a launch may use. *title* is the promise that no call breaks the rules, with {} for the
    listed values; *limits* are what no policy can promise; *promises* are further promises. *usual*
    says how a permitted launch differs in a region, *variants* are further launches that must be
    allowed, and *cases* show what is refused.
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
    usual: Callable[[Restricted, str], Mapping[str, Any]] = lambda *_: {}
    variants: Callable[[Restricted, str], Iterable[Mapping[str, Any]]] = _none
    cases: Callable[[Restricted], Iterable[Case]] = _none
    contradictions: Callable[[Restricted], Iterable[Contradiction]] = _none

    def active(self, site: Restricted) -> bool:
        """Return whether *site* has the restriction."""
        return self.name in site.restrict.active | site.grant.active

    def promised(self, site: Restricted) -> Iterator[Promise]:
        """Yield the promises of *site*, which has the restriction."""
        rules, resources = tuple(self.rules(site)), tuple(self.resources(site))
        if self.title:
            value = getattr(site.restrict, self.name)
            title = self.title.format(listing(value)) if "{}" in self.title else self.title
            # A condition does not close a statement that names resources of another type.
            tests = () if resources else (rule.tests[0].holds for rule in rules)
            yield Promise(
                self.name.replace("_", "-"),
                title,
                (*(only.fails(site) for only in resources), *(rule.fails(site) for rule in rules)),
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
        permission.action
        for permission in permissions(site)
        if permission.access == "Write" and permission.service == "ec2" and permission.action != RUN
    )


def every(site: Restricted, kind: str) -> str:
    """Return an ARN pattern for every EC2 resource of *kind*, whoever owns it."""
    return f"arn:{site.partition}:ec2:*:*:{kind}/*"


def own(site: Restricted, kind: str, partition: str = "*") -> str:
    """Return an ARN pattern for the resources of *kind* in the account; image ARNs have none."""
    account = "" if kind == "image" else site.account
    return f"arn:{partition}:ec2:*:{account}:{kind}/*"


def other_types(kind: str) -> tuple[str, ...]:
    """Return ARN patterns for the resources that AWS authorizes for a launch, except of *kind*."""
    ec2 = service("ec2")
    action = ec2.action("RunInstances") if ec2 else None
    types = [target.type for target in action.targets if target.type] if action else []
    return tuple(f"arn:*:ec2:*:*:{name}/*" for name in types if name != kind)


def listing(values: Sequence[str]) -> str:
    """Return *values* as text, or only their number if there are many."""
    if len(values) > MAX_LISTED:
        return f"the {len(values)} that the site names"
    *most, last = values
    return f"{', '.join(most)} and {last}" if most else last


def names(one_or_more: str | Sequence[str]) -> tuple[str, ...]:
    """Return the names in an element of a policy, which is one name or a list."""
    return (one_or_more,) if isinstance(one_or_more, str) else tuple(one_or_more)
