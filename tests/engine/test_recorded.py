"""The published answers of the real API, reproduced field by field; only placeholders differ."""

from __future__ import annotations

import json

import pytest

from cml_iam.engine import (
    AttachedPolicy,
    PrincipalPolicies,
    simulate_custom,
    simulate_principal,
)
from tests.conftest import SHARED

FILE = SHARED / "conformance" / "aws_recorded.json"
if not FILE.exists():
    pytest.skip("the published answers are not here", allow_module_level=True)

RECORDED = {load["id"]: load for load in json.loads(FILE.read_text())}
ACCOUNT = "644160558196"
# The documents behind the records that do not carry them: only as much as the answers show.
ADMINISTRATOR = """{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": "*",
      "Resource": "*"
    }
  ]
}"""


# The answers show one statement, from line 3 to the line of its end.
READ_ONLY = """{
"Version": "2012-10-17",
  "Statement":{"Effect": "Allow", "Action": "iam:List*", "Resource": "*"LINES
  }}""".replace("LINES", "\n" * 1066)
BLOCK_READ = """{
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Deny", "Action": "iam:List*", "Resource": "*"LINES
        }]}""".replace("LINES", "\n" * 10)


def plain(answer, recorded):
    """Drop what the record's time or source left out, and put placeholders' values alike."""
    if isinstance(recorded, dict):
        since_2021 = {"SourcePolicyType", "OrganizationsDecisionDetail"}
        return {
            key: plain(value, recorded.get(key))
            for key, value in answer.items()
            if key in recorded or key not in since_2021
        }
    if isinstance(recorded, list) and isinstance(answer, list) and len(answer) == len(recorded):
        return [plain(a, r) for a, r in zip(answer, recorded, strict=True)]
    if isinstance(recorded, str) and "<" in recorded:
        return recorded
    return answer


def simulate(record):
    request = dict(record["request"])
    if record["api"] == "SimulateCustomPolicy":
        return simulate_custom(request, shape="old")
    kind = request["PolicySourceArn"].strip("<>").split()[0]
    arn = f"arn:aws:iam::123456789012:{kind}/name"
    attached = tuple(
        AttachedPolicy(each["name"], each["document"])
        for each in request.pop("attached_managed_policies")
    )
    principal = PrincipalPolicies(arn, attached, organization=())
    return simulate_principal({**request, "PolicySourceArn": arn}, principal, shape="old")


@pytest.mark.parametrize(
    "name", [name for name, each in RECORDED.items() if each["complete_request"]]
)
def test_a_complete_record_is_reproduced(name):
    record = RECORDED[name]
    expected = {"IsTruncated": False, **record["response"]}  # left out in documentation examples

    assert plain(simulate(record), expected) == expected


@pytest.mark.parametrize("name", ["custodian-user-admin", "custodian-ec2-role-admin"])
def test_administrator_access_is_reproduced(name):
    expected = RECORDED[name]["response"]
    action = expected["EvaluationResults"][0]["EvalActionName"]
    arn = f"arn:aws:iam::{ACCOUNT}:user/name"
    principal = PrincipalPolicies(arn, (AttachedPolicy("AdministratorAccess", ADMINISTRATOR),))
    request = {"PolicySourceArn": arn, "ActionNames": [action]}

    found = simulate_principal(request, principal, shape="old")

    assert plain(found, expected) == expected


@pytest.mark.parametrize("allowed", [False, True])
def test_a_boundary_is_reproduced(allowed):
    name = f"custodian-lambda-boundary-{'allow' if allowed else 'deny'}"
    expected = RECORDED[name]["response"]
    arn = f"arn:aws:iam::{ACCOUNT}:role/name"
    principal = PrincipalPolicies(
        arn,
        (AttachedPolicy("ReadOnlyAccess", READ_ONLY),),
        boundary=AttachedPolicy("IAMBlockRead", BLOCK_READ),
        organization=(),
    )
    request = {"PolicySourceArn": arn, "ActionNames": ["iam:ListUsers"]}
    if allowed:
        request["PermissionsBoundaryPolicyInputList"] = [ADMINISTRATOR]

    assert simulate_principal(request, principal, shape="old") == expected
