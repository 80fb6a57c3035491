"""The condition operators, in one table.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cml_iam.engine._comparison import (
    Prepare,
    Scope,
    addresses,
    arns,
    booleans,
    dates,
    numbers,
    texts,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["OPERATORS", "Operator", "Scope"]


@dataclass(frozen=True, slots=True)
class Operator:
    """A condition operator; a *negated* one holds when no value of the policy matches.

    *prepare* makes the policy's values ready for the comparison.
    """

    name: str
    prepare: Prepare
    negated: bool = False


OPERATORS: Final[Mapping[str, Operator]] = {
    each.name.lower(): each
    for each in (
        Operator("StringEquals", texts()),
        Operator("StringNotEquals", texts(), negated=True),
        Operator("StringEqualsIgnoreCase", texts(any_case=True)),
        Operator("StringNotEqualsIgnoreCase", texts(any_case=True), negated=True),
        Operator("StringLike", texts(wildcards=True)),
        Operator("StringNotLike", texts(wildcards=True), negated=True),
        Operator("NumericEquals", numbers(operator.eq)),
        Operator("NumericNotEquals", numbers(operator.eq), negated=True),
        Operator("NumericLessThan", numbers(operator.lt)),
        Operator("NumericLessThanEquals", numbers(operator.le)),
        Operator("NumericGreaterThan", numbers(operator.gt)),
        Operator("NumericGreaterThanEquals", numbers(operator.ge)),
        Operator("DateEquals", dates(operator.eq)),
        Operator("DateNotEquals", dates(operator.eq), negated=True),
        Operator("DateLessThan", dates(operator.lt)),
        Operator("DateLessThanEquals", dates(operator.le)),
        Operator("DateGreaterThan", dates(operator.gt)),
        Operator("DateGreaterThanEquals", dates(operator.ge)),
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
"""By name in lower case; `Null` is not here: it asks for the key and not for its value."""
