"""Assumptions about the requests at a place, applied to values and checked on witnesses.

A question is first asked without assumptions. If the witness is a request that AWS never sends, the
question is asked again with the assumptions that the witness breaks. A proof therefore lists only
the assumptions that it needs.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from cml_iam.engine.parts import is_arn
from cml_iam.facts import (
    PARTITIONS,
    REGION,
    REQUEST_TAG,
    TAG_KEYS,
    Assumption,
    first_region,
    only_with,
    partition_of,
    principal_arn,
)
from cml_iam.space._callers import (
    ANONYMOUS,
    PRINCIPAL_ACCOUNT,
    PRINCIPAL_ARN,
    UNTOLD,
    account_key,
    is_elsewhere,
    is_signed,
    partition_of_caller,
)
from cml_iam.space._examples import base_type
from cml_iam.space._gathered import ARN_REGION, PARTITION, Gathered
from cml_iam.space._globs import ACCOUNT_ID, REGION_NAME, Glob, glob, in_field
from cml_iam.space._statements import CALLER, FIELD_KEYS, Choice
from cml_iam.space._values import CHECKS, fits

CALLER_KEYS: Final = {PRINCIPAL_ARN: principal_arn, PRINCIPAL_ACCOUNT: account_key}
"""Keys that identify the caller."""

REGIONS: Final = frozenset({REGION, ARN_REGION})
ARN_ID: Final = FIELD_KEYS[-1]

_ACCOUNT_START: Final = glob("arn:*:*:*:", inside=True)
_NAME: Final = {"Region": re.compile(r"[a-z0-9-]+"), "Account": re.compile(r"[0-9]+")}

_OF_VALUES: Final[Mapping[str, Callable[[str, Any], bool]]] = {
    "always": lambda _, value: value is not None,
    "absent": lambda _, value: value is None,
    **CHECKS,
    "global": lambda _, value: value is None or value in map(first_region, PARTITIONS),
}
"""For each kind of fact that limits the values of a key, whether a value satisfies it."""

_JOINT: Final = frozenset({"tags", "with", "partition", "partitions", "signed"})
"""Kinds of facts that limit combinations of values."""


class Assumptions:
    """The *active* assumptions at one place.

    *id_keys* hold the id in the resource's ARN. With *region_tied*, the resource's ARN names the
    region of the request; with *account_tied*, aws:PrincipalAccount is that of aws:PrincipalArn.
    """

    def __init__(self, gathered: Gathered, active: frozenset[Assumption]) -> None:
        self._gathered, self.active = gathered, active
        about: dict[str, set[str]] = defaultdict(set)
        self._kinds: dict[str, list[str]] = defaultdict(list)
        for assumption in active:
            about[assumption.kind].add(assumption.about)
            if assumption.kind in _OF_VALUES:
                self._kinds[assumption.about].append(assumption.kind)
        self._about: Mapping[str, set[str]] = about
        self._joint = [assumption for assumption in active if assumption.kind in _JOINT]
        self.id_keys = frozenset(about["id"])
        self.region_tied, self.account_tied = bool(about["region"]), bool(about["account"])
        self._partitioned = bool(about["partitions"])
        # Whether a request respects a fact that relates a key to others.
        self._between: Mapping[str, Callable[[str, Choice], bool]] = {
            "tags": self._lists_tags,
            "with": self._goes_with_other,
            "account": self._account_agrees,
            "names": self._has_own_names,
            "id": lambda key, choice: gathered.value(key, choice) in {None, _id_of_arn(choice)},
            "region": lambda key, choice: gathered.value(key, choice) == choice[ARN_REGION],
        }

    def names(self, key: str) -> tuple[str, ...]:
        """Return the names under which requests may have *key*."""
        gathered = self._gathered
        return gathered.own_names(key) if key in self._about["names"] else gathered.names(key)

    def violated(self, choice: Choice) -> frozenset[Assumption]:
        """Return the assumptions that may be made here and that the request *choice* breaks."""
        others = self._gathered.possible - self.active
        return frozenset(fact for fact in others if not self._respects(fact, choice))

    def _respects(self, fact: Assumption, choice: Choice) -> bool:
        kind, about = fact.kind, fact.about
        if kind == "partition":
            return not is_elsewhere(choice.get(CALLER), about)
        if kind == "partitions":
            return self._is_in_partitions(choice)
        if about in FIELD_KEYS:
            return self._is_region(str(choice[about]))
        value = self._gathered.value(about, choice)
        if kind == "signed":
            return value is not None or (CALLER in choice and not is_signed(choice[CALLER]))
        if kind == "typed" and self._is_named(about, value):
            return True
        if kind in self._between:
            return self._between[kind](about, choice)
        return _OF_VALUES[kind](about, value)

    def _is_in_partitions(self, choice: Choice) -> bool:
        gathered = self._gathered
        values = [(key, gathered.value(key, choice)) for key in gathered.conditions]
        if PARTITION in choice:
            values += [(key, choice[key]) for key in (PARTITION, ARN_REGION)]
        inside = all(self._fits_partitions(key, value) for key, value in values)
        return inside and self._is_reached(choice.get(CALLER)) and self._regions_agree(choice)

    def _is_reached(self, caller: str | None) -> bool:
        """Return whether *caller* may be in one of the partitions; a service always may."""
        return partition_of_caller(caller) in {None, *self._gathered.partitions}

    def _fits_partitions(self, key: str, value: Any) -> bool:
        partitions = self._gathered.partitions
        if key == PARTITION:
            return value in partitions
        if isinstance(value, list):
            return all(self._fits_partitions(key, text) for text in value)
        if not value or not isinstance(value, str):
            return True
        if self._is_plain_arn(key) and is_arn(value):
            return value.split(":")[1] in partitions
        return key not in REGIONS or partition_of(value) in partitions

    def _is_plain_arn(self, key: str) -> bool:
        """Return whether *key* holds an ARN whose value no policy variable affects."""
        needs = self._gathered.needs
        if key in FIELD_KEYS or base_type(key) not in {"ARN", "Principal"}:
            return False
        return not needs.get(key) and not any(key in needed for needed in needs.values())

    def _regions_agree(self, choice: Choice) -> bool:
        partition = choice.get(PARTITION)
        if partition not in PARTITIONS:
            return True
        tested = REGION in self._gathered.conditions
        regions = (choice.get(ARN_REGION), self._gathered.value(REGION, choice) if tested else None)
        return all(partition_of(str(region)) == partition for region in regions if region)

    def _has_own_names(self, key: str, choice: Choice) -> bool:
        others = set(self._gathered.names(key)) - set(self._gathered.own_names(key))
        return others.isdisjoint(choice)

    def _is_named(self, key: str, value: Any) -> bool:
        """Return whether a policy names *value* as a region or account; then it counts as one."""
        form = _NAME.get(base_type(key))
        if form is None or not isinstance(value, str):
            return False
        if self._gathered.principals and value in {ANONYMOUS, UNTOLD}:
            return True
        conditions = self._gathered.conditions[key] if form.fullmatch(value) else ()
        return any(glob.plain == value for condition in conditions for glob in condition.globs({}))

    def keeps(self, key: str, value: Any) -> bool:
        """Return whether the active assumptions permit *value* for *key*."""
        if self._partitioned and not self._fits_partitions(key, value):
            return False
        signed = key in self._about["signed"] and not self._gathered.principals
        if signed and value is None:
            return False
        for kind in self._kinds.get(key, ()):
            named = kind == "typed" and self._is_named(key, value)
            if not named and not _OF_VALUES[kind](key, value):
                return False
        return True

    def keeps_field(self, key: str, text: str) -> bool:
        """Return whether the active assumptions permit *text* in the ARN's field *key*."""
        if self._partitioned and not self._fits_partitions(key, text):
            return False
        return key not in self._about["typed"] or self._is_region(text)

    def keeps_caller(self, caller: str | None) -> bool:
        """Return whether the active assumptions permit *caller*."""
        return not self._partitioned or self._is_reached(caller)

    def _is_region(self, text: str) -> bool:
        """Return whether *text* may be an ARN's region: empty, by its form, or named as one."""
        if not text or fits(REGION_NAME, text):
            return True
        named = self._gathered.fields.get(ARN_REGION, ())
        plain = (pattern.glob({}) for pattern in named if not pattern.needs)
        return bool(_NAME["Region"].fullmatch(text)) and any(g and g.plain == text for g in plain)

    def distinguished_by(self, key: str) -> Iterator[Glob]:
        """Yield the patterns that distinguish values of *key*, besides those in conditions."""
        conditions = self._gathered.conditions
        if self._partitioned:
            yield from self._by_partition(key)
        if key == ARN_REGION and key in self._about["typed"]:
            yield REGION_NAME
        if key in self._about["global"]:
            yield from (Glob(tuple(first_region(partition))) for partition in PARTITIONS)
        if key == PRINCIPAL_ARN and self.account_tied:
            accounts = (condition.globs({}) for condition in conditions[PRINCIPAL_ACCOUNT])
            for pattern in (ACCOUNT_ID, *(pattern for globs in accounts for pattern in globs)):
                account = pattern._replace(symbols=tuple(map(in_field, pattern.symbols)))
                yield _ACCOUNT_START.then(account).then(glob(":*"))
        if key in self._about["tags"]:
            for name in filter(_is_of_request, conditions):
                yield Glob(tuple(name.removeprefix(REQUEST_TAG)), fold=True)

    def _by_partition(self, key: str) -> Iterator[Glob]:
        partitions = self._gathered.partitions
        if key == PARTITION:
            yield from (Glob(tuple(name)) for name in partitions)
        if key in REGIONS:
            yield from (glob("cn-*"), glob("us-gov-*"))
        if self._is_plain_arn(key):
            yield from (glob(f"arn:{name}:*") for name in partitions)

    def ties(self, keys: Iterable[str]) -> list[set[str]]:
        """Return which of *keys* depend on each other."""
        keys = set(keys)
        groups = []
        if self._about["tags"]:
            groups.append({TAG_KEYS, *filter(_is_of_request, keys)})
        if self.region_tied:
            groups.append(set(REGIONS))
        if self._partitioned and self._gathered.partitions[1:] and PARTITION in keys:
            groups.append(keys & {PARTITION, *REGIONS})
        if self.account_tied:
            groups.append(keys & CALLER_KEYS.keys())
        for key in sorted(keys & self._about["with"]):
            pair = only_with(key)
            groups += [{key, pair[0]}] if pair else []
        groups += [{key, ARN_ID} for key in sorted(keys & self.id_keys)]
        if CALLER in keys:
            groups.append({CALLER, *(keys & (CALLER_KEYS.keys() | self._about["signed"]))})
        return groups

    def determined(self, key: str, choice: Choice) -> list[str | None] | None:
        """Return the values of *key* determined by the caller or the ARN, or None."""
        if key in self.id_keys:
            return [v for v in (None, _id_of_arn(choice)) if self.keeps(key, v)]
        if key == PRINCIPAL_ACCOUNT and self.account_tied:
            arn = self._gathered.value(PRINCIPAL_ARN, choice)
            held = (None, _account_of(arn)) if arn is not None else ()
            return [v for v in held if self.keeps(key, v)] or None
        if CALLER not in choice or key not in CALLER_KEYS:
            return None
        caller = choice[CALLER]
        # AWS documents the keys about anonymous callers and principals with an ARN.
        is_identified = caller is None or principal_arn(caller) is not None
        return [CALLER_KEYS[key](caller)] if is_identified else [None, UNTOLD]

    def admits(self, choice: Choice) -> bool:
        """Return whether a combination of values for tied keys is possible."""
        for fact in self._joint:
            if fact.kind == "partitions":
                possible = self._regions_agree(choice)
            elif fact.kind == "signed":
                value = fact.about in CALLER_KEYS or self._is_sent(fact.about, choice)
                possible = value or not is_signed(choice.get(CALLER))
            else:
                possible = self._respects(fact, choice)
            if not possible:
                return False
        return True

    def _is_sent(self, key: str, choice: Choice) -> bool:
        return self._gathered.names(key)[0] in choice

    def _lists_tags(self, key: str, choice: Choice) -> bool:
        listed = {text.lower() for text in self._gathered.value(key, choice) or ()}
        tags = filter(_is_of_request, self._gathered.conditions)
        return listed.issuperset(
            tag.removeprefix(REQUEST_TAG) for tag in tags if self._is_sent(tag, choice)
        )

    def _goes_with_other(self, key: str, choice: Choice) -> bool:
        pair = only_with(key)
        if pair is None or not self._is_sent(key, choice):
            return True
        return str(self._gathered.value(pair[0], choice)).lower() == pair[1]

    def _account_agrees(self, key: str, choice: Choice) -> bool:
        arn, account = (self._gathered.value(name, choice) for name in (PRINCIPAL_ARN, key))
        return arn is None or account is None or account == _account_of(arn)


def _is_of_request(key: str) -> bool:
    return key.startswith(REQUEST_TAG)


def _id_of_arn(choice: Choice) -> str:
    return str(choice[ARN_ID]).partition("/")[2]


def _account_of(arn: Any) -> str:
    fields = str(arn).split(":", len(FIELD_KEYS) - 1)
    return fields[4] if len(fields) == len(FIELD_KEYS) else ""
