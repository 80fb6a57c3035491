"""The search for requests: place by place, with the assumptions that it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cml_iam.space._assume import Assumptions
from cml_iam.space._boxes import TOO_MUCH, Budget
from cml_iam.space._gathered import Gathered, Memo, gather
from cml_iam.space._globs import beginning
from cml_iam.space._slice import Goal, Slice

if TYPE_CHECKING:
    from cml_iam.engine import Request
    from cml_iam.facts import Assumption
    from cml_iam.space._places import Place
    from cml_iam.space._statements import Part


class SliceResult(NamedTuple):
    """The result of a slice: a *request* with the choice it was made from, or none.

    *incomplete* says why the search was not exhaustive.
    """

    request: Request | None = None
    used: frozenset[Assumption] = frozenset()
    incomplete: tuple[str, ...] = ()

    def of_action(self, action: str) -> SliceResult:
        """Return the same for another *action*, whose requests differ in nothing that matters."""
        used = frozenset(assumption.of_action(action) for assumption in self.used)
        request = self.request and self.request._replace(action=action)
        return self._replace(request=request, used=used)


class Searcher:
    """Searches places for one goal, and caches what places have in common."""

    def __init__(
        self,
        goal: Goal,
        budget: Budget,
        *,
        callers: bool = False,
        lists: frozenset[str] = frozenset(),
        partition: str = "",
        assuming_all: bool = False,
    ) -> None:
        """Search for *goal*; with *callers*, consider the caller even if no statement names one.

        *partition* is the account's, if known. *lists* are the keys that some statement treats as a
        list, even if it is about other actions. *assuming_all* makes all possible assumptions at
        once, which suits a search for requests but not a proof.
        """
        self._goal, self._budget = goal, budget
        self._callers, self._lists, self._partition = callers, lists, partition
        self._assuming_all = assuming_all
        self._parts = goal.parts()
        self._memo: Memo = {}
        self._searched: dict[Any, SliceResult] = {}
        self._every: dict[Any, tuple[SliceResult, ...]] = {}
        self._by_shape: dict[bool, Gathered] = {}

    def _gathered(self, place: Place) -> Gathered:
        """Return what the statements require at *place*; the same for all places with an ARN."""
        on_nothing = place.fields is None
        known = self._by_shape.get(on_nothing)
        if known is None:
            known = gather(
                place,
                self._parts,
                self._memo,
                principals=self._callers,
                lists=self._lists,
                partition=self._partition,
            )
        if known.place is not place:
            known = known.at(place)
        self._by_shape[on_nothing] = known
        return known

    def at(self, place: Place, *, readable: bool = True) -> SliceResult:
        """Search *place* for a request that AWS can send.

        If the statements cannot distinguish *place* from an earlier one, the earlier result is
        used. With *readable*, a request is reused only for resources of the same type, so that it
        fits *place*.
        """
        gathered = self._gathered(place)
        mark = gathered.mark
        known = self._searched.get(mark)
        if known is not None and known.request is not None and readable:
            known = self._searched.get((mark, place.prefix, place.type))
        if known is None:
            known = self._search(gathered, self._goal, {})
            self._searched[mark] = self._searched[mark, place.prefix, place.type] = known
        return known.of_action(place.action)

    def every(self, place: Place, goals: tuple[Goal, ...]) -> tuple[SliceResult, ...]:
        """Search *place* for the first of *goals* and, with a result, for the goals within it.

        The statements of the goals are among those of this search. If a place differs from an
        earlier one in nothing that they test, the answers differ only in the action.
        """
        gathered = self._gathered(place)
        mark = (gathered.mark, goals)
        if mark not in self._every:
            slices: dict[frozenset[Assumption], Slice] = {}
            first = self._search(gathered, goals[0], slices)
            others = goals[1:] if first.request else ()
            rest = (self._search(gathered, other, slices) for other in others)
            self._every[mark] = (first, *rest)
        return tuple(result.of_action(place.action) for result in self._every[mark])

    def likeness(self, place: Place) -> tuple[Any, Any]:
        """Return what identifies equivalent places for these statements.

        It consists of the beginnings of their ARNs and the keys of their requests.
        """
        fields, *others = self._gathered(place).mark
        starts = _starts(place)
        reached = tuple(_may_reach(part, starts) for part in self._parts)
        return (fields and fields[:-1], reached), tuple(others)

    def may_be_at(self, place: Place) -> bool:
        """Return whether anything may be allowed at *place*, judging by the beginnings of ARNs."""
        starts = _starts(place)
        return all(any(_may_reach(part, starts) for part in gate) for gate in self._goal.allowed)

    def _search(
        self, gathered: Gathered, goal: Goal, slices: dict[frozenset[Assumption], Slice]
    ) -> SliceResult:
        if gathered.place.fields is None and not self._on_nothing():
            return SliceResult()
        if self._budget.left < 0:
            return SliceResult(None, incomplete=(TOO_MUCH,))
        active = gathered.inherent
        if self._assuming_all:
            active |= gathered.possible
        while True:
            slice_ = slices.get(active)
            if slice_ is None:
                assumed = Assumptions(gathered, active)
                slice_ = slices[active] = Slice(gathered, assumed, self._budget)
            given = slice_.first(goal)
            if given is None:
                return SliceResult(None, active, tuple(dict.fromkeys(slice_.incomplete)))
            broken = slice_.assumed.violated(given)
            if not broken:
                return SliceResult(slice_.request(given), active)
            active |= broken

    def _on_nothing(self) -> bool:
        """Return whether the resource `*` may be allowed, judging only by resources."""
        tests = [[part.on_nothing() for part in gate] for gate in self._goal.allowed]
        return all(any(test.keys or test.holds({}) for test in gate) for gate in tests)


def _starts(place: Place) -> tuple[str, ...] | None:
    """Return the beginnings of the ARN's fields; None for the resource `*`."""
    if place.fields is None:
        return None
    return tuple(beginning(field.symbols) for field in place.fields)


def _may_reach(part: Part, starts: tuple[str, ...] | None) -> bool:
    """Return whether *part* may match a resource with these beginnings; False is certain."""
    if starts is None or part.compiled.resource is None or part.statement.not_resource:
        return True
    return any(
        all(starts[n - 1].startswith(own) or own.startswith(starts[n - 1]) for n, own in fields)
        for fields in part.starts
    )
