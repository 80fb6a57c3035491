"""Every command that speaks to AWS ends by the contract where AWS does not, or accepts no key.

Exit code 1 is a fault of our own and 0 a success: neither may come.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness_answers import credentials, endpoint
from tests.harness_answers.commands import ARGUMENTS, commands, wanting
from tests.harness_answers.harness import against, expected, prepare, ran
from tests.harness_answers.table import PAGE, page

COMMANDS = commands()


def test_every_command_with_arguments_is_one_that_speaks_to_aws() -> None:
    assert set(ARGUMENTS) <= set(COMMANDS)
    assert {"worker list", "bootstrap apply", "key rotate", "health", "serve"} <= set(COMMANDS)
    assert not wanting(), "say in commands.ARGUMENTS how they are run"


def foreign_answer(tmp_path: Path, name: str, kind: str) -> None:
    prepare(tmp_path)
    ended, requests = against(endpoint.KINDS[kind], tmp_path, name, credentials.good())

    assert ended.code == expected(name, 5), ended.text
    assert requests > 0
    assert "internal error" not in ended.text
    assert "Traceback" not in ended.text
    assert "bug in cml-iam" not in ended.text


@pytest.mark.parametrize(
    "words", ["worker list -o json", "worker list -o csv", "worker orphans -o json"]
)
def test_no_empty_list_is_printed_where_nothing_answered(tmp_path: Path, words: str) -> None:
    prepare(tmp_path)
    with endpoint.foreign(endpoint.KINDS["200, a web page"]) as answering:
        environment = {**credentials.good(), "AWS_ENDPOINT_URL": answering.url}
        ended = ran(words.split(), tmp_path, environment)

    assert (ended.code, ended.out) == (5, "")


def bad_credential(tmp_path: Path, name: str, kind: str) -> None:
    prepare(tmp_path)
    given = credentials.KINDS[kind](tmp_path)
    ended, requests = against(endpoint.KINDS["200, a web page"], tmp_path, name, given)

    assert ended.code == expected(name, 4), ended.text
    # The doctor asks what answers and what time it is there, without a credential.
    assert requests == 0 or name == "doctor"
    assert "internal error" not in ended.text
    assert "Traceback" not in ended.text
    assert "AWS4-HMAC" not in ended.text
    for secret in (given.get("AWS_SECRET_ACCESS_KEY", "").strip(), _processed(tmp_path)):
        assert not secret or secret not in ended.text


def _processed(folder: Path) -> str:
    answer = folder / "answer"
    return (
        answer.read_text().split('"SecretAccessKey": "')[1].split('"')[0] if answer.exists() else ""
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_a_web_page_is_no_answer_to_any_command(tmp_path: Path, name: str) -> None:
    foreign_answer(tmp_path, name, "200, a web page")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_newline_in_the_key_id_is_told_by_every_command(tmp_path: Path, name: str) -> None:
    bad_credential(tmp_path, name, "a newline after the key id")


@pytest.mark.long
@pytest.mark.parametrize("kind", endpoint.KINDS)
@pytest.mark.parametrize("name", COMMANDS)
def test_nothing_else_is_an_answer_either(tmp_path: Path, name: str, kind: str) -> None:
    foreign_answer(tmp_path, name, kind)


@pytest.mark.long
@pytest.mark.parametrize("kind", credentials.KINDS)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_credential_that_cannot_work_is_told_by_every_command(
    tmp_path: Path, name: str, kind: str
) -> None:
    bad_credential(tmp_path, name, kind)


def test_the_page_of_failures_shows_what_is_said() -> None:
    assert PAGE.read_text("utf-8") == page(), "write it anew: python -m tests.harness_answers"
