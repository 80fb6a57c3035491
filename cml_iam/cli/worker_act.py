"""`cml-iam worker start`, `stop`, `terminate`, `tag` and `untag`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from cml_iam.cli._exit import Exit, exit_code
from cml_iam.cli._output import (
    BAD,
    OK,
    WARN,
    agreed,
    answer,
    complain,
    complain_remedies,
    early,
    note,
    progress,
    say,
    typed,
)
from cml_iam.cli._settings import aws_options, options, settings, shared_options
from cml_iam.cli.worker_scene import (
    Scene,
    complete_worker,
    explain,
    scene,
    tags_of,
    warn_of_namesakes,
)
from cml_iam.cli.worker_wait import cml_wait_option, start_goal, wait_code, wait_options, wait_until
from cml_iam.errors import StateError
from cml_iam.workers import (
    Change,
    Goal,
    Outcome,
    Waited,
    Worker,
    act,
    risk_of_stopping,
    start_change,
    stop_change,
    tag_change,
    terminate_change,
    untag_change,
)

if TYPE_CHECKING:
    from datetime import timedelta

Make = Callable[[Sequence[str]], Change]


_acting = options(
    click.argument("workers", nargs=-1, required=True, shell_complete=complete_worker),
    click.option("--unmanaged", is_flag=True, help="Include instances without the guard tag."),
    shared_options("site", "output", "yes", "dry_run", "no_site"),
    aws_options,
)
"""What all these commands have."""


@_acting
@wait_options
@cml_wait_option
def start(
    workers: tuple[str, ...],
    unmanaged: bool,
    wait: bool,
    timeout: timedelta | None,
) -> None:
    """Start stopped workers. WORKERS are IDs or names (* and ?).

    With --dry-run, EC2 only checks whether the call is permitted.

    Examples:
      cml-iam worker start lab-1 --wait --cml
    """
    goal = start_goal(waiting=wait)
    here = scene(changes=True)
    found = _found(here, workers, start_change, unmanaged=unmanaged)
    _do(here, found, start_change, "start", goal if wait else None, timeout)


@click.option(
    "--force", is_flag=True, help="Stop without waiting for the operating system to shut down."
)
@click.option(
    "--hibernate", is_flag=True, help="Hibernate instead, if the instance was launched for it."
)
@_acting
@wait_options
def stop(
    workers: tuple[str, ...],
    unmanaged: bool,
    force: bool,
    hibernate: bool,
    wait: bool,
    timeout: timedelta | None,
) -> None:
    """Stop running workers. WORKERS are IDs or names (* and ?).

    With --dry-run, EC2 only checks whether the call is permitted.

    Examples:
      cml-iam worker stop lab-1 --wait
      cml-iam worker stop 'lab-*' --yes
    """
    here = scene(changes=True)
    make = partial(stop_change, force=force, hibernate=hibernate)
    found = _found(here, workers, make, unmanaged=unmanaged)
    for worker in found:
        if risk := risk_of_stopping(worker):
            note(f"{WARN} {worker.label} is {risk}")
    confirm(here, found, "stop")
    _do(here, found, make, "stop", Goal.STOPPED if wait else None, timeout)


@_acting
@wait_options
def terminate(
    workers: tuple[str, ...],
    unmanaged: bool,
    wait: bool,
    timeout: timedelta | None,
) -> None:
    """Terminate workers permanently. WORKERS are IDs or names (* and ?).

    With --dry-run, EC2 only checks whether the call is permitted.

    Examples:
      cml-iam worker terminate lab-1
    """
    here = scene(changes=True)
    found = _found(here, workers, terminate_change, unmanaged=unmanaged)
    confirm(here, found, "terminate", by_name=True)
    _do(here, found, terminate_change, "terminate", Goal.TERMINATED if wait else None, timeout)


@click.option(
    "-t",
    "--tag",
    "tags",
    metavar="KEY=VALUE",
    multiple=True,
    required=True,
    help="Set this tag. Repeatable.",
)
@_acting
def tag(workers: tuple[str, ...], unmanaged: bool, tags: tuple[str, ...]) -> None:
    """Add tags to workers, or change their values. WORKERS are IDs or names (* and ?).

    Examples:
      cml-iam worker tag lab-1 --tag Owner=alice
    """
    wanted = tags_of(tags)
    here = scene(changes=True)
    make = partial(tag_change, tags=wanted, guard=here.manager.guard)
    found = _found(here, workers, make, unmanaged=unmanaged)
    if "Name" in wanted:
        if len(found) > 1:
            note(
                f"{WARN} {len(found)} workers get the same name; commands will refuse it as "
                "ambiguous"
            )
        warn_of_namesakes(here, wanted["Name"], besides=[worker.id for worker in found])
    _do(here, found, make, "tag")


@click.option(
    "-t",
    "--tag",
    "keys",
    metavar="KEY",
    multiple=True,
    required=True,
    help="Remove the tag with this key. Repeatable.",
)
@_acting
def untag(workers: tuple[str, ...], unmanaged: bool, keys: tuple[str, ...]) -> None:
    """Remove tags from workers, whatever their values. WORKERS are IDs or names (* and ?).

    Examples:
      cml-iam worker untag lab-1 --tag Owner
    """
    here = scene(changes=True)
    make = partial(untag_change, keys=keys, guard=here.manager.guard)
    _do(here, _found(here, workers, make, unmanaged=unmanaged), make, "untag")


def _found(here: Scene, workers: Sequence[str], make: Make, *, unmanaged: bool) -> Sequence[Worker]:
    """Return the instances that *workers* name, after checking that *make* refuses none of them."""
    make([_ANY_ID])
    return here.find_managed(workers, unmanaged=unmanaged)


_ANY_ID = "i-00000000"


def confirm(here: Scene, workers: Sequence[Worker], verb: str, *, by_name: bool = False) -> None:
    """Ask on a terminal, for the typed name if *by_name*; ends the command if declined."""
    chosen = settings()
    if chosen.yes or chosen.dry_run:
        return
    for worker in workers:
        complain(f"  {worker.label}  {worker.instance_type}  {worker.state}  {worker.region}")
    if by_name:
        complain(f"{WARN} terminating cannot be undone: it also deletes the disks")
        confirmed = typed(here.aws, _words_to_type(workers), "to go on")
    else:
        confirmed = agreed(here.aws, f"{verb} {_count(workers)}?")
    if not confirmed:
        click.get_current_context().exit(Exit.USAGE)


def _words_to_type(workers: Sequence[Worker]) -> str:
    if len(workers) == 1:
        return workers[0].name or workers[0].id
    return f"terminate {len(workers)}"


def _count(workers: Sequence[Worker]) -> str:
    return workers[0].label if len(workers) == 1 else f"{len(workers)} workers"


def _do(
    here: Scene,
    workers: Sequence[Worker],
    make: Make,
    verb: str,
    goal: Goal | None = None,
    timeout: timedelta | None = None,
) -> None:
    """Make the change and print its outcomes; with a *goal*, wait for it up to *timeout*."""
    outcomes = change(here, workers, make, verb)
    explain(here, outcomes)
    dry = settings().dry_run
    early(say, *(outcome_line(outcome, verb, dry=dry) for outcome in outcomes))
    code = failures(outcomes)
    ended: tuple[Waited, ...] = ()
    changed = [outcome.worker for outcome in outcomes if not outcome.error]
    if goal and changed and not dry:
        ended = wait_until(here, changed, goal, timeout)
    by_id = {each.worker.id: each for each in ended}
    told = [outcome_json(outcome, by_id.get(outcome.worker.id), dry=dry) for outcome in outcomes]
    answer(told, lambda: None, code or wait_code(ended))  # the text was printed above


def change(here: Scene, workers: Sequence[Worker], make: Make, verb: str) -> tuple[Outcome, ...]:
    """Make the change to *workers*, or with --dry-run only ask whether it is permitted."""
    with progress(f"asking EC2 to {verb} {_count(workers)}"):
        return act(here.manager, workers, make, dry_run=settings().dry_run)


def failures(outcomes: Sequence[Outcome]) -> Exit:
    """Print remedies for the failed ones on stderr; return the exit code."""
    failed = [outcome.error for outcome in outcomes if outcome.error]
    complain_remedies(map(remedy_of, outcomes))
    if failed and len(outcomes) > 1:
        note(f"{BAD} {len(failed)} of {len(outcomes)} failed")
    return exit_code(failed[0]) if failed else Exit.OK


def remedy_of(outcome: Outcome) -> str | None:
    """Return what to do about *outcome*; for a pending change, to wait."""
    arrived = _ARRIVES.get(outcome.worker.state)
    if isinstance(outcome.error, StateError) and arrived:
        return f"wait for it: `cml-iam worker wait {outcome.worker.id} --for {arrived}`"
    return outcome.error.remedy if outcome.error else None


_ARRIVES = {"pending": "running", "stopping": "stopped"}


def outcome_line(outcome: Outcome, verb: str, *, dry: bool) -> str:
    """Return a line with the outcome for one worker."""
    label = outcome.worker.label
    if isinstance(outcome.error, StateError):
        return f"{BAD} {label}: it is {outcome.worker.state}: {outcome.error.message}"
    if outcome.error:
        return f"{BAD} {label}: {outcome.error.message}"
    if dry:
        return f"{OK} {label}: {verb} is permitted (nothing was changed)"
    if outcome.change and outcome.change.previous == outcome.change.current:
        return f"{OK} {label}: {outcome.change.current} already"
    if outcome.change:
        return f"{OK} {label}: {outcome.change.previous} -> {outcome.change.current}"
    return f"{OK} {label}: {verb} done"


def outcome_json(outcome: Outcome, ended: Waited | None, *, dry: bool) -> dict[str, Any]:
    """Return the outcome for one worker as JSON values."""
    waited = ended and {"state": ended.worker.state, **ended.as_json()}
    said = outcome.as_json()
    if said["error"]:
        said["error"]["remedy"] = remedy_of(outcome)
    return {**said, "dry_run": dry, "waited": waited}
