"""Questions put to `policy prove`: mistakes are refused, answers say who decides."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cml_iam.render import render_policy
from cml_iam.site import parse_site
from tests.site.test_site import EXAMPLE

TRUST = {
    "Effect": "Allow",
    "Principal": {"Service": "ec2.amazonaws.com"},
    "Action": "sts:AssumeRole",
}
MANY = [
    {"Effect": "Allow", "Action": "ec2:D*", "Resource": "arn:aws:ec2:*:*:*"},
    {
        "Effect": "Deny",
        "Action": "ec2:*",
        "Resource": ["arn:aws:ec2:*:*:*/*", "arn:aws:ec2:*:*:*:*"],
    },
]
"""Allows nothing, for AWS has no resource whose ARN says no type: of each action that is a fact."""


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, indent=2)


@pytest.fixture(autouse=True)
def _files(tmp_path: Path) -> None:
    (tmp_path / "base.json").write_text(render_policy(None, "base").text)
    (tmp_path / "hardened.json").write_text(render_policy(parse_site(EXAMPLE)).text)
    (tmp_path / "trust.json").write_text(document(TRUST))
    (tmp_path / "many.json").write_text(document(*MANY))
    (tmp_path / "broken.json").write_text('{"Version": "2012-10-17" "Statement": []}')
    (tmp_path / "bare.toml").write_text('[account]\nid = "111122223333"\n')


REFUSED: dict[str, tuple[list[str], str, str]] = {
    "no site, no files": (
        ["--never", "ec2:*"],
        "no policy given, and no site file `cml-iam.toml`",
        "name the files of the policies",
    ),
    "promises without a site": (["base.json"], "no site file: `cml-iam.toml`", "cml-iam init"),
    "a site that is not there": (["--site", "x.toml"], "no site file: `x.toml`", "--site"),
    "a file that is not there": (["--never", "*", "x.json"], "no such file: `x.json`", ""),
    "a reference that is not there": (["--within", "x.json"], "no such file: `x.json`", ""),
    "requests without --never": (
        ["ec2:StopInstances", "--within", "base.json"],
        "no such file: `ec2:StopInstances`",
        "use --never or --always to ask about",
    ),
    "a folder with it": (["--never", "*", "."], "broken.json:1:26: expected `,`", ""),
    "no JSON": (["--within", "base.json", "broken.json"], "broken.json:1:26: expected `,`", ""),
    "nothing on stdin": (["--never", "*", "-"], "-:1:1: the document is empty", ""),
    "a trust policy and another": (
        ["--never", "*", "base.json", "trust.json"],
        "`trust.json` names principals, so it is a resource policy",
        "prove it alone",
    ),
    "a trust policy within a principal's": (
        ["--within", "base.json", "trust.json"],
        "`trust.json` names principals and `base.json` does not",
        "compare policies of principals with each other",
    ),
    "a principal's policy within a trust policy": (
        ["--equivalent", "trust.json", "base.json"],
        "`trust.json` names principals and `base.json` does not",
        "compare policies of principals with each other",
    ),
    "a trust policy as boundary": (
        ["--never", "*", "base.json", "--boundary", "trust.json"],
        "trust.json:6:7: `Principal` is not allowed in a policy of a user or role",
        "remove it",
    ),
    "a resource the action does not take": (
        ["--never", "ec2:StopInstances on arn:aws:s3:::bucket", "base.json"],
        "no policy decides these requests",
        "AWS authorizes ec2:StopInstances on only the resource types of",
    ),
    "what every request has": (
        ["--always", "ec2:StopInstances where aws:RequestedRegion is absent", "base.json"],
        "aws:RequestedRegion is in every request",
        "check the actions, the resources and the conditions",
    ),
    "conditions that exclude each other": (
        ["--never", "* where ec2:Region = eu-west-1 and ec2:Region != eu-west-1", "base.json"],
        "the conditions exclude each other",
        "check the ",
    ),
    "what no policy can refuse": (
        ["--never", "sts:GetCallerIdentity", "base.json"],
        "sts:GetCallerIdentity is allowed to every caller",
        "check the ",
    ),
    "a typing mistake": (
        ["--never", "* where aws:SourceIP like 10.* and aws:TokenIssue is absent", "base.json"],
        "--never:1:36: AWS has no condition key `aws:TokenIssue`",
        "did you mean `aws:TokenIssueTime`?",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_mistake_is_refused_with_what_is_wrong_and_what_to_do(
    cml_iam: Any, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    arguments, wrong, remedy = REFUSED[case]
    ran = cml_iam("policy", "prove", *arguments)

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: ")
    assert wrong in ran.err
    assert remedy in ran.err
    in_json = cml_iam("-o", "json", "policy", "prove", *arguments)
    assert (in_json.code, in_json.out) == (2, "")
    assert wrong in json.loads(in_json.err)["error"]["message"]


def test_a_site_that_restricts_nothing_says_that_it_promises_no_more(cml_iam: Any) -> None:
    ran = cml_iam("policy", "prove", "--site", "bare.toml", "base.json")

    assert ran.code == 0
    assert "• the site has no restrictions, so there are no further promises" in ran.out


def test_a_region_that_aws_is_not_known_to_have_is_doubted(cml_iam: Any) -> None:
    where = "ec2:StopInstances where aws:RequestedRegion = us-esat-1"
    ran = cml_iam("policy", "prove", "--never", where, "hardened.json")

    assert ran.code == 0
    assert "▲ unknown AWS region `us-esat-1` (did you mean `us-east-1`?)" in ran.err
    fine = "* where ec2:Region != us-east-1 and ec2:Region like eu-* and ec2:Region is present"
    assert cml_iam("policy", "prove", "--never", fine, "base.json").err == ""


def test_the_policy_of_a_resource_is_asked_with_its_caller(cml_iam: Any) -> None:
    ran = cml_iam("policy", "prove", "--never", "sts:AssumeRole", "trust.json")

    assert ran.code == 3
    assert "       on arn:aws:iam::111122223333:role/foreign-role by ec2.am" in ran.out
    assert cml_iam("policy", "prove", "--equivalent", "trust.json", "trust.json").code == 0


def test_the_side_that_refuses_is_named(cml_iam: Any) -> None:
    ran = cml_iam("policy", "prove", "--within", "hardened.json", "base.json")
    assert re.search(r"^       allowed by EC2TagManagement \(base\.json:\d+:5\)$", ran.out, re.M)
    assert "       hardened.json: no statement allows it" in ran.out

    # Of two that are not equivalent, the narrower one, whichever was named first.
    ran = cml_iam("policy", "prove", "--equivalent", "base.json", "hardened.json")
    assert "       hardened.json: no statement allows it" in ran.out

    ran = cml_iam("policy", "prove", "--always", "ec2:DescribeInstances", "hardened.json")
    assert ran.out.splitlines()[-1] == "       no statement allows it"
    assert "Shape" not in ran.out


def test_keys_that_are_asked_about_and_absent_are_told(cml_iam: Any) -> None:
    where = "ec2:StopInstances where aws:SourceIp is absent and aws:MultiFactorAuthPresent != true"
    ran = cml_iam("policy", "prove", "--never", where, "base.json")

    assert "       aws:MultiFactorAuthPresent = false\n       without aws:SourceIp\n" in ran.out


def test_what_is_taken_for_granted_of_many_actions_is_one_fact(cml_iam: Any) -> None:
    arguments = ("policy", "prove", "--never", "ec2:D*", "many.json")
    held = json.loads(cml_iam("-o", "json", *arguments).out)["assumptions"]
    of_actions = [each for each in held if each["kind"] == "resource"]
    assert len(of_actions) > 100

    ran = cml_iam(*arguments)
    assert ran.out.splitlines()[1:] == ["• 2 facts about AWS assumed; -v prints them"]
    for verbose in (cml_iam(*arguments, "-v"), cml_iam("-v", *arguments)):
        lines = verbose.out.splitlines()
        assert lines[1] == "• assumed from AWS's documentation:"
        assert [line[:4] for line in lines[2:]] == ["  - ", "  - ", "    ", "    "]
        assert f" and {len(of_actions) - 1} other actions on" in lines[3]
        assert max(map(len, lines[:-1])) <= 80


def test_few_actions_are_all_named(cml_iam: Any, tmp_path: Path) -> None:
    actions = ["ec2:StartInstances", "ec2:StopInstances"]
    few = {"Effect": "Allow", "Action": actions, "Resource": "arn:aws:ec2:*:*:volume/*"}
    (tmp_path / "few.json").write_text(document(few))
    ran = cml_iam("policy", "prove", "-v", "--never", "ec2:*", "few.json")

    assert "AWS authorizes ec2:StartInstances and ec2:StopInstances on only" in ran.out


def test_nothing_taken_for_granted_is_said_when_asked(cml_iam: Any) -> None:
    never = ("--never", "s3:*", "base.json")

    assert len(cml_iam("policy", "prove", *never).out.splitlines()) == 1
    ran = cml_iam("policy", "prove", "-v", *never)
    assert ran.out.splitlines()[1:] == ["• no assumptions about AWS"]


def test_what_can_never_match_is_told_beside_the_answer(cml_iam: Any, tmp_path: Path) -> None:
    misspelt = {"StringEqualz": {"aws:RequestedRegion": "us-east-1"}}
    allow = {"Effect": "Allow", "Action": "ec2:*", "Resource": "*", "Condition": misspelt}
    (tmp_path / "odd.json").write_text(document(allow))
    wrong = "unknown condition operator `StringEqualz`, so it never matches"

    for question in (("--never", "s3:*"), ("--within", "base.json"), ("--site", "bare.toml")):
        ran = cml_iam("policy", "prove", *question, "odd.json")
        assert ran.code == 0
        assert ran.out.startswith("▲ odd.json:10:11: " + wrong)
        answer = json.loads(cml_iam("-o", "json", "policy", "prove", *question, "odd.json").out)
        (told,) = answer["never_matches"]
        assert wrong in told


def test_the_other_reading_of_wildcards_is_told_where_it_answers_otherwise(
    cml_iam: Any, tmp_path: Path
) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html"""
    short = {"Effect": "Allow", "Action": "ec2:StopInstances", "Resource": "arn:aws:ec2:*:i*"}
    (tmp_path / "short.json").write_text(document(short))
    (tmp_path / "cml-iam.toml").write_text(EXAMPLE)
    told = "▲ broken, if a `*` in a short ARN also matches the missing colons"

    ran = cml_iam("policy", "prove", "--never", "ec2:StopInstances", "short.json")
    assert (ran.code, told in ran.out.splitlines()) == (8, True)
    assert ran.out.splitlines()[1].startswith("▲ holds")
    ran = cml_iam("policy", "prove", "short.json")
    assert f"    {told}" in ran.out.splitlines()
    answers = json.loads(cml_iam("-o", "json", "policy", "prove", "short.json").out)["promises"]
    assert {e["id"] for e in answers if e["other_reading"] == "broken"} >= {"regions"}


def test_a_witness_is_for_an_action_that_a_reader_knows(cml_iam: Any, tmp_path: Path) -> None:
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    (tmp_path / "admin.json").write_text(document(everything))
    asked = {
        ("--within", "base.json"): "    ec2:ModifyInstanceAttribute",
        (
            "--never",
            "s3:* on arn:aws:s3:::b/*",
        ): "    s3:GetObject on arn:aws:s3:::b/foreign-object",
    }
    for question, line in asked.items():
        assert line in cml_iam("policy", "prove", *question, "admin.json").out.splitlines()
