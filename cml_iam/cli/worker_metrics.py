"""`cml-iam worker metrics`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click

from cml_iam.cli._exit import Exit
from cml_iam.cli._output import (
    UNKNOWN,
    console,
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
from cml_iam.workers import Metric, Unknown, Utilization, Worker

_LEVELS = "▁▂▃▄▅▆▇█"


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
@shared_options("site", "output", "color", "quiet")
@aws_options
@click.pass_context
def metrics(context: click.Context, workers: tuple[str, ...], window: timedelta) -> None:
    """Print how busy WORKERS, ids or names (* and ?), or all, were: CPU and memory in percent.

    What is unknown is never printed as 0: it has a reason, and what to do about it. Exits with 8
    when CloudWatch could not be asked; a worker that is stopped, young or without the agent is no
    failure.
    """
    here = scene()
    found = wanted_workers(here, workers)
    with progress(f"asking CloudWatch about {len(found)} worker(s)"):
        granted = here.site is not None and here.site.grant.metric_data
        used = here.manager.get_utilization_of(found, window=window, metric_data=granted)
    if wants_json():
        print_json([_as_json(each, used[each.id]) for each in found])
    else:
        _print(found, used)
    context.exit(_code(used))


def _print(found: tuple[Worker, ...], used: dict[str, Utilization]) -> None:
    columns = ["worker", "metric", "mean %", "latest %", "max %", "points", "trend"]
    trend = max(8, console().width - 72)
    rows = [
        _row(worker, metric, trend)
        for worker in found
        for metric in (used[worker.id].cpu, used[worker.id].memory)
    ]
    print_table(columns, rows)
    for line in _reasons(found, used):
        say(line)


def _row(worker: Worker, metric: Metric, width: int) -> list[str]:
    name = worker.name or worker.id
    trend = sparkline([point.average for point in metric.points][-width:])
    if metric.unknown:
        return [
            name,
            metric.name,
            f"{UNKNOWN} {metric.unknown}",
            "-",
            "-",
            str(metric.count),
            trend,
        ]
    values = (metric.mean, metric.latest, metric.maximum)
    return [name, metric.name, *map(_percent, values), str(metric.count), trend]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def sparkline(values: list[float]) -> str:
    """Return *values*, percents, as bars of eight levels."""
    top = len(_LEVELS) - 1
    return "".join(_LEVELS[min(top, max(0, int(value / 100 * len(_LEVELS))))] for value in values)


def _reasons(found: tuple[Worker, ...], used: dict[str, Utilization]) -> list[str]:
    """Say once for each reason which workers it befell, and what to do about it."""
    befell: dict[tuple[str, str], list[str]] = {}
    for worker in found:
        for metric in (used[worker.id].cpu, used[worker.id].memory):
            if metric.unknown:
                key = (f"{metric.name} {metric.unknown}", metric.remedy or "")
                befell.setdefault(key, []).append(f"{worker.name or worker.id}: {metric.detail}")
    lines = []
    for (what, remedy), whom in befell.items():
        more = f" (and {len(whom) - 1} more)" if whom[1:] else ""
        lines += [f"{UNKNOWN} {what}: {whom[0]}{more}", f"  fix: {remedy}"]
    return lines


def _code(used: dict[str, Utilization]) -> Exit:
    not_asked = {
        Unknown.NO_PERMISSION,
        Unknown.THROTTLED,
        Unknown.NOT_OFFERED,
        Unknown.NO_ANSWER,
        Unknown.FAILED,
    }
    reasons = {metric.unknown for each in used.values() for metric in (each.cpu, each.memory)}
    return Exit.UNCHECKED if reasons & not_asked else Exit.OK


def _as_json(worker: Worker, used: Utilization) -> dict[str, Any]:
    return {
        "id": worker.id,
        "name": worker.name,
        "region": worker.region,
        "state": worker.state,
        "start": used.start.isoformat(),
        "end": used.end.isoformat(),
        "cpu": _metric_json(used.cpu),
        "memory": _metric_json(used.memory),
    }


def _metric_json(metric: Metric) -> dict[str, Any]:
    return {
        "mean": metric.mean,
        "latest": metric.latest,
        "maximum": metric.maximum,
        "count": metric.count,
        "period": metric.period,
        "unknown": metric.unknown,
        "detail": metric.detail,
        "remedy": metric.remedy,
        "dimensions": dict(metric.dimensions),
        "points": [
            {"at": each.at.isoformat(), "average": each.average, "maximum": each.maximum}
            for each in metric.points
        ],
    }
