"""One place where requests can tell two sets of policies apart, and its statements as boxes.

Every test of a statement depends on one axis, so the requests that fit a statement are a box; for
the search through boxes see `prove`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cml_iam.compare._axes import Axis, axes_of, joined, regions_of
from cml_iam.compare._clauses import Clause, Test
from cml_iam.compare._places import Place
from cml_iam.engine import Request
from cml_iam.facts import same_key
from cml_iam.space import Box, lowest


@dataclass(frozen=True)
class Field:
    """A place with its axes, and the box of every statement that can fit there.

    *complete* says whether every combination of choices can be reached.
    """

    place: Place
    axes: tuple[Axis, ...]
    boxes: Mapping[Clause, Box]
    base: Mapping[str, Any]
    complete: bool = True

    def request(self, box: Box) -> Request:
        """Return the first request in *box*."""
        return self.request_at(tuple(lowest(bits) for bits in box))

    def request_at(self, indices: tuple[int, ...]) -> Request:
        """Return the request with these choices."""
        context = dict(self.base)
        for axis, index in zip(self.axes, indices, strict=True):
            context.update(axis.choices[index])
        return self.place.request(context)

    def neighbours(self) -> Iterator[Request]:
        """Yield for each statement a request that fits, and all that differ from it in one axis."""
        starts = [self.whole, *self.boxes.values()]
        seen: set[tuple[int, ...]] = set()
        for box in starts:
            start = tuple(lowest(bits) for bits in box)
            for number, axis in enumerate(self.axes):
                for index in range(len(axis.choices)):
                    seen.add((*start[:number], index, *start[number + 1 :]))
            seen.add(start)
        for indices in sorted(seen):
            yield self.request_at(indices)

    @property
    def whole(self) -> Box:
        """The box of all requests."""
        return tuple((1 << len(axis.choices)) - 1 for axis in self.axes)


def field_of(place: Place, clauses: tuple[Clause, ...], *, unusual: bool = False) -> Field:
    """Return *place* with the boxes of those of *clauses* that can fit there."""
    probe = place.request(place.base)
    reaching = tuple(each for each in clauses if each.reach.keys or each.reach.holds(probe))
    axes = axes_of(reaching, place.target.keys.has, place.base, unusual=unusual)
    if unusual:
        axes = (*axes, regions_of(place.base))
    tests = [test for clause in reaching for test in _tests(clause)]
    axes, complete = joined(axes, tests)
    covered = frozenset().union(*(axis.keys for axis in axes))
    base = {k: v for k, v in place.base.items() if not _is_covered(k, covered)}
    bare = Field(place, axes, {}, base, complete)
    boxes = {each: box for each in reaching if (box := _box(bare, each)) is not None}
    return Field(place, axes, boxes, base, complete)


def _box(field: Field, clause: Clause) -> Box | None:
    """Return the choices that fit every test of *clause*; None where no request can."""
    box = list(field.whole)
    first = tuple(0 for _ in field.axes)
    for test in _tests(clause):
        touched = [n for n, axis in enumerate(field.axes) if axis.keys & test.keys]
        if not touched:
            if not test.holds(field.request_at(first)):
                return None
            continue
        (number,) = touched
        box[number] &= _bits(field, test, number, first)
    return tuple(box) if all(box) else None


def _bits(field: Field, test: Test, number: int, first: tuple[int, ...]) -> int:
    bits = 0
    for index in range(len(field.axes[number].choices)):
        if test.holds(field.request_at((*first[:number], index, *first[number + 1 :]))):
            bits |= 1 << index
    return bits


def _tests(clause: Clause) -> tuple[Test, ...]:
    return (clause.reach, *(test for _, test in clause.conditions))


def _is_covered(key: str, covered: frozenset[str]) -> bool:
    return same_key(key) in covered
