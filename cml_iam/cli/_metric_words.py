"""How metrics are printed: amounts, trends, reasons, JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from cml_iam.cli._chart import Pen, amount, scale, sparkline, squeezed
from cml_iam.cli._exit import Exit
from cml_iam.cli._output import GAP, UNKNOWN
from cml_iam.workers import EVERY, NOT_ASKED, Measure, Metric, Unknown, Utilization, Worker


def short_names(workers: Sequence[Worker]) -> dict[str, str]:
    """Return what to call each worker by its id: its name, with the id where several share it."""
    times = Counter(worker.name for worker in workers)
    return {each.id: each.name if times[each.name] == 1 else each.label for each in workers} | {
        each.id: each.id for each in workers if not each.name
    }


def shown_amount(value: float | None, metric: Metric) -> str:
    """Return *value* of *metric* with its unit, `-` where there is none."""
    return "-" if value is None else amount(value, rate=Measure(metric.name).is_rate)


def trend(metric: Metric, used: Utilization, width: int, pen: Pen) -> str:
    """Return the points of *metric* as bars with their gaps, of 100 % or of the highest rate."""
    slots = metric.slots(used.start, used.end)
    known = [each for each in slots if each is not None]
    top = scale(known, rate=True) if Measure(metric.name).is_rate else 100.0
    return sparkline(squeezed(slots, width), top, pen).rstrip()


def room_beside(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> int:
    """Return how many of *width* columns a table of *columns* and *rows* leaves for one more."""
    return width - sum(max(map(len, cells)) + GAP for cells in zip(columns, *rows, strict=True)) - 3


def reasons(pairs: Sequence[tuple[Worker, Metric]]) -> list[str]:
    """Say once for each reason which workers and metrics it befell, and what to do about it."""
    befell: dict[tuple[Unknown, str, str | None], list[tuple[Worker, Metric]]] = {}
    for worker, metric in pairs:
        if metric.unknown:
            # What CloudWatch has is another thing for each metric; why it was not asked is not.
            own = "" if metric.unknown in _OF_THE_WORKER else metric.name
            befell.setdefault((metric.unknown, own, metric.remedy), []).append((worker, metric))
    named = short_names(list({worker.id: worker for worker, _ in pairs}.values()))
    lines = []
    for (unknown, _, _), found in befell.items():
        worker, metric = found[0]
        names = ", ".join(dict.fromkeys(Measure(each.name).words for _, each in found))
        others = len({each.id for each, _ in found}) - 1
        more = f" (and {others} more)" if others else ""
        lines.append(f"{UNKNOWN} {names} {unknown}: {named[worker.id]}: {metric.detail}{more}")
        lines.append(f"  fix: {metric.remedy}")
    return lines


_OF_THE_WORKER = {Unknown.NOT_RUNNING, Unknown.TOO_YOUNG, Unknown.WINDOW_TOO_SHORT, *NOT_ASKED}


def could_ask(used: Mapping[str, Utilization]) -> Exit:
    """Return 8 where CloudWatch could not be asked about something, else 0."""
    found = {metric.unknown for each in used.values() for metric in each.metrics.values()}
    return Exit.UNCHECKED if found & NOT_ASKED else Exit.OK


def usage_json(worker: Worker, used: Utilization) -> dict[str, Any]:
    """Return what was measured of *worker* for a program."""
    return {
        "id": worker.id,
        "name": worker.name,
        "region": worker.region,
        "state": worker.state,
        "start": used.start.isoformat(),
        "end": used.end.isoformat(),
        **{str(measure): metric_json(metric) for measure, metric in used.metrics.items()},
    }


def metric_json(metric: Metric) -> dict[str, Any]:
    """Return *metric* for a program: unknown values are null."""
    return {
        "unit": metric.unit,
        "mean": metric.mean,
        "latest": metric.latest,
        "maximum": metric.maximum,
        "count": metric.count,
        "period": metric.period,
        "unknown": metric.unknown,
        "detail": metric.detail,
        "remedy": metric.remedy,
        "source": metric.source or None,
        "dimensions": dict(metric.dimensions),
        "points": [
            {"at": each.at.isoformat(), "average": each.average, "maximum": each.maximum}
            for each in metric.points
        ],
    }


def measures_of(named: Sequence[str], default: Sequence[Measure]) -> tuple[Measure, ...]:
    """Return the measures *named*, `all` meaning every one; *default* where none is."""
    if "all" in named:
        return EVERY
    chosen = [each for each in EVERY if each.value.replace("_", "-") in named]
    return tuple(chosen) or tuple(default)


MEASURES = [*(each.value.replace("_", "-") for each in EVERY), "all"]
