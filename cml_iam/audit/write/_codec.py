"""Encode report values as JSON and decode them: the dataclasses' fields are the format.

Encoding follows the types of the report, so a new field cannot be forgotten on one side. Times are
in UTC, to the second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from enum import Enum
from functools import cache
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from cml_iam.lint import Severity


def encoded(value: Any) -> Any:
    """Return *value* as parsed JSON: mappings by sorted key, dataclasses in field order."""
    if is_dataclass(value):
        return {each.name: encoded(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {key: encoded(value[key]) for key in sorted(value)}
    if isinstance(value, tuple | list):
        return [encoded(each) for each in value]
    if isinstance(value, Severity):
        return value.word
    return date_text(value) if isinstance(value, date) else value


def date_text(value: date) -> str:
    """Format a day as 2026-11-23, a time as 2026-11-23T22:05:53Z."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return value.isoformat()


def decoded(value: Any, kind: Any) -> Any:
    """Return parsed JSON as a value of type *kind*; raises ValueError for an invalid date.

    The schema must have accepted the value before; it also defines what may be missing.
    """
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return _one_of(value, get_args(kind))
    if origin is tuple:
        return _tuple(value, get_args(kind))
    if origin is Mapping:
        inner = get_args(kind)[1]
        return MappingProxyType({key: decoded(each, inner) for key, each in value.items()})
    if origin is Literal or kind in (str, int, bool):
        return value
    return _object(value, kind)


def _object(value: Any, kind: Any) -> Any:
    if kind is datetime:
        return datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    if kind is date:
        return date.fromisoformat(value)
    if issubclass(kind, Enum):
        return kind[value.upper()]
    return kind(**{n: decoded(value[n], each) for n, each in _types(kind).items() if n in value})


@cache
def _types(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _one_of(value: Any, kinds: tuple[Any, ...]) -> Any:
    """Decode *value* as whichever of *kinds* it looks like: null, a string, or the other."""
    if value is None and NoneType in kinds:
        return None
    if isinstance(value, str) and str in kinds:
        return value
    (kind,) = (each for each in kinds if each not in (NoneType, str))
    return decoded(value, kind)


def _tuple(value: Any, kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    if kinds[1:] == (...,):
        return tuple(decoded(each, kinds[0]) for each in value)
    return tuple(decoded(each, kind) for each, kind in zip(value, kinds, strict=True))
