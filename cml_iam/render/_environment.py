"""The template environment: what is printed is JSON, so a value cannot become structure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from cml_iam.shipped import shipped_templates

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def environment() -> Environment:
    """Return the jinja2 environment of the policy templates.

    Every `{{ expression }}` is printed as JSON: a string with its quotes, escaped. A template
    therefore never puts an expression inside quotes, and no value can end a string or add an
    element. Undefined names are errors.
    """
    made = shipped_templates("policies", json.dumps)
    made.filters["present"] = present
    made.filters["merged"] = merged
    return made


def present(value: Any) -> Any:
    """Return *value* without the entries, at any depth, that are None or empty."""
    if isinstance(value, Mapping):
        kept = {key: present(each) for key, each in value.items()}
        return {key: each for key, each in kept.items() if each not in (None, "", [], {}, ())}
    return value


def merged(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return one mapping of all the entries of *parts*."""
    return {key: value for part in parts for key, value in part.items()}
