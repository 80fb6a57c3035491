"""Off hours by tag: which workers should run now, which not, and when that changes next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from cml_iam.clock import Hours, is_open, next_change, parse_hours
from cml_iam.errors import InputError
from cml_iam.visible import visible
from cml_iam.workers._hold import held

if TYPE_CHECKING:
    from cml_iam.workers._model import Worker

EXAMPLE = "Mon-Fri 08:00-18:00 Europe/Berlin"

_GONE = ("shutting-down", "terminated")
_ON_ITS_WAY = {"pending": "starting", "stopping": "stopping"}


class Step(StrEnum):
    """What a schedule asks of a worker now."""

    START = "start"
    STOP = "stop"
    NOTHING = "nothing"
    LATER = "later"
    HELD = "held"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Planned:
    """A worker with a schedule: the *step* now and why, and the next one with its time in UTC.

    *hours* is None where the tag cannot be read; such a worker is never touched. A worker that is
    held has its next step all the same: it comes when the hold is over.
    """

    worker: Worker
    text: str
    step: Step
    why: str
    hours: Hours | None = None
    next_step: Step | None = None
    next_at: datetime | None = None


def parse_schedule(text: str) -> Hours:
    """Read a schedule such as `Mon-Fri 08:00-18:00 Europe/Berlin`; raises InputError."""
    hours, _, zone = " ".join(text.split()).rpartition(" ")
    try:
        return parse_hours(hours, zone)
    except InputError as error:
        told = error.message if "time zone" in error.message and ":" not in zone else "no schedule"
        raise InputError(f"{told}: `{visible(text)}`", remedy=f"write `{EXAMPLE}`") from None


def plan_schedule(
    workers: Sequence[Worker], schedule_tag: str, hold_tag: str, now: datetime
) -> tuple[Planned, ...]:
    """Return what the schedules of *workers* ask at *now*; workers without the tag are left out."""
    return tuple(
        _planned(each, schedule_tag, hold_tag, now)
        for each in workers
        if schedule_tag in each.tags and each.state not in _GONE
    )


def _planned(worker: Worker, schedule_tag: str, hold_tag: str, now: datetime) -> Planned:
    text = worker.tags[schedule_tag]
    try:
        hours = parse_schedule(text)
    except InputError as error:
        remedy = f" ({error.remedy})" if error.remedy else ""
        return Planned(worker, text, Step.INVALID, f"{error.message}{remedy}")
    opened = is_open(hours, now)
    step, why = _step(worker.state, opened=opened)
    if hold := held(worker, hold_tag, now):
        step, why = Step.HELD, hold
    change = next_change(hours, now)
    then = None if change is None else Step.STOP if opened else Step.START
    return Planned(worker, text, step, why, hours, then, change)


def _step(state: str, *, opened: bool) -> tuple[Step, str]:
    wanted, unwanted = ("running", "stopped") if opened else ("stopped", "running")
    hours = "in its hours" if opened else "out of its hours"
    if state == unwanted:
        return (Step.START if opened else Step.STOP), hours
    if state == wanted or _ON_ITS_WAY.get(state) == ("starting" if opened else "stopping"):
        return Step.NOTHING, f"{state}, {hours}"
    return Step.LATER, f"{hours}, but {state}: apply again when it is {unwanted}"
