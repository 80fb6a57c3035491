"""The commands as they are typed, on moto behind the real connection."""

from __future__ import annotations

import base64
import json
import logging
import os
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Ran

Run = Callable[..., Ran]

SITE = """
[account]
id = "123456789012"
[principal]
[restrict]
regions = ["us-east-1"]
"""


@pytest.fixture
def run(cml_iam: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    from moto import mock_aws

    (tmp_path / "cml-iam.toml").write_text(SITE)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    with mock_aws():
        yield cml_iam


def secret_of(path: Path) -> str:
    (line,) = [each for each in path.read_text().splitlines() if "SECRET_ACCESS_KEY" in each]
    return line.partition("=")[2]


def test_plan_tells_of_changes_by_its_exit_code(run: Run) -> None:
    planned = run("bootstrap", "plan")
    assert planned.code == 6
    assert "plan: 4 to create, 0 to change, 0 unchanged" in planned.out
    assert run("bootstrap", "apply", "--yes").code == 0
    again = run("bootstrap", "plan")
    assert again.code == 0
    assert "nothing to do: 6 unchanged" in again.out


def test_identity_and_account_stand_before_everything_else(run: Run) -> None:
    lines = run("bootstrap", "plan").out.splitlines()

    assert lines[0] == "account    123456789012"
    assert lines[1].startswith("acting as  arn:aws:")


def test_apply_without_a_terminal_needs_yes(run: Run, tmp_path: Path) -> None:
    refused = run("bootstrap", "apply")

    assert refused.code == 2
    assert "--yes" in refused.err
    assert not (tmp_path / ".env").exists()


def test_a_dry_run_changes_nothing_and_exits_as_plan_does(run: Run, tmp_path: Path) -> None:
    assert run("bootstrap", "apply", "--dry-run").code == run("bootstrap", "plan").code == 6
    assert not (tmp_path / ".env").exists()

    run("bootstrap", "apply", "--yes")

    assert run("bootstrap", "apply", "--dry-run").code == run("bootstrap", "plan").code == 0


@pytest.mark.parametrize("command", ["apply", "adopt"])
@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_the_plan_is_the_answer_of_a_dry_run(
    run: Run, command: str, quiet: tuple[str, ...]
) -> None:
    run("bootstrap", "apply", "--yes", "--no-key")

    dry = run("bootstrap", command, "--dry-run", *quiet)

    assert dry.code == (6 if command == "apply" else 0)
    assert dry.out.startswith("account    123456789012\n")
    assert "account" not in dry.err


def test_reading_only_refuses_to_apply_and_leaves_nothing(run: Run, tmp_path: Path) -> None:
    refused = run("bootstrap", "apply", "--yes", "--read-only")

    assert refused.code == 2
    assert [each.name for each in tmp_path.iterdir()] == ["cml-iam.toml"]


def test_the_wrong_account_is_refused_with_a_remedy(run: Run, tmp_path: Path) -> None:
    (tmp_path / "cml-iam.toml").write_text(SITE.replace("123456789012", "999999999999"))

    refused = run("bootstrap", "apply", "--yes")

    assert refused.code == 2
    assert "`123456789012`" in refused.err
    assert "--profile" in refused.err
    assert run("bootstrap", "plan", "--expect-account", "999999999999").code == 2


def test_the_file_goes_where_it_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "deploy").mkdir()

    done = run("bootstrap", "apply", "--yes", "--env-file", "deploy/prod.env", "-o", "json")

    assert json.loads(done.out)["store"] == str(tmp_path / "deploy" / "prod.env")
    assert (tmp_path / "deploy" / "prod.env").stat().st_mode & 0o777 == 0o600


def test_status_shows_the_key_and_what_differs(run: Run) -> None:
    before = run("bootstrap", "status")
    assert before.code == 0
    assert "missing" in before.out
    run("bootstrap", "apply", "--yes")

    after = json.loads(run("bootstrap", "status", "-o", "json").out)

    assert {step["mark"] for step in after["steps"]} == {"keep"}
    assert [key["stored"] for key in after["keys"]] == [True]
    assert after["stored_id"] == after["keys"][0]["id"]
    assert not after["stale"]


def test_another_policy_is_a_change_shown_by_statement(run: Run) -> None:
    run("bootstrap", "apply", "--yes")

    planned = run("bootstrap", "plan", "--document", "base")

    assert "+ EC2InstanceManagement: Allow ec2:RunInstances" in planned.out
    assert "v1, the current version, is kept for rollback" in planned.out


def test_drift_tells_by_its_exit_code(run: Run) -> None:
    assert run("bootstrap", "drift").code == 6
    run("bootstrap", "apply", "--yes", "--no-key")

    same = run("bootstrap", "drift")
    other = run("bootstrap", "drift", "--document", "base", "-o", "json")

    assert same.code == 0
    assert "matches the site file" in same.out
    assert other.code == 6
    assert json.loads(other.out)["differs"] is True


def test_a_saved_plan_is_done_or_refused(run: Run, tmp_path: Path) -> None:
    saved = run("bootstrap", "plan", "--tag", "a=b", "--save", "plan.json")
    assert saved.code == 6
    assert (tmp_path / "plan.json").stat().st_mode & 0o777 == 0o600

    mixed = run("bootstrap", "apply", "plan.json", "--yes", "--tag", "c=d")
    done = run("bootstrap", "apply", "plan.json", "--yes")
    again = run("bootstrap", "apply", "plan.json", "--yes")

    assert (mixed.code, done.code, again.code) == (2, 0, 2)
    assert "`--tags`" in mixed.err
    assert "is stale: the account has changed" in again.err
    assert "a=b" in (tmp_path / "plan.json").read_text()
    assert secret_of(tmp_path / ".env") not in (tmp_path / "plan.json").read_text()


def test_a_saved_plan_of_another_site_is_refused(run: Run, tmp_path: Path) -> None:
    run("bootstrap", "plan", "--save", "plan.json")
    (tmp_path / "cml-iam.toml").write_text(
        SITE + '[restrict.images]\nus-east-1 = ["ami-0a1b2c3d4e5f60001"]\n'
    )

    refused = run("bootstrap", "apply", "plan.json", "--yes")

    assert refused.code == 2
    assert "the site has changed" in refused.err


def test_boundary_and_guard_of_the_site_are_made_and_put_on(run: Run) -> None:
    done = run("bootstrap", "apply", "--yes", "--no-key", "--boundary", "--guard")
    again = run("bootstrap", "plan", "--boundary", "--guard", "--no-key")

    assert done.code == 0, done.err
    assert "policy: CMLWorkerBoundary" in done.err
    assert "attachment: CMLWorkerGuard to" in done.err
    assert run("bootstrap", "plan", "--boundary", "nonsense").code == 2
    # moto forgets a user's boundary, so that putting it on is pending for ever
    assert again.code == 6
    assert "1 to change" in again.out


def test_only_makes_that_and_nothing_else(run: Run) -> None:
    planned = run("bootstrap", "plan", "--only", "boundary", "--only", "guard", "-o", "json")

    steps = json.loads(planned.out)["steps"]
    assert [step["name"] for step in steps] == ["CMLWorkerBoundary", "CMLWorkerGuard"]


def test_a_user_is_trusted_by_nobody(run: Run) -> None:
    refused = run("bootstrap", "plan", "--trust", "ecs")

    assert refused.code == 2
    assert "--trust needs a role" in refused.err


def test_adopt_tags_and_shows_what_apply_would_do(run: Run) -> None:
    assert run("bootstrap", "adopt", "--yes").code == 2
    run("bootstrap", "apply", "--yes", "--no-key")

    adopted = run("bootstrap", "adopt", "--yes", "--tag", "team=net", "--document", "base")

    assert adopted.code == 0
    assert "not part of this plan; apply would later" in adopted.err
    assert "2 done" in adopted.out


def test_after_a_rollback_the_former_policy_is_in_force(run: Run) -> None:
    run("bootstrap", "apply", "--yes")
    assert run("bootstrap", "rollback", "--yes").code == 2
    run("bootstrap", "apply", "--yes", "--document", "base")

    assert run("bootstrap", "rollback", "--yes").code == 0
    assert run("bootstrap", "drift").code == 0


def test_a_tag_that_is_none_is_refused(run: Run) -> None:
    refused = run("bootstrap", "plan", "--tag", "nothing")

    assert refused.code == 2
    assert "KEY=VALUE" in refused.err


def test_the_secret_is_in_the_file_and_nowhere_else(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said = ""
    for arguments in (
        ("plan", "-o", "json"),
        ("apply", "--yes", "--debug"),
        ("apply", "--yes", "-o", "json", "--tag", "a=b"),
        ("plan", "-o", "json"),
        ("status", "-o", "json"),
        ("status",),
    ):
        ran = run("bootstrap", *arguments)
        said += ran.out + ran.err
    said += "\n".join(f"{record.getMessage()} {record.args}" for record in caplog.records)

    secret = secret_of(tmp_path / ".env")
    forms = {
        secret,
        urllib.parse.quote(secret, safe=""),
        json.dumps(secret)[1:-1],
        base64.b64encode(secret.encode()).decode(),
    }
    assert len(secret) == 40
    assert not [form for form in forms if form in said]
    holders = [p for p in tmp_path.rglob("*") if p.is_file() and secret in p.read_text()]
    assert holders == [tmp_path / ".env"]
    assert secret not in str(dict(os.environ))


def test_no_secret_is_in_the_error_when_storing_fails(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cml_iam.credentials import EnvFile

    seen: list[str] = []
    real = EnvFile.stage

    def stage(self: EnvFile, key: Any) -> None:
        seen.append(key.secret.reveal())
        write = os.write
        monkeypatch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
        try:
            real(self, key)
        finally:
            monkeypatch.setattr(os, "write", write)

    monkeypatch.setattr(EnvFile, "stage", stage)
    failed = run("bootstrap", "apply", "--yes", "--debug")

    assert failed.code == 2
    assert "no space left" in failed.err
    assert seen[0] not in failed.out + failed.err
    assert not (tmp_path / ".env").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "is not a plan"),
        ('{"format": ' + "1" * 100_000 + "}", "is not a plan"),
        (
            '{"format": "cml-iam plan 1", "options": {"pathh": 1}, "plan": {}}',
            "has unknown options",
        ),
        (
            '{"format": "cml-iam plan 1", "options": {"to": 7}, "plan": {}}',
            "has unknown options",
        ),
        (
            '{"format": "cml-iam plan 1", "options": {"trust": "all"}, "plan": {}}',
            "has unknown options",
        ),
    ],
    ids=["nested", "digits", "name", "kind", "choice"],
)
def test_a_file_that_is_no_plan_is_wrong_input(
    run: Run, tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "plan.json").write_text(text)

    refused = run("bootstrap", "apply", "plan.json", "--yes")

    assert refused.code == 2, refused.err
    assert said in refused.err


def test_a_plan_in_colour_shows_what_comes_and_what_goes(run: Run) -> None:
    planned = run("bootstrap", "plan", "--color", "always")

    assert "\x1b[32m+ create" in planned.out
    assert "\x1b[31m" not in run("policy", "verify", "--color", "always").out.split("✖")[0]
