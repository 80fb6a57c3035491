"""What remains of policies of one kind once the known facts are substituted, also in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from cml_iam.engine import OperatorName, PolicyType, compile_policies
from cml_iam.engine.parts import CompiledStatement, variable_keys
from cml_iam.facts import arn_pattern, covers
from cml_iam.policy import Condition, PolicyDocument, Statement
from cml_iam.principal import Held
from cml_iam.who._reduced import Facts, Origin, on, reduced

VARIABLE_PART: Final = re.compile(r"[*?$]")


@dataclass(frozen=True)
class Left:
    """The remaining statements of one kind of policy, each with its origin."""

    kind: PolicyType
    statements: Mapping[Statement, tuple[Origin, ...]]

    @classmethod
    def of(cls, kind: PolicyType, pairs: Iterable[tuple[Statement, tuple[Origin, ...]]]) -> Left:
        """Return the statements of *pairs*; a repeated one has all its origins."""
        statements: dict[Statement, tuple[Origin, ...]] = {}
        for statement, origins in pairs:
            statements[statement] = (*statements.get(statement, ()), *origins)
        return cls(kind, statements)

    @cached_property
    def content(self) -> tuple[PolicyType, frozenset[Statement]]:
        """The statements without their origin."""
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
        return any(
            statement.resource not in every or statement.not_resource
            for statement in self.statements
        )

    def about(self, resource: str) -> Left:
        """Return the statements that remain for requests on *resource*."""
        if resource == "*" or not self.names_resources:
            return self
        pairs = (
            (on(statement, self.kind, resource), origins)
            for statement, origins in self.statements.items()
        )
        return Left.of(self.kind, ((left, origins) for left, origins in pairs if left is not None))


class Gathering:
    """Substitutes known facts into policies, once for all principals that they treat alike."""

    def __init__(self) -> None:
        self._compiled: dict[tuple[int, PolicyType], tuple[CompiledStatement, ...]] = {}
        self._about: dict[tuple[int, PolicyType, str], tuple[CompiledStatement, ...]] = {}
        self._left: dict[Any, Left] = {}
        self._keys: dict[Any, tuple[str, ...]] = {}
        self._kept: list[PolicyDocument] = []

    def about(
        self, document: PolicyDocument, kind: PolicyType, action: str
    ) -> tuple[CompiledStatement, ...]:
        """Return the statements of *document*, a policy of type *kind*, about *action*."""
        key = (id(document), kind)
        if key not in self._compiled:
            self._kept.append(document)  # so that no other document gets its id
            self._compiled[key] = _compiled(document, kind)
        if (*key, action) not in self._about:
            statements = self._compiled[key]
            self._about[*key, action] = tuple(
                statement for statement in statements if statement.matches_action(action)
            )
        return self._about[*key, action]

    def left(self, kind: PolicyType, policies: tuple[Held, ...], action: str, facts: Facts) -> Left:
        """Return the statements of *policies*, all of one *kind*, about *action* given *facts*."""
        about = (
            kind,
            action,
            tuple((held.name, id(held.document), held.group) for held in policies),
        )
        if about not in self._keys:
            statements = (
                compiled.statement
                for held in policies
                for compiled in self.about(held.document, kind, action)
            )
            keys = {key for statement in statements for key in keys_of(statement)}
            self._keys[about] = tuple(sorted(keys))
        values = tuple((facts.knows(key), facts.values.get(key)) for key in self._keys[about])
        if (about, values) not in self._left:
            pairs = (
                (left, (Origin(held.name, compiled.statement.label, held.group, kind),))
                for held in policies
                for compiled in self.about(held.document, kind, action)
                if (left := reduced(compiled, action, facts)) is not None
            )
            self._left[about, values] = Left.of(kind, pairs)
        return self._left[about, values]


def _compiled(document: PolicyDocument, kind: PolicyType) -> tuple[CompiledStatement, ...]:
    if kind == "resource":
        authorizer = compile_policies(resource=document)
    elif kind == "scp":
        authorizer = compile_policies(scps=((document,),))
    else:
        authorizer = compile_policies((document,))
    return authorizer.gates[-1].statements


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


def remaining(statements: Iterable[Statement], resource: str) -> Iterator[str]:
    """Yield the requirements of one kind of policy: one of its Allow statements, and no Deny."""
    statements = tuple(statements)
    allows = [
        _words(statement, resource) for statement in statements if statement.effect == "Allow"
    ]
    if allows and all(allows):
        yield f"only {' or '.join(dict.fromkeys(allows))}"
    for statement in statements:
        if statement.effect == "Deny":
            yield f"not {_words(statement, resource)}"


def _words(statement: Statement, resource: str) -> str:
    """Describe when *statement* applies to requests on *resource*; empty if always."""
    words = []
    pattern = arn_pattern(resource)
    named = [arn_pattern(text) for text in statement.resource or ("*",)]
    if not any(pattern and wide and covers(wide, pattern) for wide in named):
        words.append(f"on {', '.join(statement.resource or ())}")
    if statement.not_resource is not None:
        words.append(f"not on {', '.join(statement.not_resource)}")
    if statement.conditions:
        words.append(f"if {' and '.join(map(_condition_words, statement.conditions))}")
    return " ".join(words)


def _condition_words(condition: Condition) -> str:
    if OperatorName.parse(condition.operator).base == "null":
        return f"{condition.key} is {'absent' if 'true' in condition.values else 'present'}"
    sign = SIGNS.get(condition.operator.lower(), condition.operator)
    return f"{condition.key} {sign} {', '.join(condition.values)}"
