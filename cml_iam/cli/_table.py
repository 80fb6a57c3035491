"""Tables: rows under columns, and how many columns fit on a terminal; and CSV for spreadsheets.

In CSV, every cell is text, never a formula.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import click

from cml_iam.cli._output import INFO, console, in_colour, mark, note
from cml_iam.visible import inert, one_line

if TYPE_CHECKING:
    from rich.table import Table

GAP = 3
"""Spaces between two columns of a table."""

EDGES = 2
"""Spaces left of a table's first column and right of its last."""

Columns = Mapping[str, Sequence[str]]
"""The columns of a table by heading, each with its cells."""


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], room: int | None = None) -> Table:
    """Return *rows* under *columns* as a table in the style of all commands.

    Cells are plain text, coloured by a leading symbol. On a terminal of *room* columns text wraps
    at words, so that ids and ARNs stay whole if at all possible. If no column has a heading, the
    table has no head.
    """
    from rich import box
    from rich.table import Table

    filled = Table(
        box=box.SIMPLE_HEAD if sys.stdout.isatty() else None,
        pad_edge=False,
        header_style="bold",
        show_header=any(columns),
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
    widths = [
        max(cell_len(word) for text in cells for word in text.split() or [""]) for cells in columns
    ]
    left = room - EDGES - GAP * (len(columns) - 1) - sum(widths)
    while left < 0 and max(widths[1:], default=0) > 1:
        widths[1 + widths[1:].index(max(widths[1:]))] -= 1
        left += 1
    while left > 0 and (
        short := [index for index, wide in enumerate(whole) if widths[index] < wide]
    ):
        widths[min(short, key=lambda index: widths[index])] += 1
        left -= 1
    return widths


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, whole: bool = False
) -> None:
    """Print *rows* as a table on stdout; cells are plain text, coloured by a leading symbol.

    With *whole*, each row is one line of any length if the output is not a terminal.
    """
    out, on_terminal = console(), sys.stdout.isatty()
    filled = table(columns, rows, out.width if on_terminal else None)
    if whole and not on_terminal:
        unbounded = out.options.update(max_width=sys.maxsize)
        out.width = max(out.width, out.measure(filled, options=unbounded).maximum)
    with out.capture() as captured:
        out.print(filled)
    # rich fills every line up to the table's width; what is piped should not end in spaces.
    lines = captured.get().splitlines()
    click.echo("\n".join(inert(line.rstrip()) for line in lines), color=in_colour(sys.stdout))


def print_columns(columns: Columns, headings: Iterable[str] = ()) -> None:
    """Print *columns* as a table; names those of *headings* on stderr that it leaves out.

    Each row is one line of any length when not on a terminal.
    """
    print_table(list(columns), zip(*columns.values(), strict=True), whole=True)
    if hidden := left_out(columns, headings):
        note(f"{INFO} {hidden}; -o json shows everything")


def left_out(columns: Columns, headings: Iterable[str]) -> str:
    """Name those of *headings* that are not among *columns*, because the terminal is narrow."""
    hidden = [heading for heading in headings if heading not in columns]
    return f"a wider terminal also shows: {', '.join(hidden)}" if hidden else ""


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


def print_matrix(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table that is too wide as several tables, each with the first column.

    A row without content (only `-`) in one of these tables is left out there.
    """
    # `report.text` divides a grid in this way too, but loading it would slow the start by a tenth.
    rows, room = list(rows), console().width
    widths = [max(map(len, cells)) + GAP for cells in zip(columns, *rows, strict=True)]
    groups: list[list[int]] = []
    used = room
    for index, width in enumerate(widths[1:], start=1):
        if used + width > room:
            groups.append([0])
            used = widths[0]
        groups[-1].append(index)
        used += width
    for group in groups:
        shown = [[row[index] for index in group] for row in rows]
        print_table(
            [columns[index] for index in group], [row for row in shown if set(row[1:]) != {"-"}]
        )


FORMULA: Final = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Characters that start a formula in a spreadsheet, full-width forms included.

https://owasp.org/www-community/attacks/CSV_Injection
"""


def as_csv(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return *rows* as CSV with a header (RFC 4180); `csv_cell` formats each cell."""
    import csv  # few commands print it

    text = io.StringIO()
    csv.writer(text).writerows([columns, *(map(csv_cell, row) for row in rows)])
    return text.getvalue()


def csv_cell(text: str) -> str:
    """Escape control characters in *text*, and put an apostrophe before a formula.

    A number may keep its sign. JSON has the exact characters.
    """
    line = one_line(text)
    digits = line.removeprefix("-").replace(".", "", 1)
    is_number = digits.isascii() and digits.isdigit()
    return f"'{line}" if line.lstrip().startswith(FORMULA) and not is_number else line
