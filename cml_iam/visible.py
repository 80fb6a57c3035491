"""Make foreign text safe to show by writing out invisible characters."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from cml_iam.secret import masked

_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Control, formatting and surrogate characters, and the separators that end a line.

https://www.unicode.org/reports/tr44/#General_Category_Values
"""

_NO_CHARACTERS: Final = frozenset("\ufffe\uffff")
"""Characters that no text may contain and that XML refuses."""

_COMMANDS: Final = re.compile(r"(?:(?<=\s)|\A)::|##\[")


def visible(text: str) -> str:
    r"""Return *text* with invisible characters written as `\x1b`, `\n` or `\u202e`.

    A terminal obeys control characters: a tag could clear the screen, or make one id look like
    another. Secrets of this process are masked.
    """
    text = masked(text)
    return text if text.isprintable() else "".join(map(_written, text))


def inert(line: str) -> str:
    """Return *line* without anything that a CI runner would interpret as a command.

    GitHub's runner interprets `::name::` at the start of a line, and `##[name]` anywhere.
    https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
    """
    return _COMMANDS.sub(lambda match: "\\".join(match[0]), line)


def one_line(text: str) -> str:
    """Return *text* as a single line that neither a terminal nor a CI runner interprets."""
    return inert(visible(text))


def unseen(text: str) -> tuple[str, ...]:
    """Return the invisible characters of *text*, written out, each once."""
    return tuple(dict.fromkeys(map(_written, filter(_is_unseen, text))))


def _written(character: str) -> str:
    return ascii(character)[1:-1] if _is_unseen(character) else character


def _is_unseen(character: str) -> bool:
    return unicodedata.category(character) in _UNSEEN or character in _NO_CHARACTERS
