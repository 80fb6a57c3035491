"""Policy strings: literal text, wildcards and variables like `${aws:username}`, and matching.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from cml_iam.engine._request import Keys, single_text
from cml_iam.policy import linear

MALFORMED: Final = "`${` does not begin a variable"


class Wildcard(Enum):
    """An active `*` or `?`."""

    MANY = "*"
    ONE = "?"

    __hash__ = object.__hash__  # that of Enum is Python's, and patterns are hashed all the time


@dataclass(frozen=True, slots=True)
class Variable:
    """A placeholder for the value of the condition key *key*; *default* is used if it is absent."""

    key: str
    keys: Keys = field(compare=False, repr=False)
    default: str | None = None

    def value(self, context: Mapping[str, Any]) -> str | None:
        """Return the value; None if the key is absent or has several values."""
        value = self.keys.get(context, self.key)
        text = None if value is None else single_text(value)
        return self.default if text is None else text


Token = str | Wildcard | Variable


class MalformedVariableError(ValueError):
    """A `${` does not begin a variable."""


def tokens(text: str, *, variables: bool, wildcards: bool, keys: Keys) -> tuple[Token, ...]:
    """Parse *text*; raises MalformedVariableError.

    *variables* is false for documents before Version 2012-10-17: there `${` is plain text.
    """
    if not variables or "${" not in text:
        return tuple(_wild(text, wildcards))
    parts: list[Token] = []
    at = 0
    while (start := text.find("${", at)) >= 0:
        match = _VARIABLE.match(text, start)
        if match is None:
            raise MalformedVariableError(MALFORMED)
        parts += _wild(text[at:start], wildcards)
        parts.append(_variable(match, keys))
        at = match.end()
    return merged((*parts, *_wild(text[at:], wildcards)))


def merged(parts: Iterable[Token]) -> tuple[Token, ...]:
    """Join adjacent literal texts, and replace adjacent `*` with one."""
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
    """Substitute variables in *parts*; values are literal text, whatever their characters.

    None if a variable has no value; the whole text then matches nothing.
    """
    values = [part.value(context) if isinstance(part, Variable) else part for part in parts]
    return None if None in values else merged(filter(None, values))


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
    r"""\$\{(?P<key>[^,{}\s](?:[^,{}]*[^,{}\s])?)"""
    r"""(?:\s*,\s*(?:'(?P<single>[^']*)'|"(?P<double>[^"]*)")\s*)?\}"""
)
"""A variable; with blanks between a brace and the name it is none."""


@dataclass(frozen=True, slots=True)
class Patterns:
    """Patterns without variables, grouped by the kind of test they need."""

    equal: frozenset[str]
    prefixes: tuple[str, ...]
    expressions: tuple[re.Pattern[str], ...]
    anything: bool

    def matches(self, text: str) -> bool:
        """Return whether one of the patterns matches *text*."""
        return (
            self.anything
            or text in self.equal
            or text.startswith(self.prefixes)
            or any(expression.fullmatch(text) for expression in self.expressions)
        )

    def test(self) -> Callable[[str], bool]:
        """Return the cheapest function equivalent to `matches`."""
        kinds = (self.equal, self.prefixes, self.expressions)
        if self.anything or sum(map(bool, kinds)) > 1:
            return self.matches
        if self.prefixes:
            prefixes = self.prefixes[0] if len(self.prefixes) == 1 else self.prefixes
            return lambda text: text.startswith(prefixes)
        if len(self.expressions) == 1:
            fullmatch = self.expressions[0].fullmatch
            return lambda text: fullmatch(text) is not None
        return self.matches if self.expressions else self.equal.__contains__


def patterns(all_parts: Iterable[Sequence[Token]], any_char: str = ".") -> Patterns:
    """Group patterns without variables; *any_char* is the expression for a wildcard character."""
    equal, prefixes, expressions, anything = set(), [], [], False
    for parts in all_parts:
        match parts:
            case ():
                equal.add("")
            case (str(text),):
                equal.add(text)
            case (Wildcard.MANY,):
                anything = True
            case (str(text), Wildcard.MANY):
                prefixes.append(text)
            case _:
                expressions.append(re.compile(expression_text(parts, any_char), re.DOTALL))
    return Patterns(frozenset(equal), tuple(prefixes), tuple(expressions), anything)


def has_variable(parts: Iterable[Token]) -> bool:
    """Return whether the pattern depends on a value of the request."""
    return any(isinstance(part, Variable) for part in parts)


def expression_text(parts: Sequence[Token], any_char: str = ".") -> str:
    """Return an expression for `fullmatch`: linear time, no matter how many `*` *parts* has."""
    runs: list[str] = [""]
    for part in parts:
        if part is Wildcard.MANY:
            runs.append("")
        else:
            runs[-1] += any_char if part is Wildcard.ONE else re.escape(str(part))
    return linear(runs, any_char)
