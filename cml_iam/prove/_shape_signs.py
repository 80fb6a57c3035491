"""The meaning of the signs in a question (`=`, `<`, `like`), by the type of the condition key.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from cml_iam.engine import OPERATORS
from cml_iam.engine.parts import Keys, Scope, compile_condition, unknown_operator
from cml_iam.facts import key_type
from cml_iam.policy import Condition, did_you_mean

NULL: Final = "Null"
NOT_TRUE: Final = "BoolIfExists"
"""The operator for `!= true` on a Boolean key: the key is false, or absent."""

_LIKE: Final = {"like": "StringLike", "not like": "StringNotLike"}
_ORDER: Final = {"<": "LessThan", "<=": "LessThanEquals", ">": "GreaterThan"} | {
    ">=": "GreaterThanEquals"
}
_NUMBERS: Final = {
    "=": "NumericEquals",
    "!=": "NumericNotEquals",
    **{sign: f"Numeric{name}" for sign, name in _ORDER.items()},
}
_BY_TYPE: Final[Mapping[str, Mapping[str, str]]] = {
    # The value of a tag may be a number.
    "String": {**_NUMBERS, "=": "StringEquals", "!=": "StringNotEquals", **_LIKE},
    "Numeric": {**_NUMBERS, **_LIKE},
    "Date": {
        "=": "DateEquals",
        "!=": "DateNotEquals",
        **{sign: f"Date{name}" for sign, name in _ORDER.items()},
        **_LIKE,
    },
    "IPAddress": {"=": "IpAddress", "!=": "NotIpAddress", **_LIKE},
    "Bool": {"=": "Bool", "!=": NOT_TRUE},
    "ARN": {
        "=": "ArnEquals",
        "!=": "ArnNotEquals",
        "like": "ArnLike",
        "not like": "ArnNotLike",
    },
}
SIGNS: Final = tuple(_BY_TYPE["String"])
_SEVERAL: Final = "ArrayOf"
_OF_SEVERAL: Final = {
    "=": "ForAnyValue:",
    "like": "ForAnyValue:",
    "!=": "ForAllValues:",
    "not like": "ForAllValues:",
}
_MEANT: Final = {
    "==": "=",
    "===": "=",
    "equals": "=",
    "<>": "!=",
    "!==": "!=",
    "=>": ">=",
    "=<": "<=",
    "matches": "like",
    "!": "!=",
}
_FORMS: Final = {
    "Numeric": "a number is written `3600` or `1.5`",
    "Date": "a date is written `2026-01-31` or `2026-01-31T12:00:00Z`",
    "Ip": "an address is written `192.0.2.7`, a range `192.0.2.0/24`",
    "NotIp": "an address is written `192.0.2.7`, a range `192.0.2.0/24`",
    "Arn": "an ARN is arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE",
    "Bool": "write `true` or `false`",
    "Null": "write `true` (the key is absent) or `false`",
}


def operator_of(sign: str, key: str) -> str | None:
    """Return the operator that *sign* means for *key*; None if its type has none."""
    kind = key_type(key) or "String"
    operators = _BY_TYPE.get(kind.removeprefix(_SEVERAL), _BY_TYPE["String"])
    name = operators.get(sign)
    if name is None or not kind.startswith(_SEVERAL):
        return name
    return f"{_OF_SEVERAL[sign]}{name}" if sign in _OF_SEVERAL and name != NOT_TRUE else None


def type_of(key: str) -> str:
    """Describe the type of *key* in words."""
    kind = key_type(key) or "String"
    return f"`{key}` is a list" if kind.startswith(_SEVERAL) else f"`{key}` is of type {kind}"


def named_problem(operator: str) -> tuple[str, str | None] | None:
    """Return the problem with an operator given by name, and the remedy; or None."""
    if unknown_operator(operator) is None:
        return None
    return f"`{operator}` is not an operator", _instead(operator)


def _instead(operator: str) -> str | None:
    if operator.lower() in {"in", "any", "one"}:
        return "write `=`; with several values, separated by commas, one match is enough"
    if operator.lower() in _MEANT:
        return f"write `{_MEANT[operator.lower()]}`"
    base = operator.rpartition(":")[2]
    return did_you_mean(base, [*SIGNS, *(each.name for each in OPERATORS.values()), NULL])


def value_problem(operator: str, key: str, value: str) -> tuple[str, str | None] | None:
    """Return why *operator* never matches because of *value*, and a remedy; or None."""
    asked = Condition(operator, key, (value,))
    problems = compile_condition(asked, Scope(variables=True, keys=Keys())).problems
    if not problems:
        return None
    base = operator.rpartition(":")[2].lower()
    form = next((form for name, form in _FORMS.items() if base.startswith(name.lower())), None)
    return problems[0], form


def is_pattern(operator: str, value: str) -> bool:
    """Return whether *value* has wildcards that *operator* treats as plain characters."""
    base = operator.rpartition(":")[2]
    return base in {"StringEquals", "StringNotEquals"} and bool(set(value) & set("*?"))


def flipped(values: Sequence[str]) -> list[str]:
    """Return the booleans that are not in *values*."""
    given = {value.lower() for value in values}
    return [each for each in ("true", "false") if each not in given]
