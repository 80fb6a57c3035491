"""`--document`: which of the site's policies a command is about, spelled alike everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Callable

POLICIES: Final = ("base", "hardened")
"""The site's policy without its restrictions, and within them."""


def document_option(text: str) -> Callable[[Any], Any]:
    """Return the option, which *text* explains; the command gets it as *document*."""
    return click.option(
        "--document",
        type=click.Choice(POLICIES),
        default="hardened",
        show_default=True,
        help=text,
    )


def refuse_document(beside: str) -> None:
    """Raise UsageError where --document is given *beside* what is judged in its place."""
    source = click.get_current_context().get_parameter_source("document")
    if source is click.core.ParameterSource.COMMANDLINE:
        raise click.UsageError(f"--document names a policy of the site: omit it, or {beside}")
