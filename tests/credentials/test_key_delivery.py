"""The commands that hand a key over, on moto behind the real connection."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, Ran
from tests.credentials.test_key_commands import SITE, stored

Run = Callable[..., Ran]


@pytest.fixture
def run(cml_iam: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    from moto import mock_aws

    (tmp_path / "cml-iam.toml").write_text(SITE)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    with mock_aws():
        assert cml_iam("bootstrap", "apply", "--yes").code == 0
        yield cml_iam


ALL = (
    "profile:cml",
    "k8s:secret.yaml#prod/aws",
    "secretsmanager:prod/cml",
    "ssm:/prod/cml",
)


def to(*stores: str) -> list[str]:
    return [word for store in stores for word in ("--to", store)]


def test_one_key_goes_to_every_store_and_is_listed_there(run: Run, tmp_path: Path) -> None:
    key_id, secret = stored(tmp_path / ".env")

    ran = run("key", "deliver", *to(*ALL), "--yes")

    assert ran.code == 0, ran.err
    assert secret not in ran.out + ran.err
    assert "kubectl apply --server-side" in ran.out
    listed = json.loads(run("key", "list", *to("env:.env", *ALL), "-o", "json").out)
    assert set(listed["stores"].values()) == {key_id}
    assert len(listed["keys"][0]["stores"]) == 5
    again = run("key", "deliver", *to(*ALL), "--yes")
    assert "nothing to do" in again.out
    assert not list(tmp_path.rglob(".cml-iam"))


def test_a_dry_run_changes_nothing(run: Run, tmp_path: Path) -> None:
    ran = run("key", "deliver", *to("profile:cml"), "--dry-run")

    assert ran.code == 0
    assert "would put" in ran.out
    assert not (tmp_path / "no-aws-credentials").exists()


def test_without_a_key_anywhere_one_is_made_for_the_stores_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / ".env").unlink()

    ran = run("key", "deliver", *to("ssm:/prod/cml"), "--yes", "-o", "json")

    assert json.loads(ran.out)["action"] == "create"
    assert not (tmp_path / ".env").exists()
    handed = run("key", "credential-process", "--from", "ssm:/prod/cml")
    assert json.loads(handed.out)["AccessKeyId"] == json.loads(ran.out)["key_id"]


def test_several_stores_are_rotated_together(run: Run, tmp_path: Path) -> None:
    run("key", "deliver", *to(*ALL), "--yes")
    old, _ = stored(tmp_path / ".env")
    stores = to("env:.env", *ALL)

    done = run("key", "rotate", *stores, "--yes", "--overlap", "0", "--cool-off", "0")

    assert done.code == 0, done.err
    listed = json.loads(run("key", "list", *stores, "-o", "json").out)
    assert [key["stored"] for key in listed["keys"]] == [True]
    assert listed["stored_id"] not in (None, old)
    assert "restarted" in done.err
    assert not list(tmp_path.rglob(".cml-iam"))


def test_a_store_left_out_keeps_the_old_key_from_being_taken_away(run: Run, tmp_path: Path) -> None:
    run("key", "deliver", *to("profile:cml"), "--yes")
    run("key", "rotate", "--yes")

    refused = run("key", "resume", *to("env:.env", "profile:cml"), "--overlap", "0")

    assert refused.code == 2
    assert "still has the old key" in refused.err
    run("key", "deliver", "--from", "env:.env", *to("profile:cml"), "--yes")
    assert run("key", "resume", *to("env:.env", "profile:cml"), "--overlap", "0").code == 7


def test_a_key_over_its_age_is_pointed_out(run: Run) -> None:
    assert "0 days old; the maximum is 0" in run("key", "list", "--max-age", "0").out


# the key for another program


def test_a_command_gets_the_key_in_its_environment_alone(run: Run, tmp_path: Path) -> None:
    key_id, secret = stored(tmp_path / ".env")
    child = "import os; print(os.environ['AWS_ACCESS_KEY_ID'], sorted(os.environ), os.sys.argv)"
    environment = {**os.environ, "AWS_PROFILE": "x", "AWS_SESSION_TOKEN": "y"}

    ran = subprocess.run(
        [sys.executable, "-m", "cml_iam", "key", "exec", "--", sys.executable, "-c", child],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(key_id)
    assert "AWS_PROFILE" not in ran.stdout
    assert "AWS_SESSION_TOKEN" not in ran.stdout
    assert secret not in ran.stdout + ran.stderr


def test_the_commands_exit_code_is_the_answer(tmp_path: Path, run: Run) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "cml_iam", "key", "exec", "--", "sh", "-c", "exit 42"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )

    assert ran.returncode == 42
    assert run("key", "exec", "--", "no-such-command").code == 2


def test_credential_process_answers_as_the_sdk_asks(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore.session import Session

    key_id, secret = stored(tmp_path / ".env")
    command = f"{sys.executable} -m cml_iam key credential-process --from env:{tmp_path}/.env"
    (tmp_path / "config").write_text(f"[profile cml]\ncredential_process = {command}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    found = Session(profile="cml").get_credentials()

    assert (found.access_key, found.secret_key) == (key_id, secret)
    assert found._expiry_time is not None


def test_a_shell_gets_the_key_only_when_asked_for_it_plainly(run: Run, tmp_path: Path) -> None:
    _, secret = stored(tmp_path / ".env")

    refused = run("key", "print", "--as", "export")
    assert (refused.code, refused.out) == (2, "")
    assert secret in run("key", "print", "--as", "export", "--unsafe-stdout").out


def test_a_manifest_is_piped_but_not_shown_on_a_terminal(run: Run, tmp_path: Path) -> None:
    made = run("key", "print", "--as", "kubernetes", "--name", "aws", "--namespace", "prod")
    assert made.out.startswith("# Written by cml-iam")
    assert made.err == ""

    ours, theirs = pty.openpty()
    shown = subprocess.run(
        [sys.executable, "-m", "cml_iam", "key", "print", "--as", "kubernetes"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=theirs,
        stderr=subprocess.PIPE,
    )
    os.close(theirs)
    os.close(ours)
    assert shown.returncode == 2
    assert b"secret" in shown.stderr


@pytest.mark.parametrize("command", ["credential-process", "exec"])
def test_a_store_without_a_key_is_said_to_be_so(run: Run, tmp_path: Path, command: str) -> None:
    (tmp_path / ".env").unlink()
    rest = ["--", "true"] if command == "exec" else []

    ran = run("key", command, *rest)

    assert ran.code == 2
    assert "has no access key" in ran.err


def test_delivering_needs_a_store_and_a_yes(run: Run) -> None:
    assert "--to STORE" in run("key", "deliver", "--yes").err
    assert "--yes" in run("key", "deliver", *to("profile:cml")).err
    assert "write one of" in run("key", "deliver", *to("vault:x"), "--yes").err
