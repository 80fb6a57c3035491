"""What a terminal would obey is written out, wherever text of AWS is printed."""

from __future__ import annotations

import json
from collections.abc import Iterator

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cml_iam.cli._output import note, print_json, print_table, say
from cml_iam.visible import one_line, unseen, visible

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
