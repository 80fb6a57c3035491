"""The input of rules: documents attached together, their statements, and their conditions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from operator import getitem
from typing import Any, Final, NamedTuple

from cml_iam import facts
from cml_iam.engine import Authorizer, Request, compile_policies
from cml_iam.errors import Place
from cml_iam.facts import Action, ArnPattern, Target, arn_pattern, overlap
from cml_iam.lint._finding import Correction, Fault, Kind, Step
from cml_iam.policy import Path, PolicyDocument, Statement, pattern_matches
from cml_iam.space import KeyCondition, Part

_TAG_OPERATORS: Final = {"stringequals", "stringlike", "stringequalsignorecase"}

Content = tuple[Statement, str]
"""A statement and the version of its document, which decides whether it has policy variables."""


@dataclass(frozen=True, slots=True)
class Clause(KeyCondition):
    """A condition of the statement *item*; *problems* are what the engine cannot parse of it."""

    item: Item = field(compare=False, repr=False)
    problems: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The condition key as written."""
        return self.condition.key

    @property
    def name(self) -> str:
        """The condition key in lower case."""
        return self.condition.key.lower()

    @property
    def values(self) -> tuple[str, ...]:
        return self.condition.values

    @property
    def like(self) -> bool:
        """Whether wildcards in the values have a meaning."""
        return "like" in self.operator.base

    @property
    def demands(self) -> bool:
        """Whether the key must be present with one of the values."""
        operator = self.operator
        plain = operator.known and operator.base in _TAG_OPERATORS
        return plain and not operator.if_exists and not operator.qualifier

    @property
    def forbids(self) -> bool:
        """Whether it holds for all but some values of the key."""
        operator = self.operator
        plain = operator.negated and operator.base.replace("not", "", 1) in _TAG_OPERATORS
        return plain and not operator.qualifier

    @property
    def how_often(self) -> str:
        """How often it holds for requests without its key."""
        return "always" if self.test({}) else "never"

    @property
    def at(self) -> Path:
        """The path of the key in the statement."""
        return ("Condition", self.condition.operator, self.condition.key)

    def fault(
        self,
        message: str,
        remedy: str | None = None,
        index: int | None = None,
        witness: tuple[Step, ...] = (),
        correction: Correction | None = None,
    ) -> Fault:
        at = self.at if index is None else (*self.at, index)
        return self.item.fault(message, remedy, at, witness, correction)


@dataclass(frozen=True, slots=True)
class Named:
    """An element of `Action` with the actions it names; *everything* for `*`, *exact* for one."""

    index: int
    text: str
    actions: tuple[Action, ...]
    everything: bool
    exact: bool


@dataclass(frozen=True, eq=False)
class Item(Part):
    """A statement of *document*, and the parts of the service reference it names.

    *written* is the statement as written; `statement` is its equivalent in an identity-based
    policy.
    """

    subject: Subject
    document: PolicyDocument
    written: Statement
    _reached: dict[tuple[str, tuple[ArnPattern, ...]], bool] = field(default_factory=dict)
    _targets: dict[str, tuple[Target, ...]] = field(default_factory=dict)

    @cached_property
    def clauses(self) -> tuple[Clause, ...]:
        return tuple(
            Clause(compiled.condition, compiled.test, self.variables, self, compiled.problems)
            for compiled in self.compiled.conditions
        )

    @property
    def label(self) -> str:
        return self.statement.label

    @property
    def called(self) -> str:
        """The display name with the place."""
        place = self.place()
        return f"`{self.label}`" + (f" ({place})" if place else "")

    @property
    def allows(self) -> bool:
        return self.statement.effect == "Allow"

    @property
    def grants(self) -> str:
        """The verb for the statement's effect: `grants` or `refuses`."""
        return "grants" if self.allows else "refuses"

    @cached_property
    def content(self) -> Content:
        """The statement without number and Sid, and the version; equal for equal statements."""
        return replace(self.statement, index=0, sid=None), self.document.version

    @property
    def path(self) -> Path:
        return self.document.path(self.written)

    @cached_property
    def raw(self) -> dict[str, Any]:
        """The parsed statement as in the text; empty if there is no text."""
        located = self.document.located
        raw: Any = reduce(getitem, self.path, located.value) if located else {}
        return dict(raw)

    def place(self, *at: str | int) -> Place | None:
        """Return the place of the statement, or of the element with the path *at*."""
        located = self.document.located
        if located and at and isinstance(at[-1], int):
            return located.place((*self.path, *at))
        return self.document.place(self.written, *at)

    def fault(
        self,
        message: str,
        remedy: str | None = None,
        at: Path = (),
        witness: tuple[Step, ...] = (),
        correction: Correction | None = None,
    ) -> Fault:
        """Return a finding about the statement, or about the element with the path *at*."""
        return Fault(message, self.place(*at), remedy, self.label, witness, correction)

    @cached_property
    def elements(self) -> dict[str, tuple[str, ...]]:
        """The texts of (Not)Action and (Not)Resource as written, by element."""
        one = self.written
        texts = (one.action, one.not_action, one.resource, one.not_resource)
        names = ("Action", "NotAction", "Resource", "NotResource")
        return {name: values or () for name, values in zip(names, texts, strict=True)}

    def texts(self, *elements: str) -> Iterator[tuple[str, Path]]:
        for element in elements:
            for index, text in enumerate(self.elements[element]):
                yield text, (element, index)

    def condition_values(self) -> Iterator[tuple[str, Path]]:
        for clause in self.clauses:
            for index, value in enumerate(clause.values):
                yield value, (*clause.at, index)

    def principals(self, element: str = "Principal") -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return the kinds of principals in *element*, each with its names."""
        negated = element == "NotPrincipal"
        principal = self.written.not_principal if negated else self.written.principal
        return principal.ids if principal else ()

    def ids(self, kind: str) -> tuple[str, ...]:
        return tuple(n for named, names in self.principals() if named == kind for n in names)

    @cached_property
    def named(self) -> tuple[Named, ...]:
        """The actions named by each element of `Action`; empty for NotAction."""
        return tuple(_named(i, text) for i, text in enumerate(self.statement.action or ()))

    @cached_property
    def actions(self) -> dict[str, Action]:
        """Every existing action that `Action` names, by its full name; none for `*`."""
        return {action.full: action for element in self.named for action in element.actions}

    @cached_property
    def everything(self) -> bool:
        """Whether `Action` includes every action."""
        return any(element.everything for element in self.named)

    @property
    def unlisted(self) -> bool:
        """Whether the statement is about more actions than it names: by `*`, or by NotAction."""
        return self.everything or self.statement.not_action is not None

    @property
    def everywhere(self) -> bool:
        """Whether `Resource` includes `*`."""
        return "*" in (self.statement.resource or ())

    def says(self, action: Action) -> bool:
        """Return whether the statement is about *action*."""
        excluded = self.statement.not_action
        if excluded is not None:
            return not any(pattern_matches(e, action.full, ignore_case=True) for e in excluded)
        return self.everything or action.full in self.actions

    def matches(self, request: Request) -> bool:
        """Return whether the statement matches *request*, whose action it must be about."""
        resource, conditions = self.compiled.rule
        if resource is not None and not resource(request.resource, request.context):
            return False
        return all(test(request.context) for test in conditions)

    @cached_property
    def resources(self) -> tuple[tuple[str, ArnPattern], ...]:
        """The elements of `Resource` that can match something."""
        texts, variables = self.statement.resource or (), self.variables
        read = ((text, arn_pattern(text, variables=variables)) for text in texts)
        return tuple((text, pattern) for text, pattern in read if pattern)

    def reaches(self, target: Target) -> bool:
        """Return whether the resources may include *target*; a target of no type needs `*`."""
        key = target.type, target.arns
        if key not in self._reached:
            self._reached[key] = self.statement.resource is None or any(
                (not target.arns or any(overlap(pattern, arn) for arn in target.arns))
                if target.type
                else text == "*"
                for text, pattern in self.resources
            )
        return self._reached[key]

    def targets(self, action: Action) -> tuple[Target, ...]:
        """Return the targets of *action* that the statement's resources may include."""
        if action.full not in self._targets:
            self._targets[action.full] = tuple(filter(self.reaches, action.targets))
        return self._targets[action.full]


class Principal(NamedTuple):
    """One principal of a statement: its kind, such as `AWS`, its name, and the path."""

    item: Item
    kind: str
    name: str
    at: Path


@dataclass(frozen=True, eq=False)
class Subject:
    """Documents in effect together, all of the same *kind*."""

    documents: tuple[PolicyDocument, ...]
    kind: Kind
    _concerning: dict[tuple[str, ...], tuple[Item, ...]] = field(default_factory=dict)

    @cached_property
    def authorizer(self) -> Authorizer:
        """The engine on these documents, as policies of a principal, whatever their kind."""
        return compile_policies(
            identity=[
                replace(document, statements=tuple(map(as_attached, document.statements)))
                for document in self.documents
            ]
        )

    @cached_property
    def items(self) -> tuple[Item, ...]:
        written = [(document, one) for document in self.documents for one in document.statements]
        compiled = self.authorizer.gates[0].statements
        return tuple(
            Item(statement, self, *where)
            for statement, where in zip(compiled, written, strict=True)
        )

    @cached_property
    def principals(self) -> tuple[Principal, ...]:
        return tuple(
            Principal(item, kind, name, (element, kind, index))
            for item in self.items
            for element in ("Principal", "NotPrincipal")
            for kind, names in item.principals(element)
            for index, name in enumerate(names)
        )

    @cached_property
    def allows(self) -> tuple[Item, ...]:
        return tuple(item for item in self.items if item.allows)

    @cached_property
    def denies(self) -> tuple[Item, ...]:
        return tuple(item for item in self.items if not item.allows)

    @cached_property
    def clauses(self) -> tuple[Clause, ...]:
        return tuple(clause for item in self.items for clause in item.clauses)

    @cached_property
    def parts(self) -> dict[str, tuple[Any, ...]]:
        """What rules are asked about: the whole, or each of its parts of one kind."""
        return {
            "subject": (self,),
            "statement": self.items,
            "condition": self.clauses,
            "principal": self.principals,
        }

    @property
    def attached(self) -> bool:
        """Whether the documents define what one principal may do."""
        return self.kind in {"identity", "boundary"}

    def concerning(self, *actions: Action) -> tuple[Item, ...]:
        names = tuple(action.full for action in actions)
        if names not in self._concerning:
            items = tuple(item for item in self.items if any(map(item.says, actions)))
            self._concerning[names] = items
        return self._concerning[names]

    def granting(self, request: Request) -> Item | None:
        """Return a statement that decides *request*, or None."""
        allowed = self.authorizer.decide(request).allowed
        matched = {id(match.statement) for _, match in self.authorizer.matched(request)}
        matching = (item for item in self.items if id(item.statement) in matched)
        return next((item for item in matching if item.allows is allowed), None)

    def step(self, request: Request, says: str) -> Step:
        return Step(request, self.authorizer.decide(request).outcome, says)

    @cached_property
    def account(self) -> str | None:
        return self._named_in_arns(4, r"[0-9]{12}")

    @cached_property
    def partition(self) -> str | None:
        return self._named_in_arns(1, r"aws[a-z-]*")

    def _named_in_arns(self, index: int, expression: str) -> str | None:
        """Return the first text in the field *index* of an ARN that matches *expression*."""
        named = (pattern[index] for item in self.items for _, pattern in item.resources)
        return next((text for text in named if re.fullmatch(expression, text)), None)


def as_attached(statement: Statement) -> Statement:
    """Return *statement* as in an identity-based policy, which the engine accepts."""
    if statement.principal is not None or statement.not_principal is not None:
        statement = replace(statement, principal=None, not_principal=None)
    if statement.resource is None and statement.not_resource is None:
        statement = replace(statement, resource=("*",))
    return statement


def _named(index: int, text: str) -> Named:
    prefix, _, name = text.partition(":")
    owner = facts.service(prefix)
    actions = owner.matching(name) if owner and name else ()
    exact = "*" not in text and "?" not in text
    return Named(index, text, actions, everything=text in {"*", "*:*"}, exact=exact)
