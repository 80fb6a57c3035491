"""A value that is never shown by accident, and text with this process's secrets masked.

Another program's answer may repeat a secret in a different form: JSON, a URL, a part of it. Every
secret ever held is therefore remembered, and no message, log line or report shows it or a piece of
it.
"""

from __future__ import annotations

import re
from collections import deque
from functools import lru_cache
from typing import Any, Final, NoReturn

_HIDDEN = "***"
_PIECE: Final = 16
"""The shortest run of a secret's characters that is masked; a secret access key has 40."""
_KEY: Final = re.compile(r"[A-Za-z0-9+/=]{16,2048}")
"""A secret access key or session token. A document that contains one is only masked as a whole."""
_RUN: Final = re.compile(r"[A-Za-z0-9+/=%\\]{16,}")
"""Text that may contain part of a secret; most text has no such run."""
_REMEMBERED: Final[deque[str]] = deque(maxlen=64)


def remember(value: str) -> None:
    """Mask *value*, a secret, in everything shown from now on."""
    # What has few different characters holds room for a key, and is none.
    if len(value) >= _PIECE and len(set(value)) > 5 and value not in _REMEMBERED:
        _REMEMBERED.append(value)


def masked(text: str) -> str:
    """Return *text* with every secret held in this process, and every piece of one, masked.

    A secret is recognized as is, in a URL, in JSON and in base64.
    """
    known = tuple(_REMEMBERED)
    if not known:
        return text
    pieces, documents = _given_away_by(known)
    for document in documents:
        text = text.replace(document, _HIDDEN)
    return _RUN.sub(lambda run: _without(run[0], pieces), text)


@lru_cache(maxsize=4)
def _given_away_by(values: tuple[str, ...]) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return pieces of the keys among *values* in every form; other values whole."""
    from base64 import b64encode
    from urllib.parse import quote

    pieces, documents = set(), []
    for value in values:
        if not _KEY.fullmatch(value):
            documents.append(value)
            continue
        encoded = b64encode(value.encode()).decode()
        for form in (value, quote(value, ""), value.replace("/", "\\/"), encoded):
            pieces |= {form[at : at + _PIECE] for at in range(len(form) - _PIECE + 1)}
    return frozenset(pieces), tuple(documents)


def _without(run: str, pieces: frozenset[str]) -> str:
    """Return *run* with each stretch covered by *pieces* masked."""
    shown, position = "", 0
    for start in range(len(run) - _PIECE + 1):
        if run[start : start + _PIECE] not in pieces:
            continue
        if start >= position:
            shown += run[position:start] + _HIDDEN
        position = start + _PIECE
    return shown + run[position:]


class Secret:
    """Holds a secret string; only `reveal()` returns it.

    Printing, formatting, logging and tracebacks show `***`; pickling and JSON are refused. The
    value is remembered, so that `masked` hides it in any text.
    """

    __slots__ = ("_value",)
    _value: str

    def __init__(self, value: str) -> None:
        object.__setattr__(self, "_value", value)
        remember(value)

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._value

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError("a secret cannot be changed")

    def __repr__(self) -> str:
        return f"Secret({_HIDDEN})"

    def __str__(self) -> str:
        return _HIDDEN

    def __format__(self, spec: str) -> str:
        return format(_HIDDEN, spec)

    def __eq__(self, other: object) -> bool:
        from hmac import compare_digest

        if not isinstance(other, Secret):
            return NotImplemented
        return compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled")
