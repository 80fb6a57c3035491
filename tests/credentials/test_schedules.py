"""docs/key-schedules.md: each snippet is run, or read back, by what it is written for."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import needs

PAGE = (Path(__file__).parents[2] / "docs" / "key-schedules.md").read_text("utf-8")
WORDS = ["key", "rotate", "--if-due", "--yes"]
PROGRAM, FOLDER = "/opt/cml-iam/bin/cml-iam", "/srv/cml"


def snippet(heading: str, number: int = 0) -> str:
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"```\w+\n(.*?)```\n", section, re.DOTALL)[number]


def loaded(heading: str) -> Any:
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load(snippet(heading))


def run_by_shell(script: str, folder: Path, code: int = 0) -> tuple[int, list[str]]:
    """Run *script* with a program in the place of cml-iam that ends with *code*; its words too."""
    program = folder / "bin" / "cml-iam"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{folder}/words\nexit {code}\n')
    program.chmod(0o755)
    script = script.replace(PROGRAM, str(program)).replace(FOLDER, str(folder))
    path = {"PATH": f"{program.parent}:{os.environ['PATH']}"}
    ran = subprocess.run(["sh", "-c", script], env=path, capture_output=True)
    return ran.returncode, (folder / "words").read_text().splitlines()


@pytest.mark.parametrize(("code", "ends"), [(0, 0), (7, 0), (2, 1), (3, 1)])
def test_the_crontab_rotates_and_waiting_is_no_failure(
    tmp_path: Path, code: int, ends: int
) -> None:
    command = snippet("cron").splitlines()[-1].removeprefix("17 3 * * * ")

    assert run_by_shell(command, tmp_path, code) == (ends, [*WORDS, "--quiet"])
    assert "%" not in command


@pytest.mark.parametrize(("code", "ends"), [(0, 0), (7, 0), (2, 1), (3, 1)])
def test_the_cron_job_rotates_and_waiting_is_no_failure(
    tmp_path: Path, code: int, ends: int
) -> None:
    made = loaded("Kubernetes")
    (container,) = made["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]

    assert container["command"][:2] == ["sh", "-c"]
    ended = run_by_shell(container["command"][2], tmp_path, code)
    assert ended == (ends, [*WORDS, "--to", "ssm:/cml/manager-key"])
    assert made["spec"]["concurrencyPolicy"] == "Forbid"


@pytest.mark.parametrize(("code", "ends"), [(0, 0), (7, 0), (2, 1), (3, 1)])
def test_the_workflow_rotates_and_waiting_is_no_failure(
    tmp_path: Path, code: int, ends: int
) -> None:
    made = loaded("GitHub Actions")

    ended = run_by_shell(made["jobs"]["rotate"]["steps"][-1]["run"], tmp_path, code)
    assert ended == (ends, [*WORDS, "--to", "secretsmanager:cml/manager-key"])
    assert made[True]["schedule"] == [{"cron": "17 3 * * *"}]  # `on` is a word of YAML 1.1
    assert made["permissions"] == {"id-token": "write", "contents": "read"}


def test_the_workflow_with_the_role_runs_nobodys_code_but_the_commit_that_was_named() -> None:
    steps = loaded("GitHub Actions")["jobs"]["rotate"]["steps"]
    scripts = "\n".join(step["run"] for step in steps)

    assert not [step for step in steps if "uses" in step]
    assert "pip install" not in scripts  # ci/install.sh does, with hashes
    assert re.fullmatch("[0-9a-f]{40}", steps[1]["env"]["COMMIT"])
    assert "${{" not in scripts
    for step in steps:
        subprocess.run(["bash", "-n", "-c", step["run"]], check=True)


def test_the_step_of_the_workflow_takes_the_commit_named_and_no_other(tmp_path: Path) -> None:
    source = tmp_path / "source"
    git = ["git", "-C", str(source), "-c", "user.name=x", "-c", "user.email=x@example.com"]
    subprocess.run(["git", "init", "-q", source], check=True)
    (source / "ci").mkdir()
    (source / "ci" / "install.sh").write_text('mkdir -p "$2/bin"; echo "$1" >"$2/done"\n')
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "x"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    step = loaded("GitHub Actions")["jobs"]["rotate"]["steps"][1]

    def ran(commit: str, folder: Path) -> int:
        folder.mkdir()
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "SOURCE": str(source),
            "COMMIT": commit,
            "RUNNER_TEMP": str(folder),
            "GITHUB_PATH": str(folder / "path"),
        }
        return subprocess.run(
            ["bash", "-eo", "pipefail", "-c", step["run"]], env=environment, capture_output=True
        ).returncode

    assert ran(head.stdout.strip(), tmp_path / "right") == 0
    assert (tmp_path / "right" / "cml-iam" / "done").read_text() == "python3\n"
    assert ran(step["env"]["COMMIT"], tmp_path / "wrong") != 0
    assert not (tmp_path / "wrong" / "cml-iam").exists()


def test_the_unit_rotates_and_waiting_is_no_failure() -> None:
    service = snippet("systemd").splitlines()

    assert f"ExecStart={PROGRAM} {' '.join(WORDS)}" in service
    assert "SuccessExitStatus=7" in service


@needs("systemd-analyze")
def test_systemd_takes_both_units(tmp_path: Path) -> None:
    service = snippet("systemd").replace(PROGRAM, "/bin/true").replace(FOLDER, str(tmp_path))
    (tmp_path / "cml-iam-rotate.service").write_text(service)
    (tmp_path / "cml-iam-rotate.timer").write_text(snippet("systemd", 1))

    ran = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *tmp_path.glob("cml-iam-rotate.*")],
        capture_output=True,
        text=True,
    )

    assert [line for line in ran.stderr.splitlines() if "cml-iam-rotate" in line] == []
