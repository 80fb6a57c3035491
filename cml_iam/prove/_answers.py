"""What a proof answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cml_iam.engine import Outcome, Request, StatementReason
from cml_iam.facts import Assumption

Answer = Literal["holds", "broken", "undecided"]


@dataclass(frozen=True, slots=True)
class Answered:
    """How one side decides a request, and the *statements* that do."""

    outcome: Outcome
    statements: tuple[StatementReason, ...]


@dataclass(frozen=True, slots=True)
class Witness:
    """A request that breaks what was to be proved, decided by the engine on both sides.

    *unlisted* marks one for an action that AWS's service reference does not know. *reference* is
    None where the question has no second side.
    """

    request: Request
    candidate: Answered
    reference: Answered | None = None
    unlisted: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer: it `holds` for all requests; or is `broken`, with a *witness*; or `undecided`.

    *assumptions* are what a proof rests on besides the engine; *reason* says what kept it from
    being decided, and which bound was hit. *slices* counts the parts the question was cut into.
    *colon* is the answer where a `*` of an ARN's first five fields takes colons too, if that is
    another one: AWS's own texts differ on it.
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
