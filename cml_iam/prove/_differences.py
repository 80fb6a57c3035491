"""Compare two sides: what became wider, what narrower, and which statements cause it.

The proof answers whether there is a difference, over all requests in both directions. If there is a
witness, each class of actions is searched again for every statement that could cause a difference:
for a request that matches it, and for one that a statement of the other side would match except for
a single condition.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from cml_iam.engine import Request
from cml_iam.errors import InputError
from cml_iam.policy import VERSION_2012, PolicyDocument, Statement
from cml_iam.prove._answers import Verdict
from cml_iam.prove._comparison import (
    Change,
    Comparison,
    Difference,
    ExpectationChange,
    difference_of,
    gathered,
    grouped,
)
from cml_iam.prove._question import (
    Question,
    allowed_goal,
    denied_goal,
    denied_within,
    unlike,
    within,
)
from cml_iam.space import (
    Budget,
    Class,
    Goal,
    Place,
    Policies,
    Searcher,
    Side,
    SliceResult,
    side_of,
    statements_of,
)

if TYPE_CHECKING:
    from cml_iam.expectations import Answer as ExpectedAnswer
    from cml_iam.expectations import Expectation
    from cml_iam.site import Site


MAX_ACTIONS: Final = 8
"""The maximum number of actions examined one by one in a class; the others are only counted."""

MAX_TRIED: Final = 40
"""The maximum number of resource types and actions examined after a difference is known."""

MAX_STEPS: Final = 60_000
"""The maximum number of search steps for further differences; beyond it, some may be missing."""

EVERYTHING: Final = PolicyDocument(
    (Statement(0, "Allow", "a policy that allows everything", action=("*",), resource=("*",)),),
    VERSION_2012,
    name="a policy that allows everything",
)


def policies_of(attached: Sequence[PolicyDocument], partition: str = "") -> Policies:
    """Return one side of a comparison: *attached* together, or one resource's policy.

    *partition* is the account's, if known.

    Raises InputError if some statements name principals and others do not, or if there are several
    policies of a resource.
    """
    statements = [statement for document in attached for statement in document.statements]
    named = {bool(statement.principal or statement.not_principal) for statement in statements}
    if named == {True, False}:
        raise InputError(
            "some statements name principals and some do not",
            remedy="compare identity policies with each other, and resource or trust policies",
        )
    if named != {True}:
        return Policies(tuple(attached), partition=partition)
    if len(attached) > 1:
        raise InputError("a resource has one policy; compare one file with one file")
    return Policies(resource=attached[0], partition=partition)


def differences(old: Policies, new: Policies, site: Site | None = None) -> Comparison:
    """Compare the decisions of *old* and *new* over all requests; each difference has a witness.

    If *site* is given, its expectations are also compared, and both sides are in its partition.

    Raises InputError if one side names principals and the other does not.
    """
    if site is not None:
        old, new = (side._replace(partition=site.partition) for side in (old, new))
    allows = any(s.effect == "Allow" for side in (old, new) for s in statements_of(side))
    if allows or old.resource is not None or new.resource is not None:
        return _compared(old, new, site)
    # A Deny does nothing by itself; beside everything, it takes something away.
    old, new = (side._replace(identity=(*side.identity, EVERYTHING)) for side in (old, new))
    return _compared(old, new, site)._replace(beside_everything=True)


def _compared(old: Policies, new: Policies, site: Site | None) -> Comparison:
    before, after = side_of(old), side_of(new)
    if _meanings(before) == _meanings(after):
        return Comparison(same=True)
    verdicts: dict[Change, Verdict] = {
        "newly allowed": within(new, old),
        "newly denied": within(old, new),
        "no longer denied explicitly": denied_within(old, new),
        "newly denied explicitly": denied_within(new, old),
    }
    listed: list[Difference] = []
    more, budget = False, Budget(MAX_STEPS)
    for change, verdict in verdicts.items():
        if not verdict.holds:
            search = _Search(before, after, change, budget)
            listed += search.differences(verdict)
            more = more or search.more
    comparison = Comparison(False, verdicts, grouped(listed), more)
    if site is None or old.resource is not None:
        return comparison
    # Imported here because most comparisons are without a site file.
    from cml_iam.expectations import derive_expectations

    changes = [
        ExpectationChange(expectation, _answer(before, expectation), _answer(after, expectation))
        for expectation in derive_expectations(site)
    ]
    changed = tuple(change for change in changes if change.old != change.new)
    return comparison._replace(expectations=len(changes), expectation_changes=changed)


def _meanings(side: Side) -> frozenset[object]:
    gates = (*enumerate(side.gates), (-1, side.denies))
    return frozenset((number, part.meaning) for number, gate in gates for part in gate)


def _answer(side: Side, expectation: Expectation) -> ExpectedAnswer:
    allowed = all(side.outcome(request) == "allowed" for request in expectation.requests)
    return "allowed" if allowed else "refused"


class _Met:
    """A class's requests, by goal and resource, and actions; *alike* are those not examined."""

    def __init__(self) -> None:
        self.requests: dict[Any, Request] = {}
        self.actions: dict[Any, dict[str, None]] = defaultdict(dict)
        self.named: dict[str, None] = {}
        self.alike = 0


class _Search:
    """The search for all differences of one kind; *more* means that some may be missing."""

    def __init__(self, old: Side, new: Side, change: Change, budget: Budget) -> None:
        self._old, self._new, self._change = old, new, change
        self._explicit = change.endswith("explicitly")
        by_new = change in {"newly allowed", "newly denied explicitly"}
        mine, theirs = (new, old) if by_new else (old, new)
        goal = (denied_goal if self._explicit else allowed_goal)(mine, theirs)
        self._budget = budget
        self._question = Question(goal, mine, theirs, budget=budget)
        self._searchers: dict[int, tuple[Searcher, tuple[Goal, ...]]] = {}
        self.more = False

    def differences(self, verdict: Verdict) -> Iterator[Difference]:
        """Yield the differences; at least the witness of *verdict*, if it has one."""
        witness = verdict.witness
        any_found = False
        for group, goal in self._question.groups():
            is_known = witness is not None and witness.request.action in group.listed
            for difference in self._in_class(group, goal, is_known=is_known):
                any_found = True
                yield difference
        self.more = self.more or bool(self._question.incomplete)
        if not any_found and witness:
            yield from self._explained(witness.request, unlisted=witness.unlisted)

    def _in_class(self, group: Class, goal: Goal, *, is_known: bool) -> Iterator[Difference]:
        met = self._met(group, goal, is_known=is_known)
        explained = (
            difference._replace(actions=tuple(met.actions[key]))
            for key, request in met.requests.items()
            for difference in self._explained(request, unlisted=request.action not in group.listed)
        )
        for difference in gathered(explained):
            yield difference._replace(alike=met.alike, others=group.others)

    def _met(self, group: Class, goal: Goal, *, is_known: bool) -> _Met:
        """Search for *goal*, and for the ways to reach it, with the actions of *group*."""
        if id(goal) not in self._searchers:  # classes may share them
            searcher = self._question.searcher(goal, assuming_all=True)
            self._searchers[id(goal)] = searcher, (goal, *self._narrowed(goal))
        searcher, goals = self._searchers[id(goal)]
        met = _Met()
        tried: dict[str, set[Any]] = defaultdict(set)
        most = 1 if group.others else MAX_ACTIONS
        for place in self._question.places(group, searcher, is_known=is_known):
            full = len(met.named) >= most or sum(map(len, tried.values())) > MAX_TRIED
            is_enough = bool(met.named) and place.action not in tried and full
            if is_enough or self._budget.left < 0:
                self.more = self.more or self._budget.left < 0
                listed = place.action in group.listed
                met.alike = len(group.listed) - group.listed.index(place.action) if listed else 0
                break
            reached, keys = searcher.likeness(place)
            seen = tried[place.action]
            # Beyond some, a type of resource is looked at if a statement names it.
            if (reached, keys) not in seen and (len(seen) <= MAX_TRIED or reached not in seen):
                seen |= {reached, (reached, keys)}
                self._look(place, searcher.every(place, goals), met)
        return met

    def _look(self, place: Place, answers: Iterable[SliceResult], met: _Met) -> None:
        for number, result in enumerate(answers):
            self.more = self.more or bool(result.incomplete)
            if result.request is not None:
                # What is allowed of one type of resource may be refused of another, each for its
                # own reason; a narrower goal has but one.
                key = (number, None if number else place.fields)
                met.requests.setdefault(key, result.request)
                met.actions[key][place.action] = met.named[place.action] = None

    def _narrowed(self, goal: Goal) -> Iterator[Goal]:
        """Yield a goal for each statement that may reach *goal*, or misses it by a condition."""
        others = [part for gate in goal.or_not for part in gate]
        for number, gate in enumerate(goal.allowed):
            before, after = goal.allowed[:number], goal.allowed[number + 1 :]
            for part in unlike(gate, others) if len(gate) > 1 else ():
                yield goal._replace(allowed=(*before, (part,), *after))
        for part in unlike(goal.or_denied, goal.refused):
            yield Goal((*goal.allowed, (part,)), goal.refused)
        for part in goal.refused if self._explicit else others:
            for almost in part.almost():
                yield Goal((*goal.allowed, (almost,)), goal.refused, (), goal.or_not)

    def _explained(self, request: Request, *, unlisted: bool) -> Iterator[Difference]:
        """Yield the difference shown by *request*, if the engine confirms it."""
        difference = difference_of(self._old, self._new, request)
        if difference is None or difference.change != self._change:
            self.more = True
        else:
            yield difference._replace(unlisted=unlisted)
