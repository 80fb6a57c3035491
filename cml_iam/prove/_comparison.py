"""What a comparison of two sides finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from cml_iam.engine import Outcome, Request, StatementReason
from cml_iam.prove._answers import Answer, Answered, Verdict

if TYPE_CHECKING:
    from cml_iam.expectations import Answer as ExpectedAnswer
    from cml_iam.expectations import Expectation

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

Relation = Literal["same", "wider", "narrower", "wider and narrower", "undecided"]


@dataclass(frozen=True, slots=True)
class Difference:
    """Requests that the two sides decide differently for the same reason.

    *witness* is one of them, decided by the engine on both sides. *actions* are theirs, as far as
    each was looked at; *alike* counts further ones that no statement distinguishes from those, and
    *others* says that every action which no statement names is one. *missed* is the statement
    nearest to the deciding one on the side where none decided that way: what keeps it from
    applying is the difference; *found* are the values it met. *unlisted* marks a witness for an
    action that AWS's service reference does not have.
    """

    change: Change
    witness: Request
    old: Answered
    new: Answered
    actions: tuple[str, ...]
    alike: int = 0
    others: bool = False
    missed: StatementReason | None = None
    found: tuple[str | None, ...] = ()
    unlisted: bool = False


@dataclass(frozen=True, slots=True)
class ExpectationChange:
    """An expectation of the site that the two sides answer differently."""

    expectation: Expectation
    old: ExpectedAnswer
    new: ExpectedAnswer


@dataclass(frozen=True, slots=True)
class Comparison:
    """What NEW decides otherwise than OLD.

    *same*: the documents hold the same statements, up to order and spelling. Otherwise *verdicts*
    has for each kind of change the answer to the question that there is none: it `holds`, is
    `broken`, or `undecided`. Of each that is broken, *differences* has those that were found, one
    for each statement and action that makes one; *more* says that there may be others.
    *beside_everything*: neither side allows anything, so both were judged beside a policy that
    allows everything.
    """

    same: bool
    verdicts: Mapping[Change, Verdict] = field(default_factory=dict)
    differences: tuple[Difference, ...] = ()
    more: bool = False
    expectations: int = 0
    expectation_changes: tuple[ExpectationChange, ...] = ()
    beside_everything: bool = False

    @property
    def verdict(self) -> Relation:
        """Say in a word how NEW differs from OLD; what is undecided may add to it."""
        changed = {change for change, each in self.verdicts.items() if each.answer == "broken"}
        changed |= {each.change for each in self.differences}
        wider, narrower = bool(changed & WIDER), bool(changed - WIDER)
        if wider or narrower:
            return "wider and narrower" if wider and narrower else "wider" if wider else "narrower"
        return "undecided" if self.undecided else "same"

    @property
    def allows_the_same(self) -> bool:
        """Whether it is proved that both sides allow the same; they may differ in explicit denies.

        Beside a policy that allows everything, which neither side is, a Deny decides what is
        allowed.
        """
        asked = (self.verdicts.get("newly allowed"), self.verdicts.get("newly denied"))
        proved = all(verdict is None or verdict.holds for verdict in asked)
        return self.same or (proved and not self.beside_everything)

    @property
    def undecided(self) -> tuple[Change, ...]:
        """The kinds of change that were neither found nor excluded."""
        found = {each.change for each in self.differences}
        return tuple(
            change
            for change, each in self.verdicts.items()
            if each.answer == "undecided" and change not in found
        )

    @property
    def proved(self) -> Answer:
        """The answer to the question whether both sides mean the same."""
        if self.verdict == "same":
            return "holds"
        return "undecided" if self.verdict == "undecided" else "broken"

    def of(self, change: Change) -> tuple[Difference, ...]:
        """Return the differences of one kind."""
        return tuple(each for each in self.differences if each.change == change)


def change_of(old: Outcome, new: Outcome) -> Change | None:
    """Say what became of a request from its two *outcomes*; None if nothing."""
    if old == new:
        return None
    if new == "allowed":
        return "newly allowed"
    if old == "allowed":
        return "newly denied"
    return "newly denied explicitly" if new == "explicitDeny" else "no longer denied explicitly"
