"""Whether one Allow says all that another says: then the other restricts nothing.

Permissions add up: a request is allowed if any Allow matches it, so a narrower Allow beside a
broader one takes nothing away.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cml_iam.facts import arn_pattern, covers, is_region, same_key
from cml_iam.lint._conditions import NULL, Op, holds_without_key, parse_operator, value_patterns
from cml_iam.lint._effect import listed
from cml_iam.lint._finding import Found
from cml_iam.lint._witness import allowed_but_denied, forbidden_but_allowed
from cml_iam.policy import pattern_covers, patterns_overlap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.lint._subject import Item, Named, Subject
    from cml_iam.policy import Condition


@dataclass(frozen=True, slots=True)
class Cover:
    """*wide* allows the action *element* of another statement wherever that one does.

    *narrower* says whether it allows it in more cases; *regions* is the condition that bounds
    *wide* to some regions, where it is the only thing in the way.
    """

    wide: Item
    element: Named
    narrower: bool
    regions: Condition | None = None


def restricts_nothing(subject: Subject) -> Iterator[Found]:
    """Yield Allows whose restrictions a broader Allow undoes."""
    for item in subject.allows:
        found = [cover for cover in _covers(item, subject) if cover.narrower]
        if found:
            yield _undone(item, found, subject)


def redundant(subject: Subject) -> Iterator[Found]:
    """Yield Allows that say only what others say already, without restricting anything."""
    order = {id(item): position for position, item in enumerate(subject.items)}
    for item in subject.allows:
        found = _covers(item, subject)
        if not found or any(cover.narrower or cover.regions for cover in found):
            continue
        if {cover.element.index for cover in found} < {each.index for each in item.named}:
            continue
        wides = list(dict.fromkeys(cover.wide.label for cover in found))
        if _first_of_twins(item, found, order, subject):
            continue
        yield Found(
            f"{listed(wides)} already allows all that this statement does",
            item.place(),
            "remove it",
            item.label,
        )


def shadowed(subject: Subject) -> Iterator[Found]:
    """Yield Allows of what a Deny refuses wholly."""
    for item in subject.allows:
        found: dict[int, Cover] = {}
        for deny in subject.denies:
            for cover in _covers_by(item, deny, subject):
                if cover.regions is None:
                    found.setdefault(cover.element.index, cover)
        if found:
            yield _shadowed(item, [found[index] for index in sorted(found)], subject)


def _shadowed(item: Item, found: list[Cover], subject: Subject) -> Found:
    names = [cover.element.text for cover in found]
    whole = len(found) == len(item.named)
    what = "this statement allows nothing" if whole else f"{listed(names)}: not allowed"
    wides = {id(cover.wide): cover.wide for cover in found}
    return Found(
        f"{what}: {_place_of(found)} {'refuse' if len(wides) > 1 else 'refuses'} it wherever this "
        "statement allows it, and a Deny always wins",
        item.place() if whole else item.place("Action", found[0].element.index),
        "remove it, or except it from the Deny",
        item.label,
        allowed_but_denied(item, [(cover.wide, cover.element) for cover in found], subject),
    )


def _first_of_twins(
    item: Item, found: list[Cover], order: dict[int, int], subject: Subject
) -> bool:
    """Say whether what covers *item* stands behind it and says the same: then that goes."""
    return all(
        order[id(cover.wide)] > order[id(item)]
        and any(back.wide is item for back in _covers_by(cover.wide, item, subject))
        for cover in found
    )


def _undone(item: Item, found: list[Cover], subject: Subject) -> Found:
    names = list(dict.fromkeys(cover.element.text for cover in found))
    wides = list(dict.fromkeys(cover.wide.label for cover in found))
    whole = len({cover.element.index for cover in found}) == len(item.named)
    what = "this statement restricts nothing" if whole else f"{listed(names)}: restricts nothing"
    regions = next((cover.regions for cover in found if cover.regions), None)
    where = f" in {listed(list(regions.values))}" if regions else ""
    return Found(
        f"{what}{where}: {_place_of(found)} {'allow' if len(wides) > 1 else 'allows'} the same "
        "without the restriction, and what one Allow grants another cannot take away",
        item.place(),
        f"put the restriction into {listed(wides)}, or remove the action there",
        item.label,
        forbidden_but_allowed(item, [(cover.wide, cover.element) for cover in found], subject),
    )


def _place_of(found: list[Cover]) -> str:
    wides = list({id(cover.wide): cover.wide for cover in found}.values())
    return " and ".join(
        f"`{wide.label}`" + (f" ({place})" if (place := wide.place()) else "") for wide in wides
    )


def _covers(item: Item, subject: Subject) -> list[Cover]:
    """Return for each action of *item* the other statement that allows as much, if any does.

    One that undoes a restriction comes before one that says the same.
    """
    found = []
    others = [each for each in subject.allows if each is not item]
    by_other = [_covers_by(item, other, subject) for other in others]
    for element in item.named:
        mine = [c for covers_ in by_other for c in covers_ if c.element is element]
        mine.sort(key=lambda cover: (not cover.narrower, cover.regions is not None))
        found += mine[:1]
    return found


def _covers_by(item: Item, wide: Item, subject: Subject) -> list[Cover]:
    """Return what `_all_covers_by` does, looked for once."""
    key = "covers", id(item), id(wide)
    if key not in subject.found:
        subject.found[key] = _all_covers_by(item, wide)
    found: list[Cover] = subject.found[key]
    return found


def _all_covers_by(item: Item, wide: Item) -> list[Cover]:
    named = [
        element
        for element in item.named
        if (element.actions or element.everything) and _covers_action(element, wide)
    ]
    if not named:
        return []
    if item.statement.action is None or not _principals_agree(item, wide):
        return []
    if not _covers_resources(item, wide):
        return []
    left = [each for each in wide.statement.conditions if not _implied(each, item)]
    regions = None
    if left:
        # A region says where and not what: there, nothing else stands in the way.
        if len(left) > 1 or not _only_region(left[0]) or not _restricted_otherwise(item):
            return []
        regions = left[0]
    narrower = regions is not None or not _as_narrow(item, wide)
    return [Cover(wide, element, narrower, regions) for element in named]


def _principals_agree(item: Item, wide: Item) -> bool:
    ours, theirs = item.statement, wide.statement
    return ours.principal == theirs.principal and ours.not_principal == theirs.not_principal


def _only_region(condition: Condition) -> bool:
    op = parse_operator(condition.operator)
    plain = op is not None and op.positive_text and not op.qualifier
    return plain and is_region(condition.key) and bool(condition.values)


def _restricted_otherwise(item: Item) -> bool:
    """Say whether *item* is bound by something, and to no regions."""
    conditions = item.statement.conditions
    return bool(conditions) and not any(is_region(each.key) for each in conditions)


def _as_narrow(item: Item, wide: Item) -> bool:
    """Say whether *wide* is bound by all that binds *item*, so that nothing is undone."""
    if not _covers_resources(wide, item):
        return False
    return all(_implied(each, wide) for each in item.statement.conditions)


def _covers_action(element: Named, wide: Item) -> bool:
    """Say whether *wide* names all that *element* names, and can match requests for it."""
    return _names_as_much(element, wide) and all(
        holds_without_key(condition) or any(each.has_key(condition.key) for each in element.actions)
        for condition in wide.statement.conditions
    )


def _names_as_much(element: Named, wide: Item) -> bool:
    narrow = element.text.lower()
    if wide.statement.not_action is not None:
        excluded = (each.lower() for each in wide.statement.not_action)
        return element.exact and not any(pattern_covers(each, narrow) for each in excluded)
    if wide.everything:
        return True
    if element.exact:
        return all(each.full in wide.actions for each in element.actions)
    service = narrow.partition(":")[0]
    return any(pattern_covers(each, narrow) for each in wide.patterns.get(service, ()))


def _covers_resources(item: Item, wide: Item) -> bool:
    ours, theirs = item.statement, wide.statement
    if ours.resource is None or theirs.resource is None:
        same = ours.resource == theirs.resource and ours.not_resource == theirs.not_resource
        return same or theirs.resource == ("*",)
    return all(
        any(_covers_resource(text, item, other, wide) for other in theirs.resource)
        for text in ours.resource
    )


def _covers_resource(text: str, item: Item, other: str, wide: Item) -> bool:
    if other in ("*", text):
        return True
    if "${" in other:
        return False
    narrow = arn_pattern(text, variables=item.variables)
    broad = arn_pattern(other, variables=wide.variables)
    return bool(narrow and broad and covers(broad, narrow))


def _implied(condition: Condition, item: Item) -> bool:
    """Say whether every request that meets the conditions of *item* meets *condition*."""
    return any(_implies(own, condition) for own in item.statement.conditions)


def _implies(own: Condition, condition: Condition) -> bool:
    if same_key(own.key) != same_key(condition.key):
        return False
    ours, theirs = parse_operator(own.operator), parse_operator(condition.operator)
    if ours is None or theirs is None:
        return False
    if (ours.base, ours.qualifier) == (theirs.base, theirs.qualifier):
        weaker = theirs.if_exists or not ours.if_exists
        if weaker and set(own.values) == set(condition.values):
            return True
    return _implies_texts(own, ours, condition, theirs)


def _implies_texts(own: Condition, ours: Op, condition: Condition, theirs: Op) -> bool:
    if any("${" in value for value in (*own.values, *condition.values)):
        return False
    if ours.qualifier != theirs.qualifier or (ours.if_exists and not theirs.if_exists):
        return False
    if NULL in (ours.base, theirs.base):
        return False
    if theirs.base in _NOT and ours.base in _TEXTS and not ours.qualifier and not ours.if_exists:
        unwanted, mine = value_patterns(condition, theirs), value_patterns(own, ours)
        return not any(patterns_overlap(one, other) for one in mine for other in unwanted)
    if ours.negated and ours.base == theirs.base and ours.base in _NEGATED_TEXTS:
        return set(condition.values) <= set(own.values)
    if ours.base not in _TEXTS or theirs.base not in _TEXTS:
        return False
    wide = value_patterns(condition, theirs)
    return all(any(pattern_covers(w, mine) for w in wide) for mine in value_patterns(own, ours))


_NOT = {"stringnotequals", "stringnotlike"}
_TEXTS = {"stringequals", "stringlike"}
_NEGATED_TEXTS = {"stringnotequals", "stringnotlike", "stringnotequalsignorecase"}
