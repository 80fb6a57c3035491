"""What requests can differ in besides action and resource: one axis for each condition key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, combinations, product
from typing import Any, Final

from cml_iam.compare._clauses import Clause, Test
from cml_iam.compare._values import EXAMPLE, family, filled, singles_of, values_of
from cml_iam.facts import is_region, same_key
from cml_iam.policy import Condition

Choice = Mapping[str, Any]
"""Condition keys with their values; a key that is not there is absent."""

TAG_KEYS: Final = "aws:tagkeys"
REQUEST_TAG: Final = "aws:requesttag/"
RESOURCE_TAG: Final = "aws:resourcetag/"
OTHER_TAG: Final = "Owner"
MAX_TAG_CHOICES: Final = 400
MAX_JOINED: Final = 4096
"""Choices of axes that have to be taken together because a policy variable ties them."""


@dataclass(frozen=True, slots=True)
class Axis:
    """The *choices* for some condition keys (their names in lower case, by `same_key`)."""

    keys: frozenset[str]
    choices: tuple[Choice, ...]


def axes_of(
    clauses: Iterable[Clause],
    has_key: Callable[[str], bool],
    base: Mapping[str, Any],
    *,
    unusual: bool = False,
) -> tuple[Axis, ...]:
    """Return the axes for what *clauses* ask of a request that can have the keys *has_key*.

    *unusual* takes keys apart that no request of AWS has one without the other.
    """
    clauses = tuple(clauses)
    asked = _asked(clauses)
    usual = {same_key(key): value for key, value in base.items()}
    plain = {
        name: found
        for name, found in asked.items()
        if not is_region(name) and name != TAG_KEYS and not name.startswith(REQUEST_TAG)
    }
    tags = _request_tags(asked, has_key)
    axes = [_taken_apart(tags) if unusual else tags] if tags else []
    for name, (key, conditions) in plain.items():
        spellings = [each for each in _spellings(key, name) if has_key(each)]
        if spellings:
            values = values_of(key, conditions, usual.get(name, _usual(conditions)))
            choices = tuple(
                {} if value is None else dict.fromkeys(spellings, value) for value in values
            )
            axes.append(Axis(frozenset({name}), choices))
    return tuple(axes)


def regions_of(base: Mapping[str, Any]) -> Axis:
    """Return the axis of a request whose region is absent, or spelled as AWS never does."""
    here = {key: value for key, value in base.items() if is_region(key)}
    spelt = {key: value.swapcase() for key, value in here.items()}
    return Axis(frozenset({"aws:requestedregion"}), (here, spelt, {}))


def joined(axes: Iterable[Axis], tests: Iterable[Test]) -> tuple[tuple[Axis, ...], bool]:
    """Return *axes* with those made one that some test asks about together; whether all fit."""
    found, complete = list(axes), True
    for test in tests:
        touched = [axis for axis in found if axis.keys & test.keys]
        if len(touched) > 1:
            size = 1
            for axis in touched:
                size *= len(axis.choices)
            complete = complete and size <= MAX_JOINED
            found = [axis for axis in found if axis not in touched] + [_product(touched)]
    return tuple(found), complete


def _product(axes: list[Axis]) -> Axis:
    choices: list[Choice] = []
    for parts in product(*(axis.choices for axis in axes)):
        if len(choices) == MAX_JOINED:
            break
        choices.append({key: value for part in parts for key, value in part.items()})
    return Axis(frozenset().union(*(axis.keys for axis in axes)), tuple(choices))


def _asked(clauses: Iterable[Clause]) -> dict[str, tuple[str, list[Condition]]]:
    """Return the conditions by key; a key that stands only in a policy variable has none."""
    found: dict[str, tuple[str, list[Condition]]] = {}
    for clause in clauses:
        for condition, _ in clause.conditions:
            name = same_key(condition.key)
            found.setdefault(name, (condition.key, []))[1].append(condition)
    for clause in clauses:
        for test in (clause.reach, *(test for _, test in clause.conditions)):
            for name in test.keys:
                found.setdefault(name, (name, []))
    return found


def _usual(conditions: list[Condition]) -> str | None:
    """Return a value for a key that only policy variables ask for."""
    return None if conditions else EXAMPLE


def _spellings(key: str, name: str) -> list[str]:
    if not name.startswith(RESOURCE_TAG):
        return [key]
    tag = key.partition("/")[2]
    return [f"aws:ResourceTag/{tag}", f"ec2:ResourceTag/{tag}"]


def _request_tags(
    asked: Mapping[str, tuple[str, list[Condition]]], has_key: Callable[[str], bool]
) -> Axis | None:
    """Return the axis of the tags a request sets: their keys and values belong together."""
    names = frozenset(n for n in asked if n == TAG_KEYS or n.startswith(REQUEST_TAG))
    if not names:
        return None
    options = _tags_by_key(asked)
    known: list[Choice] = []
    for combination in _combinations([*options.values(), [(OTHER_TAG, "x")]]):
        choice = _request(dict(combination), has_key)
        if choice not in known:
            known.append(choice)
    return Axis(names, tuple(known)) if known != [{}] else None


def _taken_apart(tags: Axis) -> Axis:
    """Return *tags* and the same with the tags' keys only, and with their values only."""
    parts: list[Choice] = list(tags.choices)
    for choice in tags.choices:
        for listed in (True, False):
            part = {k: v for k, v in choice.items() if (k == "aws:TagKeys") is listed}
            if part not in parts:
                parts.append(part)
    return Axis(tags.keys, tuple(parts))


def _tags_by_key(
    asked: Mapping[str, tuple[str, list[Condition]]],
) -> dict[str, list[tuple[str, str]]]:
    """Return for each tag key the conditions name the tags to try: values, and other spelling."""
    spelled: dict[str, list[str]] = {}
    values: dict[str, list[str]] = {}
    for condition in asked.get(TAG_KEYS, ("", []))[1]:
        values_named = () if family(condition.operator) == "null" else condition.values
        for key in chain.from_iterable(map(filled, values_named)):
            spelled.setdefault(key.lower(), []).append(key)
    for name, (key, conditions) in asked.items():
        if name.startswith(REQUEST_TAG):
            tag = key.partition("/")[2]
            spelled.setdefault(tag.lower(), []).append(tag)
            values[tag.lower()] = singles_of(key, conditions)
    return {
        lower: _spelt(list(dict.fromkeys(keys)), values.get(lower, ["x"]))
        for lower, keys in spelled.items()
    }


def _spelt(keys: list[str], values: list[str]) -> list[tuple[str, str]]:
    """Return tags with each value, and with each spelling of the key."""
    first = keys[0]
    respelt = first.lower() if first != first.lower() else first.upper()
    others = [each for each in dict.fromkeys((*keys[1:], respelt)) if each != first]
    return [*((first, value) for value in values), *((key, values[0]) for key in others)]


def _combinations(options: list[list[tuple[str, str]]]) -> Iterable[tuple[tuple[str, str], ...]]:
    """Yield sets of tags, at most one of each of *options*; fewer where all would be too many."""
    size = 1
    for each in options:
        size *= len(each) + 1
    if size <= MAX_TAG_CHOICES:
        for parts in product(*([*each, None] for each in options)):
            yield tuple(part for part in parts if part is not None)
        return
    for count in (0, 1, 2):
        for chosen in combinations(options, count):
            yield from product(*chosen)
    yield tuple(each[0] for each in options)
    for left_out in options:
        yield tuple(each[0] for each in options if each is not left_out)


def _request(tags: Mapping[str, str], has_key: Callable[[str], bool]) -> Choice:
    made: dict[str, Any] = {
        f"aws:RequestTag/{key}": value
        for key, value in tags.items()
        if has_key(f"aws:RequestTag/{key}")
    }
    if tags and has_key("aws:TagKeys"):
        made["aws:TagKeys"] = list(tags)
    return made
