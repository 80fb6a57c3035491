"""Requests of a kind, described as a statement describes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Conditions = dict[str, dict[str, Any]]
"""As in a statement: by operator, by key, the values."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Requests of a kind: one of *actions* on one of *resources*, and all of *conditions* hold.

    *conditions* are those of a statement: `{"StringEquals": {"aws:RequestedRegion": "…"}}`.
    *not_actions* and *not_resources* are what a statement's NotAction and NotResource are.
    """

    actions: Sequence[str] = ("*",)
    resources: Sequence[str] = ("*",)
    conditions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    not_actions: Sequence[str] | None = None
    not_resources: Sequence[str] | None = None


def merged(*conditions: Mapping[str, Mapping[str, Any]]) -> Conditions:
    """Return all of *conditions* as one.

    A key that an operator tests twice is written in another case, because case does not count.
    """
    result: Conditions = {}
    for condition in conditions:
        for operator, block in condition.items():
            for key, values in block.items():
                name = operator
                while result.get(name, {}).get(key, values) != values:
                    name = _in_other_letters(name)
                result.setdefault(name, {})[key] = values
    return result


def _in_other_letters(name: str) -> str:
    """Return *name* in the next choice of upper and lower case, as binary numbers are counted."""
    at = next((n for n, char in enumerate(name) if char.islower()), len(name))
    return name[:at].lower() + name[at : at + 1].upper() + name[at + 1 :]
