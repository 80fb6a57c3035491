"""`cml-iam sandbox`: an embedded AWS that enforces policies."""

from __future__ import annotations

import os
import shlex
import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cml_iam.cli._lazy import LazyGroup
from cml_iam.cli._output import note, print_json, wants_json
from cml_iam.cli._settings import settings, shared_options
from cml_iam.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cml_iam.sandbox import Conditions, Sandbox

_DESCRIBE = "Show instances on their way for N DescribeInstances.  [default: 0]"
_FAULTS = "Delays, limits and refusals from a TOML file: see docs/sandbox.md."


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
        click.option("--throttle", is_flag=True, help="Limit requests by EC2's token buckets."),
        click.option("--strict", is_flag=True, help="Be as slow, late and busy as AWS."),
        click.option("--faults", type=click.Path(path_type=Path), metavar="FILE", help=_FAULTS),
        shared_options("region"),
    ):
        command = option(command)
    return command


@click.group(
    cls=LazyGroup,
    lazy={
        "start": ("cml_iam.cli.sandbox:start", "Start the sandbox and stay up."),
        "run": ("cml_iam.cli.sandbox:run", "Run a command against a sandbox of its own."),
    },
)
def sandbox() -> None:
    """Run an embedded AWS that enforces policies; nothing leaves this machine."""


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="[default: any free port]")
@_sandbox_options
@shared_options("output")
def start(port: int, **given: Any) -> int:
    """Start the sandbox and stay up; print what points a shell at it.

    The printed key is that of the sandbox's root: random, and worth nothing elsewhere.
    """
    from cml_iam.sandbox import foreign_variable

    in_the_way = sorted(name for name in os.environ if foreign_variable(name))
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with _started(given, port) as running:
        _print_environment(running, in_the_way)
        note(f"the sandbox answers at {running.endpoint_url}; interrupt it to end it")
        ended.wait()
    return 0


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@_sandbox_options
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(command: tuple[str, ...], **given: Any) -> int:
    """Run COMMAND against a sandbox of its own, and end with its exit code."""
    from cml_iam.sandbox import NOT_EXECUTABLE, NOT_FOUND, run_command

    with _started(given) as running:
        code = run_command(running, command)
    if code in (NOT_FOUND, NOT_EXECUTABLE):
        note(f"`{command[0]}` ended with {code}: not found, or cannot be executed")
    return code


def _started(given: dict[str, Any], port: int = 0) -> Sandbox:
    from cml_iam.sandbox import ACCOUNT, REGION, start_sandbox

    return start_sandbox(
        given["account"] or ACCOUNT,
        settings().region or REGION,
        port,
        simulate_shape=given["simulate_shape"],
        describes_until_arrived=given["state_delay"] or 0,
        conditions=_conditions(given["faults"], strict=given["strict"], throttle=given["throttle"]),
    )


def _conditions(faults: Path | None, *, strict: bool, throttle: bool) -> Conditions:
    """Return what the sandbox is to suffer, by the options."""
    from cml_iam.sandbox import AS_AWS, Conditions, load_conditions

    if faults is not None and strict:
        raise InputError(
            "`--strict` and `--faults` each say what the sandbox suffers",
            remedy="write what you want into the file",
        )
    found = load_conditions(faults) if faults is not None else Conditions()
    if strict:
        found = AS_AWS
    return replace(found, throttle=found.throttle or throttle)


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
