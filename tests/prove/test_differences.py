"""Policies are compared by what they decide: no difference is missed, and none is made up."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from random import Random
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cml_iam.engine import Request, compile_policies
from cml_iam.errors import InputError
from cml_iam.policy import PolicyDocument, load_policy
from cml_iam.prove import Comparison, Policies, differences, policies_of, within
from cml_iam.render import render_document, render_policy
from cml_iam.site import Site
from tests.conftest import RESTRICTED
from tests.expectations.mutants import mutants
from tests.prove.rewritings import rewritten, wider_or_other

SITE = Site(account="111122223333", restrict=RESTRICTED)
TEXTS = {
    "base": render_policy(None, "base").text,
    "hardened": render_policy(SITE).text,
}
GUARD = render_document(SITE, "guard").text


def policy(*statements: dict[str, Any], version: str = "2012-10-17") -> PolicyDocument:
    return load_policy({"Version": version, "Statement": list(statements)})


def allow(action: Any, resource: Any = "*", **conditions: Any) -> dict[str, Any]:
    made = {"Effect": "Allow", "Action": action, "Resource": resource}
    return {**made, "Condition": conditions} if conditions else made


def deny(action: Any, resource: Any = "*", **conditions: Any) -> dict[str, Any]:
    return {**allow(action, resource, **conditions), "Effect": "Deny"}


def compared_documents(
    old: list[PolicyDocument], new: list[PolicyDocument], site: Site | None = None
) -> Comparison:
    return differences(policies_of(old), policies_of(new), site)


def compared(old: str, new: PolicyDocument) -> Comparison:
    found = compared_documents([load_policy(old)], [new])
    _confirm(load_policy(old), new, found)
    return found


def _confirm(old: PolicyDocument, new: PolicyDocument, found: Comparison) -> None:
    """Every difference is one, as the engine says when asked anew; and all is as `within` says."""
    beside = [policy(allow("*"))] if found.beside_everything else []
    both = [compile_policies([each, *beside]) for each in (old, new)]
    for difference in found.differences:
        assert [a.decide(difference.witness).outcome for a in both] == [
            difference.old.outcome,
            difference.new.outcome,
        ]
        assert difference.old.outcome != difference.new.outcome
    sides = [Policies((each, *beside)) for each in (old, new)]
    answers = [within(*reversed(sides)).answer, within(*sides).answer]
    assert answers == [
        "broken" if found.of("newly allowed") else "holds",
        "broken" if found.of("newly denied") else "holds",
    ]


EVERY: Final = {"base": 1, "hardened": 9}
"""Which mutants are asked here: each comparison of hardened policies takes a third of a second."""


@pytest.mark.parametrize("name", TEXTS)
def test_taking_anything_away_makes_a_difference(name: str) -> None:
    made = list(mutants(TEXTS[name]))[:: EVERY[name]]

    missed = [each.name for each in made if not compared(TEXTS[name], each.document).differences]

    assert len(made) > 8
    assert missed == []


@pytest.mark.parametrize("name", TEXTS)
def test_adding_or_widening_anything_makes_a_difference(name: str) -> None:
    made = list(wider_or_other(TEXTS[name]))[:: EVERY[name]]

    missed = [
        what for what, other in made if not compared(TEXTS[name], load_policy(other)).differences
    ]

    assert len(made) > 8
    assert [each for each in missed if each not in SURVIVORS] == []


@pytest.mark.long
def test_changing_the_guard_makes_a_difference() -> None:
    """A sample of each kind: the guard's Denies reach every action, so each takes seconds."""
    some = [m for n, m in enumerate(mutants(GUARD)) if n % 60 == 0]

    assert [m.name for m in some if not compared(GUARD, m.document).differences] == []


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("seed", range(3))
def test_writing_a_policy_otherwise_makes_none(name: str, seed: int) -> None:
    other = rewritten(json.loads(TEXTS[name]), Random(seed))  # noqa: S311 - not for secrets

    found = compared(TEXTS[name], load_policy(other))

    assert found.differences == ()
    assert found.verdict == "same"


def test_the_same_statements_in_another_order_are_said_to_be_the_same() -> None:
    text = json.loads(TEXTS["hardened"])
    text["Statement"].reverse()

    assert compared(TEXTS["hardened"], load_policy(text)).verdict == "same"


ARNS = (
    "arn:aws:ec2:us-east-1:111122223333:instance/i-0a1b2c3d4e5f60001",
    "arn:aws:ec2:us-east-1:111122223333:instance/i-0a1b2c3d4e5f60002",
    "arn:aws:ec2:eu-west-1:111122223333:instance/i-0a1b2c3d4e5f60001",
    "arn:aws:ec2:us-east-1:999999999999:instance/i-0a1b2c3d4e5f60001",
)
ACTIONS = ("ec2:StartInstances", "ec2:StopInstances", "ec2:TerminateInstances")
NAMED_ACTIONS = (*ACTIONS, "ec2:*", "ec2:St*Instances", "*")
NAMED_ARNS = (
    "*",
    ARNS[0],
    "arn:aws:ec2:*:*:instance/*",
    "arn:aws:ec2:us-east-1:*:instance/*",
    "arn:aws:ec2:*:111122223333:instance/i-0a1b2c3d4e5f6000?",
)
TAGS = (None, "", "cml", "CML", "cml-1", "x")
TYPES = (None, "t3.micro", "t3.large", "m5.large")


def _conditions() -> st.SearchStrategy[dict[str, Any]]:
    text = st.sampled_from(
        (
            *("StringEquals", "StringNotEquals", "StringLike", "StringEqualsIgnoreCase"),
            *("StringEqualsIfExists", "StringNotLike"),
        )
    )
    tag = st.lists(st.sampled_from(["cml", "cml*", "cml-?", "CML", "*"]), min_size=1, max_size=2)
    kind = st.lists(st.sampled_from(["t3.*", "t3.micro", "m5.large", "*"]), min_size=1, max_size=2)
    one = st.one_of(
        st.tuples(text, st.just("aws:ResourceTag/App"), tag),
        st.tuples(text, st.just("ec2:InstanceType"), kind),
        st.tuples(
            st.just("Null"), st.just("aws:ResourceTag/App"), st.sampled_from(["true", "false"])
        ),
        st.tuples(text, st.just("aws:RequestedRegion"), st.just(["us-east-1"])),
    )
    return st.lists(one, max_size=2).map(
        lambda parts: {operator: {key: values} for operator, key, values in parts}
    )


def _statements() -> st.SearchStrategy[dict[str, Any]]:
    some = lambda values: st.lists(st.sampled_from(values), min_size=1, max_size=2)  # noqa: E731
    return st.builds(
        lambda effect, action, resource, conditions: {
            "Effect": effect,
            "Action": action,
            "Resource": resource,
            **({"Condition": conditions} if conditions else {}),
        },
        st.sampled_from(["Allow", "Allow", "Deny"]),
        some(NAMED_ACTIONS),
        some(NAMED_ARNS),
        _conditions(),
    )


POLICIES = st.lists(_statements(), min_size=1, max_size=3).map(lambda each: policy(*each))


def _every_request() -> list[Request]:
    requests = []
    for action, arn, tag, kind in product(ACTIONS, ARNS, TAGS, TYPES):
        region = arn.split(":")[3]
        context: dict[str, Any] = {"aws:RequestedRegion": region, "ec2:Region": region}
        if tag is not None:
            context |= {"aws:ResourceTag/App": tag, "ec2:ResourceTag/App": tag}
        if kind is not None:
            context["ec2:InstanceType"] = kind
        requests.append(Request(action, arn, None, context))
    return requests


EVERY_REQUEST = _every_request()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(POLICIES, POLICIES)
@pytest.mark.long
def test_what_listing_all_requests_finds_is_found(old: PolicyDocument, new: PolicyDocument) -> None:
    found = compared_documents([old], [new])

    _confirm(old, new, found)
    before, after = compile_policies([old]), compile_policies([new])
    changed = [r for r in EVERY_REQUEST if before.decide(r).allowed != after.decide(r).allowed]
    assert found.differences or not changed, changed[:1]
    assert not found.more
    assert not found.undecided


@settings(max_examples=10, deadline=None, derandomize=True)
@given(POLICIES, st.integers(0, 9))
def test_no_difference_is_made_up(old: PolicyDocument, seed: int) -> None:
    written = {
        "Version": old.version,
        "Statement": [
            {
                "Sid": "A",
                "Effect": statement.effect,
                "Action": list(statement.action or ()),
                "Resource": list(statement.resource or ()),
                **(
                    {
                        "Condition": {
                            c.operator: {c.key: list(c.values)} for c in statement.conditions
                        }
                    }
                    if statement.conditions
                    else {}
                ),
            }
            for statement in old.statements
        ],
    }
    new = load_policy(rewritten(written, Random(seed)))  # noqa: S311 - not for secrets

    assert compared_documents([old], [new]).differences == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ([allow("ec2:*")], [allow("ec2:*"), allow("ec2:RunInstances")]),
        ([allow("s3:*"), deny("s3:*")], [deny("s3:*")]),
        (
            [allow("ec2:StartInstances", StringEquals={"aws:RequestedRegion": "us-east-1"})],
            [allow("ec2:StartInstances", StringEquals={"ec2:Region": "us-east-1"})],
        ),
        (
            [allow("ec2:StartInstances", StringEquals={"aws:ResourceTag/A": "b"})],
            [allow("ec2:StartInstances", StringEquals={"ec2:ResourceTag/A": "b"})],
        ),
    ],
    ids=["covered", "denied anyway", "two keys for the region", "two keys for a tag"],
)
def test_other_words_for_the_same_make_no_difference(old: Any, new: Any) -> None:
    found = compared_documents([policy(*old)], [policy(*new)])

    assert not found.differences
    assert (found.verdict, found.proved) == ("same", "holds")


def test_an_action_that_only_a_later_service_could_have_is_marked() -> None:
    listed = [policy(allow(["ec2:StartInstances", "ec2:StopInstances"]))]
    wild = [policy(allow("ec2:St*Instances"))]

    found = compared_documents(listed, wild)

    assert found.verdict == "wider"
    assert [difference.unlisted for difference in found.differences] == [True]
    assert compared_documents(wild, listed).verdict == "narrower"


@pytest.mark.parametrize(
    ("action", "kind", "one"),
    [
        ("iam:PassRole", "arn:aws:iam::111122223333:role", "example"),
        ("ec2:StopInstances", "arn:aws:ec2:us-east-1:111122223333:instance", "i-0a1b2c3d4e5f60001"),
        ("s3:GetObject", "arn:aws:s3:::bucket", "foreign"),
    ],
)
def test_all_but_one_instead_of_the_one_is_wider_and_narrower(
    action: str, kind: str, one: str
) -> None:
    only = policy(allow(action, f"{kind}/{one}"))
    others = policy(allow(action, f"{kind}/*"), deny(action, f"{kind}/{one}"))

    found = compared_documents([only], [others])

    assert found.verdict == "wider and narrower"
    _confirm(only, others, found)
    assert compared_documents([others], [only]).verdict == "wider and narrower"


def test_a_whole_and_its_parts_are_the_same() -> None:
    one, two = allow("ec2:StartInstances"), allow("ec2:StopInstances")

    assert compared_documents([policy(one, two)], [policy(one), policy(two)]).verdict == "same"


@pytest.mark.parametrize(
    ("condition", "other"),
    [
        (
            {"NumericLessThan": {"ec2:VolumeSize": "100"}},
            {"NumericLessThanEquals": {"ec2:VolumeSize": "100"}},
        ),
        (
            {"NumericLessThan": {"ec2:VolumeSize": "100"}},
            {"NumericLessThan": {"ec2:VolumeSize": "101"}},
        ),
        (
            {"DateLessThan": {"aws:CurrentTime": "2027-01-01T00:00:00Z"}},
            {"DateLessThan": {"aws:CurrentTime": "2028-01-01T00:00:00Z"}},
        ),
        (
            {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}},
            {"IpAddress": {"aws:SourceIp": "192.0.2.0/25"}},
        ),
        (
            {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}},
            {"IpAddress": {"aws:SourceIp": ["192.0.2.0/24", "2001:db8::/32"]}},
        ),
        (
            {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
            {"BoolIfExists": {"aws:MultiFactorAuthPresent": "true"}},
        ),
        (
            {"ArnLike": {"ec2:Vpc": "arn:aws:ec2:*:*:vpc/vpc-1"}},
            {"ArnLike": {"ec2:Vpc": "arn:aws:ec2:*:*:vpc/vpc-*"}},
        ),
        ({"StringLike": {"aws:RequestTag/A": "b*"}}, {"StringLike": {"aws:RequestTag/A": "b?*"}}),
        (
            {"ForAllValues:StringEquals": {"aws:TagKeys": ["A", "B"]}},
            {"ForAnyValue:StringEquals": {"aws:TagKeys": ["A", "B"]}},
        ),
        (
            {"ForAllValues:StringEquals": {"aws:TagKeys": ["A", "B"]}},
            {"ForAllValues:StringEquals": {"aws:TagKeys": ["A"]}},
        ),
        (
            {"StringEquals": {"aws:PrincipalTag/T": "${aws:username}"}},
            {"StringEquals": {"aws:PrincipalTag/T": "example"}},
        ),
    ],
    ids=lambda each: next(iter(each)),
)
def test_conditions_of_every_kind_are_told_apart(condition: Any, other: Any) -> None:
    action = "ec2:RunInstances" if "ec2:Vpc" in str(condition) else "ec2:CreateVolume"
    old, new = policy(allow(action, **condition)), policy(allow(action, **other))

    there, back = compared_documents([old], [new]), compared_documents([new], [old])

    assert there.differences
    assert back.differences
    _confirm(old, new, there)


def test_a_variable_in_a_resource_is_told_from_its_value() -> None:
    variable = policy(allow("s3:GetObject", "arn:aws:s3:::home/${aws:username}/*"))
    everyone = policy(allow("s3:GetObject", "arn:aws:s3:::home/*/*"))

    assert compared_documents([variable], [everyone]).verdict == "wider"
    assert compared_documents([everyone], [variable]).verdict == "narrower"


def test_denies_alone_are_judged_beside_everything() -> None:
    found = compared_documents(
        [policy(deny("ec2:RunInstances"))], [policy(deny("ec2:StopInstances"))]
    )

    assert found.beside_everything
    assert {difference.change for difference in found.differences} == {
        "newly allowed",
        "newly denied",
    }


def test_a_deny_of_what_nothing_allows_is_told_apart_from_none() -> None:
    old = policy(allow("ec2:StartInstances"))
    new = policy(allow("ec2:StartInstances"), deny("iam:*"))

    found = compared_documents([old], [new])

    assert found.verdict == "narrower"
    assert {difference.change for difference in found.differences} == {"newly denied explicitly"}


def test_a_difference_names_statements_and_values() -> None:
    old = policy(
        {
            **allow("ec2:StartInstances", StringEquals={"aws:RequestedRegion": "us-east-1"}),
            "Sid": "Start",
        }
    )
    new = policy({**allow("ec2:StartInstances"), "Sid": "Start"})

    (only,) = compared_documents([old], [new]).differences

    assert only.change == "newly allowed"
    assert [statement.label for statement in only.new.statements] == ["Start"]
    assert only.missed is not None
    assert "aws:RequestedRegion" in only.missed.reason
    assert only.found
    assert "us-east-1" not in only.found


def test_a_key_that_requests_never_have_makes_no_difference() -> None:
    old = policy(allow("ec2:DescribeInstances", StringEquals={"ec2:NoSuchKey": "a"}))
    new = policy(allow("ec2:DescribeInstances", StringEquals={"ec2:NoSuchKey": "b"}))

    found = compared_documents([old], [new])

    assert found.verdict == "same"
    assert "absent" in {
        assumption.kind for assumption in found.verdicts["newly allowed"].assumptions
    }


def test_trust_policies_are_compared_by_whom_they_trust() -> None:
    ec2 = {
        "Effect": "Allow",
        "Principal": {"Service": "ec2.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    user = {**ec2, "Principal": {"AWS": "arn:aws:iam::111122223333:user/admin"}}
    account = {**ec2, "Principal": {"AWS": "111122223333"}}

    assert compared_documents([policy(ec2)], [policy(ec2, user)]).verdict == "wider"
    assert compared_documents([policy(user)], [policy(account)]).verdict == "wider"
    root = {**ec2, "Principal": {"AWS": "arn:aws:iam::111122223333:root"}}
    assert compared_documents([policy(account)], [policy(root)]).differences == ()


def test_an_identity_policy_and_a_trust_policy_cannot_be_compared() -> None:
    trust = {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}

    with pytest.raises(InputError, match="names principals"):
        compared_documents([policy(trust)], [policy(allow("*"))])


def test_expectations_of_the_site_are_answered_by_both() -> None:
    narrower = replace(SITE, restrict=replace(RESTRICTED, regions=("us-east-1",)))

    found = compared_documents(
        [render_policy(SITE).document], [render_policy(narrower).document], SITE
    )

    assert found.expectations > 50
    assert {change.new for change in found.expectation_changes} == {"refused"}
    assert found.verdict == "narrower"


SURVIVORS = (
    # Account ids have no letters whose case could count.
    "LaunchFromOwnersImage: StringEqualsIgnoreCase for StringEquals ec2:Owner",
    # Requests to reboot an instance never have the tags that this statement asks for.
    "LaunchInstance: one Action more",
    # An instance that is launched has a type.
    "LaunchInstance: StringLikeIfExists for StringLike ec2:InstanceType",
    # Its condition names regions of one partition.
    "LaunchFromOwnersImage: any partition in arn:aws:ec2:*::image/*",
)
"""No change of meaning."""
