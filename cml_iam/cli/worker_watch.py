"""`cml-iam worker watch`."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import click

from cml_iam import clock
from cml_iam.cli._exit import Exit
from cml_iam.cli._output import (
    BAD,
    INFO,
    PIPED_WIDTH,
    UNKNOWN,
    WARN,
    Columns,
    answer_each,
    columns_within,
    console,
    left_out,
    mark,
    print_columns,
    room_beside,
    say,
    say_lines,
    table,
)
from cml_iam.cli._settings import aws_options, length, shared_options
from cml_iam.cli.worker_metrics import (
    could_ask,
    known_values,
    levels_for,
    reasons,
    scale,
    scale_words,
    shown_amount,
    trend,
)
from cml_iam.cli.worker_scene import Scene, complete_worker, scene
from cml_iam.cli.worker_show import short_names, state, uptime
from cml_iam.report import plural
from cml_iam.workers import Frame, Listing, Measure, Utilization, Watch, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Group

_TREND_LEAST, _TREND_MOST = 8, 60
SHOWN = (Measure.CPU, Measure.MEMORY, Measure.NETWORK_IN, Measure.NETWORK_OUT)


def interval(text: str) -> timedelta:
    """Parse the refresh interval in *text*: `30s`, `5m`; at least 5 seconds."""
    every = length(text)
    if every < timedelta(seconds=5):
        raise click.BadParameter("the minimum is 5 seconds")
    return every


@click.argument("workers", nargs=-1, shell_complete=complete_worker)
@click.option(
    "--every",
    type=interval,
    metavar="TIME",
    default="30s",
    show_default=True,
    help="Refresh interval, at least 5s. Metrics refresh once a minute at most.",
)
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="Exit after N refreshes.")
@click.option(
    "--window",
    type=length,
    metavar="TIME",
    default="1h",
    show_default=True,
    help="Time span of the trend, such as 15m, 1h or 7d.",
)
@shared_options("site", "output")
@aws_options
@click.pass_context
def watch(
    context: click.Context,
    workers: tuple[str, ...],
    every: timedelta,
    count: int | None,
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
    frames = _frames(_watch(here, workers, window), every, count)
    show = _live if sys.stdout.isatty() else _printed
    last = answer_each(frames, lambda each: show(each, levels))
    context.exit(Exit.AWS if not _answered(last, here) else _code(last))


def _watch(here: Scene, wanted: tuple[str, ...], window: timedelta) -> Watch:
    def look() -> Listing:
        found = here.listing()
        return Listing(
            tuple(worker for worker in found.workers if _is_wanted(worker, wanted)), found.failures
        )

    return Watch(
        look,
        lambda running: here.manager.get_utilization_of(
            running,
            window=window,
            measures=SHOWN,
            metric_data=here.metric_data,
        ),
        clock.now,
    )


def _is_wanted(worker: Worker, wanted: tuple[str, ...]) -> bool:
    return not wanted or any(worker.id == each or fnmatchcase(worker.name, each) for each in wanted)


def _frames(watching: Watch, every: timedelta, count: int | None) -> Iterator[Frame]:
    """Yield a frame per interval, measured from the start of each; *count* limits them."""
    number = 0
    while True:
        started = time.monotonic()
        yield watching.next()
        number += 1
        if number == count:
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
    hidden = [head for head in frame_columns(frame, None, levels) if head not in columns]
    notes = [mark(line) for line in _notes(frame)]
    if hidden:
        notes.append(mark(f"{INFO} {left_out(hidden)}"))
    return Group(
        Text(_heading(frame), style="bold"), table(list(columns), _rows(columns), width), *notes
    )


def _printed(frames: Iterator[Frame], levels: str) -> Frame:
    return _follow(frames, lambda frame: _print(frame, levels))


def _print(frame: Frame, levels: str) -> None:
    say(_heading(frame))
    print_columns(frame_columns(frame, None, levels))
    say_lines((*_notes(frame), ""))


def _heading(frame: Frame) -> str:
    found = frame.listing.workers
    running = sum(worker.state == "running" for worker in found)
    measured = f", metrics of {frame.measured_at:%H:%M:%S}" if frame.used else ""
    workers = f"{plural(len(found), 'worker')}, {running} running"
    return f"{frame.at:%Y-%m-%d %H:%M:%S} UTC: {workers}{measured}"


def frame_columns(frame: Frame, width: int | None, levels: str) -> Columns:
    """Return the columns of *frame* that fit into *width* without a break, each with its cells."""
    workers = frame.listing.workers
    named = short_names(workers)
    used = [frame.used.get(worker.id) for worker in workers]
    # One scale for all, so that two workers can be compared.
    top = scale([value for u in used if u for value in known_values(u.cpu, u)], rate=False)
    drawn = f"cpu trend, {scale_words(top, rate=False)}"
    values = {measure.words: [_value(metrics, measure) for metrics in used] for measure in SHOWN}
    shown = columns_within(
        width,
        {
            "name": [named[each.id] for each in workers],
            "state": [_state(frame, each) for each in workers],
            **{head: values[head] for head in ("cpu", "memory")},
        },
        [
            {drawn: [" " * _TREND_LEAST for _ in workers]},
            {head: values[head] for head in ("network in", "network out")},
            {"up": [uptime(each) for each in workers]},
            {"type": [each.instance_type for each in workers]},
        ],
    )
    if drawn in shown:
        del shown[drawn]
        room = min(_TREND_MOST, room_beside(shown, width or PIPED_WIDTH))
        shown[drawn] = [trend(u.cpu, u, room, top, levels) if u else "" for u in used]
    return shown


def _rows(columns: Columns) -> Iterator[tuple[str, ...]]:
    return zip(*columns.values(), strict=True)


def _state(frame: Frame, worker: Worker) -> str:
    was = frame.before.get(worker.id)
    return state(worker.state) + (f", was {was}" if was else "")


def _value(used: Utilization | None, measure: Measure) -> str:
    if used is None:
        return "-"
    metric = used.metrics[measure]
    return UNKNOWN if metric.unknown else shown_amount(metric.latest, metric)


def _notes(frame: Frame) -> list[str]:
    said = [f"{INFO} {each.label}: no longer listed, was {each.state}" for each in frame.gone]
    for region, error in frame.listing.failures.items():
        said.append(f"{BAD} {region}: request failed, showing earlier data: {error.message}")
    if not frame.listing.workers and not frame.listing.failures:
        said.append(f"{WARN} no worker matches")
    pairs = [
        (worker, metric)
        for worker in frame.listing.workers
        if worker.id in frame.used
        for metric in frame.used[worker.id].metrics.values()
    ]
    return said + reasons(pairs)


def _answered(frame: Frame, here: Scene) -> bool:
    return any(region not in frame.listing.failures for region in here.regions)


def _code(frame: Frame) -> Exit:
    return Exit.UNCHECKED if frame.listing.failures else could_ask(frame.used)
