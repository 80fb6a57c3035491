"""`cml-iam sandbox`: an embedded AWS that enforces policies."""

from __future__ import annotations

import os
import shlex
import signal
import threading
from typing import TYPE_CHECKING, Any, Literal

import click

from cml_iam.cli._output import note, print_json, wants_json
from cml_iam.cli._settings import settings, shared_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from cml_iam.sandbox import Sandbox

_DESCRIBE = "Show instances on their way for N DescribeInstances.  [default: 0]"


def _sandbox_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--account", metavar="ID", help="Account id.  [default: 111122223333]"),
        click.option(
            "--simulate-shape",
            type=click.Choice(["new", "old"]),
            default="new",
            help="Shape of the Simulate* answers: since 2026-07-30, or before.  [default: new]",
        ),
        click.option("--state-delay", type=click.IntRange(0), metavar="N", help=_DESCRIBE),
        shared_options("region", "quiet"),
    ):
        command = option(command)
    return command


@click.group()
def sandbox() -> None:
    """Run an embedded AWS that enforces policies; nothing leaves this machine."""


@sandbox.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="[default: any free port]")
@_sandbox_options
@shared_options("output")
def start(
    port: int, account: str | None, simulate_shape: Literal["new", "old"], state_delay: int | None
) -> int:
    """Start the sandbox and stay up; print what points a shell at it.

    The printed key is that of the sandbox's root: random, and worth nothing elsewhere.
    """
    from cml_iam.sandbox import foreign_variable

    in_the_way = sorted(name for name in os.environ if foreign_variable(name))
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with _started(account, simulate_shape, state_delay, port) as running:
        _print_environment(running, in_the_way)
        note(f"the sandbox answers at {running.endpoint_url}; interrupt it to end it")
        ended.wait()
    return 0


@sandbox.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@_sandbox_options
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(
    command: tuple[str, ...],
    account: str | None,
    simulate_shape: Literal["new", "old"],
    state_delay: int | None,
) -> int:
    """Run COMMAND against a sandbox of its own, and end with its exit code."""
    from cml_iam.sandbox import NOT_EXECUTABLE, NOT_FOUND, run_command

    with _started(account, simulate_shape, state_delay) as running:
        code = run_command(running, command)
    if code in (NOT_FOUND, NOT_EXECUTABLE):
        note(f"`{command[0]}` ended with {code}: not found, or cannot be executed")
    return code


def _started(
    account: str | None, shape: Literal["new", "old"], delay: int | None, port: int = 0
) -> Sandbox:
    from cml_iam.sandbox import ACCOUNT, REGION, start_sandbox

    return start_sandbox(
        account or ACCOUNT,
        settings().region or REGION,
        port,
        simulate_shape=shape,
        describes_until_arrived=delay or 0,
    )


def _print_environment(running: Sandbox, in_the_way: list[str]) -> None:
    """Print the environment: the one place where a secret is shown, that of a throw-away root."""
    environment = running.environment()
    if wants_json():
        print_json(environment)
        return
    if in_the_way:
        click.echo(f"unset {' '.join(in_the_way)}")
    for name, value in environment.items():
        click.echo(f"export {name}={shlex.quote(value)}")
