"""Conditions: an operator, its set qualifier and `IfExists`, applied to one key.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import eq, ge, gt, le, lt
from typing import Final, NamedTuple

from cml_iam.engine._comparison import (
    Comparison,
    Context,
    PlainTest,
    Prepare,
    Scope,
    addresses,
    arns,
    booleans,
    moment,
    number,
    ordered,
    texts,
)
from cml_iam.engine._request import Keys, all_texts, single_text
from cml_iam.policy import Condition, did_you_mean


class Operator(NamedTuple):
    """A condition operator; a *negated* one matches when no value of the policy matches."""

    name: str
    prepare: Prepare
    negated: bool = False


OPERATORS: Final[Mapping[str, Operator]] = {
    operator.name.lower(): operator
    for operator in (
        Operator("StringEquals", texts()),
        Operator("StringNotEquals", texts(), negated=True),
        Operator("StringEqualsIgnoreCase", texts(any_case=True)),
        Operator("StringNotEqualsIgnoreCase", texts(any_case=True), negated=True),
        Operator("StringLike", texts(wildcards=True)),
        Operator("StringNotLike", texts(wildcards=True), negated=True),
        Operator("NumericEquals", ordered(number, eq, "a number")),
        Operator("NumericNotEquals", ordered(number, eq, "a number"), negated=True),
        Operator("NumericLessThan", ordered(number, lt, "a number")),
        Operator("NumericLessThanEquals", ordered(number, le, "a number")),
        Operator("NumericGreaterThan", ordered(number, gt, "a number")),
        Operator("NumericGreaterThanEquals", ordered(number, ge, "a number")),
        Operator("DateEquals", ordered(moment, eq, "a date")),
        Operator("DateNotEquals", ordered(moment, eq, "a date"), negated=True),
        Operator("DateLessThan", ordered(moment, lt, "a date")),
        Operator("DateLessThanEquals", ordered(moment, le, "a date")),
        Operator("DateGreaterThan", ordered(moment, gt, "a date")),
        Operator("DateGreaterThanEquals", ordered(moment, ge, "a date")),
        Operator("Bool", booleans),
        Operator("BinaryEquals", texts(variables=False)),
        Operator("IpAddress", addresses),
        Operator("NotIpAddress", addresses, negated=True),
        Operator("ArnEquals", arns),
        Operator("ArnLike", arns),
        Operator("ArnNotEquals", arns, negated=True),
        Operator("ArnNotLike", arns, negated=True),
    )
}
"""Operators by name in lower case.

`Null` is not here: it tests whether the key is present, not its value.
"""


ConditionTest = Callable[[Context], bool]

FOR_ALL: Final = "forallvalues"
FOR_ANY: Final = "foranyvalue"
IF_EXISTS: Final = "ifexists"
NULL: Final = "null"


@dataclass(frozen=True, slots=True)
class CompiledCondition:
    """A compiled condition; *key* has the authorizer's single spelling."""

    condition: Condition
    key: str
    keys: Keys
    test: ConditionTest
    problems: tuple[str, ...] = ()


class OperatorName(NamedTuple):
    """A parsed operator name; *base* and *qualifier* are in lower case."""

    base: str
    qualifier: str = ""
    if_exists: bool = False

    @classmethod
    def parse(cls, text: str) -> OperatorName:
        """Parse `ForAllValues:StringLikeIfExists`, ignoring case."""
        qualifier, colon, base = text.lower().rpartition(":")
        if base.endswith(IF_EXISTS):
            return cls(base.removesuffix(IF_EXISTS), qualifier, if_exists=True)
        return cls(base, qualifier if colon else "")

    @property
    def known(self) -> bool:
        """Whether the operator exists."""
        base = self.base in OPERATORS or (self.base == NULL and not self.if_exists)
        return base and self.qualifier in {"", FOR_ALL, FOR_ANY}

    @property
    def negated(self) -> bool:
        """Whether it matches when no value of the policy matches."""
        return self.base in OPERATORS and OPERATORS[self.base].negated

    @property
    def matches_missing_key(self) -> bool:
        """Whether the condition matches if the request lacks the key.

        `ForAllValues` matches (all of no values match), `ForAnyValue` does not, even with
        `IfExists`. Without a qualifier, `IfExists` and the negated operators match.
        """
        if self.qualifier:
            return self.qualifier == FOR_ALL
        return self.if_exists or self.negated


def compile_condition(condition: Condition, scope: Scope) -> CompiledCondition:
    """Compile *condition*; one with an unknown operator never matches."""
    key = scope.keys.spell(condition.key)
    test, problems = _compiled(condition, key, scope)
    return CompiledCondition(condition, key, scope.keys, test, problems)


_Compiled = tuple[ConditionTest, tuple[str, ...]]
"""The test of a condition, and its values that can never match, in words."""


def _compiled(condition: Condition, key: str, scope: Scope) -> _Compiled:
    if unknown := unknown_operator(condition.operator):
        return _always(False), (unknown,)
    name = OperatorName.parse(condition.operator)
    if name.base == NULL:
        return _null(condition, key, scope.keys, name.qualifier)
    comparison = OPERATORS[name.base].prepare(condition.values, scope)
    problems = tuple(f"{condition.operator} {problem}" for problem in comparison.problems)
    return _test(key, scope.keys, name, comparison), problems


def unknown_operator(text: str) -> str | None:
    """Return the problem with the operator *text*, or None if it is known."""
    name = OperatorName.parse(text)
    if name.known:
        return None
    names = [operator.name for operator in OPERATORS.values()]
    hint = did_you_mean(text.rpartition(":")[2], (*names, "Null"))
    return f"unknown condition operator `{text}`, so it never matches" + (
        f"; {hint}" if hint and not OperatorName(name.base, "", name.if_exists).known else ""
    )


def _always(answer: bool) -> ConditionTest:
    return lambda context: answer  # noqa: ARG005 - whatever it is


def _null(condition: Condition, key: str, keys: Keys, qualifier: str) -> _Compiled:
    """Compile `Null`, which tests whether the key is absent.

    With ForAllValues it always matches, with ForAnyValue never.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/access-analyzer-reference-policy-checks.html
    """
    if qualifier:
        return _always(qualifier == FOR_ALL), ()
    odd = tuple(
        f"{condition.operator} `{value}` is neither true nor false"
        for value in condition.values
        if value.lower() not in {"true", "false"}
    )
    values = {value.lower() for value in condition.values}
    absent, present = "true" in values, "false" in values

    def test(context: Context) -> bool:
        return absent if keys.get(context, key) is None else present

    return test, odd


def _test(key: str, keys: Keys, name: OperatorName, comparison: Comparison) -> ConditionTest:
    expected, missing = not name.negated, name.matches_missing_key
    if comparison.plain is not None and not name.qualifier:
        return _plain_test(key, keys, comparison.plain, expected=expected, missing=missing)
    get, matches, qualified = keys.get, comparison.matches, name.qualifier != ""
    quantify = any if name.qualifier == FOR_ANY else all

    def condition(context: Context) -> bool:
        value = get(context, key)
        if value is None:
            return missing
        if qualified:
            texts = all_texts(value)
            if not any(texts):
                return missing  # a key whose only value is an empty string has no values
        else:
            text = single_text(value)
            if text is None:
                return False
            texts = (text,)
        return quantify([matches(text, context) is expected for text in texts])

    return condition


def _plain_test(
    key: str, keys: Keys, test: PlainTest, *, expected: bool, missing: bool
) -> ConditionTest:
    """Test a single-valued key; a key with several values never matches, whatever the operator."""
    search = keys.search

    def condition(context: Context) -> bool:
        value = context.get(key)
        if value.__class__ is str:  # by far the most common, so asked first
            return test(value) is expected
        if value is None:
            value = search(context, key)
            if value is None:
                return missing
        text = single_text(value)
        return text is not None and test(text) is expected

    return condition
