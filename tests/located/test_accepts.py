"""The quick yes agrees with `jsonschema`, and what it does not know is left to that."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from cml_iam.located import schema_problems
from cml_iam.located._schema import accepts
from cml_iam.policy import policy_schema

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 2),
    st.floats(allow_nan=False, width=16),
    st.sampled_from(["*", "Allow", "Deny", "2012-10-17", "ec2:x", ""]),
)
LISTS = st.lists(SCALARS, max_size=2)
CONDITIONS = st.dictionaries(
    st.just("StringEquals"), st.dictionaries(st.just("aws:x"), SCALARS | LISTS, max_size=1) | LISTS
)
MOSTLY_RIGHT = st.sampled_from(["*", ["ec2:x"]])
MEMBERS = {
    "Sid": st.just("A") | SCALARS,
    "Effect": st.sampled_from(["Allow", "Deny"]) | SCALARS,
    "Principal": st.just("*")
    | SCALARS
    | st.dictionaries(st.sampled_from(["AWS", "X"]), MOSTLY_RIGHT | LISTS, max_size=2),
    "Action": MOSTLY_RIGHT | SCALARS | LISTS,
    "NotAction": MOSTLY_RIGHT,
    "Resource": MOSTLY_RIGHT | SCALARS | LISTS,
    "NotResource": MOSTLY_RIGHT,
    "Condition": CONDITIONS | SCALARS,
    "Other": SCALARS,
}
STATEMENTS = st.fixed_dictionaries({}, optional=MEMBERS)
DOCUMENTS = (
    st.fixed_dictionaries(
        {},
        optional={
            "Version": st.just("2012-10-17") | SCALARS,
            "Id": SCALARS,
            "Statement": STATEMENTS | st.lists(STATEMENTS, max_size=2) | SCALARS,
            "Other": SCALARS,
        },
    )
    | SCALARS
    | LISTS
)


@settings(max_examples=600, deadline=None)
@given(DOCUMENTS)
def test_the_quick_yes_to_a_policy_is_that_of_jsonschema(value: object) -> None:
    assert accepts(value, policy_schema()) is Draft202012Validator(policy_schema()).is_valid(value)


@pytest.mark.parametrize(
    ("value", "schema", "accepted"),
    [
        (1, {"type": "number"}, True),
        (True, {"type": "number"}, False),
        (True, {"type": ["number", "boolean"]}, True),
        ("x", {"enum": ["x"]}, True),
        ([], {"minItems": 1}, False),
        ({}, {"minProperties": 1}, False),
        ({"a": 1}, {"properties": {"a": {"type": "string"}}}, False),
        ({"b": 1}, {"properties": {"a": {}}, "additionalProperties": False}, False),
        ({"a": 1}, {"properties": {"a": {}}, "additionalProperties": False}, True),
        (["x"], {"items": False}, False),
        ({}, {"oneOf": [{"required": ["a"]}, {"type": "object"}]}, True),
        ({"a": 1}, {"oneOf": [{"required": ["a"]}, {"type": "object"}]}, False),
        ("x", {"if": {"type": "string"}, "then": {"const": "*"}}, False),
        (1, {"if": {"type": "string"}, "then": {"const": "*"}}, True),
        (1, {"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}}, False),
        (1, {"type": "integer"}, True),
        (1.0, {"type": "integer"}, True),
        (1.5, {"type": "integer"}, False),
        (True, {"type": "integer"}, False),
        ("ab", {"pattern": "b"}, True),
        ("ab", {"pattern": "^b"}, False),
        (1, {"pattern": "^b"}, True),
        ("x", {"not": {"pattern": "y"}}, True),
        (["a", "b"], {"uniqueItems": True}, True),
        (["a", "a"], {"uniqueItems": True}, False),
        (["a", "a"], {"uniqueItems": False}, True),
        ({"a": 1}, {"maxProperties": 0}, False),
        ({"ab": 1}, {"propertyNames": {"pattern": "^a"}}, True),
        ({"ba": 1}, {"propertyNames": {"pattern": "^a"}}, False),
        (1, {"minimum": 1, "maximum": 1}, True),
        (0, {"minimum": 1}, False),
        (2, {"maximum": 1}, False),
        (True, {"minimum": 2}, True),
        ("x", {"minimum": 2, "default": 3}, True),
    ],
)
def test_a_keyword_means_what_it_means(value: object, schema: dict, accepted: bool) -> None:
    assert accepts(value, schema) is accepted
    assert Draft202012Validator(schema).is_valid(value) is accepted


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ("x", {"format": "date"}),
        ("x", {"not": {"maxLength": 0}}),
        (1, {"enum": [1, 2]}),
        ([1, 2], {"uniqueItems": True}),
        ({"x": 1}, {"patternProperties": {"x": {}}, "additionalProperties": False}),
        ({"x": 1}, {"additionalProperties": False, "patternProperties": {"x": {}}}),
        ("x", {"$ref": "#/properties/x"}),
    ],
)
def test_what_is_not_known_is_left_to_jsonschema(value: object, schema: dict) -> None:
    assert not accepts(value, schema)
    if "$ref" not in schema:
        assert schema_problems(value, schema) == ()


def test_a_right_site_file_is_read_without_jsonschema() -> None:
    code = (
        "import sys; from cml_iam.site import parse_site;"
        'parse_site(\'[account]\\nid = "111122223333"\\n[restrict]\\nregions = ["us-east-1"]\\n\''
        '\'guard_tag = {ManagedBy = "cml"}\\n[workers.a]\\ninstance_types = ["c5.large"]\\n\''
        "'image = \"x\"\\ndisk = 9\\n');"
        "print('jsonschema' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert done.stdout == "False\n", done.stderr


def test_a_right_policy_is_read_without_jsonschema() -> None:
    code = (
        "import sys; from cml_iam.policy import parse_policy;"
        'parse_policy(\'{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}\');'
        "print('jsonschema' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert done.stdout == "False\n"
