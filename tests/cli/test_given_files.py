"""Files that are given: only regular ones of bounded size are read, whatever the command."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Ran

SITE = '[account]\nid = "111122223333"\n[restrict]\nregions = ["us-east-1"]\n'
STATEMENT = '{"Effect": "Allow", "Action": "ec2:StopInstances", "Resource": "*"}'
POLICY = f'{{"Version": "2012-10-17", "Statement": {STATEMENT}}}'
EXPLAIN = ("policy", "explain", "ec2:StopInstances", "--resource", "*")
COMMANDS = {
    "audit": ("audit", "FILE"),
    "audit of a folder": ("audit", "FOLDER"),
    "earlier": ("audit", "good.json", "--earlier", "FILE"),
    "accounts": ("audit", "--accounts", "FILE"),
    "apply": ("bootstrap", "apply", "FILE"),
    "diff": ("policy", "diff", "good.json", "FILE"),
    "explain": (*EXPLAIN, "--policy", "FILE"),
    "boundary": (*EXPLAIN, "--policy", "good.json", "--boundary", "FILE"),
    "lint": ("policy", "lint", "FILE"),
    "prove": ("policy", "prove", "FILE"),
    "within": ("policy", "prove", "--within", "FILE", "good.json"),
    "site": ("policy", "render", "--site", "FILE"),
    "verify": ("policy", "verify", "FILE"),
    "certificates": ("worker", "start", "a", "--wait", "--cml", "--cml-ca", "FILE"),
    "faults": ("sandbox", "start", "--faults", "FILE"),
}


@pytest.fixture
def given(
    cml_iam: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Ran]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    (tmp_path / "cml-iam.toml").write_text(SITE)
    (tmp_path / "good.json").write_text(POLICY)
    folder = tmp_path / "folder"
    folder.mkdir()

    def call(command: str, path: Path) -> Ran:
        words = {"FILE": str(path), "FOLDER": str(folder)}
        if command == "audit of a folder" and path.name == "pipe.json":
            os.mkfifo(folder / "pipe.json")
        elif command == "audit of a folder":
            pytest.skip("symbolic links of a folder are not followed")
        return cml_iam(*(words.get(each, each) for each in COMMANDS[command]))

    return call


@pytest.mark.parametrize("kind", ["device", "pipe", "link"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_is_not_regular_is_refused_at_once(
    given: Callable[..., Ran], tmp_path: Path, command: str, kind: str
) -> None:
    path = {"device": Path("/dev/zero"), "link": tmp_path / "link.json"}.get(
        kind, tmp_path / "pipe.json"
    )
    if kind == "pipe":
        os.mkfifo(path)
    if kind == "link":
        path.symlink_to("/dev/zero")

    ran = given(command, path)

    assert ran.code == 2, ran.out + ran.err
    assert "not a regular file" in ran.err


@pytest.mark.parametrize(
    "command",
    [
        ("policy", "lint", "-"),
        ("policy", "prove", "-", "--never", "ec2:StopInstances"),
        ("policy", "diff", "good.json", "-"),
        (*EXPLAIN, "--policy", "-"),
        ("policy", "who-can", "ec2:StopInstances", "--account", "-"),
    ],
    ids=" ".join,
)
def test_what_is_piped_in_must_be_utf_8(
    cml_iam: Callable[..., Ran],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
) -> None:
    (tmp_path / "good.json").write_text(POLICY)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xfe"), "utf-8"))

    ran = cml_iam(*command)

    assert (ran.code, ran.err) == (2, "error: `<stdin>` is not UTF-8 text (byte 0)\n")
