"""Exit codes are a contract; and every error says what is wrong, where, and what to do."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cml_iam import errors
from cml_iam.cli import _exit
from cml_iam.cli._exit import MEANING, Exit, exit_code, judged
from tests.conftest import REPOSITORY
from tests.output_schema import problems


def _classes(root: type[errors.CmlIamError]) -> list[type[errors.CmlIamError]]:
    return [root, *(kind_ for child in root.__subclasses__() for kind_ in _classes(child))]


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.CmlIamError, 1),
        (errors.InputError, 2),
        (errors.QuotaError, 2),
        (errors.MissingExtraError, 2),
        (errors.RefusedError, 2),
        (errors.AwsError, 5),
        (errors.DeniedError, 5),
        (errors.UnreachableError, 5),
        (errors.ThrottledError, 5),
        (errors.CredentialsError, 4),
        (errors.IncompleteError, 7),
        (errors.UnsupportedError, 8),
    ],
)
def test_each_class_of_error_has_its_code(kind: type[errors.CmlIamError], code: int) -> None:
    assert exit_code(kind("x")) == code


@pytest.mark.parametrize(
    ("findings", "unchecked", "code"),
    [(False, False, 0), (True, False, 3), (False, True, 8), (True, True, 3)],
)
def test_findings_come_before_what_could_not_be_checked(
    findings: bool, unchecked: bool, code: int
) -> None:
    assert judged(findings=findings, unchecked=unchecked) == code


@pytest.mark.parametrize("name", ["policy_prove", "policy_verify", "audit", "health"])
def test_a_command_that_judges_takes_its_code_from_one_function(name: str) -> None:
    text = (Path(_exit.__file__).parent / f"{name}.py").read_text("utf-8")

    assert "Exit.UNCHECKED" not in text
    assert "Exit.FINDINGS" not in text


def test_every_error_of_the_tree_has_a_code() -> None:
    for kind in _classes(errors.CmlIamError):
        assert exit_code(kind.__new__(kind)) in set(Exit)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = errors.__doc__ or ""

    for kind in _classes(errors.CmlIamError):
        assert kind.__name__ in drawn or kind.__module__ != "cml_iam.errors"


def test_help_explains_every_code(cml_iam: Any) -> None:
    ran = cml_iam("help", "exit-codes")

    assert [int(line.split()[0]) for line in ran.out.splitlines()] == list(Exit) == list(MEANING)


def test_help_prints_topics_and_the_help_of_commands(cml_iam: Any) -> None:
    page = (REPOSITORY / "docs" / "credentials.md").read_text("utf-8")
    credentials = cml_iam("help", "credentials")

    assert credentials.out in page
    assert "exit-codes " in cml_iam("help").out
    assert "Launch a worker called NAME" in cml_iam("help", "worker", "create").out
    assert "Usage: cml-iam worker" in cml_iam("help", "worker").out
    unknown = cml_iam("help", "nonsense")
    assert (unknown.code, "topics: commands, " in unknown.err) == (2, True)


BAD_SITES = {
    "empty": ("", "the document has no `account`"),
    "malformed": ("[account\nid=1", "bad.toml:1:9: expected ']'"),
    "unknown key": ('[account]\nid="111122223333"\n[principal]\nusr="x"', "did you mean `user`?"),
    "wrong type": ("[account]\nid=111122223333\n[principal]", "must be a string"),
    "not text": (b"\xff\xfe\x00", "is not UTF-8 text"),
}


@pytest.mark.parametrize("name", BAD_SITES)
def test_a_bad_site_file_is_usage_with_words(cml_iam: Any, tmp_path: Path, name: str) -> None:
    content, words = BAD_SITES[name]
    (tmp_path / "bad.toml").write_bytes(content if isinstance(content, bytes) else content.encode())

    ran = cml_iam("policy", "render", "--site", "bad.toml")

    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err


BAD_POLICIES = {
    "empty": ("", "base.json:1:1: the document is empty"),
    "malformed": ('{"Version": "2012-10-17",}', "base.json:1:25: a comma before `}`"),
    "no policy": ("[1]", "must be a table of names and values"),
    "unknown element": (
        '{"Statement": {"Effect": "Allow", "Acton": "*", "Resource": "*"}}',
        "did you mean `Action`?",
    ),
}


@pytest.mark.parametrize("name", BAD_POLICIES)
def test_a_bad_policy_file_is_usage_with_its_place(cml_iam: Any, tmp_path: Path, name: str) -> None:
    from tests.site.test_site import EXAMPLE

    content, words = BAD_POLICIES[name]
    (tmp_path / "cml-iam.toml").write_text(EXAMPLE)
    (tmp_path / "base.json").write_text(content)

    ran = cml_iam("policy", "verify", "base.json")

    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err


def test_a_missing_file_is_usage(cml_iam: Any, tmp_path: Path) -> None:
    from tests.site.test_site import EXAMPLE

    (tmp_path / "cml-iam.toml").write_text(EXAMPLE)

    ran = cml_iam("policy", "verify", "nowhere.json")

    assert ran.code == 2
    assert "no such file: `nowhere.json`" in ran.err


def test_an_unknown_command_names_the_closest(cml_iam: Any) -> None:
    ran = cml_iam("polcy")

    assert ran.code == 2
    assert "did you mean `policy`?" in ran.err


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        (("-o", "json"), "text"),
        (("-ojson",), ""),
        (("--output=json",), ""),
        ((), "json"),
    ],
)
def test_errors_are_json_where_the_answer_is(
    cml_iam: Any, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], environment: str
) -> None:
    monkeypatch.setenv("CML_IAM_OUTPUT", environment or "text")
    ran = cml_iam("policy", "verify", *options)

    answer = json.loads(ran.err)
    assert problems("failure", answer) == []
    said = answer["error"]
    assert (said["kind"], said["exit_code"]) == ("InputError", 2)
    assert "cml-iam init" in said["remedy"]


def test_an_option_for_text_comes_before_the_environment(
    cml_iam: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CML_IAM_OUTPUT", "json")

    assert cml_iam("policy", "verify", "-o", "text").err.startswith("error: ")


def test_a_fault_of_our_own_is_code_1_without_a_traceback(
    cml_iam: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("cml_iam.catalogue.load_catalogue", broken)

    ran = cml_iam("policy", "permissions")

    assert ran.code == 1
    assert "internal error: RuntimeError: boom" in ran.err
    assert "Traceback" not in ran.err


def _shell(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = f'cml-iam() {{ {shlex.quote(sys.executable)} -m cml_iam "$@"; }}; {script}'
    return subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True)


def test_a_reader_that_leaves_is_no_fault(tmp_path: Path) -> None:
    reader = "{ exec 0<&-; sleep 1; }"
    ran = _shell(f"set -o pipefail; cml-iam policy permissions | {reader}", tmp_path)

    # And no success either: what the command would have found is not known.
    assert (ran.returncode, ran.stderr) == (141, "")


def test_a_closed_stdout_is_no_fault(tmp_path: Path) -> None:
    assert _shell("cml-iam policy permissions >&-", tmp_path).returncode == 0


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    ran = _shell("cml-iam policy permissions > /dev/full", tmp_path)

    assert "internal error" not in ran.stderr
    assert ran.returncode != 0


def test_an_encoding_without_our_symbols_gets_them_escaped(tmp_path: Path) -> None:
    from tests.site.test_site import EXAMPLE

    (tmp_path / "cml-iam.toml").write_text(EXAMPLE)

    ran = _shell("PYTHONIOENCODING=latin-1 cml-iam policy verify", tmp_path)

    assert ran.returncode == 0
    assert "\\u2714 all" in ran.stdout


def test_a_folder_that_is_not_there_is_usage(cml_iam: Any) -> None:
    ran = cml_iam("--site", "nowhere/cml-iam.toml", "init", "--account", "111122223333")

    assert ran.code == 2
    assert "`nowhere/cml-iam.toml`: No such file" in ran.err


def test_a_policy_iam_would_not_attach_is_not_judged(cml_iam: Any, tmp_path: Path) -> None:
    from tests.site.test_site import EXAMPLE

    (tmp_path / "cml-iam.toml").write_text(EXAMPLE)
    (tmp_path / "p.json").write_text(
        '{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "*"}}'
    )

    for command in (("verify", "p.json"), ("explain", "s3:GetObject", "--policy", "p.json")):
        ran = cml_iam("policy", *command)
        assert ran.code == 2
        assert "p.json:1:35: `Principal` is not allowed in a policy of a user or role" in ran.err
        assert "neither `Resource` nor `NotResource`" in ran.err


@pytest.mark.parametrize("action", ["garbage", "ec2:Stop*", "ec2:", ""])
def test_explain_takes_an_action_only(cml_iam: Any, tmp_path: Path, action: str) -> None:
    (tmp_path / "p.json").write_text(
        '{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}'
    )

    ran = cml_iam("policy", "explain", action, "--policy", "p.json")

    assert ran.code == 2
    assert "not an action" in ran.err
