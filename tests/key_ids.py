"""Ids of access keys, made when they are needed: none stands in the repository."""

from __future__ import annotations

from base64 import b32encode
from secrets import randbits, token_bytes


def key_id(account: str, kind: str = "AKIA") -> str:
    """Return an id that carries *account*, as those issued since 2019 do; no such key exists."""
    number = 1 << 47 | int(account) << 7 | randbits(7)
    return kind + b32encode(number.to_bytes(6, "big") + token_bytes(4)).decode()
