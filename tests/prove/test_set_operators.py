"""What AWS documents of set operators, asked of all requests."""

from __future__ import annotations

import pytest

from cml_iam.policy import load_policy
from cml_iam.prove import Policies, Shape, never

WORKERS = "arn:aws:ec2:*:111122223333:instance/*"
FOREIGN = Shape(
    ("ec2:TerminateInstances",),
    (WORKERS,),
    {"StringNotEquals": {"aws:ResourceTag/ManagedBy": "cml"}},
)
TAG = "aws:ResourceTag/ManagedBy"


def allowing(conditions):
    statement = {"Effect": "Allow", "Action": "ec2:TerminateInstances", "Resource": WORKERS}
    document = {"Version": "2012-10-17", "Statement": [{**statement, "Condition": conditions}]}
    return Policies((load_policy(document),))


@pytest.mark.parametrize(
    ("conditions", "witness"),
    [
        # reference_policies_condition-single-vs-multi-valued-context-keys: "" is no value
        ({"ForAllValues:StringEquals": {TAG: "cml"}, "Null": {TAG: "false"}}, ""),
        ({"ForAllValues:StringEquals": {TAG: "cml"}}, ""),
        # access-analyzer-reference-policy-checks: Null with a set operator is constant
        ({"ForAllValues:Null": {TAG: "false"}, "StringEqualsIfExists": {TAG: "cml"}}, None),
    ],
)
def test_a_set_operator_lets_through_what_has_no_value(conditions, witness):
    verdict = never(allowing(conditions), FOREIGN)

    assert verdict.answer == "broken"
    assert verdict.witness.request.context.get(TAG) in {witness, None}


def test_null_with_for_any_value_never_holds():
    policies = allowing({"ForAnyValue:Null": {TAG: "false"}})

    assert never(policies, Shape()).holds


def test_a_plain_operator_takes_an_empty_text_for_a_value():
    assert never(allowing({"StringEquals": {TAG: "cml"}}), FOREIGN).holds


def test_a_list_of_nothing_hides_no_list_to_which_conditions_answer_alike():
    others = {"ForAllValues:StringNotEquals": {"aws:TagKeys": ["", "Owner"]}}
    named = {"Null": {"aws:TagKeys": "false"}}
    statement = {"Effect": "Allow", "Action": "ec2:CreateTags", "Resource": WORKERS}
    document = {"Version": "2012-10-17", "Statement": [{**statement, "Condition": others | named}]}

    verdict = never(Policies((load_policy(document),)), Shape())

    assert verdict.answer == "broken"
    assert all(verdict.witness.request.context["aws:TagKeys"])


DENY_OTHERS = {"ForAllValues:StringNotEquals": {TAG: "cml"}}
DENY_OWN = {"ForAllValues:StringEquals": {TAG: "cml"}}


@pytest.mark.parametrize(
    ("effect", "conditions", "shape", "answer", "rests"),
    [
        # The witness has an empty value.
        ("Allow", {**DENY_OWN, "Null": {TAG: "false"}}, FOREIGN, "broken", True),
        ("Allow", {"StringEquals": {TAG: "cml"}}, FOREIGN, "holds", False),
        # An empty value is not among the texts of either operator; only one reading denies it.
        ("Deny", DENY_OWN, {"StringEquals": {TAG: ""}}, "holds", True),
        ("Deny", DENY_OTHERS, {"StringEquals": {TAG: ""}}, "holds", False),
        (
            "Deny",
            {**DENY_OTHERS, "Null": {TAG: "false"}},
            {"StringEquals": {TAG: ""}},
            "holds",
            True,
        ),
        (
            "Allow",
            {"ForAnyValue:StringLike": {TAG: "*"}},
            {"StringEquals": {TAG: ""}},
            "holds",
            True,
        ),
        (
            "Allow",
            {"ForAnyValue:StringLike": {TAG: "c*"}},
            {"StringEquals": {TAG: ""}},
            "holds",
            False,
        ),
    ],
)
def test_a_verdict_that_rests_on_how_an_empty_value_is_read_lists_it(
    effect, conditions, shape, answer, rests
):
    statement = {"Action": "ec2:TerminateInstances", "Resource": WORKERS}
    said = [{**statement, "Effect": effect, "Condition": conditions}]
    if effect == "Deny":
        said.append({**statement, "Effect": "Allow"})
    policy = load_policy({"Version": "2012-10-17", "Statement": said})
    asked = shape if isinstance(shape, Shape) else Shape(FOREIGN.actions, (WORKERS,), shape)

    verdict = never(Policies((policy,)), asked)

    assert verdict.answer == answer
    assert [
        assumption.page for assumption in verdict.assumptions if assumption.kind == "reading"
    ] == [
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/"
        "reference_policies_condition-single-vs-multi-valued-context-keys.html"
    ] * rests
