"""The answers of a proof."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cml_iam.engine import Outcome, Request, StatementReason
from cml_iam.facts import Assumption

Answer = Literal["holds", "broken", "undecided"]


@dataclass(frozen=True, slots=True)
class Answered:
    """How one side decides a request, and the *statements* that decide it."""

    outcome: Outcome
    statements: tuple[StatementReason, ...]


@dataclass(frozen=True, slots=True)
class Witness:
    """A request that refutes what was to be proved, decided by the engine on both sides.

    *unlisted* marks an action that AWS's service reference does not list. *reference* is None if
    the question has no second side.
    """

    request: Request
    candidate: Answered
    reference: Answered | None = None
    unlisted: bool = False


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
