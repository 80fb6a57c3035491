"""The conditions that an answer still depends on, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from cml_iam.engine import OperatorName
from cml_iam.facts import arn_pattern, covers
from cml_iam.policy import Condition, Statement

SIGNS: Final[Mapping[str, str]] = {
    "stringequals": "=",
    "stringlike": "like",
    "stringnotequals": "!=",
    "stringnotlike": "not like",
    "bool": "=",
    "arnlike": "like",
    "arnequals": "=",
    "ipaddress": "=",
    "notipaddress": "!=",
}
"""The sign of a condition operator in a question, if it has one."""


def remaining(left: Iterable[Statement], resource: str) -> Iterator[str]:
    """Yield what one kind of policy still requires: one of its Allow statements, and no Deny."""
    left = tuple(left)
    allows = [_words(e, resource) for e in left if e.effect == "Allow"]
    if allows and all(allows):
        yield f"only {' or '.join(dict.fromkeys(allows))}"
    for each in left:
        if each.effect == "Deny":
            yield f"not {_words(each, resource)}"


def _words(said: Statement, resource: str) -> str:
    """Describe where *said* applies to requests on *resource*; empty if it always does."""
    words = []
    asked = arn_pattern(resource)
    named = [arn_pattern(each) for each in said.resource or ("*",)]
    if not any(asked and each and covers(each, asked) for each in named):
        words.append(f"on {', '.join(said.resource or ())}")
    if said.not_resource is not None:
        words.append(f"not on {', '.join(said.not_resource)}")
    conditions = [_condition_words(each) for each in said.conditions]
    if conditions:
        words.append(f"if {' and '.join(conditions)}")
    return " ".join(words)


def _condition_words(said: Condition) -> str:
    name = OperatorName.parse(said.operator)
    if name.base == "null":
        return f"{said.key} is {'absent' if 'true' in said.values else 'present'}"
    sign = SIGNS.get(said.operator.lower(), said.operator)
    return f"{said.key} {sign} {', '.join(said.values)}"
