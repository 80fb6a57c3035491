"""Match a statement's resources.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notresource.html

Only `*` matches a request for `*` (an action without a specific resource). ARN patterns are
compared field by field: a wildcard stays inside its field; only in the last field does it match
colons, which belong to the resource.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from cml_iam.engine._request import Keys, PolicyType
from cml_iam.engine._text import (
    MalformedVariableError,
    Patterns,
    Token,
    Wildcard,
    expression_text,
    has_variable,
    merged,
    patterns,
    resolved,
    tokens,
)
from cml_iam.policy import FIELDS

INSIDE: Final = "[^:]"
"""The characters that a wildcard in the first five fields matches."""

Fields = tuple[tuple[Token, ...], ...]


def is_arn(text: str) -> bool:
    """Return whether *text* has the six fields of an ARN, or more colons in the last."""
    return text.startswith("arn:") and text.count(":") >= FIELDS - 1


def split_fields(parts: Iterable[Token]) -> Fields:
    """Split a pattern at its first five colons, ignoring those inside variables."""
    fields: list[list[Token]] = [[]]
    for part in parts:
        if not isinstance(part, str):
            fields[-1].append(part)
            continue
        first, *rest = part.split(":", FIELDS - len(fields))
        fields[-1].append(first)
        fields.extend([text] for text in rest)
    return tuple(merged(field) for field in fields)


def arn_patterns(all_fields: Iterable[Fields]) -> Patterns:
    """Group ARN patterns without variables by the kind of test they need."""
    simple, expressions = [], []
    for fields in all_fields:
        *first, last = fields
        if any(isinstance(part, Wildcard) for field in first for part in field):
            texts = (expression_text(field, INSIDE) for field in first)
            text = ":".join((*texts, expression_text(last)))
            expressions.append(re.compile(text, re.DOTALL))
        else:  # a plain text test is enough
            with_colons = ((*field, ":") for field in first)
            simple.append(merged((*chain.from_iterable(with_colons), *last)))
    plain = patterns(simple)
    return Patterns(plain.equal, plain.prefixes, (*plain.expressions, *expressions), anything=False)


def varies(fields: Fields) -> bool:
    """Return whether a pattern has variables."""
    return any(map(has_variable, fields))


def field_test(parts: Sequence[Token], index: int) -> Callable[[str], bool]:
    """Return the test for the field *index* alone, whose pattern has no variables."""
    return patterns((parts,), "." if index == FIELDS - 1 else INSIDE).test()


ResourceTest = Callable[[str, Mapping[str, Any]], bool]
"""A function of the request's resource and its context."""


@dataclass(frozen=True, slots=True)
class ResourcePattern:
    """One element of `Resource` or `NotResource`.

    *fields* is None if nothing can match. With *spoils*, `NotResource` then matches nothing either.
    """

    text: str
    fields: Fields | None = None
    everything: bool = False
    spoils: bool = False
    problem: str | None = None

    def matches(self, resource: str, context: Mapping[str, Any]) -> bool | None:
        """Return whether the pattern matches *resource*; None if a variable has no value."""
        if self.everything:
            return True
        if self.fields is None:
            return False
        fields = resolve_fields(self.fields, context)
        return None if fields is None else arn_patterns((fields,)).matches(resource)


def resource_pattern(
    text: str, kind: PolicyType, *, variables: bool, keys: Keys
) -> ResourcePattern:
    """Parse one element of `Resource` or `NotResource` of a policy of the type *kind*."""
    try:
        parts = tokens(text, variables=variables, wildcards=True, keys=keys)
    except MalformedVariableError as error:
        return ResourcePattern(text, spoils=True, problem=f"resource `{text}`: {error}")
    if parts == (Wildcard.MANY,):
        return ResourcePattern(text, everything=True)
    fields = split_fields(parts)
    if fields[0] != ("arn",):
        problem = f"resource `{text}` is neither an ARN nor `*`, so it never matches"
        return ResourcePattern(text, spoils=True, problem=problem)
    return ResourcePattern(text, fields) if len(fields) == FIELDS else _short(text, kind, fields)


def _short(text: str, kind: PolicyType, fields: Fields) -> ResourcePattern:
    pads = _pads(kind, fields)
    padded = (*fields, *((Wildcard.MANY,) for _ in range(FIELDS - len(fields)))) if pads else None
    return ResourcePattern(
        text,
        padded,
        spoils=pads or kind not in ("resource", "endpoint"),
        problem=f"resource `{text}` has fewer than six fields",
    )


def _pads(kind: PolicyType, fields: Fields) -> bool:
    """Return whether the missing fields of an ARN with fewer than six are `*`.

    Otherwise it names nothing in a resource or endpoint policy, and is invalid in an SCP or RCP.
    """
    if kind in ("resource", "endpoint"):
        return any(isinstance(part, Wildcard) for field in fields for part in field)
    return fields[-1][-1:] == (Wildcard.MANY,) if kind == "scp" else kind != "rcp"


def resolve_fields(fields: Fields, context: Mapping[str, Any]) -> Fields | None:
    """Substitute variables; None if one has no value, or a colon outside the last field."""
    literals = []
    for index, field in enumerate(fields):
        literal = resolved(field, context)
        if literal is None:
            return None
        colon = any(isinstance(part, str) and ":" in part for part in literal)
        if colon and index < FIELDS - 1:
            return None
        literals.append(literal)
    return tuple(literals)


def resource_test(patterns: tuple[ResourcePattern, ...]) -> ResourceTest | None:
    """Return the test of `Resource`; None if everything matches."""
    if any(pattern.everything for pattern in patterns):
        return None
    plain = arn_patterns(p.fields for p in patterns if p.fields and not varies(p.fields))
    varying = tuple(p for p in patterns if p.fields and varies(p.fields))
    if varying:
        return lambda resource, context: (
            plain.matches(resource) or any(p.matches(resource, context) for p in varying)
        )
    if plain.prefixes and not plain.equal and not plain.expressions:
        prefixes = plain.prefixes[0] if len(plain.prefixes) == 1 else plain.prefixes
        return lambda resource, _: resource.startswith(prefixes)
    test = plain.test()
    return lambda resource, _: test(resource)


def not_resource_test(patterns: tuple[ResourcePattern, ...]) -> ResourceTest:
    """Return the test of `NotResource`: every element is defined, and none matches."""
    if any(pattern.everything or pattern.spoils for pattern in patterns):
        return lambda resource, context: False  # noqa: ARG005 - nothing to look at
    return lambda resource, context: all(
        pattern.matches(resource, context) is False for pattern in patterns
    )
