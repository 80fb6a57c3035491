"""What may be assumed of requests at a place, applied to values and checked on witnesses.

A question is first asked of requests of which nothing is assumed. Only when the witness found is
one that AWS never sends is what it breaks assumed, and the question asked again; so a proof lists
what it needs and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from cml_iam.facts import (
    OPERATORS,
    REGION,
    REQUEST_TAG,
    TAG_KEYS,
    Assumption,
    id_of,
    known_key,
    never_with,
    only_with,
    principal_arn,
    region_is_of_resource,
    under_names,
)
from cml_iam.space._callers import (
    PRINCIPAL_ACCOUNT,
    PRINCIPAL_ARN,
    UNTOLD,
    account_key,
    home_partitions,
    is_elsewhere,
    is_identified,
    is_signed,
)
from cml_iam.space._globs import Glob
from cml_iam.space._hints import RESOURCE_FIELD
from cml_iam.space._statements import CALLER, FIELD_KEYS, Given
from cml_iam.space._types import NAMES, base_type
from cml_iam.space._values import can_be_typed, is_whole, well_formed

if TYPE_CHECKING:
    from cml_iam.space._conditions import Asked
    from cml_iam.space._gathered import Gathered

CALLER_KEYS: Final = {PRINCIPAL_ARN: principal_arn, PRINCIPAL_ACCOUNT: account_key}
"""Keys that say who the caller is."""

TAGGING: Final = (
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/"
    "reference_policies_condition-keys.html#condition-keys-tagkeys"
)


KEYS_PAGE: Final = (
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html"
)
PARTITIONS: Final = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html"


class Assumptions:
    """The *active* assumptions at one place, and those that could be made."""

    def __init__(self, gathered: Gathered, active: frozenset[Assumption] = frozenset()) -> None:
        self._gathered, self.active = gathered, active
        self._kinds: dict[str, set[str]] = {}
        for each in active:
            self._kinds.setdefault(each.about, set()).add(each.kind)

    @property
    def region_tied(self) -> bool:
        """Whether the region of the resource's ARN is the request's."""
        return "region" in self._kinds.get(REGION, ())

    @staticmethod
    def inherent(gathered: Gathered) -> frozenset[Assumption]:
        """Return what is built into requests here: that two names of a key have one value."""
        return frozenset(
            each
            for key in gathered.conditions
            if gathered.has_names(key)
            and gathered.names(key) == gathered.own_names(key)
            and (each := under_names(gathered.spelt[key], gathered.place.action))
        )

    def names(self, key: str) -> tuple[str, ...]:
        """Return the names under which requests may have *key*."""
        own = "names" in self._kinds.get(key, ())
        return self._gathered.own_names(key) if own else self._gathered.names(key)

    def possible(self) -> Iterator[Assumption]:
        """Yield all that may be assumed here."""
        for key in self._gathered.conditions:
            yield from self._of_key(key)
        yield from self._ties()
        if self._gathered.principals:
            for account, partition in home_partitions(self._gathered.parts):
                text = f"the account {account} is in one partition, {partition}"
                yield Assumption("partition", _home(account, partition), text, PARTITIONS)

    def _of_key(self, key: str) -> Iterator[Assumption]:
        spelt, place = self._gathered.spelt[key], self._gathered.place
        if self._gathered.names(key) != self._gathered.own_names(key):
            named = under_names(spelt, place.action)
            yield from (named,) if named else ()
        never = never_with(spelt, place.action, place.keys)
        if never:
            yield never
            return
        known = known_key(key)
        if known and known.always:
            yield Assumption("always", key, f"{known.name} is in every request", known.page)
        if known and known.signed:
            text = f"{known.name} is in every signed request"
            yield Assumption("signed", key, text, known.page)
        if known and known.filled and all(map(_as_a_list, self._gathered.conditions[key])):
            yield Assumption(
                "filled", key, f"{known.name} has a key that is not empty, or none", known.page
            )
        if known and known.whole:
            yield Assumption("whole", key, f"{known.name} is a whole number", known.page)
        if can_be_typed(key, self._gathered.conditions[key]):
            yield _typed(key, spelt)

    def _ties(self) -> Iterator[Assumption]:
        place, conditions = self._gathered.place, self._gathered.conditions
        tags = [key for key in conditions if key.startswith(REQUEST_TAG)]
        if tags and TAG_KEYS in conditions and place.keys and place.keys.has(TAG_KEYS):
            text = "aws:TagKeys lists the key of every aws:RequestTag"
            yield Assumption("tags", TAG_KEYS, text, TAGGING)
        for key in conditions:
            pair = only_with(key)
            if pair and pair[0] in conditions:
                yield pair[2]
            held = id_of(key, place.type) if place.fields is not None else None
            if held:
                yield held
        if place.fields is not None and REGION in conditions and not place.loose:
            page = region_is_of_resource(place.action)
            wild = place.fields[2].plain is None
            own = place.fields[1].plain == place.prefix
            if page and wild and own:
                text = f"aws:RequestedRegion is the region in the resource's ARN ({place.action})"
                yield Assumption("region", REGION, text, page, place.action)

    def violated(self, given: Given) -> frozenset[Assumption]:
        """Return those that may be made and that the request *given* breaks."""
        return frozenset(
            each
            for each in self.possible()
            if each not in self.active and not self._respects(each, given)
        )

    def _respects(self, each: Assumption, given: Given) -> bool:
        if each.kind == "tags":
            return self._tags_agree(given)
        if each.kind == "partition":
            return not is_elsewhere(given.get(CALLER), each.about)
        if each.kind == "with":
            return self._goes_with_other(each.about, given)
        names = self._gathered.names(each.about)
        if each.kind == "id":
            return given.get(names[0]) in {None, self._arn_id(given)}
        if each.kind == "names":
            own = self._gathered.own_names(each.about)
            return not any(name in given for name in names if name not in own)
        value = given.get(names[0])
        if each.kind == "region":
            return bool(value == given[FIELD_KEYS[3]])
        if each.kind == "signed" and CALLER in given and not is_signed(given[CALLER]):
            return True
        return _CHECKS[each.kind](each.about, value)

    def keeps(self, key: str, value: Any) -> bool:
        """Say whether the active assumptions leave *value* to *key*."""
        kinds = self._kinds.get(key, set()) - _TYING
        if "signed" in self._kinds.get(key, ()) and not self._gathered.principals and value is None:
            return False
        return all(_CHECKS[kind](key, value) for kind in kinds)

    def distinguished_by(self, key: str) -> Iterator[Glob]:
        """Yield patterns that the values of *key* have to be told apart by, besides conditions."""
        if key == TAG_KEYS and "tags" in self._kinds.get(TAG_KEYS, ()):
            for name in self._gathered.conditions:
                if name.startswith(REQUEST_TAG):
                    yield Glob(tuple(name.removeprefix(REQUEST_TAG)), fold=True)

    def ties(self, keys: Iterable[str]) -> list[set[str]]:
        """Return which of *keys* belong together."""
        keys = set(keys)
        found = []
        if "tags" in self._kinds.get(TAG_KEYS, ()):
            found.append({k for k in keys if k == TAG_KEYS or k.startswith(REQUEST_TAG)})
        if self.region_tied:
            found.append({REGION, FIELD_KEYS[3]})
        for key in keys:
            pair = only_with(key) if "with" in self._kinds.get(key, ()) else None
            found += [{key, pair[0]}] if pair else []
            found += [{key, FIELD_KEYS[RESOURCE_FIELD]}] if key in self.id_keys else []
        if CALLER in keys:
            found.append({CALLER, *(keys & CALLER_KEYS.keys())})
            signed = {k for k in keys if "signed" in self._kinds.get(k, ())}
            found.append({CALLER, *signed})
        return found

    @property
    def id_keys(self) -> frozenset[str]:
        """The keys that hold the id in the resource's ARN."""
        return frozenset(key for key, kinds in self._kinds.items() if "id" in kinds)

    @staticmethod
    def _arn_id(given: Given) -> str:
        return str(given[FIELD_KEYS[RESOURCE_FIELD]]).partition("/")[2]

    def _goes_with_other(self, key: str, given: Given) -> bool:
        pair = only_with(key)
        if pair is None or self._gathered.names(key)[0] not in given:
            return True
        return str(given.get(self._gathered.names(pair[0])[0])).lower() == pair[1]

    def determined(self, key: str, given: Given) -> list[str | None] | None:
        """Return the values of *key* that the caller or the ARN determines; None if they do not."""
        if key in self.id_keys:
            return [v for v in (None, self._arn_id(given)) if self.keeps(key, v)]
        if CALLER not in given or key not in CALLER_KEYS:
            return None
        if not is_identified(given[CALLER]):
            return [None, UNTOLD]
        return [CALLER_KEYS[key](given[CALLER])]

    def admits(self, given: Given) -> bool:
        """Say whether a choice for tied keys can be."""
        signed = is_signed(given.get(CALLER))
        for each in self.active:
            if each.kind == "tags" and not self._tags_agree(given):
                return False
            if each.kind == "partition" and is_elsewhere(given.get(CALLER), each.about):
                return False
            if each.kind == "with" and not self._goes_with_other(each.about, given):
                return False
            if each.kind == "signed" and signed and not self._identifies(each.about, given):
                return False
        return True

    def _identifies(self, key: str, given: Given) -> bool:
        return key in CALLER_KEYS or self._gathered.names(key)[0] in given

    def _tags_agree(self, given: Given) -> bool:
        listed = {each.lower() for each in given.get(self._tag_keys_name(), None) or ()}
        sent = (
            key.removeprefix(REQUEST_TAG)
            for key in self._gathered.conditions
            if key.startswith(REQUEST_TAG) and self._gathered.names(key)[0] in given
        )
        return listed.issuperset(sent)

    def _tag_keys_name(self) -> str:
        return self._gathered.names(TAG_KEYS)[0] if TAG_KEYS in self._gathered.spelt else TAG_KEYS


def _typed(key: str, spelt: str) -> Assumption:
    kind = base_type(key)
    if kind in NAMES:
        page = f"{KEYS_PAGE}#condition-keys-{key.partition(':')[2]}"
        return Assumption("typed", key, f"{spelt} has no colon", page)
    return Assumption("typed", key, f"{spelt} is of its type, {kind}", OPERATORS)


def _as_a_list(asked: Asked) -> bool:
    """Say whether an operator takes an empty list for an absent key, as AWS says of these.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html#reference_policies_condition-multi-valued-context-keys
    """
    return bool(asked.operator.qualifier) or asked.family == "null"


def _home(account: str, partition: str) -> str:
    return f"arn:{partition}:iam::{account}:root"


def _is_present(_: str, value: Any) -> bool:
    return value is not None


_TYING: Final = frozenset({"tags", "region", "signed", "names", "id", "with"})
"""Kinds that say how a key goes with something else, not which values it has."""

_CHECKS: Final[Mapping[str, Callable[[str, Any], bool]]] = {
    "always": _is_present,
    "signed": _is_present,
    "absent": lambda _, value: value is None,
    "filled": lambda _, value: value is None or any(value),
    "whole": lambda _, value: is_whole(value),
    "typed": well_formed,
}
