"""The words of the worker commands: tags and lengths of time."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta

import click

_LENGTH = re.compile(r"(\d+)\s*([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def words(tags: Iterable[str]) -> dict[str, str]:
    """Return tags written KEY=VALUE as a mapping; raises a usage error for another form."""
    made: dict[str, str] = {}
    for text in tags:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise click.UsageError(f"not a tag: `{text}` (write KEY=VALUE)")
        if key in made:
            raise click.UsageError(f"tag `{key}` is given twice")
        made[key] = value
    return made


def length(text: str) -> timedelta:
    """Return the length of time that *text* says: `15m`, `1h`, `7d`."""
    match = _LENGTH.fullmatch(text.strip())
    if not match:
        raise click.BadParameter(f"not a length of time: `{text}` (write 15m, 1h or 7d)")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})
