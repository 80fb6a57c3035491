"""The answers of a proof."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from cml_iam.engine import Outcome, Request, StatementReason
    from cml_iam.facts import Assumption
    from cml_iam.space import Side

Answer = Literal["holds", "broken", "undecided"]


@dataclass(frozen=True, slots=True)
class Answered:
    """How one side decides a request, and the *statements* that decide it."""

    outcome: Outcome
    statements: tuple[StatementReason, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the decision as JSON values."""
        statements = [
            {
                "label": each.label,
                "policy": each.policy,
                "place": str(each.place) if each.place else None,
            }
            for each in self.statements
        ]
        return {"outcome": self.outcome, "statements": statements}


def answered(side: Side, request: Request) -> tuple[Answered, tuple[StatementReason, ...]]:
    """Return how *side* decides *request*, and the result for each of its statements."""
    outcome = side.outcome(request)
    reasons = side.authorizer.explain(request).statements
    effect = {"allowed": "Allow", "explicitDeny": "Deny"}.get(outcome)
    deciding = tuple(r for r in reasons if r.matched and r.effect == effect)
    return Answered(outcome, deciding), reasons


@dataclass(frozen=True)
class Witness:
    """A request that refutes what was to be proved; the engine decided it on all *sides*.

    *unlisted* marks an action that AWS's service reference does not list.
    """

    request: Request
    sides: tuple[Side, ...] = field(compare=False, repr=False)
    unlisted: bool = False

    @cached_property
    def candidate(self) -> Answered:
        """The decision of the first side, explained on first use."""
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


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer: it `holds` for all requests; or is `broken`, with a *witness*; or `undecided`.

    *assumptions* are what a proof rests on besides the engine; *reason* says why it is undecided,
    and which limit was reached. *slices* counts the parts the question was split into. *colon* is
    the answer if a `*` in an ARN's first five fields also matches colons, when that differs: AWS's
    own texts disagree on it.
    """

    answer: Answer
    witness: Witness | None = None
    assumptions: tuple[Assumption, ...] = ()
    reason: str = ""
    slices: int = 0
    colon: Answer | None = None

    @property
    def holds(self) -> bool:
        """Whether it was proved."""
        return self.answer == "holds"

    def as_json(self) -> dict[str, Any]:
        """Return the answer as JSON values."""
        return {
            "answer": self.answer,
            "other_reading": self.colon,
            "witness": self.witness and self.witness.as_json(),
            "reason": self.reason or None,
            "assumptions": [each.as_json() for each in self.assumptions],
        }
