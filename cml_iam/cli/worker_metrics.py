"""`cml-iam worker metrics`, and how measurements are written: amounts, sparklines, reasons."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING, Final

import click

from cml_iam.cli._exit import Exit
from cml_iam.cli._output import (
    PIPED_WIDTH,
    UNKNOWN,
    Columns,
    answer,
    columns_within,
    print_columns,
    progress,
    room_beside,
    say_lines,
    terminal_width,
)
from cml_iam.cli._settings import aws_options, length, shared_options
from cml_iam.cli.worker_scene import complete_worker, scene
from cml_iam.cli.worker_show import short_names, wanted_workers
from cml_iam.report import plural
from cml_iam.workers import EVERY, NOT_ASKED, USAGE, Measure, Metric, Unknown, Utilization, Worker

if TYPE_CHECKING:
    from datetime import timedelta

Values = Sequence[float | None]

BLOCKS: Final = "▁▂▃▄▅▆▇█"
SIGNS: Final = "_.:-=+*#"
"""The eight levels of a sparkline in ASCII."""

_PERCENT_TOPS: Final = (10.0, 25.0, 50.0, 100.0)

MEASURES = [*(each.value.replace("_", "-") for each in EVERY), "all"]

_TREND_LEAST, _TREND_MOST = 8, 96
_COLUMNS = ("worker", "metric", "mean", "latest", "max", "points", "scale", "trend")
"""The metrics, in print order."""


@click.argument("workers", nargs=-1, shell_complete=complete_worker)
@click.option(
    "--window",
    type=length,
    metavar="TIME",
    default="15m",
    show_default=True,
    help="Time to look back, such as 15m, 1h or 7d.",
)
@click.option(
    "--metric",
    "named",
    type=click.Choice(MEASURES),
    multiple=True,
    help="Metric to show. Repeatable.  [default: all for named WORKERS; cpu and memory for "
    "the fleet]",
)
@click.option("--ascii", "plain", is_flag=True, help="Draw with ASCII characters only.")
@shared_options("site", "output")
@aws_options
def metrics(
    workers: tuple[str, ...],
    window: timedelta,
    named: tuple[str, ...],
    *,
    plain: bool,
) -> None:
    """Show the CPU, memory, network and disk use of WORKERS, IDs or names (* and ?), or of all.

    CPU and memory are in percent, network and disk in bytes per second. An unknown value is never
    shown as 0, but with the reason and a remedy. Exits with 8 when CloudWatch did not answer;
    workers that are stopped, new or without the agent do not count.

    Examples:
      cml-iam worker metrics
      cml-iam worker metrics lab-1 --window 1h --metric cpu
    """
    here = scene()
    found = wanted_workers(here, workers)
    with progress(f"asking CloudWatch about {plural(len(found), 'worker')}"):
        used = here.manager.get_utilization_of(
            found,
            window=window,
            measures=measures_of(named, EVERY if workers else USAGE),
            metric_data=here.metric_data,
        )
    answer(
        [used[worker.id].as_json(worker) for worker in found],
        lambda: _print(found, used, SIGNS if plain else levels_for(sys.stdout.encoding)),
        could_ask(used),
    )


def _print(found: Sequence[Worker], used: Mapping[str, Utilization], levels: str) -> None:
    pairs = _pairs(found, used)
    print_columns(metric_columns(pairs, used, terminal_width(), levels), _COLUMNS)
    say_lines(reasons(pairs))


def metric_columns(
    pairs: Sequence[tuple[Worker, Metric]],
    used: Mapping[str, Utilization],
    width: int | None,
    levels: str,
) -> Columns:
    """Return the columns of *pairs* that fit into *width* without a break, each with its cells.

    Workers, metrics and means are always shown, and a trend only beside its scale.
    """
    found = list({worker.id: worker for worker, _ in pairs}.values())
    named = short_names(found)
    tops = [_top(metric, used[worker.id]) for worker, metric in pairs]
    rows = [
        _row(named[worker.id], metric, top)
        for (worker, metric), top in zip(pairs, tops, strict=True)
    ]
    cells = {head: [row[at] for row in rows] for at, head in enumerate(_COLUMNS[:-1])}
    least = [" " * _TREND_LEAST for _ in pairs]
    shown = columns_within(
        width,
        {head: cells[head] for head in ("worker", "metric", "mean")},
        [
            {"latest": cells["latest"]},
            {"max": cells["max"]},
            {"scale": cells["scale"], "trend": least},
            {"points": cells["points"]},
        ],
    )
    if "trend" in shown:
        beside = {head: shown[head] for head in shown if head != "trend"}
        room = max(_TREND_LEAST, room_beside(beside, width or PIPED_WIDTH))
        shown["trend"] = [
            trend(metric, used[worker.id], min(_TREND_MOST, room), top, levels)
            for (worker, metric), top in zip(pairs, tops, strict=True)
        ]
    return {head: shown[head] for head in _COLUMNS if head in shown}


def _top(metric: Metric, used: Utilization) -> float:
    return scale(known_values(metric, used), rate=Measure(metric.name).is_rate)


def _row(name: str, metric: Metric, top: float) -> list[str]:
    first, count = [name, Measure(metric.name).words], str(metric.count)
    drawn = scale_words(top, rate=Measure(metric.name).is_rate) if metric.points else "-"
    if metric.unknown:
        return [*first, f"{UNKNOWN} {metric.unknown}", "-", "-", count, drawn]
    values = (metric.mean, metric.latest, metric.maximum)
    return [*first, *(shown_amount(value, metric) for value in values), count, drawn]


def _pairs(found: Sequence[Worker], used: Mapping[str, Utilization]) -> list[tuple[Worker, Metric]]:
    return [(worker, metric) for worker in found for metric in used[worker.id].metrics.values()]


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
    return [_mean(values[a:b]) for a, b in pairwise(edges)]


def _mean(values: Values) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def scale(values: Sequence[float], *, rate: bool) -> float:
    """Return the round number at or above all *values*: the full height of a sparkline."""
    highest = max(values, default=0.0)
    if not rate:
        return next((top for top in _PERCENT_TOPS if highest <= top), ceil(highest))
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


def reasons(pairs: Sequence[tuple[Worker, Metric]]) -> list[str]:
    """Print each reason for unknown values once, with its workers, metrics and remedy."""
    concerned: dict[tuple[Unknown, str, str | None], list[tuple[Worker, Metric]]] = {}
    for worker, metric in pairs:
        if metric.unknown:
            # What CloudWatch has is another thing for each metric; why it was not asked is not.
            own = "" if metric.unknown in _OF_THE_WORKER else metric.name
            concerned.setdefault((metric.unknown, own, metric.remedy), []).append((worker, metric))
    named = short_names(list({worker.id: worker for worker, _ in pairs}.values()))
    lines = []
    for (unknown, _, _), found in concerned.items():
        worker, metric = found[0]
        names = ", ".join(dict.fromkeys(Measure(each.name).words for _, each in found))
        others = len({each.id for each, _ in found}) - 1
        more = f" (and {others} more)" if others else ""
        lines.append(f"{UNKNOWN} {names} {unknown}: {named[worker.id]}: {metric.detail}{more}")
        lines.append(f"  fix: {metric.remedy}")
    return lines


_OF_THE_WORKER = {Unknown.NOT_RUNNING, Unknown.TOO_YOUNG, Unknown.WINDOW_TOO_SHORT, *NOT_ASKED}


def could_ask(used: Mapping[str, Utilization]) -> Exit:
    """Return 8 if CloudWatch could not be asked about something, else 0."""
    found = {
        metric.unknown for utilization in used.values() for metric in utilization.metrics.values()
    }
    return Exit.UNCHECKED if found & NOT_ASKED else Exit.OK


def measures_of(named: Sequence[str], default: Sequence[Measure]) -> tuple[Measure, ...]:
    """Return the measures *named*; `all` means every one, and none means *default*."""
    if "all" in named:
        return EVERY
    chosen = [each for each in EVERY if each.value.replace("_", "-") in named]
    return tuple(chosen) or tuple(default)
