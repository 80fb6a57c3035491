"""Conditions on tags (gates): whoever may set a tag may do whatever the tag permits.

The proof searches for a call that sets or removes the tag, and for a call that depends on the tag.
The engine then decides both for one resource, whose tags the first call changes.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/control-access-with-tags.html
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from typing import Any, Final

from cml_iam import facts
from cml_iam.catalogue import load_catalogue
from cml_iam.engine import Request
from cml_iam.facts import (
    REQUEST_TAG,
    RESOURCE_TAG,
    TAG_KEYS,
    TAGGING,
    Action,
    Target,
    arn_pattern,
    covers,
    every_name,
    same_key,
)
from cml_iam.lint._ask import allowed, overtaken, owing, request_of
from cml_iam.lint._corrections import guarded_tag
from cml_iam.lint._finding import Correction, Fault
from cml_iam.lint._subject import Clause, Item, Subject
from cml_iam.policy import Conditions
from cml_iam.prove import Shape, TagTest, changing_key, giving, taking_away, where

OPERATORS: Final = {
    "stringequals": ("StringEquals", "StringNotEquals"),
    "stringlike": ("StringLike", "StringNotLike"),
    "stringequalsignorecase": ("StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"),
}
"""Operators on tags, by their base name without `not`: the positive and the negated operator."""

Tags = dict[str, tuple[str, Any]]
"""Tag keys and values by the key in lower case, because condition keys ignore case."""

MOST_PAIRS: Final = 1_000
"""The maximum number of pairs of gates that are compared, because each is compared with all."""


def gate_open(subject: Subject) -> Iterator[Fault]:
    for gate in judged(subject):
        if gate.way:
            yield _opened(gate, gate.way, gate.test.key)


def gate_open_by_case(subject: Subject) -> Iterator[Fault]:
    for gate in judged(subject):
        twin = other_case(gate.test.key)
        way = gate.way_in(twin) if not gate.way else ()
        if way:
            yield _opened(gate, way, twin)


def tag_wiped(subject: Subject) -> Iterator[Fault]:
    """Yield tag conditions whose tag the caller can remove, losing access to its instances.

    Only tags that decide what the manager may do count: others must judge their own losses.
    """
    for gate in judged(subject):
        way = gate.way_out() if gate.operating else None
        if way:
            yield _wiped(gate, *way)


@cache
def lifecycle() -> tuple[Action, ...]:
    """Return the actions with which the manager changes its instances, the worst first."""
    changing = (permission for permission in load_catalogue().changing if permission.on_worker)
    return tuple(ec2_action(permission.name) for permission in changing)[::-1]


def ec2_action(name: str) -> Action:
    ec2 = facts.service("ec2")
    action = ec2.action(name) if ec2 else None
    assert action is not None  # noqa: S101 - a name of ours that AWS has
    return action


def other_case(tag: str) -> str:
    """Return *tag* in a different case: the same key for conditions, but not for EC2."""
    return tag.lower() if tag != tag.lower() else tag.upper()


@lru_cache(4)
def gates(subject: Subject) -> list[Gate]:
    """Return the conditions on resource tags that decide whether an action is allowed.

    Nobody can set or remove a tag whose key begins with `aws:`.
    """
    candidates = (
        _gate(clause)
        for clause in subject.clauses
        if subject.attached and (clause.demands if clause.item.allows else clause.forbids)
        if same_key(clause.key).startswith(RESOURCE_TAG)
        and not same_key(clause.key).startswith(f"{RESOURCE_TAG}aws:")
    )
    return [gate for gate in candidates if gate.test.values and gate.resources]


def _gate(clause: Clause) -> Gate:
    item = clause.item
    operating = tuple(filter(item.says, lifecycle()))
    actions = operating or tuple(
        action
        for action in item.actions.values()
        if action.service == "ec2" and action.full not in TAGGING and action.writes
    )
    targets = tuple(
        target
        for action in actions
        for target in item.targets(action)
        if target.type and target.keys.has(clause.key)
    )
    base = clause.operator.base.replace("not", "", 1)
    values = tuple(value for value in clause.values if "${" not in value)
    test = TagTest(clause.key.partition("/")[2], values, *OPERATORS[base])
    return Gate(clause, test, operating, actions, targets)


def judged(subject: Subject) -> list[Gate]:
    """Return the first gates: no more than can all be compared with every gate."""
    every = gates(subject)
    return every[: MOST_PAIRS // max(len(every), 1)]


@dataclass(frozen=True, eq=False)
class Gate:
    """The condition *clause*, as the *test* that a tag must pass: a Deny's condition is inverted.

    *operating* are the manager's actions on instances that it covers, and *actions* all EC2 actions
    that depend on the tag, except those that set tags themselves; those on instances represent all.
    *targets* are the targets of the actions that have the tag among their condition keys.
    """

    clause: Clause
    test: TagTest
    operating: tuple[Action, ...]
    actions: tuple[Action, ...]
    targets: tuple[Target, ...]

    @property
    def item(self) -> Item:
        return self.clause.item

    @cached_property
    def resources(self) -> tuple[str, ...]:
        return arns_of(self.targets)

    @cached_property
    def way(self) -> tuple[Request, ...]:
        """The calls that set the tag as the condition spells it, and then an allowed call."""
        return self.way_in(self.test.key)

    def way_in(self, spelled: str) -> tuple[Request, ...]:
        """Return calls that set the tag (its key *spelled*) on a resource, and then operate it.

        Without the tag, the last call is refused. Empty if no call sets the tag.
        """
        setting = where(
            giving(self.test, self.resources),
            {"ForAnyValue:StringEquals": {"aws:TagKeys": [spelled]}},
        )
        for change, behind in self._pairs([setting]):
            for tagging in (with_tags(change, {}), change):
                before = tags_of(tagging, RESOURCE_TAG)
                opened = with_tags(behind, before | tags_of(tagging, REQUEST_TAG))
                if (
                    self.item.subject.authorizer.decide(tagging).allowed
                    and self._decides(opened, with_tags(behind, before))
                    and changing_key((tagging, opened)) is None
                ):
                    return tagging, opened
        return self._longer_way(setting) if spelled == self.test.key else ()

    def way_out(self) -> tuple[Request, Request] | None:
        """Return a call that removes the tag from a resource, and a call that is then refused."""
        for wipe, behind in self._pairs(taking_away(self.test, self.resources, exact=True)):
            before = tags_of(wipe, RESOURCE_TAG)
            opened, shut = with_tags(behind, before), with_tags(behind, after(wipe, before))
            if self._decides(opened, shut) and changing_key((wipe, opened)) is None:
                return wipe, opened
        return None

    def _pairs(self, changes: Iterable[Shape]) -> Iterator[tuple[Request, Request]]:
        """Yield calls of *changes*, each with one on the same resource that depends on the tag."""
        for shape in changes:
            change = self._tagging(shape)
            if change is None:
                continue
            behind = self._behind((change.resource,))
            if behind is None:
                behind = self._behind(self.resources)
                there = replace(shape, resources=(behind.resource,)) if behind else None
                change = self._tagging(there) if there else None
            if change and behind:
                yield change, behind

    def _tagging(self, shape: Shape) -> Request | None:
        tagging = (ec2_action(name.partition(":")[2]) for name in TAGGING)
        return request_of(allowed(self.item.subject.concerning(*tagging), shape))

    def _behind(self, resources: tuple[str, ...]) -> Request | None:
        further = besides(self.clause)
        shape = where(self._operate(resources), self.test.carried, *further)
        return owing(self.item.subject.concerning(*self.actions), self.item, shape)

    def _operate(self, resources: tuple[str, ...]) -> Shape:
        return Shape(tuple(action.full for action in self.actions), resources)

    def _longer_way(self, setting: Shape) -> tuple[Request, ...]:
        """Return a longer sequence of calls from the proof, if no pair of calls is enough."""
        if self._tagging(setting) is None:
            return ()
        operate = self._operate(self.resources)
        calls = overtaken(self.item.subject.items, (self.test.key, self.test.values[0]), operate)
        if len(calls) < 2:
            return ()
        tags = tags_of(calls[-1], RESOURCE_TAG)
        tags.pop(self.test.key.lower(), None)
        return calls if self._decides(calls[-1], with_tags(calls[-1], tags)) else ()

    def _decides(self, opened: Request, shut: Request) -> bool:
        """Return whether *opened* is allowed, and *shut*, the same call without the tag, is not."""
        decide = self.item.subject.authorizer.decide
        return decide(opened).allowed and not decide(shut).allowed

    def type_of(self, request: Request) -> str:
        arn = arn_pattern(request.resource, variables=False)
        types = (t.type for t in self.targets if arn and any(covers(a, arn) for a in t.arns))
        return next(types, "resource")


def besides(clause: Clause) -> Iterator[Conditions]:
    """Yield the other conditions of a Deny, which applies only if all hold."""
    for other in () if clause.item.allows else clause.item.clauses:
        if other is not clause:
            yield {other.condition.operator: {other.key: other.values}}


def arns_of(targets: Iterable[Target]) -> tuple[str, ...]:
    """Return the ARNs of *targets* as patterns."""
    return tuple(dict.fromkeys(":".join(arn) for target in targets for arn in target.arns))


def tags_of(request: Request, prefix: str) -> Tags:
    """Return the tags in *request*'s condition keys with *prefix*."""
    return {
        same_key(key).removeprefix(prefix): (key.partition("/")[2], value)
        for key, value in request.context.items()
        if same_key(key).startswith(prefix)
    }


def with_tags(request: Request, tags: Tags) -> Request:
    """Return *request* on a resource with exactly *tags*."""
    kept = {k: v for k, v in request.context.items() if not same_key(k).startswith(RESOURCE_TAG)}
    for key, value in tags.values():
        kept |= dict.fromkeys(every_name(f"aws:ResourceTag/{key}"), value)
    return request._replace(context=kept)


def after(wipe: Request, tags: Tags) -> Tags:
    """Return the *tags* that remain after the call *wipe*."""
    if wipe.action.lower() == TAGGING[0].lower():
        return tags | tags_of(wipe, REQUEST_TAG)
    keys = _tag_keys(wipe)
    removed = set(tags) if keys is None else {key.lower() for key in keys}
    return {key: tag for key, tag in tags.items() if key not in removed}


def _tag_keys(request: Request) -> list[str] | None:
    keys = (value for key, value in request.context.items() if same_key(key) == TAG_KEYS)
    return next(keys, None)


def _opened(gate: Gate, way: tuple[Request, ...], tag: str) -> Fault:
    *tagging, opened = way
    step, kind = gate.item.subject.step, gate.type_of(opened)
    before = tags_of(tagging[0], RESOURCE_TAG)
    if before:  # without which the call that sets the tag is refused
        having = ", ".join(f"{key}={text}" for key, text in before.values())
        which, instead = f"an existing {kind} with `{having}`", f"with {having}"
    else:
        which, instead = f"any {kind} without it", "without the tag"
    _, value = tags_of(opened, RESOURCE_TAG)[gate.test.key.lower()]
    otherwise = f", spelled `{tag}` because condition keys ignore case"
    spelled = "" if tag == gate.test.key else otherwise
    shut = with_tags(opened, before)
    return gate.clause.fault(
        f"the caller can meet the tag condition itself: {_granter(gate, tagging[0])} lets it set "
        f"the tag `{gate.test.key}={value}` on {which}{spelled}; then {opened.action} is allowed",
        "allow ec2:CreateTags only at launch (`ec2:CreateAction` is `RunInstances`), and later "
        "only on resources that have the tag and never for this key: "
        f"`ForAllValues:StringNotEqualsIgnoreCase` on `aws:TagKeys` with `{gate.test.key}`",
        witness=(
            step(shut, f"{opened.action} on {opened.resource}, {instead}"),
            *(step(request, _change(request, tag, "it")) for request in tagging),
            step(opened, f"{opened.action} on it"),
        ),
        correction=_guarded(gate, tagging[0]),
    )


def _wiped(gate: Gate, wipe: Request, opened: Request) -> Fault:
    step = gate.item.subject.step
    shut = with_tags(opened, after(wipe, tags_of(opened, RESOURCE_TAG)))
    return gate.clause.fault(
        f"the tag `{gate.test.key}` can be removed from a managed {gate.type_of(opened)}: "
        f"{_granter(gate, wipe)} allows it, and then {opened.action} is refused",
        "allow ec2:CreateTags and ec2:DeleteTags only with `Null` on `aws:TagKeys` being `false` "
        f"and `ForAllValues:StringNotEqualsIgnoreCase` on `aws:TagKeys` with `{gate.test.key}`",
        witness=(
            step(wipe, _change(wipe, gate.test.key, wipe.resource)),
            step(shut, f"{opened.action} on it, now without the tag"),
        ),
        correction=_guarded(gate, wipe),
    )


def _change(request: Request, tag: str, on: str) -> str:
    """Describe how *request* changes *tag* on the resource called *on*."""
    if request.action.lower() == TAGGING[0].lower():
        sent = tags_of(request, REQUEST_TAG).values()
        return f"{request.action} {', '.join(f'{k}={v}' for k, v in sent) or tag} on {on}"
    if _tag_keys(request) is None:
        return f"{request.action} on {on} without naming tags, which deletes all tags"
    return f"{request.action} {tag} on {on}"


def _granter(gate: Gate, request: Request) -> str:
    item = gate.item.subject.granting(request)
    return item.called if item else "the policy"


def _guarded(gate: Gate, request: Request) -> Correction | None:
    """Protect the tag from the statement that allows *request*, unless launches need that."""
    subject = gate.item.subject
    item = subject.granting(request)
    if item is None or _only_at_launch(item):
        return None
    run, create = ec2_action("RunInstances"), ec2_action("CreateTags")
    launches = any(allow.says(run) for allow in subject.allows)
    others = (allow for allow in subject.allows if allow is not item)
    elsewhere = any(other.says(create) and _only_at_launch(other) for other in others)
    if launches and create.full in item.actions and not elsewhere:
        return None
    return guarded_tag(item, gate.test.key)


def _only_at_launch(item: Item) -> bool:
    return any(clause.name == "ec2:createaction" for clause in item.clauses)
