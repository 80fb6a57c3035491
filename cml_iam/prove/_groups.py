"""Differences explained, and gathered by what makes them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from cml_iam.engine import ConditionReason, ElementReason, Request, StatementReason
from cml_iam.prove._comparison import CHANGES, Difference, change_of
from cml_iam.prove._question import answered
from cml_iam.space import Side

MAX_FOUND: Final = 8
"""Values kept that a statement met and did not fit."""


def difference_of(old_side: Side, new_side: Side, request: Request) -> Difference | None:
    """Explain how both sides decide *request*; None if they decide it alike."""
    old, reasons_old = answered(old_side, request)
    new, reasons_new = answered(new_side, request)
    change = change_of(old.outcome, new.outcome)
    if change is None:
        return None
    if "explicitDeny" in (old.outcome, new.outcome):
        effect, decided_by_new = "Deny", new.outcome == "explicitDeny"
    else:
        effect, decided_by_new = "Allow", new.outcome == "allowed"
    decider, candidates = (new, reasons_old) if decided_by_new else (old, reasons_new)
    missed = _nearest(candidates, effect, {each.label for each in decider.statements})
    return Difference(
        change, request, old, new, (request.action,), missed=missed, found=_found(missed)
    )


def grouped(differences: Iterable[Difference]) -> tuple[Difference, ...]:
    """Gather what differs for one reason, in order of change.

    What has another's causes and more says nothing new, and is left out.
    """
    found = gathered(differences)
    simple = [each for each in found if not any(_adds_to(each, other) for other in found)]
    return tuple(sorted(simple, key=lambda each: (CHANGES.index(each.change), each.unlisted)))


def gathered(differences: Iterable[Difference]) -> tuple[Difference, ...]:
    """Gather what differs for one reason; requests that count further actions count others."""
    groups: dict[Any, Difference] = {}
    for each in differences:
        key = _key(each)
        groups[key] = _together(groups[key], each) if key in groups else each
    return tuple(groups.values())


def _nearest(
    reasons: tuple[StatementReason, ...], effect: str, labels: set[str]
) -> StatementReason | None:
    """Return the statement of *effect* that comes closest to applying: of the same name first."""
    close = [
        each
        for each in reasons
        if each.effect == effect
        and not each.matched
        and (each.label in labels or not _failed_parts(each) & {"Action", "NotAction"})
    ]
    return min(close, key=lambda each: (each.label not in labels, len(each.failed)), default=None)


def _failed_parts(reason: StatementReason | None) -> frozenset[str]:
    return frozenset(map(_part, reason.failed)) if reason else frozenset()


def _part(part: ElementReason | ConditionReason) -> str:
    if isinstance(part, ConditionReason):
        return f"{part.operator} {part.key}".lower()
    return part.element


def _found(missed: StatementReason | None) -> tuple[str | None, ...]:
    """Return the value that kept *missed* from applying, where it was one only."""
    if missed is None or len(missed.failed) != 1:
        return ()
    (part,) = missed.failed
    if isinstance(part, ConditionReason):
        return (None if part.found is None else " + ".join(part.found),)
    return (part.found,)


def _key(made: Difference) -> tuple[Any, ...]:
    label = made.missed.label if made.missed else None
    return (made.change, made.unlisted, _deciders(made), label, _failed_parts(made.missed))


def _deciders(made: Difference) -> tuple[str, ...]:
    return tuple(each.label for side in (made.old, made.new) for each in side.statements)


def _together(one: Difference, other: Difference) -> Difference:
    return replace(
        one,
        actions=tuple(dict.fromkeys((*one.actions, *other.actions))),
        alike=one.alike + other.alike,
        others=one.others or other.others,
        found=tuple(dict.fromkeys((*one.found, *other.found)))[:MAX_FOUND],
    )


def _adds_to(one: Difference, other: Difference) -> bool:
    """Say whether *one* has the causes of *other* and more, so that it tells nothing new."""
    same = one.change == other.change and set(one.actions) <= set(other.actions)
    if not same or one.missed is None or other.missed is None:
        return False
    if one.missed.label != other.missed.label:
        return False
    mine, theirs = _causes(one), _causes(other)
    return all(a >= b for a, b in zip(mine, theirs, strict=True)) and mine != theirs


def _causes(made: Difference) -> tuple[frozenset[str], frozenset[str]]:
    return frozenset(_deciders(made)), _failed_parts(made.missed)
