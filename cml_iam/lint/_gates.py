"""Conditions on tags as gates: samples of what they let through, and of calls that change tags.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cml_iam import facts
from cml_iam.facts import same_key
from cml_iam.lint._conditions import parse_operator
from cml_iam.lint._proved import WHO, tag_actions
from cml_iam.lint._replayed import Replayed
from cml_iam.lint._sample import concerning, filled, requests, resource_tag, says

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cml_iam.engine import Request
    from cml_iam.facts import Action, Target
    from cml_iam.lint._subject import Item, Subject
    from cml_iam.policy import Condition

TAGGING: Final = frozenset({"ec2:CreateTags", "ec2:DeleteTags"})
PREFIX: Final = "aws:resourcetag/"

SERVICE_SET: Final = frozenset({"ec2:createaction"})
"""Keys EC2 fills itself, so that the caller cannot choose them."""

LIFECYCLE: Final = ("TerminateInstances", "StopInstances", "StartInstances")

OTHER_VALUE: Final = "something-else"


@dataclass(frozen=True, slots=True)
class Gate:
    """A condition on a tag of the resource, and a request that it alone stands in the way of.

    *opened* is allowed, *shut* is the same on a resource without the tag, and refused.
    """

    item: Item
    condition: Condition
    tag: str
    value: str
    action: Action
    target: Target
    opened: Request
    shut: Request


def twin_of(tag: str) -> str:
    """Return *tag* in another case; condition keys do not tell the two apart, EC2 does."""
    return tag.lower() if tag != tag.lower() else tag.upper()


def gate_conditions(subject: Subject) -> Iterator[tuple[Item, Condition]]:
    """Yield the conditions that make a tag of the resource a gate.

    Nobody can set or remove a tag whose key begins with `aws:`.
    """
    if not subject.attached:
        return
    for item in subject.items:
        for condition in item.statement.conditions:
            op = parse_operator(condition.operator)
            if op is None or not same_key(condition.key).startswith(PREFIX):
                continue
            gates = op.positive_text if item.allows else op.negated and op.base in NEGATED
            reserved = same_key(condition.key).startswith(f"{PREFIX}aws:")
            if gates and not op.qualifier and not reserved and values_of(condition):
                yield item, condition


NEGATED: Final = frozenset({"stringnotequals", "stringnotlike", "stringnotequalsignorecase"})


def values_of(condition: Condition) -> list[str]:
    """Return texts that the values of *condition* stand for, without those that have variables."""
    op = parse_operator(condition.operator)
    like = op is not None and "like" in op.base
    plain = (value for value in condition.values if "${" not in value)
    return [filled(condition.key, value) if like else value for value in plain]


def gates(subject: Subject, item: Item, condition: Condition) -> Iterable[Gate]:
    """Return where *condition* stands in the way; looked for once."""
    key = ("gates", id(item), condition)
    if key not in subject.found:
        subject.found[key] = Replayed(_all_gates(subject, item, condition))
    found: Iterable[Gate] = subject.found[key]
    return found


def _all_gates(subject: Subject, item: Item, condition: Condition) -> Iterator[Gate]:
    """Yield where *condition* stands in the way and nothing else does.

    For each action and kind of resource one for each region and account the documents tell apart.
    """
    tag, value = condition.key.partition("/")[2], values_of(condition)[0]
    for action in gated_actions(item):
        for target in item.targets(action):
            if target.type and target.keys.has(condition.key):
                yield from _gates_of(subject, item, condition, tag, value, action, target)


def _gates_of(
    subject: Subject,
    item: Item,
    condition: Condition,
    tag: str,
    value: str,
    action: Action,
    target: Target,
) -> Iterator[Gate]:
    fixed = resource_tag(tag, value)
    seen: set[tuple[str, frozenset[tuple[str, str]]]] = set()
    for opened in requests(
        subject, action, target, concerning(subject, action, *tag_actions()), fixed=fixed
    ):
        where = (opened.resource, _tags_of(opened))
        if where in seen or not subject.authorizer.decide(opened).allowed:
            continue
        shut = opened._replace(
            context={key: v for key, v in opened.context.items() if key not in fixed}
        )
        if not subject.authorizer.decide(shut).allowed:
            seen.add(where)
            yield Gate(item, condition, tag, value, action, target, opened, shut)


def _tags_of(request: Request) -> frozenset[tuple[str, str]]:
    return frozenset(
        (key, str(value))
        for key, value in request.context.items()
        if same_key(key).startswith((PREFIX, "aws:requestedregion"))
    )


def gated_actions(item: Item) -> list[Action]:
    """Return the actions behind the gate: of EC2, and not those that set tags themselves.

    Of a statement about everything, those on instances stand for all.
    """
    ec2 = facts.service("ec2")
    if ec2 is None:
        return []
    if item.statement.action is None or item.everything:
        known = (ec2.action(name) for name in LIFECYCLE)
        return [each for each in known if each and says(item, each)]
    found = [
        each
        for each in item.actions.values()
        if each.service == "ec2" and each.full not in TAGGING and each.writes
    ]
    return sorted(found, key=lambda each: each.name != LIFECYCLE[0])


def taggings(subject: Subject, gate: Gate, tag: str) -> Iterator[Request]:
    """Yield allowed CreateTags requests that give the shut resource the tag."""
    for tags in _with_extras(subject, {tag: gate.value}):
        fixed = tag_request(tags)
        yield from _allowed(subject, gate, gate.shut, "CreateTags", fixed)


def wipes(subject: Subject, gate: Gate) -> Iterator[Request]:
    """Yield allowed requests that take the tag from a resource that has it."""
    yield from _allowed(subject, gate, gate.opened, "DeleteTags", {})
    yield from _allowed(subject, gate, gate.opened, "DeleteTags", {"aws:TagKeys": [gate.tag]})
    for tags in _with_extras(subject, {gate.tag: OTHER_VALUE}):
        yield from _allowed(subject, gate, gate.opened, "CreateTags", tag_request(tags))


def _allowed(
    subject: Subject, gate: Gate, like: Request, name: str, request_keys: dict[str, Any]
) -> Iterable[Request]:
    """Return allowed requests to change tags of the resource of *like*, by the same caller.

    What the action behind the gate is makes no difference, so they are looked for once.
    """
    kept = {key: value for key, value in like.context.items() if _stays(key)}
    key = (name, gate.target.type, like.resource, str((sorted(kept.items()), request_keys)))
    if key not in subject.found:
        subject.found[key] = Replayed(_all_allowed(subject, gate, like, name, kept, request_keys))
    found: Iterable[Request] = subject.found[key]
    return found


def _all_allowed(
    subject: Subject,
    gate: Gate,
    like: Request,
    name: str,
    kept: dict[str, Any],
    request_keys: dict[str, Any],
) -> Iterator[Request]:
    ec2 = facts.service("ec2")
    action = ec2.action(name) if ec2 else None
    target = (
        next((t for t in action.targets if t.type == gate.target.type), None) if action else None
    )
    if action is None or target is None:
        return
    # What the request sends is fixed: keys it does not send are absent.
    left_out = SERVICE_SET | {"aws:tagkeys"} | _tag_keys(subject)
    for made in requests(
        subject, action, target, concerning(subject, action), fixed=kept, without=left_out
    ):
        request = made._replace(resource=like.resource, context={**made.context, **request_keys})
        if subject.authorizer.decide(request).allowed:
            yield request


def _stays(key: str) -> bool:
    """Say whether *key* is the same in every request of this caller about this resource."""
    name = same_key(key)
    return name.startswith((*WHO, PREFIX)) or name == "aws:requestedregion"


def _tag_keys(subject: Subject) -> frozenset[str]:
    """Return the keys for tags of requests and resources that the documents ask for."""
    keys = (same_key(each.key) for item in subject.items for each in item.statement.conditions)
    return frozenset(key for key in keys if key.startswith(("aws:requesttag/", PREFIX)))


def _with_extras(subject: Subject, tags: dict[str, str]) -> Iterable[dict[str, str]]:
    """Return *tags* alone, and with the other tags that conditions of CreateTags ask for."""
    extras = {
        condition.key.partition("/")[2]: values_of(condition)[0]
        for item in concerning(subject, *tag_actions()[:1])
        if item.allows
        for condition in item.statement.conditions
        if condition.key.lower().startswith("aws:requesttag/") and values_of(condition)
    }
    wanted = {key.lower() for key in tags}
    more = {key: value for key, value in extras.items() if key.lower() not in wanted}
    return [tags, {**tags, **more}] if more else [tags]


def tag_request(tags: dict[str, str]) -> dict[str, Any]:
    """Return the condition keys of a request that sends *tags*."""
    return {
        "aws:TagKeys": list(tags),
        **{f"aws:RequestTag/{key}": value for key, value in tags.items()},
    }
