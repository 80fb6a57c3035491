"""Lint's rules on tags and the proof of sequences answer alike, each by its own search."""

from __future__ import annotations

from cml_iam.lint import lint_policies
from cml_iam.policy import parse_policy
from cml_iam.prove import Policies, Shape, lost, taken_over
from cml_iam.render import render_policy
from tests.expectations.mutants import mutants
from tests.expectations.test_expectations import SITE

INSTANCES = ("arn:aws:ec2:*:*:instance/*",)
OPERATE = Shape(("ec2:StartInstances", "ec2:StopInstances", "ec2:TerminateInstances"), INSTANCES)
OPENED = frozenset({"CML501", "CML502"})
WIPED = "CML503"


def test_lint_says_that_a_gate_opens_where_two_calls_are_proved_to_open_it() -> None:
    tag = SITE.restrict.guard_tag
    assert tag is not None
    asked = opened = 0
    for mutant in mutants(render_policy(SITE).text):
        if "TagAtLaunch" not in mutant.name and "RetagWorkers" not in mutant.name:
            continue
        document = parse_policy(
            str(mutant.document.located and mutant.document.located.source.text)
        )
        policies = Policies((document,))
        rules = {each.rule for each in lint_policies([document], kind="identity")}
        reached = taken_over(policies, tag, OPERATE)
        asked += 1
        opened += len(reached.calls) > 1
        assert bool(rules & OPENED) == (len(reached.calls) > 1), mutant.name
        assert (WIPED in rules) <= (lost(policies, tag, INSTANCES).answer == "broken"), mutant.name
    assert asked > 5
    assert opened == 1
