"""Lint's rules on tags say what is proved: nothing that is not so, and nothing less."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from cml_iam.lint import lint_policies
from cml_iam.policy import load_policy, parse_policy
from cml_iam.prove import Policies, Shape, lost, taken_over
from cml_iam.render import render_policy
from cml_iam.site import Tag
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
        rules = {policy.rule for policy in lint_policies([document], kind="identity")}
        reached = taken_over(policies, tag, OPERATE)
        asked += 1
        opened += len(reached.calls) > 1
        assert bool(rules & OPENED) == (len(reached.calls) > 1), mutant.name
        assert (WIPED in rules) <= (lost(policies, tag, INSTANCES).answer == "broken"), mutant.name
    assert asked > 5
    assert opened == 1


TAG = Tag("ManagedBy", "cml")
CONDITIONS: list[dict[str, Any]] = [
    {"DateGreaterThan": {"aws:CurrentTime": "2027-06-01T00:00:00Z"}},
    {"DateLessThan": {"aws:CurrentTime": "2027-05-01T00:00:00Z"}},
    {"NumericGreaterThanEquals": {"aws:MultiFactorAuthAge": "5000000"}},
    {"NotIpAddress": {"aws:SourceIp": ["198.51.100.0/24", "203.0.113.0/24"]}},
    {"StringEquals": {"aws:RequestTag/ManagedBy": ["other", "CML"]}},
    {"StringNotEquals": {"aws:RequestTag/ManagedBy": "cml"}},
    {"StringEquals": {"aws:ResourceTag/ManagedBy": "cml"}},
    {"StringNotEquals": {"aws:ResourceTag/Team": ["a", "b", "c", "d"]}},
    {"StringEquals": {"aws:ResourceTag/Team": ["a", "b", "c", "d"]}},
    {"StringEquals": {"ec2:CreateAction": "RunInstances"}},
    {"ForAllValues:StringNotEquals": {"aws:TagKeys": ["ManagedBy"]}},
    {"ForAllValues:StringNotEqualsIgnoreCase": {"aws:TagKeys": ["ManagedBy"]}},
    {"Null": {"aws:TagKeys": "false"}},
    {"Null": {"aws:RequestTag/ManagedBy": "true"}},
    {"StringEquals": {"aws:RequestedRegion": "eu-south-1"}},
]


@pytest.mark.parametrize("seed", range(60))
def test_a_gate_of_any_policy_opens_for_lint_just_where_it_is_proved_to_open(seed: int) -> None:
    document = load_policy(_random_policy(Random(seed)))  # noqa: S311 - repeatable
    rules = {policy.rule for policy in lint_policies([document], kind="identity")}
    policies = Policies((document,))

    reached = taken_over(policies, TAG, OPERATE)

    if len(reached.calls) > 1:
        assert rules & OPENED, reached.calls
    if reached.answer == "holds" or len(reached.calls) == 1:
        assert not rules & OPENED, reached
    if lost(policies, TAG, INSTANCES).answer == "holds":
        assert WIPED not in rules


def test_the_random_policies_are_of_every_kind() -> None:
    found = Counter(
        (reached.answer, len(reached.calls))
        for seed in range(60)
        for reached in [
            taken_over(
                Policies((load_policy(_random_policy(Random(seed))),)),  # noqa: S311
                TAG,
                OPERATE,
            )
        ]
    )

    assert found["holds", 0] > 5
    assert found["broken", 2] > 5


def _random_policy(random: Random) -> dict[str, Any]:
    operate = {"StringEquals": {"aws:ResourceTag/ManagedBy": "cml"}}
    statements = [_statement("Allow", OPERATE.actions, operate)]
    for _ in range(random.choice([1, 1, 2, 3])):
        effect = "Allow" if random.random() < 0.75 else "Deny"
        actions = random.choice([["ec2:CreateTags"], ["ec2:DeleteTags"], ["ec2:*Tags"]])
        chosen: dict[str, Any] = {}
        for each in random.sample(CONDITIONS, random.choice([0, 1, 1, 2])):
            for operator, block in each.items():
                chosen[operator] = {**chosen.get(operator, {}), **block}
        statements.append(_statement(effect, actions, chosen))
    return {"Version": "2012-10-17", "Statement": statements}


def _statement(effect: str, actions: Sequence[str], conditions: dict[str, Any]) -> dict[str, Any]:
    made = {"Effect": effect, "Action": list(actions), "Resource": list(INSTANCES)}
    return made | ({"Condition": conditions} if conditions else {})
