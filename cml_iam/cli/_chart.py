"""Values over time, drawn in a terminal: bars in a line, and charts with axes.

A gap in what is known is a gap in what is drawn, never a zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from math import ceil, floor, log10
from typing import Final

Values = Sequence[float | None]

BLOCKS: Final = "▁▂▃▄▅▆▇█"
SIGNS: Final = "_.:-=+*#"
"""The eight levels where only ASCII can be written."""

HEIGHT: Final = 8
_PERCENT_TOPS: Final = (10.0, 25.0, 50.0, 100.0)


@dataclass(frozen=True, slots=True)
class Pen:
    """What is drawn with: eight *levels* from low to high, the axes' corners and lines."""

    levels: str
    tick: str
    corner: str
    line: str
    gap: str


UNICODE: Final = Pen(BLOCKS, "┤", "┼", "─", "╌")
ASCII: Final = Pen(SIGNS, "|", "+", "-", " ")


def pen_for(encoding: str | None) -> Pen:
    """Return blocks where *encoding* can write them, else signs of ASCII."""
    try:
        (BLOCKS + UNICODE.tick + UNICODE.gap).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE


def sparkline(values: Values, top: float, pen: Pen = UNICODE) -> str:
    """Return *values* from 0 to *top* as a line of bars of eight levels; unknown is a space."""
    return "".join(" " if each is None else pen.levels[_level(each, top)] for each in values)


def squeezed(values: Values, width: int) -> list[float | None]:
    """Return *values* in at most *width* columns, each the mean of what is known in it."""
    if len(values) <= width:
        return list(values)
    edges = [number * len(values) // width for number in range(width + 1)]
    return [_mean(values[a:b]) for a, b in pairwise(edges)]


def chart(
    values: Values,
    start: datetime,
    end: datetime,
    *,
    rate: bool,
    width: int,
    height: int = HEIGHT,
    pen: Pen = UNICODE,
) -> list[str]:
    """Return the lines of a chart of *values*, percents or bytes per second, from *start* to *end*.

    It has axes with units and times in UTC, and is at most *width* columns wide.
    """
    top = scale([each for each in values if each is not None], rate=rate)
    labels = [_label(top * row / height, rate=rate) for row in range(height + 1)]
    margin = max(map(len, labels)) + 1
    columns = _widened(squeezed(values, max(8, width - margin - 2)), max(8, width - margin - 2))
    lines = []
    for row in range(height, 0, -1):
        label = labels[row] if row % 2 == 0 else ""
        cells = "".join(_cell(each, top, row, height, pen) for each in columns)
        lines.append(f"{label:>{margin}} {pen.tick}{cells}".rstrip())
    base = "".join(pen.gap if each is None else pen.line for each in columns)
    lines.append(f"{labels[0]:>{margin}} {pen.corner}{base}".rstrip())
    lines.append(" " * (margin + 2) + _times(start, end, len(columns)))
    return lines


def scale(values: Sequence[float], *, rate: bool) -> float:
    """Return the round number at or above all *values*: where the axis ends."""
    highest = max(values, default=0.0)
    if not rate:
        return next((each for each in _PERCENT_TOPS if highest <= each), ceil(highest))
    if highest <= 0:
        return 1000.0
    # Less than one a second is drawn on the axis to one: powers of ten end before the least float.
    highest = max(highest, 1.0)
    power = 10.0 ** floor(log10(highest))
    return next(each * power for each in (1.0, 2.0, 4.0, 8.0, 10.0) if highest <= each * power)


def amount(value: float, *, rate: bool) -> str:
    """Return *value* with its unit: `12.5 %`, `3.4 MB/s`."""
    if not rate:
        return f"{value:.1f} %"
    for unit in ("B", "kB", "MB"):
        if value < 999.5:
            return f"{_short(value)} {unit}/s"
        value /= 1000
    return f"{_short(value)} GB/s"


def _label(value: float, *, rate: bool) -> str:
    return amount(value, rate=True) if rate else f"{_short(value)} %"


def _short(value: float) -> str:
    return f"{value:.1f}" if 0 < value < 99.95 and value != int(value) else f"{value:.0f}"


def _level(value: float, top: float) -> int:
    return min(7, max(0, int(value / top * 8))) if top > 0 else 0


def _cell(value: float | None, top: float, row: int, height: int, pen: Pen) -> str:
    """Return what a column shows in *row*, 1 being the lowest: full, empty, or its eighths."""
    if value is None:
        return " "
    filled = value / top * height - (row - 1)
    if filled >= 1:
        return pen.levels[7]
    if filled > 0:
        return pen.levels[min(7, max(0, ceil(filled * 8) - 1))]
    # Zero is known, and shows as the thinnest bar: a gap shows nothing.
    return pen.levels[0] if row == 1 else " "


def _mean(values: Values) -> float | None:
    known = [each for each in values if each is not None]
    return sum(known) / len(known) if known else None


def _widened(values: list[float | None], width: int) -> list[float | None]:
    return [values[column * len(values) // width] for column in range(width)] if values else []


def _times(start: datetime, end: datetime, width: int) -> str:
    """Return the axis of time: its start, middle and end, as many as there is room for."""
    form = "%H:%M" if end - start < timedelta(days=1) else "%m-%d %H:%M"
    first, middle = start.strftime(form), (start + (end - start) / 2).strftime(form)
    last = f"{end.strftime(form)} UTC"
    room = width - len(first) - len(last)
    if room < 1:
        return f"{first} to {last}"
    if room < len(middle) + 4:
        return f"{first}{' ' * room}{last}"
    left = width // 2 - len(middle) // 2 - len(first)
    return f"{first}{' ' * left}{middle}".ljust(width - len(last)) + last
