"""Classes of texts: every text is in the class of a representative, the empty one included."""

from __future__ import annotations

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from cml_iam.policy import pattern_matches
from cml_iam.space._globs import Glob, Machine, Wild, filled, glob, representatives

PATTERN = st.text(alphabet="ab*?", max_size=5)
SHORT = ["".join(letters) for size in range(5) for letters in product("abz", repeat=size)]


def classes(patterns, texts):
    return {tuple(pattern_matches(pattern, text) for pattern in patterns) for text in texts}


@settings(max_examples=120, deadline=None)
@given(st.lists(PATTERN, min_size=1, max_size=4))
def test_every_short_text_has_a_representative_of_its_class(patterns):
    found, complete = representatives([glob(pattern) for pattern in patterns])

    assert complete
    assert classes(patterns, SHORT) <= classes(patterns, found)


@settings(max_examples=120, deadline=None)
@given(st.lists(PATTERN, min_size=1, max_size=3), PATTERN)
def test_within_a_universe_too_and_nothing_outside_it(patterns, universe):
    found, complete = representatives([glob(pattern) for pattern in patterns], (), glob(universe))

    inside = [text for text in SHORT if pattern_matches(universe, text)]
    assert complete
    assert all(pattern_matches(universe, text) for text in found)
    assert classes(patterns, inside) <= classes(patterns, found)


@settings(max_examples=150, deadline=None)
@given(PATTERN, st.text(alphabet="abz", max_size=6))
def test_a_machine_accepts_what_the_pattern_stands_for(pattern, text):
    machine = Machine([glob(pattern)])

    assert bool(machine.accepts(machine.run(text))) == pattern_matches(pattern, text)


@settings(max_examples=150, deadline=None)
@given(PATTERN, st.sampled_from(["example", "", "1"]))
def test_a_filled_pattern_matches_its_pattern(pattern, many):
    assert pattern_matches(pattern, filled(glob(pattern), many))


def test_a_non_empty_text_is_filled_by_itself_or_by_one_character():
    assert [filled(glob("a?*"), many) for many in ("example", "")] == ["aexample", "a2"]


def test_a_class_of_which_only_named_texts_are_left_has_no_other():
    # Of one letter there are many; `?` less all that is named still has some.
    found, _ = representatives([glob("?"), glob("a"), glob("b")])
    assert any(len(text) == 1 and text not in "ab" for text in found)

    # Of the empty text there is one.
    found, _ = representatives([glob("?*"), glob("")])
    assert sorted(found, key=len)[0] == ""
    assert [text for text in found if not text] == [""]


def test_hints_are_taken_where_they_are_of_a_class():
    found, _ = representatives([glob("i-*")], ["i-0foreign", "something"])

    assert found == ("i-0foreign", "something")


def test_a_wildcard_inside_a_field_takes_no_colon():
    machine = Machine([glob("a*c", inside=True), glob("a*c")])

    assert machine.accepts(machine.run("a:c")) == machine.finals[1]
    assert machine.accepts(machine.run("abc")) == machine.finals[0] | machine.finals[1]


def test_letters_of_a_folded_pattern_fit_in_either_case():
    machine = Machine([Glob(tuple("aB"), fold=True)])

    assert all(machine.accepts(machine.run(text)) for text in ("ab", "aB", "Ab", "AB"))
    assert not machine.accepts(machine.run("abb"))


def test_too_many_states_are_told_and_not_passed_over():
    patterns = [Glob((Wild.MANY, "a", *[Wild.ONE] * size, Wild.MANY)) for size in range(9, 18)]

    _, complete = representatives(patterns)

    assert not complete
