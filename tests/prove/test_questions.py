"""The questions: verdicts with witnesses, assumptions and bounds."""

from __future__ import annotations

import pytest

from cml_iam.errors import InputError
from cml_iam.policy import load_policy
from cml_iam.prove import Policies, Shape, always, equivalent, never, within


def policy(*statements, version="2012-10-17"):
    return load_policy({"Version": version, "Statement": list(statements)})


def said(action, resource="*", effect="Allow", **condition):
    made = {"Effect": effect, "Action": action, "Resource": resource}
    return made | ({"Condition": condition} if condition else {})


def attached(*statements):
    return Policies(identity=(policy(*statements),))


ADMIN = attached(said("*"))
STOP = attached(
    said("ec2:StopInstances", StringEquals={"aws:ResourceTag/ManagedBy": "cml-cloud-manager"})
)


def kinds(verdict):
    return {assumption.kind for assumption in verdict.assumptions}


def test_a_witness_names_the_statements_of_both_sides():
    guarded = attached(said("*"), said("ec2:StopInstances", effect="Deny"))

    verdict = within(ADMIN, guarded)

    assert verdict.answer == "broken"
    assert verdict.witness.request.action == "ec2:StopInstances"
    assert verdict.witness.request.resource.startswith("arn:aws:ec2:")
    assert [statement.effect for statement in verdict.witness.candidate.statements] == ["Allow"]
    assert verdict.witness.reference.outcome == "explicitDeny"
    assert [statement.effect for statement in verdict.witness.reference.statements] == ["Deny"]


def test_never_gives_a_readable_request():
    foreign = Shape(["ec2:StopInstances", "ec2:TerminateInstances"])

    request = never(STOP, foreign).witness.request

    assert request.resource == "arn:aws:ec2:us-east-1:111122223333:instance/i-0foreign000000001"
    assert request.context["aws:ResourceTag/ManagedBy"] == "cml-cloud-manager"


def test_never_holds_for_instances_without_the_tag():
    foreign = Shape(
        ["ec2:StopInstances"],
        conditions={"StringNotEquals": {"aws:ResourceTag/ManagedBy": "cml-cloud-manager"}},
    )

    verdict = never(STOP, foreign)

    assert verdict.holds
    assert verdict.assumptions == ()


def test_always_needs_every_request_of_the_shape():
    managed = {"StringEquals": {"aws:ResourceTag/ManagedBy": "cml-cloud-manager"}}

    assert always(STOP, Shape(["ec2:StopInstances"], conditions=managed)).holds
    broken = always(STOP, Shape(["ec2:StopInstances"]))
    assert broken.answer == "broken"
    assert broken.witness.reference.outcome == "implicitDeny"


def test_equivalent_asks_both_ways():
    narrow = attached(said("s3:GetObject", "arn:aws:s3:::b/*"))
    wide = attached(said("s3:GetObject", "arn:aws:s3:::*"))

    assert equivalent(narrow, narrow).holds
    assert equivalent(narrow, wide).answer == "broken"
    assert equivalent(wide, narrow).answer == "broken"


def test_a_boundary_is_an_intersection():
    boundary = (policy(said("s3:GetObject", "arn:aws:s3:::b/*")),)
    bounded = Policies(identity=ADMIN.identity, boundary=boundary)

    assert within(bounded, Policies(identity=boundary)).holds
    assert never(bounded, Shape(["ec2:*"])).holds
    assert never(bounded, Shape(["s3:*"])).answer == "broken"


def test_several_policies_add_up():
    both = Policies(identity=(*STOP.identity, policy(said("s3:GetObject"))))

    assert within(STOP, both).holds
    assert within(both, STOP).witness.request.action == "s3:GetObject"


@pytest.mark.parametrize(
    ("condition", "shape", "kind"),
    [
        # aws:RequestedRegion is in every request.
        (
            {"StringNotEquals": {"aws:RequestedRegion": "eu-west-1"}},
            {"Null": {"aws:RequestedRegion": "true"}},
            "always",
        ),
        # A list of tag keys is never empty.
        (
            {"Null": {"aws:TagKeys": "false"}},
            {
                "ForAllValues:StringEquals": {"aws:TagKeys": "a"},
                "ForAllValues:StringNotEquals": {"aws:TagKeys": "a"},
            },
            "filled",
        ),
        # What is tagged is also listed.
        (
            {"ForAllValues:StringNotEqualsIgnoreCase": {"aws:TagKeys": "Team"}},
            {"Null": {"aws:RequestTag/Team": "false"}},
            "tags",
        ),
    ],
)
def test_a_proof_names_what_it_rests_on(condition, shape, kind):
    side = attached(said("ec2:CreateTags", **condition))

    verdict = never(side, Shape(["ec2:CreateTags"], conditions=shape))

    assert verdict.holds
    assert kind in kinds(verdict)
    assert all(
        assumption.page.startswith("https://docs.aws.amazon.com/")
        for assumption in verdict.assumptions
    )


def test_a_key_that_an_action_never_has_opens_nothing():
    # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
    side = attached(said("ec2:DeleteTags", StringEquals={"ec2:CreateAction": "RunInstances"}))

    verdict = never(side, Shape(["ec2:DeleteTags"]))

    assert verdict.holds
    assert kinds(verdict) >= {"absent"}


def test_the_region_of_an_image_is_the_requests():
    image = "arn:aws:ec2:eu-west-1::image/ami-1"
    elsewhere = Shape(conditions={"StringNotEquals": {"aws:RequestedRegion": "eu-west-1"}})

    verdict = never(attached(said("ec2:RunInstances", image)), elsewhere)

    assert verdict.holds
    assert "region" in kinds(verdict)


def test_a_witness_of_an_action_to_come_is_marked():
    listed = attached(said("sts:AssumeRole"), said("sts:AssumeRoleWith*"))

    verdict = within(attached(said("sts:AssumeRole*")), listed)

    assert verdict.answer == "broken"
    assert verdict.witness.unlisted


def test_who_asks_who_he_is_is_nobodys_grant():
    # https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
    assert never(STOP, Shape(["sts:GetCallerIdentity"])).holds
    assert within(attached(said("sts:*")), attached(said("sts:*"), said("iam:*"))).holds


def test_patterns_beyond_the_bound_are_undecided_with_the_reason():
    patterns = [f"*a{'?' * size}*" for size in range(9, 24)]
    one = attached(*(said("s3:GetObject", StringLike={"my:key": pattern}) for pattern in patterns))
    other = attached(said("s3:GetObject", StringLike={"my:key": patterns}))

    verdict = within(one, other)

    assert verdict.answer == "undecided"
    assert "my:key" in verdict.reason


def test_mixed_ways_to_compare_a_key_are_undecided_and_not_guessed():
    one = attached(said("s3:GetObject", NumericLessThan={"my:n": "5"}, StringLike={"my:n": "1*"}))
    other = attached(said("s3:GetObject", StringLike={"my:n": "?*"}))

    verdict = within(one, other)

    assert verdict.answer == "undecided"
    assert "my:n" in verdict.reason


def test_the_other_reading_of_a_wildcard_is_told_where_it_matters():
    # Is `*` the region alone, or the region, a colon and the account?
    loose = attached(said("ec2:StopInstances", "arn:aws:ec2:*:instance/*"))

    verdict = never(loose, Shape(["ec2:StopInstances"]))

    assert verdict.answer == "holds"
    assert verdict.colon == "broken"
    assert within(STOP, STOP).colon is None


def test_policies_of_resources_are_asked_for_every_caller():
    def bucket(principal, **condition):
        made = {
            "Effect": "Allow",
            "Principal": principal,
            "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::b/*",
        }
        return Policies(resource=policy(made | ({"Condition": condition} if condition else {})))

    role = "arn:aws:iam::111122223333:role/a"
    account, everyone = bucket({"AWS": "111122223333"}), bucket("*")
    named = bucket({"AWS": role})
    by_key = bucket("*", ArnEquals={"aws:PrincipalArn": role})

    assert within(named, account).holds
    assert within(account, named).witness.request.principal.startswith("arn:aws:iam::111122223333:")
    assert within(by_key, everyone).holds
    assert within(by_key, account).holds
    assert within(everyone, account).answer == "broken"
    assert within(bucket({"Service": "ec2.amazonaws.com"}), account).witness.request.principal == (
        "ec2.amazonaws.com"
    )


def test_sides_of_different_kinds_are_refused():
    bucket = Policies(resource=policy({"Effect": "Allow", "Principal": "*", "Action": "s3:*"}))

    with pytest.raises(InputError, match="names principals"):
        within(ADMIN, bucket)
