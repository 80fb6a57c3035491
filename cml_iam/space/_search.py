"""One slice of a question: a place, the statements about it as boxes, and the search."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

from cml_iam.engine import Request
from cml_iam.facts import (
    REGION,
    TAG_KEYS,
    Assumption,
    id_of,
    never_with,
    region_is_of_resource,
    region_of_endpoint,
)
from cml_iam.space._assume import Assumptions, is_always_at
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
from cml_iam.space._gathered import Gathered, Memo, gather
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
    """The result of a slice: a *request* with the choice it was made from, or none.

    *incomplete* says why the search was not exhaustive.
    """

    request: Request | None = None
    used: frozenset[Assumption] = frozenset()
    incomplete: tuple[str, ...] = ()

    def of_action(self, action: str) -> SliceResult:
        """Return the same for another *action*, whose requests differ in nothing that matters."""
        used = frozenset(assumption.of_action(action) for assumption in self.used)
        return self._replace(
            request=self.request and self.request._replace(action=action), used=used
        )


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
        self._assuming_all = assuming_all
        self._goal = goal
        self._lists = lists
        self._partition = partition
        self._callers = callers
        self._budget = budget
        self._parts = goal.parts()
        self._memo: Memo = {}
        self._searched: dict[Any, SliceResult] = {}
        self._every: dict[Any, tuple[SliceResult, ...]] = {}
        self._by_shape: dict[bool, Gathered] = {}

    def _gathered(self, place: Place) -> Gathered:
        """Return what the statements require at *place*; the same for all places with an ARN."""
        on_nothing = place.fields is None
        if on_nothing not in self._by_shape:
            self._by_shape[on_nothing] = gather(
                place,
                self._parts,
                self._memo,
                principals=self._callers,
                lists=self._lists,
                partition=self._partition,
            )
        return self._by_shape[on_nothing].at(place)

    def at(self, place: Place, *, readable: bool = True) -> SliceResult:
        """Search *place* for a request that AWS can send.

        If the statements cannot distinguish *place* from an earlier one, the earlier result is
        used. With *readable*, a request is reused only for resources of the same type, so that it
        fits *place*.
        """
        gathered = self._gathered(place)
        mark = _mark(gathered)
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
        mark = (_mark(gathered), goals)
        if mark not in self._every:
            slices: Slices = {}
            first = self._search(gathered, goals[0], slices)
            others = goals[1:] if first.request else ()
            rest = (self._search(gathered, other, slices) for other in others)
            self._every[mark] = (first, *rest)
        return tuple(result.of_action(place.action) for result in self._every[mark])

    def likeness(self, place: Place) -> tuple[Any, Any]:
        """Return what identifies equivalent places for these statements.

        It consists of the beginnings of their ARNs and the keys of their requests.
        """
        fields, *others = _mark(self._gathered(place))
        reached = tuple(_may_reach(part, place) for part in self._parts)
        return (fields and fields[:-1], reached), tuple(others)

    def may_be_at(self, place: Place) -> bool:
        """Return whether anything may be allowed at *place*, judging by the beginnings of ARNs."""
        allowed = self._goal.allowed
        return all(any(_may_reach(part, place) for part in gate) for gate in allowed)

    def _search(self, gathered: Gathered, goal: Goal, slices: Slices) -> SliceResult:
        if gathered.place.fields is None and not self._on_nothing():
            return SliceResult()
        if self._budget.left < 0:
            return SliceResult(None, incomplete=(TOO_MUCH,))
        active = Assumptions.inherent(gathered)
        if self._assuming_all:
            active |= frozenset(Assumptions(gathered, active).possible())
        while True:
            assumed = Assumptions(gathered, active)
            slice_ = slices.get(active)
            if slice_ is None:
                slice_ = slices[active] = _Slice(gathered, assumed, self._budget)
            given = slice_.first(goal, self._budget)
            if given is None:
                return SliceResult(None, active, tuple(dict.fromkeys(slice_.incomplete)))
            broken = assumed.violated(given)
            if not broken:
                return SliceResult(slice_.request(given), active)
            active |= broken

    def _on_nothing(self) -> bool:
        """Return whether the resource `*` may be allowed, judging only by resources."""
        return all(any(map(_may_be_on_nothing, gate)) for gate in self._goal.allowed)


def _may_be_on_nothing(part: Part) -> bool:
    test = part.on_nothing()
    return bool(test.keys) or test.holds({})


def _may_reach(part: Part, place: Place) -> bool:
    """Return whether *part* may match a resource of *place*; False is certain."""
    if place.fields is None or part.compiled.resource is None or part.statement.not_resource:
        return True
    fields = place.fields
    return any(
        all(_may_meet(beginning(fields[each.index - 1].symbols), each) for each in pattern)
        for pattern in part.patterns
    )


def _may_meet(start: str, field: FieldPattern) -> bool:
    own = beginning(field.parts)
    return start.startswith(own) or own.startswith(start)


def _mark(gathered: Gathered) -> Any:
    """Return what distinguishes the requests of this place from others, for these statements."""
    place = gathered.place
    absent = tuple(
        key
        for key in gathered.conditions
        if never_with(gathered.spelt[key], place.action, place.keys) is not None
    )
    tied = REGION in gathered.conditions and region_is_of_resource(place.action)
    endpoint = REGION in gathered.conditions and region_of_endpoint(place.action)
    listed = place.keys is not None and place.keys.has(TAG_KEYS)
    names = tuple(map(gathered.own_names, gathered.conditions))
    own = place.fields is not None and place.fields[1].plain == place.prefix
    ids = tuple(key for key in gathered.conditions if id_of(key, place.type))
    always = tuple(key for key in gathered.conditions if is_always_at(key, place))
    facts = place.loose, own, names, ids, listed, absent, always, bool(tied), endpoint
    return place.fields, place.kinds, *facts


Slices = dict[frozenset[Assumption], "_Slice"]
"""The slices of one place, by the assumptions made there."""


class _Slice:
    """The axes of a place, and its statements as boxes."""

    def __init__(self, gathered: Gathered, assumed: Assumptions, budget: Budget) -> None:
        self._gathered = gathered
        self._place = gathered.place
        self._budget = budget
        maker = AxisMaker(gathered, assumed, budget)
        self._tests: dict[Part, list[Test]] = {}
        tests = [test for part in gathered.parts for test in self._all_tests(part)]
        self.axes = maker.axes(tests)
        self.incomplete = maker.incomplete
        self._of_key = {key: n for n, axis in enumerate(self.axes) for key in axis.keys}
        self._bits: dict[Any, int] = {}
        self._boxes: dict[Part, list[Box]] = {}
        self._whole: Box = tuple((1 << len(axis.choices)) - 1 for axis in self.axes)

    def first(self, goal: Goal, budget: Budget) -> Choice | None:
        """Return the first choice for *goal*; None if there is none or the search gave up."""
        if not all(self._whole):
            return None
        for box, outside in self._aims(goal):
            found, certain = leaving(box, outside, budget)
            if found is not None:
                return self._choice(found)
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
            boxes = self._all_boxes(gate)
            met = (meet(a, b) for a, b in product(found, boxes))
            found = list(dict.fromkeys(each for each in met if each is not None))
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
        box: Box | None = self._whole
        for test in self._plain_tests(part):
            box = None if box is None else self._narrowed(box, test)
        if box is None:
            return []
        if self._place.fields is None or part.compiled.resource is None:
            return [box]
        if part.statement.not_resource is not None:
            return self._outside(part, box)
        named = (self._pattern_box(box, pattern) for pattern in part.patterns)
        return merged(each for each in named if each is not None)

    def _outside(self, part: Part, box: Box) -> list[Box]:
        if part.spoilt:
            return []
        for test in part.resolves():
            narrowed = self._narrowed(box, test)
            if narrowed is None:
                return []
            box = narrowed
        boxes = (self._pattern_box(box, pattern) for pattern in part.patterns)
        named = [each for each in boxes if each is not None]
        left = complement(box, named)
        if left is None:
            self.incomplete.append("a NotResource with too many parts")
            return []
        return left

    def _pattern_box(self, box: Box | None, fields: Iterable[Any]) -> Box | None:
        for field in fields:
            if box is not None:
                box = self._narrowed(box, field.test(), (field.index, field.parts))
        return box

    def _narrowed(self, box: Box, test: Test, key: Any = None) -> Box | None:
        if not test.keys:
            return box if test.holds({}) else None
        number = self._of_key[next(iter(test.keys))]
        key = key or test
        bits = self._bits.get(key)
        if bits is None:
            bits = 0
            self._budget.left -= TESTED * len(self.axes[number].choices)
            for index, choice in enumerate(self.axes[number].choices):
                if test.holds(choice):
                    bits |= 1 << index
            self._bits[key] = bits
        left = box[number] & bits
        return (*box[:number], left, *box[number + 1 :]) if left else None

    def _choice(self, box: Box) -> Choice:
        made: dict[str, Any] = {}
        for axis, bits in zip(self.axes, box, strict=True):
            made.update(axis.choices[lowest(bits)])
        return made

    def _plain_tests(self, part: Part) -> list[Test]:
        """Return the tests that all hold when *part* matches, except those of ARNs."""
        if part not in self._tests:
            found = [*part.conditions]
            principal = part.principal()
            found += [principal] if principal else []
            found += [part.on_nothing()] if self._place.fields is None else []
            self._tests[part] = found
        return self._tests[part]

    def _all_tests(self, part: Part) -> Iterator[Test]:
        yield from self._plain_tests(part)
        if self._place.fields is not None:
            yield from (field.test() for pattern in part.patterns for field in pattern)
            yield from part.resolves()
