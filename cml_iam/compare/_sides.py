"""The two sides, asked the same requests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from cml_iam.compare._clauses import Clause, Form, clauses_of, compile_as, differing
from cml_iam.compare._difference import Change
from cml_iam.engine import Authorizer, Outcome, Request
from cml_iam.policy import VERSION_2012, PolicyDocument, Statement

EVERYTHING: Final = PolicyDocument(
    (Statement(0, "Allow", "Everything", action=("*",), resource=("*",)),),
    VERSION_2012,
    name="a policy that allows everything",
)


@dataclass(frozen=True)
class Side:
    """One side: its documents together, and those of its statements the other does not have."""

    documents: tuple[PolicyDocument, ...]
    form: Form
    beside: tuple[PolicyDocument, ...] = ()

    @cached_property
    def clauses(self) -> tuple[Clause, ...]:
        """The statements of the side."""
        return clauses_of(self.documents, self.form)

    @cached_property
    def authorizer(self) -> Authorizer:
        """The engine on the side."""
        return compile_as(self.form, [*self.documents, *self.beside])

    def outcome(self, request: Request) -> Outcome:
        """Decide *request*.

        A policy of a resource by what it says to the caller, be that through its account: whether
        the caller's own policies must allow as well is not for this document to change.
        """
        if self.form == "attached":
            return self.authorizer.decide(request).outcome
        effects = {each.statement.effect for _, each in self.authorizer.matched(request)}
        if "Deny" in effects:
            return "explicitDeny"
        return "allowed" if effects else "implicitDeny"

    def matching(self, request: Request) -> tuple[Clause, ...]:
        """Return the statements of this side that apply to *request*."""
        known = {id(each.statement): each for each in self.clauses}
        found = (known.get(id(each.statement)) for _, each in self.authorizer.matched(request))
        return tuple(each for each in found if each is not None)


@dataclass(frozen=True)
class Sides:
    """OLD and NEW."""

    old: Side
    new: Side

    @cached_property
    def clauses(self) -> tuple[Clause, ...]:
        """The statements of both sides."""
        return (*self.old.clauses, *self.new.clauses)

    @cached_property
    def differing(self) -> frozenset[Clause]:
        """The statements that only one side has."""
        old, new = self.old.clauses, self.new.clauses
        return frozenset((*differing(old, new), *differing(new, old)))

    def pairs(self) -> Iterable[tuple[Side, Side]]:
        """Return each side with the other."""
        return ((self.old, self.new), (self.new, self.old))

    def change(self, request: Request) -> Change | None:
        """Say what became of *request*; None if nothing."""
        old, new = self.old.outcome(request), self.new.outcome(request)
        if old == new:
            return None
        if new == "allowed":
            return "newly allowed"
        if old == "allowed":
            return "newly denied"
        return "newly denied explicitly" if new == "explicitDeny" else "no longer denied explicitly"
