"""Printing and asking: results on stdout, everything else on stderr; colour only on terminals.

In CSV, every cell is text for a spreadsheet, never a formula. The confirmation before a change
names the account, identity and region.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from cml_iam.cli._settings import settings
from cml_iam.errors import InputError
from cml_iam.secret import masked
from cml_iam.visible import inert, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from rich.console import Console
    from rich.table import Table

    from cml_iam.aws.port import Aws


Value = TypeVar("Value")

PIPED_WIDTH = 200
"""Width of a table, in columns, if there is no terminal."""

GAP = 3
"""Spaces between two columns of a table."""

EDGES = 2
"""Spaces left of a table's first column and right of its last."""

HANGING = 2
"""Indent of the lines after the first in a wrapped text: a symbol and a space."""

# A symbol never stands alone: the word beside it says the same.
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
    show: Callable[[], object],
    code: int | None = None,
    **others: Callable[[], str],
) -> None:
    """Print a command's result in the requested format: *value* as JSON, or as text by *show*.

    *others* return the text of further formats by name. With a *code* the command exits with it.
    Only the functions of this file know which format is requested.
    """
    form = settings().output
    if form in others:
        click.echo(others[form](), nl=False)
    elif form == "json":
        print_json(value)
    else:
        show()
    if code is not None:
        click.get_current_context().exit(code)


def early(show: Callable[[str], object], *lines: str) -> None:
    """Print *lines* of a text answer with *show* early; JSON is printed as a whole later."""
    if settings().output != "json":
        for line in lines:
            show(line)


def answer_each(values: Iterator[Value], show: Callable[[Iterator[Value]], Value]) -> Value:
    """Print *values* as they arrive, each as a line of JSON, or as text with *show*.

    Returns the last one.
    """
    return (_print_lines if settings().output == "json" else show)(values)


def _print_lines(values: Iterator[Value]) -> Value:
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
    return masked(_OBEYED.sub(_as_escape, text))


def _plain(value: Any) -> Any:
    """Return *value* for JSON: the result of its `as_json`, or its fields by name."""
    if hasattr(value, "as_json"):
        return _plain(value.as_json())
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return list(map(_plain, value)) if isinstance(value, list | tuple) else value


def _as_escape(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]


def console(*, stderr: bool = False) -> Console:
    """Return rich's console for stdout or stderr: plain and wide if not a terminal."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    colour = _colour(stream)
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


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], room: int | None = None) -> Table:
    """Return *rows* under *columns* as a table in the style of all commands.

    Cells are plain text, coloured by a leading symbol. On a terminal of *room* columns text wraps
    at words, so that ids and ARNs stay whole if at all possible.
    """
    from rich import box
    from rich.table import Table

    filled = Table(
        box=box.SIMPLE_HEAD if sys.stdout.isatty() else None, pad_edge=False, header_style="bold"
    )
    cells = [[mark(cell) for cell in row] for row in rows]
    texts = [list(columns), *([cell.plain for cell in row] for row in cells)]
    widths = [None] * len(columns) if room is None else _widths(texts, room)
    for column, width in zip(columns, widths, strict=True):
        filled.add_column(column, overflow="fold", width=width)
    for row in cells:
        filled.add_row(*row)
    return filled


def _widths(rows: Sequence[Sequence[str]], room: int) -> list[int]:
    """Divide *room* among the columns: first each column's longest word, then the rest.

    If not even the words fit, the longest words after the first column are broken.
    """
    from rich.cells import cell_len

    columns = list(zip(*rows, strict=True))
    whole = [max(map(cell_len, cells)) for cells in columns]
    widths = [max(cell_len(w) for text in cells for w in text.split() or [""]) for cells in columns]
    left = room - EDGES - GAP * (len(columns) - 1) - sum(widths)
    while left < 0 and max(widths[1:], default=0) > 1:
        widths[1 + widths[1:].index(max(widths[1:]))] -= 1
        left += 1
    while left > 0 and (short := [i for i, width in enumerate(widths) if width < whole[i]]):
        widths[min(short, key=lambda index: widths[index])] += 1
        left -= 1
    return widths


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, whole: bool = False
) -> None:
    """Print *rows* as a table on stdout; cells are plain text, coloured by a leading symbol.

    With *whole*, each row is one line of any length if the output is not a terminal.
    """
    out = console()
    filled = table(columns, rows, out.width if sys.stdout.isatty() else None)
    if whole and not sys.stdout.isatty():
        out.width = max(out.width, _width_of(filled, out))
    with out.capture() as captured:
        out.print(filled)
    # rich fills every line up to the table's width; what is piped should not end in spaces.
    lines = captured.get().splitlines()
    click.echo("\n".join(inert(line.rstrip()) for line in lines), color=_colour(sys.stdout))


def _width_of(made: Table, out: Console) -> int:
    """Return the width of *made* in columns when nothing wraps."""
    from rich.measure import Measurement

    return Measurement.get(out, out.options.update(max_width=sys.maxsize), made).maximum


def terminal_width() -> int | None:
    """Return the width of the terminal behind stdout in columns, or None if there is none."""
    return _columns_of(sys.stdout) or None


Columns = Mapping[str, Sequence[str]]
"""The columns of a table by heading, each with its cells."""


def print_columns(columns: Columns, headings: Iterable[str] = ()) -> None:
    """Print *columns* as a table; names those of *headings* on stderr that it leaves out.

    Each row is one line of any length when not on a terminal.
    """
    print_table(list(columns), zip(*columns.values(), strict=True), whole=True)
    if hidden := [heading for heading in headings if heading not in columns]:
        note(f"{INFO} {left_out(hidden)}; -o json shows everything")


def room_beside(columns: Columns, width: int) -> int:
    """Return how many of *width* columns remain for one more column beside *columns*."""
    from rich.cells import cell_len

    taken = (max(map(cell_len, (head, *cells))) + GAP for head, cells in columns.items())
    return width - EDGES - sum(taken)


def columns_within(
    width: int | None, always: Columns, more: Iterable[Columns]
) -> dict[str, Sequence[str]]:
    """Return the columns *always*, and as many of *more* as fit into *width* without a break.

    The first groups of *more* are the most important ones; a group is shown whole or not at all.
    """
    shown = dict(always)
    for group in more:
        wider = shown | dict(group)
        if width is None or room_beside(wider, width) >= -GAP:
            shown = wider
    return shown


def left_out(headings: Sequence[str]) -> str:
    """Return the columns of a table that do not fit on the terminal."""
    return f"a wider terminal also shows: {', '.join(headings)}"


def print_matrix(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table that is too wide as several tables, each with the first column.

    A row without content (only `-`) in one of these tables is left out there.
    """
    rows = [list(row) for row in rows]
    widths = [max(map(len, cells)) + GAP for cells in zip(columns, *rows, strict=True)]
    for group in _groups(widths, console().width):
        shown = [[row[0], *(row[index] for index in group)] for row in rows]
        print_table(
            [columns[0], *(columns[index] for index in group)],
            [row for row in shown if set(row[1:]) != {"-"}],
        )


def _groups(widths: Sequence[int], room: int) -> list[list[int]]:
    """Divide the columns after the first into groups that fit into *room* beside it."""
    groups: list[list[int]] = []
    used = room
    for index, width in enumerate(widths[1:], start=1):
        if used + width > room:
            groups.append([])
            used = widths[0]
        groups[-1].append(index)
        used += width
    return groups


def mark(text: str) -> Any:
    """Return *text* coloured by the symbol it begins with."""
    from rich.text import Text

    return Text(one_line(text), style=STYLE.get(text[:1], ""))


def say(text: str, *, hanging: int | None = None) -> None:
    """Print a line on stdout, coloured by the symbol it begins with; wraps as `fitted` does."""
    shown = fitted(text, sys.stdout, hanging=hanging)
    click.secho(shown, fg=_style(text, sys.stdout), color=_colour(sys.stdout))


def say_lines(lines: Iterable[str]) -> None:
    """Print *lines* on stdout, each coloured by the symbol that it begins with."""
    for line in lines:
        say(line)


def heading(text: str) -> None:
    """Print a heading on stdout, bold if colours are on."""
    click.secho(one_line(text), bold=_colour(sys.stdout), color=_colour(sys.stdout))


def note(text: str) -> None:
    """Print progress on stderr, unless --quiet was given; not for warnings."""
    if not settings().quiet or text.startswith(WARN):
        complain(text)


def complain(text: str) -> None:
    """Print on stderr, even with --quiet, what failed and what to do about it."""
    style = _style(text, sys.stderr)
    click.secho(fitted(text, sys.stderr), err=True, fg=style, color=_colour(sys.stderr))


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


def _columns_of(stream: Any) -> int:
    """Return the width of the terminal behind *stream*, or 0 if it is not one."""
    if not stream.isatty():
        return 0
    given = os.environ.get("COLUMNS", "")
    try:
        return int(given) if given.isdigit() else os.get_terminal_size(stream.fileno()).columns
    except OSError:  # a stream that only looks like a terminal
        return 0


def complain_remedies(remedies: Iterable[str | None]) -> None:
    """Print each remedy once on stderr."""
    for remedy in dict.fromkeys(remedies):
        if remedy:
            complain(f"  fix: {remedy}")


def _style(text: str, stream: Any) -> str | None:
    """Return the colour of a line: by its leading symbol, or the sign of a difference."""
    if not _colour(stream):
        return None
    first, _, rest = text.lstrip().partition(" ")
    return STYLE.get(first[:1]) or (SIGNS.get(first) if rest else None)


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


def _colour(stream: Any) -> bool:
    choice = settings().color
    if choice != "auto":
        return choice == "always"
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


FORMULA: Final = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Characters that start a formula in a spreadsheet, full-width forms included.

https://owasp.org/www-community/attacks/CSV_Injection
"""


def as_csv(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return *rows* as CSV with a header (RFC 4180); `cell` formats each cell."""
    import csv  # few commands print it

    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([cell(each) for each in row] for row in rows)
    return text.getvalue()


def cell(text: str) -> str:
    """Escape control characters in *text*, and put an apostrophe before a formula.

    A number may keep its sign. JSON has the exact characters.
    """
    made = one_line(text)
    return f"'{made}" if made.lstrip().startswith(FORMULA) and not _is_number(made) else made


def _is_number(text: str) -> bool:
    digits = text.removeprefix("-").replace(".", "", 1)
    return digits.isascii() and digits.isdigit()


def agreed(aws: Aws, question: str) -> bool:
    """Ask *question* unless --yes was given; raises InputError if no terminal can answer.

    After a no, says that nothing was changed.
    """
    if not _asks(aws, question) or click.confirm(one_line(question), err=True):
        return True
    note(f"{WARN} nothing was changed")
    return False


def typed(aws: Aws, words: str, purpose: str) -> bool:
    """Make the user type *words* for *purpose*, unless --yes was given; raises as `agreed`."""
    question = f"type `{words}` {purpose}"
    if not _asks(aws, question):
        return True
    given: str = click.prompt(one_line(question), default="", show_default=False, err=True)
    if given != words:
        note(f"{WARN} nothing was changed")
    return given == words


def _asks(aws: Aws, question: str) -> bool:
    """Print where the change would be made, and return whether confirmation is required."""
    if settings().yes:
        return False
    if not sys.stdin.isatty():
        raise InputError(
            f"confirmation required, but stdin is not a terminal: {question}",
            remedy="add --yes, or --dry-run if the command has it",
        )
    identity = aws.identity()
    where = f" in {aws.region}" if aws.region else ""
    complain(f"account {identity.account}, as {identity.arn}{where}")
    return True
