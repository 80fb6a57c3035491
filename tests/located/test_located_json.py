"""JSON with positions, against the standard library's parser."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cml_iam.errors import DocumentError
from cml_iam.located import Located, Path, parse_json

TEXTS = st.text(max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)
LAYOUTS = st.sampled_from([{}, {"indent": 2}, {"separators": (",", ":")}, {"ensure_ascii": False}])
SCRAPS = st.lists(
    st.sampled_from(
        (
            *("{", "}", "[", "]", ",", ":", '"', '"a"', '"\\u0041"', "1", "-", "0", ".5", "e"),
            *("1e5", "true", "false", "null", "NaN", "Infinity"),
            *(" ", "\n", "\t", "\x0b", "\u00a0", "'", "//", "\\", "\x00"),
        )
    ),
    max_size=12,
).map("".join)


def paths(value: object, path: Path = ()) -> list[Path]:
    """Return the paths of *value* and of everything in it."""
    if not isinstance(value, dict | list):
        return [path]
    keys = value if isinstance(value, dict) else range(len(value))
    return [path, *(deep for key in keys for deep in paths(value[key], (*path, key)))]


def at(value: object, path: Path) -> object:
    for step in path:
        value = value[step]  # type: ignore[index]
    return value


def no_constants(name: str) -> None:
    raise ValueError(name)


def standard(text: str) -> object:
    """Parse *text* by the standard library, as strict as RFC 8259 is."""
    return json.loads(text, parse_constant=no_constants, object_pairs_hook=unique)


def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError
    return dict(pairs)


@given(VALUES, LAYOUTS)
def test_it_reads_what_the_standard_library_reads(value: object, layout: dict) -> None:
    text = json.dumps(value, **layout)

    assert repr(parse_json(text).value) == repr(json.loads(text))


@given(VALUES, LAYOUTS)
def test_the_span_of_every_value_is_the_text_of_that_value(value: object, layout: dict) -> None:
    text = json.dumps(value, **layout)
    located = parse_json(text)

    for path in paths(located.value):
        span = located.values[path]
        assert json.loads(text[span.start : span.end]) == at(located.value, path)
        if path and isinstance(path[-1], str):
            name = located.names[path]
            assert json.loads(text[name.start : name.end]) == path[-1]
    assert len(located.values) == len(paths(located.value))


@given(VALUES)
def test_places_count_lines_and_columns_from_1(value: object) -> None:
    text = json.dumps(value, indent=1)
    located = parse_json(text, "a.json")

    for path in paths(located.value):
        place = located.place(path)
        assert place.file == "a.json"
        line = text.split("\n")[place.line - 1]
        assert text.startswith(line[place.column - 1 :], located.values[path].start)


@given(st.text() | SCRAPS)
@example("\ufeff{}")
@example("1" * 5000)
@example("[" * 5000)
@example('"\ud800"')
@example("01")
@example("-")
@example("1.")
def test_it_refuses_what_the_standard_library_refuses_and_no_more(text: str) -> None:
    found = parsed(text)
    try:
        expected = standard(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        assert found is None
    else:
        assert found is not None
        assert repr(found.value) == repr(expected)


def parsed(text: str) -> Located | None:
    """Return *text* parsed, or None for one that is refused with a place."""
    try:
        return parse_json(text)
    except DocumentError as error:
        return None if all(problem.place for problem in error.problems) else pytest.fail(text)


@pytest.mark.parametrize(
    ("text", "place", "message", "remedy"),
    [
        ("", "p:1:1", "the document is empty", None),
        (" \n ", "p:1:1", "the document is empty", None),
        ("{} x", "p:1:4", "text after the end of the document", None),
        ('{\n "a": 1,\n}', "p:2:8", "a comma before `}`", "remove the comma"),
        ("[1 2]", "p:1:4", "expected `,` or `]`", None),
        ("{'a': 1}", "p:1:2", "expected a name in double quotes", "JSON strings need double"),
        ("[// x\n1]", "p:1:2", "expected a value", "JSON has no comments"),
        ('{"a"', "p:1:5", "expected `:` after `a`", None),
        ("[1,", "p:1:4", "expected a value", "the document ends too early"),
        ('["a\n"]', "p:1:4", "invalid control character", None),
        ("[" * 70 + "]" * 70, "p:1:66", "nested more than 64 levels deep", None),
        ("[" + "1" * 5000 + "]", "p:1:2", "the number has too many digits", None),
    ],
)
def test_a_syntax_error_says_where_and_what(
    text: str, place: str, message: str, remedy: str | None
) -> None:
    with pytest.raises(DocumentError) as raised:
        parse_json(text, "p")

    [problem] = raised.value.problems
    assert str(problem.place) == place
    assert problem.message.startswith(message)
    assert (problem.remedy or "").startswith(remedy or "")


def test_every_name_used_twice_is_reported() -> None:
    with pytest.raises(DocumentError) as raised:
        parse_json('{"a": 1,\n "a": 2,\n "b": {"c": 1, "c": 2}}', "p")

    assert [(str(p.place), p.message) for p in raised.value.problems] == [
        ("p:2:2", "`a` appears twice in one object"),
        ("p:3:16", "`c` appears twice in one object"),
    ]


def test_the_place_of_what_is_not_there_is_that_of_what_would_hold_it() -> None:
    located = parse_json('{\n "a": [1]}', "p")

    assert str(located.place(("a", 5, "x"))) == "p:2:7"
    assert str(located.name_place(("a",))) == "p:2:2"
    assert str(located.name_place(("nothing",))) == "p:1:1"
