"""YAML read with positions: what it says, where it stands, and what is refused."""

from __future__ import annotations

import pytest

from cml_iam.errors import DocumentError
from cml_iam.located import parse_yaml


def test_plain_values_are_read_as_json_would_read_them() -> None:
    text = (
        "a: 2012-10-17\nb: yes\nc: 012345678901\nd: 12\ne: true\nf: 1.5\ng: '12'\nh:\ni: ~\nj: on\n"
    )

    (read,) = parse_yaml(text)

    assert read.value == {
        "a": "2012-10-17",
        "b": "yes",
        "c": "012345678901",
        "d": 12,
        "e": True,
        "f": 1.5,
        "g": "12",
        "h": None,
        "i": None,
        "j": "on",
    }


def test_every_value_and_name_knows_its_line_and_column() -> None:
    (read,) = parse_yaml("# é\na:\n  - b: 'x'\n    ç: !Sub y\n", "f.yaml")

    assert read.value == {"a": [{"b": "x", "ç": {"!Sub": "y"}}]}
    assert str(read.place(("a", 0, "b"))) == "f.yaml:3:8"
    assert str(read.name_place(("a", 0, "ç"))) == "f.yaml:4:5"
    assert str(read.place(("a", 0, "ç"))) == "f.yaml:4:8"


def test_an_alias_has_the_value_and_the_place_of_its_anchor() -> None:
    (read,) = parse_yaml("a: &x [1]\nb: *x\n", "f.yaml")

    assert read.value == {"a": [1], "b": [1]}
    assert str(read.place(("b", 0))) == "f.yaml:1:8"


def test_each_document_of_a_text_is_read() -> None:
    assert [each.value for each in parse_yaml("a: 1\n---\nb: 2\n")] == [{"a": 1}, {"b": 2}]


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 10)}]\n" for n in range(9)
)
REFUSED = {
    "empty": ("", "f.yaml:1:1: the document is empty"),
    "a bracket left open": ("a: [1\nb: 2\n", "f.yaml:2:2: did not find expected ',' or ']'"),
    "a tab": ("a:\n\t- b\n", "f.yaml:2:1: found character that cannot start any token"),
    "an unknown alias": ("a: *b\n", "f.yaml:1:4: found undefined alias"),
    "a name twice": ("a: 1\na: 2\n", "f.yaml:2:1: `a` appears twice in one mapping"),
    "a list as a name": ("? [a]\n: 1\n", "f.yaml:1:3: the name of a member is not text"),
    "a merge": ("a: &a {b: 1}\nc:\n  <<: *a\n", "f.yaml:3:3: `<<` is not supported"),
    "brackets without end": ("[" * 100_000, "nested more than 64 levels deep"),
    "an alias within itself": ("a: &a [*a]\n", "nested more than 64 levels deep"),
    "a bomb of aliases": (BOMB, "more than 200000 values, including those from aliases"),
    "a bomb of long texts": (
        f"a: &a {'x' * 500_000}\nb: [{', '.join(['*a'] * 10)}]\n",
        "more than 4194304 characters, including those from aliases",
    ),
    "too large": ("a: " + "x" * (1 << 20), "YAML with more than 1048576 bytes is not read"),
    "a control character": ("a: \x07\n", "control characters are not allowed"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_read_is_refused_with_its_place(kind: str) -> None:
    text, message = REFUSED[kind]

    with pytest.raises(DocumentError) as error:
        parse_yaml(text, "f.yaml")

    assert message in str(error.value)
    assert str(error.value).startswith("f.yaml:")


def test_names_that_stand_twice_without_end_are_not_all_reported() -> None:
    with pytest.raises(DocumentError) as error:
        parse_yaml("a: 1\n" * 1000)

    assert len(error.value.problems) == 100


def test_a_python_tag_makes_no_python_object() -> None:
    (read,) = parse_yaml("a: !!python/object/apply:os.system ['true']\n")

    assert read.value == {"a": ["true"]}
