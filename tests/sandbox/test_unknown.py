"""What there is none of is said to be none: operations, shapes, parameters.

https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
"""

from __future__ import annotations

import json
from typing import Any
from zlib import crc32

import pytest

from cml_iam.engine import PrincipalPolicies, simulate_custom, simulate_principal
from cml_iam.errors import InputError
from tests.sandbox.conftest import Identity, refused, send
from tests.sandbox.documents import BASE, document

VERSIONS = {
    "ec2": "2016-11-15",
    "iam": "2010-05-08",
    "sts": "2011-06-15",
    "monitoring": "2010-08-01",
}


@pytest.mark.parametrize("service", VERSIONS)
@pytest.mark.parametrize("operation", ["Frobnicate", "runinstances", "../x", ""])
def test_an_operation_there_is_not_is_an_invalid_action(
    service: str, operation: str, root: Identity
) -> None:
    status, body = send(root, service, f"Action={operation}&Version={VERSIONS[service]}")

    assert (status, "<Code>InvalidAction</Code>" in body) == (400, True)


def test_in_json_it_is_an_unknown_operation(root: Identity) -> None:
    headers = {
        "X-Amz-Target": "GraniteServiceVersion20100801.Frobnicate",
        "Content-Type": "application/x-amz-json-1.0",
    }
    status, body = send(root, "monitoring", "{}", headers=headers)

    assert (status, "UnknownOperationException" in body) == (404, True)


@pytest.mark.parametrize("shape", ["weird", "", "NEW"])
def test_a_simulation_of_an_unknown_shape_is_wrong_input(shape: Any) -> None:
    arn = "arn:aws:iam::111122223333:user/u"
    asked = {"ActionNames": ["ec2:DescribeRegions"]}
    with pytest.raises(InputError, match="no shape"):
        simulate_custom({**asked, "PolicyInputList": [BASE]}, shape=shape)
    with pytest.raises(InputError, match="no shape"):
        simulate_principal(
            {**asked, "PolicySourceArn": arn}, PrincipalPolicies(arn, ()), shape=shape
        )


STATEMENT = {"Effect": "Allow", "Action": "ec2:DescribeRegions", "Resource": "*"}
TRUST = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "111122223333"}}


def without(element: str, of: dict[str, Any] = STATEMENT) -> dict[str, Any]:
    return {key: value for key, value in of.items() if key != element}


# What IAM says: https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_policies.html
POLICIES: list[tuple[dict[str, Any], str]] = [
    ({**STATEMENT, "Principal": "*"}, "should not specify a principal"),
    ({**STATEMENT, "Principal": {"AWS": "*"}}, "should not specify a principal"),
    ({**STATEMENT, "NotPrincipal": {"AWS": "*"}}, "should not specify a principal"),
    (without("Resource"), "must contain resources"),
    (without("Action"), "exactly one of `Action` and `NotAction`"),
    ({**STATEMENT, "Sid": "two words"}, "must be alpha-numeric"),
    ({**STATEMENT, "Resource": "instance"}, "neither an ARN nor `*`"),
    ({**STATEMENT, "Action": "Describe"}, "names no service"),
]


@pytest.mark.parametrize(("statement", "said"), POLICIES)
def test_a_policy_iam_does_not_take_is_malformed(
    statement: dict[str, Any], said: str, root: Identity
) -> None:
    iam = root.client("iam")
    text = document(statement)
    iam_user = f"u{crc32(text.encode())}"
    iam.create_user(UserName=iam_user)
    held = {"UserName": iam_user, "PolicyName": "p", "PolicyDocument": text}

    for call, parameters in (
        (iam.create_policy, {"PolicyName": "p", "PolicyDocument": text}),
        (iam.put_user_policy, held),
    ):
        answer = refused(call, **parameters)
        assert (answer.code, said in answer.message) == ("MalformedPolicyDocument", True)
    assert iam.list_policies(Scope="Local")["Policies"] == []


def test_ids_of_statements_are_unique(root: Identity) -> None:
    text = document({**STATEMENT, "Sid": "A"}, {**STATEMENT, "Sid": "A"})
    answer = refused(root.client("iam").create_policy, PolicyName="p", PolicyDocument=text)

    assert (answer.code, "must be unique" in answer.message) == ("MalformedPolicyDocument", True)


TRUSTS: list[tuple[dict[str, Any], str]] = [
    (without("Principal", TRUST), "required field Principal"),
    ({**TRUST, "Resource": "*"}, "prohibited field Resource"),
    ({**TRUST, "Action": "ec2:DescribeRegions"}, "only specify STS AssumeRole actions"),
]


@pytest.mark.parametrize(("statement", "said"), TRUSTS)
def test_a_trust_policy_iam_does_not_take_is_malformed(
    statement: dict[str, Any], said: str, root: Identity
) -> None:
    iam = root.client("iam")
    answer = refused(iam.create_role, RoleName="r", AssumeRolePolicyDocument=document(statement))

    assert (answer.code, said in answer.message) == ("MalformedPolicyDocument", True)
    assert iam.list_roles()["Roles"] == []


def test_each_resource_of_a_simulation_is_named_as_it_was_given(root: Identity) -> None:
    resources = [f"arn:aws:ec2:us-east-1:111122223333:instance/i-0a1b2c3d4e5f6000{n}" for n in "12"]
    (result,) = root.client("iam").simulate_custom_policy(
        PolicyInputList=[BASE], ActionNames=["ec2:StopInstances"], ResourceArns=resources
    )["EvaluationResults"]

    named = [each["EvalResourceName"] for each in result["ResourceSpecificResults"]]
    assert named == resources
    assert json.loads(BASE)["Statement"]
