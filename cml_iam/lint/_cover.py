"""Allows that restrict nothing because another Allow covers them, and Allows that a Deny refuses.

Permissions add up: a request is allowed if any Allow matches it, so a narrower Allow restricts
nothing while a broader one exists.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from cml_iam.engine import Request
from cml_iam.facts import ANY, is_region, overlap, same_key
from cml_iam.lint._ask import beyond, inside, known, matched
from cml_iam.lint._finding import Fault, Step, listed
from cml_iam.lint._subject import Item, Named, Subject
from cml_iam.policy import Condition, pattern_covers, pattern_matches


class Cover(NamedTuple):
    """A statement *wide* that matches everything another statement does for the action *element*.

    If only in some regions, *regions* is the condition that limits *wide* to them. *beyond* is a
    request for that action which the documents allow and the other statement does not match.
    """

    wide: Item
    element: Named
    regions: Condition | None
    beyond: Request | None = None


def restricts_nothing(subject: Subject) -> Iterator[Fault]:
    for item, every in _covers(subject):
        covers = [cover for cover in every if cover.beyond]
        if not covers:
            continue
        regions = next((cover.regions for cover in covers if cover.regions), None)
        where = f" in {listed(regions.values)}" if regions else ""
        wides, names = _labels(covers), dict.fromkeys(cover.element.text for cover in covers)
        whole = len(covers) == len(item.named)
        opening = "this statement restricts" if whole else f"{listed([*names])}: restricts"
        yield item.fault(
            f"{opening} nothing{where}: {_places(covers)} "
            f"{'allow' if wides[1:] else 'allows'} the same without the restriction, and no "
            "Allow can restrict another Allow",
            f"put the restriction into {listed(wides)}, or remove the action there",
            witness=_witness(item, covers, covers[0].beyond),
        )


def redundant(subject: Subject) -> Iterator[Fault]:
    for item, covers in _covers(subject):
        if any(cover.beyond or cover.regions for cover in covers):
            continue
        if len(covers) == len(item.named) and not _first_of_twins(item, covers):
            wides = _labels(covers)
            yield item.fault(
                f"{listed(wides)} already {'allow' if wides[1:] else 'allows'} everything "
                "that this statement allows",
                "remove it",
            )


def shadowed(item: Item) -> Iterator[Fault]:
    by_element: dict[int, Cover] = {}
    for cover in _covering(item, item.subject.denies if item.allows else ()):
        if cover.regions is None:
            by_element.setdefault(cover.element.index, cover)
    if not by_element:
        return
    covers = [by_element[index] for index in sorted(by_element)]
    whole = len(covers) == len(item.named)
    names = [cover.element.text for cover in covers]
    opening = "this statement allows nothing" if whole else f"{listed(names)}: not allowed"
    several = len({cover.wide for cover in covers}) > 1
    witness = matched(item, action=covers[0].element.text).witness
    yield item.fault(
        f"{opening}: {_places(covers)} {'refuse' if several else 'refuses'} it wherever this "
        "statement allows it, and a Deny always wins",
        "remove it, or exempt it from the Deny",
        () if whole else ("Action", covers[0].element.index),
        _witness(item, covers, witness.request if witness else None),
    )


def _witness(item: Item, covers: list[Cover], request: Request | None) -> tuple[Step, ...]:
    """Return *request* as a step, described by the keys that both statements test."""
    if request is None:
        return ()
    conditions = (*covers[0].wide.clauses, *item.clauses)
    keys = {same_key(condition.key): condition.key for condition in conditions}
    values = {same_key(key): value for key, value in request.context.items()}
    parts = [_part(key, values.get(name)) for name, key in keys.items()]
    where = f" on {request.resource}" if request.resource != "*" else ""
    says = f"{request.action}{where}" + (f" ({', '.join(parts)})" if parts else "")
    return (item.subject.step(request, says),)


def _part(key: str, value: str | list[str] | None) -> str:
    if value is None:
        return f"without {key}"
    return f"{key}={', '.join(value) if isinstance(value, list) else value}"


def _labels(covers: list[Cover]) -> list[str]:
    return list(dict.fromkeys(cover.wide.label for cover in covers))


def _places(covers: list[Cover]) -> str:
    return " and ".join(wide.called for wide in dict.fromkeys(cover.wide for cover in covers))


def _first_of_twins(item: Item, covers: list[Cover]) -> bool:
    """Return whether an equal statement after *item* covers it: the later one is reported."""
    order = item.subject.items.index
    return all(
        order(cover.wide) > order(item) and any(_covering(cover.wide, [item])) for cover in covers
    )


@lru_cache(4)
def _covers(subject: Subject) -> list[tuple[Item, list[Cover]]]:
    """Return each Allow whose actions are covered by other statements, with the first for each.

    A cover that cancels a restriction comes before one that only repeats.
    """
    covered = []
    twins: dict[Any, list[Item]] = {}
    for item in subject.allows:
        twins.setdefault((item.content, item.written.principal), []).append(item)
    for item in subject.allows:
        best: dict[int, Cover] = {}
        # Of equal statements, one other is enough.
        others = (next((e for e in twin[:2] if e is not item), None) for twin in twins.values())
        for covering in _covering(item, filter(None, others)):
            index, action = covering.element.index, covering.element.text
            request = beyond((covering.wide, *subject.denies), item, action=action)
            cover = covering._replace(beyond=request)
            best[index] = min(best.get(index, cover), cover, key=_rank)
        if best:
            covered.append((item, [best[index] for index in sorted(best)]))
    return covered


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
            question = element.text, further
            if question not in examples:
                examples[question] = _example(item, element, further)
            example = examples[question]
            if (
                example
                and wide.matches(example)
                and inside(item, wide, action=element.text, further=further)
            ):
                yield Cover(wide, element, regions)


def _example(item: Item, element: Named, further: tuple[Condition, ...]) -> Request | None:
    request = None if further else known(item, (action.full for action in element.actions))
    if request:
        return request
    conditions = (*item.statement.conditions, *further)
    witness = matched(item, action=element.text, conditions=conditions).witness
    return witness.request if witness else None


def _may_cover(item: Item, wide: Item) -> bool:
    """Return whether a proof is worthwhile; if not, there is no cover, except in rare cases.

    The conditions of *item* may imply one of *wide* that it has too, or that holds without its key.
    """
    if not wide.unlisted and wide.actions.keys().isdisjoint(item.actions):
        return False
    one, other = item.written, wide.written
    if (one.principal, one.not_principal) != (other.principal, other.not_principal):
        return False
    keys = {same_key(clause.key) for clause in item.clauses}
    follow = all(clause.test({}) or same_key(clause.key) in keys for clause in wide.clauses)
    if not follow and not _only_region(item, wide):
        return False
    if item.statement.resource is None or wide.statement.resource is None:
        return True
    broad = [pattern for _, pattern in wide.resources]
    return ANY in broad or all(
        pattern != ANY and any(overlap(pattern, other) for other in broad)
        for _, pattern in item.resources
    )


def _names_as_much(element: Named, wide: Item) -> bool:
    """Return whether *wide* covers all actions of *element*."""
    narrow = element.text.lower()
    excluded = wide.statement.not_action
    if excluded is not None:
        return element.exact and not any(pattern_covers(e.lower(), narrow) for e in excluded)
    if wide.everything:
        return True
    if not element.actions:
        return False
    if element.exact:
        return element.actions[0].full in wide.actions
    patterns = (other.text.lower() for other in wide.named if not other.exact)
    return any(pattern_covers(pattern, narrow) for pattern in patterns)


def _only_region(item: Item, wide: Item) -> Condition | None:
    """Return the condition that limits *wide* to regions, if *item* has only other conditions."""
    if len(wide.clauses) != 1 or not item.clauses:
        return None
    (only,) = wide.clauses
    if any(is_region(clause.key) for clause in item.clauses):
        return None
    return only.condition if is_region(only.key) and only.demands else None


def redundant_elements(item: Item) -> Iterator[Fault]:
    for element, texts in item.elements.items():
        yield from _named_already(item, texts, element)
    for kind, names in item.principals():
        yield from _named_already(item, names, "Principal", kind)
    yield from _included_sessions(item)
    for clause in item.clauses:
        compares = clause.operator.base.startswith(("numericless", "numericgreater"))
        if compares and len(clause.values) > 1:
            yield clause.fault(
                f"{clause.condition.operator} with several numbers holds if one of them fits, so "
                "only one of them makes a difference",
                "name one number",
            )


def _named_already(item: Item, texts: Sequence[str], *element: str) -> Iterator[Fault]:
    forms = [_fields(text, element[0]) for text in texts]
    wide = {form: text for form, text in zip(forms, texts, strict=True) if "*" in text}
    seen: dict[tuple[str, ...], str] = {}
    for index, form in enumerate(forms):
        covering = (text for other, text in wide.items() if other != form and _plainly(other, form))
        other = seen.get(form) or next(covering, None)
        if other is not None:
            yield item.fault(
                f"`{texts[index]}` is already included in `{other}`",
                "remove one of the two",
                (*element, index),
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


def _included_sessions(item: Item) -> Iterator[Fault]:
    names = item.ids("AWS")
    for index, name in enumerate(names):
        session = re.fullmatch(r"(arn:[^:]*):sts::([0-9]{12}):assumed-role/([^/]+)/.*", name)
        role = session and f"{session[1]}:iam::{session[2]}:role/{session[3]}"
        if role in names:
            yield item.fault(
                f"`{name}` is a session of `{role}`, which is a principal of the statement too",
                "remove one of the two",
                ("Principal", "AWS", index),
            )
