"""The result of comparing two sides: differences with explanations, grouped by cause."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, get_args

from cml_iam.engine import ConditionReason, Outcome, Request, StatementReason
from cml_iam.facts import Assumption
from cml_iam.prove._answers import Answer, Answered, Verdict, answered, assumptions_of
from cml_iam.space import Side

if TYPE_CHECKING:
    from cml_iam.expectations import Answer as ExpectedAnswer
    from cml_iam.expectations import Expectation


Change = Literal[
    "newly allowed", "newly denied", "no longer denied explicitly", "newly denied explicitly"
]
CHANGES: Final[tuple[Change, ...]] = get_args(Change)
"""The kinds of change; the last two matter only if another policy allows the requests."""

WIDER: Final = frozenset({"newly allowed", "no longer denied explicitly"})

Relation = Literal["same", "wider", "narrower", "wider and narrower", "undecided"]


class Difference(NamedTuple):
    """Requests that the two sides decide differently for the same reason.

    *witness* is one of the requests, decided by the engine on both sides. *actions* are the
    examined actions; *alike* counts further actions that no statement distinguishes from these, and
    *others* means that every action which no statement names is included. *missed* is the statement
    that comes closest to deciding the same way on the other side; the difference is what prevents
    it from applying, and *found* are the values of the request that it did not match. *unlisted*
    marks a witness for an action that AWS's service reference does not list.
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

    @property
    def deciders(self) -> tuple[str, ...]:
        """The labels of the statements that decide on both sides."""
        return tuple(reason.label for side in (self.old, self.new) for reason in side.statements)

    @property
    def failed(self) -> frozenset[str]:
        """The parts of the missed statement that do not match."""
        return _failed_parts(self.missed)

    @property
    def missed_label(self) -> str | None:
        """The label of the missed statement."""
        return self.missed.label if self.missed else None

    def as_json(self) -> dict[str, Any]:
        """Return the difference as JSON values."""
        missed = self.missed and {
            "label": self.missed.label,
            "place": str(self.missed.place) if self.missed.place else None,
            "reason": self.missed.reason,
            "found": list(self.found),
        }
        return {
            "change": self.change,
            "actions": list(self.actions),
            "alike": self.alike,
            "others": self.others,
            "witness": self.witness.as_json(),
            "old": self.old.as_json(),
            "new": self.new.as_json(),
            "missed": missed,
            "unusual": self.unlisted,
        }


class ExpectationChange(NamedTuple):
    """An expectation of the site for which the two sides give different answers."""

    expectation: Expectation
    old: ExpectedAnswer
    new: ExpectedAnswer

    def as_json(self) -> dict[str, str]:
        """Return the expectation and its two answers as JSON values."""
        return {
            "id": self.expectation.id,
            "description": self.expectation.description,
            "expected": self.expectation.expected,
            "old": self.old,
            "new": self.new,
        }


class Comparison(NamedTuple):
    """What NEW decides differently from OLD.

    *same* means that the documents have the same statements, apart from order and spelling.
    Otherwise, for each kind of change, *verdicts* has the answer to the claim that there is no such
    change. For each kind that occurs, *differences* has one difference for each statement and
    action that causes it; *more* means that there may be others. *beside_everything* means that
    neither side allows anything, so each was judged together with a policy that allows everything.
    """

    same: bool
    verdicts: Mapping[Change, Verdict] = MappingProxyType({})
    differences: tuple[Difference, ...] = ()
    more: bool = False
    expectations: int = 0
    expectation_changes: tuple[ExpectationChange, ...] = ()
    beside_everything: bool = False

    @property
    def verdict(self) -> Relation:
        """How NEW differs from OLD, in a word; undecided parts may differ further."""
        changed = {
            change for change, verdict in self.verdicts.items() if verdict.answer == "broken"
        }
        changed |= {difference.change for difference in self.differences}
        wider, narrower = bool(changed & WIDER), bool(changed - WIDER)
        if wider or narrower:
            if wider and narrower:
                return "wider and narrower"
            return "wider" if wider else "narrower"
        return "undecided" if self.undecided else "same"

    @property
    def allows_the_same(self) -> bool:
        """Whether both sides provably allow the same; explicit denies may differ.

        If both are judged together with a policy that allows everything, denies also decide what is
        allowed.
        """
        verdicts = (self.verdicts.get("newly allowed"), self.verdicts.get("newly denied"))
        proved = all(verdict is None or verdict.holds for verdict in verdicts)
        return self.same or (proved and not self.beside_everything)

    @property
    def undecided(self) -> tuple[Change, ...]:
        """The kinds of change that were neither found nor ruled out."""
        changed = {difference.change for difference in self.differences}
        return tuple(
            change
            for change, verdict in self.verdicts.items()
            if verdict.answer == "undecided" and change not in changed
        )

    @property
    def other_reading(self) -> dict[Change, Answer]:
        """The answers that change if wildcards of ARNs match colons."""
        return {change: verdict.colon for change, verdict in self.verdicts.items() if verdict.colon}

    @property
    def proved(self) -> Answer:
        """The answer to whether both sides mean the same."""
        if self.verdict == "same":
            return "holds"
        return "undecided" if self.verdict == "undecided" else "broken"

    @property
    def assumptions(self) -> tuple[Assumption, ...]:
        """The facts that the result rests on, each once."""
        return assumptions_of(*self.verdicts.values())

    def as_json(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""
        answers = {change: verdict.answer for change, verdict in self.verdicts.items()}
        return {
            "verdict": self.verdict,
            "same": self.same,
            "proved": self.proved,
            "allows_the_same": self.allows_the_same,
            "new_within_old": answers.get("newly allowed", "holds"),
            "old_within_new": answers.get("newly denied", "holds"),
            "undecided": _by_key({c: self.verdicts[c].reason for c in self.undecided}),
            "other_reading": _by_key(self.other_reading),
            "complete": not self.more and not self.undecided,
            "beside_everything": self.beside_everything,
            "differences": [difference.as_json() for difference in self.differences],
            "expectations": self.expectations,
            "expectation_changes": [change.as_json() for change in self.expectation_changes],
            "assumptions": [assumption.as_json() for assumption in self.assumptions],
        }

    def of(self, change: Change) -> tuple[Difference, ...]:
        """Return the differences of one kind."""
        return tuple(difference for difference in self.differences if difference.change == change)


def _by_key(texts: Mapping[Change, str]) -> dict[str, str]:
    """Return *texts* under the names of changes as keys: `newly_allowed`."""
    return {change.replace(" ", "_"): text for change, text in texts.items()}


def change_of(old: Outcome, new: Outcome) -> Change | None:
    """Return how the decision of a request changed; None if it did not."""
    if old == new:
        return None
    if new == "allowed":
        return "newly allowed"
    if old == "allowed":
        return "newly denied"
    return "newly denied explicitly" if new == "explicitDeny" else "no longer denied explicitly"


MAX_FOUND: Final = 8
"""The maximum number of values in `found` of a group of differences."""


def difference_of(old_side: Side, new_side: Side, request: Request) -> Difference | None:
    """Explain how both sides decide *request*; None if they agree."""
    old, reasons_old = answered(old_side, request)
    new, reasons_new = answered(new_side, request)
    change = change_of(old.outcome, new.outcome)
    if change is None:
        return None
    explicit = "explicitDeny" in {old.outcome, new.outcome}
    deciding = "explicitDeny" if explicit else "allowed"
    decider, candidates = (new, reasons_old) if new.outcome == deciding else (old, reasons_new)
    labels = {statement.label for statement in decider.statements}
    missed = _nearest(candidates, "Deny" if explicit else "Allow", labels)
    found = _found(missed)
    return Difference(change, request, old, new, (request.action,), missed=missed, found=found)


def _nearest(
    reasons: tuple[StatementReason, ...], effect: str, labels: set[str]
) -> StatementReason | None:
    """Return the statement of *effect* that is closest to applying, preferably one in *labels*."""
    close = [
        reason
        for reason in reasons
        if reason.effect == effect
        and not reason.matched
        and (reason.label in labels or not _failed_parts(reason) & {"Action", "NotAction"})
    ]
    return min(
        close, key=lambda reason: (reason.label not in labels, len(reason.failed)), default=None
    )


def _failed_parts(reason: StatementReason | None) -> frozenset[str]:
    return frozenset(
        f"{part.operator} {part.key}".lower() if isinstance(part, ConditionReason) else part.element
        for part in (reason.failed if reason else ())
    )


def _found(missed: StatementReason | None) -> tuple[str | None, ...]:
    """Return the value that prevented *missed* from applying, if it was only one."""
    if missed is None or len(missed.failed) != 1:
        return ()
    value = missed.failed[0].found
    return (" + ".join(value) if isinstance(value, tuple) else value,)


def grouped(differences: Iterable[Difference]) -> tuple[Difference, ...]:
    """Group differences by reason, in order of change.

    A difference is left out if its causes include all causes of another one.
    """
    groups = gathered(differences)
    simple = (one for one in groups if not any(_adds_to(one, other) for other in groups))
    return tuple(sorted(simple, key=lambda group: (CHANGES.index(group.change), group.unlisted)))


def gathered(differences: Iterable[Difference]) -> tuple[Difference, ...]:
    """Group differences by reason; each group counts the further actions of its members."""
    groups: dict[Any, Difference] = {}
    for one in differences:
        key = (one.change, one.unlisted, one.deciders, one.missed_label, one.failed)
        groups[key] = _together(groups[key], one) if key in groups else one
    return tuple(groups.values())


def _together(one: Difference, other: Difference) -> Difference:
    return one._replace(
        actions=tuple(dict.fromkeys((*one.actions, *other.actions))),
        alike=one.alike + other.alike,
        others=one.others or other.others,
        found=tuple(dict.fromkeys((*one.found, *other.found)))[:MAX_FOUND],
    )


def _adds_to(one: Difference, other: Difference) -> bool:
    """Return whether *one* has all causes of *other* and more, so that it adds nothing new."""
    if one.change != other.change or not set(one.actions) <= set(other.actions):
        return False
    if one.missed is None or one.missed_label != other.missed_label:
        return False
    mine, theirs = (
        (frozenset(difference.deciders), difference.failed) for difference in (one, other)
    )
    return mine[0] >= theirs[0] and mine[1] >= theirs[1] and mine != theirs
