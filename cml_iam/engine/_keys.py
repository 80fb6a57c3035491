"""Condition keys, whose case does not count, looked up at the price of exact ones.

The first spelling a policy uses becomes the only one inside an authorizer. A request whose keys
are all known to be spelled so, or not to be asked for, is used as it is; any other is respelled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_KNOWN: Final = 4096
"""So that requests with ever new tag keys do not fill the memory."""


class Keys:
    """The condition keys that a set of policies asks for."""

    __slots__ = ("_by_lower", "_known")

    def __init__(self) -> None:
        self._by_lower: dict[str, str] = {}
        self._known: set[str] = set()

    def spell(self, key: str) -> str:
        """Return the one spelling of *key*; for use while compiling."""
        return self._by_lower.setdefault(key.lower(), key)

    def respell(self, context: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return *context* with every key that policies ask for in its one spelling."""
        if context.keys() <= self._known:
            return context
        respelled = {}
        for key, value in context.items():
            spelling = self._by_lower.get(key.lower(), key)
            respelled[spelling] = value
            if spelling == key and len(self._known) < MAX_KNOWN:
                self._known.add(key)
        return respelled
