"""`cml-iam worker metrics`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from cml_iam.cli._metric_words import (
    MEASURES,
    SIGNS,
    could_ask,
    known_values,
    levels_for,
    measures_of,
    reasons,
    scale,
    scale_words,
    short_names,
    shown_amount,
    trend,
)
from cml_iam.cli._names import complete_worker
from cml_iam.cli._output import (
    PIPED_WIDTH,
    UNKNOWN,
    Columns,
    answer,
    columns_within,
    console,
    note_left_out,
    print_table,
    progress,
    room_beside,
    say,
)
from cml_iam.cli._settings import aws_options, shared_options
from cml_iam.cli.worker_scene import length, scene
from cml_iam.cli.worker_show import wanted_workers
from cml_iam.report import plural
from cml_iam.workers import EVERY, USAGE, Measure, Metric, Utilization, Worker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

_TREND_LEAST, _TREND_MOST = 8, 96
_COLUMNS = ("worker", "metric", "mean", "latest", "max", "points", "scale", "trend")
"""In the order in which they are printed."""


@click.argument("workers", nargs=-1, shell_complete=complete_worker)
@click.option(
    "--window",
    type=length,
    metavar="TIME",
    default="15m",
    show_default=True,
    help="How far back to look, such as 15m, 1h or 7d.",
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
    shown as 0: it comes with the reason and what to do. Exits with 8 when CloudWatch could not be
    asked; a worker that is stopped, young or without the agent does not count.

    \b
    Examples:
      cml-iam worker metrics
      cml-iam worker metrics lab-1 --window 1h --metric cpu
    """  # noqa: D301 - click reads the backspace as "do not fill"
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
        [used[each.id].as_json(each) for each in found],
        lambda: _print(found, used, SIGNS if plain else levels_for(sys.stdout.encoding)),
        could_ask(used),
    )


def _print(found: Sequence[Worker], used: Mapping[str, Utilization], levels: str) -> None:
    pairs = _pairs(found, used)
    width = console().width if sys.stdout.isatty() else None
    columns = metric_columns(pairs, used, width, levels)
    print_table(list(columns), zip(*columns.values(), strict=True), whole=True)
    note_left_out([heading for heading in _COLUMNS if heading not in columns])
    for line in reasons(pairs):
        say(line)


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
    return [*first, *(shown_amount(each, metric) for each in values), count, drawn]


def _pairs(found: Sequence[Worker], used: Mapping[str, Utilization]) -> list[tuple[Worker, Metric]]:
    return [(each, metric) for each in found for metric in used[each.id].metrics.values()]
