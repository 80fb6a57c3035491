"""Tests of a text against what a policy names: equal, beginning, ending, or an expression.

Most patterns are a plain text or end in one `*`; those need no regular expression.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cml_iam.engine._variables import Token, Variable, Wildcard, resolved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

TextTest = "Callable[[str], bool]"


@dataclass(frozen=True, slots=True)
class Patterns:
    """Patterns without variables, sorted by what it takes to test them."""

    equal: frozenset[str]
    prefixes: tuple[str, ...]
    expressions: tuple[re.Pattern[str], ...]
    anything: bool

    def matches(self, text: str) -> bool:
        """Say whether *text* is one of the texts the patterns stand for."""
        return (
            self.anything
            or text in self.equal
            or text.startswith(self.prefixes)
            or any(each.fullmatch(text) for each in self.expressions)
        )

    def test(self) -> Callable[[str], bool]:
        """Return the cheapest function that does what `matches` does."""
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
    """Sort patterns without variables; *any_char* is what a wildcard may stand for."""
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
                expressions.append(expression(parts, any_char))
    return Patterns(frozenset(equal), tuple(prefixes), tuple(expressions), anything)


def has_variable(parts: Iterable[Token]) -> bool:
    """Say whether a value of the request is needed to know what the pattern stands for."""
    return any(isinstance(part, Variable) for part in parts)


def matches_resolved(parts: Sequence[Token], text: str, context: Mapping[str, Any]) -> bool | None:
    """Say whether *text* matches once variables have values; None if one has no value."""
    literal = resolved(parts, context)
    return None if literal is None else patterns((literal,)).matches(text)


def expression(parts: Sequence[Token], any_char: str = ".") -> re.Pattern[str]:
    """Return the regular expression for *parts*, to be used with `fullmatch`."""
    return re.compile(expression_text(parts, any_char), re.DOTALL)


def expression_text(parts: Sequence[Token], any_char: str = ".") -> str:
    """Return an expression that takes linear time however many `*` it has.

    The first place where the text between two `*` occurs is as good as any later one, so what
    stands before it need not be tried again: an atomic group, `(?>…)`.
    """
    runs: list[list[str]] = [[]]
    for part in parts:
        if part is Wildcard.MANY:
            runs.append([])
        else:
            runs[-1].append(any_char if part is Wildcard.ONE else re.escape(str(part)))
    first, *rest = ("".join(run) for run in runs)
    if not rest:
        return first
    middle = "".join(f"(?>{any_char}*?{run})" for run in rest[:-1] if run)
    return f"{first}{middle}{any_char}*{rest[-1]}"
