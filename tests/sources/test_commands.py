"""Commands that judge policies answer of a template or plan as of the policy in JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cml_iam.cli._main import run
from tests.conftest import Ran

SITE = """
[account]
id = "111122223333"
[principal]
role = "CMLWorker"
[restrict]
regions = ["us-east-1"]
guard_tag = { ManagedBy = "cml" }
"""
TEMPLATE = """\
AWSTemplateFormatVersion: "2010-09-09"
Parameters:
  Bucket: {Type: String}
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: 2012-10-17
        Statement:
          - Effect: Allow
            Principal: {Service: !Sub "ec2.${AWS::URLSuffix}"}
            Action: sts:AssumeRole
  Manager:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      PolicyDocument:
        Version: 2012-10-17
        Statement:
          - Sid: Stop
            Effect: Allow
            Action: ec2:StopInstances
            Resource: !Sub arn:${AWS::Partition}:ec2:us-east-1:${AWS::AccountId}:instance/*
"""
OPEN = """\
          - Sid: Read
            Effect: Allow
            Action: s3:GetObjct
            Resource: !Sub arn:${AWS::Partition}:s3:::${Bucket}/*
"""
STOP = ("ec2:StopInstances", "--resource", "arn:aws:ec2:us-east-1:111122223333:instance/i-1")
JUDGING = {
    "lint": ("policy", "lint", "FILE", "--kind", "identity"),
    "verify": ("policy", "verify", "FILE"),
    "prove": ("policy", "prove", "FILE"),
    "never": ("policy", "prove", "FILE", "--never", "ec2:TerminateInstances on *"),
    "explain": ("policy", "explain", *STOP, "--policy", "FILE"),
}


def plan(**policies: str) -> str:
    """Return a plan with these policies."""
    resources = [
        {"address": f"aws_iam_policy.{name}", "type": "aws_iam_policy", "values": {"policy": text}}
        for name, text in policies.items()
    ]
    values = {"root_module": {"resources": resources}}
    return json.dumps(
        {"format_version": "1.2", "terraform_version": "1.9.0", "planned_values": values}
    )


def as_yaml(value: Any, indent: int = 0) -> str:
    """Return parsed JSON as YAML, one member a line."""
    pad = "  " * indent
    if isinstance(value, dict):
        return "".join(f"\n{pad}{key}: {as_yaml(each, indent + 1)}" for key, each in value.items())
    if isinstance(value, list):
        return "".join(f"\n{pad}- {as_yaml(each, indent + 1)}" for each in value)
    return json.dumps(value)


@pytest.fixture
def forms(cml_iam: Callable[..., Ran], tmp_path: Path) -> dict[str, str]:
    """Return the files with the site's policy, by form."""
    (tmp_path / "cml-iam.toml").write_text(SITE)
    text = cml_iam("policy", "render").out
    template = cml_iam("policy", "render", "--form", "cloudformation").out
    written = {
        "policy.json": text,
        "policy.yaml": as_yaml(json.loads(text)),
        "template.json": template,
        "template.yaml": as_yaml(json.loads(template)),
        "plan.json": plan(manager=text),
    }
    for name, content in written.items():
        (tmp_path / name).write_text(content)
    return written


def answer(ran: Ran) -> tuple[int, Any]:
    """Return the answer without what names the file and its places."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            left = {"policy", "place", "file", "files", "kinds", "line", "column", "title"}
            return {key: plain(each) for key, each in value.items() if key not in left}
        return [plain(each) for each in value] if isinstance(value, list) else value

    return ran.code, plain(json.loads(ran.out))


@pytest.mark.parametrize("command", JUDGING)
def test_the_answer_is_that_of_the_policy_in_json(
    cml_iam: Callable[..., Ran], forms: dict[str, str], command: str
) -> None:
    def ask(name: str) -> tuple[int, Any]:
        words = [name if word == "FILE" else word for word in JUDGING[command]]
        return answer(cml_iam(*words, "-o", "json"))

    expected = ask("policy.json")

    assert {name: ask(name) for name in forms} == dict.fromkeys(forms, expected)
    assert expected[0] in (0, 3)


@pytest.mark.parametrize("form", ["policy.yaml", "template.json", "template.yaml", "plan.json"])
def test_no_form_differs_from_the_policy_in_json(
    cml_iam: Callable[..., Ran], forms: dict[str, str], form: str
) -> None:
    assert cml_iam("policy", "diff", "policy.json", form).code == 0
    assert cml_iam("policy", "prove", "--equivalent", "policy.json", form).code == 0
    assert cml_iam("audit", form).code == 0


@pytest.mark.parametrize("form", ["policy.yaml", "template.json", "template.yaml", "plan.json"])
def test_a_policy_that_is_too_wide_is_found_in_every_form(
    cml_iam: Callable[..., Ran], forms: dict[str, str], tmp_path: Path, form: str
) -> None:
    wide = forms[form].replace("ec2:StopInstances", "ec2:*")
    assert wide != forms[form]
    (tmp_path / form).write_text(wide)

    assert cml_iam("policy", "verify", form).code == 3
    assert cml_iam("policy", "prove", form).code == 3
    assert cml_iam("policy", "diff", "policy.json", form).code == 6
    assert cml_iam("audit", form).code == 3


def test_a_finding_has_the_line_and_column_of_the_template(
    cml_iam: Callable[..., Ran], tmp_path: Path
) -> None:
    (tmp_path / "t.yaml").write_text(TEMPLATE.replace("StopInstances", "StopInstance"))

    ran = cml_iam("policy", "lint", "t.yaml")

    assert ran.code == 3
    assert "t.yaml:22:21: warning CML201" in ran.out
    assert "t.yaml:22:21" in cml_iam("audit", "t.yaml").out


def test_a_fault_of_the_grammar_has_the_line_and_column_of_the_template(
    cml_iam: Callable[..., Ran], tmp_path: Path
) -> None:
    (tmp_path / "t.yaml").write_text(
        TEMPLATE.replace(
            "Effect: Allow\n            Action: ec2", "Effct: Allow\n            Action: ec2"
        )
    )

    ran = cml_iam("policy", "lint", "t.yaml")

    assert ran.code == 3
    assert "t.yaml:21:13: " in ran.out


def test_a_finding_in_a_plan_has_the_address_of_the_resource(
    cml_iam: Callable[..., Ran], tmp_path: Path
) -> None:
    statement = '{"Effect": "Allow", "Action": "ec2:StopInstance", "Resource": "*"}'
    text = f'{{"Version": "2012-10-17", "Statement": {statement}}}'
    (tmp_path / "plan.json").write_text(plan(a=text, b=text))

    ran = cml_iam("policy", "lint", "plan.json")
    report = json.loads(cml_iam("audit", "plan.json", "-o", "json").out)

    assert "plan.json: aws_iam_policy.a: warning CML201" in ran.out
    assert "plan.json: aws_iam_policy.b: warning CML201" in ran.out
    assert "2 policies: 2 warnings" in ran.out
    spots = [finding["spot"] for finding in report["findings"]]
    assert [(spot["file"], spot["resource"]) for spot in spots] == [
        ("plan.json", "aws_iam_policy.a"),
        ("plan.json", "aws_iam_policy.b"),
    ]


def test_what_a_function_leaves_open_is_said_and_nothing_is_clean(
    cml_iam: Callable[..., Ran], tmp_path: Path
) -> None:
    (tmp_path / "t.yaml").write_text(TEMPLATE + OPEN.replace("GetObjct", "GetObject"))
    (tmp_path / "cml-iam.toml").write_text(SITE)
    left = "t.yaml:27:23: `Fn::Sub` leaves `Resource` open in `arn:aws:s3:::…/*`: not judged"

    for command in (*JUDGING.values(), ("audit", "FILE"), ("policy", "diff", "FILE", "FILE")):
        ran = cml_iam(*("t.yaml" if word == "FILE" else word for word in command))

        assert ran.code == 8, command
        said = " ".join((ran.out + ran.err).split())
        assert left in said, command
        assert "Clean" not in said
        assert "✔ 2 policies" not in said


def test_beside_what_is_open_the_rest_is_judged(
    cml_iam: Callable[..., Ran], tmp_path: Path
) -> None:
    (tmp_path / "t.yaml").write_text(TEMPLATE + OPEN)

    ran = cml_iam("policy", "lint", "t.yaml", "-o", "json")

    assert ran.code == 3
    found = json.loads(ran.out)
    assert [
        (finding["rule"], finding["line"], finding["column"]) for finding in found["findings"]
    ] == [("CML201", 26, 21)]
    assert [(each["line"], each["column"]) for each in found["not_judged"]] == [(27, 23)]


def test_a_role_that_anyone_may_assume_is_judged_by_its_trust_policy(
    cml_iam: Callable[..., Ran], tmp_path: Path
) -> None:
    (tmp_path / "t.yaml").write_text(
        TEMPLATE.replace("Action: sts:AssumeRole", "Action: sts:Assume")
    )

    ran = cml_iam("policy", "lint", "t.yaml", "-o", "json")

    assert {(finding["file"], finding["line"]) for finding in json.loads(ran.out)["findings"]} == {
        ("t.yaml", 13)
    }


def test_one_of_several_policies_is_chosen_by_its_name(
    cml_iam: Callable[..., Ran], tmp_path: Path
) -> None:
    statement = '{"Effect": "Allow", "Action": "*", "Resource": "*"}'
    wide = f'{{"Version": "2012-10-17", "Statement": {statement}}}'
    none = wide.replace('"Action": "*"', '"Action": "sqs:SendMessage"')
    (tmp_path / "plan.json").write_text(plan(wide=wide, none=none))
    ask = ("policy", "explain", *STOP)

    assert cml_iam(*ask, "--policy", "plan.json").code == 0
    assert cml_iam(*ask, "--policy", "plan.json#aws_iam_policy.wide").code == 0
    assert cml_iam(*ask, "--policy", "plan.json#aws_iam_policy.none").code == 3
    ran = cml_iam(*ask, "--policy", "plan.json#aws_iam_policy.other")
    assert ran.code == 2
    assert "there are `aws_iam_policy.wide`, `aws_iam_policy.none`" in ran.err
    ran = cml_iam(*ask, "--policy", "plan.json#aws_iam_policy.wide", "--boundary", "plan.json")
    assert ran.code == 2
    assert "name one, as plan.json#NAME" in ran.err


def test_policies_of_one_file_that_are_taken_together_are_named(
    cml_iam: Callable[..., Ran], tmp_path: Path
) -> None:
    (tmp_path / "t.yaml").write_text(TEMPLATE)
    (tmp_path / "cml-iam.toml").write_text(SITE)

    ran = cml_iam("policy", "explain", *STOP, "--policy", "t.yaml", "-o", "json")

    assert ran.code == 0
    assert "t.yaml: judged together: Resources.Manager" in ran.err
    assert [statement["place"] for statement in json.loads(ran.out)["statements"]] == [
        "t.yaml:20:13"
    ]


BROKEN = {
    "syntax": ("Statement:\n  - Effect: [Allow\n", "p.yaml:3:1: "),
    "brackets without end": ("Statement: " + "[" * 500_000, "nested more than 64 levels deep"),
    "too large": ("Effect: " + "x" * (1 << 20), "is not read"),
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("command", JUDGING)
def test_yaml_that_cannot_be_read_is_refused_at_once(
    cml_iam: Callable[..., Ran], tmp_path: Path, command: str, kind: str
) -> None:
    text, message = BROKEN[kind]
    (tmp_path / "p.yaml").write_text(text)
    (tmp_path / "cml-iam.toml").write_text(SITE)

    ran = cml_iam(*("p.yaml" if word == "FILE" else word for word in JUDGING[command]))

    assert ran.code == 2
    assert message in ran.err


def test_yaml_of_a_folder_that_cannot_be_read_does_not_hide_the_rest(
    cml_iam: Callable[..., Ran], tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "broken.yaml").write_text("Statement:\n  - Effect: [Allow\n")
    (folder / "good.yaml").write_text(TEMPLATE)
    (folder / "values.yaml").write_text("{{ chart }}")

    for command in ("policy", "lint", "folder"), ("audit", "folder"):
        ran = cml_iam(*command)

        assert ran.code == 8, ran.out
        assert "broken.yaml:3:1: " in ran.out
        assert "values.yaml: " not in ran.out


def test_the_region_of_a_stack_is_judged_by_lint_and_by_no_proof(
    cml_iam: Callable[..., Ran], tmp_path: Path
) -> None:
    (tmp_path / "t.yaml").write_text(TEMPLATE.replace("us-east-1", "${AWS::Region}"))
    (tmp_path / "cml-iam.toml").write_text(SITE)

    assert cml_iam("policy", "lint", "t.yaml").code == 0
    assert cml_iam("policy", "prove", "t.yaml").code == 8
    ran = cml_iam("audit", "t.yaml")
    assert ran.code == 8
    assert "its file leaves a part of it open" in " ".join(ran.out.split())


def test_fix_leaves_a_template_as_it_is(cml_iam: Callable[..., Ran], tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(TEMPLATE + OPEN)

    ran = cml_iam("policy", "lint", "--fix", "t.yaml")

    assert (tmp_path / "t.yaml").read_text() == TEMPLATE + OPEN
    assert "templates and plans stay as they are" in ran.out


FUNCTIONS = """
Parameters:
  Bucket: {Type: String}
Mappings:
  Names:
    prod: {Prefix: labs}
Resources:
  Policy:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      PolicyDocument:
        Version: 2012-10-17
        Statement:
          - Effect: Allow
            Action: s3:GetObject
            Resource:
              - !Sub
                - arn:aws:s3:::${Bucket}/${Prefix}/*
                - Prefix: !FindInMap [Names, prod, Prefix]
              - !Join ["", ["arn:aws:s3:::", !Select [1, !Split [",", "one,two"]], "/*"]]
"""


def test_maps_and_lists_are_read_and_a_parameter_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(FUNCTIONS, "utf-8")

    assert run(["policy", "lint", str(path)]) == 8
    assert "`Fn::Sub` leaves `Resource` open" in capsys.readouterr().out

    assert run(["policy", "lint", "--parameter", "Bucket=mine", str(path)]) == 0
    assert "nothing found" in capsys.readouterr().out

    asked = ["policy", "explain", "s3:GetObject", "--parameter", "Bucket=mine", "--policy"]
    assert run([*asked, str(path), "--resource", "arn:aws:s3:::mine/labs/a"]) == 0
    assert run([*asked, str(path), "--resource", "arn:aws:s3:::two/a"]) == 0
    assert run([*asked, str(path), "--resource", "arn:aws:s3:::mine/other/a"]) != 0


def test_an_audit_reads_a_template_with_its_parameters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(FUNCTIONS, "utf-8")
    others = ["--skip", "expectations", "--skip", "file-drift", "--skip", "promises"]

    assert run(["audit", *others, str(path)]) == 8
    assert "--parameter" in capsys.readouterr().out

    assert run(["audit", *others, "--parameter", "Bucket=mine", str(path)]) == 0


def test_a_parameter_without_a_value_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(FUNCTIONS, "utf-8")

    assert run(["policy", "lint", "--parameter", "Bucket", str(path)]) == 2


GITHUB = "token.actions.githubusercontent.com"
ROLE = f"""\
Parameters:
  Org: {{Type: String}}
Resources:
  R:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement:
          Effect: Allow
          Principal: {{Federated: "arn:aws:iam::111122223333:oidc-provider/{GITHUB}"}}
          Action: sts:AssumeRoleWithWebIdentity
          Condition:
            StringEquals: {{"{GITHUB}:aud": sts.amazonaws.com}}
            StringLike: {{"{GITHUB}:sub": !Sub "SUBJECT"}}
"""


@pytest.mark.parametrize(
    ("subject", "code", "rule"),
    [
        ("repo:${Org}*", 3, "CML522"),
        ("repo:*/${Org}:*", 3, "CML522"),
        ("repo:${Org}/*", 3, "CML523"),
        ("repo:${Org}/app:*", 8, None),
        ("repo:example-org/app:ref:refs/heads/${Org}", 8, None),
    ],
)
def test_what_is_fixed_in_a_subject_is_judged_and_the_open_part_is_named(
    cml_iam: Callable[..., Ran], tmp_path: Path, subject: str, code: int, rule: str | None
) -> None:
    (tmp_path / "t.yaml").write_text(ROLE.replace("SUBJECT", subject))

    ran = cml_iam("policy", "lint", "t.yaml")

    assert ran.code == code
    assert (rule or "nothing found") in ran.out
    assert f"leaves `Condition` open in `{subject.replace('${Org}', '…')}`" in ran.out
