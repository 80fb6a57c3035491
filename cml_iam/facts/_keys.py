"""Condition keys that are one key under several names."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

SAME_KEY: Final = {"ec2:region": "aws:requestedregion"}
"""Keys with two names; for tags of a resource see `same_key`."""


@lru_cache(1 << 13)
def same_key(key: str) -> str:
    """Return one name for all names of a condition key, in lower case."""
    lower = key.lower()
    prefix, slash, tag = lower.partition("/")
    if prefix == "ec2:resourcetag" and slash:
        return f"aws:resourcetag/{tag}"
    return SAME_KEY.get(lower, lower)


def is_region(key: str) -> bool:
    """Say whether *key* holds the region of the request."""
    return same_key(key) == "aws:requestedregion"
