"""The README says what is so."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from cml_iam.catalogue import load_catalogue, permission_tables
from cml_iam.cli._exit import MEANING
from cml_iam.cli._main import cli
from cml_iam.cli.groups import LazyGroup
from tests.conftest import REPOSITORY

README = (REPOSITORY / "README.md").read_text("utf-8")


def test_the_permission_tables_are_the_catalogues() -> None:
    (between,) = re.findall(r"<!-- permissions.*?-->\n(.*?)<!-- /permissions", README, re.DOTALL)

    assert between == permission_tables(load_catalogue())


def test_the_exit_codes_are_those_of_the_command_line() -> None:
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", README, re.MULTILINE)

    assert [(int(code), meaning) for code, meaning in rows] == [
        (code.value, meaning) for code, meaning in MEANING.items()
    ]


def test_the_site_file_of_the_readme_is_read() -> None:
    from cml_iam.site import RESTRICTIONS, parse_site

    (text,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)

    assert parse_site(text).restrict.active == set(RESTRICTIONS)


def _commands(command: click.Command, name: str) -> list[str]:
    if not isinstance(command, click.Group):
        return [name]
    context = click.Context(command)
    made = []
    for child in command.list_commands(context):
        found = command.get_command(context, child)
        assert found is not None
        made += _commands(found, f"{name} {child}")
    return made


EVERY = _commands(cli, "cml-iam")


@pytest.mark.parametrize("command", EVERY)
def test_every_command_stands_in_the_readme_or_the_docs(command: str) -> None:
    texts = [README, *(page.read_text("utf-8") for page in (REPOSITORY / "docs").rglob("*.md"))]

    assert any(command in text for text in texts)


PAGES = [README, *(page.read_text("utf-8") for page in (REPOSITORY / "docs").rglob("*.md"))]
SHOWN = sorted(
    {
        line.replace("\\\n", " ")
        for page in PAGES
        for line in re.findall(r"^\$ (cml-iam (?:[^\n]|(?<=\\)\n)*)", page, re.MULTILINE)
    }
)


@pytest.mark.parametrize("line", SHOWN)
def test_every_command_line_shown_is_one(line: str) -> None:
    """Parsed as the command line parses it: each command, option and argument."""
    words = shlex.split(line, comments=True)[1:]
    if ends := [index for index, word in enumerate(words) if word in ("|", ">", "&")]:
        words = words[: ends[0]]
    command: click.Command = cli
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), words.pop(0))
        assert found is not None, line
        command = found

    command.make_context("shown", words)


def test_the_readme_shows_commands() -> None:
    assert len(SHOWN) > 30


def test_every_lazy_command_has_the_help_the_listing_shows() -> None:
    def check(group: click.Command) -> None:
        if isinstance(group, LazyGroup):
            for name, (_, text) in group.lazy.items():
                found = group.get_command(click.Context(group), name)
                assert found is not None
                assert found.help
                assert text.endswith(".")
                check(found)

    check(cli)
