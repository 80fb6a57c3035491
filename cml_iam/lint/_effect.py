"""Parts of a policy that have no effect, or always have it: what can never match."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cml_iam.facts import (
    is_provider_key,
    is_region,
    is_unknown_key,
    overlap,
    same_key,
)
from cml_iam.lint._conditions import NULL, holds_without_key, parse_operator, value_patterns
from cml_iam.lint._corrections import any_resource, other_key
from cml_iam.lint._finding import Found
from cml_iam.policy import patterns_overlap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.facts import Action, Target
    from cml_iam.lint._edits import Claim, Correction
    from cml_iam.lint._subject import Item, Named, Subject
    from cml_iam.policy import Condition

SHOWN: Final = 4
"""Names listed before `and N more`."""


def listed(names: list[str], *, most: int = SHOWN) -> str:
    """Return *names* in one phrase, cut short where there are more than *most*."""
    quoted = [f"`{name}`" for name in names[:most]]
    if len(names) > most:
        quoted.append(f"{len(names) - most} more")
    if len(quoted) == 1:
        return quoted[0]
    return f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def foreign_keys(subject: Subject) -> Iterator[Found]:
    """Yield condition keys that an action of the statement never has."""
    for item in subject.items:
        for condition in item.statement.conditions:
            holds = holds_without_key(condition)
            if holds is None or is_unknown_key(condition.key) or is_provider_key(condition.key):
                continue
            lacking, all_lack = _lacking(item, condition.key)
            if not lacking:
                continue
            if not holds:
                yield _never(item, condition, lacking, all_lack=all_lack)
            elif _surprises(item, condition, lacking, all_lack=all_lack):
                yield _always(item, condition, lacking, all_lack=all_lack)


def _lacking(item: Item, key: str) -> tuple[list[Action], bool]:
    """Return the actions whose requests never have *key*, and whether that is all of them.

    An element with wildcards counts as one: it lacks the key if all its actions do.
    """
    lacking: list[Action] = []
    having = item.statement.action is None
    for element in item.named:
        groups = [[each] for each in element.actions] if element.exact else [list(element.actions)]
        for group in groups:
            reached = [(each, item.targets(each)) for each in group]
            live = [(each, targets) for each, targets in reached if targets]
            if any(target.keys.has(key) for _, targets in live for target in targets):
                having = True
            else:
                lacking += [each for each, _ in live]
        having = having or element.everything
    return lacking, not having


def _surprises(item: Item, condition: Condition, lacking: list[Action], *, all_lack: bool) -> bool:
    """Say whether a condition that always holds for *lacking* is not what its author meant.

    IfExists and ForAllValues are written for keys that may be absent; and a Deny that refuses
    more where a key of the same service is absent is a common and safe form.
    """
    op = parse_operator(condition.operator)
    if op is None or op.base == NULL:
        return False
    if all_lack:
        return True
    if op.if_exists or op.for_all:
        return False
    prefix = condition.key.partition(":")[0].lower()
    return item.allows or (prefix != "aws" and any(each.service != prefix for each in lacking))


def _never(item: Item, condition: Condition, lacking: list[Action], *, all_lack: bool) -> Found:
    names = [each.full for each in lacking]
    verb = "grants" if item.allows else "refuses"
    consequence = (
        f"the statement can never match and {verb} nothing"
        if all_lack
        else f"the statement {verb} nothing for {'them' if len(names) > 1 else 'it'}"
    )
    return Found(
        f"no request for {listed(names)} has the condition key `{condition.key}`: {consequence}",
        item.condition_place(condition),
        _other_key(condition.key, all_lack=all_lack),
        item.label,
        correction=_every_region(item, condition, claim="grant"),
    )


def _always(item: Item, condition: Condition, lacking: list[Action], *, all_lack: bool) -> Found:
    names = [each.full for each in lacking]
    consequence = "restricts nothing" if item.allows else "is refused whatever the request says"
    if not item.allows and all_lack:
        consequence = "makes no difference"
    return Found(
        f"no request for {listed(names)} has the condition key `{condition.key}`, so "
        f"{condition.operator} always holds for {'them' if len(names) > 1 else 'it'}: "
        f"the condition {consequence}"
        if item.allows or all_lack
        else f"no request for {listed(names)} has the condition key `{condition.key}`, so "
        f"{condition.operator} always holds and the action {consequence}",
        item.condition_place(condition),
        _other_key(condition.key, all_lack=all_lack),
        item.label,
        correction=_every_region(item, condition, claim="narrower"),
    )


def _every_region(item: Item, condition: Condition, *, claim: Claim) -> Correction | None:
    if not is_region(condition.key):
        return None
    return other_key(item, condition, "aws:RequestedRegion", claim=claim)


def _other_key(key: str, *, all_lack: bool) -> str:
    if is_region(key):
        return "use `aws:RequestedRegion`, which every request has"
    if all_lack:
        return "remove the condition, or use a key that these actions have"
    return "put these actions into a statement of their own"


def foreign_resources(subject: Subject) -> Iterator[Found]:
    """Yield actions on resource types they do not have, and resources no action is about."""
    if subject.kind == "trust":
        return
    for item in subject.items:
        elements = _dead_elements(item)
        dead = [each for each in elements if not _take_no_resource(each)]
        if dead:
            yield _dead_found(item, dead)
        if len(elements) < len(item.named):
            yield from _unused(item, elements)


def needs_any(subject: Subject) -> Iterator[Found]:
    """Yield actions that take no resource beside a specific one."""
    if subject.kind == "trust":
        return
    for item in subject.items:
        dead = [each for each in _dead_elements(item) if _take_no_resource(each)]
        if not dead:
            continue
        names = [each.text for each in dead]
        verb = "grants" if item.allows else "refuses"
        yield Found(
            f'{listed(names)} can be named with `"Resource": "*"` only: the statement {verb} '
            f"nothing for {'them' if len(names) > 1 else 'it'}",
            item.place("Action", dead[0].index),
            'put such actions into a statement of their own with `"Resource": "*"`',
            item.label,
            correction=any_resource(item),
        )


def _dead_elements(item: Item) -> list[Named]:
    """Return the elements of Action for which no resource of the statement leaves room.

    One with wildcards stands for whatever it can, so all its actions must lack it.
    """
    if item.statement.resource is None or len(item.resources) < len(item.statement.resource):
        return []  # one of the resources is malformed, which another rule says
    return [
        each
        for each in item.named
        if each.actions and not any(item.targets(action) for action in each.actions)
    ]


def _take_no_resource(element: Named) -> bool:
    return all(action.takes_no_resource for action in element.actions)


def _dead_found(item: Item, dead: list[Named]) -> Found:
    names = [each.text for each in dead]
    verb = "grants" if item.allows else "refuses"
    targets = {t.type for each in dead for action in each.actions for t in action.targets}
    return Found(
        f"{listed(names)} {'are' if len(names) > 1 else 'is'} about none of these resources: the "
        f"statement {verb} nothing for {'them' if len(names) > 1 else 'it'}",
        item.place("Action", dead[0].index),
        f"{'they are' if len(names) > 1 else 'it is'} about {listed(sorted(targets - {''}))}",
        item.label,
    )


def _unused(item: Item, dead: list[Named]) -> Iterator[Found]:
    """Yield the resources that no action of the statement is about."""
    if not all(each.actions for each in item.named):
        return  # `*`, or an unknown action, which another rule names
    actions = [action for each in item.named if each not in dead for action in each.actions]
    for index, text in enumerate(item.statement.resource or ()):
        pattern = dict(item.resources).get(text)
        if pattern is None or text == "*":
            continue
        if not any(_is_about(action.targets, pattern) for action in actions):
            yield Found(
                f"no action of the statement is about `{text}`",
                item.place("Resource", index),
                "remove it, or add the action that is meant",
                item.label,
            )


def _is_about(targets: tuple[Target, ...], pattern: tuple[str, ...]) -> bool:
    return any(
        target.type and (not target.arns or any(overlap(pattern, arn) for arn in target.arns))
        for target in targets
    )


def contradictions(subject: Subject) -> Iterator[Found]:
    """Yield conditions of one statement that no request can meet together."""
    for item in subject.items:
        conditions = item.statement.conditions
        for index, one in enumerate(conditions):
            for other in conditions[index + 1 :]:
                if why := _contradict(one, other):
                    yield _contradiction(item, one, other, why)
        yield from _other_region(item)


def _contradiction(item: Item, one: Condition, other: Condition, why: str) -> Found:
    verb = "grants" if item.allows else "refuses"
    return Found(
        f"no request can meet both {one.operator} `{one.key}` and {other.operator} `{other.key}`: "
        f"{why}, so the statement {verb} nothing",
        item.condition_place(other),
        "put what is meant as alternatives into one list of values, or into two statements",
        item.label,
    )


def _contradict(one: Condition, other: Condition) -> str | None:
    if same_key(one.key) != same_key(other.key):
        return None
    first, second = parse_operator(one.operator), parse_operator(other.operator)
    if first is None or second is None:
        return None
    if NULL in (first.base, second.base):
        return _contradict_null(one, other)
    if not (first.positive_text and second.positive_text and not first.qualifier):
        return None
    if second.qualifier or any("${" in value for value in (*one.values, *other.values)):
        return None
    ours, theirs = value_patterns(one, first), value_patterns(other, second)
    if not ours or not theirs:
        return None  # said by the rule about values
    if "stringequalsignorecase" in (first.base, second.base):
        ours, theirs = [each.lower() for each in ours], [each.lower() for each in theirs]
    if any(patterns_overlap(a, b) for a in ours for b in theirs):
        return None
    return "their values have nothing in common"


def _contradict_null(one: Condition, other: Condition) -> str | None:
    null, rest = (one, other) if parse_operator(one.operator).base == NULL else (other, one)  # type: ignore[union-attr]  # both parsed before
    absent = {value.lower() for value in null.values} == {"true"}
    if absent and parse_operator(rest.operator).base != NULL and holds_without_key(rest) is False:  # type: ignore[union-attr]
        return "the one wants the key absent, the other present"
    return None


def _other_region(item: Item) -> Iterator[Found]:
    """Yield a region condition none of whose regions is one of the resources' regions."""
    regions = {pattern[3] for _, pattern in item.resources}
    if not regions or len(item.resources) < len(item.statement.resource or ()):
        return
    if any(not each or "*" in each or "?" in each for each in regions):
        return
    for condition in item.statement.conditions:
        op = parse_operator(condition.operator)
        if not is_region(condition.key) or op is None or not op.positive_text or op.qualifier:
            continue
        if not condition.values:
            continue  # said by the rule about values
        wanted = value_patterns(condition, op)
        if any("${" in value for value in condition.values):
            continue
        if not any(patterns_overlap(a, b) for a in wanted for b in regions):
            verb = "grants" if item.allows else "refuses"
            yield Found(
                f"the resources are in {listed(sorted(regions))}, the condition wants "
                f"{listed(list(condition.values))}: the statement {verb} nothing",
                item.condition_place(condition),
                "name the same regions in both",
                item.label,
            )
