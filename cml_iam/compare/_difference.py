"""What a comparison finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from cml_iam.engine import Outcome, Request, StatementReason
from cml_iam.expectations import Answer, Expectation

Change = Literal[
    "newly allowed", "newly denied", "no longer denied explicitly", "newly denied explicitly"
]
CHANGES: Final[tuple[Change, ...]] = (
    "newly allowed",
    "newly denied",
    "no longer denied explicitly",
    "newly denied explicitly",
)
"""The last two are refused before and after; they matter where another policy allows."""

WIDER: Final = frozenset({"newly allowed", "no longer denied explicitly"})

Verdict = Literal["same", "none found", "wider", "narrower", "wider and narrower"]


@dataclass(frozen=True, slots=True)
class Answered:
    """How one side decides a request, and the *statements* that do."""

    outcome: Outcome
    statements: tuple[StatementReason, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """Requests that the two sides decide differently for the same reason.

    *witness* is one of them, *actions* are all of theirs (*alike* counts those that wildcards
    stand for besides), *requests* how many there were. *missed* is the statement nearest to the
    deciding one on the side where none decided that way: what keeps it from applying is the
    difference; *found* are the values it met. *unusual* marks requests that AWS, by its service
    reference, does not make: with other condition keys or resources than the action has.
    """

    change: Change
    witness: Request
    old: Answered
    new: Answered
    actions: tuple[str, ...]
    alike: int = 0
    requests: int = 1
    missed: StatementReason | None = None
    found: tuple[str | None, ...] = ()
    unusual: bool = False


@dataclass(frozen=True, slots=True)
class ExpectationChange:
    """An expectation of the site that the two sides answer differently."""

    expectation: Expectation
    old: Answer
    new: Answer


@dataclass(frozen=True, slots=True)
class Comparison:
    """What tells NEW from OLD.

    *same*: the documents hold the same statements, up to order and spelling. Otherwise *requests*
    were decided by both sides, of which *unchanged* came out alike; *complete* says whether all
    combinations of the values the documents name were searched. *beside_everything*: neither
    document allows anything, so both were judged beside a policy that allows everything.

    *proved* is the answer of the proof that both allow the same, which is asked for where the
    search finds nothing. *unproved* says what it was undecided about, or that it is `broken` by
    actions which AWS does not list.
    """

    same: bool
    differences: tuple[Difference, ...] = ()
    requests: int = 0
    unchanged: int = 0
    expectations: int = 0
    expectation_changes: tuple[ExpectationChange, ...] = ()
    complete: bool = True
    beside_everything: bool = False
    proved: Literal["holds", "broken", "undecided"] | None = None
    unproved: str = ""

    @property
    def verdict(self) -> Verdict:
        """Say in a word how NEW differs from OLD."""
        if self.same or (self.proved == "holds" and not self.differences):
            return "same"
        wider = any(each.change in WIDER for each in self.differences)
        narrower = any(each.change not in WIDER for each in self.differences)
        if wider and narrower:
            return "wider and narrower"
        if wider or narrower:
            return "wider" if wider else "narrower"
        return "none found"

    def of(self, change: Change) -> tuple[Difference, ...]:
        """Return the differences of one kind."""
        return tuple(each for each in self.differences if each.change == change)
