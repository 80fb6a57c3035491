"""TOML with positions, against `tomllib`."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from cml_iam.errors import DocumentError
from cml_iam.located import Path, parse_toml

KEYS = st.one_of(
    st.from_regex(r"[A-Za-z0-9_-]{1,4}", fullmatch=True),
    st.from_regex(r'"[ab.\# ]{0,3}"', fullmatch=True),
    st.from_regex(r"'[ab.\# ]{0,3}'", fullmatch=True),
)
SCALARS = st.sampled_from(
    [
        *("1", "-0x1f", "1_000", "1.5", "inf", "true", "false", '""', "''", '"a # b"', "'c] }'"),
        *('"\\"x\\\\"', '"\\u00e9"', '"""a\n"b" # c"""', "'''d\n'e' ]'''", '""""q""""'),
        *("2026-01-31", "2026-01-31T10:00:00Z", "2026-01-31 10:00:00", "10:00:00"),
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda each: f"[{', '.join(each)}]"),
        st.lists(inner, max_size=3).map(lambda each: "[ # c\n" + ",\n".join(each) + "\n]"),
        st.lists(st.tuples(KEYS, inner), max_size=3).map(
            lambda pairs: "{ " + ", ".join(f"{key} = {value}" for key, value in pairs) + " }"
        ),
    ),
    max_leaves=5,
)
NAMES = st.lists(KEYS, min_size=1, max_size=3).map(".".join)
LINES = st.one_of(
    st.tuples(NAMES, VALUES).map(lambda pair: f"{pair[0]} = {pair[1]} # c"),
    NAMES.map(lambda name: f"[{name}]"),
    NAMES.map(lambda name: f"[[ {name} ]]"),
    st.sampled_from(["", "# c", "  \t"]),
)
DOCUMENTS = st.lists(LINES, max_size=8).map("\n".join)


def paths(value: object, path: Path = ()) -> list[Path]:
    """Return the paths of *value* and of everything in it."""
    if not isinstance(value, dict | list):
        return [path]
    keys = value if isinstance(value, dict) else range(len(value))
    return [path, *(deep for key in keys for deep in paths(value[key], (*path, key)))]


def at(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


@given(DOCUMENTS)
@example("[[a.b]]\nx = 1\n[[a.b]]\nx = 2\n[a.b.c]\ny = {z = [1, {w = 2}]}")
@example("a.b = 1\na.c = 2\n[d.e.f]\n[d]\n")
@example("\r\na = 1\r\n")
def test_it_reads_what_tomllib_reads_and_every_value_has_a_place(text: str) -> None:
    try:
        expected = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        assume(False)
    located = parse_toml(text, "s.toml")

    assert repr(located.value) == repr(expected)
    for path in paths(expected):
        place = located.place(path)
        assert place.file == "s.toml"
        assert 1 <= place.line <= text.count("\n") + 1
        if not isinstance(at(expected, path), dict | list):
            span = located.values[path]
            assert repr(tomllib.loads(f"v = {text[span.start : span.end]}")["v"]) == repr(
                at(expected, path)
            )
        if path and isinstance(path[-1], str):
            span = located.names[path]
            assert list(tomllib.loads(f"{text[span.start : span.end]} = 0")) == [path[-1]]


@given(st.text() | DOCUMENTS)
@example("a = [")
@example('a = "\ud800"')
@example("a")
def test_it_refuses_what_tomllib_refuses_with_a_place(text: str) -> None:
    try:
        parse_toml(text)
    except DocumentError as error:
        [problem] = error.problems
        refused = problem.place is not None
    else:
        refused = False
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        assert refused
    else:
        assert not refused


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("a = 1\nb = ", "s:2:5", "invalid value"),
        ("a = 1\na = 2\n", "s:2:6", "cannot overwrite a value"),
        ('x = "abc', "s:1:9", "unterminated string"),
    ],
)
def test_a_syntax_error_says_where(text: str, place: str, message: str) -> None:
    with pytest.raises(DocumentError) as raised:
        parse_toml(text, "s")

    [problem] = raised.value.problems
    assert (str(problem.place), problem.message) == (place, message)


def test_places_of_the_parts_of_a_site() -> None:
    located = parse_toml(
        '[account]\nid = "1"\n\n[restrict]\nregions = [\n  "a",\n  "b",\n]\n'
        'guard_tag = { ManagedBy = "cml" }\n[restrict.images]\nus-east-1 = ["ami-1"]\n',
        "s",
    )

    assert str(located.place(("account", "id"))) == "s:2:6"
    assert str(located.place(("restrict", "regions", 1))) == "s:7:3"
    assert str(located.name_place(("restrict", "guard_tag", "ManagedBy"))) == "s:9:15"
    assert str(located.place(("restrict", "guard_tag", "ManagedBy"))) == "s:9:27"
    assert str(located.name_place(("restrict", "images"))) == "s:10:11"
    assert str(located.place(("restrict", "images", "us-east-1", 0))) == "s:11:14"


MANY = 100_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a=" + "[" * MANY, "nested more than 64 levels deep"),
        ("a=" + "{a=" * MANY, "nested more than 64 levels deep"),
        ("b=1\na=" + "1" * MANY, "a name or number with more than 1000 characters"),
        ("a=0x" + "f" * MANY, "a name or number with more than 1000 characters"),
        (".".join("a" * MANY) + "=1", "a key with more than 16 parts"),
        ("[" + " . ".join("a" * MANY) + "]", "a key with more than 16 parts"),
        (".".join(['"a"'] * MANY) + "=1", "a key with more than 16 parts"),
    ],
    ids=["arrays", "tables", "integer", "hexadecimal", "key", "header", "quoted key"],
)
def test_what_no_file_has_is_refused_at_once_with_its_place(text: str, message: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parse_toml(text, "f")

    (problem,) = caught.value.problems
    assert problem.message == message
    assert problem.place is not None
    assert problem.place.line == 1 + text.startswith("b=1\n")


@pytest.mark.parametrize(
    "text",
    [
        "a = '" + "[" * 100 + "'",
        'a = """\n' + "[{" * 100 + '\\""""',
        "# " + "[" * 100,
        "a = '" + "1" * 2000 + "'",
        "a = '" + "a." * 100 + "'",
        "a = [\n" + "[],\n" * 100 + "]",
        "a.b.c.d.e.f.g.h = 1",
    ],
)
def test_text_and_comments_are_not_nesting(text: str) -> None:
    parse_toml(text)
