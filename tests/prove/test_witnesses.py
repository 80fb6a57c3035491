"""Witnesses are requests that AWS sends: what goes together in one goes together in them."""

from __future__ import annotations

import pytest

from cml_iam.policy import load_policy
from cml_iam.prove import Policies, Shape, always, never, taken_over, within
from cml_iam.prove._question import Question, allowed_goal
from cml_iam.site import Tag
from cml_iam.space import Budget, side_of
from cml_iam.space._boxes import TOO_MUCH

TERMINATE = "ec2:TerminateInstances"
TAG = Tag("ManagedBy", "cml")
OPERATE = Shape((TERMINATE,), ("arn:aws:ec2:*:*:instance/*",))
MARKED = {"aws:ResourceTag/ManagedBy": "cml"}


def said(action, resource="*", effect="Allow", **condition):
    made = {"Effect": effect, "Action": action, "Resource": resource}
    return made | ({"Condition": condition} if condition else {})


def attached(*statements):
    return Policies((load_policy({"Version": "2012-10-17", "Statement": list(statements)}),))


def instance(name):
    return f"arn:aws:ec2:*:*:instance/{name}"


# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-multifactorauthage
def test_the_age_of_mfa_is_in_requests_with_mfa_alone():
    recent = attached(said(TERMINATE, NumericLessThan={"aws:MultiFactorAuthAge": "3600"}))
    no_mfa = {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}
    without = Shape((TERMINATE,), conditions=no_mfa)

    verdict = never(recent, without)

    assert verdict.holds
    assert [assumption.text for assumption in verdict.assumptions if assumption.kind == "with"] == [
        "a request has aws:MultiFactorAuthAge only if aws:MultiFactorAuthPresent is true"
    ]
    absent = attached(said(TERMINATE, NumericLessThanIfExists={"aws:MultiFactorAuthAge": "3600"}))
    assert never(absent, without).answer == "broken"


def test_the_id_of_an_instance_is_the_one_in_its_arn():
    policies = attached(said(TERMINATE, StringEquals={"ec2:InstanceID": "i-1"}))

    assert never(policies, Shape((TERMINATE,), (instance("i-2"),))).holds
    found = never(policies, Shape((TERMINATE,), (instance("i-*"),)))
    assert found.witness.request.resource.endswith(":instance/i-1")
    other = Shape((TERMINATE,), (instance("i-1"),), {"StringNotEquals": {"ec2:InstanceID": "i-1"}})
    assert never(policies, other).holds


@pytest.mark.parametrize(("operator", "value"), [("StringLike", "i-a*"), ("StringNotLike", "i-b*")])
def test_patterns_of_the_id_and_of_the_arn_are_asked_together(operator, value):
    policies = attached(
        said(
            TERMINATE,
            instance("i-*"),
            **{operator: {"ec2:InstanceID": value}, "Null": {"ec2:InstanceID": "false"}},
        ),
        said(TERMINATE, instance("i-a1*"), effect="Deny"),
    )

    verdict = never(policies, Shape((TERMINATE,), (instance("i-a?"),)))

    assert verdict.answer == "broken"
    request = verdict.witness.request
    assert request.resource.endswith("/" + request.context["ec2:InstanceID"])
    assert never(policies, Shape((TERMINATE,), (instance("i-a1"),))).holds


def test_a_tag_set_on_one_instance_opens_no_other():
    policies = attached(
        said("ec2:CreateTags", instance("i-2")),
        said(TERMINATE, StringEquals=MARKED | {"ec2:InstanceID": "i-1"}),
    )

    assert taken_over(policies, TAG, OPERATE).answer != "broken"


def test_a_tag_set_on_the_instance_whose_id_is_tested_opens_it():
    policies = attached(
        said("ec2:CreateTags", instance("i-1")),
        said(TERMINATE, StringEquals=MARKED | {"ec2:InstanceID": "i-1"}),
    )

    assert taken_over(policies, TAG, OPERATE).answer == "broken"


@pytest.mark.parametrize(
    ("tagging", "operating", "answer"),
    [
        ({"DateGreaterThan": "2027-01-01"}, {"DateLessThan": "2026-12-01"}, "undecided"),
        ({"DateLessThan": "2026-12-01"}, {"DateGreaterThan": "2027-01-01"}, "broken"),
        ({"DateGreaterThan": "2026-01-01"}, {"DateLessThan": "2027-01-01"}, "broken"),
        ({"DateLessThan": "2027-01-01"}, {"DateLessThan": "2026-01-01"}, "broken"),
        ({"DateEquals": "2026-06-01"}, {"DateEquals": "2026-06-01"}, "broken"),
    ],
)
@pytest.mark.parametrize("key", ["aws:CurrentTime", "aws:EpochTime"])
def test_time_does_not_run_backwards_in_a_sequence(tagging, operating, answer, key):
    def timed(block):
        return {operator: {key: f"{day}T00:00:00Z"} for operator, day in block.items()}

    policies = attached(
        said("ec2:CreateTags", **timed(tagging)),
        said(TERMINATE, StringEquals=MARKED, **timed(operating)),
    )

    reached = taken_over(policies, TAG, OPERATE)

    assert reached.answer == answer, reached.reason
    times = [call.request.context.get(key, "") for call in reached.calls]
    assert times == sorted(times)


def test_regions_and_accounts_of_witnesses_are_names():
    outside = {
        "Effect": "Deny",
        "Action": "ec2:*",
        "NotResource": "arn:aws:ec2:${aws:RequestedRegion}:${aws:PrincipalAccount}:*",
    }
    verdict = never(attached(said("ec2:*"), outside), Shape((TERMINATE,)))

    context = {} if verdict.witness is None else verdict.witness.request.context
    assert not any(":" in str(value) for value in context.values())


def test_an_image_is_of_no_account():
    image = "arn:aws:ec2:us-east-1:111122223333:image/*"

    verdict = never(attached(said("ec2:RunInstances", image)), Shape(("ec2:RunInstances",)))

    assert verdict.holds
    assert "resource" in {assumption.kind for assumption in verdict.assumptions}


ANY = said("*")


@pytest.mark.parametrize("ask", [within, lambda one, other: always(other, Shape(("s3:*",)))])
def test_what_allows_everything_is_not_searched(ask, monkeypatch):
    variables = [said("iam:*", f"arn:aws:iam::*:user/*/${{aws:username}}{n}*") for n in range(3)]

    monkeypatch.setattr(Question, "searcher", None)

    verdict = ask(attached(*variables, said("s3:*")), attached(ANY))

    assert (verdict.answer, verdict.assumptions) == ("holds", ())


def test_what_allows_everything_but_something_is_searched():
    assert within(attached(ANY), attached(ANY, said("s3:*", effect="Deny"))).answer == "broken"
    bounded = Policies(attached(ANY).identity, attached(said("s3:*")).identity)
    assert within(attached(ANY), bounded).answer == "broken"


def test_a_key_of_unknown_type_is_a_list_if_any_statement_asks_for_one():
    lists = said("ec2:StartInstances", **{"ForAnyValue:StringEquals": {"my:label": "a"}})
    one = attached(
        said(TERMINATE),
        said(TERMINATE, effect="Deny", StringNotEquals={"my:label": "a"}),
        lists,
    )
    other = attached(said(TERMINATE, StringEquals={"my:label": "a"}), lists)

    assert within(one, other).answer == "broken"


def test_a_fact_is_listed_for_every_action_that_it_was_used_of():
    both = ("ec2:RebootInstances", TERMINATE)
    policies = attached(said(list(both), Null={"ec2:VolumeSize": "false"}))

    verdict = never(policies, Shape(both))

    assert verdict.holds
    assert {
        assumption.action for assumption in verdict.assumptions if assumption.kind == "absent"
    } == set(both)
    for assumption in verdict.assumptions:
        assert assumption.action in assumption.text


def test_how_a_variable_without_a_value_is_read_is_listed():
    outside = {
        "Effect": "Deny",
        "Action": "s3:*",
        "NotResource": "arn:aws:s3:::home-${aws:username}/*",
    }
    read = {"s3:GetObject"}

    broken = never(attached(said("s3:*"), outside), Shape(tuple(read), ("arn:aws:s3:::other/*",)))
    named = {"Null": {"aws:username": "false"}}
    held = never(
        attached(said("s3:*"), outside), Shape(tuple(read), ("arn:aws:s3:::other/*",), named)
    )

    assert broken.answer == "broken"
    assert [assumption.kind for assumption in broken.assumptions] == ["reading"]
    assert held.holds
    assert "reading" in {assumption.kind for assumption in held.assumptions}


def test_a_question_whose_steps_are_used_up_is_undecided_and_says_so():
    keys = ("aws:username", "aws:PrincipalTag/a", "my:v")
    varying = [
        said("s3:*", f"arn:aws:s3:::{n}-${{{key}}}/*", StringLike={"my:k": f"${{{key}}}*{n}"})
        for n, key in enumerate(keys)
    ]
    mine, theirs = side_of(attached(*varying, said("s3:*"))), side_of(attached(*varying))
    goal = allowed_goal(mine, theirs)

    assert Question(goal, mine, theirs).verdict().answer == "broken"
    verdict = Question(goal, mine, theirs, budget=Budget(500)).verdict()

    assert verdict.answer == "undecided"
    assert TOO_MUCH in verdict.reason
