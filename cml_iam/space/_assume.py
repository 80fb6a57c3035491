"""Assumptions about the requests at a place, applied to values and checked on witnesses.

A question is first asked without assumptions. If the witness is a request that AWS never sends, the
question is asked again with the assumptions that the witness breaks. A proof therefore lists only
the assumptions that it needs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from cml_iam.facts import (
    OPERATORS,
    PARTITIONS,
    REGION,
    REQUEST_TAG,
    TAG_KEYS,
    Assumption,
    every_name,
    first_region,
    id_of,
    known_key,
    never_with,
    only_with,
    principal_arn,
    region_is_of_resource,
    region_of_endpoint,
    under_names,
)
from cml_iam.space._callers import (
    ANONYMOUS,
    PRINCIPAL_ACCOUNT,
    PRINCIPAL_ARN,
    UNTOLD,
    account_key,
    home_partitions,
    is_elsewhere,
    is_identified,
    is_signed,
)
from cml_iam.space._examples import NAMES, RESOURCE_FIELD, base_type
from cml_iam.space._gathered import ARN_REGION, ARNS, PARTITION, Partitions
from cml_iam.space._globs import ACCOUNT_ID, INSIDE, REGION_NAME, Glob, Wild, glob
from cml_iam.space._statements import CALLER, FIELD_KEYS, Choice
from cml_iam.space._values import CHECKS, can_be_typed, compares_texts, fits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from cml_iam.space._conditions import KeyCondition
    from cml_iam.space._gathered import Gathered
    from cml_iam.space._globs import Symbol
    from cml_iam.space._places import Place

CALLER_KEYS: Final = {PRINCIPAL_ARN: principal_arn, PRINCIPAL_ACCOUNT: account_key}
"""Keys that identify the caller."""

TAGGING: Final = (
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/"
    "reference_policies_condition-keys.html#condition-keys-tagkeys"
)


KEYS_PAGE: Final = (
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html"
)
ACCOUNT_KEY: Final = f"{KEYS_PAGE}#condition-keys-principalaccount"


_ACCOUNT_START: Final = glob("arn:*:*:*:", inside=True).symbols


_HELD: Final = {
    "Region": "the name of a region",
    "Account": "the id of an account",
    "Principal": "the ARN of a user, a role, a federated user or an account",
}
_NAME: Final = {"Region": re.compile(r"[a-z0-9-]+"), "Account": re.compile(r"[0-9]+")}


class Assumptions:
    """The *active* assumptions at one place, and those that could be made."""

    def __init__(self, gathered: Gathered, active: frozenset[Assumption] = frozenset()) -> None:
        self._gathered, self.active = gathered, active
        self._partitions = Partitions(gathered)
        self._kinds: dict[str, set[str]] = {}
        for assumption in active:
            self._kinds.setdefault(assumption.about, set()).add(assumption.kind)
        # Whether a request respects a fact about several of its keys, or about the ARN.
        self._between: Mapping[str, Callable[[str, Choice], bool]] = {
            "tags": self._tags_agree,
            "partition": lambda home, given: not is_elsewhere(given.get(CALLER), home),
            "partitions": lambda _, given: self._partitions.respected_by(given),
            "with": self._goes_with_other,
            "account": self._account_agrees,
            "id": self._has_id,
            "names": self._has_own_names,
            "region": self._has_region_of_arn,
        }

    @property
    def region_tied(self) -> bool:
        """Whether the resource's ARN is assumed to name the region of the request."""
        return "region" in self._kinds.get(REGION, ())

    @staticmethod
    def inherent(gathered: Gathered) -> frozenset[Assumption]:
        """Return the assumptions built into requests here: both names of a key have one value."""
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
        """Yield all assumptions that may be made here."""
        for key in self._gathered.conditions:
            yield from self._of_key(key)
        yield from self._ties()
        yield self._partitions.fact()
        if self._gathered.principals:
            for account, partition in home_partitions(self._gathered.parts):
                text = f"the account {account} is in one partition, {partition}"
                yield Assumption("partition", _home(account, partition), text, ARNS)

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
        if known and is_always_at(key, place):
            about = f" about a resource of the type {known.type}" if known.type else ""
            text = f"{known.name} is in every request{about}"
            yield Assumption("always", key, text, known.page)
        endpoint = region_of_endpoint(place.action) if key == REGION else None
        if endpoint:
            yield endpoint
        if known and known.signed:
            text = f"{known.name} is in every signed request"
            yield Assumption("signed", key, text, known.page)
        if known and known.filled and all(map(_as_a_list, self._gathered.conditions[key])):
            yield Assumption(
                "filled", key, f"{known.name} is absent, or contains a non-empty key", known.page
            )
        if known and known.whole:
            yield Assumption("whole", key, f"{known.name} is a whole number", known.page)
        if known and known.least is not None and _is_number(self._gathered.conditions[key]):
            text = f"{known.name} is at least {known.least}"
            yield Assumption("least", key, text, known.page)
        if can_be_typed(key, self._gathered.conditions[key]):
            yield _typed(key, spelt)

    def _ties(self) -> Iterator[Assumption]:
        place, conditions = self._gathered.place, self._gathered.conditions
        tags = [key for key in conditions if key.startswith(REQUEST_TAG)]
        if tags and TAG_KEYS in conditions and place.keys and place.keys.has(TAG_KEYS):
            text = "aws:TagKeys lists the key of every aws:RequestTag"
            yield Assumption("tags", TAG_KEYS, text, TAGGING)
        if self._account_is_of_arn():
            text = "aws:PrincipalAccount is the account in aws:PrincipalArn"
            yield Assumption("account", PRINCIPAL_ACCOUNT, text, ACCOUNT_KEY)
        if place.loose and place.fields is not None and not self._gathered.needs.get(ARN_REGION):
            text = "the region in an ARN is empty, or the name of a region"
            yield Assumption("typed", ARN_REGION, text, ARNS)
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

    def violated(self, given: Choice) -> frozenset[Assumption]:
        """Return the assumptions that may be made here and that the request *given* breaks."""
        return frozenset(
            assumption
            for assumption in self.possible()
            if assumption not in self.active and not self._respects(assumption, given)
        )

    def _respects(self, each: Assumption, given: Choice) -> bool:
        if each.kind in self._between:
            return self._between[each.kind](each.about, given)
        if each.about in FIELD_KEYS:
            return self._is_region(str(given[each.about]))
        value = given.get(self._gathered.names(each.about)[0])
        if each.kind == "signed" and CALLER in given and not is_signed(given[CALLER]):
            return True
        if each.kind == "typed" and self._is_named(each.about, value):
            return True
        return _CHECKS[each.kind](each.about, value)

    def _has_id(self, key: str, given: Choice) -> bool:
        return given.get(self._gathered.names(key)[0]) in {None, self._arn_id(given)}

    def _has_own_names(self, key: str, given: Choice) -> bool:
        own = self._gathered.own_names(key)
        return not any(name in given for name in self._gathered.names(key) if name not in own)

    def _has_region_of_arn(self, key: str, given: Choice) -> bool:
        return bool(given.get(self._gathered.names(key)[0]) == given[ARN_REGION])

    def _is_named(self, key: str, value: Any) -> bool:
        """Return whether a policy names *value* as a region or an account.

        If so, it counts as one, whatever its form.
        """
        form = _NAME.get(base_type(key))
        if form is None or not isinstance(value, str):
            return False
        if self._gathered.principals and value in {ANONYMOUS, UNTOLD}:
            return True
        asked = self._gathered.conditions[key] if form.fullmatch(value) else ()
        return any(each.plain == value for said in asked for each in said.globs({}))

    def keeps(self, key: str, value: Any) -> bool:
        """Return whether the active assumptions permit *value* for *key*."""
        kinds = self._kinds.get(key, set()) - _TYING
        if "typed" in kinds and self._is_named(key, value):
            kinds -= {"typed"}
        if self._partitioned and not self._partitions.fits(key, value):
            return False
        if "signed" in self._kinds.get(key, ()) and not self._gathered.principals and value is None:
            return False
        return all(_CHECKS[kind](key, value) for kind in kinds)

    def keeps_field(self, key: str, text: str) -> bool:
        """Return whether the active assumptions permit *text* in the ARN's field *key*."""
        if self._partitioned and not self._partitions.fits(key, text):
            return False
        return "typed" not in self._kinds.get(key, ()) or self._is_region(text)

    def _is_region(self, text: str) -> bool:
        """Return whether *text* may be an ARN's region: empty, by its form, or named as one."""
        named = self._gathered.fields.get(ARN_REGION, ())
        plain = (pattern.glob({}) for pattern in named if not pattern.needs)
        is_named = _NAME["Region"].fullmatch(text) and any(g and g.plain == text for g in plain)
        return not text or fits(REGION_NAME, text) or bool(is_named)

    def keeps_caller(self, caller: str | None) -> bool:
        """Return whether the active assumptions permit *caller*."""
        return not self._partitioned or self._partitions.has(caller)

    @property
    def account_tied(self) -> bool:
        """Whether aws:PrincipalAccount is the account in aws:PrincipalArn."""
        return "account" in self._kinds.get(PRINCIPAL_ACCOUNT, ())

    @property
    def _partitioned(self) -> bool:
        return "partitions" in self._kinds.get(PARTITION, ())

    def _account_is_of_arn(self) -> bool:
        conditions = self._gathered.conditions
        both = PRINCIPAL_ARN in conditions and PRINCIPAL_ACCOUNT in conditions
        return (
            both
            and not self._gathered.principals
            and compares_texts(PRINCIPAL_ACCOUNT, conditions[PRINCIPAL_ACCOUNT])
        )

    def _account_agrees(self, _: str, given: Choice) -> bool:
        arn = given.get(self._gathered.names(PRINCIPAL_ARN)[0])
        account = given.get(self._gathered.names(PRINCIPAL_ACCOUNT)[0])
        return arn is None or account is None or account == _account_of(arn)

    def distinguished_by(self, key: str) -> Iterator[Glob]:
        """Yield the patterns that distinguish values of *key*, besides those in conditions."""
        kinds = self._kinds.get(key, ())
        if self._partitioned:
            yield from self._partitions.distinguished_by(key)
        if key == ARN_REGION and "typed" in kinds:
            yield REGION_NAME
        if key == REGION and "global" in kinds:
            yield from (Glob(tuple(first_region(partition))) for partition in PARTITIONS)
        if key == PRINCIPAL_ARN and self.account_tied:
            accounts = (
                condition.globs({}) for condition in self._gathered.conditions[PRINCIPAL_ACCOUNT]
            )
            for each in (ACCOUNT_ID, *(pattern for globs in accounts for pattern in globs)):
                yield each._replace(symbols=(*_ACCOUNT_START, *_inside(each), ":", Wild.MANY))
        if key == TAG_KEYS and "tags" in kinds:
            for name in self._gathered.conditions:
                if name.startswith(REQUEST_TAG):
                    yield Glob(tuple(name.removeprefix(REQUEST_TAG)), fold=True)

    def ties(self, keys: Iterable[str]) -> list[set[str]]:
        """Return which of *keys* depend on each other."""
        keys = set(keys)
        found = []
        if "tags" in self._kinds.get(TAG_KEYS, ()):
            found.append({k for k in keys if k == TAG_KEYS or k.startswith(REQUEST_TAG)})
        if self.region_tied:
            found.append({REGION, ARN_REGION})
        found += self._partitions.ties(keys) if self._partitioned else ()
        if self.account_tied:
            found.append(keys & {PRINCIPAL_ARN, PRINCIPAL_ACCOUNT})
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
    def _arn_id(given: Choice) -> str:
        return str(given[FIELD_KEYS[RESOURCE_FIELD]]).partition("/")[2]

    def _goes_with_other(self, key: str, given: Choice) -> bool:
        pair = only_with(key)
        if pair is None or self._gathered.names(key)[0] not in given:
            return True
        return str(given.get(self._gathered.names(pair[0])[0])).lower() == pair[1]

    def determined(self, key: str, given: Choice) -> list[str | None] | None:
        """Return the values of *key* determined by the caller or the ARN, or None."""
        if key in self.id_keys:
            return [v for v in (None, self._arn_id(given)) if self.keeps(key, v)]
        if key == PRINCIPAL_ACCOUNT and self.account_tied:
            arn = given.get(self._gathered.names(PRINCIPAL_ARN)[0])
            held = (None, _account_of(arn)) if arn is not None else ()
            return [v for v in held if self.keeps(key, v)] or None
        if CALLER not in given or key not in CALLER_KEYS:
            return None
        if not is_identified(given[CALLER]):
            return [None, UNTOLD]
        return [CALLER_KEYS[key](given[CALLER])]

    def admits(self, given: Choice) -> bool:
        """Return whether a combination of values for tied keys is possible."""
        signed = is_signed(given.get(CALLER))
        for assumption in self.active:
            if assumption.kind in {"tags", "with", "partition"} and not self._respects(
                assumption, given
            ):
                return False
            if assumption.kind == "partitions" and not self._partitions.region_agrees(given):
                return False
            if (
                assumption.kind == "signed"
                and signed
                and not self._identifies(assumption.about, given)
            ):
                return False
        return True

    def _identifies(self, key: str, given: Choice) -> bool:
        return key in CALLER_KEYS or self._gathered.names(key)[0] in given

    def _tags_agree(self, _: str, given: Choice) -> bool:
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
        return Assumption("typed", key, f"{spelt} is {_HELD[kind]}", page)
    return Assumption("typed", key, f"{spelt} is of its type, {kind}", OPERATORS)


def _as_a_list(asked: KeyCondition) -> bool:
    """Return whether AWS documents that an operator treats an absent key as an empty list.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html#reference_policies_condition-multi-valued-context-keys
    """
    return bool(asked.operator.qualifier) or asked.family == "null"


def _home(account: str, partition: str) -> str:
    return f"arn:{partition}:iam::{account}:root"


def is_always_at(key: str, place: Place) -> bool:
    """Return whether every request at *place* has *key*, perhaps because of the resource's type."""
    known = known_key(key)
    if known is None or not known.always:
        return False
    has = place.keys is not None and any(map(place.keys.has, every_name(known.name)))
    return not known.type or (place.type == known.type and has)


def _is_number(asked: Iterable[KeyCondition]) -> bool:
    """Return whether the conditions *asked* need no other values than numbers."""
    return all(g.plain is not None for condition in asked for g in condition.globs({}))


def _account_of(arn: Any) -> str:
    fields = str(arn).split(":", len(FIELD_KEYS) - 1)
    return fields[4] if len(fields) == len(FIELD_KEYS) else ""


def _inside(pattern: Glob) -> tuple[Symbol, ...]:
    return tuple(INSIDE.get(s, s) if isinstance(s, Wild) else s for s in pattern.symbols)


def _is_present(_: str, value: Any) -> bool:
    return value is not None


_TYING: Final = frozenset({"tags", "region", "signed", "names", "id", "with", "account"})
"""Kinds of facts that relate a key to something else instead of limiting its values."""

_CHECKS: Final[Mapping[str, Callable[[str, Any], bool]]] = {
    "always": _is_present,
    "signed": _is_present,
    "absent": lambda _, value: value is None,
    **CHECKS,
    "global": lambda _, value: value is None or value in map(first_region, PARTITIONS),
}
