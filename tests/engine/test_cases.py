"""AWS's rules as cases, each with the page it rests on (`cases/*.json`)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cml_iam.engine import Request, compile_policies

CASES = Path(__file__).parent / "cases"
ACCOUNT = "111122223333"
PRINCIPALS = {
    "user": f"arn:aws:iam::{ACCOUNT}:user/bob",
    "role": f"arn:aws:iam::{ACCOUNT}:role/path/worker",
    "session": f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/session",
    "other user": f"arn:aws:iam::{ACCOUNT}:user/eve",
    "root": f"arn:aws:iam::{ACCOUNT}:root",
    "oidc provider": f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.example.com",
    "service-linked": f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/x.amazonaws.com/ServiceRole",
}
ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}
STATEMENTS = {
    "allow": ALL,
    "deny": {**ALL, "Effect": "Deny"},
    "other": {**ALL, "Action": "x:y", "Principal": "*"},
    "anyone": {**ALL, "Principal": "*"},
    "account": {**ALL, "Principal": {"AWS": ACCOUNT}},
    "stranger": {**ALL, "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/eve"}},
    "service": {**ALL, "Principal": {"Service": "ec2.amazonaws.com"}},
    "deny all but the user": {
        **ALL, "Effect": "Deny", "NotPrincipal": {"AWS": PRINCIPALS["user"]},
    },
    "deny all but user and account": {
        **ALL, "Effect": "Deny",
        "NotPrincipal": {"AWS": [PRINCIPALS["user"], PRINCIPALS["root"]]},
    },
    "deny all but account": {**ALL, "Effect": "Deny", "NotPrincipal": {"AWS": ACCOUNT}},
    "deny all but role": {**ALL, "Effect": "Deny", "NotPrincipal": {"AWS": PRINCIPALS["role"]}},
    "deny anyone": {**ALL, "Effect": "Deny", "Principal": "*"},
    "federated": {**ALL, "Principal": {"Federated": PRINCIPALS["oidc provider"]}},
    **{name: {**ALL, "Principal": {"AWS": arn}} for name, arn in PRINCIPALS.items()},
}  # fmt: skip


def cases(name):
    groups = json.loads((CASES / f"{name}.json").read_text())
    return [
        pytest.param(case, id=case["name"].replace(" ", "-"))
        for group in groups
        for case in group["cases"]
    ]


def document(statement, version="2012-10-17"):
    return {"Version": version, "Statement": STATEMENTS.get(str(statement), statement)}


def documents(value):
    """Write out the short names of statements, at any depth of lists."""
    return [documents(each) for each in value] if isinstance(value, list) else document(value)


@pytest.mark.parametrize("case", cases("conditions"))
def test_a_condition(case):
    statement = {**ALL, "Condition": case["condition"]}
    version = case.get("version", "2012-10-17")
    decide = compile_policies([document(statement, version)]).decide

    assert decide(Request("a:b", context=case["context"])).allowed is case["holds"]


@pytest.mark.parametrize("case", cases("evaluation"))
def test_an_evaluation(case):
    policies = {kind: documents(value) for kind, value in case["policies"].items()}
    principal = case.get("principal", "user")
    request = Request(
        case.get("action", "ec2:StopInstances"),
        case.get("resource", f"arn:aws:ec2:eu-west-1:{ACCOUNT}:instance/i-1"),
        PRINCIPALS.get(principal, principal),
        case.get("context", {}),
        case.get("account"),
    )
    decision = compile_policies(**policies).decide(request)

    assert decision.outcome == case["outcome"]


def test_every_group_of_cases_names_a_page_of_aws():
    groups = [g for path in CASES.glob("*.json") for g in json.loads(path.read_text())]

    assert len(groups) > 20
    assert all(group["page"].startswith("https://docs.aws.amazon.com/") for group in groups)
