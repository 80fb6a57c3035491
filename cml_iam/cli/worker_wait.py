"""`cml-iam worker wait`, and what --wait does after other commands."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import click

from cml_iam.cli._exit import Exit
from cml_iam.cli._output import BAD, INFO, OK, UNKNOWN, note, print_json, progress, say, wants_json
from cml_iam.cli._settings import aws_options, shared_options
from cml_iam.cli.worker_scene import Scene, scene, worker_json
from cml_iam.cli.worker_words import length
from cml_iam.workers import DEFAULT_TIMEOUT, Goal, Waited, Worker, wait_for

timeout_option = click.option(
    "--timeout",
    type=length,
    metavar="LENGTH",
    help=f"How long to wait.  [default: {int(DEFAULT_TIMEOUT.total_seconds()) // 60}m]",
)


def wait_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --wait and --timeout to a command that changes the state of workers."""
    waiting = click.option("--wait", is_flag=True, help="Wait until it is done, telling how far.")
    return waiting(timeout_option(command))


@click.command("wait")
@click.argument("workers", nargs=-1, required=True)
@click.option(
    "--for",
    "goal",
    type=click.Choice([goal.value for goal in Goal]),
    default=Goal.OK.value,
    show_default=True,
    help="ok: running, and both of EC2's checks passed.",
)
@timeout_option
@shared_options("site", "output", "color", "quiet")
@aws_options
@click.pass_context
def wait(
    context: click.Context, workers: tuple[str, ...], goal: str, timeout: timedelta | None
) -> None:
    """Wait until WORKERS, ids or names (* and ?), are where they should be.

    Exits with 3 when one cannot get there any more, with 7 when the time is over.
    """
    here = scene()
    ended = wait_until(here, here.find(workers), Goal(goal), timeout)
    if wants_json():
        print_json([{**worker_json(each.worker), **waited_json(each)} for each in ended])
    context.exit(wait_code(ended))


def wait_until(
    here: Scene, workers: Sequence[Worker], goal: Goal, timeout: timedelta | None
) -> tuple[Waited, ...]:
    """Wait, telling each change on stderr, and print how it ended for each worker."""
    started = time.monotonic()
    with progress(f"waiting for {len(workers)} worker(s) to be {goal}"):
        ended = wait_for(
            here.manager,
            workers,
            goal,
            timeout=DEFAULT_TIMEOUT if timeout is None else timeout,
            tell=lambda worker, where: note(f"{INFO} {worker.label}: {where}"),
        )
    if not wants_json():
        for each in ended:
            say(_line(each, goal, time.monotonic() - started))
    return ended


def wait_code(ended: Sequence[Waited]) -> Exit:
    """Return the exit code of having waited."""
    if any(each.given_up for each in ended):
        return Exit.FINDINGS
    return Exit.OK if all(each.reached for each in ended) else Exit.RESUMABLE


def waited_json(ended: Waited) -> dict[str, Any]:
    """Return how it *ended* for a program."""
    return {"reached": ended.reached, "detail": ended.detail or None}


def _line(ended: Waited, goal: Goal, seconds: float) -> str:
    label = ended.worker.label
    if ended.reached:
        address = ended.worker.public_ip if goal in (Goal.RUNNING, Goal.OK) else None
        at = f", {address}" if address else ""
        return f"{OK} {label}: {goal} after {seconds:.0f} s{at}"
    symbol = BAD if ended.given_up else UNKNOWN
    return f"{symbol} {label}: not {goal} after {seconds:.0f} s, {ended.detail}"
