"""Statements made ready to be asked, and everything wrong with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cml_iam.engine._action import ActionPattern, action_pattern
from cml_iam.engine._comparison import Scope
from cml_iam.engine._conditions import CompiledCondition, ConditionTest, compile_condition
from cml_iam.engine._resource import (
    PolicyType,
    ResourcePattern,
    ResourceTest,
    not_resource_test,
    resource_pattern,
    resource_test,
)
from cml_iam.errors import Problem
from cml_iam.policy import VERSION_2012, PolicyDocument, Statement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.engine._keys import Keys


Rule = tuple["ResourceTest | None", tuple["ConditionTest", ...]]
"""The test of the resource (None if every one matches), then those of the conditions."""


@dataclass(frozen=True, slots=True, eq=False)
class CompiledStatement:
    """A statement of a policy of the type *kind*; *actions* are of `NotAction` if *not_action*.

    *resource* is None if every resource matches. *rule* is what is left to ask once the statement
    is known to be about the action.
    """

    document: PolicyDocument
    kind: PolicyType
    statement: Statement
    actions: tuple[ActionPattern, ...]
    not_action: bool
    resources: tuple[ResourcePattern, ...]
    resource: ResourceTest | None
    conditions: tuple[CompiledCondition, ...]
    rule: Rule

    def matches_action(self, action: str) -> bool:
        """Say whether the statement is about *action*."""
        return any(each.matches(action) for each in self.actions) is not self.not_action

    def problems(self) -> Iterator[Problem]:
        """Yield what can never match here, with its place."""
        statement, place = self.statement, self.document.place
        element = "NotAction" if self.not_action else "Action"
        for index, action in enumerate(self.actions):
            if action.problem:
                yield Problem(action.problem, place(statement, element, index))
        element = "NotResource" if statement.not_resource is not None else "Resource"
        for index, resource in enumerate(self.resources):
            if resource.problem:
                yield Problem(resource.problem, place(statement, element, index))
        for each in self.conditions:
            path = ("Condition", each.condition.operator, each.condition.key)
            for problem in each.problems:
                yield Problem(problem, place(statement, *path))


def compile_statements(
    document: PolicyDocument, kind: PolicyType, keys: Keys
) -> tuple[CompiledStatement, ...]:
    """Make the statements of *document* ready; it is a policy of the type *kind*."""
    scope = Scope(variables=document.version == VERSION_2012, keys=keys)
    return tuple(_compile(document, kind, each, scope) for each in document.statements)


def _compile(
    document: PolicyDocument, kind: PolicyType, statement: Statement, scope: Scope
) -> CompiledStatement:
    named = statement.resource if statement.not_resource is None else statement.not_resource
    resources = tuple(
        resource_pattern(text, kind, variables=scope.variables, keys=scope.keys)
        for text in named or ()
    )
    not_action = statement.not_action is not None
    resource = _resource(statement, resources)
    conditions = tuple(compile_condition(each, scope) for each in statement.conditions)
    return CompiledStatement(
        document=document,
        kind=kind,
        statement=statement,
        actions=tuple(map(action_pattern, (statement.not_action or statement.action or ()))),
        not_action=not_action,
        resources=resources,
        resource=resource,
        conditions=conditions,
        rule=(resource, tuple(each.test for each in conditions)),
    )


def _resource(statement: Statement, resources: tuple[ResourcePattern, ...]) -> ResourceTest | None:
    """Return the test of the resource; a statement without the element is about its own."""
    if statement.not_resource is not None:
        return not_resource_test(resources)
    return None if statement.resource is None else resource_test(resources)
