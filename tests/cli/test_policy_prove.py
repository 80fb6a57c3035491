"""`policy prove` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cml_iam.render import render_document, render_policy
from cml_iam.site import parse_site
from tests.site.test_site import EXAMPLE

SNIPPETS = Path(__file__).parent / "snippets"


@pytest.fixture(autouse=True)
def _files(tmp_path: Path) -> None:
    site = parse_site(EXAMPLE)
    (tmp_path / "cml-iam.toml").write_text(EXAMPLE)
    (tmp_path / "base.json").write_text(render_policy(None, "base").text)
    (tmp_path / "hardened.json").write_text(render_policy(site).text)
    (tmp_path / "boundary.json").write_text(render_document(site, "boundary").text)


def test_the_promises_of_the_rendered_policy_are_proved(cml_iam: Any) -> None:
    ran = cml_iam("policy", "prove")

    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert all(line.startswith("✔ holds") for line in lines[:12])
    assert lines[-1] == "✔ all 12 promises hold, for every possible request"


def test_a_broken_promise_shows_the_call_its_statement_and_what_closes_it(cml_iam: Any) -> None:
    ran = cml_iam("policy", "prove", "base.json")

    assert ran.code == 3
    assert "✖ broken  no instance without the guard tag can be operated" in ran.out
    assert "    ec2:TerminateInstances\n       on arn:aws:ec2:" in ran.out
    assert "allowed by EC2InstanceManagement (base.json:4:5)" in ran.out
    assert '"Effect": "Deny"' in ran.out
    assert ran.out.splitlines()[-1] == "✖ 10 of 12 promises broken"


def test_a_boundary_beside_the_base_policy_keeps_the_promises(cml_iam: Any) -> None:
    assert cml_iam("policy", "prove", "base.json", "--boundary", "boundary.json").code == 0


def test_the_snippets_of_the_guide_beside_the_base_keep_no_promise(cml_iam: Any) -> None:
    ran = cml_iam("-o", "json", "policy", "prove", "base.json", *sorted(SNIPPETS.glob("*.json")))

    answers = {promise["id"]: promise["answer"] for promise in json.loads(ran.out)["promises"]}
    assert ran.code == 3
    assert {name for name, answer in answers.items() if answer == "holds"} == {
        "within-base",
        "catalogue",
    }


def test_json_has_the_calls_the_statements_and_the_remedy(cml_iam: Any) -> None:
    ran = cml_iam("-o", "json", "policy", "prove", "base.json")

    promises = {promise["id"]: promise for promise in json.loads(ran.out)["promises"]}
    broken = promises["instance-types"]
    assert broken["answer"] == "broken"
    assert broken["calls"][0]["action"] == "ec2:RunInstances"
    assert broken["calls"][0]["statements"][0]["place"] == "base.json:4:5"
    assert broken["statements_to_add"][0]["Effect"] == "Deny"
    assert promises["catalogue"]["calls"] == []


OTHER_ACTIONS = ["ec2:GetPasswordData", "iam:PutUserPolicy", "ssm:SendCommand"]


def test_a_promise_about_some_actions_is_no_plain_pass_where_others_are_allowed(
    cml_iam: Any, tmp_path: Path
) -> None:
    said = {"Effect": "Allow", "Action": OTHER_ACTIONS, "Resource": "*"}
    document = {"Version": "2012-10-17", "Statement": [said]}
    (tmp_path / "other.json").write_text(json.dumps(document))

    ran = cml_iam("policy", "prove", "other.json")
    promises = json.loads(cml_iam("-o", "json", "policy", "prove", "other.json").out)["promises"]

    assert "✔" not in ran.out
    assert "▲ holds   no instance without the guard tag can be operated" in ran.out
    assert "for ec2:RunInstances only; other actions are allowed, see [catalogue]" in ran.out
    assert {promise["id"] for promise in promises if promise["answer"] == "broken"} == {
        *("within-base", "catalogue", "regions"),
    }
    for promise in promises:
        assert promise["other_actions_allowed"] is (promise["covers"] != ["*"]), promise["id"]


def test_what_a_promise_covers_and_does_not_is_said_in_full(cml_iam: Any) -> None:
    ran = cml_iam("policy", "prove", "-v")

    assert "    covers ec2:RunInstances\n" in ran.out
    assert "    covers every action\n" in ran.out
    assert "• not promised:" in ran.out
    assert "condition keys ignore the case of a tag's key" in " ".join(ran.out.split())
    assert "2 limits of the promises" in cml_iam("policy", "prove").out


def test_a_proof_that_rests_on_the_arns_of_another_service_says_so_at_once(
    cml_iam: Any, tmp_path: Path
) -> None:
    actions = ["sagemaker:CreateEndpoint", "sagemaker:DeleteEndpoint"]
    resource = "arn:aws:sagemaker:*:*:Canvas*"
    said = {"Effect": "Allow", "Action": actions, "Resource": resource}
    document = {"Version": "2012-10-17", "Statement": [said]}
    (tmp_path / "canvas.json").write_text(json.dumps(document))

    ran = cml_iam("policy", "prove", "--never", "sagemaker:*", "canvas.json")

    assert ran.code == 0
    assert "▲ this relies on the ARN formats in AWS's service reference for sagemaker" in ran.out


def test_one_policy_within_another(cml_iam: Any) -> None:
    ran = cml_iam("policy", "prove", "--within", "base.json", "hardened.json")

    assert ran.code == 0
    assert ran.out.startswith("✔ holds  hardened.json allows nothing that base.json does not")
    assert cml_iam("policy", "prove", "--within", "hardened.json", "base.json").code == 3
    assert cml_iam("policy", "prove", "--equivalent", "hardened.json").code == 0


def test_requests_that_are_never_or_always_allowed(cml_iam: Any) -> None:
    never = "ec2:TerminateInstances where aws:RequestedRegion = eu-central-1"
    assert cml_iam("policy", "prove", "--never", never).code == 0
    ran = cml_iam("policy", "prove", "--never", never, "base.json")
    assert ran.code == 3
    assert "aws:RequestedRegion = eu-central-1" in ran.out
    assert cml_iam("policy", "prove", "--always", "ec2:DescribeRegions").code == 0
    assert cml_iam("policy", "prove", "--always", "ec2:DescribeInstances").code == 3


def test_what_cannot_be_decided_is_said_beside_what_is_broken(cml_iam: Any, tmp_path: Path) -> None:
    statements = [
        {
            "Effect": "Allow",
            "Action": "ec2:StopInstances",
            "Resource": "*",
            "Condition": {"StringEquals": {"ec2:ResourceTag/ManagedBy": "cml-cloud-manager"}}
            | {"StringLike": {"ec2:InstanceType": "c5.*"}},
        },
        {
            "Effect": "Allow",
            "Action": "ec2:CreateTags",
            "Resource": "*",
            "Condition": {"StringLike": {"ec2:InstanceType": "m5.*"}},
        },
    ]
    (tmp_path / "odd.json").write_text(
        json.dumps({"Version": "2012-10-17", "Statement": statements})
    )
    ran = cml_iam("policy", "prove", "odd.json")

    assert ran.code == 3, "what is broken comes before what is undecided"
    assert "? undecided  no instance without the guard tag can be operated" in ran.out
    assert "different values of ec2:InstanceType" in ran.out
    assert "so nothing is proved; narrow the question with --never" in ran.out


def test_two_questions_at_once_are_refused(cml_iam: Any) -> None:
    ran = cml_iam("policy", "prove", "--never", "*", "--always", "*")

    assert (ran.code, ran.out) == (2, "")
    assert "ask one at a time" in ran.err


def test_a_mistake_in_the_question_is_shown_with_its_column(cml_iam: Any) -> None:
    ran = cml_iam("policy", "prove", "--never", "ec2:TerminateInstance")

    assert (ran.code, ran.out) == (2, "")
    assert "--never:1:1: `ec2` has no action `TerminateInstance`" in ran.err
    assert "did you mean `TerminateInstances`?" in ran.err
