"""One slice of a question: a place, and the statements about it as boxes of requests."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

from cml_iam.engine import Request
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
from cml_iam.space._statements import CALLER, FIELD_KEYS, Choice, FieldPattern, Part, Test

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cml_iam.space._assume import Assumptions
    from cml_iam.space._gathered import Gathered

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


class Slice:
    """The axes of a place under some assumptions, and its statements as boxes."""

    def __init__(self, gathered: Gathered, assumed: Assumptions, budget: Budget) -> None:
        self.assumed, self._place, self._budget = assumed, gathered.place, budget
        self._tests: dict[Part, list[Test]] = {}
        tests = [test for part in gathered.parts for test in self._all_tests(part)]
        maker = AxisMaker(gathered, assumed, budget)
        self._axes = maker.axes(tests)
        self.incomplete = maker.incomplete
        self._of_key = {key: n for n, axis in enumerate(self._axes) for key in axis.keys}
        self._bits: dict[Any, int] = {}
        self._boxes: dict[Part, list[Box]] = {}
        self._whole: Box = tuple((1 << len(axis.choices)) - 1 for axis in self._axes)

    def first(self, goal: Goal) -> Choice | None:
        """Return the first choice for *goal*; None if there is none or the search gave up."""
        if not all(self._whole):
            return None
        for box, outside in self._aims(goal):
            found, certain = leaving(box, outside, self._budget)
            if found is not None:
                choice: dict[str, Any] = {}
                for axis, bits in zip(self._axes, found, strict=True):
                    choice.update(axis.choices[lowest(bits)])
                return choice
            if not certain:
                self.incomplete.append(TOO_MUCH)
                return None
        return None

    def request(self, given: Choice) -> Request:
        """Return the request of a choice."""
        resource = "*"
        if self._place.fields is not None:
            resource = ":".join(("arn", *(given[key] for key in FIELD_KEYS[1:])))
        context = {k: v for k, v in given.items() if k not in FIELD_KEYS and k != CALLER}
        return Request(self._place.action, resource, given.get(CALLER), context)

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
        found = [self._whole]
        for gate in gates:
            met = (meet(one, other) for one, other in product(found, self._all_boxes(gate)))
            found = list(dict.fromkeys(box for box in met if box is not None))
            if len(found) > MAX_MEETS:
                self.incomplete.append("too many combinations of statements")
                found = found[:MAX_MEETS]
        return found

    def _all_boxes(self, parts: Iterable[Part]) -> list[Box]:
        return [box for part in parts for box in self._boxes_of(part)]

    def _boxes_of(self, part: Part) -> list[Box]:
        if part not in self._boxes:
            self._boxes[part] = self._made(part)
        return self._boxes[part]

    def _made(self, part: Part) -> list[Box]:
        box = self._narrowed(self._whole, self._plain_tests(part))
        if box is None or self._place.fields is None or part.compiled.resource is None:
            return [] if box is None else [box]
        outside = part.statement.not_resource is not None
        if outside:
            box = None if part.spoilt else self._narrowed(box, part.resolves())
        if box is None:
            return []
        named = (self._of_pattern(box, pattern) for pattern in part.patterns)
        boxes = [each for each in named if each is not None]
        left = complement(box, boxes) if outside else merged(boxes)
        if left is None:
            self.incomplete.append("a NotResource with too many parts")
        return left or []

    def _of_pattern(self, box: Box | None, fields: Iterable[FieldPattern]) -> Box | None:
        for field in fields:
            if box is not None:
                box = self._tested(box, field.test(), (field.index, field.parts))
        return box

    def _narrowed(self, box: Box | None, tests: Iterable[Test]) -> Box | None:
        for test in tests:
            if box is not None:
                box = self._tested(box, test, test)
        return box

    def _tested(self, box: Box, test: Test, key: Any) -> Box | None:
        """Return the part of *box* where *test*, known as *key*, holds; None if there is none."""
        if not test.keys:
            return box if test.holds({}) else None
        number = self._of_key[next(iter(test.keys))]
        bits = self._bits.get(key)
        if bits is None:
            choices = self._axes[number].choices
            self._budget.left -= TESTED * len(choices)
            bits = sum(1 << index for index, choice in enumerate(choices) if test.holds(choice))
            self._bits[key] = bits
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
            yield from (field.test() for pattern in part.patterns for field in pattern)
            yield from part.resolves()
