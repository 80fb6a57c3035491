"""Find the data that ships with the package: `policies/` and `templates/`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cml_iam.errors import CmlIamError


def shipped(kind: Literal["policies", "templates"]) -> Path:
    """Return the folder *kind*: of the installed package, or of the checkout it runs from."""
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


def shipped_text(kind: Literal["policies", "templates"], name: str) -> str:
    """Return the text of the file *name* in the folder *kind*."""
    return (shipped(kind) / name).read_text("utf-8")
