"""The headings under which `--help` lists the options of a command, and how its text is wrapped."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

Decorated = TypeVar("Decorated", bound="Callable[..., Any]")

Row = tuple[str, str]
"""The form of an option, and its help."""

TERM_WIDTH = 30
"""The maximum width of an option whose help starts on the same line, as in click."""


class Heading(StrEnum):
    """The headings of the help in order; the command's own options come first."""

    OWN = "Options"
    STORES = "Stores of the access key"
    TRAIL = "Trail and alarms"
    CML = "Connection to CML"
    AWS = "Connection to AWS"
    SITE = "Site and output"


class SharedOption(click.Option):
    """An option that several commands share; their help lists it under *heading*."""

    def __init__(self, *args: Any, heading: Heading, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.heading = heading


def shared_option(
    heading: Heading, *flags: str, **attributes: Any
) -> Callable[[Decorated], Decorated]:
    """Return the decorator of an option that the help lists under *heading*."""
    return click.option(*flags, cls=SharedOption, heading=heading, **attributes)


def sections(command: click.Command, *, besides: Collection[str] = ()) -> dict[Heading, list[Row]]:
    """Return the options of *command* by their headings; a heading without options is left out.

    So are the parameters named in *besides*.
    """
    context = command.context_class(command)
    found: dict[Heading, list[Row]] = {heading: [] for heading in Heading}
    for parameter in command.get_params(context):
        row = parameter.get_help_record(context)
        if row is not None and row[1] and parameter.name not in besides:  # not an argument's
            found[heading_of(parameter)].append(row)
    return {heading: rows for heading, rows in found.items() if rows}


def heading_of(parameter: click.Parameter) -> Heading:
    """Return the heading of *parameter*."""
    return parameter.heading if isinstance(parameter, SharedOption) else Heading.OWN


def write_options(command: click.Command, formatter: click.HelpFormatter) -> None:
    """Write the options of *command* under their headings, with all help texts in one column."""
    by_heading = sections(command)
    terms = [len(term) for rows in by_heading.values() for term, _ in rows]
    width = min(max(terms), TERM_WIDTH)
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
