"""Policies rewritten so that a wildcard takes colons too, in any field of an ARN.

Whether `*` in the first five fields of an ARN stops at a colon is told in two ways by AWS: the
guide says that a wildcard cannot span fields, some published examples suppose it does. The engine
stops at colons, and fills a short pattern up with fields. What the other reading makes of a short
pattern is a few patterns of the first: one for each way in which its wildcards can hold the colons
that it lacks.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from cml_iam.engine import OperatorName
from cml_iam.facts import FIELDS, arn_pattern, covers
from cml_iam.space._policies import Policies, once

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cml_iam.facts import ArnPattern
    from cml_iam.policy import Condition, PolicyDocument, Statement

MAX_WILDCARDS: Final = 12
"""Wildcards of one pattern that may hold colons: more have more readings than memory takes."""

_ARN_OPERATORS: Final = frozenset({"arnlike", "arnequals", "arnnotlike", "arnnotequals"})


@once
def taking_colons(policies: Policies) -> Policies:
    """Return *policies* as they read where wildcards take colons; the same if that is no other."""
    made = replace(
        policies,
        identity=tuple(map(_document, policies.identity)),
        boundary=None if policies.boundary is None else tuple(map(_document, policies.boundary)),
        session=None if policies.session is None else tuple(map(_document, policies.session)),
        scps=tuple(tuple(map(_document, level)) for level in policies.scps),
        resource=None if policies.resource is None else _document(policies.resource),
    )
    return policies if made == policies else made


def _document(document: PolicyDocument) -> PolicyDocument:
    return replace(document, statements=tuple(map(_statement, document.statements)))


def _statement(said: Statement) -> Statement:
    return replace(
        said,
        resource=_patterns(said.resource),
        not_resource=_patterns(said.not_resource),
        conditions=tuple(map(_condition, said.conditions)),
    )


def _condition(condition: Condition) -> Condition:
    if OperatorName.parse(condition.operator).base not in _ARN_OPERATORS:
        return condition
    return replace(condition, values=_patterns(condition.values) or ())


def _patterns(texts: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if texts is None:
        return None
    return tuple(dict.fromkeys(made for text in texts for made in _readings(text)))


@lru_cache(1 << 12)
def _readings(text: str) -> tuple[str, ...]:
    """Return *text*, and the patterns in which its wildcards hold the colons that it lacks.

    With five colons of its own it lacks none: a wildcard with another one would need a resource
    whose own name has a colon and what follows it in the pattern. One of more than MAX_WILDCARDS
    is read as it stands only.
    """
    lacking = FIELDS - 1 - text.count(":")
    wildcards = sum(c in "*?" for c in text)
    if lacking <= 0 or text == "*" or not 0 < wildcards <= MAX_WILDCARDS:
        return (text,)
    found: dict[str, None] = {text: None}
    pending = [("", text, lacking)]
    while pending:
        done, rest, left = pending.pop()
        if not rest:
            if not left:
                found[done] = None
            continue
        char = rest[0]
        pending.append((done + char, rest[1:], left))
        if char == "?" and left:
            pending.append((done + ":", rest[1:], left - 1))
        if char == "*":
            pending += [
                (done + "*" + ":*" * more, rest[1:], left - more) for more in range(1, left + 1)
            ]
    return tuple(_widest(found))


def _widest(texts: Iterable[str]) -> Iterator[str]:
    """Yield those of *texts* that no earlier one covers, as fields."""
    known: list[ArnPattern] = []
    for text in texts:
        pattern = arn_pattern(text)
        if pattern is None or not any(covers(each, pattern) for each in known):
            yield text
            known += [pattern] if pattern else []
