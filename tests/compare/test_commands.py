"""`policy diff` and `policy history` as people and programs read them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cml_iam.cli.policy_diff import diff
from cml_iam.cli.policy_history import history

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
    return CliRunner().invoke(diff, arguments)


def test_a_wider_policy_exits_with_6_and_shows_a_request(files: Path) -> None:
    ran = run("narrow.json", "wide.json")

    assert ran.exit_code == 6
    assert "+ newly allowed" in ran.output
    assert "aws:RequestedRegion = eu-central-1" in ran.output
    assert "allowed by Start (wide.json:1:" in ran.output
    assert "wide.json is wider than narrow.json" in ran.output


def test_a_narrower_policy_exits_with_6(files: Path) -> None:
    ran = run("wide.json", "narrow.json")

    assert ran.exit_code == 6
    assert "- newly denied" in ran.output
    assert "narrow.json is narrower than wide.json" in ran.output


def test_the_same_meaning_exits_with_0_and_a_folder_is_taken_together(files: Path) -> None:
    ran = run("wide.json", "parts")

    assert ran.exit_code == 0
    assert "same meaning" in ran.output


def test_no_difference_found_is_said_with_the_number_of_requests(files: Path) -> None:
    again = {**IN_REGION, "Sid": "Again", "Action": ["EC2:StartInstances", "ec2:startinstances?"]}
    document = {"Version": "2012-10-17", "Statement": [IN_REGION, again]}
    (files / "again.json").write_text(json.dumps(document))

    ran = run("narrow.json", "again.json")

    assert ran.exit_code == 0
    assert "no difference found in" in ran.output


def test_json_has_the_witness_and_what_decided(files: Path) -> None:
    ran = run("narrow.json", "wide.json", "-o", "json")

    answer = json.loads(ran.output)
    assert answer["verdict"] == "wider"
    (only,) = answer["differences"]
    assert only["witness"]["action"] == "ec2:StartInstances"
    assert only["old"]["outcome"] == "implicitDeny"
    assert only["new"]["statements"][0]["label"] == "Start"
    assert "aws:RequestedRegion" in only["missed"]["reason"]


def test_an_empty_folder_is_an_error(files: Path) -> None:
    (files / "empty").mkdir()

    assert "no .json file" in str(run("wide.json", "empty").exception)


def test_the_history_lists_versions() -> None:
    ran = CliRunner().invoke(history, ["-o", "json"])

    versions = json.loads(ran.output)
    assert versions[0]["version"] == "1.0"
    assert "1.0" in CliRunner().invoke(history).output


def test_going_from_1_0_grants_nothing() -> None:
    ran = CliRunner().invoke(history, ["--from", "1.0"])

    assert ran.exit_code == 0
    assert "nothing to grant" in ran.output
    assert (
        json.loads(CliRunner().invoke(history, ["--from", "1.0", "-o", "json"]).output)["grant"]
        == []
    )
