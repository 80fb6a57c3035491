"""The fleet page: the verdict first, then the workers by region, terminated ones folded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, timedelta
from typing import Final

from cml_iam.clock import short_span
from cml_iam.report import (
    FAILED,
    PASSED,
    UNKNOWN,
    Bar,
    Cell,
    Column,
    Document,
    Level,
    Section,
    Trend,
    plural,
)
from cml_iam.report.html import Page, page_of
from cml_iam.workers._cml import CmlAnswer
from cml_iam.workers._metric import Measure, Utilization
from cml_iam.workers._model import InstanceStatus, Worker
from cml_iam.workers._monitor import Watched

Row = tuple[Cell, ...]

_STATES: Final[dict[str, tuple[str, Level]]] = {
    "running": ("●", "good"),
    "pending": ("◔", "warning"),
    "stopping": ("◑", "warning"),
    "shutting-down": ("◑", "warning"),
    "stopped": ("○", "plain"),
    "terminated": ("✕", "plain"),
}
_OTHER_STATE: Final[tuple[str, Level]] = ("?", "unknown")
_GONE: Final = "terminated"

_COLUMNS: Final = (
    "worker",
    "state",
    "up for",
    "status checks",
    "CML",
    "type",
    "address",
    "CPU",
    "memory",
)


def fleet_page(seen: Watched) -> Page:
    """Return the page that shows *seen*; its head has the account and the problems."""
    report = seen.report
    level, symbol, word = _verdict(seen)
    workers = seen.fleet.workers if seen.fleet else ()
    counts = Counter(worker.state for worker in workers)
    states = _STATES | {state: _OTHER_STATE for state in sorted(counts) if state not in _STATES}
    identity = seen.identity
    about = {
        "account": identity.account if identity else "",
        "site": seen.site,
        "asked as": identity.arn if identity else "",
        "region": ", ".join(seen.regions) or report.region,
    }
    document = Document(
        product="CML workers",
        title=f"{symbol} {word} · CML workers" + (f" of {identity.account}" if identity else ""),
        symbol=symbol,
        level=level,
        verdict=word,
        about=tuple((name, value) for name, value in about.items() if value),
        lines=tuple(_lines(seen)),
        tiles=tuple(
            (f"{mark} {state}", counts[state], color)
            for state, (mark, color) in states.items()
            if counts[state]
        ),
        sections=tuple(section for section in _sections(seen) if section.rows),
        foot="Read only. For programs:",
        links=(("health", "health (JSON)"), ("metrics", "metrics (Prometheus)")),
        live=True,
    )
    return page_of(document)


def _verdict(seen: Watched) -> tuple[Level, str, str]:
    report = seen.report
    impaired = sum(_is_impaired(status) for status in seen.statuses.values())
    if not report.connected:
        return "error", FAILED, "EC2 cannot be used"
    if not report.ok:
        return "error", FAILED, "A permission is missing"
    if impaired:
        return "error", FAILED, f"EC2 answers; {plural(impaired, 'worker')} impaired"
    if report.unchecked or (seen.fleet and seen.fleet.failures):
        return "unknown", UNKNOWN, "EC2 answers; not everything could be checked"
    workers = seen.fleet.workers if seen.fleet else ()
    running = {worker.id for worker in workers if worker.state == "running"}
    if seen.fleet is None or running - (seen.usage.keys() & seen.statuses.keys()):
        return "unknown", UNKNOWN, "EC2 answers; not everything is known yet"
    return "good", PASSED, "All is well"


def _lines(seen: Watched) -> Iterator[str]:
    times = {
        "EC2 last asked": seen.checked_at,
        "workers as of": seen.listed_at,
        "CPU and memory as of": seen.measured_at,
    }
    yield ", ".join(
        f"{name} {at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" for name, at in times.items() if at
    )
    if seen.fleet is None:
        why = f": {seen.why_unlisted}" if seen.why_unlisted else ""
        yield f"? The workers are unknown{why}."
    elif not seen.fleet.workers:
        yield "There are no workers."


def _sections(seen: Watched) -> Iterator[Section]:
    todo = "" if seen.report.ok else "What to do: `cml-iam doctor`"
    yield Section("why", "What is wrong", _named("what"), tuple(_why(seen)), lead=todo)
    workers = seen.fleet.workers if seen.fleet else ()
    living = [worker for worker in workers if worker.state != _GONE]
    for region in sorted({worker.region for worker in living}):
        rows = tuple(_row(worker, seen) for worker in living if worker.region == region)
        heading = f"{region}: {plural(len(rows), 'worker')}"
        note = ""
        if any(cell.trend for row in rows for cell in row):
            note = "Bar: the mean of the last 15 minutes. Line: the last 3 hours, from 0 to 100 %."
        yield Section(f"in-{region}", heading, _named(*_COLUMNS), rows, short=region, note=note)
    gone = tuple(_gone(worker) for worker in workers if worker.state == _GONE)
    yield Section(
        "gone",
        f"Terminated: {plural(len(gone), 'worker')}",
        _named("worker", "region", "type", "why"),
        gone,
        short="Terminated",
        lead="EC2 shows a terminated instance for about an hour.",
        folded=True,
    )


def _named(*names: str) -> tuple[Column, ...]:
    return tuple(map(Column, names))


def _why(seen: Watched) -> Iterator[Row]:
    for reason in seen.report.reasons:
        yield (Cell(reason, FAILED),)
    for unchecked in seen.report.unchecked:
        yield (Cell(f"could not check {unchecked}", UNKNOWN),)
    failures = seen.fleet.failures if seen.fleet else {}
    for region, error in sorted(failures.items()):
        yield (Cell(f"{region}: workers could not be listed: {error.message}", FAILED),)


def _row(worker: Worker, seen: Watched) -> Row:
    symbol, level = _STATES.get(worker.state, _OTHER_STATE)
    uptime = ""
    if worker.state == "running" and worker.launched_at:
        uptime = short_span(max(timedelta(0), seen.checked_at - worker.launched_at))
    return (
        _name(worker),
        Cell(worker.state, symbol, level=level, under=worker.state_reason or ""),
        Cell(uptime),
        _checks(worker, seen.statuses.get(worker.id)),
        _cml(seen.cml.get(worker.id)),
        Cell(worker.instance_type, under=worker.zone),
        _address(worker),
        _use(worker, Measure.CPU, seen),
        _use(worker, Measure.MEMORY, seen),
    )


def _gone(worker: Worker) -> Row:
    why = Cell(worker.state_reason or "")
    return _name(worker), Cell(worker.region), Cell(worker.instance_type), why


def _name(worker: Worker) -> Cell:
    return Cell(worker.name or worker.id, under=worker.id if worker.name else "")


def _checks(worker: Worker, status: InstanceStatus | None) -> Cell:
    if worker.state != "running":
        return Cell()
    if status is None:
        return Cell("not known yet", UNKNOWN)
    events = "; ".join(event.description or event.code for event in status.events)
    if status.ok:
        return Cell("2 of 2 passed", PASSED, level="good", under=events)
    words = f"system {status.system}, instance {status.instance}"
    under = "; ".join(filter(None, (words, events)))
    if _is_impaired(status):
        return Cell("impaired", FAILED, level="error", under=under)
    return Cell("not passed yet", "◔", level="warning", under=under)


def _is_impaired(status: InstanceStatus) -> bool:
    return "impaired" in (status.system, status.instance)


def _cml(answer: CmlAnswer | None) -> Cell:
    if answer is None:
        return Cell()
    if answer.ready:
        return Cell(f"ready {answer.version}".rstrip(), PASSED, level="good")
    words, remedy = answer.said.removeprefix("CML: "), answer.remedy or ""
    if answer.answered:
        return Cell("not ready", "◔", level="warning", under=words)
    return Cell("not known", UNKNOWN, level="unknown", under=words, more=remedy)


def _address(worker: Worker) -> Cell:
    address = worker.address or ""
    # Only a valid address becomes a link; a name or a tag never does.
    plain = bool(address) and set(address) <= set("0123456789.")
    return Cell(address, link=f"https://{address}/" if plain else "")


def _use(worker: Worker, measure: Measure, seen: Watched) -> Cell:
    """Return the mean of the last quarter of an hour, with the trend of the previous hours."""
    if worker.state != "running":
        return Cell()
    if worker.id not in seen.usage:
        return Cell("unknown", under="not measured yet")
    metric = seen.usage[worker.id].metrics[measure]
    if metric.mean is None:
        why = str(metric.unknown or "no point in the window")
        return Cell("unknown", under=why, more=metric.remedy or "")
    share = f"{metric.mean:.0f} %"
    bar = Bar(min(100.0, max(0.0, metric.mean)), 100, f"{share} on average")
    return Cell(share, bar=bar, trend=_trend(seen.trends.get(worker.id), measure))


def _trend(usage: Utilization | None, measure: Measure) -> Trend | None:
    if usage is None or len(usage.metrics[measure].points) < 2:
        return None
    metric = usage.metrics[measure]
    values = tuple(metric.slots(usage.start, usage.end))
    span = short_span(timedelta(seconds=metric.period * len(values)))
    says = f"{metric.name} over {span}, {metric.maximum or 0:.0f} % at most"
    return Trend(values, 100, says)
