"""Boxes of requests (a set of choices on each axis), and the requests in one box but in no other.

Every test of a statement depends on one axis, so the requests that match a statement form one box
or a few. To find what one statement matches and others do not, the search takes the others in turn
and leaves their box through one of its sides. This covers all combinations of choices without
listing them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

MAX_STEPS: Final = 800_000
"""The maximum number of steps per question, each like a comparison of two boxes; about one second.
"""

MADE, CHOSEN, TESTED = 250, 4, 5
"""The cost in steps of making a key's values, combining two values, and testing a combination."""

TOO_MUCH: Final = f"more than {MAX_STEPS} steps"

MAX_BOXES: Final = 2_000
"""The maximum number of boxes that a statement may consist of."""

Box = tuple[int, ...]
"""The remaining choices of each axis, as bits."""


class Budget:
    """The steps left for a question; at zero the search gives up."""

    def __init__(self, steps: int = MAX_STEPS) -> None:
        self.left = steps


def leaving(
    box: Box, others: Iterable[Box], budget: Budget | None = None
) -> tuple[Box | None, bool]:
    """Return a part of *box* outside all *others*, or None; and whether the answer is certain.

    Searches depth first, and always leaves the box with the fewest ways out.
    """
    budget = budget or Budget()
    pending = [(box, list(others))]
    while pending:
        here, remaining = pending.pop()
        budget.left -= len(remaining) + 1
        if budget.left < 0:
            return None, False
        met, tightest, ways = _meeting(here, remaining)
        if tightest is None:
            return here, True
        if ways:
            rest = [other for other in met if other is not tightest]
            pending.extend((part, rest) for part in _outside(here, tightest))
    return None, True


def _meeting(here: Box, others: list[Box]) -> tuple[list[Box], Box | None, int]:
    """Return which *others* intersect *here*, the one with the fewest ways out, and how many."""
    met: list[Box] = []
    tightest, fewest = None, len(here) + 1
    for other in others:
        ways = 0
        for mine, theirs in zip(here, other, strict=True):
            if not mine & theirs:
                break
            if mine & ~theirs:
                ways += 1
        else:
            met.append(other)
            if ways < fewest:
                tightest, fewest = other, ways
                if not ways:
                    break
    return met, tightest, fewest


def meet(one: Box, other: Box) -> Box | None:
    """Return the intersection of two boxes, or None."""
    both = tuple(a & b for a, b in zip(one, other, strict=True))
    return both if all(both) else None


def _outside(box: Box, other: Box) -> Iterator[Box]:
    """Yield disjoint parts of *box* that together cover all of it outside *other*."""
    kept = list(box)
    for number, theirs in enumerate(other):
        rest = kept[number] & ~theirs
        if rest:
            yield (*kept[:number], rest, *box[number + 1 :])
            kept[number] &= theirs


def complement(whole: Box, boxes: Iterable[Box]) -> list[Box] | None:
    """Return boxes that cover *whole* except *boxes*; None if there are too many."""
    left = [whole]
    for box in merged(boxes):
        parts: list[Box] = []
        for part in left:
            parts.extend((part,) if meet(part, box) is None else _outside(part, box))
        left = merged(parts)
        if len(left) > MAX_BOXES:
            return None
    return left


def merged(boxes: Iterable[Box]) -> list[Box]:
    """Merge boxes that differ in only one axis; the result has the same requests."""
    remaining = [box for box in dict.fromkeys(boxes) if all(box)]
    changed = len(remaining) > 1
    while changed:
        changed = False
        for number in range(len(remaining[0])):
            groups: dict[Box, int] = {}
            for box in remaining:
                rest = (*box[:number], 0, *box[number + 1 :])
                groups[rest] = groups.get(rest, 0) | box[number]
            if len(groups) < len(remaining):
                changed = True
                remaining = [(*r[:number], bits, *r[number + 1 :]) for r, bits in groups.items()]
    return remaining


def lowest(bits: int) -> int:
    """Return the number of the first choice of *bits*."""
    return (bits & -bits).bit_length() - 1
