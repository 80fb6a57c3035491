"""A rule is its documents: what must be found in the bad ones, and nothing in the good ones.

`cases/ID-NAME/expected.json` says what each bad one must report: line and message of every finding
of the rule.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cml_iam.lint import Finding, Severity, lint_rules, lint_text
from cml_iam.lint._rules import rules_page
from tests.lint.documents import CASES, documents, kind_of, rule_of

ROOT = Path(__file__).parents[2]
LABELS = {rule.id: rule.label for rule in lint_rules()}


def cases(which: str) -> list[pytest.param]:
    return [
        pytest.param(path, id=f"{rule_of(path)}/{path.name.partition('.')[0]}")
        for path in documents(which)
    ]


def judged(path: Path) -> tuple[Finding, ...]:
    return lint_text(path.read_text("utf-8"), path.name, kind=kind_of(path))


@pytest.mark.parametrize("path", cases("bad"))
def test_a_bad_example_has_exactly_the_expected_findings(path: Path) -> None:
    rule = rule_of(path)
    expected = json.loads((CASES / LABELS[rule] / "expected.json").read_text("utf-8"))[path.name]

    found = [
        {"line": finding.place.line, "says": finding.message}
        for finding in judged(path)
        if finding.rule == rule
    ]

    assert found == expected
    assert found


@pytest.mark.parametrize("path", cases("good"))
def test_a_good_example_has_no_finding_of_the_rule_nor_any_that_counts(path: Path) -> None:
    rule = rule_of(path)

    found = [
        finding
        for finding in judged(path)
        if finding.rule == rule or finding.severity > Severity.INFO
    ]

    assert found == []


@pytest.mark.parametrize("rule", lint_rules(), ids=lambda rule: rule.label)
def test_every_rule_has_good_and_bad_examples_and_a_page(rule) -> None:
    assert rule.id in map(rule_of, documents("bad"))
    assert rule.id in map(rule_of, documents("good"))
    assert rule.page.startswith("https://docs.aws.amazon.com/")


def test_every_folder_of_examples_belongs_to_a_rule() -> None:
    assert {path.name for path in CASES.iterdir()} == {rule.label for rule in lint_rules()}


def test_ids_and_names_are_unique_and_in_order() -> None:
    ids = [rule.id for rule in lint_rules()]

    assert ids == sorted(set(ids))
    assert len({rule.name for rule in lint_rules()}) == len(lint_rules())


def test_the_documented_table_is_up_to_date() -> None:
    assert (ROOT / "docs" / "rules.md").read_text("utf-8") == rules_page()


@pytest.mark.parametrize("path", cases("bad"))
def test_every_witness_is_decided_by_the_engine_as_it_says(path: Path) -> None:
    from cml_iam.engine import compile_policies
    from cml_iam.lint._ask import authorizer_of

    text = path.read_text("utf-8")
    for finding in judged(path):
        of_resource = kind_of(path) in {"resource", "trust"}
        for step in finding.witness:
            engine = authorizer_of(text) if of_resource else compile_policies(identity=[text])
            assert engine.decide(step.request).outcome == step.outcome
