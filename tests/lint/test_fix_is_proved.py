"""Whatever `--fix` writes is proved again: it opens nothing, loses nothing, voids no statement."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from cml_iam.lint import explain_rule, lint_rules
from fuzz.lint_fixes import check
from fuzz.lint_mutants import mutant, parsed, policies

POLICIES = Path(__file__).parents[3] / "shared" / "reference" / "policies"


@pytest.mark.parametrize("rule", [rule.id for rule in lint_rules()])
def test_of_the_failing_example_of_a_rule(rule: str) -> None:
    example = explain_rule(rule).failing

    if example.kind == "identity":
        check(example.text)


def test_of_mutated_policies() -> None:
    chance, seeds = random.Random(11), parsed(policies())  # noqa: S311 - repeatable
    applied = sum((check(mutant(chance, seeds)) for _ in range(400)), Counter[str]())

    assert applied.total() > 15
    assert len(applied) > 3


@pytest.mark.skipif(not POLICIES.is_dir(), reason="reference policies not here")
def test_of_the_reference_policies() -> None:
    for path in sorted(POLICIES.glob("*.json")):
        check(path.read_text("utf-8"))
