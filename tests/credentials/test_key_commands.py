"""The commands as they are typed, on moto behind the real connection."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from tests.conftest import Ran
from tests.key_ids import key_id

Run = Callable[..., Ran]

SITE = """
[account]
id = "123456789012"
[principal]
"""


@pytest.fixture
def run(cml_iam: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    from moto import mock_aws

    (tmp_path / "cml-iam.toml").write_text(SITE)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    with mock_aws():
        assert cml_iam("bootstrap", "apply", "--yes").code == 0
        yield cml_iam


def stored(path: Path) -> tuple[str, str]:
    values = dict(line.split("=", 1) for line in path.read_text().splitlines() if "AWS_" in line)
    return values["AWS_ACCESS_KEY_ID"], values["AWS_SECRET_ACCESS_KEY"]


def test_the_list_says_that_the_user_does_not_exist(run: Run, tmp_path: Path) -> None:
    site = tmp_path / "cml-iam.toml"
    site.write_text(site.read_text() + 'user = "nobody"\n')

    listed = run("key", "list")

    assert (listed.code, listed.out) == (5, "")
    assert "error: the user `nobody` does not exist" in listed.err
    assert "fix: `cml-iam bootstrap plan`" in listed.err


def test_a_rotation_waits_with_7_and_ends_with_0(run: Run, tmp_path: Path) -> None:
    old, _ = stored(tmp_path / ".env")

    begun = run("key", "rotate", "--yes")
    new, _ = stored(tmp_path / ".env")
    assert begun.code == 7
    assert "observing until" in begun.out
    shown = json.loads(run("key", "status", "-o", "json").out)
    assert (shown["phase"], shown["old"], shown["new"]) == ("observing", old, new)

    assert run("key", "resume", "--overlap", "0").code == 7
    assert "active again" in run("key", "rollback").out
    done = run("key", "resume", "--overlap", "0", "--cool-off", "0")
    assert done.code == 0
    listed = json.loads(run("key", "list", "-o", "json").out)
    assert [(key["id"], key["stored"]) for key in listed["keys"]] == [(new, True)]


def test_rotating_needs_yes_without_a_terminal(run: Run, tmp_path: Path) -> None:
    before = (tmp_path / ".env").read_bytes()

    refused = run("key", "rotate")

    assert refused.code == 2
    assert "--yes" in refused.err
    assert (tmp_path / ".env").read_bytes() == before


def test_a_young_key_is_not_due_and_nothing_happens(run: Run, tmp_path: Path) -> None:
    before = (tmp_path / ".env").read_bytes()

    ran = run("key", "rotate", "--if-due")

    assert (ran.code, ran.out[:14]) == (0, "✔ not due befo")
    assert (tmp_path / ".env").read_bytes() == before
    due = run("key", "rotate", "--if-due", "--max-age", "0", "--overlap", "0", "--cool-off", "0")
    assert due.code == 0
    assert (tmp_path / ".env").read_bytes() != before


def test_the_list_shows_age_use_and_due_date(run: Run) -> None:
    shown = run("key", "list", "--max-age", "0")

    assert shown.code == 0
    assert "0 days" in shown.out
    assert "▲ now" in shown.out


def test_revoking_replaces_the_stored_key(run: Run, tmp_path: Path) -> None:
    old, _ = stored(tmp_path / ".env")

    ran = run("key", "revoke", old, "--yes")

    assert ran.code == 0
    assert stored(tmp_path / ".env")[0] != old
    assert "36 hours" in ran.out


@pytest.mark.parametrize("phase", ["observing", "deactivated"])
def test_revoking_the_new_key_of_a_rotation_replaces_it_and_the_rotation_goes_on(
    run: Run, tmp_path: Path, phase: str
) -> None:
    first, _ = stored(tmp_path / ".env")
    run("key", "rotate", "--yes", *(("--overlap", "0") if phase == "deactivated" else ()))
    leaked, _ = stored(tmp_path / ".env")

    ran = run("key", "revoke", leaked, "--yes")

    assert ran.code == 0, ran.err
    replacement, _ = stored(tmp_path / ".env")
    assert replacement not in (first, leaked)
    assert f"{leaked} is deleted, to make room" in ran.out
    shown = json.loads(run("key", "status", "-o", "json").out)
    assert (shown["phase"], shown["old"], shown["new"]) == (phase, first, replacement)
    assert run("key", "resume", "--overlap", "0", "--cool-off", "0").code == 0
    assert [key["id"] for key in json.loads(run("key", "list", "-o", "json").out)["keys"]] == [
        replacement
    ]


def test_after_a_leak_the_refused_rotation_names_the_command_that_leads_on(
    run: Run, tmp_path: Path
) -> None:
    leaked, _ = stored(tmp_path / ".env")
    run("key", "revoke", leaked, "--yes")
    _use(leaked)

    refused = run("key", "rotate", "--yes")

    assert refused.code == 2
    assert f"`cml-iam key delete {leaked}`" in refused.err
    waiting = run("key", "rotate", "--if-due", "--yes")
    assert waiting.code == 0
    assert f"`cml-iam key delete {leaked}`" in waiting.out
    assert run("key", "delete", leaked, "--yes").code == 0
    assert run("key", "rotate", "--yes").code == 7


def _use(key_id: str) -> None:
    """Have AWS say that the key was used just now."""
    from datetime import UTC, datetime

    from moto.iam.models import AccessKeyLastUsed, iam_backends

    for key in iam_backends["123456789012"]["aws"].access_keys.values():
        if key.access_key_id == key_id:
            key.last_used = AccessKeyLastUsed(datetime.now(UTC), "sts", "us-east-1")


def test_a_key_is_deleted_only_when_it_is_inactive_and_in_no_store(
    run: Run, tmp_path: Path
) -> None:
    key_id, _ = stored(tmp_path / ".env")

    refused = run("key", "delete", key_id, "--yes")

    assert refused.code == 2
    assert f"`cml-iam key revoke {key_id}`" in refused.err
    revoked = run("key", "revoke", key_id, "--yes")
    assert f"`cml-iam key delete {key_id}`" in revoked.out
    assert "--yes" in run("key", "delete", key_id).err
    assert run("key", "delete", key_id, "--yes").code == 0
    assert "not a key of" in run("key", "delete", key_id, "--yes").err


def test_a_key_that_is_inactive_in_the_store_is_pointed_out_everywhere(
    run: Run, tmp_path: Path
) -> None:
    import boto3

    key_id, _ = stored(tmp_path / ".env")
    boto3.client("iam", "us-east-1").update_access_key(
        UserName="cml-cloud-manager-service", AccessKeyId=key_id, Status="Inactive"
    )

    for command in (("key", "status"), ("key", "resume"), ("bootstrap", "status")):
        ran = run(*command)
        assert "is inactive" in ran.out + ran.err, command
        assert "`cml-iam key rotate`" in ran.out + ran.err, command
    assert run("key", "resume").code == 3
    assert run("key", "rotate", "--if-due").code == 7
    assert stored(tmp_path / ".env")[0] != key_id


def test_a_dry_run_says_what_would_be_done_and_does_nothing(run: Run, tmp_path: Path) -> None:
    key_id, _ = stored(tmp_path / ".env")
    before = run("key", "list", "-o", "json").out, (tmp_path / ".env").read_bytes()

    for command, words in (
        (("rotate",), "create a new key"),
        (("resume",), "no rotation is in progress"),
        (("revoke", key_id), f"make `{key_id}` inactive, create a new key"),
    ):
        ran = run("--dry-run", "key", *command)
        assert (ran.code, words in ran.out) == (0, True), ran
    refused = run("key", "delete", key_id, "--dry-run")
    assert refused.code == 2
    assert (run("key", "list", "-o", "json").out, (tmp_path / ".env").read_bytes()) == before


def test_the_key_of_another_user_is_not_overwritten(run: Run, tmp_path: Path) -> None:
    import boto3

    iam = boto3.client("iam", "us-east-1")
    iam.create_user(UserName="other")
    other = iam.create_access_key(UserName="other")["AccessKey"]
    ours, secret = stored(tmp_path / ".env")
    text = (tmp_path / ".env").read_text()
    text = text.replace(ours, other["AccessKeyId"]).replace(secret, other["SecretAccessKey"])
    (tmp_path / ".env").write_text(text)

    for command in (("key", "rotate"), ("bootstrap", "apply")):
        refused = run(*command, "--yes")
        assert refused.code == 2, command
        assert "user/other" in refused.err
        assert "name another store" in refused.err
    assert (tmp_path / ".env").read_text() == text


@pytest.mark.parametrize("span", ["1", "d", "1w", "-1d", "1.5h", "99999d"])
def test_a_length_of_time_that_is_none_is_refused(run: Run, span: str) -> None:
    refused = run("key", "list", f"--max-age={span}")

    assert refused.code == 2
    assert "90s, 15m, 1h or 7d, or 0" in refused.err


def test_a_role_has_no_keys(run: Run, tmp_path: Path) -> None:
    (tmp_path / "cml-iam.toml").write_text(SITE + 'role = "x"\n')

    refused = run("key", "list")

    assert refused.code == 2
    assert "role `x`" in refused.err


def test_no_secret_is_said_by_any_of_them(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = {stored(tmp_path / ".env")[1]}
    said = ""
    for arguments in (
        ("rotate", "--yes", "--overlap", "0", "--debug"),
        ("status", "-o", "json"),
        ("list", "-o", "json"),
        ("rollback",),
        ("resume", "--overlap", "0", "--cool-off", "0"),
        ("rotate", "--yes", "-o", "json", "--overlap", "0", "--cool-off", "0"),
    ):
        ran = run("key", *arguments)
        said += ran.out + ran.err
        secrets.add(stored(tmp_path / ".env")[1])
    said += "\n".join(f"{record.getMessage()} {record.args}" for record in caplog.records)

    assert len(secrets) == 3
    assert not [secret for secret in secrets if secret in said]


@pytest.mark.parametrize(
    "command",
    [("exec", "--", "true"), ("credential-process",), ("print", "--as", "kubernetes")],
    ids=lambda command: command[0],
)
def test_a_key_of_another_account_is_handed_to_nobody(
    cml_iam: Any, tmp_path: Path, command: tuple[str, ...]
) -> None:
    key, secret = key_id("444455556666"), token_hex(20)
    lines = f"AWS_ACCESS_KEY_ID={key}\nAWS_SECRET_ACCESS_KEY={secret}\n"
    (tmp_path / ".env").write_text(lines)
    (tmp_path / ".env").chmod(0o600)
    (tmp_path / "cml-iam.toml").write_text('[account]\nid = "111122223333"\n[principal]\n')

    ran = cml_iam("key", *command[:1], "--from", "env:.env", *command[1:])

    assert ran.code == 2
    assert "belongs to account `444455556666`, but account `111122223333` is expected" in ran.err
    assert secret not in ran.out + ran.err
