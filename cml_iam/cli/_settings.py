"""The options that commands share, accepted before the noun or after the verb."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable


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
    output: Literal["text", "json"] = "text"
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


def shared_options(*names: str) -> Callable[[Command], Command]:
    """Add the shared options *names* to a command; read them with `settings()`."""

    def decorate(command: Command) -> Command:
        return functools.reduce(lambda made, name: _OPTIONS[name](made), reversed(names), command)

    return decorate


def aws_options(command: Command) -> Command:
    """Add the options of every command that calls AWS."""
    return shared_options("profile", "region", "endpoint_url", "expect_account", "read_only")(
        command
    )


def all_options(command: Command) -> Command:
    """Add every shared option: for the root command."""
    return shared_options(*_OPTIONS)(command)


def prepare(context: click.Context, command: click.Command) -> None:
    """Add the options every command has to *command*; refuse earlier options it would ignore.

    A command uses the shared options that it declares, and these three. The group that finds the
    command calls this, so that no command can omit it. Values from environment variables apply to
    the whole machine and are not refused. Raises UsageError.
    """
    if isinstance(command, click.Group):
        return
    known = flags(command)
    command.params += [each for each in _common_options() if each.opts[-1] not in known]
    known |= flags(command)
    ignored = [f"`{flag}`" for flag in context.meta.get(_TYPED, ()) if flag not in known]
    if ignored and not context.resilient_parsing:
        own = click.Context(command, info_name=command.name, parent=context)
        raise click.UsageError(f"`{own.command_path}` does not take {', '.join(ignored)}", own)


def refuse_aws_options(needs: str) -> None:
    """Raise UsageError for AWS options in a call that, without *needs*, does not call AWS."""
    offline = ("--profile", "--region", "--endpoint-url", "--expect-account")
    typed = [f for f in click.get_current_context().meta.get(_TYPED, ()) if f in offline]
    if typed:
        raise click.UsageError(
            f"{', '.join(typed)}: this command calls AWS only with {needs}"
            " (--profile names an AWS profile; --document names a policy of the site)"
        )


def flags(command: click.Command) -> frozenset[str]:
    """Return the long option names of *command*."""
    return frozenset(each.opts[-1] for each in command.params)


def _common_options() -> list[click.Parameter]:
    return click.command()(shared_options(*_COMMON)(lambda: None)).params


_COMMON = ("color", "quiet", "debug")


def _store(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    source = context.get_parameter_source(parameter.name or "")
    if source is None or source.name in {"DEFAULT", "DEFAULT_MAP"}:
        return
    context.meta.setdefault(_KEY, {})[parameter.name] = value
    if source.name == "COMMANDLINE":
        context.meta[_TYPED] = (*context.meta.get(_TYPED, ()), parameter.opts[-1])


def _option(*flags: str, **attributes: Any) -> Callable[[Any], Any]:
    return click.option(*flags, callback=_store, expose_value=False, **attributes)


_OPTIONS: dict[str, Callable[[Any], Any]] = {
    "site": _option(
        "--site",
        type=click.Path(path_type=Path),
        envvar="CML_IAM_SITE",
        metavar="FILE",
        help="Read the site from FILE.  [env: CML_IAM_SITE; default: cml-iam.toml]",
    ),
    "profile": _option(
        "--profile",
        metavar="NAME",
        help="Use this AWS profile.  [see: cml-iam help credentials]",
    ),
    "region": _option(
        "--region",
        metavar="NAME",
        help="Use this AWS region.  [see: cml-iam help credentials]",
    ),
    "endpoint_url": _option(
        "--endpoint-url", metavar="URL", help="Send AWS requests to URL.  [env: AWS_ENDPOINT_URL]"
    ),
    "output": _option(
        "-o",
        "--output",
        type=click.Choice(["text", "json"]),
        envvar="CML_IAM_OUTPUT",
        help="Output format.  [env: CML_IAM_OUTPUT; default: text]",
    ),
    "color": _option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        help="Colour the output.  [default: auto (on a terminal, unless NO_COLOR is set)]",
    ),
    "quiet": _option("-q", "--quiet", is_flag=True, help="Print no progress on stderr."),
    "verbose": _option(
        "-v", "--verbose", count=True, help="Print more detail; repeat it for still more."
    ),
    "debug": _option(
        "--debug",
        is_flag=True,
        envvar="CML_IAM_DEBUG",
        help="Show a traceback on an internal error.  [env: CML_IAM_DEBUG]",
    ),
    "read_only": _option(
        "--read-only",
        is_flag=True,
        envvar="CML_IAM_READ_ONLY",
        help="Refuse every call that would change anything.  [env: CML_IAM_READ_ONLY]",
    ),
    "expect_account": _option(
        "--expect-account", metavar="ID", help="Stop unless the credentials belong to account ID."
    ),
    "yes": _option("--yes", is_flag=True, help="Skip the confirmation prompt."),
    "no_site": _option(
        "--no-site",
        is_flag=True,
        help="Allow changes without a site file: default guard tag, any account, no limits.",
    ),
    "dry_run": _option(
        "--dry-run", is_flag=True, help="Show what would be done, without doing it."
    ),
}
