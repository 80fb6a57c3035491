"""A key with two names: which requests have it under which, and what a proof says of it."""

from __future__ import annotations

import pytest

from cml_iam.facts import TWINS, every_name, key_type, names_of, same_key, service
from cml_iam.policy import load_policy
from cml_iam.prove import Policies, Shape, never

# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/iam-policy-structure.html#amazon-ec2-keys
NAMES = {
    ("aws:RequestedRegion", "ec2:StopInstances"): ("aws:RequestedRegion", "ec2:Region"),
    ("EC2:region", "EC2:StopInstances"): ("aws:RequestedRegion", "ec2:Region"),
    ("ec2:Region", "cloudwatch:GetMetricStatistics"): ("aws:RequestedRegion",),
    ("ec2:ResourceTag/Env", "ec2:StopInstances"): ("aws:ResourceTag/Env", "ec2:ResourceTag/Env"),
    ("aws:ResourceTag/Env", "rds:StopDBInstance"): ("aws:ResourceTag/Env",),
    # The service reference has it there as well.
    ("aws:ResourceTag/a", "ec2-instance-connect:SendSSHPublicKey"): (
        "aws:ResourceTag/a",
        "ec2:ResourceTag/a",
    ),
    ("ec2:InstanceType", "ec2:RunInstances"): ("ec2:InstanceType",),
}


def allowing(action, **condition):
    said = {"Effect": "Allow", "Action": action, "Resource": "*", "Condition": condition}
    return Policies((load_policy({"Version": "2012-10-17", "Statement": [said]}),))


@pytest.mark.parametrize(("key", "action"), NAMES, ids=" in ".join)
def test_a_request_has_a_key_under_the_names_that_its_service_sends(key, action):
    assert names_of(key, action) == NAMES[key, action]


@pytest.mark.parametrize("pair", TWINS, ids=lambda pair: pair.other)
def test_both_names_are_in_the_service_reference_of_one_type_and_one_key_here(pair):
    plain, other = (name + ("x" if name.endswith("/") else "") for name in (pair.plain, pair.other))

    assert key_type(plain) == key_type(other) == "String"
    assert same_key(plain) == same_key(other) == plain.lower()
    assert every_name(other) == (plain, other)


@pytest.mark.parametrize("pair", TWINS, ids=lambda pair: pair.other)
def test_the_service_reference_knows_the_name_in_these_services_alone(pair):
    other = pair.other + ("x" if pair.other.endswith("/") else "")

    for prefix in ("ec2", "ec2-instance-connect", "cloudwatch", "ssm", "s3", "iam", "rds"):
        actions = map(service(prefix).action, service(prefix).action_names)
        having = any(action.has_key(other) for action in actions)
        assert having is (prefix in pair.services), prefix


def test_a_condition_on_ec2s_name_never_matches_in_another_service():
    action = "cloudwatch:GetMetricStatistics"

    verdict = never(allowing(action, StringEquals={"ec2:Region": "us-east-1"}), Shape((action,)))

    assert verdict.holds
    assert [(assumption.kind, assumption.text) for assumption in verdict.assumptions] == [
        ("names", "only requests to ec2 have ec2:Region")
    ]
    assert verdict.assumptions[0].page.startswith("https://docs.aws.amazon.com/AWSEC2/")


def test_a_denial_by_ec2s_name_denies_nothing_of_another_service():
    said = [
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"},
        {
            "Effect": "Deny",
            "Action": "*",
            "Resource": "*",
            "Condition": {"StringEquals": {"ec2:Region": "us-east-1"}},
        },
    ]
    policies = Policies((load_policy({"Version": "2012-10-17", "Statement": said}),))
    here = Shape(
        ("s3:GetObject",), conditions={"StringEquals": {"aws:RequestedRegion": "us-east-1"}}
    )

    verdict = never(policies, here)

    assert verdict.answer == "broken"
    assert "ec2:Region" not in verdict.witness.request.context


def test_a_proof_that_takes_both_names_for_one_key_says_so():
    policies = allowing("ec2:StopInstances", StringEquals={"ec2:Region": "us-east-1"})
    elsewhere = Shape(
        ("ec2:StopInstances",), conditions={"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}
    )

    verdict = never(policies, elsewhere)

    assert verdict.holds
    assert "requests to ec2 have aws:RequestedRegion and ec2:Region, with the same value" in {
        assumption.text for assumption in verdict.assumptions
    }
