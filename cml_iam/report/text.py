"""A report as plain text for a terminal of a given width; the command line adds colours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import Final

from cml_iam.report import Cell, Document, Grid, Item, Section, shown
from cml_iam.visible import inert

WIDTH: Final = 100
"""The width, in columns, if there is no terminal."""

GAP: Final = "  "
NONE: Final = "-"


def text_of(document: Document, width: int = WIDTH) -> str:
    """Return *document* as text: the verdict first, then the details."""
    parts = [
        list(_head(document, width)),
        *(part for section in document.sections for part in _section(section, width)),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def item_lines(item: Item, width: int = WIDTH, indent: int = 4) -> Iterator[str]:
    """Yield the lines below the title of *item*: message, requests, remedy, AWS page."""
    yield from filled(item.message, width, indent)
    if item.accounts[1:]:
        accounts = f"in {len(item.accounts)} accounts: {', '.join(item.accounts)}"
        yield from filled(accounts, width, indent)
    for lead, request in item.numbered():
        step = f"{lead} {request.says}: {request.outcome}"
        yield from filled(step, width, indent + 2, hang=3)
        if request.action:
            yield from filled(request.line, width, indent + 5)
    for note in item.notes:
        yield from filled(note, width, indent)
    if item.remedy:
        yield from filled(f"fix: {item.remedy}", width, indent)
    if item.page:
        yield f"{' ' * indent}see: {inert(shown(item.page))}"


def plain(cell: Cell) -> str:
    """Return the terminal text of *cell*."""
    return " ".join(filter(None, (cell.symbol, cell.brief or cell.text)))


def filled(text: str, width: int, indent: int = 0, hang: int | None = None) -> list[str]:
    """Wrap *text*, only at blanks; lines after the first are indented by *hang* more columns."""
    if hang is None:
        hang = 2 if indent else 4
    return wrap(
        inert(shown(text)),
        width=max(width, indent + 20),
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + hang),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]


def _head(document: Document, width: int) -> Iterator[str]:
    yield from filled(f"{document.symbol} {document.verdict}", width)
    about = ", ".join(f"{name} {value}" for name, value in document.about)
    for line in (about, *document.lines):
        if line:
            yield from filled(line, width, 2)


def _section(section: Section, width: int) -> Iterator[list[str]]:
    """Yield the parts of the section, which are printed with empty lines between them."""
    for grid in section.grids:
        yield list(_grid(grid, width))
    if section.items:
        yield [
            section.heading,
            *(line for item in section.items for line in _item(item, width)),
        ]
    elif section.rows:
        rows = _sentences(section, width) if section.lines else _table(section, width)
        yield [section.heading, *rows]


def _item(item: Item, width: int) -> Iterator[str]:
    title = item.title
    if item.place:  # before the tags in brackets
        tags = "".join(f" ({tag})" for tag in item.tags)
        title = f"{title.removesuffix(tags)} at {item.place}{tags}"
    yield from filled(title, width)
    yield from item_lines(item, width)


def _sentences(section: Section, width: int) -> Iterator[str]:
    """Yield each row as a sentence; a *joint* that begins with a line break starts a new line."""
    columns, rows = section.filled()
    for row in rows:
        sentence = "".join(
            f"{column.joint if number else ''}{shown(plain(cell))}"
            for number, (column, cell) in enumerate(zip(columns, row, strict=True))
            if plain(cell)
        )
        for line in sentence.split("\n"):
            bare = line.lstrip(" ")
            yield from filled(bare, width, len(line) - len(bare))


def _table(section: Section, width: int) -> list[str]:
    columns, rows = section.filled()
    cells = [[plain(cell) for cell in row] for row in rows]
    return aligned([column.name for column in columns], cells, width)


def _grid(grid: Grid, width: int) -> Iterator[str]:
    """Yield the lines of *grid*, in as many tables as the width needs."""
    yield from filled(f"{grid.symbol} {grid.title}" if not grid.rows else grid.title, width)
    if grid.accounts[1:]:
        yield from filled(f"accounts: {', '.join(grid.accounts)}", width, 4)
    absent = grid.absent or NONE
    rows = [
        [name, *(f"{place.symbol} {place.word}" if place else absent for place in places)]
        for name, places in grid.rows
    ]
    columns = [grid.of, *grid.columns]
    for number, group in enumerate(_groups(columns, rows, width) if rows else ()):
        if number:
            yield ""
        kept = [[row[index] for index in (0, *group)] for row in rows]
        filled_rows = [row for row in kept if set(row[1:]) != {absent}]
        yield from aligned([columns[index] for index in (0, *group)], filled_rows, width)
    for entry in grid.legend if rows else ():
        yield from filled(f"{entry.word}: {entry.detail}", width, 4)


def _groups(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[list[int]]:
    """Divide the columns after the first into groups that fit beside the first."""
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    groups: list[list[int]] = []
    used = width
    for index, wide in enumerate(widths[1:], start=1):
        if not groups or used + len(GAP) + wide > width:
            groups.append([])
            used = widths[0]
        groups[-1].append(index)
        used += len(GAP) + wide
    return groups


def aligned(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Return the lines of a table or, if it is wider than *width*, several for each row."""
    clean = [[inert(shown(cell)) for cell in row] for row in (columns, *rows)]
    widths = [max(map(len, cells)) for cells in zip(*clean, strict=True)]
    if sum(widths) + len(GAP) * (len(widths) - 1) > width:
        return [line for row in clean[1:] for line in _apart(clean[0], row)]
    return [
        GAP.join(cell.ljust(room) for cell, room in zip(row, widths, strict=True)).rstrip()
        for row in clean
    ]


def _apart(columns: Sequence[str], row: Sequence[str]) -> list[str]:
    rest = zip(columns[1:], row[1:], strict=True)
    return [row[0], *(f"    {name}: {cell}" for name, cell in rest if cell)]
