"""`cml-iam worker metrics`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta

import click

from cml_iam.cli._chart import ASCII, Pen, chart, pen_for
from cml_iam.cli._metric_words import (
    MEASURES,
    could_ask,
    measures_of,
    reasons,
    room_beside,
    short_names,
    shown_amount,
    trend,
    usage_json,
)
from cml_iam.cli._output import (
    UNKNOWN,
    console,
    heading,
    print_json,
    print_table,
    progress,
    say,
    wants_json,
)
from cml_iam.cli._settings import aws_options, shared_options
from cml_iam.cli.worker_scene import scene
from cml_iam.cli.worker_show import wanted_workers
from cml_iam.cli.worker_words import length
from cml_iam.workers import EVERY, USAGE, Measure, Metric, Utilization, Worker

_TREND_MOST = 96
_CHART_MOST = 160


@click.command()
@click.argument("workers", nargs=-1)
@click.option(
    "--window",
    type=length,
    metavar="LENGTH",
    default="15m",
    show_default=True,
    help="How far back: 15m, 1h, 7d.",
)
@click.option(
    "--metric",
    "named",
    type=click.Choice(MEASURES),
    multiple=True,
    help="Only this.  [default: all of WORKERS named; cpu and memory of the fleet]",
)
@click.option("--chart", "drawn", is_flag=True, help="Draw each over time.")
@click.option("--ascii", "plain", is_flag=True, help="Draw with ASCII only.")
@shared_options("site", "output")
@aws_options
@click.pass_context
def metrics(
    context: click.Context,
    workers: tuple[str, ...],
    window: timedelta,
    named: tuple[str, ...],
    *,
    drawn: bool,
    plain: bool,
) -> None:
    """Print how busy WORKERS, ids or names (* and ?), or all, were.

    CPU and memory in percent, network and disk in bytes per second. What is unknown is never
    printed as 0: it has a reason, and what to do about it. Exits with 8 when CloudWatch could not
    be asked; a worker that is stopped, young or without the agent is no failure.
    """
    here = scene()
    found = wanted_workers(here, workers)
    with progress(f"asking CloudWatch about {len(found)} worker(s)"):
        used = here.manager.get_utilization_of(
            found,
            window=window,
            measures=measures_of(named, EVERY if workers else USAGE),
            metric_data=here.metric_data,
        )
    if wants_json():
        print_json([usage_json(each, used[each.id]) for each in found])
    else:
        show = _draw if drawn else _print
        show(found, used, ASCII if plain else pen_for(sys.stdout.encoding))
    context.exit(could_ask(used))


def _print(found: Sequence[Worker], used: Mapping[str, Utilization], pen: Pen) -> None:
    columns = ["worker", "metric", "mean", "latest", "max", "points"]
    pairs = _pairs(found, used)
    named = short_names(found)
    rows = [_row(named[worker.id], metric) for worker, metric in pairs]
    room = min(_TREND_MOST, max(8, room_beside(columns, rows, console().width)))
    trends = [trend(metric, used[worker.id], room, pen) for worker, metric in pairs]
    print_table(
        [*columns, "trend"],
        [[*row, drawn] for row, drawn in zip(rows, trends, strict=True)],
    )
    for line in reasons(pairs):
        say(line)


def _row(name: str, metric: Metric) -> list[str]:
    first, count = [name, Measure(metric.name).words], str(metric.count)
    if metric.unknown:
        return [*first, f"{UNKNOWN} {metric.unknown}", "-", "-", count]
    values = (metric.mean, metric.latest, metric.maximum)
    return [*first, *(shown_amount(each, metric) for each in values), count]


def _pairs(found: Sequence[Worker], used: Mapping[str, Utilization]) -> list[tuple[Worker, Metric]]:
    return [(each, metric) for each in found for metric in used[each.id].metrics.values()]


def _draw(found: Sequence[Worker], used: Mapping[str, Utilization], pen: Pen) -> None:
    width = min(_CHART_MOST, console().width)
    for worker in found:
        heading(f"{worker.label}, {worker.instance_type}, {worker.region}")
        for metric in used[worker.id].metrics.values():
            say(_title(metric))
            if metric.points:
                _draw_one(metric, used[worker.id], width, pen)
            if metric.unknown:
                say(f"  {UNKNOWN} {metric.unknown}: {metric.detail}")
                say(f"  fix: {metric.remedy}")
            say("")


def _draw_one(metric: Metric, used: Utilization, width: int, pen: Pen) -> None:
    values = metric.slots(used.start, used.end)
    rate = Measure(metric.name).is_rate
    for line in chart(values, used.start, used.end, rate=rate, width=width, pen=pen):
        click.echo(line)


def _title(metric: Metric) -> str:
    words = Measure(metric.name).words
    if metric.unknown:
        return words
    named = (("mean", metric.mean), ("latest", metric.latest), ("max", metric.maximum))
    values = ", ".join(f"{name} {shown_amount(value, metric)}" for name, value in named)
    return f"{words}: {values}; {metric.count} points of {metric.period // 60} min"
