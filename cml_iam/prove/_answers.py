"""The answers that a proof can give."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from cml_iam.engine import Outcome, Request, StatementReason
    from cml_iam.facts import Assumption
    from cml_iam.space import Side

Answer = Literal["holds", "broken", "undecided"]


class Answered(NamedTuple):
    """How one side decides a request, and the *statements* that decide it."""

    outcome: Outcome
    statements: tuple[StatementReason, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the decision as JSON values."""
        statements = [
            {
                "label": statement.label,
                "policy": statement.policy,
                "place": str(statement.place) if statement.place else None,
            }
            for statement in self.statements
        ]
        return {"outcome": self.outcome, "statements": statements}


def answered(side: Side, request: Request) -> tuple[Answered, tuple[StatementReason, ...]]:
    """Return how *side* decides *request*, and why each of its statements applies or not."""
    outcome = side.outcome(request)
    reasons = side.authorizer.explain(request).statements
    effect = {"allowed": "Allow", "explicitDeny": "Deny"}.get(outcome)
    deciding = tuple(r for r in reasons if r.matched and r.effect == effect)
    return Answered(outcome, deciding), reasons


@dataclass(frozen=True)
class Witness:
    """A request that disproves the claim; the engine decided it on all *sides*.

    *unlisted* marks an action that AWS's service reference does not list.
    """

    request: Request
    sides: tuple[Side, ...] = field(compare=False, repr=False)
    unlisted: bool = False

    @cached_property
    def candidate(self) -> Answered:
        """The decision of the first side."""
        return answered(self.sides[0], self.request)[0]

    @cached_property
    def reference(self) -> Answered | None:
        """The decision of the second side; None if the question has none."""
        return answered(self.sides[1], self.request)[0] if self.sides[1:] else None

    def as_json(self) -> dict[str, Any]:
        """Return the request, and how the sides decide it, as JSON values."""
        return {
            **self.request.as_json(),
            "unlisted": self.unlisted,
            "statements": self.candidate.as_json()["statements"],
            "reference": self.reference and self.reference.as_json(),
        }


class Verdict(NamedTuple):
    """The answer: a claim `holds` for all requests, is `broken` by a *witness*, or `undecided`.

    *assumptions* are what the proof relies on besides the engine. *reason* says why the answer is
    undecided, and which limit was reached. *slices* counts the parts of the question. *colon* is
    the answer if a `*` in the first five fields of an ARN also matches colons, when that answer
    differs: AWS's own texts disagree on this.
    """

    answer: Answer
    witness: Witness | None = None
    assumptions: tuple[Assumption, ...] = ()
    reason: str = ""
    slices: int = 0
    colon: Answer | None = None

    @property
    def holds(self) -> bool:
        """Whether the claim was proved."""
        return self.answer == "holds"

    def as_json(self) -> dict[str, Any]:
        """Return the answer as JSON values."""
        return {
            "answer": self.answer,
            "other_reading": self.colon,
            "witness": self.witness and self.witness.as_json(),
            "reason": self.reason or None,
            "assumptions": [assumption.as_json() for assumption in self.assumptions],
        }
