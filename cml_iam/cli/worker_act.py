"""`cml-iam worker start`, `stop`, `terminate`, `tag`, `untag` and `wait`."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cml_iam import workers as room
from cml_iam.cli._exit import Exit, exit_code
from cml_iam.cli._options import (
    Heading,
    aws_options,
    length,
    option,
    options,
    repeatable,
    settings,
    shared_options,
)
from cml_iam.cli._output import (
    BAD,
    INFO,
    OK,
    UNKNOWN,
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
from cml_iam.cli.worker_scene import (
    Scene,
    complete_worker,
    explain,
    scene,
    tags_of,
    warn_of_namesakes,
)
from cml_iam.errors import InputError, StateError
from cml_iam.report import plural
from cml_iam.workers import Goal

if TYPE_CHECKING:
    from cml_iam.workers import Change, CmlAccess, Outcome, Waited, Worker

    Make = Callable[[Sequence[str]], Change]
    Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_cml_option = partial(option, heading=Heading.CML)


def cml_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for access to CML; the command receives it as *cml*, a CmlAccess."""

    @functools.wraps(command)
    def called(*, cml_ca: Path | None, insecure: bool, cml_private: bool, **others: Any) -> Any:
        if cml_ca and insecure:
            raise InputError(
                "--cml-ca and --insecure contradict each other", remedy="use only one of them"
            )
        access = room.CmlAccess(cml_ca, insecure=insecure, private=cml_private)
        access.check()
        return command(cml=access, **others)

    return options(
        _cml_option(
            "--cml-ca FILE",
            "Trust the certificates in FILE (PEM): CML's own or that of its CA.",
            type=click.Path(path_type=Path, dir_okay=False),
        ),
        _cml_option(
            "--insecure",
            "Do not verify CML's certificate. Insecure: another host could impersonate CML.",
        ),
        _cml_option("--cml-private", "Connect to CML at the private address."),
    )(called)


_timeout_option = option(
    "--timeout TIME",
    "Maximum time to wait, such as 90s, 2m or 1h."
    f"  [default: {int(room.DEFAULT_TIMEOUT.total_seconds()) // 60}m]",
    type=length,
)


@dataclass(frozen=True, slots=True)
class Wait:
    """What to wait for, at most for *timeout*; a *goal* of None is not waited for."""

    goal: Goal | None = None
    timeout: timedelta | None = None
    cml: CmlAccess | None = None


def wait_options(goal: Goal, *, cml: bool = False) -> Decorator:
    """Add --wait for *goal*, and if *cml* for CML; the command receives a `Wait` as *wait*."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def called(
            *,
            wait: bool,
            timeout: timedelta | None,
            until_cml: bool = False,
            cml: CmlAccess | None = None,
            **others: Any,
        ) -> Any:
            if until_cml and not wait:
                raise InputError("--cml needs --wait", remedy="add --wait")
            awaited = Goal.CML_READY if until_cml else goal
            return command(wait=Wait(awaited if wait else None, timeout, cml), **others)

        until = option("--cml", "With --wait: also wait until CML is ready.", name="until_cml")
        return options(
            option("--wait", "Wait until the state is reached, and show progress."),
            _timeout_option,
            *((until, cml_options) if cml else ()),
        )(called)

    return decorate


_acting = options(
    click.argument("workers", nargs=-1, required=True, shell_complete=complete_worker),
    option("--unmanaged", "Include instances without the guard tag."),
    shared_options("site", "output", "yes", "dry_run", "no_site"),
    aws_options,
)
"""The argument and the options of every command that changes workers."""


@_acting
@wait_options(Goal.RUNNING, cml=True)
def start(workers: tuple[str, ...], unmanaged: bool, wait: Wait) -> None:
    """Start stopped workers. WORKERS are IDs or names (* and ?).

    With --dry-run, EC2 only checks whether the call is permitted.

    Examples:
      cml-iam worker start lab-1 --wait --cml
    """
    here = scene(changes=True)
    chosen = _named(here, workers, room.start_change, unmanaged=unmanaged)
    _do(here, chosen, room.start_change, "start", wait)


@option("--force", "Stop without waiting for the operating system to shut down.")
@option("--hibernate", "Hibernate instead, if the instance was launched for it.")
@_acting
@wait_options(Goal.STOPPED)
def stop(
    workers: tuple[str, ...], unmanaged: bool, force: bool, hibernate: bool, wait: Wait
) -> None:
    """Stop running workers. WORKERS are IDs or names (* and ?).

    With --dry-run, EC2 only checks whether the call is permitted.

    Examples:
      cml-iam worker stop lab-1 --wait
      cml-iam worker stop 'lab-*' --yes
    """
    here = scene(changes=True)
    make = partial(room.stop_change, force=force, hibernate=hibernate)
    chosen = _named(here, workers, make, unmanaged=unmanaged)
    for worker in chosen:
        if risk := room.risk_of_stopping(worker):
            note(f"{WARN} {worker.label} is {risk}")
    confirm(here, chosen, "stop")
    _do(here, chosen, make, "stop", wait)


@_acting
@wait_options(Goal.TERMINATED)
def terminate(workers: tuple[str, ...], unmanaged: bool, wait: Wait) -> None:
    """Terminate workers permanently. WORKERS are IDs or names (* and ?).

    With --dry-run, EC2 only checks whether the call is permitted.

    Examples:
      cml-iam worker terminate lab-1
    """
    here = scene(changes=True)
    chosen = _named(here, workers, room.terminate_change, unmanaged=unmanaged)
    confirm(here, chosen, "terminate", by_name=True)
    _do(here, chosen, room.terminate_change, "terminate", wait)


@repeatable("-t, --tag KEY=VALUE", "Set this tag.", name="tags", required=True)
@_acting
def tag(workers: tuple[str, ...], unmanaged: bool, tags: tuple[str, ...]) -> None:
    """Add tags to workers, or change their values. WORKERS are IDs or names (* and ?).

    Examples:
      cml-iam worker tag lab-1 --tag Owner=alice
    """
    new_tags = tags_of(tags)
    here = scene(changes=True)
    make = partial(room.tag_change, tags=new_tags, guard=here.manager.guard)
    chosen = _named(here, workers, make, unmanaged=unmanaged)
    if "Name" in new_tags:
        if len(chosen) > 1:
            note(
                f"{WARN} {len(chosen)} workers get the same name; commands will refuse it as "
                "ambiguous"
            )
        warn_of_namesakes(here, new_tags["Name"], besides=[worker.id for worker in chosen])
    _do(here, chosen, make, "tag")


@repeatable("-t, --tag KEY", "Remove the tag with this key.", name="keys", required=True)
@_acting
def untag(workers: tuple[str, ...], unmanaged: bool, keys: tuple[str, ...]) -> None:
    """Remove tags from workers, whatever their values. WORKERS are IDs or names (* and ?).

    Examples:
      cml-iam worker untag lab-1 --tag Owner
    """
    here = scene(changes=True)
    make = partial(room.untag_change, keys=keys, guard=here.manager.guard)
    _do(here, _named(here, workers, make, unmanaged=unmanaged), make, "untag")


def _named(here: Scene, workers: Sequence[str], make: Make, *, unmanaged: bool) -> Sequence[Worker]:
    """Return the instances that *workers* name, after checking that *make* refuses none of them."""
    make(["i-00000000"])
    return here.find_managed(workers, unmanaged=unmanaged)


def confirm(here: Scene, workers: Sequence[Worker], verb: str, *, by_name: bool = False) -> None:
    """Ask on a terminal, for the typed name if *by_name*; ends the command if declined."""
    if settings().yes or settings().dry_run:
        return
    for worker in workers:
        complain(f"  {worker.label}  {worker.instance_type}  {worker.state}  {worker.region}")
    if by_name:
        complain(f"{WARN} terminating cannot be undone: it also deletes the disks")
        only = workers[0].name or workers[0].id
        words = only if len(workers) == 1 else f"terminate {len(workers)}"
        confirmed = typed(here.aws, words, "to go on")
    else:
        confirmed = agreed(here.aws, f"{verb} {_label(workers)}?")
    if not confirmed:
        click.get_current_context().exit(Exit.USAGE)


def _label(workers: Sequence[Worker]) -> str:
    return workers[0].label if len(workers) == 1 else f"{len(workers)} workers"


def _do(
    here: Scene, workers: Sequence[Worker], make: Make, verb: str, wait: Wait | None = None
) -> None:
    outcomes = change(here, workers, make, verb)
    explain(here, outcomes)
    dry = settings().dry_run
    early(say, *(outcome_line(outcome, verb, dry=dry) for outcome in outcomes))
    code = failures(outcomes)
    changed = [outcome.worker for outcome in outcomes if not outcome.error]
    ended: tuple[Waited, ...] = ()
    if wait and wait.goal and changed and not dry:
        ended = wait_until(here, changed, wait)
    by_id = {waited.worker.id: waited for waited in ended}
    results = [outcome_json(outcome, by_id.get(outcome.worker.id), dry=dry) for outcome in outcomes]
    answer(results, (), code or wait_code(ended))  # the text was printed above


def change(here: Scene, workers: Sequence[Worker], make: Make, verb: str) -> tuple[Outcome, ...]:
    """Make the change to *workers*, or with --dry-run only ask whether it is permitted."""
    with progress(f"asking EC2 to {verb} {_label(workers)}"):
        return room.act(here.manager, workers, make, dry_run=settings().dry_run)


def failures(outcomes: Sequence[Outcome]) -> Exit:
    """Print remedies for the failed ones on stderr; return the exit code."""
    failed = [outcome.error for outcome in outcomes if outcome.error]
    complain_remedies(map(remedy_of, outcomes))
    if failed and len(outcomes) > 1:
        note(f"{BAD} {len(failed)} of {len(outcomes)} failed")
    return exit_code(failed[0]) if failed else Exit.OK


_ARRIVES = {"pending": "running", "stopping": "stopped"}


def remedy_of(outcome: Outcome) -> str | None:
    """Return what to do about *outcome*; for a pending change, to wait."""
    arrived = _ARRIVES.get(outcome.worker.state)
    if isinstance(outcome.error, StateError) and arrived:
        return f"wait for it: `cml-iam worker wait {outcome.worker.id} --for {arrived}`"
    return outcome.error.remedy if outcome.error else None


def outcome_line(outcome: Outcome, verb: str, *, dry: bool) -> str:
    """Return a line with the outcome for one worker."""
    worker, error, changed = outcome.worker, outcome.error, outcome.change
    if error:
        why = f"it is {worker.state}: " if isinstance(error, StateError) else ""
        return f"{BAD} {worker.label}: {why}{error.message}"
    if dry:
        end = f"{verb} is permitted (nothing was changed)"
    elif changed is None:
        end = f"{verb} done"
    elif changed.previous == changed.current:
        end = f"{changed.current} already"
    else:
        end = f"{changed.previous} -> {changed.current}"
    return f"{OK} {worker.label}: {end}"


def outcome_json(outcome: Outcome, ended: Waited | None, *, dry: bool) -> dict[str, Any]:
    """Return the outcome for one worker as JSON values."""
    error, changed = outcome.error, outcome.change
    return {
        **outcome.worker.named,
        "previous": changed.previous if changed else None,
        "current": changed.current if changed else None,
        "error": error and {**error.as_json(), "remedy": remedy_of(outcome)},
        "dry_run": dry,
        "waited": ended and {"state": ended.worker.state, **ended.as_json()},
    }


@click.argument("workers", nargs=-1, required=True, shell_complete=complete_worker)
@option(
    "--for",
    "State to wait for. ok: running with both EC2 status checks passed; cml-ready: also CML.",
    name="goal",
    type=click.Choice([goal.value for goal in Goal]),
    default=Goal.OK.value,
)
@_timeout_option
@cml_options
@shared_options("site", "output")
@aws_options
def wait(workers: tuple[str, ...], goal: str, timeout: timedelta | None, cml: CmlAccess) -> None:
    """Wait until WORKERS, IDs or names (* and ?), reach a state.

    Exits with 3 when a worker can no longer reach the state, and with 7 on --timeout.

    Examples:
      cml-iam worker wait lab-1 --for cml-ready --timeout 30m
    """
    here = scene()
    ended = wait_until(here, here.find(workers), Wait(Goal(goal), timeout, cml))
    results = [{**waited.worker.as_json(), **waited.as_json()} for waited in ended]
    answer(results, (), wait_code(ended))  # the text was printed as each worker ended


_AWAITED = {Goal.OK: "to pass both status checks", Goal.CML_READY: "to have CML ready"}


def wait_until(here: Scene, workers: Sequence[Worker], wait: Wait) -> tuple[Waited, ...]:
    """Wait, reporting each change on stderr, and print the outcome for each worker."""
    started, goal = time.monotonic(), wait.goal or Goal.RUNNING
    state = _AWAITED.get(goal, f"to be {goal}")
    with progress(f"waiting for {plural(len(workers), 'worker')} {state}"):
        ended = room.wait_for(
            here.manager,
            workers,
            goal,
            timeout=room.DEFAULT_TIMEOUT if wait.timeout is None else wait.timeout,
            tell=lambda worker, where: note(
                f"{INFO} {time.monotonic() - started:>4.0f} s  {worker.label}: {where}"
            ),
            cml=(wait.cml or room.CmlAccess()).ask,
        )
    early(say, *(_line(waited, goal, time.monotonic() - started) for waited in ended))
    complain_remedies(waited.cml.remedy for waited in ended if waited.cml)
    return ended


def _line(waited: Waited, goal: Goal, seconds: float) -> str:
    label, after = waited.worker.label, f"after {seconds:.0f} s"
    if not waited.reached:
        return f"{BAD if waited.given_up else UNKNOWN} {label}: not {goal} {after}, {waited.detail}"
    if waited.cml:
        return f"{OK} {label}: {waited.cml.said} {after}, {waited.cml.address}"
    address = waited.worker.public_ip if goal in (Goal.RUNNING, Goal.OK) else None
    return f"{OK} {label}: {goal} {after}{f', {address}' if address else ''}"


def wait_code(ended: Sequence[Waited]) -> Exit:
    """Return the exit code after waiting."""
    if any(waited.given_up for waited in ended):
        return Exit.FINDINGS
    return Exit.OK if all(waited.reached for waited in ended) else Exit.RESUMABLE
