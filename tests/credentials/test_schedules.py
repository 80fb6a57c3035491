"""Schedules as text: read back by what would run them, where that is installed."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cml_iam import errors
from cml_iam.credentials import KINDS, Timetable, schedule_text
from tests.conftest import Ran

Run = Callable[..., Ran]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TABLE = Timetable(
    3,
    17,
    "/srv/with space %i",
    "/opt/cml-iam",
    "eu-west-1",
    "arn:x",
    "https://git.example.com/group/cml-iam",
    COMMIT,
    "image:1",
)
URL = "https://x/?a=1%20b&c=$d"
ODD = ("--to", "ssm:/x", "--health-url", URL, "--site", 'it\'s "x"\\y')


def text(kind: Any, arguments: tuple[str, ...] = ODD, **changed: Any) -> str:
    return schedule_text(kind, arguments, TABLE, stores=changed.get("stores", ("ssm:/x",)))


def loaded(kind: str) -> Any:
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load(text(kind))


def words_of(shell: str) -> list[str]:
    """What a shell makes of it, the words up to the first operator."""
    script = shell.partition(" || ")[0].replace("/opt/cml-iam", "printf '%s\\n'")
    ran = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    return ran.stdout.splitlines()


WORDS = ["key", "rotate", "--if-due", "--yes", *ODD]


def test_a_workflow_runs_the_very_words() -> None:
    made = loaded("github")

    assert words_of(made["jobs"]["rotate"]["steps"][-1]["run"]) == WORDS
    assert made[True]["schedule"] == [{"cron": "17 3 * * *"}]  # `on` is a word of YAML 1.1
    assert made["permissions"] == {"id-token": "write", "contents": "read"}


def test_a_workflow_with_the_role_runs_nobodys_code_but_the_commit_that_was_named() -> None:
    steps = loaded("github")["jobs"]["rotate"]["steps"]
    scripts = "\n".join(step["run"] for step in steps)

    assert not [step for step in steps if "uses" in step]
    assert "pip install" not in scripts  # ci/install.sh does, with hashes
    assert steps[1]["env"] == {"SOURCE": TABLE.source, "COMMIT": COMMIT}
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
    step = loaded("github")["jobs"]["rotate"]["steps"][1]

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
    assert ran(COMMIT, tmp_path / "wrong") != 0
    assert not (tmp_path / "wrong" / "cml-iam").exists()


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"source": None}, "--source"),
        ({"source": "cml-iam"}, "--source"),
        ({"source": "--upload-pack=x"}, "--source"),
        ({"commit": None}, "--commit"),
        ({"commit": "v0.1.0"}, "--commit"),
        ({"commit": "0123456"}, "--commit"),
    ],
)
def test_what_would_be_somebody_elses_code_is_refused(changed: Any, word: str) -> None:
    with pytest.raises(errors.InputError) as caught:
        schedule_text("github", ODD, replace(TABLE, **changed), stores=("ssm:/x",))
    assert word in str(caught.value.remedy)


@pytest.mark.parametrize("name", ["role", "region", "image"])
def test_an_expression_in_any_value_is_refused(name: str) -> None:
    for kind in ("github", "kubernetes"):
        table = replace(TABLE, **{name: "${{ github.event.issue.title }}"})  # type: ignore[arg-type]
        with pytest.raises(errors.InputError, match="for its own"):
            schedule_text(kind, ODD, table, stores=("ssm:/x",))  # type: ignore[arg-type]


def test_a_cron_job_runs_the_very_words() -> None:
    made = loaded("kubernetes")
    (container,) = made["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]

    assert container["command"][:2] == ["sh", "-c"]
    assert words_of(container["command"][2]) == WORDS
    assert made["spec"]["concurrencyPolicy"] == "Forbid"


def test_a_crontab_runs_the_very_words() -> None:
    line = text("cron").splitlines()[-1]
    assert line.startswith("17 3 * * * cd ")
    command = line.removeprefix("17 3 * * * ").replace(r"\%", "%")

    assert r"\%20" in line
    assert r"with space \%i" in line
    inner = command.partition("{ ")[2].partition(" --quiet")[0]
    assert shlex.split(inner)[1:] == WORDS
    assert words_of(inner) == WORDS


def test_a_unit_quotes_what_systemd_would_take_for_its_own() -> None:
    (line,) = [each for each in text("systemd").splitlines() if each.startswith("ExecStart=")]

    assert '"https://x/?a=1%%20b&c=$$d"' in line
    assert '"it\'s \\"x\\"\\\\y"' in line
    assert "SuccessExitStatus=7" in text("systemd")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_takes_both_units(tmp_path: Path) -> None:
    made = text("systemd").replace("/opt/cml-iam", "/bin/true").replace("/srv/", f"{tmp_path}/")
    service, timer = made.split("# /etc/systemd/system/cml-iam-rotate.timer\n")
    (tmp_path / "cml-iam-rotate.service").write_text(service)
    (tmp_path / "cml-iam-rotate.timer").write_text(timer)

    ran = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *tmp_path.glob("cml-iam-rotate.*")],
        capture_output=True,
        text=True,
    )

    ours = [each for each in ran.stderr.splitlines() if "cml-iam-rotate" in each]
    assert ours == []


@pytest.mark.parametrize("kind", ["github", "kubernetes"])
@pytest.mark.parametrize("stores", [("env:.env",), ("ssm:/x", "profile:x")])
def test_a_disk_that_is_gone_tomorrow_gets_no_key(kind: str, stores: tuple[str, ...]) -> None:
    with pytest.raises(errors.InputError, match="no disk that lasts"):
        text(kind, stores=stores)


@pytest.mark.parametrize("kind", KINDS)
def test_a_line_end_cannot_become_a_line(kind: str) -> None:
    with pytest.raises(errors.InputError, match="line end"):
        text(kind, ("--site", "a\nb"))


@pytest.mark.parametrize("word", ["${{ secrets.X }}", "$(X)"])
def test_expressions_of_the_runner_are_refused(word: str) -> None:
    for kind in ("github", "kubernetes"):
        with pytest.raises(errors.InputError, match="for its own"):
            text(kind, ("--site", word))


def test_the_command_prints_it_and_installs_nothing(cml_iam: Run, tmp_path: Path) -> None:
    ran = cml_iam("key", "schedule", "--kind", "systemd", "--at", "23:05")

    assert ran.code == 0
    assert "OnCalendar=*-*-* 23:05:00 UTC" in ran.out
    assert f"WorkingDirectory={tmp_path}" in ran.out
    assert list(tmp_path.iterdir()) == []
    shown = cml_iam("key", "schedule", "--kind", "cron", "-o", "json")
    assert json.loads(shown.out)["kind"] == "cron"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--kind", "cron", "--at", "24:00"), "03:17"),
        (("--kind", "github", "--to", "ssm:/x"), "--role-arn"),
        (("--kind", "github", "--to", "ssm:/x", "--role-arn", "arn:x"), "--source"),
        (("--kind", "kubernetes", "--to", "ssm:/x"), "--image"),
        (("--kind", "github"), "no disk that lasts"),
    ],
)
def test_what_is_missing_is_said(cml_iam: Run, arguments: tuple[str, ...], word: str) -> None:
    refused = cml_iam("key", "schedule", *arguments)

    assert refused.code == 2
    assert word in refused.err
