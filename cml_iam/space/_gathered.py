"""What the statements at a place require of requests, by key, and what may be assumed of them.

Resources, callers, ARNs and regions are in the partition of the account. If the partition is
unknown, the question is asked for each partition; the region then belongs to the partition of the
ARN. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from functools import cached_property
from typing import Any, Final, NamedTuple

from cml_iam.facts import (
    OPERATORS,
    PARTITIONS,
    REGION,
    REQUEST_TAG,
    TAG_KEYS,
    Assumption,
    KnownKey,
    every_name,
    id_of,
    known_key,
    names_of,
    never_with,
    only_with,
    region_is_of_resource,
    region_of_endpoint,
    same_key,
    under_names,
)
from cml_iam.space._callers import PRINCIPAL_ACCOUNT, PRINCIPAL_ARN, home_partitions
from cml_iam.space._examples import NAMES, base_type
from cml_iam.space._places import Place
from cml_iam.space._statements import (
    CALLER,
    FIELD_KEYS,
    Choice,
    FieldPattern,
    KeyCondition,
    Part,
    all_plain,
)
from cml_iam.space._values import can_be_typed, compares_texts

PARTITION: Final = FIELD_KEYS[1]
ARN_REGION: Final = FIELD_KEYS[3]

_ARNS: Final = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html"
_KEYS: Final = (
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html"
)
_HELD: Final = {
    "Region": "the name of a region",
    "Account": "the id of an account",
    "Principal": "the ARN of a user, a role, a federated user or an account",
}

Memo = dict[Any, Any]
"""A cache of field texts and key values, shared by all places to which the same statements apply.
"""


class Frame(NamedTuple):
    """What is the same in a whole question: with *callers*, the caller may be anybody.

    *lists* are the keys that some statement, perhaps about other actions, treats as a list.
    *partition* is the account's; if it is unknown, all partitions are considered.
    """

    callers: bool = False
    lists: frozenset[str] = frozenset()
    partition: str = ""


class Gathered:
    """What *parts* require of requests at *place*, and of the caller if they name any.

    Keys are named by `same_key`; *spelt* has each as first written. *needs* are the keys of the
    policy variables with which a key or field is compared; *in_fields* are those in any field of an
    ARN but the last. *by_other_name* are the keys that statements may test under EC2's own name;
    with *names_ec2*, a policy variable may be such a name. *partitions* are those that resources
    and callers can be in.
    """

    def __init__(self, place: Place, parts: Sequence[Part], memo: Memo, frame: Frame) -> None:
        self.place, self.parts, self.memo, self.lists = place, parts, memo, frame.lists
        self.conditions: dict[str, list[KeyCondition]] = {}
        self.fields: dict[str, list[FieldPattern]] = {}
        self.spelt: dict[str, str] = {}
        self.needs: dict[str, frozenset[str]] = {}
        for part in parts:
            self._add(part)
        for key in (key for part in parts for key in part.named_in_variables):
            self.conditions.setdefault(key, [])
            self.spelt.setdefault(key, key)
        self.in_fields = frozenset(key for part in parts for key in part.named_in_fields)
        self.principals = frame.callers or any(part.principal is not None for part in parts)
        self.names_ec2 = any(part.names_ec2_keys for part in parts)
        self.by_other_name = frozenset(
            key
            for key, conditions in self.conditions.items()
            if self.names_ec2 or any(condition.has_ec2_key for condition in conditions)
        )
        self.partitions = (frame.partition,) if frame.partition else tuple(_partitions(parts))

    def _add(self, part: Part) -> None:
        for condition in part.asked:
            key = same_key(condition.condition.key)
            self.spelt.setdefault(key, condition.condition.key)
            self.conditions.setdefault(key, []).append(condition)
            self.needs[key] = self.needs.get(key, frozenset()) | condition.needs()
        if self.place.fields is not None:
            for pattern in part.fields:
                self.fields.setdefault(pattern.key, []).append(pattern)
                self.needs[pattern.key] = self.needs.get(pattern.key, frozenset()) | pattern.needs

    def at(self, place: Place) -> Gathered:
        """Return the same for another place, which must also have an ARN or also have none."""
        other = copy(self)
        other.place = place
        for name in _CACHED:
            vars(other).pop(name, None)
        return other

    @property
    def keys(self) -> list[str]:
        """Every key that some statement tests."""
        fields = FIELD_KEYS[1:] if self.place.fields is not None else ()
        return [*([CALLER] if self.principals else []), *self.conditions, *fields]

    def names(self, key: str) -> tuple[str, ...]:
        """Return the names of a condition key; a request has it under some, all or none of them."""
        return every_name(self.spelt[key]) if key in self.by_other_name else self.own_names(key)

    def own_names(self, key: str) -> tuple[str, ...]:
        """Return the names under which requests here have *key*, as AWS documents."""
        return names_of(self.spelt[key], self.place.action)

    def value(self, key: str, choice: Choice) -> Any:
        """Return the value of a condition key in *choice*; None if it is absent."""
        return choice.get(self.names(key)[0])

    @cached_property
    def mark(self) -> Any:
        """What distinguishes the requests of this place from others, for these statements."""
        place, conditions = self.place, self.conditions
        absent = (never_with(self.spelt[key], place.action, place.keys) for key in conditions)
        tied = REGION in conditions and region_is_of_resource(place.action)
        return (
            place.fields,
            place.kinds,
            place.loose,
            place.fields is not None and place.fields[1].plain == place.prefix,
            tuple(map(self.own_names, conditions)),
            tuple(key for key in conditions if id_of(key, place.type)),
            place.keys is not None and place.keys.has(TAG_KEYS),
            tuple(key for key, never in zip(conditions, absent, strict=True) if never is not None),
            tuple(key for key in conditions if _is_always_at(known_key(key), place)),
            bool(tied),
            REGION in conditions and region_of_endpoint(place.action),
        )

    @cached_property
    def inherent(self) -> frozenset[Assumption]:
        """The assumptions built into requests here: both names of a key have one value."""
        assumed = set()
        for key, conditions in self.conditions.items():
            spelt = {condition.condition.key.lower() for condition in conditions}
            named = len(spelt) + self.names_ec2 > 1 and self.names(key) == self.own_names(key)
            under = under_names(self.spelt[key], self.place.action) if named else None
            assumed |= {under} if under else set()
        return frozenset(assumed)

    @cached_property
    def possible(self) -> frozenset[Assumption]:
        """All assumptions that may be made here."""
        of_keys = (assumption for key in self.conditions for assumption in self._of_key(key))
        return frozenset((*of_keys, *self._ties(), *self._of_partitions()))

    def _of_key(self, key: str) -> Iterator[Assumption]:
        spelt, place, conditions = self.spelt[key], self.place, self.conditions[key]
        if self.names(key) != self.own_names(key):
            named = under_names(spelt, place.action)
            yield from (named,) if named else ()
        never = never_with(spelt, place.action, place.keys)
        if never:
            yield never
            return
        facts_of_key = known_key(key)
        if facts_of_key:
            yield from _of_known(key, facts_of_key, conditions, place)
        endpoint = region_of_endpoint(place.action) if key == REGION else None
        if endpoint:
            yield endpoint
        if can_be_typed(key, conditions):
            kind = base_type(key)
            if kind in NAMES:
                page = f"{_KEYS}#condition-keys-{key.partition(':')[2]}"
                yield Assumption("typed", key, f"{spelt} is {_HELD[kind]}", page)
            else:
                yield Assumption("typed", key, f"{spelt} is of its type, {kind}", OPERATORS)

    def _ties(self) -> Iterator[Assumption]:
        place, conditions = self.place, self.conditions
        tags = any(key.startswith(REQUEST_TAG) for key in conditions)
        if tags and TAG_KEYS in conditions and place.keys and place.keys.has(TAG_KEYS):
            text = "aws:TagKeys lists the key of every aws:RequestTag"
            yield Assumption("tags", TAG_KEYS, text, f"{_KEYS}#condition-keys-tagkeys")
        both = PRINCIPAL_ARN in conditions and PRINCIPAL_ACCOUNT in conditions
        plain = both and compares_texts(PRINCIPAL_ACCOUNT, conditions[PRINCIPAL_ACCOUNT])
        if plain and not self.principals:
            text = "aws:PrincipalAccount is the account in aws:PrincipalArn"
            page = f"{_KEYS}#condition-keys-principalaccount"
            yield Assumption("account", PRINCIPAL_ACCOUNT, text, page)
        for key in conditions:
            pair = only_with(key)
            if pair and pair[0] in conditions:
                yield pair[2]
            held = id_of(key, place.type) if place.fields is not None else None
            if held:
                yield held
        if place.fields is None:
            return
        if place.loose and not self.needs.get(ARN_REGION):
            text = "the region in an ARN is empty, or the name of a region"
            yield Assumption("typed", ARN_REGION, text, _ARNS)
        if REGION in conditions and not place.loose:
            page_or_none = region_is_of_resource(place.action)
            wild = place.fields[2].plain is None
            if page_or_none and wild and place.fields[1].plain == place.prefix:
                text = f"aws:RequestedRegion is the region in the resource's ARN ({place.action})"
                yield Assumption("region", REGION, text, page_or_none, place.action)

    def _of_partitions(self) -> Iterator[Assumption]:
        text = f"the account is in the partition {self.partitions[0]}, which reaches no other"
        if self.partitions[1:]:
            every = ", ".join(self.partitions)
            text = f"AWS has the partitions {every}, and no partition reaches another"
        yield Assumption("partitions", PARTITION, text, _ARNS)
        for account, partition in home_partitions(self.parts) if self.principals else ():
            text = f"the account {account} is in one partition, {partition}"
            yield Assumption("partition", f"arn:{partition}:iam::{account}:root", text, _ARNS)


_CACHED: Final = [
    name for name, value in vars(Gathered).items() if isinstance(value, cached_property)
]


def _of_known(
    key: str, key_facts: KnownKey, conditions: Sequence[KeyCondition], place: Place
) -> Iterator[Assumption]:
    about = f" about a resource of the type {key_facts.type}" if key_facts.type else ""
    # AWS documents that these operators treat an absent key as an empty list.
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html#reference_policies_condition-multi-valued-context-keys
    listed = all(
        condition.operator.qualifier or condition.family == "null" for condition in conditions
    )
    name, page = key_facts.name, key_facts.page
    if _is_always_at(key_facts, place):
        yield Assumption("always", key, f"{name} is in every request{about}", page)
    if key_facts.signed:
        yield Assumption("signed", key, f"{name} is in every signed request", page)
    if key_facts.filled and listed:
        yield Assumption("filled", key, f"{name} is absent, or contains a non-empty key", page)
    if key_facts.whole:
        yield Assumption("whole", key, f"{name} is a whole number", page)
    if key_facts.least is not None and all_plain(conditions):
        yield Assumption("least", key, f"{name} is at least {key_facts.least}", page)


def _is_always_at(key_facts: KnownKey | None, place: Place) -> bool:
    """Return whether every request at *place* has the key, perhaps by the resource's type."""
    if key_facts is None or not key_facts.always:
        return False
    has = place.keys is not None and any(map(place.keys.has, every_name(key_facts.name)))
    return not key_facts.type or (place.type == key_facts.type and has)


def _partitions(parts: Sequence[Part]) -> Iterable[str]:
    """Return all partitions, and those that the resources and principals of *parts* name."""
    named = list(PARTITIONS)
    for part in parts:
        for pattern in part.fields:
            plain = pattern.index == 1 and not pattern.needs and pattern.glob({})
            named += [plain.plain] if plain and plain.plain else []
        named += [text.split(":")[1] for _, text in part.principal_ids if text.startswith("arn:")]
    return dict.fromkeys(named)
