"""Sequences of calls: what tags let a caller reach, and what never changes on the way."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cml_iam.policy import parse_policy
from cml_iam.prove import Policies, Shape, lost, taken_over
from cml_iam.site import Tag

TAG = Tag("ManagedBy", "cml")
INSTANCES = ("arn:aws:ec2:*:*:instance/*",)
TERMINATE = Shape(("ec2:TerminateInstances",), INSTANCES)
CARRIED = {"StringEquals": {"aws:ResourceTag/ManagedBy": "cml"}}


def policies(*statements: tuple[str, dict[str, Any]]) -> Policies:
    listed = [
        {"Effect": "Allow", "Action": action, "Resource": "*", "Condition": condition}
        for action, condition in statements
    ]
    return Policies((parse_policy(json.dumps({"Version": "2012-10-17", "Statement": listed})),))


CREATE, TERMINATES, DELETE = "ec2:CreateTags", "ec2:TerminateInstances", "ec2:DeleteTags"
TAKEN = {
    "nothing but its own": (policies((TERMINATES, CARRIED)), "holds", 0),
    "anything": (policies((TERMINATES, {})), "broken", 1),
    "tag, then terminate": (policies((TERMINATES, CARRIED), (CREATE, {})), "broken", 2),
    "tag at launch only": (
        policies(
            (TERMINATES, CARRIED), (CREATE, {"StringEquals": {"ec2:CreateAction": "RunInstances"}})
        ),
        "holds",
        0,
    ),
    "tag with another key only": (
        policies(
            (TERMINATES, CARRIED),
            (CREATE, {"ForAllValues:StringNotEqualsIgnoreCase": {"aws:TagKeys": ["ManagedBy"]}}),
        ),
        "holds",
        0,
    ),
    # A condition key's name has no case, and a tag's key has: EC2 takes both for themselves.
    "tag with the key in other letters": (
        policies(
            (TERMINATES, CARRIED),
            (CREATE, {"ForAllValues:StringNotEquals": {"aws:TagKeys": ["ManagedBy"]}}),
        ),
        "broken",
        2,
    ),
    "tag with another value only": (
        policies(
            (TERMINATES, CARRIED),
            (CREATE, {"StringNotEquals": {"aws:RequestTag/ManagedBy": "cml"}}),
        ),
        "holds",
        0,
    ),
    "tag workers only": (policies((TERMINATES, CARRIED), (CREATE, CARRIED)), "holds", 0),
    "two tags, one after the other": (
        policies(
            (
                TERMINATES,
                {
                    "StringEquals": {
                        "aws:ResourceTag/ManagedBy": "cml",
                        "aws:ResourceTag/Team": "b",
                    }
                },
            ),
            (
                CREATE,
                {
                    "StringEquals": {"aws:ResourceTag/Team": "a"},
                    "ForAllValues:StringEquals": {"aws:TagKeys": ["ManagedBy"]},
                },
            ),
            (CREATE, {"ForAllValues:StringEquals": {"aws:TagKeys": ["Team"]}}),
        ),
        "broken",
        3,
    ),
    "tag in one region, terminate in another": (
        policies(
            (
                TERMINATES,
                {
                    "StringEquals": {
                        "aws:ResourceTag/ManagedBy": "cml",
                        "aws:RequestedRegion": "eu-west-1",
                    }
                },
            ),
            (CREATE, {"StringEquals": {"aws:RequestedRegion": "us-east-1"}}),
        ),
        "holds",
        0,
    ),
}


@pytest.mark.parametrize("case", TAKEN)
def test_an_instance_is_taken_over_only_by_calls_that_follow_one_another(case: str) -> None:
    given, answer, calls = TAKEN[case]
    reached = taken_over(given, TAG, TERMINATE)
    assert (reached.answer, len(reached.calls)) == (answer, calls), reached


def test_an_instance_of_another_type_is_not_followed_to_a_false_proof() -> None:
    given = policies(
        (
            TERMINATES,
            {
                "StringEquals": {
                    "aws:ResourceTag/ManagedBy": "cml",
                    "ec2:InstanceType": "c5.large",
                }
            },
        ),
        (CREATE, {"StringEquals": {"ec2:InstanceType": "m5.large"}}),
    )
    reached = taken_over(given, TAG, TERMINATE)
    assert reached.answer == "undecided"
    assert "ec2:InstanceType" in reached.reason


LOST = {
    "no tagging": (policies((TERMINATES, {})), "holds"),
    "another value": (policies((CREATE, {})), "broken"),
    "the same value again": (
        policies((CREATE, {"StringEquals": {"aws:RequestTag/ManagedBy": "cml"}})),
        "holds",
    ),
    "removed": (policies((DELETE, {})), "broken"),
    "removed in other letters": (
        policies((DELETE, {"StringNotEquals": {"aws:TagKeys": ["ManagedBy"]}})),
        "broken",
    ),
    "all tags removed": (
        policies(
            (DELETE, {"ForAllValues:StringNotEqualsIgnoreCase": {"aws:TagKeys": "ManagedBy"}})
        ),
        "broken",
    ),
    "named, and another": (
        policies(
            (
                DELETE,
                {
                    "ForAllValues:StringNotEqualsIgnoreCase": {"aws:TagKeys": "ManagedBy"},
                    "Null": {"aws:TagKeys": "false"},
                },
            )
        ),
        "holds",
    ),
    "of instances without it only": (
        policies((DELETE, {"StringNotEquals": {"aws:ResourceTag/ManagedBy": "cml"}})),
        "holds",
    ),
}


@pytest.mark.parametrize("case", LOST)
def test_a_worker_loses_its_tag_by_a_change_by_its_removal_or_by_the_removal_of_all(
    case: str,
) -> None:
    given, answer = LOST[case]
    assert lost(given, TAG, INSTANCES).answer == answer


def allowed(action: str, resource: str | list[str] = "*", **condition: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, "Condition": condition}


def documents(*statements: dict[str, Any]) -> Policies:
    text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    return Policies((parse_policy(text),))


OWN = "aws:ResourceTag/ManagedBy"
ELSEWHERE = ["arn:aws:ec2:ap-southeast-1", "arn:aws:ec2:eu-west-3"]
ON_A = "arn:aws:ec2:us-east-1:111122223333:instance/i-a*"


def with_both(operator: str, *values: str) -> Policies:
    """Return policies that require one of *values* of two tags, besides a guard tag to replace."""
    both = {f"aws:ResourceTag/{key}": values for key in ("Env", "Team")}
    return documents(
        allowed(TERMINATES, **{"StringLike": {OWN: "cml"}, operator: both}),
        allowed(CREATE, **{"StringEqualsIfExists": {OWN: "x"}, operator: both}),
    )


PARTLY = {
    "two tags of three values in any case": (
        with_both("StringEqualsIgnoreCase", "Dev", "Prod", "Test"),
        TERMINATE,
        "broken",
    ),
    "two tags of three values with an asterisk": (
        with_both("StringEquals", "a*", "b*", "c*"),
        TERMINATE,
        "broken",
    ),
    "a tag that is given outside the goal only": (
        documents(allowed(TERMINATES, **CARRIED), allowed(CREATE, ON_A)),
        Shape(TERMINATE.actions, not_resources=(ON_A,)),
        "holds",
    ),
    "a number before the tag is given": (
        documents(allowed(TERMINATES, **CARRIED), allowed(CREATE, NumericLessThan={OWN: "5"})),
        TERMINATE,
        "undecided",
    ),
    "short ARNs with one region in common": (
        documents(
            allowed(TERMINATES, ELSEWHERE, **CARRIED),
            allowed(CREATE, ["arn:aws:ec2:me-south-1", "arn:aws:ec2:eu-west-3"]),
        ),
        TERMINATE,
        "broken",
    ),
    "a region in other letters": (
        documents(
            allowed(TERMINATES, "arn:aws:ec2:eu-w*:*:*", **CARRIED),
            allowed(CREATE, StringEqualsIgnoreCase={"aws:RequestedRegion": "EU-WEST-3"}),
        ),
        TERMINATE,
        "broken",
    ),
    "conditions of the operations": (
        documents(
            allowed(CREATE),
            allowed(TERMINATES, **CARRIED, StringNotEquals={"aws:RequestedRegion": "us-east-1"}),
        ),
        Shape(
            TERMINATE.actions,
            INSTANCES,
            {"StringEquals": {"aws:RequestedRegion": "us-east-1"}},
        ),
        "holds",
    ),
    "conditions of the operations on the tag": (
        documents(allowed(TERMINATES, StringEquals={OWN: "other"})),
        Shape(TERMINATE.actions, INSTANCES, {"StringNotEquals": {OWN: "other"}}),
        "holds",
    ),
    "a tag that no call changes": (
        documents(
            allowed(CREATE, StringEquals={"aws:username": "${aws:ResourceTag/Owner}"}),
            allowed(
                TERMINATES, **CARRIED, StringNotEquals={"aws:username": "${aws:ResourceTag/Owner}"}
            ),
        ),
        TERMINATE,
        "undecided",
    ),
}


@pytest.mark.parametrize("case", PARTLY)
def test_what_instances_are_told_apart_by_is_followed_or_doubted(case: str) -> None:
    given, operations, answer = PARTLY[case]
    reached = taken_over(given, TAG, operations)
    assert reached.answer == answer, reached


def test_a_tag_that_looks_like_a_policy_variable_is_none() -> None:
    tag = Tag("ManagedBy", "${aws:username}")
    carried = {"StringEquals": {OWN: "${$}{aws:username}"}}
    unlike = {"StringNotEquals": {"aws:RequestTag/ManagedBy": "${$}{aws:username}"}}

    given = documents(allowed(TERMINATES, **carried), allowed(CREATE, **unlike))
    assert taken_over(given, tag, TERMINATE).answer == "holds"
    given = documents(allowed(TERMINATES, **carried), allowed(CREATE))
    assert taken_over(given, tag, TERMINATE).answer == "broken"


def test_a_proof_about_sequences_names_what_it_rests_on() -> None:
    given, _, _ = TAKEN["tag in one region, terminate in another"]
    reached = taken_over(given, TAG, TERMINATE)
    assert "region" in {assumption.kind for assumption in reached.assumptions}
