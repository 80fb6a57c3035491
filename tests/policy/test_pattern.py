"""The two wildcards, against brute force over a small alphabet."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cml_iam.policy import pattern_covers, pattern_matches, pattern_regex, patterns_overlap

PATTERNS = st.text("ab*?", max_size=5)
TEXTS = ["".join(chars) for length in range(8) for chars in itertools.product("abc", repeat=length)]


def reference(pattern: str, text: str) -> bool:
    """The meaning of a pattern, as slowly and plainly as can be."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(reference(pattern[1:], text[at:]) for at in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and reference(pattern[1:], text[1:])


@given(PATTERNS, st.text("abc\n", max_size=8))
def test_a_pattern_matches_what_its_plain_meaning_says(pattern: str, text: str) -> None:
    assert pattern_matches(pattern, text) == reference(pattern, text)


@given(st.text(max_size=12))
def test_a_pattern_without_wildcards_matches_itself_alone(text: str) -> None:
    plain = text.replace("*", "").replace("?", "")

    assert pattern_matches(plain, plain)
    assert not pattern_matches(plain, plain + "x")


def test_case_counts_unless_told_otherwise() -> None:
    assert not pattern_matches("ec2:Run*", "EC2:runinstances")
    assert pattern_matches("ec2:Run*", "EC2:runinstances", ignore_case=True)


@settings(max_examples=300)
@given(PATTERNS, PATTERNS)
def test_covers_agrees_with_every_short_text(wide: str, narrow: str) -> None:
    # Patterns of five characters that differ do so on a text of at most seven.
    expected = all(reference(wide, text) for text in TEXTS if reference(narrow, text))

    assert pattern_covers(wide, narrow) == expected


@settings(max_examples=300)
@given(PATTERNS, PATTERNS)
def test_overlap_agrees_with_every_short_text(one: str, other: str) -> None:
    texts = (text for text in TEXTS if reference(one, text) and reference(other, text))
    found = next(texts, None)

    if found is not None or len(one) + len(other) <= 6:
        assert patterns_overlap(one, other) == (found is not None)
    assert patterns_overlap(one, other) == patterns_overlap(other, one)


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ("c5.*", "c5.metal", True),
        ("c5.*", "c5d.metal", False),
        ("*", "", True),
        ("?*", "*", False),
        ("*?", "?*", True),
        ("a*b", "a*b*b", True),
        ("a*b*b", "a*b", False),
        ("*a?", "*ab", True),
    ],
)
def test_covers_examples(wide: str, narrow: str, expected: bool) -> None:
    assert pattern_covers(wide, narrow) is expected


def test_many_wildcards_take_no_exponential_time() -> None:

    assert pattern_regex("a*" * 30 + "b").fullmatch("a" * 3000) is None
    assert not patterns_overlap("a*" * 60 + "b", "*a" * 60)
    assert not pattern_covers("*a" + "?" * 40 + "b", "*a" + "?" * 40)
    assert not pattern_covers("*a" + "?" * 30 + "*", "*a" + "?" * 31 + "*?")


def test_a_pattern_covers_itself_however_involved() -> None:
    assert pattern_covers("*a" + "?" * 40, "*a" + "?" * 40)
