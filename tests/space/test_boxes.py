"""Leaving boxes finds what is in one and in no other, if there is any."""

from __future__ import annotations

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from cml_iam.space._boxes import Budget, complement, leaving, meet, merged

AXES = 4
BITS = st.integers(1, 7)
BOX = st.tuples(*[BITS] * AXES)
POINTS = list(product((1, 2, 4), repeat=AXES))


def inside(point, box):
    return all(one & bits for one, bits in zip(point, box, strict=True))


@settings(max_examples=300, deadline=None)
@given(BOX, st.lists(BOX, max_size=8))
def test_a_part_outside_all_others_is_found_if_there_is_one(box, others):
    found, certain = leaving(box, others)

    left = [p for p in POINTS if inside(p, box) and not any(inside(p, other) for other in others)]
    assert certain
    assert (found is not None) == bool(left)
    if found:
        assert all(inside(p, box) for p in POINTS if inside(p, found))
        assert not [p for p in POINTS if inside(p, found) and any(inside(p, o) for o in others)]


@settings(max_examples=150, deadline=None)
@given(st.lists(BOX, max_size=5))
def test_a_complement_is_all_the_rest(boxes):
    rest = complement((7,) * AXES, boxes)

    for point in POINTS:
        assert any(inside(point, each) for each in rest) != any(inside(point, b) for b in boxes)


@settings(max_examples=150, deadline=None)
@given(st.lists(BOX, max_size=6))
def test_merged_boxes_are_the_same_requests(boxes):
    fewer = merged(boxes)

    assert len(fewer) <= len(boxes)
    for point in POINTS:
        assert any(inside(point, f) for f in fewer) == any(inside(point, b) for b in boxes)


def test_without_axes_there_is_one_request_and_it_can_be_found():
    assert leaving((), []) == ((), True)
    assert leaving((), [()]) == (None, True)
    assert meet((), ()) == ()


def test_a_search_that_gives_up_says_so():
    boxes = [tuple(3 if n in pair else 7 for n in range(AXES)) for pair in ((0, 1), (1, 2), (2, 3))]

    assert leaving((7,) * AXES, boxes, Budget(2)) == (None, False)
