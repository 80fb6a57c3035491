"""What runs until it is ended: both commands end alike, by ^C and by a container's SIGTERM."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).parent / "cml-iam"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["^C", "SIGTERM"])
@pytest.mark.parametrize("command", ["serve", "sandbox start"], ids=["serve", "sandbox"])
def test_ending_it_is_no_failure(command: str, number: signal.Signals, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "AWS_REGION": "us-east-1"}
    # Nothing listens there: the service is to end whatever becomes of AWS.
    environment["AWS_ENDPOINT_URL"] = "http://127.0.0.1:1"
    process = subprocess.Popen(
        [COMMAND, *command.split(), "--port", "0"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said = []
    try:
        while not said or not said[-1].endswith("; press Ctrl-C to stop\n"):
            said.append(process.stderr.readline())
            assert said[-1], said
        process.send_signal(number)
        assert process.wait(30) == 0
        assert process.stderr.read() == ""  # no further word, and no traceback
    finally:
        process.kill()
        process.stderr.close()
        process.wait()


def test_what_click_finds_wrong_is_said_as_every_other_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from cml_iam.cli._main import run

    for words, said in (
        (["nope"], "error: no such command: `nope`"),
        (["policy", "lint", "--nope"], "error: no such option: `--nope`"),
        (
            ["policy", "lint", "--verbos"],
            "error: no such option: `--verbos` (did you mean `--verbose`?)",
        ),
        (["worker", "start"], "error: missing argument 'WORKERS...'"),
        (["policy", "lint", "/nope"], "error: no such file: `/nope`"),
        (["audit", "--fail-on", "x"], "error: invalid value for '--fail-on': 'x' is not one of"),
    ):
        assert run(words) == 2
        lines = capsys.readouterr().err.splitlines()
        assert lines[-1].startswith(said) or lines[-2].startswith(said), lines
        assert not [line for line in lines if line.startswith("Error")]
