"""The pages about proof: what they print is what comes out."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cml_iam.engine import Request, compile_policies
from cml_iam.policy import load_policy

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text("utf-8")
PAGE = (REPOSITORY / "docs" / "prove.md").read_text("utf-8")
LEFT_OUT = "…"


def blocks(text: str, language: str) -> list[str]:
    """Return the code blocks of *text* in *language*."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [block for name, block in fenced if name == language]


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield the commands of the page in order, each with the lines said to come out of it."""
    for block in blocks(PAGE, "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *lines = part.rstrip("\n").split("\n")
            yield command, lines


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that the page speaks of, and does not make."""
    (site,) = blocks(README, "toml")
    (mine,) = blocks(PAGE, "json")
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    (tmp_path / "cml-iam.toml").write_text(site)
    (tmp_path / "mine.json").write_text(mine)
    (tmp_path / "admin.json").write_text(
        json.dumps({"Version": "2012-10-17", "Statement": [everything]})
    )
    return tmp_path


def test_every_command_of_the_page_prints_what_stands_there(cml_iam: Any, folder: Path) -> None:
    seen = 0
    for command, lines in commands():
        words = shlex.split(command, comments=True)
        target = words[words.index(">") + 1] if ">" in words else None
        ran = cml_iam(*(words[1 : words.index(">")] if target else words[1:]))
        if target:
            assert ran.code == 0, command
            (folder / target).write_text(ran.out)
            continue
        printed = (ran.out + ran.err).splitlines()
        assert ran.code == {"✖": 3, "e": 2, "▲": 6}.get(_verdict(lines), 0), command
        assert _follows(printed, lines), f"{command}\n{ran.out}"
        seen += bool(lines)
    assert seen >= 7


def _verdict(lines: list[str]) -> str:
    return next((line[0] for line in reversed(lines) if line[:1] in {"✖", "e", "✔", "▲"}), "")


def _follows(printed: list[str], lines: list[str]) -> bool:
    """Say whether *printed* is *lines*, where `…` stands for any lines."""
    pattern = "".join(
        r"(?:.*\n)*" if line == LEFT_OUT else re.escape(line) + r"\n" for line in lines
    )
    return not lines or re.fullmatch(pattern, "".join(f"{e}\n" for e in printed)) is not None


def test_what_the_readme_shows_of_a_proof_comes_out(cml_iam: Any, folder: Path) -> None:
    (shown,) = (block for block in blocks(README, "") if "✖ broken" in block)
    ran = cml_iam("policy", "prove", "mine.json")

    lines = ran.out.splitlines()
    wanted = shown.splitlines()
    start = lines.index(wanted[1])
    assert wanted[0] in lines[:start]
    assert lines[start : start + len(wanted) - 1] == wanted[1:]


def test_the_cells_of_the_picture_are_decided_as_it_says() -> None:
    page = (REPOSITORY / "docs" / "proof.md").read_text("utf-8")
    team, region = "aws:RequestTag/Team", "aws:RequestedRegion"
    like = {"StringLike": {team: "ab*"}, "StringEquals": {region: "us-east-1"}}
    statements = [
        {"Effect": effect, "Action": "ec2:CreateTags", "Resource": "*", "Condition": condition}
        for effect, condition in (("Allow", like), ("Deny", {"StringEquals": {team: "abc"}}))
    ]
    policy = load_policy({"Version": "2012-10-17", "Statement": statements}, "picture")
    authorizer = compile_policies(identity=[policy])
    words = {"allowed": "**allowed**", "explicitDeny": "denied", "implicitDeny": "no statement"}
    values = {"`abc`": "abc", "`abx`": "abx", "the empty text": "", "absent": None}
    rows = {name: re.search(rf"^\| {name}.*\|$", page, re.MULTILINE) for name in values}
    for name, value in values.items():
        tags = {} if value is None else {team: value}
        cells = [
            words[authorizer.decide(Request("ec2:CreateTags", context=context)).outcome]
            for context in ({**tags, region: "us-east-1"}, {**tags, region: "eu-west-1"})
        ]
        row = rows[name]
        assert row is not None
        assert [cell.strip() for cell in row[0].split("|")[2:4]] == cells
