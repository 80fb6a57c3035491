"""`cml-iam worker schedule plan` and `apply`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from cml_iam.cli._exit import Exit
from cml_iam.cli._lazy import LazyGroup
from cml_iam.cli._output import BAD, INFO, OK, WARN, note, print_json, progress, say, wants_json
from cml_iam.cli._settings import aws_options, settings, shared_options
from cml_iam.cli.worker_act import confirm, failures, outcome_json, outcome_line
from cml_iam.cli.worker_scene import Scene, scene
from cml_iam.cli.worker_show import wanted_workers
from cml_iam.clock import time_zone
from cml_iam.site import Fleet
from cml_iam.workers import (
    Ask,
    Outcome,
    Planned,
    Step,
    Worker,
    act,
    plan_schedule,
    start_ask,
    stop_ask,
)

EXAMPLE = "Mon-Fri 08:00-18:00 Europe/Berlin"
_MARK = {
    Step.START: WARN,
    Step.STOP: WARN,
    Step.NOTHING: OK,
    Step.LATER: INFO,
    Step.HELD: INFO,
    Step.INVALID: BAD,
}
_ACTS: dict[Step, Callable[[Sequence[str]], Ask]] = {Step.STOP: stop_ask, Step.START: start_ask}


@click.group(
    cls=LazyGroup,
    lazy={
        "plan": ("cml_iam.cli.worker_schedule:plan", "Say what their hours ask of workers now."),
        "apply": ("cml_iam.cli.worker_schedule:apply", "Start and stop workers by their hours."),
    },
)
def schedule() -> None:
    """Start and stop workers by the hours in their tag.

    The tag is cml-iam:schedule, or the site's; such as "Mon-Fri 08:00-18:00 Europe/Berlin".
    """


def _moment(_: click.Context, __: click.Parameter, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"not a moment: `{text}` (write 2026-03-29T08:00+02:00)") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


@click.command()
@click.argument("workers", nargs=-1)
@click.option(
    "--at", metavar="TIME", callback=_moment, help="As if it were then; UTC without an offset."
)
@shared_options("site", "output")
@aws_options
@click.pass_context
def plan(context: click.Context, workers: tuple[str, ...], at: datetime | None) -> None:
    """Say what would be started and stopped now, of WORKERS or of all, and when what comes next.

    Exits with 6 when something would be, with 3 when the hours of a worker cannot be read.
    """
    here = scene()
    planned = _planned(here, workers, at or datetime.now(UTC))
    if wants_json():
        print_json([_as_json(each) for each in planned])
    else:
        _print(here, planned)
    pending = any(each.step in _ACTS for each in planned)
    context.exit(Exit.CHANGES if pending else _code(planned))


@click.command()
@click.argument("workers", nargs=-1)
@shared_options("site", "output", "yes", "dry_run", "no_site")
@aws_options
@click.pass_context
def apply(context: click.Context, workers: tuple[str, ...]) -> None:
    """Start and stop WORKERS, or all, as their hours ask now; run it every few minutes with --yes.

    Workers with the hold tag, and those whose hours cannot be read, are never touched.
    """
    here = scene(changes=True)
    planned = _planned(here, workers, datetime.now(UTC))
    outcomes: dict[str, Outcome] = {}
    for step, make in _ACTS.items():
        wanted = [each.worker for each in planned if each.step is step]
        if wanted:
            confirm(here, wanted, step.value)
            outcomes |= _act(here, wanted, make, step)
    if wants_json():
        print_json([_as_json(each, outcomes.get(each.worker.id)) for each in planned])
    else:
        _print_applied(here, planned, outcomes)
    context.exit(failures(list(outcomes.values())) or _code(planned))


def _planned(here: Scene, workers: Sequence[str], now: datetime) -> tuple[Planned, ...]:
    found = here.find_managed(workers, unmanaged=False) if workers else wanted_workers(here, ())
    fleet = _fleet(here)
    return plan_schedule(found, fleet.schedule_tag, fleet.hold_tag, now)


def _act(
    here: Scene, workers: Sequence[Worker], make: Callable[[Sequence[str]], Ask], step: Step
) -> dict[str, Outcome]:
    with progress(f"asking EC2 to {step} {len(workers)} worker(s)"):
        done = act(here.manager, workers, make, dry_run=settings().dry_run)
    return {each.worker.id: each for each in done}


def _fleet(here: Scene) -> Fleet:
    return here.site.fleet if here.site else Fleet()


def _print(here: Scene, planned: Sequence[Planned]) -> None:
    if not planned:
        tag = _fleet(here).schedule_tag
        note(f"{INFO} no worker has the tag `{tag}`; to give one its hours:")
        note(f"  cml-iam worker tag NAME -t '{tag}={EXAMPLE}'")
    for each in planned:
        say(f"{_MARK[each.step]} {each.step}: {each.worker.label}: {each.why}")
        if each.hours:
            say(f"    hours {each.hours}")
            say(f"    next: {_next(each)}")


def _print_applied(here: Scene, planned: Sequence[Planned], outcomes: dict[str, Outcome]) -> None:
    if not planned:
        _print(here, planned)
    for each in planned:
        outcome = outcomes.get(each.worker.id)
        if outcome:
            say(outcome_line(outcome, each.step, dry=settings().dry_run))
        elif each.step is not Step.NOTHING:
            say(f"{_MARK[each.step]} {each.step}: {each.worker.label}: {each.why}")
    if planned and not outcomes:
        note(f"{INFO} every worker is as its hours ask, or let be")


def _next(planned: Planned) -> str:
    if planned.next_at is None or planned.next_step is None or planned.hours is None:
        return "nothing: it is to run all the time"
    local = planned.next_at.astimezone(time_zone(planned.hours.zone))
    return f"{planned.next_step} {local:%a %Y-%m-%d %H:%M %Z} ({planned.next_at:%H:%M} UTC)"


def _as_json(planned: Planned, outcome: Outcome | None = None) -> dict[str, Any]:
    return {
        "id": planned.worker.id,
        "name": planned.worker.name,
        "region": planned.worker.region,
        "state": planned.worker.state,
        "schedule": planned.text,
        "step": planned.step,
        "why": planned.why,
        "next": planned.next_at and {"step": planned.next_step, "at": planned.next_at.isoformat()},
        "outcome": outcome and outcome_json(outcome, None, dry=settings().dry_run),
    }


def _code(planned: Sequence[Planned]) -> Exit:
    invalid = any(each.step is Step.INVALID for each in planned)
    return Exit.FINDINGS if invalid else Exit.OK
