"""What the statements about a place ask of requests there, key by key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any

from cml_iam.facts import every_name, names_of, same_key
from cml_iam.space._conditions import Asked
from cml_iam.space._hints import RESOURCE_FIELD
from cml_iam.space._places import Place
from cml_iam.space._statements import CALLER, FIELD_KEYS, FieldPattern, Part

Memo = dict[Any, Any]
"""Texts of fields and values of keys, for all places that the same statements are about."""


@dataclass
class Gathered:
    """What the statements about one place ask, key by key.

    *lists* are the keys that some statement, maybe about other actions, asks for as a list.
    """

    place: Place
    parts: Sequence[Part]
    memo: Memo = field(default_factory=dict)
    conditions: dict[str, list[Asked]] = field(default_factory=dict)
    fields: dict[str, list[FieldPattern]] = field(default_factory=dict)
    spelt: dict[str, str] = field(default_factory=dict)
    needs: dict[str, set[str]] = field(default_factory=dict)
    principals: bool = False
    names_ec2_keys: bool = False
    in_fields: set[str] = field(default_factory=set)
    lists: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for part in self.parts:
            self.principals = self.principals or part.principal() is not None
            self.names_ec2_keys = self.names_ec2_keys or part.names_ec2_keys
            for each in part.asked:
                name = same_key(each.condition.key)
                self.spelt.setdefault(name, each.condition.key)
                self.conditions.setdefault(name, []).append(each)
                self.in_fields |= each.needs() if each.family == "arn" else set()
                self._need(name, each.needs())
            for pattern in part.patterns:
                for each_field in pattern:
                    self.in_fields |= (
                        each_field.needs if each_field.index < RESOURCE_FIELD else set()
                    )
            if self.place.fields is None:
                self._all_needed(part.needs)
                continue
            for pattern in part.patterns:
                for each_field in pattern:
                    self.fields.setdefault(each_field.key, []).append(each_field)
                    self._need(each_field.key, each_field.needs)

    def at(self, place: Place) -> Gathered:
        """Return the same for another place with a resource of the same kind: an ARN, or none."""
        other = copy(self)
        other.place = place
        return other

    def _need(self, name: str, needed: Iterable[str]) -> None:
        self.needs.setdefault(name, set()).update(needed)
        self._all_needed(needed)

    def _all_needed(self, needed: Iterable[str]) -> None:
        for each in needed:
            self.conditions.setdefault(each, [])
            self.spelt.setdefault(each, each)

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
