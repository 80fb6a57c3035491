"""The instances in sequences of calls that policies distinguish, their tags, and the time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Final, NamedTuple

from cml_iam.engine import Request
from cml_iam.engine.parts import moment
from cml_iam.facts import (
    EXAMPLE_ACCOUNT,
    EXAMPLE_IDS,
    EXAMPLE_REGIONS,
    LATER,
    OTHER_ACCOUNT,
    PARTITIONS,
    TAGGING,
    partition_of,
)
from cml_iam.policy import Conditions, merged
from cml_iam.prove._answers import Witness
from cml_iam.space import (
    ACCOUNT_ID,
    REGION_NAME,
    Glob,
    KeyCondition,
    Part,
    Policies,
    Shape,
    glob,
    moments,
    representatives,
    side_of,
)

if TYPE_CHECKING:
    from cml_iam.site import Tag


CREATE, DELETE = TAGGING
RESOURCE, REQUEST = "aws:ResourceTag/", "aws:RequestTag/"
IGNORING_CASE: Final = "ForAnyValue:StringEqualsIgnoreCase"


class TagTest(NamedTuple):
    """A test that the tag *key* has one of *values*: the operator *holds*, its negation *fails*."""

    key: str
    values: tuple[str, ...]
    holds: str = "StringEquals"
    fails: str = "StringNotEquals"

    @property
    def carried(self) -> Conditions:
        """The condition under which the resource passes the test."""
        return {self.holds: {RESOURCE + self.key: self.values}}

    @property
    def missing(self) -> Conditions:
        """The condition under which the resource fails the test."""
        return {self.fails: {RESOURCE + self.key: self.values}}


def taking_over(tag: Tag, operate: Shape) -> tuple[Shape, Shape]:
    """Return the calls of *operate* on instances without *tag*, and the calls that add the tag."""
    test = TagTest(tag.key, (literal(tag.value),))
    return where(operate, test.missing), giving(test, operate.resources)


def giving(test: TagTest, resources: Sequence[str]) -> Shape:
    """Return the calls that make one of *resources* pass *test* after failing it."""
    sent = {test.holds: {REQUEST + test.key: test.values}}
    return Shape((CREATE,), resources, merged(test.missing, sent, LATER))


def losing(tag: Tag, instances: Sequence[str]) -> tuple[Shape, ...]:
    """Return the calls that take *tag* from an instance that carries it."""
    return taking_away(TagTest(tag.key, (literal(tag.value),)), instances)


def taking_away(
    test: TagTest, resources: Sequence[str], *, exact: bool = False
) -> tuple[Shape, ...]:
    """Return the calls that make one of *resources* fail *test* after passing it.

    With *exact*, only the calls that spell the tag's key in its own case. Condition keys ignore
    case, but for EC2 a different case is a different tag.
    """
    requested = REQUEST + test.key
    operator = "ForAnyValue:StringEquals" if exact else IGNORING_CASE
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


def literal(text: str) -> str:
    """Return *text* as a policy value without policy variables."""
    return text.replace("${", "${$}{")


def where(shape: Shape, *conditions: Conditions) -> Shape:
    """Return the requests of *shape* that also meet *conditions*."""
    return replace(shape, conditions=merged(shape.conditions, *conditions))


MAX_INSTANCES: Final = 100
"""The maximum number of instances to search sequences for, one of each kind."""

EC2_RESOURCE: Final = "ec2:resourcetag/"
OF_RESOURCE: Final = (RESOURCE.lower(), EC2_RESOURCE)

_FIELDS: Final = {
    1: (PARTITIONS, glob("?*")),
    3: (
        (*(EXAMPLE_REGIONS[name][0] for name in PARTITIONS), *EXAMPLE_REGIONS["aws"]),
        REGION_NAME,
    ),
    4: ((EXAMPLE_ACCOUNT, OTHER_ACCOUNT), ACCOUNT_ID),
    5: ((f"instance/{EXAMPLE_IDS['instance']}",), glob("instance/?*")),
}
"""For each field of an instance's ARN that varies, examples and the pattern of all texts."""

_KEYS: Final = {
    "aws:requestedregion": (3, ""),
    "ec2:region": (3, ""),
    "ec2:instanceid": (5, "instance/"),
}
"""The keys that hold a field of an instance's ARN, or what follows a text in it."""


def followed_tags(conditions: Iterable[KeyCondition], tag: Tag) -> list[str]:
    """Return the keys of the resource tags that *conditions* test; the guard tag is first."""
    keys = {tag.key.lower(): tag.key}
    for name in (condition.condition.key for condition in conditions):
        for prefix in OF_RESOURCE:
            if name.lower().startswith(prefix):
                keys.setdefault(name[len(prefix) :].lower(), name[len(prefix) :])
    return list(keys.values())


def tag_patterns(conditions: Iterable[KeyCondition], key: str) -> tuple[list[Glob], bool]:
    """Return the patterns with which *conditions* test the tag *key* anywhere.

    Also returns whether there are no other tests: those of numbers and policy variables are not
    patterns, and only their values are tried.
    """
    names = {prefix + key.lower() for prefix in (*OF_RESOURCE, REQUEST.lower())}
    tests = [test for test in conditions if test.condition.key.lower() in names]
    exact = all(test.family in {"string", "null"} and not test.needs() for test in tests)
    others = (test for test in tests if test.needs() or test.family != "string")
    values = (glob(value) for test in others for value in test.condition.values)
    return [*(pattern for test in tests for pattern in test.globs({})), *values], exact


def instance_arns(parts: Sequence[Part], partitions: Sequence[str]) -> tuple[list[str], bool]:
    """Return an instance in *partitions* for each ARN pattern and region in *parts*.

    Also returns whether these are all: some are missing if there are policy variables or too many
    kinds.
    """
    every = [Glob(tuple(partition)) for partition in partitions]
    patterns = {1: [*every], 3: [glob("cn-*"), glob("us-gov-*")], 4: [], 5: []}
    complete = not any(part.needs for part in parts)
    for field in (field for part in parts for field in part.fields):
        pattern = field.glob({})
        if field.index in patterns and pattern:
            patterns[field.index].append(pattern)
    for test in (test for part in parts for test in part.asked):
        index, start = _KEYS.get(test.condition.key.lower(), (0, ""))
        if index:
            complete = complete and not test.needs()
            patterns[index] += [glob(start).then(pattern) for pattern in test.globs({})]
    choices = []
    for index, (examples, universe) in _FIELDS.items():
        kinds = every if index == 1 else ()
        texts, all_of_them = representatives(patterns[index], examples, universe, kinds)
        complete = complete and all_of_them
        choices.append(texts)
    arns = [
        f"arn:{partition}:ec2:{region}:{account}:{instance}"
        for partition, region, account, instance in product(*choices)
        if partition_of(region) == partition
    ]
    return arns[:MAX_INSTANCES], complete and len(arns) <= MAX_INSTANCES


_LASTING: Final = ("aws:principal", "aws:userid", "aws:username", "ec2:")
"""Prefixes of keys about the caller and the instance, whose values no sequence can change."""

_PASSING: Final = (EC2_RESOURCE, "ec2:createaction", "ec2:region")
_TIMES: Final = frozenset({"aws:currenttime", "aws:epochtime"})


def changing_key(requests: Sequence[Request]) -> str | None:
    """Return a key whose values differ in *requests* although caller and instance are the same."""
    for key in sorted({key for request in requests for key in request.context}):
        name = key.lower()
        if name.startswith(_LASTING) and not name.startswith(_PASSING):
            values = [request.context[key] for request in requests if key in request.context]
            if any(value != values[0] for value in values):
                return key
    return None


def in_time(
    policies: Policies, conditions: Sequence[KeyCondition], calls: Sequence[Witness]
) -> tuple[Witness, ...] | None:
    """Return *calls* with times that never go backwards, each as early as allowed.

    *conditions* must include all that test times. Returns None if no times are possible.
    """
    authorizer = side_of(policies).authorizer
    last: dict[str, int] = {}
    timed = []
    for call in calls:
        request = call.request
        for key in (key for key in call.request.context if key.lower() in _TIMES):
            later = (
                (at, request._replace(context={**request.context, key: text}))
                for at, text in _times(conditions, request, key)
                if at >= last.get(key, at)
            )
            earliest = next((pair for pair in later if authorizer.decide(pair[1]).allowed), None)
            if earliest is None:
                return None
            last[key], request = earliest
        timed.append(replace(call, request=request))
    return tuple(timed)


def _times(
    conditions: Iterable[KeyCondition], request: Request, key: str
) -> Iterator[tuple[int, str]]:
    """Yield the points in time that *conditions* distinguish by *key*, in order."""
    named = [str(request.context[key])]
    for condition in (condition.condition for condition in conditions):
        if condition.key.lower() == key.lower():
            named += condition.values
    for text in moments(named):
        at = moment(text)
        if at is not None:
            yield at, text
