"""`policy who-can` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.who.brute import ACCOUNT, INSTANCE, allow, group, policy, role, trusting, user

STOP = ("policy", "who-can", "ec2:StopInstances", "on", INSTANCE, "--account", "account.json")


@pytest.fixture(autouse=True)
def _files(tmp_path: Path) -> None:
    stop = allow("ec2:StopInstances", StringEquals={"aws:ResourceTag/team": "lab"})
    worker = f"arn:aws:iam::{ACCOUNT}:role/worker"
    made = {
        "UserDetailList": [
            user("alice", groups=["ops"]),
            user("bob", policy(allow("sts:AssumeRole", worker))),
            user("carol", policy(allow("s3:*"))),
        ],
        "GroupDetailList": [group("ops", policy(allow("ec2:*")))],
        "RoleDetailList": [
            role("worker", policy(stop), trust=trusting({"AWS": ACCOUNT})),
        ],
        "Policies": [],
    }
    (tmp_path / "account.json").write_text(json.dumps(made))
    (tmp_path / "scps.json").write_text(json.dumps([[policy(allow("*"))]]))
    (tmp_path / "none.json").write_text(json.dumps([[policy(allow("*"))], []]))


def test_each_principal_is_listed_with_what_allows_it_and_on_which_condition(cml_iam: Any) -> None:
    ran = cml_iam(*STOP, "--scps", "scps.json")

    assert (ran.code, ran.err) == (0, "")
    assert (
        ran.out
        == f"""\
ec2:StopInstances on {INSTANCE}, account {ACCOUNT}
▲ yes        user/alice
    by statement 1 of p0 (group ops)
▲ depends    role/worker
    by statement 1 of p0
    only if aws:ResourceTag/team = lab
▲ by steps   user/bob
    1. sts:AssumeRole
       on arn:aws:iam::{ACCOUNT}:role/worker
       by statement 1 of p0, statement 1 of its trust policy
    2. ec2:StopInstances as role/worker
       by statement 1 of p0
       only if aws:ResourceTag/team = lab
• 1 yes, 1 depends, 1 by steps, 1 no
"""
    )


def test_what_the_question_says_is_known(cml_iam: Any) -> None:
    ran = cml_iam(*STOP, "where", "aws:ResourceTag/team", "=", "lab", "--scps", "scps.json")

    assert "▲ yes        role/worker" in ran.out
    assert ran.out.endswith("• 2 yes, 1 by steps, 1 no\n")


def test_a_level_that_allows_nothing_leaves_nobody(cml_iam: Any) -> None:
    ran = cml_iam(*STOP, "--scps", "none.json", "-v")

    assert ran.out.splitlines()[-1] == "• 4 no"
    assert "✔ no         user/alice" in ran.out


def test_without_service_control_policies_it_says_what_it_takes_them_for(cml_iam: Any) -> None:
    ran = cml_iam(*STOP)

    assert "without --scps, service control policies are assumed to allow everything" in ran.err


def test_a_program_reads_the_same(cml_iam: Any) -> None:
    ran = cml_iam(*STOP, "--scps", "scps.json", "-o", "json")

    answer = json.loads(ran.out)
    assert answer["counts"] == {"yes": 1, "depends": 1, "by steps": 1, "undecided": 0, "no": 1}
    (bob,) = (
        principal for principal in answer["principals"] if principal["arn"].endswith("user/bob")
    )
    assert bob["acts_as"] == f"arn:aws:iam::{ACCOUNT}:role/worker"
    assert [step["action"] for step in bob["steps"]] == ["sts:AssumeRole"]


def test_a_policy_that_the_file_lacks_leaves_its_holder_undecided(
    cml_iam: Any, tmp_path: Path
) -> None:
    lacking = user("dave", managed=["arn:aws:iam::aws:policy/Unknown"])
    made = {"UserDetailList": [lacking], "RoleDetailList": []}
    (tmp_path / "account.json").write_text(json.dumps(made))

    ran = cml_iam(*STOP, "--scps", "scps.json")

    assert ran.code == 8
    assert "undecided  user/dave" in ran.out
    assert "arn:aws:iam::aws:policy/Unknown" in ran.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("ec2:Stop*",), "name one action, in full"),
        (("ec2:StopInstances", "on", "arn:aws:s3:::bucket"), "AWS never sends this request"),
        (("ec2:StopInstance",), "did you mean"),
    ],
)
def test_a_question_that_asks_nothing_is_refused(
    cml_iam: Any, words: tuple[str, ...], message: str
) -> None:
    ran = cml_iam("policy", "who-can", *words, "--account", "account.json")

    assert ran.code == 2
    assert message in ran.err


DEEP = "[" * 5000
USERS = {"UserDetailList": [1], "RoleDetailList": []}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("account.json", DEEP),
        ("account.json", json.dumps(USERS)),
        ("account.json", json.dumps({**USERS, "UserDetailList": 5})),
        ("account.json", json.dumps({**USERS, "UserDetailList": [{"UserName": "alice"}]})),
        ("account.json", json.dumps({**USERS, "UserDetailList": [], "GroupDetailList": [None]})),
        ("account.json", json.dumps({**USERS, "Policies": [{}]})),
        ("scps.json", DEEP),
        ("scps.json", "[1, 2]"),
        ("scps.json", "[[1]]"),
        ("scps.json", '[{"policies": 3}]'),
        ("resources.json", DEEP),
        ("resources.json", '{"arn:aws:s3:::b": [1]}'),
    ],
)
def test_a_file_of_another_form_is_refused_by_name(
    cml_iam: Any, tmp_path: Path, file: str, text: str
) -> None:
    (tmp_path / "resources.json").write_text("{}")
    (tmp_path / file).write_text(text)

    ran = cml_iam(*STOP, "--scps", "scps.json", "--resource-policies", "resources.json")

    assert (ran.code, ran.out) == (2, "")
    assert "error: " in ran.err
    assert file in ran.err or "arn:aws:s3:::b" in ran.err


def test_a_page_of_an_account_is_refused(cml_iam: Any, tmp_path: Path) -> None:
    made = {"UserDetailList": [], "RoleDetailList": [], "IsTruncated": True}
    (tmp_path / "account.json").write_text(json.dumps(made))

    ran = cml_iam(*STOP)

    assert ran.code == 2
    assert "one page of several" in ran.err


def test_the_policy_of_the_resource_is_asked_beside_those_of_the_principal(
    cml_iam: Any, tmp_path: Path
) -> None:
    key = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1"
    said = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/carol"},
        "Action": "kms:Decrypt",
        "Resource": "*",
    }
    (tmp_path / "resources.json").write_text(json.dumps({key: policy(said)}))
    asked = ("policy", "who-can", "kms:Decrypt", "on", key, "--account", "account.json")

    without = cml_iam(*asked, "--scps", "scps.json", "--no-steps")
    beside = cml_iam(
        *asked, "--scps", "scps.json", "--no-steps", "--resource-policies", "resources.json"
    )

    assert without.out.endswith("• 4 no\n")
    assert "yes        user/carol\n    by statement 1 of the resource's policy" in beside.out
    assert beside.out.endswith("• 1 yes, 3 no\n")


def test_the_trust_policy_of_a_role_decides_who_may_assume_it(cml_iam: Any, tmp_path: Path) -> None:
    night = f"arn:aws:iam::{ACCOUNT}:role/night"
    everything = {
        "UserDetailList": [user("alice", policy(allow("*"))), user("chainer")],
        "RoleDetailList": [
            role("night", trust=trusting({"AWS": f"arn:aws:iam::{ACCOUNT}:user/chainer"}))
        ],
    }
    (tmp_path / "account.json").write_text(json.dumps(everything))

    ran = cml_iam(
        *("policy", "who-can", "sts:AssumeRole", "on", night, "--account", "account.json"),
        *("--scps", "scps.json", "--no-steps"),
    )

    assert "yes        user/chainer\n    by statement 1 of its trust policy" in ran.out
    assert ran.out.endswith("• 1 yes, 2 no\n")


@pytest.mark.parametrize("asked", ["bkt/x", "bkt/*"])
def test_the_policy_of_a_bucket_decides_about_its_objects(
    cml_iam: Any, tmp_path: Path, asked: str
) -> None:
    everyone = {**allow("s3:GetObject", "arn:aws:s3:::bkt/*"), "Principal": "*"}
    (tmp_path / "resources.json").write_text(json.dumps({"arn:aws:s3:::bkt": policy(everyone)}))

    ran = cml_iam(
        *("policy", "who-can", "s3:GetObject", "on", f"arn:aws:s3:::{asked}"),
        *("--account", "account.json", "--scps", "scps.json", "--no-steps"),
        *("--resource-policies", "resources.json"),
    )

    assert ran.out.endswith("• 4 yes\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--who-else",), "--who-else needs --live"),
        (("--live", "--scps", "scps.json"), "--scps needs --who-else"),
    ],
)
def test_the_audit_says_what_who_else_needs(
    cml_iam: Any, options: tuple[str, ...], message: str
) -> None:
    ran = cml_iam("audit", *options)

    assert ran.code == 2
    assert message in ran.err


def test_without_an_account_it_says_how_to_get_the_file(cml_iam: Any) -> None:
    ran = cml_iam("policy", "who-can", "ec2:StopInstances")

    assert ran.code == 2
    assert "--account is missing" in ran.err
    assert "aws iam get-account-authorization-details --output json > account.json" in ran.err


def test_a_resource_of_another_account_needs_the_policy_that_was_not_given(cml_iam: Any) -> None:
    theirs = INSTANCE.replace(ACCOUNT, "444455556666")
    ran = cml_iam(
        *("policy", "who-can", "ec2:StopInstances", "on", theirs, "--account", "account.json"),
        *("--scps", "scps.json"),
    )

    assert ran.code == 8
    assert "undecided  user/alice" in ran.out
    assert "the resource is in account 444455556666" in ran.out
    assert "yes " not in ran.out


def test_an_action_that_is_allowed_to_everybody_is_no_question(cml_iam: Any) -> None:
    ran = cml_iam("policy", "who-can", "sts:GetCallerIdentity", "--account", "account.json")

    assert ran.code == 2
    assert "sts:GetCallerIdentity is allowed to every caller" in ran.err


def test_a_level_that_allows_nothing_is_named(cml_iam: Any) -> None:
    ran = cml_iam(*STOP, "--scps", "none.json")

    assert "level 2 allows nothing" in ran.err
    assert "is FullAWSAccess missing from the file?" in ran.err


def test_resource_policies_that_do_not_apply_are_named(cml_iam: Any, tmp_path: Path) -> None:
    other = {"arn:aws:s3:::other": policy({**allow("s3:*"), "Principal": "*"})}
    (tmp_path / "resources.json").write_text(json.dumps(other))

    ran = cml_iam(*STOP, "--scps", "scps.json", "--resource-policies", "resources.json")

    assert f"it has no policy of {INSTANCE}" in ran.err


def test_the_heading_repeats_the_whole_question(cml_iam: Any) -> None:
    ran = cml_iam(*STOP, "where", "aws:ResourceTag/team", "=", "lab", "--scps", "scps.json")

    heading = ran.out.splitlines()[0]
    assert heading == (
        f"ec2:StopInstances on {INSTANCE} where aws:ResourceTag/team = lab, account {ACCOUNT}"
    )
