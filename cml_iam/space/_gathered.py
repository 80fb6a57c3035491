"""What the statements about a place ask of requests there, key by key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cml_iam.facts import PARTITIONS, every_name, names_of, same_key
from cml_iam.space._conditions import KeyCondition
from cml_iam.space._places import Place
from cml_iam.space._statements import CALLER, FIELD_KEYS, FieldPattern, Part

Memo = dict[Any, Any]
"""Texts of fields and values of keys, for all places that the same statements are about."""


@dataclass(frozen=True)
class Gathered:
    """What the statements about one place ask, key by key; keys are named by `same_key`.

    *spelt* has each condition key as it is written first. *needs* are the keys of the policy
    variables that a key or field is compared with, *in_fields* those that stand in a field of an
    ARN before the last. *lists* are the keys that some statement, maybe about other actions, asks
    for as a list. *partitions* are those that resources and callers can be in.
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
        """Return the same for another place with a resource of the same kind: an ARN, or none."""
        return replace(self, place=place)

    @property
    def keys(self) -> list[str]:
        """Every key something is asked of."""
        fields = [key for key in FIELD_KEYS[1:] if self.place.fields is not None]
        caller = [CALLER] if self.principals else []
        return [*caller, *self.conditions, *fields]

    def names(self, key: str) -> tuple[str, ...]:
        """Return the names of a condition key; a request has it under some of them or none."""
        spelt = self.spelt[key]
        return every_name(spelt) if self._by_other_name(key) else self.own_names(key)

    def own_names(self, key: str) -> tuple[str, ...]:
        """Return the names under which requests here have *key*, by what is known of AWS."""
        return names_of(self.spelt[key], self.place.action)

    def has_names(self, key: str) -> bool:
        """Say whether statements ask for *key* by several names, so that these matter."""
        spelt = {each.condition.key.lower() for each in self.conditions[key]}
        return len(spelt) + self.names_ec2_keys > 1 and len(every_name(self.spelt[key])) > 1

    def _by_other_name(self, key: str) -> bool:
        asked = self.conditions[key]
        return self.names_ec2_keys or any(
            each.condition.key.lower().startswith("ec2:") for each in asked
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
    """Return what *parts* ask of requests at *place*; with *principals*, who calls in any case.

    *partition* is that of the account, if it is known; otherwise all are asked about.
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
    """Yield the partitions that the resources and principals of *parts* are said to be in."""
    for part in parts:
        for each in (field for fields in part.patterns for field in fields):
            plain = each.index == 1 and not each.needs and each.glob({})
            yield from (plain.plain,) if plain and plain.plain else ()
        for element in (part.statement.principal, part.statement.not_principal):
            for _, ids in element.ids if element else ():
                yield from (each.split(":")[1] for each in ids if each.startswith("arn:"))
