"""Values of a condition key: one for each combination of answers that its conditions can give.

Conditions on a key divide its values into classes. Text patterns are run in parallel (`_globs`);
numbers, dates and addresses are split at every bound in a condition; lists are combined from single
values until no new answer appears. The engine then answers for each value, and one value is kept of
those with equal answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final, NamedTuple

from cml_iam.engine.parts import address, moment, number
from cml_iam.facts import key_type, known_key
from cml_iam.space._callers import PRINCIPAL_ARNS
from cml_iam.space._examples import MAKE, all_written, base_type, hints_for, is_finite
from cml_iam.space._globs import ACCOUNT_ID, REGION_NAME, Glob, is_text_of, representatives
from cml_iam.space._statements import ARN, TEXTS, KeyCondition, all_plain

MAX_LISTS: Final = 600
"""The maximum number of lists of one key that are distinguished; beyond it, undecided."""

_FAMILY_OF: Final = {"Numeric": "numeric", "Date": "date", "IPAddress": "ip"}
_READ: Final[Mapping[str, Callable[[str], object]]] = {
    "Numeric": number,
    "Date": moment,
    "IPAddress": address,
}
"""For each type that is not compared as text, the function that reads a value."""

FORMS: Final[Mapping[str, tuple[Glob, ...]]] = {
    "ARN": (ARN,),
    "Region": (REGION_NAME,),
    "Account": (ACCOUNT_ID,),
    "Principal": PRINCIPAL_ARNS,
    "Bool": (Glob(tuple("true"), fold=True), Glob(tuple("false"), fold=True)),
}
"""For each other type with a form, the patterns of its values."""

_MALFORMED: Final = ("something-else", "unlisted")


class Values(NamedTuple):
    """Values of a key; None means absent. *missing* says which classes may have no value."""

    values: tuple[Any, ...]
    missing: tuple[str, ...] = ()


class Query(NamedTuple):
    """A query for values of a key; *names* are its spellings, which all have the same value.

    *variables* are the values of policy variables. *several* says that a condition, perhaps of
    another statement, treats the key as a list. *extra* are further patterns to distinguish, and
    *hints* are texts to try first.
    """

    names: tuple[str, ...]
    conditions: tuple[KeyCondition, ...]
    variables: tuple[tuple[str, str], ...] = ()
    hints: tuple[str, ...] = ()
    extra: tuple[Glob, ...] = ()
    several: bool = False

    @property
    def key(self) -> str:
        """The key's first name."""
        return self.names[0]

    def answer(self, value: Any) -> tuple[Any, ...]:
        """Return all distinctions for *value*."""
        context = dict(self.variables) | dict.fromkeys(self.names, value)
        return (
            *(condition.test(context) for condition in self.conditions),
            *(fits(glob, value) for glob in self.extra),
            *(check(self.key, value) for check in CHECKS.values()),
            value == [],
        )


@lru_cache(1 << 9)
def values_of(query: Query) -> Values:
    """Return values of a key, at least one for each combination of answers of its conditions."""
    singles, missing = _singles(query)
    kind = key_type(query.key)
    several = query.several if kind is None else kind.startswith("ArrayOf")
    values: list[Any] = [] if kind and several else list(singles)
    if several:
        lists, all_there = _lists(query, singles)
        values += lists
        missing = missing or ("" if all_there else f"lists of {query.key}")
    by_answer: dict[tuple[Any, ...], Any] = {}
    for value in values:
        by_answer.setdefault(query.answer(value), value)
    return Values((*by_answer.values(), None), (missing,) if missing else ())


def fits(pattern: Glob, value: Any) -> bool:
    """Return whether a text, or one text of a list, matches *pattern*."""
    if isinstance(value, list):
        return any(fits(pattern, text) for text in value)
    return isinstance(value, str) and is_text_of(pattern, value)


def _lists(query: Query, singles: list[str]) -> tuple[list[Any], bool]:
    """Return lists made of *singles*, one for each answer that conditions can give on a list."""
    answer = query.answer
    # A list of the empty text alone counts as no value, but beside others it is one.
    classes: dict[Any, str] = {}
    for text in singles:
        classes.setdefault((answer([text]), text == ""), text)
    elements = list(classes.values())
    by_answer: dict[tuple[Any, ...], list[str]] = {}
    for text in elements:
        by_answer.setdefault(answer([text]), [text])
    pending = [[text] for text in elements]
    while pending and len(by_answer) <= MAX_LISTS:
        here = pending.pop(0)
        for text in elements:
            if text not in here:
                longer = [*here, text]
                answers = answer(longer)
                if answers not in by_answer:
                    by_answer[answers] = longer
                    pending.append(longer)
    return [*by_answer.values(), []], not pending


def _is_filled(_: str, value: Any) -> bool:
    """Return whether *value* is anything but an empty list or a list of empty texts."""
    return not isinstance(value, list) or any(value)


def _is_well_formed(key: str, value: Any) -> bool:
    """Return whether *value* has the type of *key*; always true for unknown types."""
    kind = base_type(key)
    texts = value if isinstance(value, list) else [value]
    if kind in _READ:
        return value is None or all(_READ[kind](text) is not None for text in texts)
    forms = FORMS.get(kind)
    if forms is None or value is None:
        return True
    return all(any(is_text_of(form, text) for form in forms) for text in texts)


def _is_whole(_: str, value: Any) -> bool:
    """Return whether *value* is not a number with a fraction."""
    size = number(value) if isinstance(value, str) else None
    return size is None or not is_finite(size) or Fraction(size).denominator == 1


def _is_enough(key: str, value: Any) -> bool:
    """Return whether *value* is not a number below the minimum of *key*."""
    facts = known_key(key)
    if facts is None or facts.least is None or not isinstance(value, str):
        return True
    size = number(value)
    return size is None or size >= facts.least


CHECKS: Final[Mapping[str, Callable[[str, Any], bool]]] = {
    "typed": _is_well_formed,
    "whole": _is_whole,
    "least": _is_enough,
    "filled": _is_filled,
}
"""For each kind of fact, the function that says whether a value satisfies it."""


def _singles(query: Query) -> tuple[list[str], str]:
    """Return single values, and which classes may have none; empty if all have one."""
    key, kind = query.key, base_type(query.key)
    context = dict(query.variables)
    globs = [glob for condition in query.conditions for glob in condition.globs(context)]
    globs += query.extra
    plain = [text for glob in globs if (text := glob.plain) is not None]
    hints = [*query.hints, *hints_for(key, globs)]
    texts, complete = representatives([*globs, *FORMS.get(kind, ())], hints)
    families = {condition.family for condition in query.conditions}
    ordered = [family for family in MAKE if family in families]
    facts = known_key(key)
    bounds = [] if facts is None or facts.least is None else [str(facts.least)]
    candidates = [*plain]
    for family in dict.fromkeys((*ordered, *filter(None, [_FAMILY_OF.get(kind)]))):
        compared = (
            condition.condition.values
            for condition in query.conditions
            if condition.family == family
        )
        named = [value for values in compared for value in values]
        candidates += MAKE[family]([*named, *plain, *bounds], plain)
    if ordered:
        candidates += [text for text in _MALFORMED if text not in plain]
    candidates += texts
    if any(condition.operator.qualifier for condition in query.conditions):
        candidates.append("")  # set operators take it for no value
    missing = "" if complete else f"the patterns of {key}"
    wild = len(plain) < len(globs)
    if len(ordered) > 1 or (ordered and wild) or ("ip" in ordered and all_written(plain)):
        missing = f"{key} is compared as {ordered[0]} and in another way"
    return list(dict.fromkeys(candidates)), missing


def can_be_typed(key: str, conditions: Iterable[KeyCondition]) -> bool:
    """Return whether the values made for *key* represent all values of its type.

    They do not if text patterns test a number, date or address.
    """
    kind = base_type(key)
    return all_plain(conditions) if kind in _FAMILY_OF else kind in FORMS


def compares_texts(key: str, conditions: Iterable[KeyCondition]) -> bool:
    """Return whether *key* is a string, or a list of strings, and compared only as such."""
    return base_type(key) not in _FAMILY_OF and all(
        condition.family in TEXTS for condition in conditions
    )
