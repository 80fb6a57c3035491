"""Finds the few statements that are about an action among many that are not."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cml_iam.engine._compile import CompiledStatement


class ActionIndex:
    """Statements by the actions they name; built once, only read afterwards."""

    __slots__ = ("_by_action", "_by_service", "_everywhere", "_statements")

    def __init__(self, statements: Iterable[CompiledStatement]) -> None:
        self._statements = tuple(statements)
        self._by_action: dict[str, list[int]] = defaultdict(list)
        self._by_service: dict[str, list[int]] = defaultdict(list)
        self._everywhere: list[int] = []
        for position, statement in enumerate(self._statements):
            self._add(position, statement)

    def _add(self, position: int, statement: CompiledStatement) -> None:
        if statement.not_action:
            self._everywhere.append(position)
            return
        for pattern in statement.actions:
            if pattern.service is None:
                self._everywhere.append(position)
            elif pattern.exact:
                self._by_action[f"{pattern.service}:{pattern.name}"].append(position)
            elif pattern.problem is None:
                self._by_service[pattern.service].append(position)

    def about(self, action: str) -> tuple[CompiledStatement, ...]:
        """Return the statements about *action*, in their order."""
        wanted = action.lower()
        certain = self._by_action.get(wanted, ())
        possible = (*self._by_service.get(wanted.partition(":")[0], ()), *self._everywhere)
        positions = {
            *certain,
            *(each for each in possible if self._statements[each].matches_action(wanted)),
        }
        return tuple(self._statements[each] for each in sorted(positions))
