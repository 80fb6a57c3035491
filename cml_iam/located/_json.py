"""A parsed document with the position of each of its values, and JSON parsed into one.

The standard library's parser keeps no positions. This one accepts strict JSON (RFC 8259) with one
difference: a repeated name in an object is an error, as it is for IAM.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from json.decoder import JSONDecodeError, scanstring  # type: ignore[attr-defined]
from typing import Any, Final, NamedTuple

from cml_iam.errors import DocumentError, Place, Problem

Path = tuple[str | int, ...]
"""The path from the root of a document to a value: member names and element indexes."""


class Span(NamedTuple):
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

    def error(self, offset: int, message: str, remedy: str | None = None) -> DocumentError:
        return DocumentError((Problem(message, self.place(offset), remedy),))

    def too_deep(self, offset: int) -> DocumentError:
        return self.error(offset, f"nested more than {MAX_DEPTH} levels deep")


@dataclass(frozen=True, slots=True)
class Located:
    """A parsed document: its *value*, and the spans of its values and of its members' names."""

    value: Any
    source: Source
    values: Mapping[Path, Span] = field(repr=False)
    names: Mapping[Path, Span] = field(repr=False)

    def place(self, path: Path = ()) -> Place:
        """Return the start of the value at *path*, or of the nearest enclosing value."""
        while path and path not in self.values:
            path = path[:-1]
        return self.source.place(self.values[path].start)

    def name_place(self, path: Path) -> Place:
        """Return the start of the name of the member at *path*."""
        span = self.names.get(path)
        return self.source.place(span.start) if span else self.place(path)


MAX_DEPTH: Final = 64
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORDS: Final = {"true": True, "false": False, "null": None}
_WORD: Final = re.compile(r"true|false|null")


def parse_json(text: str, name: str = "<text>") -> Located:
    """Parse *text*, called *name* in messages.

    Raises DocumentError with the place of the first syntax error, or of every repeated name.
    """
    return _Parser(Source(name, text.removeprefix("\ufeff"))).parse()


class _Parser:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.text = source.text
        self.values: dict[Path, Span] = {}
        self.names: dict[Path, Span] = {}
        self.repeated: list[Problem] = []

    def parse(self) -> Located:
        start = self._space(0)
        if start == len(self.text):
            raise self.source.error(0, "the document is empty")
        value, end = self._value(start, ())
        end = self._space(end)
        if end != len(self.text):
            raise self.source.error(end, "text after the end of the document")
        if self.repeated:
            raise DocumentError(tuple(self.repeated))
        return Located(value, self.source, self.values, self.names)

    def _value(self, at: int, path: Path) -> tuple[Any, int]:
        if len(path) > MAX_DEPTH:
            raise self.source.too_deep(at)
        first = self.text[at : at + 1]
        value: Any
        if first == '"':
            value, end = self._string(at)
        elif first == "{":
            value, end = self._object(at, path)
        elif first == "[":
            value, end = self._array(at, path)
        else:
            value, end = self._scalar(at)
        self.values[path] = Span(at, end)
        return value, end

    def _object(self, at: int, path: Path) -> tuple[dict[str, Any], int]:
        members: dict[str, Any] = {}
        at, done = self._first(at, "}")
        while not done:
            if self.text[at : at + 1] != '"':
                raise self._error(at, "expected a name in double quotes")
            name, end = self._string(at)
            if name in members:
                problem = Problem(f"`{name}` appears twice in one object", self.source.place(at))
                self.repeated.append(problem)
            here = (*path, name)
            self.names[here] = Span(at, end)
            at = self._space(end)
            if self.text[at : at + 1] != ":":
                raise self.source.error(at, f"expected `:` after `{name}`")
            members[name], end = self._value(self._space(at + 1), here)
            at, done = self._next(end, "}")
        return members, at

    def _array(self, at: int, path: Path) -> tuple[list[Any], int]:
        elements: list[Any] = []
        at, done = self._first(at, "]")
        while not done:
            element, end = self._value(at, (*path, len(elements)))
            elements.append(element)
            at, done = self._next(end, "]")
        return elements, at

    def _first(self, at: int, close: str) -> tuple[int, bool]:
        """Skip the opening bracket at *at*, and the closing one if nothing is between them."""
        at = self._space(at + 1)
        return (at + 1, True) if self.text[at : at + 1] == close else (at, False)

    def _next(self, at: int, close: str) -> tuple[int, bool]:
        """Skip the comma or closing bracket at *at*, and return whether it was the bracket."""
        at = self._space(at)
        here = self.text[at : at + 1]
        if here == close:
            return at + 1, True
        if here != ",":
            raise self._error(at, f"expected `,` or `{close}`")
        comma, at = at, self._space(at + 1)
        if self.text[at : at + 1] == close:
            raise self.source.error(comma, f"a comma before `{close}`", "remove the comma")
        return at, False

    def _string(self, at: int) -> tuple[str, int]:
        try:
            value, end = scanstring(self.text, at + 1, True)
        except JSONDecodeError as error:
            words = error.msg[:1].lower() + error.msg[1:].removesuffix(" at")
            raise self.source.error(error.pos, words) from None
        return value, end

    def _scalar(self, at: int) -> tuple[Any, int]:
        if match := _WORD.match(self.text, at):
            return _WORDS[match[0]], match.end()
        match = _NUMBER.match(self.text, at)
        if match is None:
            raise self._error(at, "expected a value")
        digits = match[0]
        try:
            number = int(digits) if digits.lstrip("-").isdigit() else float(digits)
        except ValueError:  # Python refuses to convert more than 4,300 digits
            raise self.source.error(at, "the number has too many digits") from None
        return number, match.end()

    def _space(self, at: int) -> int:
        match = _SPACE.match(self.text, at)
        return match.end() if match else at

    def _error(self, at: int, message: str) -> DocumentError:
        """Return an error with a remedy for what often stands in the wrong place."""
        here, remedy = self.text[at : at + 2], None
        if here[:1] == "'":
            remedy = "JSON strings need double quotes"
        elif here in {"//", "/*"} or here[:1] == "#":
            remedy = "JSON has no comments"
        elif not here:
            remedy = "the document ends too early: a bracket or quote is not closed"
        return self.source.error(at, message, remedy)
