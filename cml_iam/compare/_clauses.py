"""Statements taken apart into what can be asked one by one, each decided by the engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from cml_iam.engine import Authorizer, Request, compile_policies, context_keys
from cml_iam.errors import InputError
from cml_iam.facts import same_key
from cml_iam.policy import VERSION_2012, Condition, PolicyDocument, Statement, canonical

Form = Literal["attached", "resource"]
"""Whether documents are attached to a principal, or name principals themselves."""


@dataclass(frozen=True, slots=True)
class Test:
    """A part of a statement: whether it holds depends on *keys* (as `same_key`) of the request."""

    keys: frozenset[str]
    authorizer: Authorizer

    def holds(self, request: Request) -> bool:
        """Say whether this part of the statement fits *request*."""
        if request.principal is None:
            return self.authorizer.decide(request).allowed
        return bool(self.authorizer.matched(request))


@dataclass(frozen=True, eq=False)
class Clause:
    """A statement of one of the two sides."""

    document: PolicyDocument
    statement: Statement
    form: Form

    @property
    def allows(self) -> bool:
        """Whether the effect is Allow."""
        return self.statement.effect == "Allow"

    @property
    def label(self) -> str:
        """The Sid or number of the statement."""
        return self.statement.label

    @cached_property
    def meaning(self) -> str:
        """One text for all statements that say the same in another order or spelling."""
        bare = replace(self.statement, sid=None, index=0)
        text = canonical(PolicyDocument((bare,), VERSION_2012))
        return text + self.document.version if "${" in text else text

    @cached_property
    def about(self) -> Test:
        """Whether the statement is about an action, whatever else it says."""
        return self._test(replace(self._bare(), resource=("*",), not_resource=None))

    @cached_property
    def reach(self) -> Test:
        """Whether resource and principal fit, whatever the action."""
        return self._test(replace(self._bare(principals=True), action=("*",), not_action=None))

    @cached_property
    def conditions(self) -> tuple[tuple[Condition, Test], ...]:
        """Each condition, and the test of it alone."""
        anything = Statement(0, "Allow", action=("*",), resource=("*",))
        return tuple(
            (each, self._test(replace(anything, conditions=(each,))))
            for each in self.statement.conditions
        )

    def resources(self) -> Iterator[str]:
        """Yield the elements of Resource or NotResource."""
        yield from self.statement.resource or self.statement.not_resource or ()

    def actions(self) -> Iterator[str]:
        """Yield the elements of Action or NotAction."""
        yield from self.statement.action or self.statement.not_action or ()

    def _bare(self, *, principals: bool = False) -> Statement:
        bare = replace(self.statement, effect="Allow", conditions=())
        return bare if principals else replace(bare, principal=None, not_principal=None)

    def _test(self, statement: Statement) -> Test:
        document = PolicyDocument((statement,), self.document.version)
        named = statement.principal is not None or statement.not_principal is not None
        authorizer = compile_as("resource" if named else "attached", [document])
        return Test(frozenset(map(same_key, context_keys([document]))), authorizer)


def clauses_of(documents: Iterable[PolicyDocument], form: Form) -> tuple[Clause, ...]:
    """Return the statements of *documents*."""
    return tuple(Clause(doc, each, form) for doc in documents for each in doc.statements)


def form_of(documents: Iterable[PolicyDocument]) -> Form:
    """Say what *documents* are; raises InputError for a mixture."""
    named = {
        each.principal is not None or each.not_principal is not None
        for document in documents
        for each in document.statements
    }
    if named == {True, False}:
        raise InputError(
            "some statements name principals and some do not",
            remedy="compare identity policies with each other, and resource or trust policies",
        )
    return "resource" if named == {True} else "attached"


def compile_as(form: Form, documents: list[PolicyDocument]) -> Authorizer:
    """Return the engine on *documents*; of policies of a resource there is but one."""
    if form == "attached":
        return compile_policies(identity=documents)
    statements = tuple(each for document in documents for each in document.statements)
    return compile_policies(resource=replace(documents[0], statements=statements))


def differing(mine: Iterable[Clause], others: Iterable[Clause]) -> tuple[Clause, ...]:
    """Return those of *mine* that no statement of *others* repeats.

    INVARIANT: what tells two sets of policies apart matches one of these on either side, for a
    statement that both have matches on both.
    """
    known = {each.meaning for each in others}
    return tuple(each for each in mine if each.meaning not in known)
