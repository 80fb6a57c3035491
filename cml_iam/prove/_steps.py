"""Sequences of calls: whether permitted ones can lead to one that must not be.

An instance is a value for each tag that some policy tests. Calls change them: CreateTags sets,
DeleteTags removes (without tags named: all of them). Everything else of an instance stays what it
is, so all calls of a sequence are about one ARN.

The question is first asked of each call alone, with all else left open. Where no single call makes
an instance a worker, no sequence does, and that is a proof. Only where one does is a sequence
looked for, tag by tag, about one instance; each of its calls is asked of the engine.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Final

from cml_iam.engine import Request
from cml_iam.prove._answers import Answer, Policies, Shape, Verdict, Witness, documents
from cml_iam.prove._globs import Glob, glob, representatives
from cml_iam.prove._known import Assumption
from cml_iam.prove._promises import LATER, TAGGING
from cml_iam.prove._question import never
from cml_iam.site import Tag

MAX_STATES: Final = 200
"""Combinations of tag values that a sequence is searched through, for one instance."""

MAX_INSTANCES: Final = 100
"""Instances that a sequence is looked for about, one of each kind."""

ARN_FIELDS: Final = 6
REGION_KEYS: Final = frozenset({"aws:requestedregion", "ec2:region"})
HINTS: Final = (
    ("aws",),
    ("us-east-1", "eu-west-1", "sa-east-1"),
    ("111122223333", "999999999999"),
    ("instance/i-0foreign000000001",),
)
UNIVERSES: Final = (glob("?*"), glob("?*"), glob("????????????"), glob("instance/?*"))

CREATE, DELETE = TAGGING
RESOURCE, REQUEST = "aws:ResourceTag/", "aws:RequestTag/"
_EC2_RESOURCE: Final = "ec2:resourcetag/"
_LASTING: Final = ("aws:principal", "aws:userid", "aws:username", "ec2:")
"""Beginnings of keys whose values a sequence cannot change: the caller's and the instance's."""

_PASSING: Final = frozenset({"ec2:createaction", "ec2:region"})

Conditions = dict[str, dict[str, Any]]
State = tuple[str | None, ...]
"""The values of the tags that are followed, None for a tag that is not there."""


@dataclass(frozen=True, slots=True)
class Reached:
    """The answer about sequences: it `holds`; is `broken` by *calls*, in order; or `undecided`."""

    answer: Answer
    calls: tuple[Witness, ...] = ()
    assumptions: tuple[Assumption, ...] = ()
    reason: str = ""


def taken_over(policies: Policies, tag: Tag, operate: Shape) -> Reached:
    """Say whether calls can end in one of *operate* on an instance that did not carry *tag*."""
    key = RESOURCE + tag.key
    foreign, turning = taking_over(tag, operate)
    direct = never(policies, foreign)
    if direct.answer == "broken":
        return _reached(direct)
    turned = never(policies, turning)
    used = _used(direct, turned)
    undecided = [each.reason for each in (direct, turned) if each.answer == "undecided"]
    if undecided:
        return Reached("undecided", (), used, "; ".join(undecided))
    if turned.answer == "holds" or turned.witness is None:
        return Reached("holds", (), used)
    own = never(policies, _where(operate, {"StringEquals": {key: tag.value}}))
    if own.answer != "broken" or own.witness is None:
        return Reached(own.answer, (), _used(direct, own), own.reason)
    return _Search(policies, tag, operate).between(turned.witness, own.witness)


@dataclass(frozen=True, slots=True)
class TagTest:
    """That the tag *key* has one of *values*: by the operator *holds*; *fails* is its negation."""

    key: str
    values: tuple[str, ...]
    holds: str = "StringEquals"
    fails: str = "StringNotEquals"

    @property
    def carried(self) -> Conditions:
        """It holds of the resource."""
        return {self.holds: {RESOURCE + self.key: self.values}}

    @property
    def missing(self) -> Conditions:
        """It does not hold of the resource."""
        return {self.fails: {RESOURCE + self.key: self.values}}


def taking_over(tag: Tag, operate: Shape) -> tuple[Shape, Shape]:
    """Return those of *operate* without *tag* on the instance, and the calls that give it."""
    test = TagTest(tag.key, (tag.value,))
    return _where(operate, test.missing), giving(test, operate.resources)


def giving(test: TagTest, resources: Sequence[str]) -> Shape:
    """Return the calls after which one of *resources* for which *test* failed passes it."""
    given = {test.holds: {REQUEST + test.key: test.values}}
    return Shape((CREATE,), resources, merged(test.missing, given, LATER))


def lost(policies: Policies, tag: Tag, instances: Sequence[str]) -> Reached:
    """Say whether a call can take *tag* from one of *instances* (ARNs), or change its value."""
    verdicts = []
    for shape in losing(tag, instances):
        verdicts.append(never(policies, shape))
        if verdicts[-1].answer == "broken":
            return _reached(verdicts[-1])
    reasons = [each.reason for each in verdicts if each.answer == "undecided"]
    used = _used(*verdicts)
    return Reached("undecided" if reasons else "holds", (), used, "; ".join(reasons))


def losing(tag: Tag, instances: Sequence[str]) -> tuple[Shape, ...]:
    """Return the calls after which an instance that carries *tag* carries it no more."""
    return taking_away(TagTest(tag.key, (tag.value,)), instances)


def taking_away(
    test: TagTest, resources: Sequence[str], *, exact: bool = False
) -> tuple[Shape, ...]:
    """Return the calls after which one of *resources* that passed *test* fails it.

    With *exact* those only that name the tag in its own case. To condition keys one in another
    case is the same, though to EC2 it is another tag.
    """
    requested = REQUEST + test.key
    operator = "ForAnyValue:StringEquals" if exact else "ForAnyValue:StringEqualsIgnoreCase"
    named: Conditions = {operator: {"aws:TagKeys": [test.key]}}
    changed: Conditions = {"Null": {requested: "false"}, test.fails: {requested: test.values}}
    ways: tuple[tuple[str, Conditions], ...] = (
        (CREATE, merged(changed, named) if exact else changed),
        (DELETE, named),
        (DELETE, {"Null": {"aws:TagKeys": "true"}}),
    )
    return tuple(
        Shape((action,), resources, merged(test.carried, LATER, conditions))
        for action, conditions in ways
    )


def merged(*conditions: Mapping[str, Mapping[str, Any]]) -> Conditions:
    """Return all of *conditions* as one; the same key under the same operator may not recur."""
    made: Conditions = {}
    for each in conditions:
        for operator, block in each.items():
            made[operator] = {**made.get(operator, {}), **block}
    return made


class _Search:
    """Looks for a sequence about one instance."""

    def __init__(self, policies: Policies, tag: Tag, goal: Shape) -> None:
        self._policies, self._tag, self._goal = policies, tag, goal
        self._keys = _followed(policies, tag)
        self._values = [self._of_key(key) for key in self._keys]
        self._tags = len(self._keys)
        # A call that removes some of several tags at once is not among those asked.
        self._certain = self._tags == 1

    def between(self, turned: Witness, own: Witness) -> Reached:
        """Return a sequence about the instance of one of the two witnesses, if there is one."""
        whole = 1
        for values in self._values:
            whole *= len(values)
        if whole > MAX_STATES:
            return _unfound(f"more than {MAX_STATES} combinations of tags")
        others, complete = instance_arns(self._policies)
        for arn in dict.fromkeys((own.request.resource, turned.request.resource, *others)):
            found = self._about(arn)
            if found:
                return found
        if complete and self._certain:
            return Reached("holds")
        return _unfound(
            f"an instance can be given {self._tag}, and one that carries it operated, but no "
            "instance was found for which both hold"
        )

    def _about(self, arn: str) -> Reached | None:
        """Search the states of the instance *arn*, nearest first."""
        starts = [state for state in self._states() if state[0] != self._tag.value]
        before: dict[State, tuple[State, Witness] | None] = dict.fromkeys(starts)
        pending = deque(starts)
        while pending:
            state = pending.popleft()
            last = self._asked(self._goal.actions, arn, self._resource(state))
            if last and state[0] == self._tag.value:
                return _sequence([*_way(before, state), last])
            for after in self._states():
                if after in before:
                    continue
                step = self._step(arn, state, after)
                if step:
                    before[after] = state, step
                    pending.append(after)
        return None

    def _step(self, arn: str, state: State, after: State) -> Witness | None:
        """Return a call that makes *after* of *state*, if one is allowed."""
        changed = [n for n in range(self._tags) if state[n] != after[n]]
        here = self._resource(state)
        if all(after[n] is not None for n in changed):
            return self._asked((CREATE,), arn, merged(here, LATER, self._sets(state, after)))
        if any(after[n] is not None for n in changed):
            return None
        if len(changed) == 1:
            named = {
                "ForAnyValue:StringEqualsIgnoreCase": {"aws:TagKeys": [self._keys[changed[0]]]}
            }
            return self._asked((DELETE,), arn, merged(here, named))
        if all(each is None for each in after):
            return self._asked((DELETE,), arn, merged(here, {"Null": {"aws:TagKeys": "true"}}))
        return None

    def _sets(self, state: State, after: State) -> Conditions:
        conditions: list[Conditions] = []
        for key, old, new in zip(self._keys, state, after, strict=True):
            if old != new:
                conditions.append({"StringEquals": {REQUEST + key: new}})
            elif old is None:
                conditions.append({"Null": {REQUEST + key: "true"}})
            else:
                conditions.append({"StringEqualsIfExists": {REQUEST + key: old}})
        return merged(*conditions)

    def _resource(self, state: State) -> Conditions:
        return merged(
            *(
                {"Null": {RESOURCE + key: "true"}}
                if value is None
                else {"StringEquals": {RESOURCE + key: value}}
                for key, value in zip(self._keys, state, strict=True)
            )
        )

    def _asked(self, actions: Sequence[str], arn: str, where: Conditions) -> Witness | None:
        verdict = never(self._policies, Shape(tuple(actions), (arn,), where))
        self._certain = self._certain and verdict.answer != "undecided"
        return verdict.witness

    def _states(self) -> Iterator[State]:
        return product(*self._values)

    def _of_key(self, key: str) -> list[str | None]:
        """Return the values of a tag that the policies tell apart, and that it may be absent."""
        patterns = _patterns(self._policies, key)
        if key == self._tag.key:
            patterns.append(Glob(tuple(self._tag.value)))
        texts, _ = representatives(patterns, [self._tag.value, "other", ""], glob("*"))
        return [None, *texts]


def _followed(policies: Policies, tag: Tag) -> list[str]:
    """Return the keys of the tags that some statement tests on a resource; the guard tag first."""
    found = {tag.key.lower(): tag.key}
    for name in _tested(policies):
        for prefix in (RESOURCE.lower(), _EC2_RESOURCE):
            if name.lower().startswith(prefix):
                found.setdefault(name[len(prefix) :].lower(), name[len(prefix) :])
    return list(found.values())


def _tested(policies: Policies) -> Iterator[str]:
    for document in documents(policies):
        for statement in document.statements:
            yield from (each.key for each in statement.conditions)


def _patterns(policies: Policies, key: str) -> list[Glob]:
    """Return the patterns by which *policies* test the tag *key*, wherever it is."""
    names = {prefix + key.lower() for prefix in (RESOURCE.lower(), REQUEST.lower(), _EC2_RESOURCE)}
    found = []
    for document in documents(policies):
        for statement in document.statements:
            for each in statement.conditions:
                if each.key.lower() not in names:
                    continue
                wild, fold = "like" in each.operator.lower(), "ignorecase" in each.operator.lower()
                for value in each.values:
                    made = glob(value) if wild else Glob(tuple(value))
                    found.append(replace(made, fold=fold))
    return found


def instance_arns(policies: Policies) -> tuple[list[str], bool]:
    """Return an instance of each kind that *policies* tell apart by ARN or region.

    And whether these are all: policy variables, or too many kinds, leave some out.
    """
    patterns: list[list[Glob]] = [[], [], [], []]
    complete = True
    for document in documents(policies):
        for statement in document.statements:
            for text in (*(statement.resource or ()), *(statement.not_resource or ())):
                fields = text.split(":", 5)
                complete = complete and "${" not in text
                if len(fields) == ARN_FIELDS:
                    for place, index in enumerate((1, 3, 4, 5)):
                        patterns[place].append(glob(fields[index], inside=index != ARN_FIELDS - 1))
            for each in statement.conditions:
                if each.key.lower() in REGION_KEYS:
                    complete = complete and "${" not in "".join(each.values)
                    patterns[1] += [glob(value) for value in each.values]
    choices = []
    for made, hints, universe in zip(patterns, HINTS, UNIVERSES, strict=True):
        texts, all_of_them = representatives(made, hints, universe)
        complete = complete and all_of_them
        choices.append(texts)
    arns = [f"arn:{p}:ec2:{r}:{a}:{i}" for p, r, a, i in product(*choices)]
    return arns[:MAX_INSTANCES], complete and len(arns) <= MAX_INSTANCES


def _way(before: Mapping[State, tuple[State, Witness] | None], state: State) -> Iterable[Witness]:
    steps: list[Witness] = []
    while (came := before[state]) is not None:
        state, step = came
        steps.insert(0, step)
    return steps


def _sequence(calls: Sequence[Witness]) -> Reached:
    """Return *calls* as the answer, unless what cannot change differs between them."""
    key = changing_key([each.request for each in calls])
    if key is not None:
        return _unfound(f"the calls need different values of {key}")
    return Reached("broken", tuple(calls))


def changing_key(requests: Sequence[Request]) -> str | None:
    """Return a key that *requests* of one caller about one instance cannot differ in, but do."""
    for key in sorted({key for each in requests for key in each.context}):
        name = key.lower()
        if name.startswith((_EC2_RESOURCE, RESOURCE.lower(), REQUEST.lower())) or name in _PASSING:
            continue
        if not name.startswith(_LASTING):
            continue
        values = {_value(each, key) for each in requests if key in each.context}
        if len(values) > 1:
            return key
    return None


def _value(request: Request, key: str) -> object:
    value = request.context[key]
    return tuple(value) if isinstance(value, list) else value


def _unfound(reason: str) -> Reached:
    return Reached("undecided", (), (), reason)


def _reached(verdict: Verdict) -> Reached:
    calls = (verdict.witness,) if verdict.witness else ()
    return Reached(verdict.answer, calls, verdict.assumptions, verdict.reason)


def _where(shape: Shape, *conditions: Conditions) -> Shape:
    return replace(shape, conditions=merged(shape.conditions, *conditions))


def _used(*verdicts: Verdict) -> tuple[Assumption, ...]:
    return tuple(dict.fromkeys(a for each in verdicts for a in each.assumptions))
