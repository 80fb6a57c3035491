"""`cml-iam sandbox`: an embedded AWS that enforces policies."""

from __future__ import annotations

import os
import shlex
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cml_iam.cli._exit import end_on_signal
from cml_iam.cli._options import FILE, option, options, settings, shared_options
from cml_iam.cli._output import in_form, note
from cml_iam.cli.groups import Command, LazyGroup
from cml_iam.errors import InputError
from cml_iam.files import regular_text, write_whole
from cml_iam.secret import Secret

if TYPE_CHECKING:
    from cml_iam.sandbox import Sandbox

_MARK = "# Written by `cml-iam sandbox start`, removed when it ends."

_sandbox_options = options(
    shared_options("region"),
    option(
        "--faults FILE",
        "Inject delays, limits and refusals from a TOML file (see docs/sandbox.md).",
        type=FILE,
    ),
    option("--strict", "Simulate AWS's delays and eventual consistency."),
    option("--throttle", "Throttle requests as EC2 does, with token buckets."),
    option(
        "--state-delay N",
        "Keep instances in transitional states for N DescribeInstances calls.  [default: 0]",
        type=click.IntRange(0),
    ),
    option(
        "--simulate-shape",
        "Format of the Simulate* answers: new (since 2026-07-30) or old.",
        type=click.Choice(["new", "old"]),
        default="new",
    ),
    option("--account ID", "Account ID of the sandbox.  [default: 111122223333]"),
)


@click.group(
    cls=LazyGroup,
    lazy={
        "start": ("sandbox:start", "Start the sandbox and keep it running."),
        "run": ("sandbox:run", "Run a command against a new sandbox."),
        "token": ("sandbox:token", "Print a web identity token for a sandbox."),
    },
)
def sandbox() -> None:
    """Run an embedded AWS that enforces policies; nothing leaves this machine."""


@option(
    "--port PORT",
    "Port to listen on.  [default: any free port]",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=False,
)
@option(
    "--env-file FILE",
    "Write the exports to FILE (mode 0600) instead of stdout, as soon as the sandbox answers.",
    type=FILE,
)
@_sandbox_options
@shared_options("output")
def start(port: int, env_file: Path | None, **choices: Any) -> int:
    """Start the sandbox and keep it running; print the exports that point a shell at it.

    The printed key is that of the sandbox's root: random, and useless elsewhere. With --env-file,
    FILE contains the exports as soon as the sandbox answers, and is removed when the sandbox ends,
    so a script can wait for FILE to appear.

    Examples:
      cml-iam sandbox start --port 4566
      cml-iam sandbox start --env-file sandbox.env
    """
    from cml_iam.sandbox import foreign_variable

    in_the_way = sorted(name for name in os.environ if foreign_variable(name))
    ended = threading.Event()
    end_on_signal(ended.set)
    if env_file is not None:
        _clear(env_file)
    with _started(choices, port) as running:
        environment = _environment(running, in_the_way)
        if env_file is None:
            click.echo(environment)
        else:
            write_whole(env_file, f"{_MARK}\n{environment}\n", mode=0o600)
        note(f"the sandbox answers at {running.endpoint_url}; press Ctrl-C to stop")
        ended.wait()
        if env_file is not None:
            _clear(env_file)
    return 0


@click.command(
    cls=Command,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@_sandbox_options
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(command: tuple[str, ...], **choices: Any) -> int:
    """Run COMMAND against a new sandbox, and exit with COMMAND's exit code.

    Examples:
      cml-iam sandbox run -- pytest tests/
    """
    from cml_iam.sandbox import NOT_EXECUTABLE, NOT_FOUND, run_command

    with _started(choices) as running:
        code = run_command(running, command)
    if code in (NOT_FOUND, NOT_EXECUTABLE):
        note(f"`{command[0]}` ended with {code}: not found, or cannot be executed")
    return code


@option("--provider URL", "URL of the OpenID Connect provider in IAM.", required=True)
@option(
    "--subject TEXT",
    "Subject of the token, such as `system:serviceaccount:NAMESPACE:NAME`.",
    required=True,
)
@option("--audience TEXT", "Audience of the token.  [default: sts.amazonaws.com]")
def token(provider: str, subject: str, audience: str | None) -> int:
    r"""Print a web identity token that the running sandbox accepts.

    Run it with the variables that `sandbox start` printed. Write the token to the file that
    AWS_WEB_IDENTITY_TOKEN_FILE names, to try a role that trusts a Kubernetes service account.

    Examples:
      cml-iam sandbox token --provider https://oidc.example.com \
          --subject system:serviceaccount:cml:manager
    """
    from cml_iam.sandbox import AUDIENCE, Identity, issue_token

    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    secret = os.environ.get("AWS_SECRET_ACCESS_KEY", "")
    if not endpoint.startswith("http://127.0.0.1:") or not secret:
        raise InputError(
            "AWS_ENDPOINT_URL and AWS_SECRET_ACCESS_KEY do not point to a sandbox",
            remedy="start one with `cml-iam sandbox start`, and set the variables it prints",
        )
    issued = issue_token(Identity(provider, subject, audience or AUDIENCE), Secret(secret))
    # No end of line for a file: SDKs send the whole content of the token's file.
    click.echo(issued, nl=sys.stdout.isatty())
    return 0


def _started(choices: dict[str, Any], port: int = 0) -> Sandbox:
    from cml_iam import sandbox as embedded

    faults, strict = choices["faults"], choices["strict"]
    if faults is not None and strict:
        raise InputError(
            "`--strict` and `--faults` cannot be used together",
            remedy="put all conditions into the file",
        )
    conditions = embedded.AS_AWS if strict else embedded.Conditions()
    if faults:
        conditions = embedded.load_conditions(faults)
    return embedded.start_sandbox(
        choices["account"] or embedded.ACCOUNT,
        settings().region or embedded.REGION,
        port,
        simulate_shape=choices["simulate_shape"],
        describes_until_arrived=choices["state_delay"] or 0,
        conditions=replace(conditions, throttle=conditions.throttle or choices["throttle"]),
    )


def _environment(running: Sandbox, in_the_way: list[str]) -> str:
    """Return the environment as shell commands, or as JSON.

    This is the one place that shows a secret: that of a disposable root user.
    """
    environment = running.environment()
    lines = [f"unset {' '.join(in_the_way)}"] if in_the_way else []
    lines += [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    return in_form(environment, "\n".join(lines))


def _clear(path: Path) -> None:
    """Remove what an earlier sandbox wrote to *path*; refuse to replace anything else."""
    if not path.exists():
        return
    if not regular_text(path).startswith(_MARK):
        raise InputError(
            f"`{path}` exists, and was not written by `sandbox start`",
            remedy="choose another file for --env-file, or remove this one",
        )
    path.unlink()
