"""`cml-iam policy rules`: the rules and their examples, without a network."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from cml_iam.cli._main import cli
from cml_iam.errors import InputError
from cml_iam.lint import Explained, explain_rule, lint_rules, lint_text

IDS = [rule.id for rule in lint_rules()]


@pytest.mark.parametrize("rule", IDS)
def test_the_failing_example_fails_and_the_passing_one_passes(rule: str) -> None:
    explained: Explained = explain_rule(rule)
    failing, passing = explained.failing, explained.passing

    assert rule in {finding.rule for finding in lint_text(failing.text, kind=failing.kind)}
    assert rule not in {finding.rule for finding in lint_text(passing.text, kind=passing.kind)}


@pytest.mark.parametrize("rule", IDS)
def test_a_rule_says_its_name_severity_page_description_and_examples(rule: str) -> None:
    explained = explain_rule(rule)

    done = CliRunner().invoke(cli, ["policy", "rules", rule])

    assert done.exit_code == 0
    assert done.output.startswith(
        f"{rule} {explained.rule.name} ({explained.rule.severity.word})\n"
    )
    assert explained.rule.page in done.output
    assert " ".join(explained.rule.description.split()) in " ".join(done.output.split())
    assert explained.failing.text.rstrip("\n") in done.output
    assert explained.passing.text.rstrip("\n") in done.output


def test_the_table_has_a_line_for_each_rule() -> None:
    lines = CliRunner().invoke(cli, ["policy", "rules"]).output.splitlines()

    assert [line.split()[0] for line in lines if line.startswith("CML")] == IDS


def test_the_same_as_json() -> None:
    listed = json.loads(CliRunner().invoke(cli, ["policy", "rules", "-o", "json"]).output)
    one = json.loads(CliRunner().invoke(cli, ["policy", "rules", "cml501", "-o", "json"]).output)

    assert [row["id"] for row in listed] == IDS
    assert set(listed[0]) < set(one)
    assert one["failing"]["kind"] == "identity"
    assert json.loads(one["failing"]["text"])["Version"] == "2012-10-17"


def test_a_rule_can_be_named_in_any_case_and_by_its_name() -> None:
    assert explain_rule("cml501") == explain_rule("tag-gate-open")


def test_an_unknown_rule_is_refused_with_a_near_one() -> None:
    with pytest.raises(InputError, match="there is no rule `CML50l`") as caught:
        explain_rule("CML50l")

    assert "did you mean `CML5" in (caught.value.remedy or "")
