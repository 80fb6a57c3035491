"""Texts of policies taken apart: literal text, wildcards, and variables like `${aws:username}`.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from cml_iam.engine._request import single_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cml_iam.engine._keys import Keys

MALFORMED: Final = "`${` does not begin a variable"


class Wildcard(Enum):
    """`*` and `?` where they are not literal."""

    MANY = "*"
    ONE = "?"


@dataclass(frozen=True, slots=True)
class Variable:
    """A place for the value of the condition key *key*; *default* stands in for an absent one."""

    key: str
    keys: Keys = field(compare=False, repr=False)
    default: str | None = None

    def value(self, context: Mapping[str, Any]) -> str | None:
        """Return what stands here; None if the key is absent or has several values."""
        found = self.keys.get(context, self.key)
        text = None if found is None else single_text(found)
        return self.default if text is None else text


Token = str | Wildcard | Variable


class MalformedVariableError(ValueError):
    """A text has a `${` that begins no variable."""


def tokens(text: str, *, variables: bool, wildcards: bool, keys: Keys) -> tuple[Token, ...]:
    """Take *text* apart; raises MalformedVariableError.

    *variables* is false for documents before Version 2012-10-17: there `${` is plain text.
    """
    if not variables or "${" not in text:
        return tuple(_wild(text, wildcards))
    found: list[Token] = []
    at = 0
    while (start := text.find("${", at)) >= 0:
        match = _VARIABLE.match(text, start)
        if match is None:
            raise MalformedVariableError(MALFORMED)
        found += _wild(text[at:start], wildcards)
        found.append(_variable(match, keys))
        at = match.end()
    return merged((*found, *_wild(text[at:], wildcards)))


def merged(parts: Iterable[Token]) -> tuple[Token, ...]:
    """Join neighbouring literal texts, and neighbouring `*`, which say no more than one."""
    joined: list[Token] = []
    for part in parts:
        last = joined[-1] if joined else None
        if isinstance(part, str) and isinstance(last, str):
            joined[-1] = last + part
        elif not (part is Wildcard.MANY and last is Wildcard.MANY):
            joined.append(part)
    return tuple(part for part in joined if part != "")


def variable_keys(text: str) -> list[str]:
    """Return the keys of the variables in *text*, as written."""
    return [m["key"] for m in _VARIABLE.finditer(text) if m["key"] not in _ESCAPES]


def resolved(parts: Iterable[Token], context: Mapping[str, Any]) -> tuple[Token, ...] | None:
    """Return *parts* with values for variables: literal text, whatever characters it has.

    None if a variable has no value; then the whole text matches nothing.
    """
    found: list[Token] = []
    for part in parts:
        value = part.value(context) if isinstance(part, Variable) else part
        if value is None:
            return None
        found.append(value)
    return merged(found)


def _variable(match: re.Match[str], keys: Keys) -> Token:
    key = match["key"]
    if key in _ESCAPES:
        return key
    default = match["single"] if match["double"] is None else match["double"]
    return Variable(keys.spell(key), keys, default)


def _wild(text: str, wildcards: bool) -> Iterable[Token]:
    if not wildcards:
        return (text,) if text else ()
    return merged(_WILDCARDS.get(part, part) for part in _WILD.split(text) if part)


_ESCAPES: Final = ("*", "?", "$")
_WILDCARDS: Final[dict[str, Token]] = {"*": Wildcard.MANY, "?": Wildcard.ONE}
_WILD: Final = re.compile(r"([*?])")
_VARIABLE: Final = re.compile(
    r"""\$\{\s*(?P<key>[^,{}]*[^,{}\s])\s*(?:,\s*(?:'(?P<single>[^']*)'|"(?P<double>[^"]*)")\s*)?\}"""
)
