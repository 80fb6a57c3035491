"""Compare policies by what they decide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from cml_iam.compare._clauses import Clause, form_of
from cml_iam.compare._difference import Comparison, ExpectationChange
from cml_iam.compare._groups import Groups, Told
from cml_iam.compare._places import World, places
from cml_iam.compare._search import Field, field_of
from cml_iam.compare._sides import EVERYTHING, Side, Sides
from cml_iam.errors import InputError
from cml_iam.expectations import Answer, Expectation, derive_expectations
from cml_iam.space import Box, leaving, meet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cml_iam.engine import Request
    from cml_iam.policy import PolicyDocument
    from cml_iam.prove import Policies, Verdict
    from cml_iam.site import Site

MAX_REQUESTS: Final = 60_000
"""Requests decided one by one; the search for differences goes on beyond them."""


@dataclass(slots=True)
class _Tally:
    """What was asked so far."""

    groups: Groups
    requests: int = 0
    changed: int = 0
    complete: bool = True


def compare_policies(
    old: Sequence[PolicyDocument], new: Sequence[PolicyDocument], site: Site | None = None
) -> Comparison:
    """Compare what the policies *old* and *new* decide, each taken as attached together.

    Both sides are asked the expectations of *site*, if given, and requests made from everything
    their statements name. What differs comes with a request as witness, decided by the engine.
    Where nothing differs, that both allow the same is proved: `Comparison.proved`.

    Raises InputError where one side names principals and the other does not.
    """
    sides = _sides(tuple(old), tuple(new))
    if not sides.differing:
        return Comparison(same=True)
    tally = _Tally(Groups(sides))
    expectations = _expectations(sides, site)
    changes = tuple(_expectation_changes(sides, expectations, tally))
    world = World(sides.clauses)
    _search(sides, world, tally)
    proved = _prove(sides, tally) if not tally.changed else None
    return Comparison(
        same=False,
        differences=tally.groups.differences(),
        requests=tally.requests,
        unchanged=tally.requests - tally.changed,
        expectations=len(expectations),
        expectation_changes=changes,
        complete=tally.complete,
        beside_everything=bool(sides.old.beside),
        proved=proved if proved is None else proved.answer,
        unproved=proved.reason if proved else "",
    )


def _prove(sides: Sides, tally: _Tally) -> Verdict:
    """Prove that both sides allow the same, where the search found no difference.

    A request that tells them apart nonetheless is one more difference; but not one for an action
    that AWS does not have, which only some later service could.
    """
    from cml_iam.prove import equivalent

    verdict = equivalent(_policies(sides.old), _policies(sides.new))
    if verdict.witness and verdict.witness.unlisted:
        action = verdict.witness.request.action
        return replace(verdict, reason=f"an action such as {action}, which AWS does not list")
    if verdict.witness:
        _ask(sides, verdict.witness.request, tally)
    return verdict


def _policies(side: Side) -> Policies:
    from cml_iam.prove import Policies

    if side.form == "resource":
        return Policies(resource=side.documents[0])
    return Policies((*side.documents, *side.beside))


def _sides(old: tuple[PolicyDocument, ...], new: tuple[PolicyDocument, ...]) -> Sides:
    form = form_of((*old, *new))
    if form == "resource" and (len(old) > 1 or len(new) > 1):
        raise InputError("a resource has one policy; compare one file with one file")
    sides = Sides(Side(old, form), Side(new, form))
    if form == "attached" and not any(each.allows for each in sides.clauses):
        # Denies mean nothing by themselves; beside everything, they are all that is left to tell.
        return Sides(*(replace(each, beside=(EVERYTHING,)) for each in (sides.old, sides.new)))
    return sides


def _expectations(sides: Sides, site: Site | None) -> tuple[Expectation, ...]:
    return derive_expectations(site) if site and sides.old.form == "attached" else ()


def _expectation_changes(
    sides: Sides, expectations: Iterable[Expectation], tally: _Tally
) -> Iterator[ExpectationChange]:
    for each in expectations:
        for request in each.requests:
            _ask(sides, request, tally)
        old, new = (_answer(side, each) for side in (sides.old, sides.new))
        if old != new:
            yield ExpectationChange(each, old, new)


def _answer(side: Side, expectation: Expectation) -> Answer:
    allowed = all(side.outcome(each) == "allowed" for each in expectation.requests)
    return "allowed" if allowed else "refused"


def _search(sides: Sides, world: World, tally: _Tally) -> None:
    """Ask everywhere; then, for statements still unaccounted for, with unusual requests."""
    for unusual in (False, True):
        wanted = sides.differing - tally.groups.resolved
        if not wanted:
            return
        for place in places(world, unusual=unusual):
            clauses = world.concerning(place.action)
            if unusual and not wanted.intersection(clauses):
                continue
            field = field_of(place, clauses, unusual=unusual)
            for request in () if unusual else _population(field, tally):
                _ask(sides, request, tally, alike=place.alike)
            for request in _witnesses(sides, field, wanted, tally):
                _ask(sides, request, tally, alike=place.alike, unusual=unusual)


def _ask(
    sides: Sides, request: Request, tally: _Tally, *, alike: int = 1, unusual: bool = False
) -> None:
    tally.requests += 1
    change = sides.change(request)
    if change:
        tally.changed += 1
        tally.groups.add(Told(change, request, alike, unusual))


def _population(field: Field, tally: _Tally) -> Iterator[Request]:
    if tally.requests < MAX_REQUESTS:
        yield from field.neighbours()


def _witnesses(
    sides: Sides, field: Field, wanted: frozenset[Clause], tally: _Tally
) -> Iterator[Request]:
    """Yield a request for each statement of *wanted* that makes a difference here."""
    tally.complete = tally.complete and field.complete
    for mine, others in sides.pairs():
        denied = _boxes(field, mine, allows=False)
        allowed = _boxes(field, others, allows=True)
        refused = _boxes(field, others, allows=False)
        for clause in mine.clauses:
            box = field.boxes.get(clause) if clause in wanted else None
            if box is None:
                continue
            if clause.allows:
                goals = [(box, [*denied, *allowed])]
            else:
                met = (meet(box, each) for each in allowed)
                goals = [*((each, refused) for each in met if each), (box, refused)]
            yield from _first(field, goals, tally)


def _first(
    field: Field, goals: Iterable[tuple[Box, list[Box]]], tally: _Tally
) -> Iterator[Request]:
    """Yield the first request that reaches one of *goals*: a box, and those to be outside of."""
    for box, outside in goals:
        found, certain = leaving(box, outside)
        tally.complete = tally.complete and certain
        if found:
            yield field.request(found)
            return


def _boxes(field: Field, side: Side, *, allows: bool) -> list[Box]:
    return [
        field.boxes[each] for each in side.clauses if each.allows is allows and each in field.boxes
    ]
