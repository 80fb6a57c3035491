"""Tables of plain text; one too wide is told as several, each with the first column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cml_iam.audit.write import _words as words
from cml_iam.audit.write._escape import shown
from cml_iam.visible import inert

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cml_iam.audit._report import Matrix

GAP: Final = "  "
NONE: Final = "-"


def matrix_tables(matrix: Matrix, width: int) -> Iterator[list[str]]:
    """Yield the lines of as many tables as *matrix* needs in *width* columns."""
    columns = ["permission", *matrix.situations]
    rows = list(matrix_rows(matrix))
    for group in _groups(columns, rows, width):
        kept = [[row[index] for index in (0, *group)] for row in rows]
        told = [row for row in kept if set(row[1:]) != {NONE}]
        yield plain_table([columns[index] for index in (0, *group)], told, width)


def matrix_rows(matrix: Matrix) -> Iterator[list[str]]:
    """Yield a row for each permission: its name, and symbol and word for each situation."""
    cells = {(each.permission, each.situation): each for each in matrix.cells}
    for permission in matrix.permissions:
        found = [cells.get((permission, situation)) for situation in matrix.situations]
        yield [permission, *(" ".join(words.cell(each)) if each else NONE for each in found)]


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Return headings and rows in columns as wide as their contents.

    Where that is wider than *width*, each row is told in lines of its own.
    """
    clean = [[inert(shown(cell)) for cell in row] for row in (columns, *rows)]
    widths = [max(map(len, cells)) for cells in zip(*clean, strict=True)]
    if sum(widths) + len(GAP) * (len(widths) - 1) > width:
        return [line for row in clean[1:] for line in _told(clean[0], row)]
    return [
        GAP.join(cell.ljust(room) for cell, room in zip(row, widths, strict=True)).rstrip()
        for row in clean
    ]


def _told(columns: Sequence[str], row: Sequence[str]) -> list[str]:
    rest = zip(columns[1:], row[1:], strict=True)
    return [row[0], *(f"    {name}: {cell}" for name, cell in rest if cell)]


def _groups(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[list[int]]:
    """Share the columns after the first out in groups that fit beside the first."""
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
