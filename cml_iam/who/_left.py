"""What remains of policies of one kind once the known facts are substituted, also in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from cml_iam.engine import OperatorName
from cml_iam.engine.parts import variable_keys
from cml_iam.facts import arn_pattern, covers
from cml_iam.policy import Condition, Statement
from cml_iam.who._reduced import Compiled, Origin, on, reduced

if TYPE_CHECKING:
    from cml_iam.engine import PolicyType
    from cml_iam.principal import Held
    from cml_iam.who._facts import Facts

VARIABLE_PART: Final = re.compile(r"[*?$]")


@dataclass(frozen=True)
class Left:
    """The remaining statements of one kind of policy, each with its origin."""

    kind: PolicyType
    statements: Mapping[Statement, tuple[Origin, ...]]

    @cached_property
    def said(self) -> tuple[PolicyType, frozenset[Statement]]:
        """The content of the statements, without their origin."""
        return self.kind, frozenset(self.statements)

    @cached_property
    def allows(self) -> bool:
        """Whether any statement allows something."""
        return any(statement.effect == "Allow" for statement in self.statements)

    @cached_property
    def beginnings(self) -> frozenset[str]:
        """The beginnings, up to a wildcard or variable, of the resources that are allowed."""
        allows = (statement for statement in self.statements if statement.effect == "Allow")
        named = (text for allow in allows for text in allow.resource or ("",))
        return frozenset(VARIABLE_PART.split(text, 1)[0] for text in named)

    @cached_property
    def keys(self) -> frozenset[str]:
        """The condition keys that the statements still test, in lower case."""
        return frozenset(key for statement in self.statements for key in keys_of(statement))

    @cached_property
    def names_resources(self) -> bool:
        """Whether the statements distinguish resources."""
        every = (None, ("*",))
        return any(e.resource not in every or e.not_resource for e in self.statements)

    def about(self, resource: str) -> Left:
        """Return the statements that remain for requests on *resource*."""
        if resource == "*" or not self.names_resources:
            return self
        found: dict[Statement, tuple[Origin, ...]] = {}
        for each, origins in self.statements.items():
            one = on(each, self.kind, resource)
            if one is not None:
                found[one] = (*found.get(one, ()), *origins)
        return Left(self.kind, found)


class Gathering:
    """Substitutes known facts into policies, once for all principals that they treat alike."""

    def __init__(self) -> None:
        self.compiled = Compiled()
        self._left: dict[Any, Left] = {}
        self._keys: dict[Any, tuple[str, ...]] = {}

    def left(self, kind: PolicyType, policies: tuple[Held, ...], action: str, facts: Facts) -> Left:
        """Return the statements of *policies*, all of one *kind*, about *action* given *facts*."""
        held = tuple((policy.name, id(policy.document), policy.group) for policy in policies)
        about = (kind, action, held)
        if about not in self._keys:
            self._keys[about] = tuple(sorted(set(self._named(kind, policies, action))))
        known = tuple((facts.knows(key), facts.values.get(key)) for key in self._keys[about])
        if (about, known) not in self._left:
            self._left[about, known] = Left(kind, self._reduced(kind, policies, action, facts))
        return self._left[about, known]

    def _named(self, kind: PolicyType, policies: tuple[Held, ...], action: str) -> Iterator[str]:
        for held in policies:
            for said in self.compiled.about(held.document, kind, action):
                yield from keys_of(said.statement)

    def _reduced(
        self, kind: PolicyType, policies: tuple[Held, ...], action: str, facts: Facts
    ) -> dict[Statement, tuple[Origin, ...]]:
        found: dict[Statement, tuple[Origin, ...]] = {}
        for held in policies:
            for said in self.compiled.about(held.document, kind, action):
                left = reduced(said, action, facts)
                if left is not None:
                    origin = Origin(held.name, said.statement.label, held.group, kind)
                    found[left] = (*found.get(left, ()), origin)
        return found


def keys_of(statement: Statement) -> Iterator[str]:
    """Yield the condition keys that *statement* tests, in lower case."""
    for condition in statement.conditions:
        yield condition.key.lower()
    texts = (statement.resource, statement.not_resource, *(c.values for c in statement.conditions))
    for group in texts:
        for text in group or ():
            if "${" in text:
                yield from (key.lower() for key in variable_keys(text))


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
"""The sign for a condition operator in a question, if there is one."""


def remaining(left: Iterable[Statement], resource: str) -> Iterator[str]:
    """Yield the requirements of one kind of policy: one of its Allow statements, and no Deny."""
    left = tuple(left)
    allows = [_words(e, resource) for e in left if e.effect == "Allow"]
    if allows and all(allows):
        yield f"only {' or '.join(dict.fromkeys(allows))}"
    for statement in left:
        if statement.effect == "Deny":
            yield f"not {_words(statement, resource)}"


def _words(said: Statement, resource: str) -> str:
    """Describe when the statement *said* applies to requests on *resource*; empty if always."""
    words = []
    asked = arn_pattern(resource)
    named = [arn_pattern(each) for each in said.resource or ("*",)]
    if not any(asked and each and covers(each, asked) for each in named):
        words.append(f"on {', '.join(said.resource or ())}")
    if said.not_resource is not None:
        words.append(f"not on {', '.join(said.not_resource)}")
    conditions = [_condition_words(condition) for condition in said.conditions]
    if conditions:
        words.append(f"if {' and '.join(conditions)}")
    return " ".join(words)


def _condition_words(said: Condition) -> str:
    name = OperatorName.parse(said.operator)
    if name.base == "null":
        return f"{said.key} is {'absent' if 'true' in said.values else 'present'}"
    sign = SIGNS.get(said.operator.lower(), said.operator)
    return f"{said.key} {sign} {', '.join(said.values)}"
