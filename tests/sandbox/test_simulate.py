"""Simulate* and GetContextKeysFor* are answered in the shapes botocore reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.sandbox.conftest import Identity, refused
from tests.sandbox.documents import (
    ACCOUNT,
    BASE,
    EVERYTHING,
    RESTRICTED,
    allow,
    deny,
    document,
)

INSTANCE = f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/i-0a1b2c3d4e5f60001"
ENTRIES = [
    {
        "ContextKeyName": "aws:RequestedRegion",
        "ContextKeyValues": ["us-east-1"],
        "ContextKeyType": "string",
    },
    {
        "ContextKeyName": "aws:ResourceTag/ManagedBy",
        "ContextKeyValues": ["cml-cloud-manager"],
        "ContextKeyType": "string",
    },
]
ASKED = {
    "ActionNames": ["ec2:StopInstances", "iam:CreateUser"],
    "ResourceArns": [INSTANCE, INSTANCE.replace("0001", "0002")],
    "ContextEntries": ENTRIES,
}


def test_the_new_shape_has_one_result_for_each_action(
    iam: Any, user: Callable[..., Identity]
) -> None:
    someone = user(RESTRICTED)
    answer = iam.simulate_principal_policy(PolicySourceArn=someone.arn, **ASKED)
    stop, create = answer["EvaluationResults"]

    assert answer["IsTruncated"] is False
    assert (stop["EvalActionName"], stop["EvalDecision"]) == ("ec2:StopInstances", "allowed")
    assert [result["EvalResourceName"] for result in stop["ResourceSpecificResults"]] == (
        ASKED["ResourceArns"]
    )
    matched = stop["MatchedStatements"][0]
    assert matched["SourcePolicyType"] == "IAM Policy"
    assert matched["SourcePolicyId"].startswith(someone.name)
    assert matched["StartPosition"]["Line"] == 1
    assert (create["EvalDecision"], create["MatchedStatements"]) == ("implicitDeny", [])


def test_pages_follow_one_another(iam: Any) -> None:
    asked = {
        "PolicyInputList": [EVERYTHING],
        "ActionNames": [f"ec2:Action{number}" for number in range(7)],
    }
    pages = iam.get_paginator("simulate_custom_policy").paginate(
        **asked, PaginationConfig={"PageSize": 3}
    )
    names = [result["EvalActionName"] for page in pages for result in page["EvaluationResults"]]

    assert names == asked["ActionNames"]
    assert refused(iam.simulate_custom_policy, **asked, Marker="nonsense").code == "InvalidInput"


def test_group_policies_and_the_boundary_count(iam: Any, user: Callable[..., Identity]) -> None:
    someone = user()
    iam.create_group(GroupName="simulated")
    iam.put_group_policy(GroupName="simulated", PolicyName="p", PolicyDocument=EVERYTHING)
    iam.add_user_to_group(GroupName="simulated", UserName=someone.name)
    arn = f"arn:aws:iam::{ACCOUNT}:group/simulated"
    for source in (someone.arn, arn):
        assert _decision(iam, source, "ec2:DescribeTags") == "allowed"
    limit = iam.create_policy(
        PolicyName="bounds", PolicyDocument=document(allow("ec2:*"), deny("ec2:DescribeTags"))
    )["Policy"]["Arn"]
    iam.put_user_permissions_boundary(UserName=someone.name, PermissionsBoundary=limit)

    assert _decision(iam, someone.arn, "ec2:DescribeTags") == "explicitDeny"
    assert _decision(iam, someone.arn, "iam:ListUsers") == "implicitDeny"
    assert _decision(iam, someone.arn, "ec2:DescribeRegions") == "allowed"


def test_a_role_is_simulated(iam: Any) -> None:
    trust = document({"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"})
    arn = iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=BASE)

    assert _decision(iam, arn, "ec2:DescribeTags") == "allowed"
    assert _decision(iam, arn, "iam:ListUsers") == "implicitDeny"


@pytest.mark.parametrize(
    ("source", "code", "status"),
    [
        (f"arn:aws:iam::{ACCOUNT}:user/nobody", "NoSuchEntity", 404),
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/r/session", "InvalidInput", 400),
        ("not an ARN at all, but long", "InvalidInput", 400),
    ],
)
def test_a_source_that_is_none_is_refused(source: str, code: str, status: int, iam: Any) -> None:
    answer = refused(
        iam.simulate_principal_policy, PolicySourceArn=source, ActionNames=["ec2:DescribeTags"]
    )

    assert (answer.code, answer.status) == (code, status)


@pytest.mark.parametrize("text", ["{", "[]", '{"Statement": []', "not JSON"])
def test_a_document_that_is_none_is_refused(text: str, iam: Any) -> None:
    asked = {"PolicyInputList": [text], "ActionNames": ["ec2:DescribeTags"]}

    assert refused(iam.simulate_custom_policy, **asked).code == "InvalidInput"
    assert refused(iam.get_context_keys_for_custom_policy, PolicyInputList=[text]).code == (
        "InvalidInput"
    )


def test_context_keys_are_told(iam: Any, user: Callable[..., Identity]) -> None:
    someone = user(RESTRICTED)
    keys = iam.get_context_keys_for_custom_policy(PolicyInputList=[RESTRICTED])
    own = iam.get_context_keys_for_principal_policy(PolicySourceArn=someone.arn)

    assert keys["ContextKeyNames"] == own["ContextKeyNames"]
    assert "aws:RequestedRegion" in keys["ContextKeyNames"]
    assert "ec2:CreateAction" in keys["ContextKeyNames"]
    nobody = f"arn:aws:iam::{ACCOUNT}:user/nobody"
    assert (
        refused(iam.get_context_keys_for_principal_policy, PolicySourceArn=nobody).code
        == "NoSuchEntity"
    )


def test_simulating_needs_its_own_permission_on_the_source(
    user: Callable[..., Identity],
) -> None:
    target = user(BASE)
    may = user(document(allow("iam:SimulatePrincipalPolicy", on=target.arn)))
    asked = {"ActionNames": ["ec2:DescribeTags"]}
    iam = may.client("iam")

    assert iam.simulate_principal_policy(PolicySourceArn=target.arn, **asked)
    answer = refused(iam.simulate_principal_policy, PolicySourceArn=may.arn, **asked)
    assert answer.code == "AccessDenied"
    assert refused(iam.simulate_custom_policy, PolicyInputList=[BASE], **asked).code == (
        "AccessDenied"
    )


def _decision(iam: Any, source: str, action: str) -> str:
    answer = iam.simulate_principal_policy(PolicySourceArn=source, ActionNames=[action])
    return str(answer["EvaluationResults"][0]["EvalDecision"])
