"""The options that commands share, which may stand before or after the command."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import click

from cml_iam.cli._headings import Heading, shared_option
from cml_iam.clock import parse_length
from cml_iam.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


_KEY = "cml_iam.settings"
_TYPED = "cml_iam.typed"

Command = TypeVar("Command", bound="Callable[..., Any]")


@dataclass(frozen=True, slots=True)
class Settings:
    """The values of the shared options; None or False if an option was not given."""

    site: Path | None = None
    profile: str | None = None
    region: str | None = None
    endpoint_url: str | None = None
    output: str = "text"
    color: Literal["auto", "always", "never"] = "auto"
    quiet: bool = False
    verbose: int = 0
    debug: bool = False
    read_only: bool = False
    expect_account: str | None = None
    yes: bool = False
    dry_run: bool = False
    no_site: bool = False


def settings() -> Settings:
    """Return the shared options of the running command."""
    return settings_of(click.get_current_context())


def settings_of(context: click.Context) -> Settings:
    """Return the shared options of the command of *context*."""
    return Settings(**context.meta.get(_KEY, {}))


def options(*decorators: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Return a decorator that adds the options of *decorators* to a command, in this order."""

    def decorate(command: Command) -> Command:
        return functools.reduce(lambda made, add: add(made), reversed(decorators), command)

    return decorate


def shared_options(*names: str) -> Callable[[Command], Command]:
    """Add the shared options *names* to a command; read them with `settings()`."""
    return options(*(_OPTIONS[name] for name in names))


def length(text: str, *, more: str = "") -> timedelta:
    """Parse a duration: `90s`, `15m`, `1h`, `7d`; *more* says in an error what else is allowed."""
    try:
        return parse_length(text)
    except InputError as error:
        raise click.BadParameter(f"{error.message} ({error.remedy}{more})") from None


def length_or_zero(text: str) -> timedelta:
    """Parse a duration as `length` does, or `0`."""
    return timedelta(0) if text == "0" else length(text, more=", or 0")


def pairs(
    texts: Iterable[str], what: str = "a tag", form: str = "KEY=VALUE"
) -> list[tuple[str, str]]:
    """Return *texts*, each *what* in the form *form*, as pairs; raises InputError for others."""
    split = [text.partition("=") for text in texts]
    for name, equals, value in split:
        if not name or not equals:
            raise InputError(f"not {what}: `{name}{equals}{value}`", remedy=f"write {form}")
    return [(name, value) for name, _, value in split]


def refuse_ignored(context: click.Context, command: click.Command, name: str | None) -> None:
    """Raise UsageError for options before *command* that the command, called *name*, would ignore.

    A command uses the shared options that it declares, and the common ones. Environment variables
    apply to the whole machine and are not refused.
    """
    if isinstance(command, click.Group):
        return
    known = flags(command)
    ignored = [f"`{flag}`" for flag in context.meta.get(_TYPED, ()) if flag not in known]
    if ignored and not context.resilient_parsing:
        own = command.context_class(command, info_name=name, parent=context)
        raise click.UsageError(f"`{own.command_path}` does not take {', '.join(ignored)}", own)


def refuse_aws_options(needs: str) -> None:
    """Raise UsageError for AWS options if the command, without *needs*, does not call AWS."""
    offline = ("--profile", "--region", "--endpoint-url", "--expect-account")
    typed = [f for f in click.get_current_context().meta.get(_TYPED, ()) if f in offline]
    if typed:
        raise click.UsageError(
            f"{', '.join(typed)}: this command calls AWS only with {needs}"
            " (--profile names an AWS profile; --document names a policy of the site)"
        )


def on_command_line(name: str) -> bool:
    """Return whether the parameter *name* was given on the command line."""
    source = click.get_current_context().get_parameter_source(name)
    return source is click.core.ParameterSource.COMMANDLINE


def flags(command: click.Command) -> frozenset[str]:
    """Return the long option names of *command*."""
    return frozenset(param.opts[-1] for param in command.params)


def common_options() -> list[click.Parameter]:
    """Return the options that every command has."""
    return click.command()(shared_options("color", "quiet", "debug")(lambda: None)).params


def _store(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    source = context.get_parameter_source(parameter.name or "")
    if source is None or source.name in {"DEFAULT", "DEFAULT_MAP"}:
        return
    context.meta.setdefault(_KEY, {})[parameter.name] = value
    if source.name == "COMMANDLINE":
        context.meta[_TYPED] = (*context.meta.get(_TYPED, ()), parameter.opts[-1])


FILE: Final = click.Path(path_type=Path)
"""The type of a parameter that is the path of a file or folder."""


def _option(heading: Heading, *flags: str, **attributes: Any) -> Callable[[Any], Any]:
    return shared_option(heading, *flags, callback=_store, expose_value=False, **attributes)


_OUTPUT_HELP = "Output format.  [env: CML_IAM_OUTPUT; default: text]"


def output_option(*more: str) -> Callable[[Any], Any]:
    """Return `-o` of a command that has *more* formats than text and JSON."""
    choice = click.Choice(["text", "json", *more])
    return _option(Heading.SITE, "-o", "--output", type=choice, help=_OUTPUT_HELP)


_OPTIONS: dict[str, Callable[[Any], Any]] = {
    "site": _option(
        Heading.SITE,
        "--site",
        type=FILE,
        envvar="CML_IAM_SITE",
        metavar="FILE",
        help="Read the site from FILE.  [env: CML_IAM_SITE; default: cml-iam.toml]",
    ),
    "no_site": _option(
        Heading.SITE,
        "--no-site",
        is_flag=True,
        help="Allow changes without a site file: default guard tag, any account, no limits.",
    ),
    "profile": _option(
        Heading.AWS,
        "--profile",
        metavar="NAME",
        help="Use this AWS profile.  [see: cml-iam help credentials]",
    ),
    "region": _option(
        Heading.AWS,
        "--region",
        metavar="NAME",
        help="Use this AWS region.  [see: cml-iam help credentials]",
    ),
    "endpoint_url": _option(
        Heading.AWS,
        "--endpoint-url",
        metavar="URL",
        help="Send AWS requests to URL.  [env: AWS_ENDPOINT_URL]",
    ),
    "expect_account": _option(
        Heading.AWS,
        "--expect-account",
        metavar="ID",
        help="Stop unless the credentials belong to account ID.",
    ),
    "read_only": _option(
        Heading.AWS,
        "--read-only",
        is_flag=True,
        envvar="CML_IAM_READ_ONLY",
        help="Refuse every call that would change something.  [env: CML_IAM_READ_ONLY]",
    ),
    "output": _option(
        Heading.SITE,
        "-o",
        "--output",
        type=click.Choice(["text", "json"]),
        envvar="CML_IAM_OUTPUT",
        help=_OUTPUT_HELP,
    ),
    "color": _option(
        Heading.SITE,
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        help="Colour the output.  [default: auto (on a terminal, unless NO_COLOR is set)]",
    ),
    "quiet": _option(
        Heading.SITE, "-q", "--quiet", is_flag=True, help="Print no progress on stderr."
    ),
    "verbose": _option(
        Heading.SITE,
        "-v",
        "--verbose",
        count=True,
        help="Print more detail; repeat it for still more.",
    ),
    "debug": _option(
        Heading.SITE,
        "--debug",
        is_flag=True,
        envvar="CML_IAM_DEBUG",
        help="Show a traceback on an internal error.  [env: CML_IAM_DEBUG]",
    ),
    "yes": _option(Heading.OWN, "--yes", is_flag=True, help="Skip the confirmation prompt."),
    "dry_run": _option(
        Heading.OWN, "--dry-run", is_flag=True, help="Show what would be done, without doing it."
    ),
}

aws_options = shared_options("profile", "region", "endpoint_url", "expect_account", "read_only")
"""The options of every command that calls AWS."""

all_options = shared_options(*_OPTIONS)
"""Every shared option: for the root command."""
