"""The rows say what they mean once: Allow and Deny are each other's negation, and none is lost."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest

from cml_iam.engine import Request, compile_policies
from cml_iam.files import shipped_text
from cml_iam.policy import Conditions, parse_policy
from cml_iam.restrict import (
    GRANTED,
    RESTRICTED,
    ROWS,
    Grants,
    KeyTest,
    Restriction,
    Restrictions,
)
from cml_iam.site.__main__ import NAME, site_schema
from tests.expectations.test_expectations import EVERYTHING, SITE

RULES = tuple(rule for row in ROWS for rule in row.rules(EVERYTHING))
TESTS = tuple({repr(test): test for rule in RULES for test in rule.tests}.values())
ANSWERS: dict[str, tuple[str | list[str] | None, ...]] = {
    "aws:SourceIp": ("192.0.2.1", "192.0.2.200", "2001:db8::1", "2001:db9::1", None),
    "aws:TagKeys": (["ManagedBy"], ["managedby"], ["ManagedBy", "x"], ["x"], None),
    "ec2:Subnet": (
        "arn:aws:ec2:us-east-1:111122223333:subnet/subnet-0a1b2c3d4e5f60007",
        "arn:aws:ec2:us-east-1:111122223333:subnet/subnet-0a1b2c3d4e5f60009",
        None,
    ),
}
"""Values of a key beside those that its test names."""


def _met(condition: Conditions, key: str, value: str | list[str] | None) -> bool:
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition}
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    context = {} if value is None else {key: value}
    request = Request("ec2:RunInstances", "*", EVERYTHING.principal_arn, context)
    return compile_policies(identity=[parse_policy(text, "p")]).decide(request).allowed


def _answers(test: KeyTest) -> tuple[str | list[str] | None, ...]:
    if test.operator == "Bool":
        return ("true", "false", None)
    named = (test.values,) if isinstance(test.values, str) else tuple(test.values)
    return ANSWERS.get(test.key) or (*named, "x", None)


@pytest.mark.parametrize("test", TESTS, ids=lambda test: f"{test.operator} {test.key}")
def test_a_deny_matches_just_what_the_allow_does_not(test: KeyTest) -> None:
    answers = _answers(test)
    holds = [_met(test.holds, test.key, value) for value in answers]

    assert [not hold for hold in holds] == [
        _met(test.denied, test.key, answer) for answer in answers
    ]
    assert [not hold for hold in holds] == [
        _met(test.fails, test.key, answer) for answer in answers
    ]
    assert True in holds
    assert False in holds


def test_every_rule_has_its_deny_in_the_guard() -> None:
    guard = shipped_text("policies", "guard.json.j2")

    rules = {rule.sid for site in (EVERYTHING, SITE) for row in ROWS for rule in row.rules(site)}

    assert [sid for sid in sorted(rules) if f'deny("{sid}")' not in guard] == []


@pytest.mark.parametrize(
    ("rows", "values"), [(RESTRICTED, Restrictions), (GRANTED, Grants)], ids=["restrict", "grant"]
)
def test_every_value_of_the_site_file_is_an_option_of_a_row(
    rows: tuple[Restriction, ...], values: type[Restrictions | Grants]
) -> None:
    options = {option.name for row in rows for option in row.options}

    assert options == {field.name for field in fields(values)}


def test_the_schema_of_the_site_file_has_the_options_of_the_rows() -> None:
    text = shipped_text("policies", NAME)

    assert site_schema(text) == text, "run: python -m cml_iam.site"
