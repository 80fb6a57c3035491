"""A report as GitHub Markdown, for a job summary.

GitHub accepts one mebibyte per step, and shows nothing of a larger summary. The most important
parts therefore come first, and the rest is counted instead of written.
https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#step-isolation-and-limits
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from cml_iam.report import capital, is_page, shown

if TYPE_CHECKING:
    from cml_iam.report import Cell, Document, Grid, Item, Place, Section

ROOM: Final = 900_000
"""Maximum size in bytes of UTF-8, well below the 1 MiB that a step may write."""

_LONGEST: Final = 2_000
"""Maximum characters of one text, so that a long message leaves room for others."""

_ACTIVE: Final = re.compile(r"[&<>|*_`~\[\]\\@#$!]|:(?=//)|(?<=www)\.")

Part = tuple[str, list[str]]
"""A part of the report: the lines before its rows, and the rows."""


def markdown_of(document: Document) -> str:
    """Return *document* as Markdown of less than a mebibyte."""
    written = [_head(document)]
    room = ROOM - len(written[0].encode())
    for before, rows in (part for section in document.sections for part in _parts(section)):
        text, room = _fitting(before, rows, room)
        written.append(text)
    return "\n".join(written)


def _fitting(before: str, rows: list[str], room: int) -> tuple[str, int]:
    """Return as much of a part as fits in *room*, and the remaining room."""
    text = before
    room -= len(text.encode())
    for number, row in enumerate(rows):
        size = len(row.encode())
        if size > room:
            left = (
                f"**{len(rows) - number} more do not fit here; see the report in another format.**"
            )
            return f"{text}\n{left}\n", room
        text += row
        room -= size
    return text, room


def _head(document: Document) -> str:
    about = ", ".join(f"{name} {_code(value)}" for name, value in document.about)
    lines = [capital(about), *(_plain(capital(line)) for line in document.lines)]
    title = f"# {document.symbol} {_plain(document.verdict)}"
    return "\n\n".join([title, *(f"{line}." for line in lines if line)]) + "\n"


def _parts(section: Section) -> Iterator[Part]:
    for grid in section.grids:
        yield _grid(grid)
    if section.items:
        yield f"## {section.heading}\n\n", [_item(item) for item in section.items]
    elif section.rows:
        columns, rows = section.filled()
        head = _columns(*(column.name for column in columns))
        yield f"## {section.heading}\n\n{head}", [_row(*map(_cell, row)) for row in rows]


def _item(item: Item) -> str:
    lines = [
        f"### {_plain(item.title)}",
        f"{_code(item.place)}<br>{_plain(item.message)}",
        *_behind(item),
    ]
    return "\n\n".join(lines) + "\n\n"


def _behind(item: Item) -> Iterator[str]:
    if item.accounts[1:]:
        yield f"In {len(item.accounts)} accounts: {_plain(', '.join(item.accounts))}"
    for note in item.notes:
        yield capital(_plain(note))
    if item.remedy:
        yield f"**What to do:** {_plain(item.remedy)}"
    if item.requests:
        steps = "".join(
            f"<li>{_plain(request.says)}: <b>{_plain(request.outcome)}</b><br>"
            f"{_code(request.line)}</li>"
            for request in item.requests
        )
        kind, name = ("ol", "Steps") if item.is_sequence else ("ul", "For example")
        yield f"<details><summary>{name}</summary><{kind}>{steps}</{kind}></details>"
    if item.page:
        link = _code(item.page)
        if is_page(item.page):
            link = f'<a href="{item.page}">{item.page}</a>'
        yield f"<sub>{link}</sub>"


def _grid(grid: Grid) -> Part:
    heading = f"## {grid.symbol + ' ' if not grid.rows else ''}{_plain(grid.title)}\n\n"
    if not grid.rows:
        return heading, []
    rows = [
        _row(
            _code(name),
            *(_place(place, grid.absent or "-") for place in places),
        )
        for name, places in grid.rows
    ]
    legend = "".join(f"* {_plain(place.word)}: {_plain(place.detail)}\n" for place in grid.legend)
    lead = f"{legend}\n" if legend else ""
    return heading + lead + _columns(grid.of, *map(_plain, grid.columns)), rows


def _place(place: Place | None, absent: str) -> str:
    return _plain(f"{place.symbol} {place.word}") if place else absent


def _cell(cell: Cell) -> str:
    text = _code(cell.text) if cell.code else _plain(cell.text)
    return " ".join(filter(None, (cell.symbol, text)))


def _columns(*names: str) -> str:
    return _row(*names) + _row(*("---" for _ in names))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


def _code(text: str | None) -> str:
    """Return foreign *text* as HTML code, because Markdown cannot escape backticks in code."""
    return f"<code>{_inactive(_bounded(text))}</code>" if text else ""


def _plain(text: str) -> str:
    """Return foreign *text* escaped for Markdown and HTML, with text in backticks as code."""
    parts = re.split("`([^`]+)`", _bounded(text))
    return "".join(
        f"<code>{_inactive(part)}</code>" if number % 2 else _inactive(part)
        for number, part in enumerate(parts)
    )


def _bounded(text: str) -> str:
    safe = shown(text)
    return f"{safe[:_LONGEST]}…" if len(safe) > _LONGEST else safe


def _inactive(text: str) -> str:
    return _ACTIVE.sub(lambda match: f"&#{ord(match[0])};", text)
