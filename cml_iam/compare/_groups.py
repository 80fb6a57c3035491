"""Differing requests gathered by what makes the difference."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Final

from cml_iam.compare._clauses import Clause
from cml_iam.compare._difference import CHANGES, Answered, Change, Difference
from cml_iam.compare._sides import Side, Sides
from cml_iam.engine import ConditionReason, ElementReason, Request, StatementReason

MAX_EXPLAINED: Final = 80
"""Requests explained of each action, resource and set of statements; others are counted."""

MAX_FOUND: Final = 8


@dataclass(frozen=True, slots=True)
class Told:
    """A request the sides decide differently; *alike* as in Place."""

    change: Change
    request: Request
    alike: int = 1
    unusual: bool = False


class Groups:
    """Collects differing requests; *resolved* are the statements of either side they match."""

    def __init__(self, sides: Sides) -> None:
        self._sides = sides
        self._told: dict[Any, Difference] = {}
        self._seen: Counter[Any] = Counter()
        self.resolved: set[Clause] = set()

    def add(self, told: Told) -> None:
        """Take one request in."""
        old = self._sides.old.matching(told.request)
        new = self._sides.new.matching(told.request)
        self.resolved.update(old, new)
        rough = (told.change, told.request.action, told.request.resource, old, new)
        self._seen[rough] += 1
        if self._seen[rough] <= MAX_EXPLAINED:
            made = _difference(self._sides, told)
            known = self._told.get(_key(made))
            self._told[_key(made)] = _together(known, made) if known else made

    def differences(self) -> tuple[Difference, ...]:
        """Return the groups in order of change, without those that only add to another's cause."""
        found = list(self._told.values())
        simple = [each for each in found if not any(_adds_to(each, other) for other in found)]
        return tuple(sorted(simple, key=lambda each: (CHANGES.index(each.change), each.unusual)))


def _difference(sides: Sides, told: Told) -> Difference:
    old, reasons_old = _answered(sides.old, told.request)
    new, reasons_new = _answered(sides.new, told.request)
    if "explicitDeny" in (old.outcome, new.outcome):
        effect, decided_by_new = "Deny", new.outcome == "explicitDeny"
    else:
        effect, decided_by_new = "Allow", new.outcome == "allowed"
    decider = new if decided_by_new else old
    candidates = reasons_old if decided_by_new else reasons_new
    missed = _nearest(candidates, effect, {each.label for each in decider.statements})
    return Difference(
        change=told.change,
        witness=told.request,
        old=old,
        new=new,
        actions=(told.request.action,),
        alike=told.alike - 1,
        missed=missed,
        found=_found(missed),
        unusual=told.unusual,
    )


def _answered(side: Side, request: Request) -> tuple[Answered, tuple[StatementReason, ...]]:
    outcome = side.outcome(request)
    reasons = side.authorizer.explain(request).statements
    effect = {"allowed": "Allow", "explicitDeny": "Deny"}.get(outcome)
    deciding = tuple(each for each in reasons if each.matched and each.effect == effect)
    return Answered(outcome, deciding), reasons


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
    return (made.change, made.unusual, _deciders(made), label, _failed_parts(made.missed))


def _deciders(made: Difference) -> tuple[str, ...]:
    return tuple(each.label for side in (made.old, made.new) for each in side.statements)


def _together(one: Difference, other: Difference) -> Difference:
    return replace(
        one,
        actions=tuple(dict.fromkeys((*one.actions, *other.actions))),
        alike=one.alike + (0 if set(other.actions) <= set(one.actions) else other.alike),
        requests=one.requests + 1,
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
