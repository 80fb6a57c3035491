"""Compile statements: their actions, an index of actions, source positions, problems.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_action.html
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from cml_iam.engine._comparison import Scope
from cml_iam.engine._conditions import CompiledCondition, ConditionTest, compile_condition
from cml_iam.engine._request import Keys, PolicyType
from cml_iam.engine._resource import (
    ResourcePattern,
    ResourceTest,
    not_resource_test,
    resource_pattern,
    resource_test,
)
from cml_iam.engine._text import variable_keys
from cml_iam.errors import Problem
from cml_iam.policy import VERSION_2012, PolicyDocument, Statement, load_policy, pattern_regex

Document = PolicyDocument | str | Mapping[str, Any]
"""A policy document: parsed, as JSON text, or as parsed JSON."""

ALL: Final = frozenset({"*", "*:*"})
_WHITE: Final = re.compile(r"\s")
KEPT: Final = 1 << 12
"""The maximum number of cached actions and resource lists: policies repeat them."""


@dataclass(frozen=True, slots=True)
class ActionPattern:
    """One element of `Action` or `NotAction`; *service* and *name* in lower case.

    *service* is None for `*`: every service. *test* takes an action's name in lower case, without
    its service. *problem* says why it matches no action; `NotAction` then excludes nothing.
    """

    text: str
    service: str | None = None
    name: str = "*"
    test: Callable[[str], bool] = field(default=lambda _: True, compare=False, repr=False)
    problem: str | None = None

    @property
    def exact(self) -> bool:
        """Whether the pattern names one action, without wildcards."""
        return self.problem is None and not _is_wild(self.name)

    def matches(self, action: str) -> bool:
        """Return whether the pattern matches *action*, in any case."""
        if self.service is None:
            return self.problem is None
        service, colon, name = action.lower().partition(":")
        return bool(colon) and service == self.service and self.test(name)


@lru_cache(KEPT)
def action_pattern(text: str) -> ActionPattern:
    """Parse one element of `Action` or `NotAction`, ignoring case."""
    if text in ALL:
        return ActionPattern(text)
    service, colon, name = text.lower().partition(":")
    problem = None
    if not colon:
        problem = f"action `{text}` names no service, so it never matches"
    elif not name or _WHITE.search(text):
        problem = f"action `{text}` is empty or has white space, so it never matches"
    elif _is_wild(service):
        problem = f"action `{text}` has a wildcard in its service, so it never matches"
    test = (lambda _: False) if problem else _test(name)
    return ActionPattern(text, service, name, test, problem)


def _test(name: str) -> Callable[[str], bool]:
    if not _is_wild(name):
        return name.__eq__
    fullmatch = pattern_regex(name).fullmatch
    return lambda action: fullmatch(action) is not None


def _is_wild(name: str) -> bool:
    return "*" in name or "?" in name


Rule = tuple["ResourceTest | None", tuple["ConditionTest", ...]]
"""The test of the resource (None if it always matches), and the tests of the conditions."""


@dataclass(frozen=True, slots=True, eq=False)
class CompiledStatement:
    """A statement in a policy of type *kind*; with *not_action*, *actions* come from `NotAction`.

    *resource* is None if every resource matches. *rule* is what remains to test after the action.
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
        """Return whether the statement is about *action*."""
        return any(pattern.matches(action) for pattern in self.actions) is not self.not_action

    def problems(self) -> Iterator[Problem]:
        """Yield elements that can never match, with their places."""
        statement, place = self.statement, self.document.place
        element = "NotAction" if self.not_action else "Action"
        for index, action in enumerate(self.actions):
            if action.problem:
                yield Problem(action.problem, place(statement, element, index))
        element = "NotResource" if statement.not_resource is not None else "Resource"
        for index, resource in enumerate(self.resources):
            if resource.problem:
                yield Problem(resource.problem, place(statement, element, index))
        for condition in self.conditions:
            path = ("Condition", condition.condition.operator, condition.condition.key)
            for problem in condition.problems:
                yield Problem(problem, place(statement, *path))


def compile_statements(
    document: PolicyDocument, kind: PolicyType, keys: Keys
) -> tuple[CompiledStatement, ...]:
    """Compile the statements of *document*, a policy of type *kind*."""
    scope = Scope(variables=document.version == VERSION_2012, keys=keys)
    return tuple(_compile(document, kind, statement, scope) for statement in document.statements)


def _compile(
    document: PolicyDocument, kind: PolicyType, statement: Statement, scope: Scope
) -> CompiledStatement:
    negated = statement.not_resource is not None
    named = statement.not_resource if negated else statement.resource
    if scope.variables and any("${" in text for text in named or ()):
        resources, resource = _resources(named, kind, scope, negated=negated)
    else:
        resources, resource = _plain_resources(named, kind, negated=negated)
    not_action = statement.not_action is not None
    conditions = tuple(compile_condition(condition, scope) for condition in statement.conditions)
    return CompiledStatement(
        document=document,
        kind=kind,
        statement=statement,
        actions=tuple(map(action_pattern, (statement.not_action or statement.action or ()))),
        not_action=not_action,
        resources=resources,
        resource=resource,
        conditions=conditions,
        rule=(resource, tuple(condition.test for condition in conditions)),
    )


def _resources(
    named: tuple[str, ...] | None, kind: PolicyType, scope: Scope, *, negated: bool
) -> tuple[tuple[ResourcePattern, ...], ResourceTest | None]:
    """Parse Resource or, if *negated*, NotResource; without one, return `*`."""
    if named is None:
        return (), None
    patterns = tuple(
        resource_pattern(text, kind, variables=scope.variables, keys=scope.keys) for text in named
    )
    return patterns, not_resource_test(patterns) if negated else resource_test(patterns)


@lru_cache(KEPT)
def _plain_resources(
    named: tuple[str, ...] | None, kind: PolicyType, *, negated: bool
) -> tuple[tuple[ResourcePattern, ...], ResourceTest | None]:
    return _resources(named, kind, Scope(variables=False, keys=Keys()), negated=negated)


class ActionIndex:
    """Statements by the actions they name; immutable once built."""

    __slots__ = ("_by_action", "_by_service", "_everywhere", "_statements")

    def __init__(self, statements: Iterable[CompiledStatement]) -> None:
        self._statements = tuple(statements)
        self._by_action: dict[str, list[int]] = defaultdict(list)
        self._by_service: dict[str, list[int]] = defaultdict(list)
        self._everywhere: list[int] = []
        for position, statement in enumerate(self._statements):
            if statement.not_action:
                self._everywhere.append(position)
                continue
            for pattern in statement.actions:
                if pattern.service is None:
                    self._everywhere.append(position)
                elif pattern.exact:
                    self._by_action[f"{pattern.service}:{pattern.name}"].append(position)
                elif pattern.problem is None:
                    self._by_service[pattern.service].append(position)

    def about(self, action: str) -> tuple[CompiledStatement, ...]:
        """Return the statements about *action*, in order."""
        statements, lower = self._statements, action.lower()
        positions = set(self._by_action.get(lower, ()))
        for position in (*self._by_service.get(lower.partition(":")[0], ()), *self._everywhere):
            if statements[position].matches_action(lower):
                positions.add(position)
        return tuple(statements[position] for position in sorted(positions))


Position = dict[str, int]


def statement_span(document: PolicyDocument, statement: Statement) -> tuple[Position, Position]:
    """Return where *statement* starts and ends in its *document*'s text, as the Simulate* API does.

    Lines and columns count from 1. A statement starts just after the previous token: after its own
    `{` if it is the only one, after the `[` of the list if it is the first, and after the `}` of
    the previous one otherwise. It ends just after its own `}`. (From the published examples.)
    """
    located = document.located
    if located is None:
        raise ValueError("the document was not parsed from a text")
    path = document.path(statement)
    if len(path) == 1 or statement.index == 0:
        start = located.values["Statement",].start + 1
    else:
        start = located.values["Statement", statement.index - 1].end
    places = map(located.source.place, (start, located.values[path].end))
    first, last = ({"Line": place.line, "Column": place.column} for place in places)
    return first, last


def context_keys(documents: Iterable[Document]) -> list[str]:
    """Return the condition keys and variables of *documents*, each once, in order of appearance.

    Two spellings that differ only in case are one key; the first is kept.
    https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetContextKeysForCustomPolicy.html
    """
    spellings: dict[str, str] = {}
    for document in documents:
        for key in _keys(load_policy(document)):
            spellings.setdefault(key.lower(), key)
    return list(spellings.values())


def _keys(document: PolicyDocument) -> Iterator[str]:
    variables = variable_keys if document.version == VERSION_2012 else lambda _: []
    for statement in document.statements:
        for text in (*(statement.resource or ()), *(statement.not_resource or ())):
            yield from variables(text)
        for condition in statement.conditions:
            yield condition.key
            for value in condition.values:
                yield from variables(value)
