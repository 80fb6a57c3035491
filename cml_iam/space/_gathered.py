"""What the statements at a place require of requests, by key, and in which partitions.

Resources, callers, ARNs and regions are in the partition of the account. If the partition is
unknown, the question is asked for each partition; the region then belongs to the partition of the
ARN. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cml_iam.engine.parts import is_arn
from cml_iam.facts import (
    PARTITIONS,
    REGION,
    Assumption,
    every_name,
    names_of,
    partition_of,
    same_key,
)
from cml_iam.space._callers import partition_of_caller
from cml_iam.space._examples import base_type
from cml_iam.space._globs import Glob, glob
from cml_iam.space._statements import CALLER, FIELD_KEYS, Choice, FieldPattern, Part

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cml_iam.space._conditions import KeyCondition
    from cml_iam.space._places import Place

Memo = dict[Any, Any]
"""A cache of field texts and key values, shared by all places to which the same statements apply.
"""


@dataclass(frozen=True)
class Gathered:
    """What the statements at one place require, by key; keys are named by `same_key`.

    *spelt* has each condition key as first written. *needs* are the keys of the policy variables
    with which a key or field is compared; *in_fields* are those in any field of an ARN but the
    last. *lists* are the keys that some statement, perhaps about other actions, treats as a list.
    *partitions* are those that resources and callers can be in.
    """

    place: Place
    parts: Sequence[Part]
    memo: Memo
    conditions: Mapping[str, Sequence[KeyCondition]]
    fields: Mapping[str, Sequence[FieldPattern]]
    spelt: Mapping[str, str]
    needs: Mapping[str, frozenset[str]]
    in_fields: frozenset[str]
    lists: frozenset[str]
    principals: bool
    names_ec2_keys: bool
    partitions: tuple[str, ...]

    def at(self, place: Place) -> Gathered:
        """Return the same for another place, which must also have an ARN or also have none."""
        return replace(self, place=place)

    @property
    def keys(self) -> list[str]:
        """Every key that some statement tests."""
        fields = [key for key in FIELD_KEYS[1:] if self.place.fields is not None]
        caller = [CALLER] if self.principals else []
        return [*caller, *self.conditions, *fields]

    def names(self, key: str) -> tuple[str, ...]:
        """Return the names of a condition key; a request has it under some, all or none of them."""
        spelt = self.spelt[key]
        return every_name(spelt) if self._by_other_name(key) else self.own_names(key)

    def own_names(self, key: str) -> tuple[str, ...]:
        """Return the names under which requests here have *key*, as AWS documents."""
        return names_of(self.spelt[key], self.place.action)

    def has_names(self, key: str) -> bool:
        """Return whether statements use several names of *key*, so that names matter."""
        spelt = {condition.condition.key.lower() for condition in self.conditions[key]}
        return len(spelt) + self.names_ec2_keys > 1 and len(every_name(self.spelt[key])) > 1

    def _by_other_name(self, key: str) -> bool:
        asked = self.conditions[key]
        return self.names_ec2_keys or any(
            condition.condition.key.lower().startswith("ec2:") for condition in asked
        )


def gather(
    place: Place,
    parts: Sequence[Part],
    memo: Memo,
    *,
    principals: bool = False,
    lists: frozenset[str] = frozenset(),
    partition: str = "",
) -> Gathered:
    """Return what *parts* require of requests at *place*, with *principals* also of the caller.

    *partition* is the account's; if it is unknown, all partitions are considered.
    """
    conditions: dict[str, list[KeyCondition]] = {}
    fields: dict[str, list[FieldPattern]] = {}
    spelt: dict[str, str] = {}
    needs: dict[str, frozenset[str]] = {}
    for part in parts:
        for asked in part.asked:
            name = same_key(asked.condition.key)
            spelt.setdefault(name, asked.condition.key)
            conditions.setdefault(name, []).append(asked)
            needs[name] = needs.get(name, frozenset()) | asked.needs()
        for pattern in (each for fields_of in part.patterns for each in fields_of):
            if place.fields is not None:
                fields.setdefault(pattern.key, []).append(pattern)
                needs[pattern.key] = needs.get(pattern.key, frozenset()) | pattern.needs
    named = [key for part in parts for key in part.named_in_variables]
    for key in named:
        conditions.setdefault(key, [])
        spelt.setdefault(key, key)
    return Gathered(
        place,
        parts,
        memo,
        conditions,
        fields,
        spelt,
        needs,
        frozenset(key for part in parts for key in part.named_in_fields),
        lists,
        principals or any(part.principal() is not None for part in parts),
        any(part.names_ec2_keys for part in parts),
        (partition,) if partition else tuple(dict.fromkeys((*PARTITIONS, *_partitions(parts)))),
    )


def _partitions(parts: Sequence[Part]) -> Iterator[str]:
    """Yield the partitions that the resources and principals of *parts* name."""
    for part in parts:
        for pattern in (field for fields in part.patterns for field in fields):
            plain = pattern.index == 1 and not pattern.needs and pattern.glob({})
            yield from (plain.plain,) if plain and plain.plain else ()
        for element in (part.statement.principal, part.statement.not_principal):
            for _, ids in element.ids if element else ():
                yield from (each.split(":")[1] for each in ids if each.startswith("arn:"))


ARNS: Final = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html"
PARTITION: Final = FIELD_KEYS[1]
ARN_REGION: Final = FIELD_KEYS[3]
REGIONS: Final = frozenset({REGION, ARN_REGION})


class Partitions(NamedTuple):
    """The partitions that are considered at a place."""

    gathered: Gathered

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the partitions."""
        return self.gathered.partitions

    def fact(self) -> Assumption:
        """Return the assumption."""
        text = (
            f"AWS has the partitions {', '.join(self.names)}, and no partition reaches another"
            if self.names[1:]
            else f"the account is in the partition {self.names[0]}, which reaches no other"
        )
        return Assumption("partitions", PARTITION, text, ARNS)

    def respected_by(self, given: Choice) -> bool:
        """Return whether everything in the request *given* belongs to one of the partitions."""
        names = self.gathered.names
        values = [(key, given.get(names(key)[0])) for key in self.gathered.conditions]
        if PARTITION in given:
            values += [(PARTITION, given[PARTITION]), (ARN_REGION, given[ARN_REGION])]
        fit = all(self.fits(key, value) for key, value in values)
        return fit and self.has(given.get(CALLER)) and self.region_agrees(given)

    def has(self, caller: str | None) -> bool:
        """Return whether *caller* may be in one of the partitions; a service always may."""
        partition = partition_of_caller(caller)
        return partition is None or partition in self.names

    def fits(self, key: str, value: Any) -> bool:
        """Return whether *value* is possible for *key*."""
        if key == PARTITION:
            return value in self.names
        if isinstance(value, list):
            return all(self.fits(key, each) for each in value)
        if not value or not isinstance(value, str):
            return True
        if self._is_plain_arn(key) and is_arn(value):
            return value.split(":")[1] in self.names
        return key not in REGIONS or partition_of(value) in self.names

    def region_agrees(self, given: Choice) -> bool:
        """Return whether the region belongs to the ARN's partition."""
        partition = given.get(PARTITION)
        if partition not in PARTITIONS:
            return True
        asked = REGION in self.gathered.conditions
        names = self.gathered.names(REGION)[:1] if asked else ()
        regions = (given.get(name) for name in (ARN_REGION, *names))
        return all(partition_of(str(region)) == partition for region in regions if region)

    def distinguished_by(self, key: str) -> Iterator[Glob]:
        """Yield patterns that separate the values of *key* by partition."""
        if key == PARTITION:
            yield from (Glob(tuple(name)) for name in self.names)
        if key in REGIONS:
            yield from (glob("cn-*"), glob("us-gov-*"))
        if self._is_plain_arn(key):
            yield from (glob(f"arn:{name}:*") for name in self.names)

    def ties(self, keys: set[str]) -> Iterator[set[str]]:
        """Yield the *keys* that depend on each other; none do if there is only one partition."""
        if self.names[1:] and PARTITION in keys:
            yield keys & {PARTITION, *REGIONS}

    def _is_plain_arn(self, key: str) -> bool:
        """Return whether *key* holds an ARN whose value no policy variable affects."""
        needs = self.gathered.needs
        is_arn_key = key not in FIELD_KEYS and base_type(key) in {"ARN", "Principal"}
        return is_arn_key and not needs.get(key) and not any(key in n for n in needs.values())
