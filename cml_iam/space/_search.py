"""The search for requests: place by place, with the assumptions that it needs.

One slice of a question is a place, and the statements about it as boxes of requests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

from cml_iam.engine import Request
from cml_iam.facts import Assumption
from cml_iam.space._assume import Assumptions
from cml_iam.space._axes import AxisMaker
from cml_iam.space._boxes import (
    TESTED,
    TOO_MUCH,
    Box,
    Budget,
    complement,
    leaving,
    lowest,
    meet,
    merged,
)
from cml_iam.space._gathered import Frame, Gathered, Memo
from cml_iam.space._globs import beginning
from cml_iam.space._places import Place
from cml_iam.space._statements import CALLER, FIELD_KEYS, Choice, FieldPattern, Part, Test

MAX_MEETS = 4_000
"""The maximum number of combinations of statements from several policy types that are examined."""


class Goal(NamedTuple):
    """The request to find: a statement of each group in *allowed* matches, and none of *refused*.

    In addition, a statement of *or_denied* must match it, or no statement in some group of *or_not*
    may match it. Without *or_not*, there is no further requirement.
    """

    allowed: tuple[tuple[Part, ...], ...]
    refused: tuple[Part, ...]
    or_denied: tuple[Part, ...] = ()
    or_not: tuple[tuple[Part, ...], ...] = ()

    def parts(self) -> tuple[Part, ...]:
        """Return every statement."""
        groups = (*self.allowed, self.refused, self.or_denied, *self.or_not)
        return tuple(dict.fromkeys(part for group in groups for part in group))


class SliceResult(NamedTuple):
    """The result of a slice: a *request*, or none; *incomplete* says why one may be missed."""

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
        self, goal: Goal, budget: Budget, frame: Frame, *, assuming_all: bool = False
    ) -> None:
        """Search for *goal*; *assuming_all*, which suits no proof, assumes all that is possible."""
        self._goal, self._budget, self._frame = goal, budget, frame
        self._assuming_all = assuming_all
        self._parts = goal.parts()
        self._memo: Memo = {}
        self._searched: dict[Any, SliceResult] = {}
        self._every: dict[Any, tuple[SliceResult, ...]] = {}
        self._by_shape: dict[bool, Gathered] = {}

    def _gathered(self, place: Place) -> Gathered:
        """Return what the statements require at *place*; the same for all places with an ARN."""
        on_nothing = place.fields is None
        gathered = self._by_shape.get(on_nothing)
        if gathered is None:
            gathered = Gathered(place, self._parts, self._memo, self._frame)
        if gathered.place is not place:
            gathered = gathered.at(place)
        self._by_shape[on_nothing] = gathered
        return gathered

    def at(self, place: Place, *, readable: bool = True) -> SliceResult:
        """Search *place* for a request that AWS can send.

        If the statements cannot distinguish *place* from an earlier one, the earlier result is
        used. With *readable*, a request is reused only for resources of the same type, so that it
        fits *place*.
        """
        gathered = self._gathered(place)
        mark = gathered.mark
        result = self._searched.get(mark)
        if result is not None and result.request is not None and readable:
            result = self._searched.get((mark, place.prefix, place.type))
        if result is None:
            result = self._search(gathered, self._goal, {})
            self._searched[mark] = self._searched[mark, place.prefix, place.type] = result
        return result.of_action(place.action)

    def every(self, place: Place, goals: tuple[Goal, ...]) -> tuple[SliceResult, ...]:
        """Search *place* for the first of *goals* and, with a result, for the goals within it.

        The statements of the goals are among those of this search. If a place differs from an
        earlier one in nothing that they test, the answers differ only in the action.
        """
        gathered = self._gathered(place)
        mark = (gathered.mark, goals)
        if mark not in self._every:
            slices: dict[frozenset[Assumption], _Slice] = {}
            first = self._search(gathered, goals[0], slices)
            others = goals[1:] if first.request else ()
            rest = (self._search(gathered, other, slices) for other in others)
            self._every[mark] = (first, *rest)
        return tuple(result.of_action(place.action) for result in self._every[mark])

    def likeness(self, place: Place) -> tuple[Any, Any]:
        """Return what equivalent places share: beginnings of their ARNs, keys of their requests."""
        fields, *others = self._gathered(place).mark
        starts = _starts(place)
        reached = tuple(_may_reach(part, starts) for part in self._parts)
        return (fields and fields[:-1], reached), tuple(others)

    def may_be_at(self, place: Place) -> bool:
        """Return whether anything may be allowed at *place*, judging by the beginnings of ARNs."""
        starts = _starts(place)
        return all(any(_may_reach(part, starts) for part in gate) for gate in self._goal.allowed)

    def _search(
        self, gathered: Gathered, goal: Goal, slices: dict[frozenset[Assumption], _Slice]
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
                slice_ = slices[active] = _Slice(gathered, assumed, self._budget)
            choice = slice_.first(goal)
            if choice is None:
                return SliceResult(None, active, tuple(dict.fromkeys(slice_.incomplete)))
            broken = slice_.assumed.violated(choice)
            if not broken:
                return SliceResult(slice_.request(choice), active)
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


class _Slice:
    """The axes of a place under some assumptions, and its statements as boxes."""

    def __init__(self, gathered: Gathered, assumed: Assumptions, budget: Budget) -> None:
        self.assumed, self._place, self._budget = assumed, gathered.place, budget
        self._tests: dict[Part, list[Test]] = {}
        tests = [test for part in gathered.parts for test in self._all_tests(part)]
        maker = AxisMaker(gathered, assumed, budget)
        self._axes = maker.axes(tests)
        self.incomplete = maker.incomplete
        self._of_key = {key: n for n, axis in enumerate(self._axes) for key in axis.keys}
        self._bits: dict[Test, int] = {}
        self._boxes: dict[Part, list[Box]] = {}
        self._whole: Box = tuple((1 << len(axis.choices)) - 1 for axis in self._axes)

    def first(self, goal: Goal) -> Choice | None:
        """Return the first choice for *goal*; None if there is none or the search gave up."""
        if not all(self._whole):
            return None
        for box, outside in self._aims(goal):
            left, certain = leaving(box, outside, self._budget)
            if left is not None:
                choice: dict[str, Any] = {}
                for axis, bits in zip(self._axes, left, strict=True):
                    choice.update(axis.choices[lowest(bits)])
                return choice
            if not certain:
                self.incomplete.append(TOO_MUCH)
                return None
        return None

    def request(self, choice: Choice) -> Request:
        """Return the request of a choice."""
        resource = "*"
        if self._place.fields is not None:
            resource = ":".join(("arn", *(choice[key] for key in FIELD_KEYS[1:])))
        context = {k: v for k, v in choice.items() if k not in FIELD_KEYS and k != CALLER}
        return Request(self._place.action, resource, choice.get(CALLER), context)

    def _aims(self, goal: Goal) -> Iterator[tuple[Box, list[Box]]]:
        """Yield boxes, each with the boxes that the request must be outside of."""
        refused = self._all_boxes(goal.refused)
        starts = self._meets(goal.allowed)
        if not goal.or_not:
            yield from ((box, refused) for box in starts)
            return
        for box in starts:
            for gate in goal.or_not:
                yield box, [*refused, *self._all_boxes(gate)]
        for box in starts:
            for denied in self._all_boxes(goal.or_denied):
                both = meet(box, denied)
                if both is not None:
                    yield both, refused

    def _meets(self, gates: Sequence[Sequence[Part]]) -> list[Box]:
        boxes = [self._whole]
        for gate in gates:
            met = (meet(one, other) for one, other in product(boxes, self._all_boxes(gate)))
            boxes = list(dict.fromkeys(box for box in met if box is not None))
            if len(boxes) > MAX_MEETS:
                self.incomplete.append("too many combinations of statements")
                boxes = boxes[:MAX_MEETS]
        return boxes

    def _all_boxes(self, parts: Iterable[Part]) -> list[Box]:
        boxes: list[Box] = []
        for part in parts:
            if part not in self._boxes:
                self._boxes[part] = self._made(part)
            boxes += self._boxes[part]
        return boxes

    def _made(self, part: Part) -> list[Box]:
        box = self._narrowed(self._whole, self._plain_tests(part))
        if box is None or self._place.fields is None or part.compiled.resource is None:
            return [] if box is None else [box]
        outside = part.statement.not_resource is not None
        if outside:
            box = None if part.spoilt else self._narrowed(box, part.resolves())
        if box is None:
            return []
        named = (self._narrowed(box, map(FieldPattern.test, fields)) for fields in part.patterns)
        boxes = [named_box for named_box in named if named_box is not None]
        left = complement(box, boxes) if outside else merged(boxes)
        if left is None:
            self.incomplete.append("a NotResource with too many parts")
        return left or []

    def _narrowed(self, box: Box | None, tests: Iterable[Test]) -> Box | None:
        for test in tests:
            if box is not None:
                box = self._tested(box, test)
        return box

    def _tested(self, box: Box, test: Test) -> Box | None:
        """Return the part of *box* where *test* holds; None if there is none."""
        if not test.keys:
            return box if test.holds({}) else None
        number = self._of_key[next(iter(test.keys))]
        bits = self._bits.get(test)
        if bits is None:
            choices = self._axes[number].choices
            self._budget.left -= TESTED * len(choices)
            bits = sum(1 << index for index, choice in enumerate(choices) if test.holds(choice))
            self._bits[test] = bits
        left = box[number] & bits
        return (*box[:number], left, *box[number + 1 :]) if left else None

    def _plain_tests(self, part: Part) -> list[Test]:
        """Return the tests that all hold when *part* matches, except those of ARNs."""
        if part not in self._tests:
            principal = [part.principal] if part.principal else []
            nothing = [part.on_nothing()] if self._place.fields is None else []
            self._tests[part] = [*part.conditions, *principal, *nothing]
        return self._tests[part]

    def _all_tests(self, part: Part) -> Iterator[Test]:
        yield from self._plain_tests(part)
        if self._place.fields is not None:
            yield from (field.test() for field in part.fields)
            yield from part.resolves()
