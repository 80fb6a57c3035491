"""The words of the worker commands: tags and lengths of time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import click

from cml_iam.clock import parse_length
from cml_iam.errors import InputError


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
    """Return the length of time that *text* says: `90s`, `15m`, `1h`, `7d`."""
    try:
        return parse_length(text)
    except InputError as error:
        raise click.BadParameter(f"{error.message} ({error.remedy})") from None
