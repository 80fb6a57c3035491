"""Printing and asking: results on stdout, everything else on stderr; colour only on terminals.

The confirmation before a change names the account, identity and region.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import fields, is_dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from cml_iam.cli._options import flags, settings
from cml_iam.errors import InputError
from cml_iam.secret import masked
from cml_iam.visible import one_line

if TYPE_CHECKING:
    from rich.console import Console

    from cml_iam.aws.port import Aws

Value = TypeVar("Value")

PIPED_WIDTH = 200
"""Width of a table, in columns, if there is no terminal."""

HANGING = 2
"""Indent of the lines after the first in a wrapped text: a symbol and a space."""

# A symbol never appears alone: a word beside it has the same meaning.
OK, BAD, WARN, UNKNOWN, INFO = "✔", "✖", "▲", "?", "•"
SEVERITY = {"error": BAD, "warning": WARN, "info": INFO}
"""The symbol of each severity."""
_OBEYED: Final = re.compile("[\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
"""Characters that JSON may contain unescaped, but that a terminal interprets or hides."""

SIGNS = {"+": "green", "-": "red", "~": "yellow"}
"""Colours of additions, deletions and changes in plans and differences."""

STYLE = {OK: "green", BAD: "red", WARN: "yellow", UNKNOWN: "yellow", INFO: "cyan"}


def answer(
    value: Any,
    text: Callable[[], object] | Iterable[str],
    code: int | None = None,
    **others: Callable[[], str],
) -> None:
    """Print a command's result in the requested format: *value* as JSON, or as *text*.

    *text* is lines, or a function that prints. *others* return the text of further formats by name.
    With a *code* the command exits with it. Only this file knows which format is requested.
    """
    form = settings().output
    if form in others:
        click.echo(others[form](), nl=False)
    elif form == "json":
        print_json(value)
    elif callable(text):
        text()
    else:
        say_lines(text)
    if code is not None:
        click.get_current_context().exit(code)


def early(show: Callable[[str], object], *lines: str) -> None:
    """Print *lines* of a text answer with *show* early; JSON is printed as a whole later."""
    if settings().output != "json":
        for line in lines:
            show(line)


def answer_each(values: Iterator[Value], show: Callable[[Iterator[Value]], Value]) -> Value:
    """Print each of *values* as it arrives, as a line of JSON or with *show*; return the last."""
    if settings().output != "json":
        return show(values)
    for value in values:
        click.echo(json_text(value))
        sys.stdout.flush()
    return value


def in_form(value: Any, text: str) -> str:
    """Return the answer instead of printing it: *value* as JSON if requested, otherwise *text*."""
    return json_text(value, indent=2) if settings().output == "json" else text


def print_json(value: Any) -> None:
    """Print *value* as JSON on stdout; its `as_json` is used if it has one."""
    click.echo(json_text(value, indent=2))


def json_text(value: Any, indent: int | None = None) -> str:
    """Return *value* as JSON, with characters that a terminal obeys escaped."""
    text = json.dumps(_plain(value), indent=indent, ensure_ascii=False)
    return masked(_OBEYED.sub(lambda match: json.dumps(match[0])[1:-1], text))


def _plain(value: Any) -> Any:
    """Return *value* for JSON: the result of its `as_json`, or its fields by name."""
    if hasattr(value, "as_json"):
        return _plain(value.as_json())
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return list(map(_plain, value)) if isinstance(value, list | tuple) else value


def console(*, stderr: bool = False) -> Console:
    """Return rich's console for stdout or stderr: plain and wide if not a terminal."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    colour = in_colour(stream)
    return Console(
        file=stream,
        force_terminal=True if colour else None,
        no_color=not colour,
        color_system="standard" if colour else None,
        highlight=False,
        soft_wrap=not stream.isatty(),
        width=None if stream.isatty() else PIPED_WIDTH,
        emoji=False,
    )


def mark(text: str) -> Any:
    """Return *text* coloured by the symbol it begins with."""
    from rich.text import Text

    return Text(one_line(text), style=STYLE.get(text[:1], ""))


def say(text: str, *, hanging: int | None = None) -> None:
    """Print a line on stdout, coloured by the symbol it begins with; wraps as `fitted` does."""
    shown = fitted(text, sys.stdout, hanging=hanging)
    click.secho(shown, fg=_style(text, sys.stdout), color=in_colour(sys.stdout))


def say_lines(lines: Iterable[str]) -> None:
    """Print *lines* on stdout, each coloured by the symbol that it begins with."""
    for line in lines:
        say(line)


def heading(text: str) -> None:
    """Print a heading on stdout, bold if colours are on."""
    click.secho(one_line(text), bold=in_colour(sys.stdout), color=in_colour(sys.stdout))


def note(text: str) -> None:
    """Print progress on stderr, unless --quiet was given; not for warnings."""
    if not settings().quiet or text.startswith(WARN):
        complain(text)


def complain(text: str) -> None:
    """Print on stderr, even with --quiet, what failed and what to do about it."""
    style = _style(text, sys.stderr)
    click.secho(fitted(text, sys.stderr), err=True, fg=style, color=in_colour(sys.stderr))


def complain_remedies(remedies: Iterable[str | None]) -> None:
    """Print each remedy once on stderr."""
    for remedy in dict.fromkeys(remedies):
        if remedy:
            complain(f"  fix: {remedy}")


def fitted(text: str, stream: Any, *, hanging: int | None = None) -> str:
    """Wrap *text* to the terminal's width, at words only; the next lines begin after *hanging*.

    A word that fits only without the indent loses it; the terminal breaks a longer word.
    """
    line, width = one_line(text), _columns_of(stream)
    if not 0 < width < len(line):
        return line
    indent = len(line) - len(line.lstrip()) + HANGING if hanging is None else hanging
    lines = wrap(
        line,
        width,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(part if len(part) <= width else part.lstrip() for part in lines)


def terminal_width() -> int | None:
    """Return the width of the terminal behind stdout in columns, or None if there is none."""
    return _columns_of(sys.stdout) or None


def _columns_of(stream: Any) -> int:
    """Return the width of the terminal behind *stream*, or 0 if it is not one."""
    if not stream.isatty():
        return 0
    given = os.environ.get("COLUMNS", "")
    try:
        return int(given) if given.isdigit() else os.get_terminal_size(stream.fileno()).columns
    except OSError:  # a stream that only looks like a terminal
        return 0


def _style(text: str, stream: Any) -> str | None:
    """Return the colour of a line: by its leading symbol, or the sign of a difference."""
    if not in_colour(stream):
        return None
    first, _, rest = text.lstrip().partition(" ")
    return STYLE.get(first[:1]) or (SIGNS.get(first) if rest else None)


def in_colour(stream: Any) -> bool:
    """Return whether to colour what is printed on *stream*."""
    choice = settings().color
    if choice != "auto":
        return choice == "always"
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def progress(text: str, *, only_on_terminal: bool = False) -> AbstractContextManager[Any]:
    """Show that *text* is in progress: a spinner on a terminal, otherwise at most one line."""
    from contextlib import nullcontext

    if settings().quiet:
        return nullcontext()
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        return console(stderr=True).status(mark(text))
    if not only_on_terminal:
        note(f"{INFO} {text}")
    return nullcontext()


def agreed(aws: Aws, question: str) -> bool:
    """Ask *question* unless --yes was given; raises InputError if no terminal can answer.

    After a no, says that nothing was changed.
    """
    return _confirmed(aws, question, lambda text: click.confirm(text, err=True))


def typed(aws: Aws, words: str, purpose: str) -> bool:
    """Make the user type *words* for *purpose*, unless --yes was given; raises as `agreed`."""

    def ask(text: str) -> bool:
        given: str = click.prompt(text, default="", show_default=False, err=True)
        return given == words

    return _confirmed(aws, f"type `{words}` {purpose}", ask)


def _confirmed(aws: Aws, question: str, ask: Callable[[str], bool]) -> bool:
    """Print where the change would be made, and *ask*, unless --yes was given."""
    if settings().yes:
        return True
    if not sys.stdin.isatty():
        dry = "--dry-run" in flags(click.get_current_context().command)
        raise InputError(
            f"confirmation required, but stdin is not a terminal: {question}",
            remedy=f"add --yes{', or --dry-run to change nothing' if dry else ''}",
        )
    identity = aws.identity()
    where = f" in {aws.region}" if aws.region else ""
    complain(f"account {identity.account}, as {identity.arn}{where}")
    agreed = ask(one_line(question))
    if not agreed:
        note(f"{WARN} nothing was changed")
    return agreed
