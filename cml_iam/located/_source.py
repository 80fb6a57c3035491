"""A parsed document with the position of each of its values."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cml_iam.errors import Place

if TYPE_CHECKING:
    from collections.abc import Mapping

Path = tuple[str | int, ...]
"""The path from the root of a document to a value: member names and element indexes."""


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets into a text: *start* of the first character, *end* just after the last."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Source:
    """A named text, and the offsets of its lines."""

    name: str
    text: str = field(repr=False)
    _starts: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        starts = (0, *(match.end() for match in re.finditer("\n", self.text)))
        object.__setattr__(self, "_starts", starts)

    def place(self, offset: int) -> Place:
        """Return the place of *offset*; lines and columns count from 1."""
        line = bisect_right(self._starts, offset)
        return Place(self.name, line, offset - self._starts[line - 1] + 1)


@dataclass(frozen=True, slots=True)
class Located:
    """A parsed document: its *value*, and the spans of its values and of its members' names."""

    value: Any
    source: Source
    values: Mapping[Path, Span] = field(repr=False)
    names: Mapping[Path, Span] = field(repr=False)

    def place(self, path: Path = ()) -> Place:
        """Return the start of the value at *path*, or of its nearest enclosing value."""
        while path and path not in self.values:
            path = path[:-1]
        return self.source.place(self.values[path].start)

    def name_place(self, path: Path) -> Place:
        """Return the start of the name of the member at *path*."""
        span = self.names.get(path)
        return self.source.place(span.start) if span else self.place(path)
