"""What lint claims of all requests, the proof says too."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

from cml_iam.lint import lint_text
from cml_iam.policy import parse_policy
from cml_iam.prove import Policies, Shape, never
from tests.lint.documents import documents

ROOT = Path(__file__).parents[2]


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "fuzz")
    import fuzz.lint_claims

    return fuzz.lint_claims


def test_of_random_and_mutated_policies(claims: ModuleType) -> None:
    chance = random.Random(3)  # noqa: S311 - repeatable
    held = sum(map(claims.check, claims.texts(chance, 200)), Counter[str]())

    assert sum(held[claim] for claim in claims.CLAIMS) > 100


def test_of_the_examples_of_every_rule(claims: ModuleType) -> None:
    texts = (path.read_text("utf-8") for path in documents("bad"))
    held = sum(map(claims.check, texts), Counter[str]())

    assert held.keys() >= claims.CLAIMS.keys()


@pytest.mark.parametrize(
    ("effect", "condition", "holds"),
    [
        ("Deny", {"BoolIfExists": {"aws:MultiFactorAuthPresent": "no"}}, True),
        ("Allow", {"ForAllValues:StringEquals": {"aws:TagKeys": []}}, True),
        ("Allow", {"StringEqualsIfExists": {"aws:RequestTag/Team": []}}, True),
        ("Deny", {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/33"}}, True),
        ("Deny", {"BoolIfExists": {"aws:SecureTransport": "no"}}, False),
        ("Deny", {"Bool": {"aws:MultiFactorAuthPresent": "no"}}, False),
        ("Allow", {"StringEquals": {"ec2:ResourceTag/Team": []}}, False),
    ],
)
def test_a_condition_never_holds_for_lint_where_the_proof_says_so(
    effect: str, condition: dict, holds: bool
) -> None:
    statement = {
        "Effect": effect,
        "Action": "ec2:CreateTags",
        "Resource": "arn:aws:ec2:*:111122223333:instance/*",
        "Condition": condition,
    }
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    alone = json.dumps({"Version": "2012-10-17", "Statement": [statement | {"Effect": "Allow"}]})

    [finding] = [finding for finding in lint_text(text) if finding.rule == "CML204"]

    proved = never(Policies((parse_policy(alone),)), Shape()).answer
    assert proved == ("broken" if holds else "holds")
    assert ("never holds" in finding.message) is not holds


def test_a_key_of_ec2_in_requests_to_another_service_is_neither_sent_nor_matched() -> None:
    statement = {
        "Effect": "Allow",
        "Action": "cloudwatch:GetMetricStatistics",
        "Resource": "*",
        "Condition": {"StringEquals": {"ec2:Region": "us-east-1"}},
    }
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})

    [finding] = [finding for finding in lint_text(text) if finding.rule == "CML302"]

    assert finding.message.startswith("no request for `cloudwatch:GetMetricStatistics` has")
    assert never(Policies((parse_policy(text),)), Shape()).holds
