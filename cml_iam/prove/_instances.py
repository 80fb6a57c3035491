"""The instances in sequences of calls that policies distinguish, their tags, and the time."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Final, NamedTuple

from cml_iam.engine import OperatorName, Request
from cml_iam.engine.parts import moment
from cml_iam.facts import (
    EXAMPLE_ACCOUNT,
    EXAMPLE_IDS,
    EXAMPLE_REGIONS,
    LATER,
    OTHER_ACCOUNT,
    PARTITIONS,
    TAGGING,
    arn_pattern,
    covers,
    partition_of,
)
from cml_iam.policy import Conditions, merged
from cml_iam.space import (
    ACCOUNT_ID,
    REGION_NAME,
    Glob,
    Policies,
    Shape,
    glob,
    moments,
    representatives,
    side_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cml_iam.policy import Statement
    from cml_iam.prove._answers import Witness
    from cml_iam.site import Tag


CREATE, DELETE = TAGGING
RESOURCE, REQUEST = "aws:ResourceTag/", "aws:RequestTag/"


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
    given = {test.holds: {REQUEST + test.key: test.values}}
    return Shape((CREATE,), resources, merged(test.missing, given, LATER))


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


def literal(text: str) -> str:
    """Return *text* as a policy value without policy variables."""
    return text.replace("${", "${$}{")


def where(shape: Shape, *conditions: Conditions) -> Shape:
    """Return the requests of *shape* that also meet *conditions*."""
    return replace(shape, conditions=merged(shape.conditions, *conditions))


MAX_INSTANCES: Final = 100
"""The maximum number of instances to search sequences for, one of each kind."""

ARN_FIELDS: Final = 6
REGION_KEYS: Final = frozenset({"aws:requestedregion", "ec2:region"})
INSTANCE_ID: Final = "ec2:instanceid"
HINTS: Final = (
    PARTITIONS,
    tuple(EXAMPLE_REGIONS[each][0] for each in PARTITIONS) + EXAMPLE_REGIONS["aws"],
    (EXAMPLE_ACCOUNT, OTHER_ACCOUNT),
    (f"instance/{EXAMPLE_IDS['instance']}",),
)
UNIVERSES: Final = (glob("?*"), REGION_NAME, ACCOUNT_ID, glob("instance/?*"))
EC2_RESOURCE: Final = "ec2:resourcetag/"


def is_among(arn: str, goal: Shape) -> bool:
    """Return whether the resource *arn* is one of the resources in *goal*."""
    fields = arn_pattern(arn, variables=False)
    named = goal.resources if goal.not_resources is None else goal.not_resources
    found = any(
        fields is not None and pattern is not None and covers(pattern, fields)
        for pattern in map(arn_pattern, named)
    )
    return found is (goal.not_resources is None)


def followed_tags(statements: Sequence[Statement], tag: Tag) -> list[str]:
    """Return the keys of the resource tags that any statement tests; the guard tag is first."""
    found = {tag.key.lower(): tag.key}
    for name in (condition.key for statement in statements for condition in statement.conditions):
        for prefix in (RESOURCE.lower(), EC2_RESOURCE):
            if name.lower().startswith(prefix):
                found.setdefault(name[len(prefix) :].lower(), name[len(prefix) :])
    return list(found.values())


def tag_patterns(statements: Sequence[Statement], key: str) -> tuple[list[Glob], bool]:
    """Return the patterns with which *statements* test the tag *key* anywhere.

    Also returns whether there are no other tests: those of numbers and policy variables are not
    patterns.
    """
    names = {prefix + key.lower() for prefix in (RESOURCE.lower(), REQUEST.lower(), EC2_RESOURCE)}
    found: list[Glob] = []
    exact = True
    for each in (condition for said in statements for condition in said.conditions):
        if each.key.lower() not in names:
            continue
        base = OperatorName.parse(each.operator).base
        exact = exact and (base == "null" or base.startswith("string"))
        exact = exact and "${" not in "".join(each.values)
        for value in each.values:
            made = glob(value) if "like" in base else Glob(tuple(value))
            found.append(made._replace(fold="ignorecase" in base))
    return found, exact


def instance_arns(
    statements: Sequence[Statement], partitions: Sequence[str]
) -> tuple[list[str], bool]:
    """Return an instance in *partitions* for each ARN pattern and region in *statements*.

    Also returns whether these are all: some are missing if there are policy variables or too many
    kinds.
    """
    every = [Glob(tuple(each)) for each in partitions]
    patterns: list[list[Glob]] = [every, [glob("cn-*"), glob("us-gov-*")], [], []]
    complete = True
    for statement in statements:
        for text in (*(statement.resource or ()), *(statement.not_resource or ())):
            complete = complete and "${" not in text
            fields = arn_pattern(text, variables=False) or ()
            for place, index in enumerate((1, 3, 4, 5) if fields else ()):
                patterns[place].append(glob(fields[index], inside=index != ARN_FIELDS - 1))
        for condition in statement.conditions:
            if condition.key.lower() in REGION_KEYS:
                complete = complete and "${" not in "".join(condition.values)
                fold = "ignorecase" in condition.operator.lower()
                patterns[1] += [glob(value)._replace(fold=fold) for value in condition.values]
            if condition.key.lower() == INSTANCE_ID:
                complete = complete and "${" not in "".join(condition.values)
                fold = "ignorecase" in condition.operator.lower()
                ids = (glob(f"instance/{value}") for value in condition.values)
                patterns[3] += [each_id._replace(fold=fold) for each_id in ids]
    choices = []
    for made, hints, universe in zip(patterns, HINTS, UNIVERSES, strict=True):
        kinds = every if made is every else ()
        texts, all_of_them = representatives(made, hints, universe, kinds)
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

_PASSING: Final = frozenset({"ec2:createaction", "ec2:region"})

_TIMES: Final = frozenset({"aws:currenttime", "aws:epochtime"})


def changing_key(requests: Sequence[Request]) -> str | None:
    """Return a key whose values differ in *requests* although caller and instance are the same."""
    for key in sorted({key for request in requests for key in request.context}):
        name = key.lower()
        if name.startswith((EC2_RESOURCE, RESOURCE.lower(), REQUEST.lower())) or name in _PASSING:
            continue
        if not name.startswith(_LASTING):
            continue
        values = {_value(request, key) for request in requests if key in request.context}
        if len(values) > 1:
            return key
    return None


def _value(request: Request, key: str) -> object:
    value = request.context[key]
    return tuple(value) if isinstance(value, list) else value


def in_time(
    policies: Policies, statements: Sequence[Statement], calls: Sequence[Witness]
) -> tuple[Witness, ...] | None:
    """Return *calls* with times that never go backwards, each as early as allowed.

    *statements* must include all that test times. Returns None if no times are possible.
    """
    last: dict[str, int] = {}
    found = []
    for call in calls:
        request = call.request
        for key in (key for key in call.request.context if key.lower() in _TIMES):
            times = _times(statements, request, key)
            later = (_at(request, key, text) for at, text in times if at >= last.get(key, at))
            earliest = next((each for each in later if _allows(policies, each)), None)
            if earliest is None:
                return None
            request = earliest
            last[key] = moment(str(request.context[key])) or 0
        found.append(replace(call, request=request))
    return tuple(found)


def _times(
    statements: Sequence[Statement], request: Request, key: str
) -> Iterator[tuple[int, str]]:
    """Yield the points in time that *statements* distinguish by *key*, in order."""
    named = [
        value
        for statement in statements
        for condition in statement.conditions
        if condition.key.lower() == key.lower()
        for value in condition.values
    ]
    for text in moments([*named, str(request.context[key])]):
        at = moment(text)
        if at is not None:
            yield at, text


def _at(request: Request, key: str, text: str) -> Request:
    return request._replace(context={**request.context, key: text})


def _allows(policies: Policies, request: Request) -> bool:
    return side_of(policies).authorizer.decide(request).allowed
