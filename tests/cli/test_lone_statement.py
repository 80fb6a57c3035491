"""A statement without the document around it, as guides print them, is judged or refused in words.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cml_iam.cli._main import run

SITE = '[account]\nid = "111122223333"\n'
WRAP = 'wrap it: {"Version": "2012-10-17", "Statement": [ … ]}'


@pytest.fixture
def statement(tmp_path: Path) -> Path:
    path = tmp_path / "statement.json"
    path.write_text(json.dumps({"Effect": "Allow", "Action": "*", "Resource": "*"}))
    return path


@pytest.mark.parametrize(
    "command",
    [
        ["policy", "lint"],
        ["policy", "verify"],
        ["policy", "prove", "--never", "ec2:StopInstances"],
        ["audit"],
    ],
    ids=["lint", "verify", "prove", "audit"],
)
def test_the_message_says_to_wrap_it(
    statement: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    site = statement.with_name("cml-iam.toml")
    site.write_text(SITE)
    named = ["--site", str(site)] if "verify" in command else []

    assert run([*command, *named, str(statement)]) in {2, 3}
    captured = capsys.readouterr()
    assert WRAP in captured.out + captured.err
