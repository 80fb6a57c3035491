"""The questions: is one side within another, and is a set of requests never or always allowed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, lru_cache, partial
from typing import Any, Final

from cml_iam.engine import Outcome, Request
from cml_iam.errors import InputError
from cml_iam.facts import REFERENCE, Action, Assumption, updated
from cml_iam.policy import VERSION_2012, Condition, PolicyDocument, Statement, load_policy
from cml_iam.prove._answers import Verdict, Witness, assumptions_of, readings
from cml_iam.space import (
    Budget,
    Class,
    Frame,
    Goal,
    Part,
    Place,
    Policies,
    Searcher,
    Shape,
    Side,
    SliceResult,
    apart,
    classes,
    loose_places,
    side_of,
    taking_colons,
    together,
    typed_places,
)

ALWAYS_ALLOWED: Final = "sts:getcalleridentity"
SHAPE_NAME: Final = "the shape of requests"
"""The name of a policy made from a set of requests, which no file can have."""

SHAPES_KEPT: Final = 16
"""The maximum number of cached request sets: many policies are asked about the same few."""

MAX_SLICES: Final = 3_000
"""The maximum number of slices searched for one question; beyond it, the question is undecided."""


def within(candidate: Policies, reference: Policies) -> Verdict:
    """Prove that *candidate* allows nothing that *reference* does not allow.

    Raises InputError if one side is a resource's policy and the other is not.
    """
    if (candidate.resource is None) != (reference.resource is None):
        raise InputError(
            "one side names principals and the other does not",
            remedy="compare identity policies with each other, and resource or trust policies",
        )
    return _both_readings(
        lambda mine, theirs: Question(allowed_goal(mine, theirs), mine, theirs),
        candidate,
        reference,
    )


def equivalent(one: Policies, other: Policies) -> Verdict:
    """Prove that both sides allow the same; a witness's candidate is the side that allows it."""
    first = within(one, other)
    if first.answer == "broken":
        return first
    second = within(other, one)
    worse = second if first.holds or not second.holds else first
    both = assumptions_of(first, second)
    return worse._replace(assumptions=both, colon=second.colon or first.colon)


def denied_within(candidate: Policies, reference: Policies) -> Verdict:
    """Prove that *candidate* denies nothing that *reference* neither allows nor denies.

    This matters only together with other policies, which may allow what is not denied.
    """
    outcomes: tuple[Outcome, Outcome] = ("explicitDeny", "implicitDeny")
    return _both_readings(
        lambda mine, theirs: Question(denied_goal(mine, theirs), mine, theirs, outcomes=outcomes),
        candidate,
        reference,
    )


def never(policies: Policies, shape: Shape, *, is_likely: bool = False) -> Verdict:
    """Prove that *policies* allow no request of *shape*.

    Ignores sts:GetCallerIdentity, which no policy can refuse. *is_likely* changes only the speed:
    the answer comes sooner if a request is allowed, and later if none is.
    """
    return _both_readings(
        partial(_is_never, is_likely=is_likely), policies, policies_of_shape(shape)
    )


def is_sent(shape: Shape, *, of_resource: bool = False) -> Verdict:
    """Prove that AWS never sends a request of *shape*; `broken`, with a request, if it does.

    If this `holds`, every policy answers *shape* alike. With *of_resource*, the question is about a
    resource's policy and any caller.
    """
    return never(_everything(of_resource=of_resource), shape, is_likely=True)


@cache
def _everything(*, of_resource: bool) -> Policies:
    element = {"Principal": "*"} if of_resource else {"Resource": "*"}
    document = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "*"} | element],
    }
    allowing = load_policy(document, "everything")
    return Policies(resource=allowing) if of_resource else Policies((allowing,))


def always(policies: Policies, shape: Shape) -> Verdict:
    """Prove that *policies* allow every request of *shape*."""
    return _both_readings(
        lambda side, kind: Question(Goal(kind.gates, (), side.denies, side.gates), kind, side),
        policies,
        policies_of_shape(shape),
    )


def _both_readings(
    ask: Callable[[Side, Side], Question], one: Policies, other: Policies
) -> Verdict:
    """Ask, and ask again with wildcards of ARNs matching colons, if that changes patterns."""
    budget = Budget()

    def verdict_on(one: Policies, other: Policies) -> Verdict:
        return replace(ask(side_of(one), side_of(other)), budget=budget).verdict()

    verdict = verdict_on(one, other)
    others = taking_colons(one), taking_colons(other)
    if others[0] is one and others[1] is other:
        return verdict
    second = verdict_on(*others).answer
    return verdict if second == verdict.answer else verdict._replace(colon=second)


def allowed_goal(mine: Side, theirs: Side) -> Goal:
    """Return the search for what *mine* allows and *theirs* does not."""
    return Goal(mine.gates, mine.denies, theirs.denies, theirs.gates)


def denied_goal(mine: Side, theirs: Side) -> Goal:
    """Return the search for what *mine* denies, and *theirs* neither allows nor denies."""
    return Goal((unlike(mine.denies, theirs.denies),), theirs.denies, (), theirs.gates)


def unlike(parts: Iterable[Part], others: Iterable[Part]) -> tuple[Part, ...]:
    """Return the *parts* that are not repeated in *others*."""
    repeated = {other.meaning for other in others}
    return tuple(part for part in parts if part.meaning not in repeated)


def _is_never(side: Side, kind: Side, *, is_likely: bool) -> Question:
    # Without statements that match no request of this kind.
    left = (
        tuple(part for part in gate if not all(apart(part, other) for other in kind.parts))
        for gate in side.gates
    )
    goal = Goal((*kind.gates, *left), side.denies)
    return Question(goal, side, None, kind, is_likely=is_likely)


def policies_of_shape(shape: Shape) -> Policies:
    """Return policies that allow the requests of *shape*."""
    return _policies_of(statement_of(shape))


@lru_cache(SHAPES_KEPT)
def _policies_of(statement: Statement) -> Policies:
    return Policies((PolicyDocument((statement,), VERSION_2012, name=SHAPE_NAME),))


def statement_of(shape: Shape) -> Statement:
    """Return a statement that matches the requests of *shape*."""
    negated, outside = shape.not_actions, shape.not_resources
    return Statement(
        0,
        "Allow",
        "Shape",
        action=None if negated is not None else tuple(shape.actions),
        not_action=None if negated is None else tuple(negated),
        resource=None if outside is not None else tuple(shape.resources),
        not_resource=None if outside is None else tuple(outside),
        conditions=conditions_of(shape.conditions),
    )


def conditions_of(block: Mapping[str, Mapping[str, Any]]) -> tuple[Condition, ...]:
    """Return *block*, values by operator and key, as conditions."""
    return tuple(
        Condition(operator, key, (values,) if isinstance(values, str) else tuple(values))
        for operator, by_key in block.items()
        for key, values in by_key.items()
    )


@dataclass
class Question:
    """A goal to search for, slice by slice; requests must also match *kind*, if given.

    *outcomes* are both sides' decisions on a witness; without an outcome for the reference, it may
    decide anything except `allowed`. With *is_likely*, the first place of each class is searched
    before all places together.
    """

    goal: Goal
    candidate: Side
    reference: Side | None
    kind: Side | None = None
    outcomes: tuple[Outcome, Outcome | None] = ("allowed", None)
    used: set[Assumption] = field(default_factory=set)
    incomplete: list[str] = field(default_factory=list)
    slices: int = 0
    budget: Budget = field(default_factory=Budget)
    is_likely: bool = False

    def verdict(self) -> Verdict:
        """Search every class of actions."""
        for group, goal in self.groups():
            request = self._in_class(group, goal)
            if request is not None:
                return self._broken(request, group, goal)
            self.used |= readings(goal)
        used = tuple(sorted(self.used))
        if self.incomplete:
            reason = "; ".join(dict.fromkeys(self.incomplete))
            return Verdict("undecided", (), used, reason)
        return Verdict("holds", (), used)

    def groups(self) -> Iterator[tuple[Class, Goal]]:
        """Yield the classes of actions, each with the goal for the statements about it."""
        parts = self.goal.parts()
        numbers = {part: 1 << n for n, part in enumerate(parts)}
        goals: dict[int, Goal | None] = {}

        def may_match(bits: int) -> bool:
            if bits not in goals:
                goals[bits] = _about(self.goal, numbers, bits)
            return goals[bits] is not None

        whole_classes = classes(parts, may_match)
        for whole in sorted(whole_classes, key=lambda group: (group.others, not group.listed)):
            if whole.partial:
                self.used.add(_no_others())
            goal = goals.get(whole.bits)
            group = whole if self.candidate.policies.of_resource else _but_always_allowed(whole)
            if goal and group:
                yield group, goal

    def searcher(self, goal: Goal, *, assuming_all: bool = False) -> Searcher:
        """Return the searcher for *goal*; *assuming_all* suits searches that need no proof."""
        return Searcher(goal, self.budget, self._frame, assuming_all=assuming_all)

    @property
    def _sides(self) -> tuple[Side, ...]:
        return (self.candidate, self.reference) if self.reference else (self.candidate,)

    @cached_property
    def _frame(self) -> Frame:
        policies = [side.policies for side in self._sides]
        partitions = (side.partition or _partition(side.caller) for side in policies)
        kinds = (*self._sides, self.kind) if self.kind else self._sides
        return Frame(
            callers=any(side.of_resource for side in policies),
            lists=frozenset().union(*(side.lists for side in kinds)),
            partition=next(filter(None, partitions), ""),
        )

    def _in_class(self, group: Class, goal: Goal) -> Request | None:
        """Return a request that meets *goal* for one of the actions of *group*, or None."""
        searcher = self.searcher(goal)
        action = next(group.actions(), None) if self.is_likely else None
        likely = filter(searcher.may_be_at, typed_places(action) if action else ())
        first = next(likely, None)
        request = self._search(first, searcher).request if first else None
        if request is not None:
            return request
        for place in self.places(group, searcher):
            result = self._search(place, searcher)
            if result.request is not None:
                return result.request
            self._note([result])
        return None

    def places(
        self, group: Class, searcher: Searcher, *, is_known: bool = False
    ) -> Iterator[Place]:
        """Yield the places to search for actions of *group*; *is_known* if a request surely exists.

        The caller must record the assumptions made at a place without a result.
        """
        if not is_known and not self._is_anywhere(group, searcher):
            return
        for action in group.actions():
            yield from self._of_action(action, searcher)
        if group.open:
            self.used.add(_no_others())
        if group.named or group.others or not group.listed:
            yield from loose_places(group.unlisted or group.example)

    def _is_anywhere(self, group: Class, searcher: Searcher) -> bool:
        """Return whether a request may exist on any resource; if not, record the assumptions."""
        example = group.example
        loose = [self._search(place, searcher, readable=False) for place in loose_places(example)]
        if any(result.request is not None for result in loose):
            return True
        self._note(loose)
        return False

    def _of_action(self, action: Action, searcher: Searcher) -> Iterator[Place]:
        for whole, places in together(action, searcher.may_be_at):
            result = self._search(whole, searcher, readable=False) if whole else None
            if result and result.request is None and not result.incomplete:
                # There is certainly no such request at any of the places.
                self._note([result])
            else:
                yield from places
        types = f"only the resource types of the service reference ({updated()})"
        text = f"AWS authorizes {action.full} on {types}"
        self.used.add(Assumption("resource", action.full, text, REFERENCE, action.full))

    def _search(self, place: Place, searcher: Searcher, *, readable: bool = True) -> SliceResult:
        self.slices += 1
        if self.slices > MAX_SLICES:
            return SliceResult(None, incomplete=(f"more than {MAX_SLICES} slices",))
        return searcher.at(place, readable=readable)

    def _note(self, results: Sequence[SliceResult]) -> None:
        for result in results:
            self.used |= result.used
            self.incomplete += result.incomplete

    def _broken(self, request: Request, group: Class, goal: Goal) -> Verdict:
        """Confirm the request with the engine; if it disagrees, the answer is undecided."""
        callers = [side.policies.caller for side in self._sides]
        caller = next(filter(None, callers), request.principal)
        request = request._replace(principal=caller)
        mine = self.candidate.outcome(request)
        theirs = self.reference.outcome(request) if self.reference else None
        fits = self.kind is None or self.kind.outcome(request) == "allowed"
        differs = theirs == self.outcomes[1] if self.outcomes[1] else theirs != "allowed"
        if mine != self.outcomes[0] or not differs or not fits:
            reason = f"the engine does not confirm the witness {request}"
            return Verdict("undecided", reason=reason)
        witness = Witness(request, self._sides, unlisted=request.action not in group.listed)
        return Verdict("broken", (witness,), tuple(readings(goal, request)))


def _partition(arn: str | None) -> str:
    return arn.split(":")[1] if arn else ""


def _no_others() -> Assumption:
    text = f"AWS has only the actions of the service reference of {updated()}"
    return Assumption("listed", "actions", text, REFERENCE)


def _but_always_allowed(group: Class) -> Class | None:
    """Return *group* without the action that no identity-based policy can refuse."""
    listed = tuple(action for action in group.listed if action.lower() != ALWAYS_ALLOWED)
    if len(listed) == len(group.listed):
        return group
    return group._replace(listed=listed) if listed or group.named or group.others else None


def _about(goal: Goal, numbers: dict[Part, int], bits: int) -> Goal | None:
    """Return *goal* with only the statements about a class of actions; None if none can match."""

    def about(parts: Sequence[Part]) -> tuple[Part, ...]:
        return tuple(part for part in parts if numbers[part] & bits)

    allowed = tuple(map(about, goal.allowed))
    refused, denied = about(goal.refused), about(goal.or_denied)
    gates = tuple(map(about, goal.or_not))
    if gates and not denied and all(any(p.matches_always for p in gate) for gate in gates):
        return None  # the reference allows everything
    if len(gates) == 1 and {d.meaning for d in denied} <= {d.meaning for d in refused}:
        # What a statement of the reference repeats word for word is allowed there as well.
        repeated = {part.meaning for part in gates[0]}
        allowed = tuple(tuple(p for p in gate if p.meaning not in repeated) for gate in allowed)
        denied = ()
    return Goal(allowed, refused, denied, gates) if all(allowed) else None
