"""Locate the data that ships with the package: `policies/` and `templates/`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cml_iam.errors import CmlIamError

if TYPE_CHECKING:
    from collections.abc import Callable

    from jinja2 import Environment

Folder = Literal["policies", "templates"]


def shipped(kind: Folder) -> Path:
    """Return the folder *kind* of the installed package, or of the checkout it runs from."""
    # By path: importlib.resources takes longer to import than a policy to render.
    installed = Path(__file__).parent / "_data" / kind
    if installed.is_dir():
        return installed
    checkout = Path(__file__).parents[1] / kind
    if checkout.is_dir():
        return checkout
    raise CmlIamError(
        f"the folder `{kind}` is missing from the installation", remedy="install cml-iam again"
    )


def shipped_text(kind: Folder, name: str) -> str:
    """Return the text of the file *name* in the folder *kind*."""
    return (shipped(kind) / name).read_text("utf-8")


def shipped_templates(kind: Folder, encode: Callable[[Any], str]) -> Environment:
    """Return a Jinja environment for *kind* that encodes every printed value.

    *encode* turns every value into text that cannot become structure at its place; it is the only
    protection against injection. Undefined names are errors.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    return Environment(
        loader=FunctionLoader(lambda name: shipped_text(kind, name)),
        undefined=StrictUndefined,
        finalize=encode,
        autoescape=False,  # noqa: S701 - *encode* does it, and the result is no HTML
        keep_trailing_newline=True,
    )
