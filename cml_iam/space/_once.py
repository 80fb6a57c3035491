"""What is made of policies once, however often they are asked about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import Final, TypeVar

from cml_iam.space._policies import Policies, documents

Made = TypeVar("Made")

KEPT: Final = 16
"""Sides that what was made of them is kept for."""


@dataclass(frozen=True, slots=True, eq=False)
class _These:
    """Policies as a key: the very same documents, for equal ones may stand at other places."""

    policies: Policies

    def __hash__(self) -> int:
        return hash(self._identities())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _These) and self._identities() == other._identities()

    def _identities(self) -> tuple[object, ...]:
        one = self.policies
        bounded = None if one.boundary is None else len(one.boundary)
        return len(one.identity), bounded, *map(id, documents(one))


def once(make: Callable[[Policies], Made]) -> Callable[[Policies], Made]:
    """Return *make*, which asked again about the same documents answers what it did."""
    made = lru_cache(KEPT)(lambda key: make(key.policies))
    return wraps(make)(lambda policies: made(_These(policies)))
