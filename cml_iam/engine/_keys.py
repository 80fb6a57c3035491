"""Condition keys, whose case does not count, looked up at the price of exact ones.

The first spelling a policy uses becomes the only one inside an authorizer. A key that a request
does not have in that spelling is searched for in others, unless all of the request's keys are
known to be spelled so or not to be asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cml_iam.errors import InputError

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

    def get(self, context: Mapping[str, Any], key: str) -> Any:
        """Return the value of *key*, in its one spelling; None if it is absent."""
        value = context.get(key)
        return self.search(context, key) if value is None else value

    def search(self, context: Mapping[str, Any], key: str) -> Any:
        """Return the value of *key* under another spelling; None if it is absent."""
        known = self._known
        if known.issuperset(context):
            return None
        found = [
            value
            for name, value in context.items()
            if name not in known and self._spelling(name) == key
        ]
        if len(found) > 1:
            raise InputError(f"the context has `{key}` in several spellings")
        return found[0] if found else None

    def _spelling(self, name: str) -> str:
        """Return the one spelling of *name*; remember a name that is right or not asked for."""
        spelling = self._by_lower.get(name.lower(), name)
        if spelling == name and len(self._known) < MAX_KNOWN:
            self._known.add(name)
        return spelling
