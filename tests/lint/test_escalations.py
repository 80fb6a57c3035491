"""CML505 knows the published ways in which permissions lead to other permissions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cml_iam.facts import action_problem
from cml_iam.lint import lint_text
from cml_iam.lint._escalation import escalations

PUBLISHED = Path(__file__).parents[3] / "shared" / "conformance" / "escalations.jsonl"
ROWS = (
    [json.loads(line) for line in PUBLISHED.read_text("utf-8").splitlines()]
    if PUBLISHED.exists()
    else []
)


def allowing(actions: list[str]) -> str:
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.mark.skipif(not ROWS, reason="the published list is not here")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["way"])
def test_a_published_way_is_found(row: dict) -> None:
    rules = {finding.rule for finding in lint_text(allowing(row["actions"]))}

    assert "CML505" in rules


@pytest.mark.parametrize("way", escalations(), ids=lambda way: way.gains)
def test_a_way_of_the_table_is_found_whole_and_not_in_part(way) -> None:
    actions = [step.action for step in way.steps]
    shorter = [
        other
        for other in escalations()
        if {step.action for step in other.steps} <= set(actions[:-1])
    ]

    found = [finding.rule for finding in lint_text(allowing(actions))]
    part = [finding.rule for finding in lint_text(allowing(actions[:-1]))] if actions[1:] else []

    assert "CML505" in found
    assert ("CML505" in part) == bool(shorter)


def test_the_table_names_actions_of_aws_and_a_page_for_each_way() -> None:
    for way in escalations():
        assert way.page.startswith("https://docs.aws.amazon.com/")
        assert [action_problem(step.action) for step in way.steps] == [None] * len(way.steps)


def test_the_ways_for_some_services_are_those_that_need_no_other() -> None:
    few = frozenset({"iam", "lambda"})

    assert escalations(few) == tuple(
        way for way in escalations() if {step.action.partition(":")[0] for step in way.steps} <= few
    )
