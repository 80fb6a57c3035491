"""Requests that AWS sends, and that proofs may not leave out."""

from __future__ import annotations

import pytest

from cml_iam.policy import load_policy
from cml_iam.prove import Policies, Shape, never

OBJECT = {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}
TOKEN = "sts:AssumeRoleWithWebIdentity"
ACCOUNT = "111122223333"


def document(*statements):
    return load_policy({"Version": "2012-10-17", "Statement": list(statements)})


def allowed(action, resource="*", **condition):
    made = {"Effect": "Allow", "Action": action, "Resource": resource, "Condition": condition}
    return Policies(identity=(document(made),))


def open_to(principal, **condition):
    made = {"Effect": "Allow", "Principal": principal, "Condition": condition, **OBJECT}
    return Policies(resource=document(made))


CASES = {
    # Keys that have one value, and no ARN.
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    "a key with one value": allowed(
        "s3:GetObject", StringEquals={"aws:CalledViaAWSMCP": "aws-mcp.amazonaws.com"}
    ),
    "a key that is not an ARN": allowed(
        "s3:GetObject", StringEquals={"glue:RoleAssumedBy": "glue.amazonaws.com"}
    ),
    # An anonymous request has aws:PrincipalAccount too.
    "an anonymous request": open_to(
        "*",
        StringNotEquals={"aws:PrincipalAccount": ACCOUNT},
        Null={"aws:PrincipalAccount": "false", "aws:PrincipalArn": "true"},
    ),
    # All signed requests have it, so those of services.
    "a request of a service": open_to(
        {"Service": "cloudtrail.amazonaws.com"}, Null={"aws:PrincipalArn": "false"}
    ),
    # Which partition an account is in, a value to leave out does not say.
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
    "an account named in a wrong partition": open_to(
        "*",
        ArnLike={"aws:PrincipalArn": f"arn:aws*:iam::{ACCOUNT}:role/x"},
        ArnNotLike={"aws:PrincipalArn": f"arn:aws-cn:iam::{ACCOUNT}:role/x"},
    ),
    # Tags may be sent to an action whose requests have no aws:TagKeys.
    "tags without their keys": allowed(
        "securitylake:CreateAwsLogSource",
        Null={"aws:TagKeys": "true", "aws:RequestTag/Team": "false"},
    ),
}


@pytest.mark.parametrize("policies", CASES.values(), ids=CASES.keys())
def test_a_request_that_aws_sends_is_found(policies):
    assert never(policies, Shape(["*"])).answer == "broken"


@pytest.mark.parametrize("key", ["aws:userid", "aws:PrincipalIsAWSService"])
def test_a_request_with_a_providers_token_is_not_signed(key):
    # https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
    provider = f"arn:aws:iam::{ACCOUNT}:oidc-provider/x"
    made = {
        "Effect": "Allow",
        "Principal": {"Federated": provider},
        "Action": TOKEN,
        "Condition": {"Null": {key: "true"}},
    }

    assert never(Policies(resource=document(made)), Shape([TOKEN])).answer == "broken"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("aws:RequestedRegion", "ec2:Region"), ("aws:ResourceTag/x", "ec2:ResourceTag/x")],
)
@pytest.mark.parametrize(
    ("action", "answer"), [("s3:GetObject", "broken"), ("ec2:StopInstances", "holds")]
)
def test_only_requests_to_ec2_have_its_names_of_global_keys(ours, theirs, action, answer):
    # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/iam-policy-structure.html
    statements = [
        {"Effect": "Allow", "Action": action, "Resource": "*"},
        {
            "Effect": "Deny",
            "Action": action,
            "Resource": "*",
            "Condition": {"StringEquals": {theirs: "a"}},
        },
    ]
    policies = Policies(identity=(document(*statements),))

    verdict = never(policies, Shape([action], conditions={"StringEquals": {ours: "a"}}))

    assert verdict.answer == answer


def test_the_arn_of_another_service_tells_nothing_of_the_region():
    licence = f"arn:aws:license-manager:eu-west-1:{ACCOUNT}:license-configuration:*"
    elsewhere = {"StringNotEquals": {"aws:RequestedRegion": "eu-west-1"}}

    verdict = never(
        allowed("ec2:RunInstances", licence), Shape(["ec2:RunInstances"], conditions=elsewhere)
    )

    assert verdict.answer == "broken"


def test_an_empty_list_is_no_absent_key_to_an_operator_for_one_value():
    statements = [
        {"Effect": "Allow", "Action": "ec2:CreateTags", "Resource": "*"},
        {
            "Effect": "Deny",
            "Action": "ec2:CreateTags",
            "Resource": "*",
            "Condition": {"StringNotEquals": {"aws:TagKeys": "b"}},
        },
    ]
    none = {f"ForAllValues:String{how}": {"aws:TagKeys": "a"} for how in ("Equals", "NotEquals")}

    verdict = never(
        Policies(identity=(document(*statements),)), Shape(["ec2:CreateTags"], conditions=none)
    )

    assert verdict.answer == "broken"
