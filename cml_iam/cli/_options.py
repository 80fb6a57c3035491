"""The options of commands: how to declare one, those shared, before or after it, and their help."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import click

from cml_iam.clock import parse_length
from cml_iam.errors import InputError

_KEY = "cml_iam.settings"
_TYPED = "cml_iam.typed"

Command = TypeVar("Command", bound="Callable[..., Any]")

FILE: Final = click.Path(path_type=Path)
"""The type of a parameter that is the path of a file or folder."""


class Heading(StrEnum):
    """The headings of the help in order; the command's own options come first."""

    OWN = "Options"
    STORES = "Stores of the access key"
    TRAIL = "Trail and alarms"
    CML = "Connection to CML"
    AWS = "Connection to AWS"
    SITE = "Site and output"


class HeadedOption(click.Option):
    """An option that the help lists under *heading*."""

    def __init__(self, *args: Any, heading: Heading, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.heading = heading


def option(
    form: str, text: str, *, name: str = "", heading: Heading = Heading.OWN, **attributes: Any
) -> Callable[[Command], Command]:
    """Return the decorator of an option with the help *text*; *form* is what the help shows.

    `-t, --tag KEY=VALUE` takes a value, and `--yes` is a flag unless it has a type or is counted.
    The command receives it as *name*, or as click would call it. *attributes* are those of click.
    """
    flags = [word for word in form.replace(",", "").split() if word.startswith("-")]
    value = form.partition(flags[-1])[2].strip()
    if value:
        attributes["metavar"] = value
    elif not attributes.keys() & {"type", "count"}:
        attributes["is_flag"] = True
    attributes.setdefault("show_default", "default" in attributes)
    names = [*flags, name] if name else flags
    return click.option(*names, help=text, cls=HeadedOption, heading=heading, **attributes)


def repeatable(form: str, text: str, **attributes: Any) -> Callable[[Command], Command]:
    """Return the decorator of an option that may be given several times, and says so."""
    about, gap, default = text.partition("  [")
    return option(form, f"{about} Repeatable.{gap}{default}", multiple=True, **attributes)


Row = tuple[str, str]
"""The form of an option, and its help."""


def sections(command: click.Command, *, besides: Collection[str] = ()) -> dict[Heading, list[Row]]:
    """Return the options of *command* by heading, without empty headings.

    Leaves out the parameters named in *besides*.
    """
    context = command.context_class(command)
    by_heading: dict[Heading, list[Row]] = {heading: [] for heading in Heading}
    for parameter in command.get_params(context):
        row = parameter.get_help_record(context)
        if row is not None and row[1] and parameter.name not in besides:  # not an argument's
            by_heading[heading_of(parameter)].append(row)
    return {heading: rows for heading, rows in by_heading.items() if rows}


def heading_of(parameter: click.Parameter) -> Heading:
    """Return the heading of *parameter*."""
    return parameter.heading if isinstance(parameter, HeadedOption) else Heading.OWN


TERM_WIDTH = 30
"""The maximum width of an option whose help starts on the same line, as in click."""


def write_options(command: click.Command, formatter: click.HelpFormatter) -> None:
    """Write the options of *command* under their headings, with all help texts in one column."""
    by_heading = sections(command)
    width = min(TERM_WIDTH, max(len(term) for rows in by_heading.values() for term, _ in rows))
    for heading, rows in by_heading.items():
        with formatter.section(heading):
            formatter.write_dl([(term.ljust(width), meaning) for term, meaning in rows])


_UNBROKEN = "\N{NON-BREAKING HYPHEN}"


class _Formatter(click.HelpFormatter):
    """Wraps lines at spaces only: a hyphen is part of the name of an option or a file."""

    def write_text(self, text: str) -> None:
        super().write_text(text.replace("-", _UNBROKEN))

    def write_dl(
        self, rows: Iterable[Row], col_max: int = TERM_WIDTH, col_spacing: int = 2
    ) -> None:
        unbroken = [(term, meaning.replace("-", _UNBROKEN)) for term, meaning in rows]
        super().write_dl(unbroken, col_max, col_spacing)

    def write(self, string: str) -> None:
        super().write(string.replace(_UNBROKEN, "-"))


class HelpContext(click.Context):
    """The context of every command."""

    formatter_class = _Formatter


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


def settings(context: click.Context | None = None) -> Settings:
    """Return the shared options of the command of *context*, by default the running one."""
    return Settings(**(context or click.get_current_context()).meta.get(_KEY, {}))


def options(*decorators: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Return a decorator that adds the options of *decorators* to a command, in this order."""

    def decorate(command: Command) -> Command:
        return functools.reduce(
            lambda decorated, add: add(decorated), reversed(decorators), command
        )

    return decorate


def shared_options(*names: str) -> Callable[[Command], Command]:
    """Add the shared options *names* to a command; read them with `settings()`."""
    return options(*(_SHARED[name] for name in names))


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
    texts: Iterable[str], noun: str = "a tag", form: str = "KEY=VALUE"
) -> list[tuple[str, str]]:
    """Return *texts*, each *noun* in the form *form*, as pairs; raises InputError for others."""
    split = [text.partition("=") for text in texts]
    for name, equals, value in split:
        if not name or not equals:
            raise InputError(f"not {noun}: `{name}{equals}{value}`", remedy=f"write {form}")
    return [(name, value) for name, _, value in split]


def refuse_ignored(context: click.Context, command: click.Command, name: str | None) -> None:
    """Raise UsageError for options before *command* that the command, called *name*, would ignore.

    Environment variables apply to the whole machine and are not refused.
    """
    if isinstance(command, click.Group):
        return
    ignored = [f"`{flag}`" for flag in context.meta.get(_TYPED, ()) if flag not in flags(command)]
    if ignored and not context.resilient_parsing:
        own = command.context_class(command, info_name=name, parent=context)
        raise click.UsageError(f"`{own.command_path}` does not take {', '.join(ignored)}", own)


def refuse_aws_options(needs: str) -> None:
    """Raise UsageError for AWS options if the command, without *needs*, does not call AWS."""
    offline = ("--profile", "--region", "--endpoint-url", "--expect-account")
    flags_typed = click.get_current_context().meta.get(_TYPED, ())
    typed = [flag for flag in flags_typed if flag in offline]
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


_stored = functools.partial(option, callback=_store, expose_value=False)
_aws_option = functools.partial(_stored, heading=Heading.AWS)
_site_option = functools.partial(_stored, heading=Heading.SITE)


def output_option(*more: str, **attributes: Any) -> Callable[[Any], Any]:
    """Return `-o` of a command that has *more* formats than text and JSON."""
    text = "Output format.  [env: CML_IAM_OUTPUT; default: text]"
    return _site_option(
        "-o, --output", text, type=click.Choice(["text", "json", *more]), **attributes
    )


_SHARED: dict[str, Callable[[Any], Any]] = {
    "site": _site_option(
        "--site FILE",
        "Read the site from FILE.  [env: CML_IAM_SITE; default: cml-iam.toml]",
        type=FILE,
        envvar="CML_IAM_SITE",
    ),
    "no_site": _site_option(
        "--no-site",
        "Allow changes without a site file: default guard tag, any account, no limits.",
    ),
    "profile": _aws_option(
        "--profile NAME", "Use this AWS profile.  [see: cml-iam help credentials]"
    ),
    "region": _aws_option("--region NAME", "Use this AWS region.  [see: cml-iam help credentials]"),
    "endpoint_url": _aws_option(
        "--endpoint-url URL", "Send AWS requests to URL.  [env: AWS_ENDPOINT_URL]"
    ),
    "expect_account": _aws_option(
        "--expect-account ID", "Stop unless the credentials belong to account ID."
    ),
    "read_only": _aws_option(
        "--read-only",
        "Refuse every call that would change something.  [env: CML_IAM_READ_ONLY]",
        envvar="CML_IAM_READ_ONLY",
    ),
    "output": output_option(envvar="CML_IAM_OUTPUT"),
    "color": _site_option(
        "--color",
        "Colour the output.  [default: auto (on a terminal, unless NO_COLOR is set)]",
        type=click.Choice(["auto", "always", "never"]),
    ),
    "quiet": _site_option("-q, --quiet", "Print no progress on stderr."),
    "verbose": _site_option(
        "-v, --verbose", "Print more detail; repeat it for still more.", count=True
    ),
    "debug": _site_option(
        "--debug",
        "Show a traceback on an internal error.  [env: CML_IAM_DEBUG]",
        envvar="CML_IAM_DEBUG",
    ),
    "yes": _stored("--yes", "Skip the confirmation prompt."),
    "dry_run": _stored("--dry-run", "Show what would be done, without doing it."),
}

aws_options = shared_options("profile", "region", "endpoint_url", "expect_account", "read_only")
"""The options of every command that calls AWS."""

all_options = shared_options(*_SHARED)
"""Every shared option: for the root command."""
