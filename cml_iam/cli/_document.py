"""`--document`: the site policy that a command is about; the same option everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Callable

POLICIES: Final = ("base", "hardened")
"""The site's policy without its restrictions, and within them."""


def document_option(text: str) -> Callable[[Any], Any]:
    """Return the option with the help *text*; the command receives it as *document*."""
    return click.option(
        "--document",
        type=click.Choice(POLICIES),
        default="hardened",
        show_default=True,
        help=text,
    )


def refuse_document(beside: str) -> None:
    """Raise UsageError if --document is given together with *beside*."""
    source = click.get_current_context().get_parameter_source("document")
    if source is click.core.ParameterSource.COMMANDLINE:
        raise click.UsageError(f"--document names a policy of the site: omit it, or {beside}")
