"""TOML with the position of every value.

`tomllib` parses the values and checks the syntax; then this module reads the same text again for
positions. It can rely on valid syntax and only has to find where values begin.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from cml_iam.errors import DocumentError, Place, Problem
from cml_iam.located._json import MAX_DEPTH, Located, Path, Source, Span

if TYPE_CHECKING:
    import tomllib

_BLANK: Final = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_KEY: Final = re.compile(r'[ \t]*("(?:\\.|[^"\\])*"|\'[^\']*\'|[A-Za-z0-9_-]+)[ \t]*')
_STRING: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|\'{3}.*?\'{3,5}|"(?:\\.|[^"\\])*"|\'[^\']*\'', re.DOTALL
)
_BARE: Final = re.compile(r"[^,\]}#\r\n]+")

_MOST_PARTS: Final = 16
"""The maximum number of parts of a dotted key; a site file needs four."""

_LONGEST: Final = 1_000
"""The maximum number of characters of a bare word: a name, a number or a date."""

_WORD: Final = r"[A-Za-z0-9_+-]"
_PART: Final = rf"""(?:"(?:\\.|[^"\\\n])*"|'[^'\n]*'|{_WORD}+)"""
_TOKEN: Final = re.compile(
    rf"""
    (?P<text>\"{{3}}(?:\\.|[^\\])*?\"{{3,5}}|'{{3}}.*?'{{3,5}}|\#[^\n]*)
    |(?P<key>{_PART}(?:[ \t]*\.[ \t]*{_PART}){{{_MOST_PARTS}}})
    |(?P<word>{_WORD}{{{_LONGEST + 1},}}+)
    |(?P<rest>{_PART})
    |(?P<open>[\[{{])
    |(?P<close>[\]}}])
    """,
    re.DOTALL | re.VERBOSE,
)
_WHERE: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def parse_toml(text: str, name: str = "<text>") -> Located:
    """Parse *text*, called *name* in messages.

    Raises DocumentError with the place of the first syntax error, and for excessive nesting, keys
    and numbers, which would take the parser unlimited time or stack.
    """
    import tomllib

    source = Source(name, text)
    _check_bounds(source)
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(error, source) from None
    walk = _Walk(text)
    walk.document()
    return Located(value, source, walk.values, walk.names)


def _check_bounds(source: Source) -> None:
    """Refuse excessive nesting or length before the text is parsed; reads each character once."""
    depth = 0
    for token in _TOKEN.finditer(source.text):
        kind, at = token.lastgroup, token.start()
        depth += (kind == "open") - (kind == "close" and depth > 0)
        if depth > MAX_DEPTH:
            raise source.too_deep(at)
        if kind == "key":
            raise source.error(at, f"a key with more than {_MOST_PARTS} parts")
        if kind == "word":
            raise source.error(at, f"a name or number with more than {_LONGEST} characters")


def _syntax_error(error: tomllib.TOMLDecodeError, source: Source) -> DocumentError:
    message = str(error)
    where = _WHERE.search(message)
    words = message[: where.start()] if where else message
    words = words[:1].lower() + words[1:]
    if where and where[1]:
        place = Place(source.name, int(where[1]), int(where[2]))
        return DocumentError((Problem(words, place),))
    return source.error(len(source.text), words)


class _Walk:
    """Finds the spans; `document` fills *values* and *names*."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.values: dict[Path, Span] = {(): Span(0, len(text))}
        self.names: dict[Path, Span] = {}
        self.lengths: dict[Path, int] = {}  # elements so far of each array of tables

    def document(self) -> None:
        table: Path = ()
        at = self._blank(0)
        while at < len(self.text):
            brackets = 2 if self.text.startswith("[[", at) else 1
            if self.text[at] == "[":
                table, at = self._header(at + brackets, in_array=brackets == 2)
                at += brackets
            else:
                at = self._member(at, table)
            at = self._blank(at)

    def _header(self, start: int, *, in_array: bool) -> tuple[Path, int]:
        keys, spans, at = self._keys(start)
        if in_array:
            array = (*self._resolve(keys[:-1]), keys[-1])
            self.lengths[array] = self.lengths.get(array, 0) + 1
        path = self._resolve(keys)
        for index, span in enumerate(spans):
            named = (*self._resolve(keys[:index]), keys[index])
            self.names.setdefault(named, span)
            if named != path:  # a table, or an array of tables, that this header implies
                self.values.setdefault(named, span)
        self.values.setdefault(path, Span(start - 1, at))
        return path, at

    def _resolve(self, keys: Path) -> Path:
        """Return the real path of *keys*: an array of tables stands for its last element."""
        path: Path = ()
        for key in keys:
            path = (*path, key)
            if path in self.lengths:
                path = (*path, self.lengths[path] - 1)
        return path

    def _member(self, at: int, table: Path) -> int:
        keys, spans, at = self._keys(at)
        for index, span in enumerate(spans, start=1):
            path = (*table, *keys[:index])
            self.names.setdefault(path, span)
            if index < len(spans):
                self.values.setdefault(path, span)
        return self._value(self._blank(at + 1), (*table, *keys))

    def _keys(self, at: int) -> tuple[Path, list[Span], int]:
        keys: list[str] = []
        spans: list[Span] = []
        while match := _KEY.match(self.text, at):
            keys.append(_key_text(match[1]))
            spans.append(Span(match.start(1), match.end(1)))
            at = match.end()
            if self.text[at : at + 1] != ".":
                break
            at += 1
        return tuple(keys), spans, at

    def _value(self, at: int, path: Path) -> int:
        first = self.text[at]
        if first == "[":
            end = self._array(at, path)
        elif first == "{":
            end = self._inline_table(at, path)
        elif match := _STRING.match(self.text, at):
            end = match.end()
        else:
            bare = _BARE.match(self.text, at)
            end = bare.end() if bare else at + 1
        self.values[path] = Span(at, end)
        return end

    def _array(self, at: int, path: Path) -> int:
        index, at = 0, self._blank(at + 1)
        while self.text[at] != "]":
            at = self._comma(self._value(at, (*path, index)))
            index += 1
        return at + 1

    def _inline_table(self, at: int, path: Path) -> int:
        at = self._blank(at + 1)
        while self.text[at] != "}":
            at = self._comma(self._member(at, path))
        return at + 1

    def _comma(self, at: int) -> int:
        at = self._blank(at)
        return self._blank(at + 1) if self.text[at] == "," else at

    def _blank(self, at: int) -> int:
        match = _BLANK.match(self.text, at)
        return match.end() if match else at


def _key_text(written: str) -> str:
    if written[0] in "\"'":
        import tomllib

        return next(iter(tomllib.loads(f"{written} = 0")))
    return written
