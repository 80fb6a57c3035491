"""`cml-iam worker wait`, and the --wait option of other commands."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cml_iam.cli._exit import Exit
from cml_iam.cli._headings import Heading, shared_option
from cml_iam.cli._output import (
    BAD,
    INFO,
    OK,
    UNKNOWN,
    answer,
    complain_remedies,
    early,
    note,
    progress,
    say,
)
from cml_iam.cli._settings import aws_options, length, options, shared_options
from cml_iam.cli.worker_scene import Scene, complete_worker, scene
from cml_iam.errors import InputError
from cml_iam.report import plural
from cml_iam.workers import DEFAULT_TIMEOUT, CmlAccess, Goal, Waited, Worker, wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

timeout_option = click.option(
    "--timeout",
    type=length,
    metavar="TIME",
    help="Maximum time to wait, such as 90s, 2m or 1h."
    f"  [default: {int(DEFAULT_TIMEOUT.total_seconds()) // 60}m]",
)


_KEY = "cml_iam.cml"


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value:
        context.meta.setdefault(_KEY, {})[parameter.name] = value


_kept: dict[str, Any] = {"callback": _keep, "expose_value": False}


wait_options = options(
    click.option(
        "--wait", is_flag=True, help="Wait until the state is reached, and show progress."
    ),
    timeout_option,
)
"""The options of a command that changes the state of workers."""

cml_options = options(
    shared_option(
        Heading.CML,
        "--cml-ca",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Trust the certificates in FILE (PEM): CML's own or that of its CA.",
        **_kept,
    ),
    shared_option(
        Heading.CML,
        "--insecure",
        is_flag=True,
        help="Do not verify CML's certificate. Insecure: another host could impersonate CML.",
        **_kept,
    ),
    shared_option(
        Heading.CML,
        "--cml-private",
        is_flag=True,
        help="Connect to CML at the private address.",
        **_kept,
    ),
)
"""The options for access to CML; `cml_access` reads them."""

cml_wait_option = options(
    click.option("--cml", is_flag=True, help="With --wait: also wait until CML is ready.", **_kept),
    cml_options,
)
"""`--cml` of a command that starts workers, with its access options; see `start_goal`."""


def start_goal(*, waiting: bool) -> Goal:
    """Return what --wait waits for after a start.

    Raises InputError for --cml without --wait, and if the options cannot reach CML.
    """
    cml_access()
    if not _given().get("cml"):
        return Goal.RUNNING
    if not waiting:
        raise InputError("--cml needs --wait", remedy="add --wait")
    return Goal.CML_READY


def cml_access() -> CmlAccess:
    """Return how to reach CML, from the options.

    Raises InputError if they contradict each other, and for an unusable certificate file.
    """
    given = _given()
    ca_file, insecure = given.get("cml_ca"), bool(given.get("insecure"))
    if ca_file and insecure:
        raise InputError(
            "--cml-ca and --insecure contradict each other",
            remedy="use only one of them",
        )
    access = CmlAccess(ca_file, insecure=insecure, private=bool(given.get("cml_private")))
    access.check()
    return access


def _given() -> dict[str, Any]:
    found: dict[str, Any] = click.get_current_context().meta.get(_KEY, {})
    return found


@click.argument("workers", nargs=-1, required=True, shell_complete=complete_worker)
@click.option(
    "--for",
    "goal",
    type=click.Choice([goal.value for goal in Goal]),
    default=Goal.OK.value,
    show_default=True,
    help="State to wait for. ok: running with both EC2 status checks passed; cml-ready: also CML.",
)
@timeout_option
@cml_options
@shared_options("site", "output")
@aws_options
def wait(workers: tuple[str, ...], goal: str, timeout: timedelta | None) -> None:
    """Wait until WORKERS, IDs or names (* and ?), reach a state.

    Exits with 3 when a worker can no longer reach the state, and with 7 on --timeout.

    Examples:
      cml-iam worker wait lab-1 --for cml-ready --timeout 30m
    """
    cml_access()
    here = scene()
    ended = wait_until(here, here.find(workers), Goal(goal), timeout)
    told = [{**each.worker.as_json(), **each.as_json()} for each in ended]
    answer(told, lambda: None, wait_code(ended))  # the text was printed as each worker ended


def wait_until(
    here: Scene, workers: Sequence[Worker], goal: Goal, timeout: timedelta | None
) -> tuple[Waited, ...]:
    """Wait, reporting each change on stderr, and print the outcome for each worker."""
    started, access = time.monotonic(), cml_access()
    wanted = _AWAITED.get(goal, f"to be {goal}")
    with progress(f"waiting for {plural(len(workers), 'worker')} {wanted}"):
        ended = wait_for(
            here.manager,
            workers,
            goal,
            timeout=DEFAULT_TIMEOUT if timeout is None else timeout,
            tell=lambda worker, where: note(
                f"{INFO} {time.monotonic() - started:>4.0f} s  {worker.label}: {where}"
            ),
            cml=access.ask,
        )
    early(say, *(_line(each, goal, time.monotonic() - started) for each in ended))
    complain_remedies(each.cml.remedy for each in ended if each.cml)
    return ended


_AWAITED = {Goal.OK: "to pass both status checks", Goal.CML_READY: "to have CML ready"}


def wait_code(ended: Sequence[Waited]) -> Exit:
    """Return the exit code after waiting."""
    if any(each.given_up for each in ended):
        return Exit.FINDINGS
    return Exit.OK if all(each.reached for each in ended) else Exit.RESUMABLE


def _line(ended: Waited, goal: Goal, seconds: float) -> str:
    label = ended.worker.label
    if ended.reached:
        if ended.cml:
            return f"{OK} {label}: {ended.cml.said} after {seconds:.0f} s, {ended.cml.address}"
        address = ended.worker.public_ip if goal in (Goal.RUNNING, Goal.OK) else None
        at = f", {address}" if address else ""
        return f"{OK} {label}: {goal} after {seconds:.0f} s{at}"
    symbol = BAD if ended.given_up else UNKNOWN
    return f"{symbol} {label}: not {goal} after {seconds:.0f} s, {ended.detail}"
