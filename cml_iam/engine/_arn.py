"""Patterns of ARNs, compared field by field: a wildcard stays inside its field.

Only in the last field does it reach over further colons, which belong to the resource.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
"""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING, Final

from cml_iam.engine._text import Patterns, expression_text, patterns
from cml_iam.engine._variables import Token, Wildcard, merged

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FIELDS: Final = 6
INSIDE: Final = "[^:]"
"""What a wildcard of the first five fields stands for."""

Fields = tuple[tuple[Token, ...], ...]


def is_arn(text: str) -> bool:
    """Say whether *text* has the six fields of an ARN, or more colons in its last."""
    return text.startswith("arn:") and text.count(":") >= FIELDS - 1


def split_fields(parts: Iterable[Token]) -> Fields:
    """Split a pattern at its first five colons; those inside variables do not count."""
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
    """Sort patterns of ARNs without variables by what it takes to test them."""
    simple, expressions = [], []
    for fields in all_fields:
        if _wild_inside(fields):
            expressions.append(_expression(fields))
        else:
            simple.append(_joined(fields))
    found = patterns(simple)
    return Patterns(found.equal, found.prefixes, (*found.expressions, *expressions), anything=False)


def _joined(fields: Fields) -> tuple[Token, ...]:
    """Put fields together again: with no wildcard in the first five, any text test will do."""
    with_colons = ((*field, ":") for field in fields[:-1])
    return merged(chain(chain.from_iterable(with_colons), fields[-1]))


def _wild_inside(fields: Sequence[Sequence[Token]]) -> bool:
    return any(isinstance(part, Wildcard) for field in fields[:-1] for part in field)


def _expression(fields: Fields) -> re.Pattern[str]:
    texts = [expression_text(field, INSIDE) for field in fields[:-1]]
    return re.compile(":".join((*texts, expression_text(fields[-1]))), re.DOTALL)
