"""`policy diff` and `policy history` as people and programs read them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from cml_iam.cli._main import cli

if TYPE_CHECKING:
    from pathlib import Path

START = {"Sid": "Start", "Effect": "Allow", "Action": "ec2:StartInstances", "Resource": "*"}
IN_REGION = {**START, "Condition": {"StringEquals": {"aws:RequestedRegion": "us-east-1"}}}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "parts").mkdir()
    for name, statement in (("wide", START), ("narrow", IN_REGION), ("parts/one", START)):
        document = {"Version": "2012-10-17", "Statement": [statement]}
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["policy", "diff", *arguments])


def test_a_wider_policy_exits_with_6_and_shows_a_request(files: Path) -> None:
    ran = run("narrow.json", "wide.json")

    assert ran.exit_code == 6
    assert "+ newly allowed" in ran.output
    assert "aws:RequestedRegion = " in ran.output
    assert "allowed by Start (wide.json:1:" in ran.output
    assert "wide.json is wider than narrow.json" in ran.output


def test_a_narrower_policy_exits_with_6(files: Path) -> None:
    ran = run("wide.json", "narrow.json")

    assert ran.exit_code == 6
    assert "- newly denied" in ran.output
    assert "narrow.json is narrower than wide.json" in ran.output


def test_an_action_heads_all_its_differences(files: Path) -> None:
    both = {"StringEquals": {"aws:RequestedRegion": "us-east-1", "aws:ResourceTag/a": "b"}}
    document = {"Version": "2012-10-17", "Statement": [{**START, "Condition": both}]}
    (files / "both.json").write_text(json.dumps(document))

    lines = run("wide.json", "both.json").output.splitlines()

    assert lines[0] == "- newly denied (2)"
    assert lines.count("  - ec2:StartInstances") == 1
    assert sum(line.startswith("      e.g.  ec2:StartInstances on ") for line in lines) == 2


def test_the_same_meaning_exits_with_0_and_a_folder_is_taken_together(files: Path) -> None:
    ran = run("wide.json", "parts")

    assert ran.exit_code == 0
    assert "same meaning" in ran.output


def test_an_action_that_aws_may_add_one_day_is_marked(files: Path) -> None:
    again = {**IN_REGION, "Sid": "Again", "Action": ["EC2:StartInstances", "ec2:startinstances?"]}
    document = {"Version": "2012-10-17", "Statement": [IN_REGION, again]}
    (files / "again.json").write_text(json.dumps(document))

    ran = run("narrow.json", "again.json")

    assert ran.exit_code == 6
    assert "AWS's service reference lists no such action" in ran.output


def test_what_is_proved_the_same_says_so_and_what_is_taken_for_granted(files: Path) -> None:
    twin = {**START, "Condition": {"StringEquals": {"ec2:Region": "us-east-1"}}}
    document = {"Version": "2012-10-17", "Statement": [twin, IN_REGION]}
    (files / "twin.json").write_text(json.dumps(document))

    ran = run("narrow.json", "twin.json", "-v")

    assert ran.exit_code == 0
    assert "same meaning: proved for every possible request" in ran.output
    assert "assumed" in ran.output


def test_what_could_not_be_decided_exits_with_8_and_the_reason(files: Path) -> None:
    patterns = [f"*a{'?' * size}*" for size in range(9, 24)]
    one = [{**START, "Condition": {"StringLike": {"my:key": pattern}}} for pattern in patterns]
    all_of_them = [{**START, "Condition": {"StringLike": {"my:key": patterns}}}]
    for name, statements in (("one", one), ("all", all_of_them)):
        document = {"Version": "2012-10-17", "Statement": statements}
        for number, each in enumerate(statements):
            document["Statement"][number] = {**each, "Sid": f"S{number}"}
        (files / f"{name}.json").write_text(json.dumps(document))

    ran = run("one.json", "all.json")

    assert ran.exit_code == 8
    assert "could not decide whether any request is newly allowed" in ran.output
    assert "my:key" in ran.output
    answer = json.loads(run("one.json", "all.json", "-o", "json").output)
    assert (answer["verdict"], answer["complete"]) == ("undecided", False)
    assert set(answer["undecided"]) == {"newly_allowed", "newly_denied"}


def test_the_other_reading_of_a_short_arn_is_told(files: Path) -> None:
    short = {**START, "Resource": "arn:aws:ec2:*:instance/*"}
    none = {**START, "Action": "ec2:StopInstances", "Resource": "arn:aws:ec2:*:instance/*"}
    for name, statement in (("short", short), ("none", none)):
        document = {"Version": "2012-10-17", "Statement": [statement]}
        (files / f"{name}.json").write_text(json.dumps(document))

    ran = run("none.json", "short.json")

    assert ran.exit_code == 8
    assert "▲ same meaning in this reading of ARN wildcards" in ran.output
    assert "some request is newly allowed, if a `*` in a short ARN" in ran.output
    answer = json.loads(run("none.json", "short.json", "-o", "json").output)
    assert answer["other_reading"] == {"newly_allowed": "broken", "newly_denied": "broken"}


def test_json_has_the_witness_and_what_decided(files: Path) -> None:
    ran = run("narrow.json", "wide.json", "-o", "json")

    answer = json.loads(ran.output)
    assert answer["verdict"] == "wider"
    (only,) = answer["differences"]
    assert only["witness"]["action"] == "ec2:StartInstances"
    assert only["old"]["outcome"] == "implicitDeny"
    assert only["new"]["statements"][0]["label"] == "Start"
    assert "aws:RequestedRegion" in only["missed"]["reason"]
    assert (answer["new_within_old"], answer["old_within_new"]) == ("broken", "holds")
    assert answer["complete"]


def test_an_empty_folder_is_an_error(files: Path) -> None:
    (files / "empty").mkdir()

    assert "no .json file" in str(run("wide.json", "empty").exception)


def test_the_history_lists_versions() -> None:
    ran = CliRunner().invoke(cli, ["policy", "history", "-o", "json"])

    versions = json.loads(ran.output)
    assert versions[0]["version"] == "1.0"
    assert "1.0" in CliRunner().invoke(cli, ["policy", "history"]).output


def test_going_from_1_0_grants_nothing() -> None:
    ran = CliRunner().invoke(cli, ["policy", "history", "--from", "1.0"])

    assert ran.exit_code == 0
    assert "nothing to grant" in ran.output
    assert (
        json.loads(
            CliRunner().invoke(cli, ["policy", "history", "--from", "1.0", "-o", "json"]).output
        )["grant"]
        == []
    )


def _write(path: Path, *statements: dict[str, Any]) -> None:
    path.write_text(json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))


ANYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
STOP = {"Action": "ec2:StopInstances", "Resource": "*"}


def test_a_key_is_shown_under_a_name_that_the_service_has_it_under(
    cml_iam: Any, tmp_path: Path
) -> None:
    for name, key in (("old", "ec2:Region"), ("new", "aws:RequestedRegion")):
        condition = {"Condition": {"StringEquals": {key: "us-east-1"}}}
        _write(tmp_path / f"{name}.json", {**ANYTHING, **condition})

    ran = cml_iam("policy", "diff", "old.json", "new.json")

    assert ran.code == 6
    assert "aws:RequestedRegion = us-east-1" in ran.out
    assert "ec2:Region = us-east-1" not in ran.out


def test_sides_that_allow_the_same_are_not_called_wider(cml_iam: Any, tmp_path: Path) -> None:
    mfa = {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}
    _write(
        tmp_path / "old.json",
        {"Effect": "Allow", **STOP},
        {"Effect": "Deny", **STOP, "Condition": mfa},
    )
    having = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
    _write(tmp_path / "new.json", {"Effect": "Allow", **STOP, "Condition": having})

    ran = cml_iam("policy", "diff", "old.json", "new.json")
    proved = cml_iam("policy", "prove", "--equivalent", "old.json", "new.json")

    assert proved.code == 0
    assert ran.code == 6
    assert ran.out.splitlines()[-1] == (
        "▲ new.json allows the same as old.json; they differ in explicit denies only"
    )


def test_two_documents_that_only_deny_are_compared_beside_everything_and_it_is_said(
    cml_iam: Any, tmp_path: Path
) -> None:
    here = {"Condition": {"StringEquals": {"aws:RequestedRegion": "us-east-1"}}}
    _write(tmp_path / "old.json", {"Effect": "Deny", **STOP})
    _write(tmp_path / "new.json", {"Effect": "Deny", **STOP, **here})

    ran = cml_iam("policy", "diff", "old.json", "new.json")
    proved = cml_iam("policy", "prove", "--equivalent", "old.json", "new.json")

    assert "allowed by a policy that allows everything" in ran.out
    assert ran.out.splitlines()[-1] == "▲ new.json is wider than old.json"
    assert "neither side allows anything" in proved.out
