"""`cml-iam worker metrics` and `watch`: the tables of measurements."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from fnmatch import fnmatchcase
from itertools import count
from typing import TYPE_CHECKING, Final

import click

from cml_iam import clock
from cml_iam import workers as room
from cml_iam.cli._exit import Exit
from cml_iam.cli._metric_words import (
    SIGNS,
    known_values,
    levels_for,
    scale,
    scale_words,
    shown_amount,
    trend,
)
from cml_iam.cli._options import aws_options, length, option, repeatable, shared_options
from cml_iam.cli._output import (
    BAD,
    INFO,
    PIPED_WIDTH,
    UNKNOWN,
    WARN,
    answer,
    answer_each,
    console,
    mark,
    progress,
    say_lines,
    terminal_width,
)
from cml_iam.cli._table import (
    Columns,
    columns_within,
    left_out,
    print_columns,
    room_beside,
    table,
)
from cml_iam.cli.worker_scene import Scene, complete_worker, scene
from cml_iam.cli.worker_show import short_names, state, uptime
from cml_iam.report import plural
from cml_iam.workers import EVERY, NOT_ASKED, USAGE, Measure, Unknown

if TYPE_CHECKING:
    from rich.console import Group

    from cml_iam.workers import Frame, Listing, Metric, Utilization, Worker

_LEAST: Final = 8
"""The smallest width of a sparkline."""

_COLUMNS = ("worker", "metric", "mean", "latest", "max", "points", "scale", "trend")
"""The columns of `worker metrics`, in print order."""

_NAMES = {measure.value.replace("_", "-"): measure for measure in EVERY}


@click.argument("workers", nargs=-1, shell_complete=complete_worker)
@option("--window TIME", "Time to look back, such as 15m, 1h or 7d.", type=length, default="15m")
@repeatable(
    "--metric",
    "Metric to show.  [default: all for named WORKERS; cpu and memory for the fleet]",
    name="named",
    type=click.Choice([*_NAMES, "all"]),
)
@option("--ascii", "Draw with ASCII characters only.", name="plain")
@shared_options("site", "output")
@aws_options
def metrics(
    workers: tuple[str, ...], window: timedelta, named: tuple[str, ...], *, plain: bool
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
    chosen = here.living(workers)
    measures = tuple(measure for name, measure in _NAMES.items() if name in named)
    if not measures:
        measures = EVERY if workers or named else tuple(USAGE)
    with progress(f"asking CloudWatch about {plural(len(chosen), 'worker')}"):
        used = here.manager.get_utilization_of(
            chosen,
            window=window,
            measures=EVERY if "all" in named else measures,
            metric_data=here.metric_data,
        )

    def show() -> None:
        pairs = _pairs(chosen, used)
        levels = SIGNS if plain else levels_for(sys.stdout.encoding)
        print_columns(metric_columns(pairs, used, terminal_width(), levels), _COLUMNS)
        say_lines(reasons(pairs))

    answer([used[worker.id].as_json(worker) for worker in chosen], show, could_ask(used))


def metric_columns(
    pairs: Sequence[tuple[Worker, Metric]],
    used: Mapping[str, Utilization],
    width: int | None,
    levels: str,
) -> Columns:
    """Return the columns of *pairs* that fit into *width* without a break, each with its cells.

    Workers, metrics and means are always shown, and a trend only beside its scale.
    """
    workers = list({worker.id: worker for worker, _ in pairs}.values())
    named = short_names(workers)
    tops = [
        scale(known_values(metric, used[worker.id]), rate=Measure(metric.name).is_rate)
        for worker, metric in pairs
    ]
    rows = [
        _row(named[worker.id], metric, top)
        for (worker, metric), top in zip(pairs, tops, strict=True)
    ]
    cells = {head: [row[at] for row in rows] for at, head in enumerate(_COLUMNS[:-1])}
    least = [" " * _LEAST for _ in pairs]
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
        beside = {heading: cells for heading, cells in shown.items() if heading != "trend"}
        room = min(96, max(_LEAST, room_beside(beside, width or PIPED_WIDTH)))
        shown["trend"] = [
            trend(metric, used[worker.id], room, top, levels)
            for (worker, metric), top in zip(pairs, tops, strict=True)
        ]
    return {heading: shown[heading] for heading in _COLUMNS if heading in shown}


def _row(name: str, metric: Metric, top: float) -> list[str]:
    first, count = [name, Measure(metric.name).words], str(metric.count)
    drawn = scale_words(top, rate=Measure(metric.name).is_rate) if metric.points else "-"
    if metric.unknown:
        return [*first, f"{UNKNOWN} {metric.unknown}", "-", "-", count, drawn]
    values = (metric.mean, metric.latest, metric.maximum)
    return [*first, *(shown_amount(value, metric) for value in values), count, drawn]


def _pairs(
    workers: Sequence[Worker], used: Mapping[str, Utilization]
) -> list[tuple[Worker, Metric]]:
    return [(worker, metric) for worker in workers for metric in used[worker.id].metrics.values()]


def reasons(pairs: Sequence[tuple[Worker, Metric]]) -> list[str]:
    """Return lines with each reason for unknown values once: its metrics, workers and remedy."""
    concerned: dict[tuple[Unknown, str, str | None], list[tuple[Worker, Metric]]] = {}
    for worker, metric in pairs:
        if metric.unknown:
            # Missing data has its own reason for each metric; a worker that was not measured has
            # one reason for all of them.
            own = "" if metric.unknown in _OF_THE_WORKER else metric.name
            concerned.setdefault((metric.unknown, own, metric.remedy), []).append((worker, metric))
    named = short_names(list({worker.id: worker for worker, _ in pairs}.values()))
    lines = []
    for (unknown, _, _), group in concerned.items():
        worker, metric = group[0]
        names = ", ".join(dict.fromkeys(Measure(metric.name).words for _, metric in group))
        others = len({worker.id for worker, _ in group}) - 1
        rest = f" (and {others} more)" if others else ""
        lines.append(f"{UNKNOWN} {names} {unknown}: {named[worker.id]}: {metric.detail}{rest}")
        lines.append(f"  fix: {metric.remedy}")
    return lines


_OF_THE_WORKER = {Unknown.NOT_RUNNING, Unknown.TOO_YOUNG, Unknown.WINDOW_TOO_SHORT, *NOT_ASKED}


def could_ask(used: Mapping[str, Utilization]) -> Exit:
    """Return 8 if CloudWatch could not be asked about something, else 0."""
    unknowns = {
        metric.unknown for utilization in used.values() for metric in utilization.metrics.values()
    }
    return Exit.UNCHECKED if unknowns & NOT_ASKED else Exit.OK


SHOWN = (Measure.CPU, Measure.MEMORY, Measure.NETWORK_IN, Measure.NETWORK_OUT)


def interval(text: str) -> timedelta:
    """Parse the refresh interval in *text*: `30s`, `5m`; at least 5 seconds."""
    every = length(text)
    if every < timedelta(seconds=5):
        raise click.BadParameter("the minimum is 5 seconds")
    return every


@click.argument("workers", nargs=-1, shell_complete=complete_worker)
@option(
    "--every TIME",
    "Refresh interval, at least 5s. Metrics refresh once a minute at most.",
    type=interval,
    default="30s",
)
@option("--count N", "Exit after N refreshes.", name="most", type=click.IntRange(min=1))
@option(
    "--window TIME", "Time span of the trend, such as 15m, 1h or 7d.", type=length, default="1h"
)
@shared_options("site", "output")
@aws_options
@click.pass_context
def watch(
    context: click.Context,
    workers: tuple[str, ...],
    every: timedelta,
    most: int | None,
    window: timedelta,
) -> None:
    """Show a live table of WORKERS, IDs or names (* and ?), or of all.

    On a terminal, the table is updated in place; otherwise each refresh prints a new table, or a
    line with -o json. Ctrl-C ends it with exit code 130; --count N ends it with 0, or with 8 if
    something could not be checked in the last refresh.

    Examples:
      cml-iam worker watch
      cml-iam worker watch --every 1m --count 10 -o json
    """
    here, levels = scene(), levels_for(sys.stdout.encoding)
    frames = _frames(_watch(here, workers, window), every, most)
    show = _live if sys.stdout.isatty() else _printed
    last = answer_each(frames, lambda frames: show(frames, levels))
    failed = last.listing.failures
    if all(region in failed for region in here.regions):
        context.exit(Exit.AWS)
    context.exit(Exit.UNCHECKED if failed else could_ask(last.used))


def _watch(here: Scene, words: tuple[str, ...], window: timedelta) -> Iterator[Frame]:
    def is_wanted(worker: Worker) -> bool:
        return not words or any(
            worker.id == word or fnmatchcase(worker.name, word) for word in words
        )

    def look() -> Listing:
        listing = here.listing()
        return room.Listing(tuple(filter(is_wanted, listing.workers)), listing.failures)

    def measure(running: Sequence[Worker]) -> Mapping[str, Utilization]:
        return here.manager.get_utilization_of(
            running, window=window, measures=SHOWN, metric_data=here.metric_data
        )

    return room.watch(look, measure, clock.now)


def _frames(watching: Iterator[Frame], every: timedelta, most: int | None) -> Iterator[Frame]:
    """Yield a frame per interval, measured from the start of each."""
    for number in count(1):
        started = time.monotonic()
        yield next(watching)
        if number == most:
            return
        time.sleep(max(0.0, every.total_seconds() - (time.monotonic() - started)))


def _follow(frames: Iterator[Frame], show: Callable[[Frame], None]) -> Frame:
    for frame in frames:
        show(frame)
        sys.stdout.flush()
        last = frame
    return last


def _live(frames: Iterator[Frame], levels: str) -> Frame:
    from rich.live import Live

    out = console()
    with Live(console=out, auto_refresh=False, vertical_overflow="crop") as live:
        return _follow(
            frames, lambda frame: live.update(_drawn(frame, out.width, levels), refresh=True)
        )


def _drawn(frame: Frame, width: int, levels: str) -> Group:
    from rich.console import Group
    from rich.text import Text

    columns = frame_columns(frame, width, levels)
    hidden = left_out(columns, frame_columns(frame, None, levels))
    notes = [mark(line) for line in _notes(frame)]
    if hidden:
        notes.append(mark(f"{INFO} {hidden}"))
    return Group(
        Text(_heading(frame), style="bold"),
        table(list(columns), zip(*columns.values(), strict=True), width),
        *notes,
    )


def _printed(frames: Iterator[Frame], levels: str) -> Frame:
    def show(frame: Frame) -> None:
        say_lines([_heading(frame)])
        print_columns(frame_columns(frame, None, levels))
        say_lines((*_notes(frame), ""))

    return _follow(frames, show)


def _heading(frame: Frame) -> str:
    workers = frame.listing.workers
    running = sum(worker.state == "running" for worker in workers)
    measured = f", metrics of {frame.measured_at:%H:%M:%S}" if frame.used else ""
    counts = f"{plural(len(workers), 'worker')}, {running} running"
    return f"{frame.at:%Y-%m-%d %H:%M:%S} UTC: {counts}{measured}"


def frame_columns(frame: Frame, width: int | None, levels: str) -> Columns:
    """Return the columns of *frame* that fit into *width* without a break, each with its cells."""
    workers = frame.listing.workers
    named = short_names(workers)
    used = [frame.used.get(worker.id) for worker in workers]
    # One scale for all, so that two workers can be compared.
    cpu_values = [value for usage in used if usage for value in known_values(usage.cpu, usage)]
    top = scale(cpu_values, rate=False)
    drawn = f"cpu trend, {scale_words(top, rate=False)}"
    values = {measure.words: [_value(usage, measure) for usage in used] for measure in SHOWN}
    shown = columns_within(
        width,
        {
            "name": [named[worker.id] for worker in workers],
            "state": [_state(frame, worker) for worker in workers],
            **{head: values[head] for head in ("cpu", "memory")},
        },
        [
            {drawn: [" " * _LEAST for _ in workers]},
            {head: values[head] for head in ("network in", "network out")},
            {"up": [uptime(worker) for worker in workers]},
            {"type": [worker.instance_type for worker in workers]},
        ],
    )
    if drawn in shown:
        del shown[drawn]
        room = min(60, room_beside(shown, width or PIPED_WIDTH))
        shown[drawn] = [
            trend(usage.cpu, usage, room, top, levels) if usage else "" for usage in used
        ]
    return shown


def _state(frame: Frame, worker: Worker) -> str:
    was = frame.before.get(worker.id)
    return state(worker.state) + (f", was {was}" if was else "")


def _value(used: Utilization | None, measure: Measure) -> str:
    if used is None:
        return "-"
    metric = used.metrics[measure]
    return UNKNOWN if metric.unknown else shown_amount(metric.latest, metric)


def _notes(frame: Frame) -> list[str]:
    lines = [f"{INFO} {gone.label}: no longer listed, was {gone.state}" for gone in frame.gone]
    for region, error in frame.listing.failures.items():
        lines.append(f"{BAD} {region}: request failed, showing earlier data: {error.message}")
    if not frame.listing.workers and not frame.listing.failures:
        lines.append(f"{WARN} no worker matches")
    measured = [worker for worker in frame.listing.workers if worker.id in frame.used]
    return lines + reasons(_pairs(measured, frame.used))
