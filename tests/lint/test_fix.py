"""Corrections: only what is proved safe is written, and nothing else is touched."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cml_iam.cli._main import run
from cml_iam.lint import KINDS, fix_text, is_complete, lint_text
from cml_iam.lint._corrections import certain
from cml_iam.lint._finding import Edit, apply_edits
from cml_iam.policy import parse_policy
from fuzz.lint_mutants import mutant, parsed, policies
from tests.lint.documents import CASES, EXAMPLES, documents, kind_of

if TYPE_CHECKING:
    from pathlib import Path

BAD = [pytest.param(path, id=path.name) for path in documents("bad")]


def check(text: str, kind: str) -> None:
    """Hold what must hold of every fixed text."""
    before = lint_text(text, "p", kind=kind)
    fixed = fix_text(text, "p", kind=kind)

    assert fixed.left == lint_text(fixed.text, "p", kind=kind)
    again = fix_text(fixed.text, "p", kind=kind)
    assert (again.text, again.applied) == (fixed.text, ())
    assert bool(fixed.applied) == (fixed.text != text)
    if is_complete(before, "p"):
        parse_policy(fixed.text)
        assert Counter((f.rule, f.statement) for f in fixed.left) <= Counter(
            (f.rule, f.statement) for f in before
        )


@pytest.mark.parametrize("path", BAD)
def test_what_is_left_was_found_before_and_a_second_run_fixes_nothing(path: Path) -> None:
    check(path.read_text("utf-8"), kind_of(path))


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from(KINDS))
def test_the_same_holds_for_mutated_policies(seed: int, kind: str) -> None:
    check(mutant(random.Random(seed), parsed(policies())), kind)  # noqa: S311 - repeatable


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("CML106-variables-version/bad-condition.json", "2008-10-17", "2012-10-17"),
        ("CML302-key-not-of-action/bad-negated.json", "ec2:Region", "aws:RequestedRegion"),
        ("CML304-needs-any-resource/bad-deny.json", "arn:aws:ec2:*:*:instance/*", "*"),
        (
            "CML502-bad.json",
            "ForAllValues:StringNotEquals",
            "ForAllValues:StringNotEqualsIgnoreCase",
        ),
    ],
)
def test_a_name_is_replaced_where_it_stands(path: str, old: str, new: str) -> None:
    text = ((CASES if "/" in path else EXAMPLES) / path).read_text("utf-8")
    fixed = fix_text(text)

    assert new in fixed.text
    start = text.index(old)
    assert fixed.text[:start] == text[:start]
    end = text[start + len(old) :].rstrip()[-20:]
    assert fixed.text.rstrip().endswith(end)


INSTANCES = "arn:aws:ec2:*:111122223333:instance/*"
MANAGED = {"StringEquals": {"aws:RequestTag/ManagedBy": "cml-cloud-manager"}}
GATED = {"StringEquals": {"aws:ResourceTag/ManagedBy": "cml-cloud-manager"}}


def document(*statements: dict) -> str:
    whole = [{"Effect": "Allow", "Resource": "*", **statement} for statement in statements]
    return json.dumps({"Version": "2012-10-17", "Statement": whole})


@pytest.mark.parametrize(
    ("text", "rule", "why"),
    [
        pytest.param(
            document(
                {"Action": "ec2:CreateTags", "Resource": INSTANCES, "Condition": MANAGED},
                {"Action": "ec2:TerminateInstances", "Condition": GATED},
            ),
            "CML501",
            "the statement `statement 1` would no longer match anything for ec2:CreateTags",
            id="a guard would destroy the grant to tag on create",
        ),
        pytest.param(
            document({"Action": "s3:ListBuckets"}),
            "CML201",
            "this is the nearest spelling, which may not be the intended one",
            id="the nearest action is another permission",
        ),
        pytest.param(
            document({"Action": "ec2:DescribeInstances", "Resource": INSTANCES}),
            "CML304",
            "it would allow ec2:DescribeInstances on *, which is not allowed now",
            id="another resource would be a wider grant",
        ),
        pytest.param(
            document(
                {"Action": "ec2:DescribeInstances"},
                {"Effect": "Deny", "Action": "ec2:DescribeInstances", "Resource": INSTANCES},
            ),
            "CML304",
            "it would no longer allow ec2:DescribeInstances on *",
            id="a Deny that begins to work takes from another grant",
        ),
        pytest.param(
            document(
                {
                    "Action": "ec2:RunInstances",
                    "Resource": INSTANCES,
                    "Condition": {"StringEquals": {"ec2:InstanceType": "c5.*"}},
                }
            ),
            "CML205",
            "it would allow ec2:RunInstances on",
            id="a wildcard that begins to work allows more",
        ),
    ],
)
def test_what_is_not_proved_safe_is_left_and_the_reason_given(
    text: str, rule: str, why: str
) -> None:
    fixed = fix_text(text)

    assert rule not in {finding.rule for finding in fixed.applied}
    [reason] = [suggestion.why for suggestion in fixed.suggested if suggestion.finding.rule == rule]
    assert reason.startswith(why)
    assert all(suggestion.finding in fixed.left for suggestion in fixed.suggested)


def test_a_resource_is_replaced_where_that_is_proved_to_change_nothing() -> None:
    text = document({"Effect": "Deny", "Action": "ec2:DescribeInstances", "Resource": INSTANCES})

    assert "CML304" in {finding.rule for finding in fix_text(text).applied}


SPACED = """{ "Version":"2012-10-17",
\t"Statement": [{"Effect":"Allow",  "Action":["ec2:CreateTags"], "Resource":
\t\t"arn:aws:ec2:*:*:instance/*" },
\t{"Effect": "Allow", "Action": "ec2:StopInstances", "Resource": "arn:aws:ec2:*:*:instance/*",
\t "Condition": {"StringEquals": {"aws:ResourceTag/Owner": "cml"}}}]
}
"""


def test_a_guard_of_tags_is_put_in_and_the_layout_around_it_stays() -> None:
    fixed = fix_text(SPACED)

    assert [finding.rule for finding in fixed.applied] == ["CML501"]
    assert [finding.rule for finding in fixed.left] == []
    put_in = fixed.text[fixed.text.index(', "Condition": {') : fixed.text.index(" },\n\t{")]
    assert fixed.text.replace(put_in, "", 1) == SPACED
    [condition] = [
        statement["Condition"]
        for statement in json.loads(fixed.text)["Statement"]
        if statement["Action"] == ["ec2:CreateTags"]
    ]
    assert condition == {
        "ForAllValues:StringNotEqualsIgnoreCase": {"aws:TagKeys": ["Owner"]},
        "Null": {"aws:TagKeys": "false"},
    }


def test_a_launch_is_completed_within_the_regions_of_its_instances() -> None:
    statement = {
        "Effect": "Allow",
        "Action": "ec2:RunInstances",
        "Resource": "arn:aws-cn:ec2:*:111122223333:instance/*",
        "Condition": {"StringEquals": {"aws:RequestedRegion": ["cn-north-1"]}},
    }
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=4)

    first, added = json.loads(fix_text(text).text)["Statement"]

    assert first == statement
    assert added["Condition"] == statement["Condition"]
    assert added["Resource"] == [
        "arn:aws-cn:ec2:*::image/*",
        "arn:aws-cn:ec2:*:111122223333:network-interface/*",
        "arn:aws-cn:ec2:*:111122223333:security-group/*",
        "arn:aws-cn:ec2:*:111122223333:subnet/*",
        "arn:aws-cn:ec2:*:111122223333:volume/*",
    ]


def test_misspelt_elements_and_effects_are_fixed_though_nothing_else_could_be_judged() -> None:
    text = (
        '{"Verison": "2012-10-17", "Statement": '
        '{"Efect": "allow", "Action": "ec2:DescribeImages", "Resource": "*"}}'
    )

    fixed = fix_text(text)

    assert fixed.text == text.replace("Verison", "Version").replace("Efect", "Effect").replace(
        "allow", "Allow"
    )
    assert fixed.left == ()


@pytest.mark.parametrize(
    ("element", "value"),
    [
        ("Action", "ec2:DescribeImagesAndMore"),  # like none
        ("Action", "ec2:Describe*Imges"),  # a wildcard
        ("Action", "s3:GetObjectTags"),  # like several
        ("Action", "ec3:DescribeImages"),  # a service, not an action
        ("Condition", {"StringEquals": {"aws:Principal": "x"}}),
        ("Condition", {"StringSame": {"aws:username": "x"}}),
        ("Condition", {"StringEqual": {"aws:username": "x"}, "StringEquals": {"aws:userid": "y"}}),
        ("Condition", {"StringEquals": {"ec2:InstanceType": "c5.*", "aws:RequestTag/a": "*"}}),
    ],
)
def test_what_is_not_certain_is_left(element: str, value: object) -> None:
    statement = {"Effect": "Allow", "Action": "ec2:RunInstances", "Resource": "*", element: value}
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})

    rules = {finding.rule for finding in fix_text(text).applied}

    assert not rules & {"CML201", "CML202", "CML203", "CML205"}


def test_a_guard_that_would_keep_a_launch_from_tagging_is_not_certain() -> None:
    text = (CASES / "CML501-tag-gate-open/bad-spec-replacing-base.json").read_text()

    assert "CML501" not in {finding.rule for finding in fix_text(text).applied}


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("runinstances", ["RunInstances", "RunScheduledInstances"], "RunInstances"),
        ("RunInstance", ["RunInstances", "StopInstances"], "RunInstances"),
        ("GetObjectTags", ["GetObjectTagging", "GetObjectAcl"], None),
        ("abcdefghijx", ["abcdefghijk", "abcdefghijl"], None),  # as like the one as the other
        ("Verison", ["Version", "Id"], "Version"),
        ("", ["a"], None),
    ],
)
def test_a_word_is_certain_when_one_is_like_it_and_no_other(
    word: str, known: list[str], meant: str | None
) -> None:
    assert certain(word, known) == meant


@pytest.mark.parametrize(
    ("text", "edit", "after"),
    [
        ("{}", Edit("add", (), "a", 1), '{"a": 1}'),
        ('{ "b":2 }', Edit("add", (), "a", 1), '{ "b":2, "a": 1 }'),
        ('{"b":2}', Edit("begin", (), "a", 1), '{"a": 1, "b":2}'),
        ("[1,2]", Edit("append", (), value=3), "[1,2, 3]"),
        ("[]", Edit("append", (), value=3), "[3]"),
        ('{"b": [1, "x"]}', Edit("replace", ("b", 1), value="y"), '{"b": [1, "y"]}'),
        ('{"b" : 1}', Edit("rename", ("b",), "c"), '{"c" : 1}'),
        ('{\r\n  "b": 1\r\n}', Edit("add", (), "a", {"c": 1}), None),
        ('\ufeff{"b": 1}', Edit("rename", ("b",), "c"), '\ufeff{"c": 1}'),
    ],
)
def test_an_edit_changes_its_place_only(text: str, edit: Edit, after: str | None) -> None:
    if after is None:
        after = '{\r\n  "b": 1,\r\n  "a": {\r\n    "c": 1\r\n  }\r\n}'

    assert apply_edits(text, (edit,)) == after


def test_the_command_writes_the_file_and_keeps_its_mode(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "p.json"
    path.write_bytes((EXAMPLES / "CML502-bad.json").read_bytes())
    path.chmod(0o640)
    link = tmp_path / "link.json"
    link.symlink_to(path)

    assert run(["policy", "lint", str(link)]) == 3
    assert "suggestion (`--fix` writes it if it is proved safe):" in capsys.readouterr().out
    assert run(["policy", "lint", "--fix", str(link)]) == 0

    out = capsys.readouterr().out
    assert "corrected CML502 tag-gate-case" in out
    assert "nothing found" in out
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert {path.name for path in tmp_path.iterdir()} == {"p.json", "link.json"}
    assert run(["policy", "lint", "--fix", str(link), "-o", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["fixed"], answer["not_fixed"]) == ([], [])


def test_the_command_says_why_it_leaves_a_file_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "p.json"
    path.write_text(document({"Action": "s3:ListBuckets"}))
    before = path.read_bytes()

    assert run(["policy", "lint", "--fix", str(path)]) == 3

    out = capsys.readouterr().out
    assert "not corrected CML201 unknown-action: this is the nearest spelling" in out
    assert "suggestion (check that this is intended):" in out
    assert path.read_bytes() == before
    run(["policy", "lint", "--fix", str(path), "-o", "json"])
    [left] = json.loads(capsys.readouterr().out)["not_fixed"]
    assert (left["rule"], left["correction"]) == ("CML201", "guess")


def test_a_file_without_corrections_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_bytes((EXAMPLES / "CML306-bad.json").read_bytes())
    before = path.stat()

    assert run(["policy", "lint", "--fix", str(path)]) == 3

    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_json_has_the_corrected_statement(capsys: pytest.CaptureFixture[str]) -> None:
    run(["policy", "lint", "-o", "json", str(EXAMPLES / "CML502-bad.json")])

    [finding] = json.loads(capsys.readouterr().out)["findings"]

    assert finding["corrected"]["Condition"] == {
        "ForAllValues:StringNotEqualsIgnoreCase": {"aws:TagKeys": ["ManagedBy"]},
        "Null": {"aws:TagKeys": "false"},
    }


def test_stdin_cannot_be_fixed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["policy", "lint", "--fix", "-"]) == 2
    assert "--fix writes to files" in capsys.readouterr().err
