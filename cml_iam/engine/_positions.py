"""Where a statement stands, as the Simulate* API tells it.

Lines and columns count from 1. A statement starts just after what was read before it, so behind
the `{` of its own if it is the only one, the `[` of the list if it is the first, and the `}` of
the one before it otherwise; it ends just after its own `}`. (Read off the published answers.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cml_iam.policy import Located, PolicyDocument, Statement

Position = dict[str, int]


def statement_span(document: PolicyDocument, statement: Statement) -> tuple[Position, Position]:
    """Return where *statement* starts and ends; its *document* was parsed from a text."""
    located = document.located
    if located is None:
        raise ValueError("the document was not parsed from a text")
    path = document.path(statement)
    start = _start(located, statement.index, single=len(path) == 1)
    return _position(located, start), _position(located, located.values[path].end)


def _start(located: Located, index: int, *, single: bool) -> int:
    if single or index == 0:
        return located.values["Statement",].start + 1
    return located.values["Statement", index - 1].end


def _position(located: Located, offset: int) -> Position:
    place = located.source.place(offset)
    return {"Line": place.line, "Column": place.column}
