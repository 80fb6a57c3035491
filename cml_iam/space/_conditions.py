"""A condition as a question about one key, and the text patterns that it distinguishes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from cml_iam.engine import OperatorName
from cml_iam.engine.parts import (
    FIELDS,
    Keys,
    MalformedVariableError,
    Token,
    Variable,
    Wildcard,
    resolved,
    split_fields,
    tokens,
)
from cml_iam.facts import same_key
from cml_iam.policy import Condition
from cml_iam.space._globs import INSIDE, Glob, Symbol, Wild

ARN: Final = Glob(
    (
        *("a", "r", "n", ":"),
        *(Wild.MANY_INSIDE, ":", Wild.MANY_INSIDE, ":", Wild.MANY_INSIDE, ":"),
        *(Wild.MANY_INSIDE, ":", Wild.MANY),
    )
)
_WILD: Final = {Wildcard.MANY: Wild.MANY, Wildcard.ONE: Wild.ONE}
TEXTS: Final = frozenset({"string", "arn", "bool", "binary", "null"})
_FAMILIES: Final = ("string", "numeric", "date", "bool", "binary", "arn", "null")

Context = Mapping[str, Any]
ConditionTest = Callable[[Context], bool]


@dataclass(frozen=True, slots=True)
class KeyCondition:
    """A condition compiled by the engine; *variables* says whether its document may use some."""

    condition: Condition
    test: ConditionTest
    variables: bool

    @property
    def operator(self) -> OperatorName:
        """The parsed operator."""
        return _operator(self.condition.operator)

    @property
    def family(self) -> str:
        """What the operator compares, such as `string` or `numeric`."""
        return _family(self.operator.base)

    def parsed(self) -> tuple[tuple[Token, ...], ...]:
        """Return the parsed values, without those that can never match."""
        return _parsed(self.condition, self.variables)

    def needs(self) -> frozenset[str]:
        """Return the keys of the policy variables in the values, by `same_key`."""
        return _needs(self.condition, self.variables)

    def globs(self, context: Context) -> tuple[Glob, ...]:
        """Return the text patterns this distinguishes, with *context* for the variables."""
        if not self.needs():
            return _plain_globs(self.condition, self.variables)
        return tuple(_globs(self, context))


_operator = lru_cache(1 << 8)(OperatorName.parse)


@lru_cache(1 << 8)
def _family(base: str) -> str:
    if base in {"ipaddress", "notipaddress"}:
        return "ip"
    return next((family for family in _FAMILIES if base.startswith(family)), "null")


@lru_cache(1 << 12)
def _parsed(condition: Condition, variables: bool) -> tuple[tuple[Token, ...], ...]:
    base = _operator(condition.operator).base
    family = _family(base)
    wild = family == "arn" or base in {"stringlike", "stringnotlike"}
    takes = variables and family in {"string", "arn", "bool"}
    found = []
    for value in condition.values:
        try:
            found.append(tokens(value, variables=takes, wildcards=wild, keys=Keys()))
        except MalformedVariableError:
            continue
    return tuple(found)


@lru_cache(1 << 12)
def _needs(condition: Condition, variables: bool) -> frozenset[str]:
    parsed = _parsed(condition, variables)
    return frozenset(same_key(p.key) for v in parsed for p in v if isinstance(p, Variable))


@lru_cache(1 << 12)
def _plain_globs(condition: Condition, variables: bool) -> tuple[Glob, ...]:
    return tuple(_globs(KeyCondition(condition, lambda context: False, variables), {}))  # noqa: ARG005


def _globs(asked: KeyCondition, context: Context) -> Iterable[Glob]:
    family = asked.family
    if family not in TEXTS or family == "null":
        return
    fold = "ignorecase" in asked.operator.base or family == "bool"
    if family == "arn":
        yield ARN
    for parts in asked.parsed():
        literal = resolved(parts, context)
        if literal is None:
            continue
        if family == "arn":
            yield from _arn_glob(literal)
        else:
            yield Glob(tuple(symbols(literal)), fold)


def symbols(parts: Iterable[Token]) -> Iterable[Symbol]:
    """Yield the characters and wildcards of a pattern without variables."""
    for part in parts:
        if isinstance(part, Wildcard):
            yield _WILD[part]
        else:
            yield from str(part)


def field_symbols(parts: Iterable[Token], index: int) -> tuple[Symbol, ...]:
    """Return the symbols of an ARN field; only in the last can a wildcard match a colon."""
    made = symbols(parts)
    if index == FIELDS - 1:
        return tuple(made)
    return tuple(INSIDE.get(s, s) if isinstance(s, Wild) else s for s in made)


def _arn_glob(literal: tuple[Token, ...]) -> Iterable[Glob]:
    fields = split_fields(literal)
    if len(fields) == FIELDS:
        found: list[Symbol] = []
        for index, field in enumerate(fields):
            found.extend([":"] if index else [])
            found.extend(field_symbols(field, index))
        yield Glob(tuple(found))
