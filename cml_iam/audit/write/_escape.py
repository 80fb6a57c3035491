"""Text that cannot do anything: what a file's name or a tag says stays what is seen."""

from __future__ import annotations

import re
from typing import Final

from cml_iam.visible import visible

_PAGE: Final = re.compile(r"https://[A-Za-z0-9][A-Za-z0-9./#_-]*")
_SPACES: Final = re.compile(r"[ \t\r\n]+")


def shown(text: str) -> str:
    r"""Return *text* on one line, what cannot be seen written out, such as `\x1b`."""
    return visible(_SPACES.sub(" ", text))


def page_link(page: str) -> bool:
    """Say whether *page* is an address that may stand as a link: HTTPS, and plain characters."""
    return bool(_PAGE.fullmatch(page))
