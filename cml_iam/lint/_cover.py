"""Allows that restrict nothing because another Allow covers them.

Permissions add up: a request is allowed if any Allow matches it, so a narrower Allow restricts
nothing while a broader one exists.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cml_iam.facts import ANY, is_region, overlap, same_key
from cml_iam.lint._ask import beyond, inside, known, matched
from cml_iam.lint._finding import Found, listed
from cml_iam.lint._subject import demands_text
from cml_iam.policy import pattern_covers, pattern_matches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cml_iam.engine import Request
    from cml_iam.lint._subject import Item, Named, Subject
    from cml_iam.policy import Condition
    from cml_iam.space import KeyCondition


@dataclass(frozen=True, slots=True)
class Cover:
    """A statement *wide* that matches everything another statement does for the action *element*.

    *beyond* is a request for that action which the documents allow and the other statement does not
    match. *regions* is the condition that limits *wide* to some regions, if it covers the other
    statement only there.
    """

    wide: Item
    element: Named
    beyond: Request | None = None
    regions: Condition | None = None


def restricts_nothing(subject: Subject) -> Iterator[Found]:
    """Yield Allows whose restrictions a broader Allow cancels."""
    for item, covers in _covers(subject):
        found = [cover for cover in covers if cover.beyond]
        if found:
            yield _undone(item, found, subject)


def redundant(subject: Subject) -> Iterator[Found]:
    """Yield Allows that only repeat what others allow, without restricting anything."""
    for item, found in _covers(subject):
        if any(cover.beyond or cover.regions for cover in found):
            continue
        if len(found) < len(item.named) or _first_of_twins(item, found, subject):
            continue
        wides = list(dict.fromkeys(cover.wide.label for cover in found))
        yield item.found(
            f"{listed(wides)} already {'allow' if len(wides) > 1 else 'allows'} everything that "
            "this statement allows",
            item.place(),
            "remove it",
        )


def redundant_elements(subject: Subject) -> Iterator[Found]:
    """Yield actions, resources and numbers that another element of the same list covers."""
    for item in subject.items:
        written = item.written
        yield from _named_already(item, written.action or (), "Action")
        yield from _named_already(item, written.not_action or (), "NotAction")
        yield from _named_already(item, written.resource or (), "Resource")
        yield from _named_already(item, written.not_resource or (), "NotResource")
        for kind, names in written.principal.ids if written.principal else ():
            yield from _named_already(item, names, "Principal", kind)
        yield from _included_sessions(item)
        for asked in item.asked:
            condition = asked.condition
            compares = asked.operator.base.startswith(("numericless", "numericgreater"))
            if compares and len(condition.values) > 1:
                yield item.found(
                    f"{condition.operator} with several numbers holds if one of them fits, so only "
                    "one of them makes a difference",
                    item.condition_place(condition),
                    "name one number",
                )


def _named_already(item: Item, texts: Sequence[str], *element: str) -> Iterator[Found]:
    forms = [_fields(text, element[0]) for text in texts]
    wide = {form: text for form, text in zip(forms, texts, strict=True) if "*" in text}
    seen: dict[tuple[str, ...], str] = {}
    for index, form in enumerate(forms):
        covering = (text for other, text in wide.items() if other != form and _plainly(other, form))
        other = seen.get(form) or next(covering, None)
        if other is not None:
            yield item.found(
                f"`{texts[index]}` is already included in `{other}`",
                item.place(*element, index),
                "remove one of the two",
            )
        seen.setdefault(form, texts[index])


def _fields(text: str, element: str) -> tuple[str, ...]:
    """Return the fields of *text* that wildcards do not cross; actions ignore case."""
    if element in {"Action", "NotAction"}:
        return (text.lower(),)
    return ANY if text == "*" else tuple(text.split(":", len(ANY) - 1))


def _plainly(wide: tuple[str, ...], form: tuple[str, ...]) -> bool:
    """Return whether *wide* obviously covers *form*; a wildcard in *form* needs a matching one.

    Patterns with `?` are excluded: to prove anything about lists of them would cost too much.
    """
    return (
        len(wide) == len(form)
        and form[-1].startswith(wide[-1].partition("*")[0])
        and all(
            "?" not in one and pattern_matches(one, other.replace("*", "\0"))
            for one, other in zip(wide, form, strict=True)
        )
    )


def _included_sessions(item: Item) -> Iterator[Found]:
    """Yield each session of a role that is itself among the principals."""
    names = item.ids("AWS")
    for index, name in enumerate(names):
        session = re.fullmatch(r"(arn:[^:]*):sts::([0-9]{12}):assumed-role/([^/]+)/.*", name)
        role = session and f"{session[1]}:iam::{session[2]}:role/{session[3]}"
        if role in names:
            yield item.found(
                f"`{name}` is a session of `{role}`, which is a principal of the statement too",
                item.place("Principal", "AWS", index),
                "remove one of the two",
            )


def shadowed(subject: Subject) -> Iterator[Found]:
    """Yield Allows that a Deny refuses entirely."""
    denies = subject.denies
    for item in subject.allows if denies else ():
        found: dict[int, Cover] = {}
        for cover in _covering(item, denies):
            if cover.regions is None:
                found.setdefault(cover.element.index, cover)
        if found:
            yield _shadowed(item, [found[index] for index in sorted(found)], subject)


def _shadowed(item: Item, found: list[Cover], subject: Subject) -> Found:
    names = [cover.element.text for cover in found]
    whole = len(found) == len(item.named)
    what = "this statement allows nothing" if whole else f"{listed(names)}: not allowed"
    wides = {id(cover.wide) for cover in found}
    witness = matched(item, action=found[0].element.text).witness
    words = described(witness.request, item, found[0].wide) if witness else ""
    return item.found(
        f"{what}: {_place_of(found)} {'refuse' if len(wides) > 1 else 'refuses'} it wherever this "
        "statement allows it, and a Deny always wins",
        item.place() if whole else item.place("Action", found[0].element.index),
        "remove it, or exempt it from the Deny",
        (subject.step(witness.request, words),) if witness else (),
    )


def _undone(item: Item, found: list[Cover], subject: Subject) -> Found:
    names = list(dict.fromkeys(cover.element.text for cover in found))
    wides = list(dict.fromkeys(cover.wide.label for cover in found))
    whole = len(found) == len(item.named)
    what = "this statement restricts nothing" if whole else f"{listed(names)}: restricts nothing"
    regions = next((cover.regions for cover in found if cover.regions), None)
    where = f" in {listed(list(regions.values))}" if regions else ""
    request = found[0].beyond
    return item.found(
        f"{what}{where}: {_place_of(found)} {'allow' if len(wides) > 1 else 'allows'} the same "
        "without the restriction, and no Allow can restrict another Allow",
        item.place(),
        f"put the restriction into {listed(wides)}, or remove the action there",
        (subject.step(request, described(request, item, found[0].wide)),) if request else (),
    )


def _place_of(found: list[Cover]) -> str:
    wides = list({id(cover.wide): cover.wide for cover in found}.values())
    return " and ".join(
        f"`{wide.label}`" + (f" ({place})" if (place := wide.place()) else "") for wide in wides
    )


def _first_of_twins(item: Item, found: list[Cover], subject: Subject) -> bool:
    """Return whether an equal statement after *item* covers it: the later one is reported."""
    order = {id(each): position for position, each in enumerate(subject.items)}
    return all(
        order[id(cover.wide)] > order[id(item)] and any(_covering(cover.wide, [item]))
        for cover in found
    )


@lru_cache(4)
def _covers(subject: Subject) -> list[tuple[Item, list[Cover]]]:
    """Return each Allow whose actions are covered by other statements, with the first for each.

    A cover that cancels a restriction comes before one that only repeats.
    """
    found = []
    twins: dict[Any, list[Item]] = {}
    for item in subject.allows:
        twins.setdefault((item.said, item.written.principal), []).append(item)
    for item in subject.allows:
        best: dict[int, Cover] = {}
        # Of equal statements, one other is enough.
        others = (next((e for e in twin[:2] if e is not item), None) for twin in twins.values())
        for each in _covering(item, filter(None, others)):
            request = beyond((each.wide, *subject.denies), item, action=each.element.text)
            cover = replace(each, beyond=request)
            best[each.element.index] = min(best.get(each.element.index, cover), cover, key=_rank)
        if best:
            found.append((item, [best[index] for index in sorted(best)]))
    return found


def _rank(cover: Cover) -> tuple[bool, bool]:
    return cover.beyond is None, cover.regions is not None


def _covering(item: Item, wides: Iterable[Item]) -> Iterator[Cover]:
    """Yield the *wides* that provably match everything *item* does for one of its actions.

    A condition on regions limits only where a statement applies. A statement with only such a
    condition therefore covers, within its regions, one without.
    """
    examples: dict[Any, Request | None] = {}
    for wide in wides:
        if not _may_cover(item, wide):
            continue
        regions = _only_region(item, wide)
        further = (regions,) if regions else ()
        for element in item.named:
            if not _names_as_much(element, wide):
                continue
            asked = element.text, further
            if asked not in examples:
                examples[asked] = _example(item, element, further)
            example = examples[asked]
            if (
                example
                and wide.matches(example)
                and inside(item, wide, action=element.text, further=further).holds
            ):
                yield Cover(wide, element, None, regions)


def _example(item: Item, element: Named, further: tuple[Condition, ...]) -> Request | None:
    """Return a request that matches *item* for one of its actions, and meets *further*."""
    request = None if further else known(item, (action.full for action in element.actions))
    if request:
        return request
    conditions = (*item.statement.conditions, *further)
    witness = matched(item, action=element.text, conditions=conditions).witness
    return witness.request if witness else None


def _may_cover(item: Item, wide: Item) -> bool:
    """Return whether a proof is worthwhile; if not, there is no cover, except in rare cases."""
    if not wide.unlisted and wide.actions.keys().isdisjoint(item.actions):
        return False
    return (
        item.written.principal == wide.written.principal
        and item.written.not_principal == wide.written.not_principal
        and (
            all(_may_follow(condition, item) for condition in wide.asked)
            or bool(_only_region(item, wide))
        )
        and _may_cover_resources(item, wide)
    )


def _names_as_much(element: Named, wide: Item) -> bool:
    """Return whether *wide* covers all actions of *element*."""
    narrow = element.text.lower()
    if wide.statement.not_action is not None:
        excluded = (each.lower() for each in wide.statement.not_action)
        return element.exact and not any(pattern_covers(each, narrow) for each in excluded)
    if wide.everything:
        return True
    if not element.actions:
        return False
    if element.exact:
        return element.actions[0].full in wide.actions
    patterns = (each.text.lower() for each in wide.named if not each.exact)
    return any(pattern_covers(pattern, narrow) for pattern in patterns)


def _may_cover_resources(item: Item, wide: Item) -> bool:
    """Return whether each resource of *item* overlaps with a resource of *wide*."""
    if item.statement.resource is None or wide.statement.resource is None:
        return True
    broad = [pattern for _, pattern in wide.resources]
    return ANY in broad or all(
        pattern != ANY and any(overlap(pattern, each) for each in broad)
        for _, pattern in item.resources
    )


def _may_follow(asked: KeyCondition, item: Item) -> bool:
    """Return whether the conditions of *item* may imply the condition *asked*."""
    name = same_key(asked.condition.key)
    return asked.test({}) or any(
        same_key(condition.condition.key) == name for condition in item.asked
    )


def _only_region(item: Item, wide: Item) -> Condition | None:
    """Return the condition that limits *wide* to regions, if *item* has only other conditions."""
    if len(wide.asked) != 1 or not item.asked:
        return None
    (only,) = wide.asked
    if any(is_region(condition.condition.key) for condition in item.asked):
        return None
    return only.condition if is_region(only.condition.key) and demands_text(only) else None


def described(request: Request, *items: Item) -> str:
    """Describe *request* in words, with the condition keys that *items* test."""
    asked = {
        same_key(condition.condition.key): condition.condition.key
        for item in reversed(items)
        for condition in item.asked
    }
    known = {same_key(key): value for key, value in request.context.items()}
    parts = [_part(key, known.get(name)) for name, key in asked.items()]
    where = f" on {request.resource}" if request.resource != "*" else ""
    return f"{request.action}{where}" + (f" ({', '.join(parts)})" if parts else "")


def _part(key: str, value: str | list[str] | None) -> str:
    if value is None:
        return f"without {key}"
    return f"{key}={', '.join(value) if isinstance(value, list) else value}"
