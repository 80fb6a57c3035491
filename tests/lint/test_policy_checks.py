"""AWS publishes a list of the checks of its own validator; each policy here fails one of them.

https://docs.aws.amazon.com/IAM/latest/UserGuide/access-analyzer-reference-policy-checks.html
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from cml_iam.lint import RULES, explain_rule, lint_text
from cml_iam.lint._aws_checks import AWS_CHECKS

CHECKS: Final = Path(__file__).parents[3] / "shared" / "conformance" / "policy_checks.jsonl"

OURS: Final = {
    "Allow with NotPrincipal": "CML525",
    "Empty array principal": "CML102",
    "Empty object principal": "CML102",
    "Federated principal not supported": "CML211",
    "Irrelevant condition key": "CML318",
    "Invalid federated principal syntax": "CML211",
    "Invalid principal format": "CML211",
    "Invalid role reference": "CML213",
    "Invalid service principal format": "CML211",
    "Missing action for condition key": "CML214",
    "Missing action roles anywhere": "CML214",
    "Missing condition key oidc": "CML522",
    "Policy size exceeds SCP quota": "CML103",
    "Policy size resource": "CML103",
    "Restrict access to service principal": "CML526",
    "SCP principal": "CML104",
    "Specific github repo": "CML523",
    "Trust wildcard in principal": "CML521",
    "Unsupported wildcard in principal": "CML211",
}
"""AWS's check, and the rule here that is about the same."""

SILENT: Final = frozenset({"SCP action wildcard", "SCP allow NotAction"})
"""Checks of what service control policies may have since they take the full policy language."""


def rows() -> list[dict[str, Any]]:
    lines = CHECKS.read_text("utf-8").splitlines() if CHECKS.is_file() else []
    return [row for row in map(json.loads, lines) if row["kind"] != "identity"]


needs_checks = pytest.mark.skipif(not rows(), reason="AWS's checks are not here")


@needs_checks
def test_every_check_of_policies_with_principals_is_made() -> None:
    found = {
        row["check"]: sorted({each.rule for each in lint_text(row["policy"], kind=row["kind"])})
        for row in rows()
    }

    missing = {check: rule for check, rule in OURS.items() if rule not in found.get(check, ())}
    assert missing == {}
    assert {check: found[check] for check in SILENT} == {check: [] for check in SILENT}
    assert found.keys() == OURS.keys() | SILENT


@needs_checks
def test_the_kind_of_each_is_recognized_where_the_document_says_it() -> None:
    from cml_iam.lint import recognized_kind

    others = {"SCP principal": "rcp"}
    for row in rows():
        if row["kind"] in {"trust", "resource"}:
            kind = recognized_kind(json.loads(row["policy"]))
            assert kind == others.get(row["check"], row["kind"]), row["check"]


def test_each_of_aws_s_checks_stands_beside_one_rule_that_exists() -> None:
    checks = [check for names in AWS_CHECKS.values() for check in names]

    assert len(checks) == len(set(checks))
    assert AWS_CHECKS.keys() <= {rule.id for rule in RULES}
    assert explain_rule("CML525").as_json()["aws_checks"] == [
        "Allow with NotPrincipal",
        "Role trust policy syntax error notprincipal",
    ]


@needs_checks
def test_what_aws_s_checks_find_in_policies_of_identities_is_found_by_the_rule_beside_them() -> (
    None
):
    beside = {check: rule for rule, names in AWS_CHECKS.items() for check in names}
    lines = map(json.loads, CHECKS.read_text("utf-8").splitlines())
    judged = {
        row["check"]: {each.rule for each in lint_text(row["policy"], kind="identity")}
        for row in lines
        if row["kind"] == "identity" and row["check"] in beside
    }

    assert len(judged) > 25
    assert {
        check: beside[check] for check, rules in judged.items() if beside[check] not in rules
    } == {}
