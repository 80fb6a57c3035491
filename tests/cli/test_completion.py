"""The Tab key in bash, zsh and fish: commands, options, choices, and the names of workers."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cml_iam.cli._main import cli
from cml_iam.cli._options import Settings
from cml_iam.cli._topics import TOPICS
from cml_iam.cli.groups import leaves
from cml_iam.cli.worker_scene import complete_worker, keep_names, state_folder
from cml_iam.workers import Worker
from tests.conftest import needs

PROGRAM = Path(sys.executable).with_name("cml-iam")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_what_a_shell_sources(shell: str) -> None:
    ran = _complete(f"{shell}_source")

    assert ran.returncode == 0
    assert "_CML_IAM_COMPLETE" in ran.stdout


COMPLETED = {
    "topics": ("cml-iam help exit", 2, "exit-codes"),
    "commands to get help on": ("cml-iam help worker ter", 3, "terminate"),
    "commands": ("cml-iam boot", 1, "bootstrap"),
    "commands of a group": ("cml-iam worker ter", 2, "terminate"),
    "options": ("cml-iam worker stop --hib", 3, "--hibernate"),
    "choices": ("cml-iam policy lint --fail-on e", 4, "error"),
}


@pytest.mark.parametrize("what", COMPLETED)
def test_completion_answers_a_shell(what: str) -> None:
    words, place, expected = COMPLETED[what]

    ran = _complete("bash_complete", COMP_WORDS=words, COMP_CWORD=str(place))

    assert (ran.returncode, ran.stdout.split()) == (0, [f"plain,{expected}"])


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_loads_the_documented_line() -> None:
    (line,) = re.findall(r"eval .*bash_source.*", TOPICS["completion"][1])
    script = f"{line}\ncomplete -p cml-iam"
    path = f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"

    ran = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env={**os.environ, "PATH": path}
    )

    assert "_cml_iam_completion cml-iam" in ran.stdout, ran.stderr


def _complete(instruction: str, **words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "_CML_IAM_COMPLETE": instruction, **words}
    return subprocess.run([str(PROGRAM)], capture_output=True, text=True, env=environment)


def worker(number: int, name: str, state: str = "running") -> Worker:
    return Worker(f"i-{number:017x}", "us-east-1", state, "c5.large", "ami-1", name)


FLEET = (
    worker(1, "lab-1"),
    worker(2, "lab-2", "stopped"),
    worker(3, "edge"),
    worker(4, "twin"),
    worker(5, "twin"),
    worker(6, "it's $(mine)"),
    worker(7, ""),
    worker(8, "lab-3", "terminated"),
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which `worker list` has seen the fleet."""
    monkeypatch.chdir(tmp_path)
    keep_names(FLEET, Settings())
    return tmp_path


OFFERED = {
    "names": ("worker stop la", ["lab-1", "lab-2"]),
    "no name that was given": ("worker stop lab-1 la", ["lab-2"]),
    "ids": ("worker stop i-00000000000000001", ["i-00000000000000001"]),
    "nothing unknown": ("worker stop zz", []),
    "behind an option": ("worker start --wait ed", ["edge"]),
    "another site has other workers": ("worker stop --site other.toml la", []),
    "another endpoint has other workers": ("worker stop --endpoint-url http://x la", []),
    "an option that the command refuses": ("--dry-run worker show la", ["lab-1", "lab-2"]),
    "below a command that is none": ("wrker stop la", []),
}


@pytest.mark.parametrize("what", OFFERED)
def test_the_workers_that_were_listed_last_are_offered(folder: Path, what: str) -> None:
    words, expected = OFFERED[what]

    ran = _complete(
        "bash_complete",
        COMP_WORDS=f"cml-iam {words}",
        COMP_CWORD=str(len(words.split())),
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    assert [line.removeprefix("plain,") for line in ran.stdout.split()] == expected


def test_a_name_that_is_shared_or_that_a_shell_reads_otherwise_is_offered_as_an_id(
    folder: Path,
) -> None:
    ran = _complete("bash_complete", COMP_WORDS="cml-iam worker stop ", COMP_CWORD="3")

    offered = [line.removeprefix("plain,") for line in ran.stdout.split()]
    ids = [f"i-{number:017x}" for number in (4, 5, 6, 7)]
    assert offered == ["lab-1", "lab-2", "edge", *ids]


def test_every_command_on_known_workers_completes_them() -> None:
    taking = {
        leaf.words.removeprefix("worker "): parameter
        for leaf in leaves(cli)
        for parameter in leaf.command.params
        if parameter.name in ("worker", "workers")
    }

    assert sorted(taking) == [
        "idle", "metrics", "show", "start", "status", "stop", "tag", "terminate", "untag", "wait",
        "watch",
    ]  # fmt: skip
    assert {each._custom_shell_complete for each in taking.values()} == {complete_worker}


DAMAGED = {
    "no file": None,
    "no JSON": "{",
    "not a list": "3",
    "other rows": '[["i-1"], 7, [1, 2, 3]]',
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("what", DAMAGED)
def test_where_nothing_is_known_nothing_is_offered_and_nothing_printed(
    folder: Path, what: str
) -> None:
    (kept,) = (state_folder() / "names").iterdir()
    text = DAMAGED[what]
    kept.unlink() if text is None else kept.write_text(text)

    ran = _complete("bash_complete", COMP_WORDS="cml-iam worker stop ", COMP_CWORD="3")

    assert (ran.returncode, ran.stdout.strip(), ran.stderr) == (0, "", "")


def test_a_pipe_in_place_of_the_file_does_not_hang(folder: Path) -> None:
    (kept,) = (state_folder() / "names").iterdir()
    kept.unlink()
    os.mkfifo(kept)

    ran = _complete("bash_complete", COMP_WORDS="cml-iam worker stop ", COMP_CWORD="3")

    assert (ran.returncode, ran.stdout.strip(), ran.stderr) == (0, "", "")


def test_a_state_folder_that_cannot_be_written_fails_no_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state").write_text("a file")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    keep_names(FLEET, Settings())


def test_what_is_kept_is_private(folder: Path) -> None:
    (kept,) = (state_folder() / "names").iterdir()

    assert kept.stat().st_mode & 0o777 == 0o600
    assert len(json.loads(kept.read_text())) == len(FLEET) - 1


def _in_shell(*command: str) -> str:
    path = f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"
    ran = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    assert ran.stderr == ""
    return ran.stdout


def _documented(shell: str) -> str:
    """Return the line that the help topic gives for *shell*."""
    (line,) = re.findall(rf"^ +(.*{shell}_source.*)$", TOPICS["completion"][1], re.MULTILINE)
    return str(line)


@needs("bash")
def test_bash_offers_workers(folder: Path) -> None:
    typed = "COMP_WORDS=(cml-iam worker stop la); COMP_CWORD=3; _cml_iam_completion cml-iam"
    script = f"{_documented('bash')}\n{typed}\nprintf '%s\\n' \"${{COMPREPLY[@]}}\""

    assert _in_shell("bash", "-c", script).split() == ["lab-1", "lab-2"]


@needs("zsh")
def test_zsh_offers_workers(folder: Path) -> None:
    """The function runs outside the line editor, so what it would offer is printed."""
    offer = "_describe() { print -rl -- $completions $completions_with_descriptions }"
    script = (
        "autoload -Uz compinit; compinit -D -u\n"
        f"{_documented('zsh')}\n[[ $_comps[cml-iam] == _cml_iam_completion ]] || exit 9\n"
        f"{offer}\nwords=(cml-iam worker stop la); CURRENT=4\n"
        "compadd() { print -rl -- $completions }\n_cml_iam_completion"
    )

    shown = _in_shell("zsh", "-f", "-c", script)
    assert re.findall(r"^(lab-\d):i-\d+ (\w+)$", shown, re.MULTILINE) == [
        ("lab-1", "running"),
        ("lab-2", "stopped"),
    ]


@needs("fish")
def test_fish_offers_workers(folder: Path) -> None:
    script = f"{_documented('fish')}\ncomplete -C 'cml-iam worker stop la'"

    shown = [
        line.split("\t") for line in _in_shell("fish", "--no-config", "-c", script).splitlines()
    ]

    assert shown == [
        ["lab-1", "i-00000000000000001 running"],
        ["lab-2", "i-00000000000000002 stopped"],
    ]
