"""Resources as patterns of ARNs: whether two can name the same, whether one names all of another.

Compared field by field, as IAM does: a wildcard stays inside its field, save in the last.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from cml_iam.policy import pattern_covers, patterns_overlap

FIELDS: Final = 6
ArnPattern = tuple[str, ...]
"""Six patterns, one for each field."""

ANY: Final[ArnPattern] = ("*",) * FIELDS
_VARIABLE: Final = re.compile(r"\$\{([*?$])\}|\$\{[^}]*\}")
_FORMAT: Final = re.compile(r"\$\{[^}]*\}")


def arn_pattern(text: str, *, variables: bool = True) -> ArnPattern | None:
    """Return the six fields *text* stands for, or None if it is neither `*` nor an ARN.

    A short one is filled up with `*`; a policy variable may be anything.
    """
    plain = _VARIABLE.sub(lambda found: "?" if found[1] else "*", text) if variables else text
    if plain == "*":
        return ANY
    fields = plain.split(":", FIELDS - 1)
    if fields[0] != "arn":
        return None
    return (*fields, *("*" for _ in range(FIELDS - len(fields))))


def arn_of_format(text: str) -> ArnPattern:
    """Return the pattern of a format such as `arn:${Partition}:ec2:${Region}::image/${ImageId}`."""
    fields = _FORMAT.sub("*", text).split(":", FIELDS - 1)
    return (*fields, *("*" for _ in range(FIELDS - len(fields))))


def overlap(one: ArnPattern, other: ArnPattern) -> bool:
    """Say whether some ARN is named by both; the last field most often tells them apart."""
    return patterns_overlap(one[-1], other[-1]) and all(map(patterns_overlap, one, other))


@lru_cache(1 << 14)
def covers(wide: ArnPattern, narrow: ArnPattern) -> bool:
    """Say whether every ARN that *narrow* names is named by *wide*."""
    return all(map(pattern_covers, wide, narrow))
