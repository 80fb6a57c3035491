"""Sets of requests, described like statements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Conditions = dict[str, dict[str, Any]]
"""As in a statement: by operator, by key, the values."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A set of requests: one of *actions* on one of *resources*, with all *conditions* met.

    *conditions* are those of a statement: `{"StringEquals": {"aws:RequestedRegion": "…"}}`.
    *not_actions* and *not_resources* correspond to NotAction and NotResource.
    """

    actions: Sequence[str] = ("*",)
    resources: Sequence[str] = ("*",)
    conditions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    not_actions: Sequence[str] | None = None
    not_resources: Sequence[str] | None = None


def merged(*conditions: Mapping[str, Mapping[str, Any]]) -> Conditions:
    """Combine *conditions* into one that requires all of them.

    If an operator tests a key twice, the key is written in a different case, which does not count.
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
    """Return *name* in the next combination of upper and lower case, like a binary counter."""
    at = next((n for n, char in enumerate(name) if char.islower()), len(name))
    return name[:at].lower() + name[at : at + 1].upper() + name[at + 1 :]
