"""The site file of a command, and which of its policies the command is about.

The site file is the one named by --site, or `cml-iam.toml` in the current folder.
"""

from __future__ import annotations

import tomllib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cml_iam.cli._output import WARN, note
from cml_iam.cli._settings import settings
from cml_iam.files import regular_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from cml_iam.site import Site


DEFAULT_SITE: Final = Path("cml-iam.toml")
_DOUBTS_SHOWN: Final = "cml_iam.doubts"


def site_path() -> Path:
    """Return the path of the site file, whether or not it exists."""
    return settings().site or DEFAULT_SITE


def has_site() -> bool:
    """Return whether a site file is named or exists in the current folder."""
    return settings().site is not None or DEFAULT_SITE.exists()


def load_site() -> Site:
    """Read the site file, and print warnings about it on stderr; raises SiteError."""
    from cml_iam import site as room

    site = room.load_site(site_path())
    shown: set[str] = click.get_current_context().meta.setdefault(_DOUBTS_SHOWN, set())
    for doubt in map(str, site.doubts):
        if doubt not in shown:
            shown.add(doubt)
            note(f"{WARN} {doubt}")
    return site


def site_with(section: str) -> Site | None:
    """Read the site file if there is one and it has *section*; raises SiteError.

    A command that needs one section does not check the others: that takes a third of its time.
    """
    path = site_path()
    if not has_site():
        return None
    if path.is_file():
        with suppress(tomllib.TOMLDecodeError):  # load_site says where
            if section not in tomllib.loads(regular_text(path)):
                return None
    return load_site()


def find_site() -> Site | None:
    """Read the site file; return None if none is named and none exists here."""
    return load_site() if has_site() else None


POLICIES: Final = ("base", "hardened")
"""The documents of the site's policy, without and with the restrictions."""


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
