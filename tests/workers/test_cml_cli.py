"""Waiting for CML, as a user types it."""

import pytest

from cml_iam.workers import CmlAccess, CmlAnswer, Worker
from tests.workers.test_worker_cli import Cli, cli, lab

__all__ = ["cli", "lab"]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[CmlAnswer]:
    """What CML answers, in turn; the last one for ever."""
    left = [CmlAnswer(True, "CML 2.9.0 is ready", "2.9.0", "127.0.0.1")]

    def ask(_: CmlAccess, __: Worker) -> CmlAnswer:
        return left.pop(0) if len(left) > 1 else left[0]

    monkeypatch.setattr(CmlAccess, "ask", ask)
    monkeypatch.setattr("cml_iam.workers._wait._FIRST_PAUSE", 0.01)
    return left


def test_wait_tells_each_step_and_ends_when_cml_is_ready(
    cli: Cli, lab: str, answers: list[CmlAnswer]
) -> None:
    answers.insert(0, CmlAnswer(False, "CML: HTTP 502"))

    said = cli("worker", "wait", "lab", "--for", "cml-ready")

    assert said.code == 0
    assert said.out.startswith(f"✔ lab ({lab}): CML 2.9.0 is ready after 0 s, 127.0.0.1")
    assert "running, status 2/2, CML: HTTP 502" in said.err


def test_start_with_wait_and_cml_waits_for_cml(
    cli: Cli, lab: str, answers: list[CmlAnswer]
) -> None:
    cli("worker", "stop", "lab", "--yes")

    (started,) = cli("worker", "start", "lab", "--wait", "--cml", "-o", "json").json

    assert started["waited"]["reached"] is True
    assert started["waited"]["cml"]["version"] == "2.9.0"


def test_a_certificate_that_is_not_trusted_ends_the_wait_and_says_what_to_give(
    cli: Cli, lab: str, answers: list[CmlAnswer]
) -> None:
    answers[:] = [CmlAnswer(False, "not trusted", hopeless=True, remedy="give --cml-ca FILE")]

    said = cli("worker", "wait", "lab", "--for", "cml-ready")

    assert said.code == 3
    assert said.out.startswith(f"✖ lab ({lab}): not cml-ready")
    assert "  fix: give --cml-ca FILE" in said.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["worker", "start", "lab", "--cml"], "add --wait"),
        (
            ["worker", "wait", "lab", "--for", "cml-ready", "--insecure", "--cml-ca", "x"],
            "use only one of them",
        ),
        (["worker", "wait", "lab", "--for", "cml-ready", "--cml-ca", "none.pem"], "none.pem"),
    ],
)
def test_options_that_contradict_are_refused(
    cli: Cli, lab: str, words: list[str], said: str
) -> None:
    answer = cli(*words)

    assert answer.code == 2
    assert said in answer.err
