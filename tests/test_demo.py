"""The demo is the main job: it runs by itself, reads plainly, and says when something is off."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cml_iam.cli import _demo

pytestmark = pytest.mark.long


def _run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cml_iam", "demo", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=os.environ)


def test_the_demo_runs_the_main_job_and_is_plain_when_piped(tmp_path: Path) -> None:
    ran = _run(folder=tmp_path)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "checks have the expected result" in ran.stdout
    assert ran.stdout.endswith(
        "Next, with your own account:\n"
        "  cml-iam init, cml-iam policy verify, cml-iam bootstrap plan\n"
    )
    assert ran.stdout.count("UnauthorizedOperation") == 5
    assert "\x1b" not in ran.stdout + ran.stderr
    assert "✖" not in ran.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_demo_keeps_its_files_when_told_and_its_secret_to_itself(tmp_path: Path) -> None:
    ran = _run("--keep", "kept", folder=tmp_path)

    lines = (tmp_path / "kept" / ".env").read_text().splitlines()
    (secret,) = [line.split("=", 1)[1] for line in lines if "SECRET" in line]
    assert ran.returncode == 0
    assert (tmp_path / "kept" / ".env").stat().st_mode & 0o777 == 0o600
    assert len(secret) >= 30
    assert secret not in ran.stdout + ran.stderr


def test_without_the_sandbox_extra_no_act_begins(
    cml_iam: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cml_iam.sandbox._moto.find_spec", lambda _: None)

    ran = cml_iam("demo")

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: the sandbox needs ")


def test_a_policy_that_forbids_nothing_is_noticed(
    cml_iam: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the base policy in place of the hardened one the forbidden attempts succeed."""
    real = _demo.render_policy
    monkeypatch.setattr(_demo, "render_policy", lambda site, profile="base": real(site, "base"))

    ran = cml_iam("demo", "-o", "json")

    wrong = [check["text"] for check in json.loads(ran.out)["checks"] if not check["ok"]]
    assert ran.code == 3
    assert "launch another type: ALLOWED" in wrong
    assert "terminate another team's instance: ALLOWED" in wrong
