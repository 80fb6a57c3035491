"""Paths: who gets there through others, and who does not."""

from __future__ import annotations

import weakref
from typing import Any

import pytest

from cml_iam.policy import load_policy
from cml_iam.who import Account, Asker, Paths, Question, State, holders
from tests.who.brute import (
    ACCOUNT,
    INSTANCE,
    NOW,
    account,
    allow,
    arn_of,
    deny,
    group,
    managed,
    outcomes,
    policy,
    role,
    trusting,
    user,
)

STOP = Question("ec2:StopInstances", INSTANCE)
ROOT = f"arn:aws:iam::{ACCOUNT}"
STOPPER = policy(allow("ec2:StopInstances"))
FULL = policy(allow("*"))


def steps(of: Account, question: Question = STOP) -> dict[str, list[str]]:
    """Return the steps of everybody who gets there, by label."""
    found = Paths(Asker(of, NOW)).to(question)
    return {
        each.member.label: [f"{s.action} {s.on.rpartition(':')[2]}" for s in each.steps]
        for each in found.values()
    }


TRUSTS: dict[str, Any] = {
    "the user": trusting({"AWS": f"{ROOT}:user/caller"}),
    "the role": trusting({"AWS": f"{ROOT}:role/caller"}),
    "another user": trusting({"AWS": f"{ROOT}:user/other"}),
    "the account": trusting({"AWS": f"{ROOT}:root"}),
    "the account's number": trusting({"AWS": ACCOUNT}),
    "another account": trusting({"AWS": "444455556666"}),
    "a service": trusting({"Service": "ec2.amazonaws.com"}),
    "everyone": trusting("*"),
    "everyone of a name": trusting("*", ArnLike={"aws:PrincipalArn": f"{ROOT}:user/call*"}),
    "the account with an external id": trusting(
        {"AWS": ACCOUNT}, StringEquals={"sts:ExternalId": "x"}
    ),
    "the account with MFA": trusting({"AWS": ACCOUNT}, Bool={"aws:MultiFactorAuthPresent": "true"}),
    "the account's lab": trusting({"AWS": ACCOUNT}, StringEquals={"aws:PrincipalTag/team": "lab"}),
    "the account but the user": policy(
        trusting({"AWS": ACCOUNT})["Statement"][0],
        {
            "Effect": "Deny",
            "Principal": {"AWS": f"{ROOT}:user/caller"},
            "Action": "sts:AssumeRole",
        },
    ),
    "the user by name and everyone with MFA": policy(
        trusting({"AWS": f"{ROOT}:user/caller"})["Statement"][0],
        trusting("*", Bool={"aws:MultiFactorAuthPresent": "true"})["Statement"][0],
    ),
}

TARGET = f"{ROOT}:role/target"
CALLERS: dict[str, Any] = {
    "may assume any role": [policy(allow("sts:AssumeRole"))],
    "may assume this role": [policy(allow("sts:AssumeRole", TARGET))],
    "may assume another role": [policy(allow("sts:AssumeRole", f"{TARGET}-2"))],
    "may assume nothing": [],
    "is denied it": [policy(allow("sts:*"), deny("sts:AssumeRole"))],
    "may with an external id": [
        policy(allow("sts:AssumeRole", StringEquals={"sts:ExternalId": ["x", "z"]}))
    ],
}

AROUND: dict[str, dict[str, Any]] = {
    "nothing": {},
    "a boundary without STS": {"boundary": policy(allow("ec2:*"))},
    "a boundary with STS": {"boundary": policy(allow("sts:*"))},
    "levels that allow all": {"scps": [[FULL], [FULL]]},
    "a level that denies STS": {"scps": [[FULL, policy(deny("sts:AssumeRole"))]]},
}
VALUES = {
    "sts:ExternalId": (None, "x", "y", "z"),
    "aws:MultiFactorAuthPresent": (None, "true", "false"),
}


@pytest.mark.parametrize("trust", TRUSTS)
@pytest.mark.parametrize("around", AROUND)
def test_who_may_assume_a_role_is_what_the_engine_says_of_both_sides(
    trust: str, around: str
) -> None:
    limits = AROUND[around]
    more: dict[str, Any] = {"boundary": arn_of("b")} if "boundary" in limits else {}
    target = role("target", STOPPER, trust=TRUSTS[trust])
    for own in CALLERS.values():
        of = account(
            [user("caller", *own, tags={"team": "lab"}, **more)],
            [role("caller", *own, tags={"team": "web"}, **more), target],
            [],
            [managed("b", limits["boundary"])] if "boundary" in limits else [],
            limits.get("scps"),
        )
        asker = Asker(of, NOW)
        document = load_policy(TRUSTS[trust], "trust")
        question = Question("sts:AssumeRole", TARGET)
        reached = steps(of)
        for member in of.members[:2]:
            cell = asker.cell(question, State(member), document)
            met = outcomes(of, member, "sts:AssumeRole", [TARGET], VALUES, document)
            right = "depends" if len(met) == 2 else "yes" if met == {True} else "no"
            assert cell.answer == right, (member.label, own)
            assert (member.label in reached) is (right != "no")


def test_a_chain_of_roles_is_followed_to_whom_it_begins_with() -> None:
    chain = [
        role(
            f"r{n}",
            policy(allow("sts:AssumeRole", f"{ROOT}:role/r{n + 1}")),
            trust=trusting({"AWS": f"{ROOT}:role/r{n - 1}" if n else ACCOUNT}),
        )
        for n in range(5)
    ]
    last = role("r5", STOPPER, trust=trusting({"AWS": f"{ROOT}:role/r4"}))
    of = account(
        [user("alice", policy(allow("sts:AssumeRole", f"{ROOT}:role/r0"))), user("bob")],
        [*chain, last],
    )

    found = steps(of)

    assert found["user/alice"] == [f"sts:AssumeRole role/r{n}" for n in range(6)]
    assert "user/bob" not in found
    assert found["role/r5"] == []


def test_roles_that_assume_one_another_end() -> None:
    assume = policy(allow("sts:AssumeRole"))
    of = account(roles=[role(name, assume, trust=trusting({"AWS": ACCOUNT})) for name in "ab"])

    assert steps(of) == {}


OWN_WAYS = [
    ([allow("iam:PutUserPolicy", f"{ROOT}:user/a")], "iam:PutUserPolicy user/a"),
    ([allow("iam:PutUserPolicy", f"{ROOT}:user/${{aws:username}}")], "iam:PutUserPolicy user/a"),
    ([allow("iam:AttachUserPolicy")], "iam:AttachUserPolicy user/a"),
    ([allow("iam:PutGroupPolicy", f"{ROOT}:group/mine")], "iam:PutGroupPolicy group/mine"),
    ([allow("iam:CreatePolicyVersion")], "iam:CreatePolicyVersion policy/attached"),
    ([allow("iam:AddUserToGroup")], "iam:AddUserToGroup group/stoppers"),
    ([allow("iam:CreateAccessKey", f"{ROOT}:user/stopper")], "iam:CreateAccessKey user/stopper"),
    ([allow("iam:UpdateLoginProfile")], "iam:UpdateLoginProfile user/stopper"),
    (
        [allow("iam:UpdateAssumeRolePolicy", f"{ROOT}:role/machine")],
        "iam:UpdateAssumeRolePolicy and sts:AssumeRole role/machine",
    ),
    (
        [allow("iam:PassRole", f"{ROOT}:role/machine"), allow("ec2:RunInstances")],
        "iam:PassRole and ec2:RunInstances role/machine",
    ),
    (
        [allow(["iam:CreateRole", "iam:AttachRolePolicy"], f"{ROOT}:role/*")],
        "iam:CreateRole and iam:AttachRolePolicy and sts:AssumeRole role/new",
    ),
]
NO_WAYS = [
    [allow("iam:PutUserPolicy", f"{ROOT}:user/b")],
    [allow("iam:PutRolePolicy", f"{ROOT}:role/machine")],
    [allow("iam:PutGroupPolicy", f"{ROOT}:group/stoppers")],
    [allow("iam:CreatePolicyVersion", "arn:aws:iam::aws:policy/*")],
    [allow("iam:AddUserToGroup", f"{ROOT}:group/mine")],
    [allow("iam:CreateAccessKey", f"{ROOT}:user/nobody")],
    [allow("iam:PassRole", f"{ROOT}:role/machine")],
    [allow("ec2:RunInstances")],
    [
        allow("iam:PassRole", StringEquals={"iam:PassedToService": "lambda.amazonaws.com"}),
        allow(["lambda:CreateFunction", "lambda:InvokeFunction"]),
    ],
    [allow("iam:UpdateAssumeRolePolicy"), deny("sts:AssumeRole")],
    [allow("iam:CreateRole"), allow("iam:AttachRolePolicy", f"{ROOT}:role/machine"), deny("sts:*")],
    [
        allow("iam:CreateRole", StringEquals={"iam:PermissionsBoundary": arn_of("b")}),
        allow("iam:AttachRolePolicy"),
    ],
    [allow("*"), deny("*", StringEquals={"aws:username": "a"})],
]


def _with(statements: Any, **more: Any) -> Account:
    given = {"managed": [arn_of("attached")], "groups": ["mine"], **more}
    return account(
        [
            user("a", policy(*statements), **given),
            user("stopper", STOPPER),
            user("nobody"),
        ],
        [role("machine", STOPPER)],
        [group("mine", policy(allow("s3:*"))), group("stoppers", STOPPER)],
        [managed("attached", policy(allow("s3:*"))), managed("b", more.get("limit", FULL))],
    )


@pytest.mark.parametrize(("statements", "step"), OWN_WAYS)
def test_one_step_is_enough(statements: Any, step: str) -> None:
    assert steps(_with(statements))["user/a"] == [step]


@pytest.mark.parametrize("statements", NO_WAYS)
def test_half_a_step_leads_nowhere(statements: Any) -> None:
    assert "user/a" not in steps(_with(statements))


@pytest.mark.parametrize("statements", [way for way, _ in OWN_WAYS])
def test_no_step_is_taken_that_the_boundary_refuses(statements: Any) -> None:
    limit = policy(allow("s3:*"))
    assert "user/a" not in steps(_with(statements, boundary=arn_of("b"), limit=limit))


def test_what_one_gives_itself_is_limited_by_the_boundary_unless_that_comes_off() -> None:
    limit = policy(allow("iam:*"))
    put = allow("iam:PutUserPolicy", f"{ROOT}:user/a")
    off = allow("iam:DeleteUserPermissionsBoundary", f"{ROOT}:user/a")

    assert "user/a" not in steps(
        _with([put], boundary=arn_of("b"), limit=policy(allow("iam:PutUserPolicy")))
    )
    found = steps(_with([put, off], boundary=arn_of("b"), limit=limit))
    assert sorted(found["user/a"]) == [
        "iam:DeleteUserPermissionsBoundary user/a",
        "iam:PutUserPolicy user/a",
    ]


def test_a_policy_is_put_on_another_that_one_may_become() -> None:
    of = account(
        [
            user(
                "a",
                policy(
                    allow(["iam:PutRolePolicy", "sts:AssumeRole"], f"{ROOT}:role/empty"),
                ),
            )
        ],
        [role("empty", trust=trusting({"AWS": ACCOUNT}))],
    )

    assert steps(of) == {"user/a": ["iam:PutRolePolicy role/empty", "sts:AssumeRole role/empty"]}


def test_service_linked_roles_are_nobodys_way() -> None:
    path = "/aws-service-role/autoscaling.amazonaws.com/"
    of = account(
        [user("a", policy(allow(["iam:UpdateAssumeRolePolicy", "sts:AssumeRole"])))],
        [role("linked", STOPPER, path=path)],
    )

    assert "user/a" not in steps(of)


def test_a_policy_that_could_not_be_read_is_no_way() -> None:
    of = account(
        [user("a", policy(allow("*")), managed=["arn:aws:iam::aws:policy/Unknown"])],
        [role("r", STOPPER, trust=trusting({"AWS": ACCOUNT}))],
    )

    assert "user/a" not in steps(of)
    cell = Asker(of, NOW).cell(STOP, State(of.members[0]))
    assert (cell.answer, cell.reason) == (
        "undecided",
        "the policy `arn:aws:iam::aws:policy/Unknown` (not in the answer)",
    )


TAGGED = {"aws:ResourceTag/ManagedBy": "cml-cloud-manager"}


@pytest.mark.parametrize(
    ("tagging", "first"),
    [
        (allow("ec2:CreateTags"), True),
        (allow("ec2:CreateTags", "arn:aws:ec2:*:*:volume/*"), False),
        (allow("ec2:CreateTags", StringEquals=TAGGED), False),
        (allow("ec2:CreateTags", StringEquals={"aws:RequestTag/ManagedBy": "else"}), False),
        (allow("ec2:CreateTags", StringLike={"aws:RequestTag/ManagedBy": "cml-*"}), True),
        (allow("ec2:DescribeTags"), False),
    ],
)
def test_who_may_set_the_tag_itself_is_told(tagging: Any, first: bool) -> None:
    own = policy(allow("ec2:StopInstances", StringEquals=TAGGED), tagging)
    asker = Asker(account([user("a", own)]), NOW)

    (holder,) = holders(STOP, asker, Paths(asker))

    assert holder.standing == "depends"
    assert (holder.tagging is not None) is first


SESSIONS = trusting({"AWS": ACCOUNT})["Statement"][0] | {
    "Action": ["sts:AssumeRole", "sts:TagSession"]
}


@pytest.mark.parametrize(
    ("trust", "answer"), [(trusting({"AWS": ACCOUNT}), "no"), (policy(SESSIONS), "depends")]
)
def test_tags_of_sessions_are_open_only_where_the_trust_policy_lets_them_be_passed(
    trust: Any, answer: str
) -> None:
    own = policy(allow("ec2:StopInstances", StringEquals={"aws:PrincipalTag/team": "lab"}))
    of = account(roles=[role("r", own, trust=trust, tags={"team": "web"})])

    assert Asker(of, NOW).cell(STOP, State(of.members[0])).answer == answer


def test_a_principal_that_may_tag_itself_gets_what_its_tags_allow() -> None:
    stop = allow("ec2:StopInstances", StringEquals={"aws:PrincipalTag/team": "lab"})
    untagged = user("untagged", policy(stop))
    selftag = user("selftag", policy(stop, allow("iam:TagUser")))

    assert steps(account([untagged, selftag])) == {
        "user/selftag": ["iam:TagUser user/selftag"],
    }


def test_paths_are_freed_without_the_cyclic_collector() -> None:
    paths = Paths(Asker(account([user("alice", FULL)]), NOW))
    assert paths.to(STOP)
    freed = weakref.ref(paths)

    del paths
    assert freed() is None
