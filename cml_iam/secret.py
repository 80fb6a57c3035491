"""Values that are never shown by accident, and masking of secrets in text.

Another program's output may repeat a secret in a different form: in JSON, in a URL, or only a part.
This process therefore remembers all of its secrets, and no message, log line or report shows a
secret or a piece of it.
"""

from __future__ import annotations

import re
from collections import deque
from functools import lru_cache
from typing import Any, Final, NoReturn

_HIDDEN = "***"
_PIECE: Final = 16
"""The fewest characters of a secret that are masked; a secret access key has 40."""
_KEY: Final = re.compile(r"[A-Za-z0-9+/=]{16,2048}")
"""A secret access key or session token. A document that contains one is masked only as a whole."""
_RUN: Final = re.compile(r"[A-Za-z0-9+/=%\\]{16,}")
"""Text that may contain part of a secret, which most text cannot."""
_REMEMBERED: Final[deque[str]] = deque(maxlen=64)


def remember(value: str) -> None:
    """From now on, mask the secret *value* in everything that is shown."""
    # A placeholder for a key has few different characters.
    if len(value) >= _PIECE and len(set(value)) > 5 and value not in _REMEMBERED:
        _REMEMBERED.append(value)


def masked(text: str) -> str:
    """Return *text* with every secret held in this process, and every piece of one, masked.

    A secret is recognized in plain text, in a URL, in JSON and in base64.
    """
    secrets = tuple(_REMEMBERED)
    if not secrets:
        return text
    pieces, documents = _given_away_by(secrets)
    for document in documents:
        text = text.replace(document, _HIDDEN)
    return _RUN.sub(lambda run: _without(run[0], pieces), text)


@lru_cache(maxsize=4)
def _given_away_by(values: tuple[str, ...]) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the keys among *values* in pieces and in every form, and other values whole."""
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
    """Return *run* with every part that *pieces* cover masked."""
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

    Printing, formatting, logging and tracebacks show `***`; pickling and JSON raise an error. The
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
