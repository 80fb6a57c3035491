"""`cml-iam policy lint` as its users meet it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cml_iam.cli._main import run
from tests.lint.documents import CASES, EXAMPLES

GOOD = str(CASES / "CML301-restricts-nothing" / "good-hardened.json")
BAD = str(CASES / "CML301-restricts-nothing" / "bad-spec-beside-base.json")
ADVICE = str(EXAMPLES / "CML601-bad.json")


def lint(*arguments: str) -> int:
    return run(["policy", "lint", *arguments])


def test_a_right_policy_is_exit_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert lint(GOOD) == 0
    assert capsys.readouterr().out == "✔ 1 policy: nothing found\n"


def test_findings_are_exit_3_with_place_remedy_proof_and_page(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert lint(BAD) == 3
    out = capsys.readouterr().out
    assert f"▲ {BAD}:37:5: warning CML301 restricts-nothing [EC2InstanceManagementRegion" in out
    assert "    fix: put the restriction into `EC2InstanceManagement`" in out
    assert "      e.g. ec2:RunInstances on arn:aws:ec2:" in out
    assert "    see: https://docs.aws.amazon.com/" in out
    assert out.splitlines()[-1] == "▲ 1 policy: 3 warnings, 2 info"


def test_advice_is_exit_0_unless_asked_for() -> None:
    assert lint(ADVICE) == 0
    assert lint(ADVICE, "--fail-on", "info") == 3
    assert lint(BAD, "--fail-on", "error") == 0


def test_json_holds_everything_and_the_exit_code_is_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert lint(BAD, GOOD, "-o", "json") == 3
    answer = json.loads(capsys.readouterr().out)
    assert answer["files"] == [BAD, GOOD]
    assert answer["summary"] == {"error": 0, "warning": 3, "info": 2}
    [first] = [finding for finding in answer["findings"] if finding["line"] == 37]
    assert first["rule"] == "CML301"
    assert first["file"] == BAD
    assert first["witness"][0]["outcome"] == "allowed"
    context = first["witness"][0]["context"]
    assert context["ec2:Region"] not in {"us-east-1", "us-west-2"}


def test_a_folder_stands_for_its_json_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert lint(str(CASES / "CML504-launch-tag-case")) == 3
    out = capsys.readouterr().out
    assert "3 policies" in out
    assert "expected.json: skipped: it is not a policy" in out


@pytest.mark.parametrize("named", [False, True])
def test_json_that_is_no_policy_is_skipped_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], named: bool
) -> None:
    schema = tmp_path / "site.schema.json"
    schema.write_text('{"$schema": "https://json-schema.org/draft/2020-12/schema", "$defs": {}}')

    assert lint(str(schema if named else tmp_path)) == 8
    out = capsys.readouterr().out
    assert f"▲ {schema}: skipped: it is a JSON Schema" in out
    assert "? no policy found, nothing judged" in out
    assert lint(str(schema), BAD) == 3
    assert "1 policy" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["device", "pipe"])
def test_what_is_no_regular_file_is_refused_also_behind_a_link(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    target = Path("/dev/zero") if kind == "device" else tmp_path / "pipe"
    if kind == "pipe":
        os.mkfifo(target)
    (tmp_path / "z.json").symlink_to(target)

    for given in (target, tmp_path):
        assert lint(str(given)) == 2
        assert f"it is a {kind}, not a regular file" in capsys.readouterr().err


def test_a_file_that_is_no_json_does_not_hide_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{")

    assert lint(str(broken), BAD) == 3
    out = capsys.readouterr().out
    assert "error CML101" in out
    assert "warning CML301" in out
    assert "until then the other rules cannot judge it" in out


def test_stdin_is_read_by_a_dash(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))

    assert lint("-") == 3
    assert "<stdin>:1:1: error CML101 syntax" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file"), (b"\xff\xfe", "is not UTF-8 text (byte 0)")],
)
def test_a_file_that_cannot_be_read_is_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, message: str
) -> None:
    path = tmp_path / "policy.json"
    if content is not None:
        path.write_bytes(content)

    assert lint(str(path)) == 2
    assert message in capsys.readouterr().err


def test_an_empty_folder_is_exit_2(tmp_path: Path) -> None:
    assert lint(str(tmp_path)) == 2


def test_the_kind_of_a_policy_is_recognized_unless_it_is_given(
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = str(CASES / "CML104-element" / "good-trust.trust.json")

    assert lint(path) == 0
    out = capsys.readouterr().out
    assert "judged as a trust policy; the permissions of the role itself are not checked" in out
    assert lint("--kind", "identity", path) == 3


def test_json_says_as_what_each_policy_was_judged(capsys: pytest.CaptureFixture[str]) -> None:
    anyone = str(EXAMPLES / "CML521-bad.trust.json")

    assert lint(anyone, GOOD, "-o", "json") == 3
    answer = json.loads(capsys.readouterr().out)
    assert answer["kinds"] == {anyone: "trust", GOOD: "identity"}
    [finding] = answer["findings"]
    assert finding["rule"] == "CML521"
    [step] = finding["witness"]
    assert step["principal"] == "arn:aws:iam::444455556666:user/stranger"


def test_a_lone_statement_of_a_folder_is_not_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    statement = {"Effect": "Allow", "Action": "ec2:StopInstances", "Resource": "*"}
    (tmp_path / "statement.json").write_text(json.dumps(statement))

    assert lint(str(tmp_path)) == 3
    out = capsys.readouterr().out
    assert "this is a statement, not a policy" in out
    assert 'fix: wrap it: {"Version": "2012-10-17", "Statement": [ … ]}' in out


def test_it_needs_neither_boto3_nor_rich_nor_jinja2() -> None:
    code = (
        "import sys; from cml_iam.cli._main import run; run(['policy', 'lint', sys.argv[1]]);"
        "print({'boto3', 'botocore', 'rich', 'jinja2', 'moto'} & set(sys.modules))"
    )

    done = subprocess.run([sys.executable, "-c", code, GOOD], capture_output=True, text=True)

    assert done.stdout.splitlines()[-1] == "set()"


def test_the_site_file_says_what_the_policies_of_a_folder_are_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    guard = {"Effect": "Deny", "Action": "iam:*", "Resource": "*"}
    text = json.dumps({"Version": "2012-10-17", "Statement": [guard]})
    for name in ("scp/guard.json", "other/guard.json"):
        Path(name).parent.mkdir()
        Path(name).write_text(text, "utf-8")
    kinds = '[account]\nid = "111122223333"\n[lint.kinds]\n"scp/*.json" = "scp"\n'
    Path("cml-iam.toml").write_text(kinds, "utf-8")

    assert lint("-o", "json", "scp", "other") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["kinds"] == {"scp/guard.json": "scp", "other/guard.json": "identity"}

    assert lint("-o", "json", "--kind", "boundary", "scp") == 0
    assert json.loads(capsys.readouterr().out)["kinds"] == {"scp/guard.json": "boundary"}


@pytest.mark.parametrize(
    "site",
    ["[account\n", '[account]\nid = "1"\n[lint]\nkinds = 3\n', '[kinds]\n"*.json" = "trust"\n'],
    ids=["syntax", "kinds", "a section of another name"],
)
def test_a_site_file_that_cannot_be_read_is_refused_beside_a_policy(
    site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cml-iam.toml").write_text(site, "utf-8")
    assert lint(GOOD) == 2
    assert "cml-iam.toml:" in capsys.readouterr().err


def test_findings_of_one_place_or_one_cause_are_folded_into_the_worst(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pass_any = {"Effect": "Allow", "Action": "iam:*", "NotResource": "arn:aws:iam::*:role/admin"}
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"Version": "2012-10-17", "Statement": [pass_any]}), "utf-8")

    assert lint(str(path)) == 3
    folded = capsys.readouterr().out
    assert lint("-v", str(path)) == 3
    whole = capsys.readouterr().out

    same = (
        "CML604 service-wide (info), CML603 pass-any-role (warning), CML605 any-linked-role (info)"
    )
    assert f"and 3 more rules report the same: {same}" in folded
    assert folded.count("warning CML") == 1
    assert "info CML605" not in folded
    assert "info CML605 any-linked-role" in whole
    assert folded.splitlines()[-1] == whole.splitlines()[-1]


def test_what_matters_less_at_a_place_is_folded_as_something_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arn = "arn:aws:ec2:REGION:111122223333:instance/*"
    start = {"Effect": "Allow", "Action": "ec2:StartInstances", "Resource": arn}
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"Version": "2012-10-17", "Statement": [start]}), "utf-8")

    assert lint(str(path)) == 3

    said = "and 1 more rule reports another fault at this place: CML208 unknown-region (warning)"
    assert said in capsys.readouterr().out


def test_two_causes_of_one_severity_are_both_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    conditions = {"ForAllValues:StringLike": {"aws:SourceArn": "arn:aws:s3:::example-*"}}
    get = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", "Condition": conditions}
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"Version": "2012-10-17", "Statement": [get, get]}), "utf-8")

    assert lint(str(path)) == 3

    assert capsys.readouterr().out.count("warning CML506") == 2


def test_findings_of_a_template_are_in_the_order_of_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lone = "{Effect: Allow, Action: 's3:*', Resource: '*'}"
    kinds = {
        "A": ("AWS::S3::BucketPolicy", "PolicyDocument"),
        "B": ("AWS::IAM::UserPolicy", "PolicyDocument"),
        "C": ("AWS::S3::BucketPolicy", "PolicyDocument"),
    }
    lines = [
        f"  {name}: {{Type: {kind}, Properties: {{{document}: {lone}}}}}"
        for name, (kind, document) in kinds.items()
    ]
    file = tmp_path / "t.yaml"
    file.write_text("\n".join(["Resources:", *lines, ""]), "utf-8")

    lint(str(file), "-o", "json")

    findings = json.loads(capsys.readouterr().out)["findings"]
    assert [finding["line"] for finding in findings] == [2, 3, 4]
