"""Values of a condition key: one for each combination of answers that its conditions can give.

Conditions on a key divide its values into classes. Text patterns are run in parallel (`_globs`);
numbers, dates and addresses are split at every bound in a condition; lists are combined from single
values until no new answer appears. The engine then answers for each value, and one value is kept of
those with equal answers. Most statements of a policy cannot match the same request, because of one
condition in each or because of their resources; the answer to this (`apart`) is cached.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cml_iam.engine.parts import address, is_arn, moment, number
from cml_iam.facts import arn_pattern, covers, key_type, known_key, overlap, same_key
from cml_iam.space._callers import PRINCIPAL_ARNS
from cml_iam.space._conditions import ARN, TEXTS, Context, KeyCondition
from cml_iam.space._examples import MAKE, all_written, base_type, hints_for, is_finite
from cml_iam.space._globs import ACCOUNT_ID, REGION_NAME, Glob, is_text_of, representatives

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cml_iam.policy import Statement
    from cml_iam.space._statements import Part


MAX_LISTS: Final = 600
"""The maximum number of lists of one key that are distinguished; beyond it, undecided."""

_FAMILY_OF: Final = {"Numeric": "numeric", "Date": "date", "IPAddress": "ip"}
_MALFORMED: Final = ("something-else", "unlisted")


class Values(NamedTuple):
    """Values of a key; None means absent. *complete* says that every class has a value."""

    values: tuple[Any, ...]
    complete: bool
    reason: str = ""


def takes_list(key: str, *, asked_as_list: bool) -> tuple[bool, bool]:
    """Return whether *key* can be a single value, and whether it can be a list.

    The key's type decides; if it is unknown, a list is possible if some condition treats the key as
    one.
    """
    kind = key_type(key)
    if kind is not None:
        several = kind.startswith("ArrayOf")
        return not several, several
    return True, asked_as_list


class Query(NamedTuple):
    """A query for values of a key; *names* are its spellings, which all have the same value.

    *variables* are the values of policy variables. *several* says that a condition, perhaps of
    another statement, treats the key as a list. *extra* are further patterns to distinguish, and
    *hints* are texts to try first.
    """

    names: tuple[str, ...]
    asked: tuple[KeyCondition, ...]
    variables: tuple[tuple[str, str], ...] = ()
    hints: tuple[str, ...] = ()
    extra: tuple[Glob, ...] = ()
    several: bool = False

    @property
    def key(self) -> str:
        """The key's first name."""
        return self.names[0]

    @property
    def context(self) -> Context:
        """The values of policy variables as the context of a request."""
        return dict(self.variables)

    def answer(self, value: Any) -> tuple[Any, ...]:
        """Return all distinctions for *value*."""
        context = {**dict(self.variables), **dict.fromkeys(self.names, value)}
        return (
            *(condition.test(context) for condition in self.asked),
            *(fits(glob, value) for glob in self.extra),
            *(check(self.key, value) for check in CHECKS.values()),
            value == [],
        )


@lru_cache(1 << 9)
def values_of(query: Query) -> Values:
    """Return values of a key, at least one for each combination of answers of its conditions."""
    singles, complete, reason = _singles(query)
    single, several = takes_list(query.key, asked_as_list=query.several)
    found: list[Any] = list(singles) if single else []
    if several:
        lists, all_there = _lists(query, singles)
        found += lists
        complete = complete and all_there
        reason = reason or ("" if all_there else f"lists of {query.key}")
    told: dict[tuple[Any, ...], Any] = {}
    for value in found:
        told.setdefault(query.answer(value), value)
    return Values((*told.values(), None), complete, reason)


def fits(pattern: Glob, value: Any) -> bool:
    """Return whether a text, or one text of a list, matches *pattern*."""
    if isinstance(value, list):
        return any(fits(pattern, each) for each in value)
    return isinstance(value, str) and is_text_of(pattern, value)


def _lists(query: Query, singles: list[str]) -> tuple[list[Any], bool]:
    """Return lists made of *singles*, one for each answer that conditions can give on a list."""
    answer = query.answer
    # A list of the empty text alone counts as no value, but beside others it is one.
    classes: dict[Any, str] = {}
    for text in singles:
        classes.setdefault((answer([text]), text == ""), text)
    elements = list(classes.values())
    known: dict[tuple[Any, ...], list[str]] = {}
    for text in elements:
        known.setdefault(answer([text]), [text])
    pending = [[text] for text in elements]
    while pending and len(known) <= MAX_LISTS:
        here = pending.pop(0)
        for text in elements:
            if text not in here:
                made = [*here, text]
                told = answer(made)
                if told not in known:
                    known[told] = made
                    pending.append(made)
    return [*known.values(), []], not pending


def _is_filled(_: str, value: Any) -> bool:
    """Return whether *value* is anything but an empty list or a list of empty texts."""
    return not isinstance(value, list) or any(value)


def well_formed(key: str, value: Any) -> bool:
    """Return whether *value* has the type of *key*; always true for unknown types."""
    kind = base_type(key)
    check = _FORMED.get(kind)
    if check is None or value is None:
        return True
    return all(map(check, value)) if isinstance(value, list) else check(value)


def _is_whole(_: str, value: Any) -> bool:
    """Return whether *value* is not a number with a fraction."""
    found = number(value) if isinstance(value, str) else None
    return found is None or not is_finite(found) or Fraction(found).denominator == 1


def _is_enough(key: str, value: Any) -> bool:
    """Return whether *value* is not a number below the minimum of *key*."""
    known, found = known_key(key), number(value) if isinstance(value, str) else None
    return found is None or known is None or known.least is None or found >= known.least


_FORMED: Final[Mapping[str, Callable[[str], bool]]] = {
    "Numeric": lambda text: number(text) is not None,
    "Date": lambda text: moment(text) is not None,
    "Bool": lambda text: text.lower() in {"true", "false"},
    "IPAddress": lambda text: address(text) is not None,
    "ARN": is_arn,
    "Region": lambda text: fits(REGION_NAME, text),
    "Account": lambda text: fits(ACCOUNT_ID, text),
    "Principal": lambda text: any(fits(arn, text) for arn in PRINCIPAL_ARNS),
}


CHECKS: Final[Mapping[str, Callable[[str, Any], bool]]] = {
    "typed": well_formed,
    "whole": _is_whole,
    "least": _is_enough,
    "filled": _is_filled,
}
"""For each kind of fact, the function that says whether a value satisfies it."""


def _singles(query: Query) -> tuple[list[str], bool, str]:
    key = query.key
    families = {condition.family for condition in query.asked}
    globs = [
        *(g for condition in query.asked for g in condition.globs(query.context)),
        *query.extra,
    ]
    plain = [t for glob in globs if (t := glob.plain) is not None]
    wild = any(glob.plain is None for glob in globs)
    kind = base_type(key)
    hints = [*query.hints, *hints_for(key, globs)]
    texts, complete = representatives([*globs, *formed_globs(kind)], hints)
    ordered = [each for each in MAKE if each in families]
    known = known_key(key)
    bounds = [] if known is None or known.least is None else [str(known.least)]
    by_type = _FAMILY_OF.get(kind)
    found = [*plain]
    for family in dict.fromkeys((*ordered, *([by_type] if by_type else []))):
        named = [
            v
            for condition in query.asked
            if condition.family == family
            for v in condition.condition.values
        ]
        found += MAKE[family]([*named, *plain, *bounds], plain)
    if ordered:
        found += [each for each in _MALFORMED if each not in plain]
    found += texts
    if any(condition.operator.qualifier for condition in query.asked):
        found.append("")  # set operators take it for no value
    if len(ordered) > 1 or (ordered and wild) or ("ip" in ordered and all_written(plain)):
        return _unique(found), False, f"{key} is compared as {ordered[0]} and in another way"
    return _unique(found), complete, "" if complete else f"the patterns of {key}"


def can_be_typed(key: str, asked: Iterable[KeyCondition]) -> bool:
    """Return whether the values made for *key* represent all values of its type.

    They do not if text patterns test a number, date or address.
    """
    if base_type(key) not in _FAMILY_OF:
        return base_type(key) in _FORMED
    return all(g.plain is not None for condition in asked for g in condition.globs({}))


def compares_texts(key: str, asked: Iterable[KeyCondition]) -> bool:
    """Return whether *key* is a string, or a list of strings, and compared only as such."""
    return base_type(key) not in _FAMILY_OF and all(
        condition.family in TEXTS for condition in asked
    )


def formed_globs(kind: str) -> Iterable[Glob]:
    """Yield patterns that distinguish well-formed texts of the type *kind*."""
    if kind == "ARN":
        yield ARN
    if kind == "Region":
        yield REGION_NAME
    if kind == "Account":
        yield ACCOUNT_ID
    if kind == "Principal":
        yield from PRINCIPAL_ARNS
    if kind == "Bool":
        yield Glob(tuple("true"), fold=True)
        yield Glob(tuple("false"), fold=True)


def _unique(found: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(found))


def apart(one: Part, other: Part) -> bool:
    """Return whether no request matches both, because of resources or two conditions on one key.

    False if only further conditions, or facts about AWS, rule out such a request: an EC2 key is
    another name of a global key only in requests to EC2. Also if the key has a set operator, since
    AWS's pages disagree on how it reads an empty value.
    """
    if _on_other_resources(one.statement, other.statement):
        return True
    listed = {same_key(e.condition.key) for e in (*one.asked, *other.asked) if e.operator.qualifier}
    theirs: dict[str, list[KeyCondition]] = {}
    for condition in other.asked:
        if same_key(condition.condition.key) not in listed:
            theirs.setdefault(condition.condition.key.lower(), []).append(condition)
    return any(
        _contradict(_Pair.of(mine, condition))
        for mine in one.asked
        for condition in theirs.get(mine.condition.key.lower(), ())
    )


def _on_other_resources(one: Statement, other: Statement) -> bool:
    """Return whether *other* applies to no resource that *one* names in Resource.

    False if an element is not an ARN, because only the engine can match it.
    """
    mine = [arn_pattern(each) for each in one.resource or ()]
    theirs = [arn_pattern(each) for each in other.resource or ()]
    excluded = [arn_pattern(e) for e in other.not_resource or () if "${" not in e]
    if not mine or None in mine or None in theirs:
        return False
    named = [each for each in mine if each]
    if other.resource is not None:
        return not any(their and overlap(own, their) for own in named for their in theirs)
    return all(any(each and covers(each, own) for each in excluded) for own in named)


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two conditions on one key; equal to another pair with the same content."""

    said: tuple[Any, ...]
    asked: tuple[KeyCondition, KeyCondition] = field(compare=False)

    @classmethod
    def of(cls, one: KeyCondition, other: KeyCondition) -> _Pair:
        said = (one.condition, one.variables, other.condition, other.variables)
        return cls(said, (one, other))


@lru_cache(1 << 12)
def _contradict(pair: _Pair) -> bool:
    # They may spell it in different cases; a request has one of them.
    names = (pair.asked[0].condition.key,)
    # Of a key whose type is unknown, another statement may ask for a list.
    if key_type(names[0]) is None or any(condition.needs() for condition in pair.asked):
        return False
    found = values_of(Query(names, pair.asked))
    return found.complete and not any(_both(pair, names, value) for value in found.values)


def _both(pair: _Pair, names: tuple[str, ...], value: Any) -> bool:
    context = {} if value is None else dict.fromkeys(names, value)
    return all(condition.test(context) for condition in pair.asked)
