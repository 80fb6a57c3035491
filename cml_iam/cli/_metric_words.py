"""How measurements are written: amounts with their units, and sparklines."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import ceil
from typing import Final

from cml_iam.workers import Measure, Metric, Utilization

Values = Sequence[float | None]

BLOCKS: Final = "▁▂▃▄▅▆▇█"
SIGNS: Final = "_.:-=+*#"
"""The eight levels of a sparkline in ASCII."""


def levels_for(encoding: str | None) -> str:
    """Return the eight levels of a sparkline: blocks if *encoding* supports them, else ASCII."""
    try:
        BLOCKS.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return SIGNS
    return BLOCKS


def sparkline(values: Values, top: float, levels: str = BLOCKS) -> str:
    """Draw *values* from 0 to *top* as bars of eight levels; an unknown value is a space."""
    return "".join(
        " " if value is None else levels[min(7, max(0, int(value / top * 8)))] for value in values
    )


def squeezed(values: Values, width: int) -> list[float | None]:
    """Return *values* in at most *width* columns, each the mean of its known values."""
    if len(values) <= width:
        return list(values)
    edges = [number * len(values) // width for number in range(width + 1)]
    return [_mean(values[start:end]) for start, end in pairwise(edges)]


def _mean(values: Values) -> float | None:
    numbers = [value for value in values if value is not None]
    return sum(numbers) / len(numbers) if numbers else None


def scale(values: Sequence[float], *, rate: bool) -> float:
    """Return the round number at or above all *values*: the full height of a sparkline."""
    highest = max(values, default=0.0)
    if not rate:
        return next((top for top in (10.0, 25.0, 50.0, 100.0) if highest <= top), ceil(highest))
    if highest <= 0:
        return 1024.0
    return float(1 << (ceil(highest) - 1).bit_length())


def amount(value: float, *, rate: bool) -> str:
    """Return *value* with its unit, as the limits of `worker idle` have: `12.5 %`, `3.4 MiB/s`."""
    if not rate:
        return f"{value:.1f} %"
    for unit in ("B", "KiB", "MiB"):
        if value < 1023.5:
            return f"{_short(value)} {unit}/s"
        value /= 1024
    return f"{_short(value)} GiB/s"


def _short(value: float) -> str:
    return f"{value:.1f}" if 0 < value < 99.95 and value != int(value) else f"{value:.0f}"


def scale_words(top: float, *, rate: bool) -> str:
    """Return a scale from 0 to *top* with its unit: `0-25 %`, `0-2 MiB/s`."""
    return f"0-{amount(top, rate=True)}" if rate else f"0-{_short(top)} %"


def known_values(metric: Metric, used: Utilization) -> list[float]:
    """Return the averages of *metric* over the window, without its gaps."""
    return [value for value in metric.slots(used.start, used.end) if value is not None]


def trend(metric: Metric, used: Utilization, width: int, top: float, levels: str) -> str:
    """Draw the points of *metric* as at most *width* bars from 0 to *top*, with gaps."""
    slots = metric.slots(used.start, used.end)
    return sparkline(squeezed(slots, width), top, levels).rstrip()


def shown_amount(value: float | None, metric: Metric) -> str:
    """Return *value* of *metric* with its unit, or `-` for none."""
    return "-" if value is None else amount(value, rate=Measure(metric.name).is_rate)
