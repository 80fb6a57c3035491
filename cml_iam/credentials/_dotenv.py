"""The text of a `.env` file: read one pair of variables, set them, leave the rest as it is.

What Docker Compose and python-dotenv read alike: `NAME=value`, an optional `export`, quotes (which
may span lines), comments after white space; of a name given twice the last one counts.
https://docs.docker.com/reference/compose-file/services/#env_file-format
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

ID: Final = "AWS_ACCESS_KEY_ID"
SECRET: Final = "AWS_SECRET_ACCESS_KEY"  # noqa: S105 - the name of a variable
TOKENS: Final = ("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")
"""The second is the older name, which boto3 still reads."""

_MARK: Final = "\ufeff"
"""The byte order mark some editors put before the first line."""
_RULE = "# " + "=" * 76
HEADER: Final = (_RULE, "# AWS Settings", _RULE)

_LINE = re.compile(
    r"""
    (?P<head> [ \t]* (?:export[ \t]+)? (?P<name>[A-Za-z_][A-Za-z0-9_.-]*) [ \t]* = ) [ \t]*
    (?: "(?P<double>(?:\\.|[^"\\])*)" | '(?P<single>(?:\\.|[^'\\])*)'
      | (?P<bare>[^\s'"#][^\r\n]*?) (?=[ \t]+\#|[ \t]*(?:\r|\n|\Z)) | (?=\#|\r|\n|\Z) )
    (?P<tail>[^\n]*(?:\n|\Z))
    | (?P<other>[^\n]*\n|[^\n]+\Z)
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One line, or one variable with a value over several lines."""

    text: str
    name: str | None = None
    value: str = ""
    head: str = ""
    tail: str = ""


def variables(text: str) -> dict[str, str]:
    """Return the variables that *text* sets."""
    return {each.name: each.value for each in _entries(text) if each.name}


def with_pair(text: str, key_id: str, secret: str) -> str:
    """Return *text* with the two variables of an access key set, everything else unchanged.

    They stay where they are; where there are none they are added at the end below a heading.
    """
    values = {ID: key_id, SECRET: secret}
    newline = "\r\n" if "\r\n" in text else "\n"
    entries = list(_entries(text))
    present = {each.name for each in entries} & set(values)
    if not present:
        return text + _appended(text, values, newline)
    made = [_set(each, values) for each in entries]
    missing = set(values) - present
    if missing:
        name = missing.pop()
        beside = max(i for i, each in enumerate(entries) if each.name in values)
        # Beside its partner, on a line of its own even where that one ended the file.
        made[beside] = made[beside].rstrip("\r\n") + newline + f"{name}={values[name]}" + newline
    return "".join(made)


def _set(entry: _Entry, values: dict[str, str]) -> str:
    if entry.name is None or entry.name not in values:
        return entry.text
    gap = " " if entry.tail.startswith("#") else ""
    return f"{entry.head}{values[entry.name]}{gap}{entry.tail}"


def _appended(text: str, values: dict[str, str], newline: str) -> str:
    gap = "" if not text else newline if text.endswith("\n") else newline * 2
    pair = (f"{name}={value}" for name, value in values.items())
    return gap + "".join(f"{line}{newline}" for line in (*HEADER, *pair))


def _entries(text: str) -> Iterator[_Entry]:
    position = len(_MARK) if text.startswith(_MARK) else 0
    if position:
        yield _Entry(_MARK)
    while position < len(text):
        match = _LINE.match(text, position)
        if match is None:  # an empty line at the end
            yield _Entry(text[position:])
            return
        yield _entry(match)
        position = match.end()


def _entry(match: re.Match[str]) -> _Entry:
    if match["name"] is None:
        return _Entry(match[0])
    values = (match["double"], match["single"], match["bare"])
    value = next((each for each in values if each is not None), "")
    return _Entry(match[0], match["name"], value, match["head"], match["tail"])
