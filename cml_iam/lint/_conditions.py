"""Conditions as rules see them: what an operator is, and what it makes of an absent key."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from cml_iam.engine import FOR_ALL, FOR_ANY, OPERATORS, OperatorName, compile_policies
from cml_iam.policy import VERSION_2008, VERSION_2012, PolicyDocument, Statement

if TYPE_CHECKING:
    from cml_iam.policy import Condition

NULL: Final = "null"
OPERATOR_NAMES: Final = (*(each.name for each in OPERATORS.values()), "Null")


@dataclass(frozen=True, slots=True)
class Op:
    """An operator taken apart; *base* and *qualifier* in lower case."""

    base: str
    qualifier: str
    if_exists: bool
    negated: bool

    @property
    def for_all(self) -> bool:
        """Whether it is `ForAllValues:`."""
        return self.qualifier == FOR_ALL

    @property
    def positive_text(self) -> bool:
        """Whether it demands one of some texts of a key that must be there."""
        plain = self.base in {"stringequals", "stringlike", "stringequalsignorecase"}
        return plain and not self.if_exists and not self.for_all


@lru_cache(4096)
def parse_operator(text: str) -> Op | None:
    """Return *text* taken apart, or None if there is no such operator."""
    name = OperatorName.parse(text)
    if name.qualifier not in {"", FOR_ALL, FOR_ANY}:
        return None
    if name.base == NULL:
        return None if name.if_exists else Op(NULL, name.qualifier, if_exists=False, negated=False)
    known = OPERATORS.get(name.base)
    return Op(name.base, name.qualifier, name.if_exists, known.negated) if known else None


def holds_without_key(condition: Condition) -> bool | None:
    """Say whether *condition* holds for a request that lacks its key; None: unknown operator."""
    op = parse_operator(condition.operator)
    if op is None:
        return None
    if op.base == NULL:
        return any(value.lower() == "true" for value in condition.values)
    name = OperatorName(op.base, op.qualifier, op.if_exists)
    return name.matches_missing_key(negated=op.negated)


@lru_cache(4096)
def value_problems(condition: Condition, *, variables: bool) -> tuple[str, ...]:
    """Return why values of *condition* can never match."""
    statement = Statement(0, "Allow", action=("*",), resource=("*",), conditions=(condition,))
    document = PolicyDocument((statement,), VERSION_2012 if variables else VERSION_2008)
    problems = compile_policies(identity=[document]).problems
    return tuple(problem.message for problem in problems)


def value_patterns(condition: Condition, op: Op) -> list[str]:
    """Return the values as patterns: a `*` that *op* takes as a plain character is one no longer.

    It becomes a character that no text has.
    """
    if op.base == "stringlike":
        return list(condition.values)
    return [value.replace("*", "\ufdd0").replace("?", "\ufdd1") for value in condition.values]
