"""What a terminal would obey is written out, wherever text of AWS is printed."""

from __future__ import annotations

import ast
import inspect
import json
import sys
from collections.abc import Callable, Iterator

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cml_iam.cli._main import _report, cli
from cml_iam.cli._output import note, print_json, say
from cml_iam.cli._table import print_table
from cml_iam.cli.groups import Leaf, leaves
from cml_iam.errors import InputError
from cml_iam.visible import one_line, unseen, visible

Narrow = Callable[[Callable[[], object]], list[str]]

EVIL = "a\x1b[2Jb\x9bc\u202ed\x07"
WRITTEN = r"a\x1b[2Jb\x9bc\u202ed\x07"


@pytest.fixture(autouse=True)
def _command() -> Iterator[None]:
    with click.Context(click.Command("x")):
        yield


@given(st.text())
def test_what_is_visible_can_be_seen(text: str) -> None:
    made = visible(text)

    assert unseen(made) == ()
    assert visible(made) == made
    assert (made == text) == (unseen(text) == ())


def test_words_of_any_language_stay_as_they_are() -> None:
    assert visible("Prüfstand 実験室 ✔ 𓀀") == "Prüfstand 実験室 ✔ 𓀀"


def test_a_line_escapes_what_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"one {EVIL}\ntwo")
    note(f"one {EVIL}")

    out, err = capsys.readouterr()
    assert out == f"one {WRITTEN}\\ntwo\n"
    assert err == f"one {WRITTEN}\n"


def test_a_cell_escapes_what_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name"], [[EVIL], ["[red]no markup[/red]"]])

    out = capsys.readouterr().out
    assert WRITTEN in out
    assert "[red]no markup[/red]" in out
    assert unseen(out.replace("\n", "")) == ()


def test_json_holds_every_character_and_shows_none_that_is_obeyed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_json({"name": EVIL, "ü": "\ufeff\x7f"})

    out = capsys.readouterr().out
    assert json.loads(out) == {"name": EVIL, "ü": "\ufeff\x7f"}
    assert unseen(out.replace("\n", "")) == ()
    assert "ü" in out


def test_text_of_others_is_one_line_and_no_command() -> None:
    assert one_line("a\nb\tc") == "a\\nb\\tc"
    assert (
        one_line("  ::error::a ##[b] arn:aws:s3:::c") == "  :\\:error::a #\\#\\[b] arn:aws:s3:::c"
    )


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Narrow:
    """Return the lines that a function prints on a terminal of 80 columns, without colour."""

    def lines(show: Callable[[], object]) -> list[str]:
        for stream in (sys.stdout, sys.stderr):
            monkeypatch.setattr(stream, "isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setenv("NO_COLOR", "1")
        show()
        return "".join(capsys.readouterr()).splitlines()

    return lines


ARN = "arn:aws:iam::111122223333:user/cml-cloud-manager-service"


def test_a_long_line_wraps_at_words_below_its_text(narrow: Narrow) -> None:
    text = f"  fix: attach the policy of the site to {ARN}, then ask again"

    assert narrow(lambda: say(text)) == [
        "  fix: attach the policy of the site to",
        f"    {ARN}, then ask again",
    ]


def test_a_word_longer_than_the_terminal_stays_whole(narrow: Narrow) -> None:
    assert narrow(lambda: note(f"• {'x' * 90} ends")) == ["•", "x" * 90, "  ends"]


def test_a_word_too_long_for_the_indent_goes_without(narrow: Narrow) -> None:
    assert narrow(lambda: say(f"    {'x' * 60} {'y' * 79} ends")) == [
        f"    {'x' * 60}",
        "y" * 79,
        "      ends",
    ]


def test_a_narrow_table_breaks_no_id(narrow: Narrow) -> None:
    columns = ("access key", "state", "age", "use", "due", "stored in")
    use = "last used 2026-11-28 23:45 UTC for ec2 in us-east-1"
    row = ("i-0a1b2c3d4e5f60001", "Active", "0 days", use, "2027-02-18", "/a/folder/" * 5)

    lines = narrow(lambda: print_table(columns, [row]))

    assert "i-0a1b2c3d4e5f60001" in "\n".join(lines)
    assert "2027-02-18" in "\n".join(lines)
    assert max(map(len, lines)) <= 80


def test_a_narrow_table_wraps_text_before_names(narrow: Narrow) -> None:
    name = "cloudwatch:GetMetricStatistics"
    row = (name, "? could not check", "no worker in this region to try it on")

    lines = narrow(lambda: print_table(("permission", "verdict", "evidence"), [row]))

    assert name in "\n".join(lines)


def test_an_error_and_its_remedy_wrap_at_words(narrow: Narrow) -> None:
    error = InputError(f"the site file names {ARN}, which is missing", remedy=f"create {ARN} first")

    assert narrow(lambda: _report(error, ["audit"])) == [
        "error: the site file names",
        f"  {ARN}, which is missing",
        f"  fix: create {ARN} first",
    ]


def _helps(command: click.Command, context: click.Context) -> Iterator[str]:
    yield command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _helps(below, click.Context(below, info_name=name, parent=context))


def test_the_help_of_every_command_fits_into_80_columns() -> None:
    context = click.Context(cli, info_name="cml-iam", terminal_width=80)

    lines = [line for text in _helps(cli, context) for line in text.splitlines()]

    assert len(lines) > 1000
    assert [line for line in lines if len(line) > 80] == []


@pytest.mark.parametrize("leaf", [*leaves(cli)], ids=lambda leaf: leaf.words)
def test_only_the_printer_knows_which_format_is_requested(leaf: Leaf) -> None:
    tree = ast.parse(inspect.getsource(inspect.getmodule(leaf.command.callback)))

    names = {each.attr for each in ast.walk(tree) if isinstance(each, ast.Attribute)}
    names |= {each.id for each in ast.walk(tree) if isinstance(each, ast.Name)}
    assert not names & {"output", "print_json"}
