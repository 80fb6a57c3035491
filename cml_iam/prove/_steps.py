"""Sequences of calls: whether permitted calls can lead to a forbidden one.

The state of an instance consists of a value for each tag that any policy tests. CreateTags sets
tags and DeleteTags removes them (all, if it names none). Nothing else about an instance changes, so
all calls of a sequence are on one ARN.

First, each call is examined alone, with everything else left open. If no single call makes an
instance a worker, no sequence does, and that is a proof. If one does, a sequence of calls on one
instance is searched, tag by tag; the engine decides each call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice, product
from typing import TYPE_CHECKING, Any, Final

from cml_iam.engine import Request
from cml_iam.facts import LATER, PARTITIONS, Assumption
from cml_iam.policy import Conditions, merged
from cml_iam.prove._answers import Verdict, Witness, assumptions_of
from cml_iam.prove._instances import (
    CREATE,
    DELETE,
    IGNORING_CASE,
    OF_RESOURCE,
    REQUEST,
    RESOURCE,
    changing_key,
    followed_tags,
    in_time,
    instance_arns,
    literal,
    losing,
    tag_patterns,
    taking_over,
    where,
)
from cml_iam.prove._question import never, policies_of_shape
from cml_iam.space import Glob, Policies, Shape, glob, representatives, side_of

if TYPE_CHECKING:
    from cml_iam.site import Tag

MAX_STATES: Final = 200
"""The maximum number of combinations of tag values searched for one instance."""

State = tuple[str | None, ...]
"""The values of the tags that are tracked; None for an absent tag."""


def taken_over(policies: Policies, tag: Tag, operate: Shape) -> Verdict:
    """Prove that no calls end in one of *operate* on an instance that did not carry *tag*."""
    foreign, turning = taking_over(tag, operate)
    direct = never(policies, foreign)
    if direct.answer == "broken":
        return direct
    turned = never(policies, turning)
    used = assumptions_of(direct, turned)
    undecided = [verdict.reason for verdict in (direct, turned) if verdict.answer == "undecided"]
    if undecided:
        return Verdict("undecided", (), used, "; ".join(undecided))
    if turned.holds:
        return Verdict("holds", (), used)
    own = never(policies, where(operate, _carried(tag.key, tag.value)))
    if own.answer != "broken":
        return own._replace(assumptions=assumptions_of(direct, own))
    sequence = _Search(policies, tag, operate).between(turned.calls[0], own.calls[0])
    return (
        sequence._replace(assumptions=assumptions_of(direct, sequence))
        if sequence.holds
        else sequence
    )


def lost(policies: Policies, tag: Tag, instances: Sequence[str]) -> Verdict:
    """Prove that no call removes *tag* from one of *instances* (ARNs), or changes its value."""
    return together(never(policies, shape) for shape in losing(tag, instances))


def together(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the first broken verdict, otherwise undecided if any is, otherwise holds."""
    others = []
    for verdict in verdicts:
        if verdict.answer == "broken":
            return verdict
        others.append(verdict)
    reasons = [verdict.reason for verdict in others if not verdict.holds]
    return Verdict(
        "undecided" if reasons else "holds", (), assumptions_of(*others), "; ".join(reasons)
    )


class _Search:
    """Searches for a sequence on one instance."""

    def __init__(self, policies: Policies, tag: Tag, goal: Shape) -> None:
        self._policies, self._tag, self._goal = policies, tag, goal
        self._goal_parts = side_of(policies_of_shape(goal)).parts
        self._parts = (*side_of(policies).parts, *self._goal_parts)
        self._conditions = [condition for part in self._parts for condition in part.asked]
        self._keys = followed_tags(self._conditions, tag)
        # A call that removes some of several tags at once is not searched.
        self._certain = len(self._keys) == 1
        self._states = [*self._known_states()]
        self._used: dict[Assumption, None] = {}

    def _known_states(self) -> Iterator[State]:
        """Yield the combinations of tag values that the policies distinguish, one more at most."""
        values: list[list[str | None]] = []
        for key in self._keys:
            patterns, exact = tag_patterns(self._conditions, key)
            if key == self._tag.key:
                patterns.append(Glob(tuple(self._tag.value)))
            texts, complete = representatives(patterns, [self._tag.value, "other", ""], glob("*"))
            self._certain = self._certain and complete and exact
            values.append([None, *texts])
        yield from islice(product(*values), MAX_STATES + 1)

    def between(self, turned: Witness, own: Witness) -> Verdict:
        """Return the answer for sequences on one instance, trying those of the witnesses first."""
        if len(self._states) > MAX_STATES:
            return _unfound(f"more than {MAX_STATES} combinations of tags")
        partitions = (self._policies.partition,) if self._policies.partition else PARTITIONS
        others, complete = instance_arns(self._parts, partitions)
        for arn in dict.fromkeys((own.request.resource, turned.request.resource, *others)):
            answer = self._about(arn) if self._is_in_goal(arn) else None
            if answer:
                return answer
        if complete and self._certain:
            return Verdict("holds", (), tuple(self._used))
        return _unfound(
            f"one instance can be given {self._tag}, and one that has the tag can be operated, but "
            "no instance was found for which both are allowed"
        )

    def _is_in_goal(self, arn: str) -> bool:
        tests = [part.compiled.resource for part in self._goal_parts]
        return all(test is None or test(arn, {}) for test in tests)

    def _about(self, arn: str) -> Verdict | None:
        """Search the states of the instance *arn*, nearest first."""
        starts = [state for state in self._states if state[0] != self._tag.value]
        before: dict[State, tuple[State, Witness] | None] = dict.fromkeys(starts)
        pending = deque(starts)
        while pending:
            state = pending.popleft()
            if state[0] == self._tag.value:
                goal = where(self._goal, self._tags(state))
                last = self._allowed(replace(goal, resources=(arn,), not_resources=None))
                if last:
                    return self._sequence([*_way(before, state), last])
            for after in self._states:
                if after in before:
                    continue
                call = self._call(arn, state, after)
                step = self._allowed(call) if call else None
                if step:
                    before[after] = state, step
                    pending.append(after)
        return None

    def _call(self, arn: str, state: State, after: State) -> Shape | None:
        """Return the calls that turn *state* into *after*, or None."""
        changed = [n for n, value in enumerate(state) if value != after[n]]
        left = [after[n] is not None for n in changed]
        if all(left):
            action, conditions = CREATE, merged(LATER, self._sent(state, after))
        elif any(left):
            return None
        elif len(changed) == 1:
            key = self._keys[changed[0]]
            action, conditions = DELETE, {IGNORING_CASE: {"aws:TagKeys": [key]}}
        elif all(value is None for value in after):
            action, conditions = DELETE, {"Null": {"aws:TagKeys": "true"}}
        else:
            return None
        return Shape((action,), (arn,), merged(self._tags(state), conditions))

    def _sent(self, state: State, after: State) -> Conditions:
        """Return the tags that a call sends to turn *state* into *after*."""
        conditions: list[Conditions] = []
        for key, old, new in zip(self._keys, state, after, strict=True):
            if old != new:
                conditions.append({"StringEquals": {REQUEST + key: literal(new or "")}})
            elif old is None:
                conditions.append({"Null": {REQUEST + key: "true"}})
            else:
                conditions.append({"StringEqualsIfExists": {REQUEST + key: literal(old)}})
        return merged(*conditions)

    def _tags(self, state: State) -> Conditions:
        return merged(*map(_carried, self._keys, state))

    def _allowed(self, shape: Shape) -> Witness | None:
        verdict = never(self._policies, shape)
        self._certain = self._certain and verdict.answer != "undecided"
        self._used.update(dict.fromkeys(verdict.assumptions))
        return verdict.witness

    def _sequence(self, calls: Sequence[Witness]) -> Verdict:
        """Return *calls* as the answer, unless they differ in something that cannot change."""
        key = changing_key([call.request for call in calls])
        if key is not None:
            return _unfound(
                f"the calls need different values of {key}, which cannot change between them"
            )
        ordered = in_time(self._policies, self._conditions, calls)
        if ordered is None:
            return _unfound("the conditions on time do not allow the calls in this order")
        if not _follow_one_another(self._policies, [witness.request for witness in ordered]):
            return _unfound("a call needs tags that the calls before it do not leave")
        return Verdict("broken", ordered)


def _carried(key: str, value: str | None) -> Conditions:
    """Return the condition that the instance's tag *key* has *value*; None if it lacks the tag."""
    if value is None:
        return {"Null": {RESOURCE + key: "true"}}
    return {"StringEquals": {RESOURCE + key: literal(value)}}


def _way(before: Mapping[State, tuple[State, Witness] | None], state: State) -> Iterable[Witness]:
    steps: list[Witness] = []
    while (previous := before[state]) is not None:
        state, step = previous
        steps.insert(0, step)
    return steps


def _follow_one_another(policies: Policies, requests: Sequence[Request]) -> bool:
    """Return whether *requests*, which change an instance's tags, are allowed in this order."""
    authorizer = side_of(policies).authorizer
    tags = _tags(requests[0], RESOURCE)
    for request in requests:
        without = {
            k: v for k, v in request.context.items() if not k.lower().startswith(OF_RESOURCE)
        }
        own = {f"{prefix}{key}": tags[key] for key in tags for prefix in OF_RESOURCE}
        own_request = request._replace(context=without | own)
        if request.resource != requests[0].resource or not authorizer.decide(own_request).allowed:
            return False
        listed = request.context.get("aws:TagKeys")
        removed = tags if listed is None else map(str.lower, listed)
        if request.action.lower() == DELETE.lower():
            tags = {key: value for key, value in tags.items() if key not in set(removed)}
        else:
            tags = tags | _tags(request, REQUEST)
    return True


def _tags(request: Request, prefix: str) -> dict[str, Any]:
    """Return the tags in *request* whose condition keys have *prefix*, by key in lower case."""
    start = prefix.lower()
    context = {key.lower(): value for key, value in request.context.items()}
    return {key[len(start) :]: value for key, value in context.items() if key.startswith(start)}


def _unfound(reason: str) -> Verdict:
    return Verdict("undecided", reason=reason)
