"""A value that is wrong is shown as JSON and TOML write it, not as Python does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cml_iam.located import located_problems, parse_toml, schema_problems


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "null"), (True, "true"), (False, "false"), (1.5, "1.5"), ([], "a list")],
)
def test_a_value_of_the_wrong_type_is_shown_as_json(value: Any, shown: str) -> None:
    (problem,) = schema_problems({"a": value}, {"properties": {"a": {"type": "string"}}})

    assert problem.message.endswith(f"not {shown if shown == 'a list' else f'`{shown}`'}")


@pytest.mark.parametrize("text", ["None", 'it"s', "a'b", "\n", "ü"])
def test_text_is_shown_as_json_writes_it(text: str) -> None:
    schema = {"properties": {"a": {"type": "boolean"}}}

    (problem,) = schema_problems({"a": text}, schema)

    assert f"`{json.dumps(text, ensure_ascii=False)}`" in problem.message


@pytest.mark.parametrize(
    ("written", "shown"),
    [("2026-01-02", "2026-01-02"), ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05+00:00")],
)
def test_a_date_of_toml_is_shown_as_toml_writes_it(written: str, shown: str) -> None:
    located = parse_toml(f"a = {written}", "t")

    (problem,) = located_problems(located, {"properties": {"a": {"type": "string"}}})

    assert problem.message == f"`a` must be a string, not `{shown}`"


@pytest.mark.parametrize(("value", "words"), [(0, "at least 1"), (11, "at most 10")])
def test_a_number_out_of_bounds_says_the_bound(value: int, words: str) -> None:
    schema = {"properties": {"a": {"type": "integer", "minimum": 1, "maximum": 10}}}

    (problem,) = schema_problems({"a": value}, schema)

    assert problem.message == f"`a` must be {words}, not `{value}`"
