"""Text that cannot do anything: what a file's name or a tag says stays what is seen."""

from __future__ import annotations

import re
from typing import Final

# Control characters (C0, DEL, C1), line and paragraph separators, the marks and overrides of
# writing direction, invisible joiners, the byte order mark, and halves of surrogate pairs.
# https://www.unicode.org/reports/tr36/#Bidirectional_Text_Spoofing
_UNSEEN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ufffe\uffff\ud800-\udfff]"
)
_PAGE: Final = re.compile(r"https://[A-Za-z0-9][A-Za-z0-9./#_-]*")
_COMMANDS: Final = re.compile(r"(?:(?<=\s)|\A)::|##\[")
_SPACES: Final = re.compile(r"[ \t\r\n]+")


def shown(text: str) -> str:
    r"""Return *text* on one line, what cannot be seen written out, such as `\x1b`."""
    return _UNSEEN.sub(_written, _SPACES.sub(" ", text))


def page_link(page: str) -> bool:
    """Say whether *page* is an address that may stand as a link: HTTPS, and plain characters."""
    return bool(_PAGE.fullmatch(page))


def inert(line: str) -> str:
    """Return a line of a job's log with nothing that its runner takes for a command of the job.

    GitHub's reads `::name::` where a line begins with it, and `##[name]` anywhere.
    """
    return _COMMANDS.sub(lambda match: "\\".join(match[0]), line)


def _written(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
