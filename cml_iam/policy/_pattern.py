"""IAM's two wildcards, `*` for any text and `?` for one character, and ARNs.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from cml_iam.errors import InputError

MAX_STATES: Final = 20_000
_STARS: Final = re.compile(r"\*+")


@lru_cache(1 << 13)
def pattern_regex(pattern: str, *, ignore_case: bool = False) -> re.Pattern[str]:
    """Return the regular expression for *pattern*, for `fullmatch`; linear time for each `*`."""
    runs = (re.escape(run).replace(r"\?", ".") for run in pattern.split("*"))
    return re.compile(linear(runs), re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def linear(runs: Iterable[str], any_char: str = ".") -> str:
    """Join expressions by `*`, of characters *any_char*, into one that takes linear time for each.

    The first occurrence of the text between two `*` is as good as any later one, so `(?>…)`, an
    atomic group, prevents backtracking.
    """
    first, *rest = runs
    if not rest:
        return first
    middle = "".join(f"(?>{any_char}*?{run})" for run in rest[:-1] if run)
    return f"{first}{middle}{any_char}*{rest[-1]}"


def pattern_matches(pattern: str, text: str, *, ignore_case: bool = False) -> bool:
    """Return whether *pattern* matches *text*."""
    return pattern_regex(pattern, ignore_case=ignore_case).fullmatch(text) is not None


@lru_cache(1 << 15)
def patterns_overlap(one: str, other: str) -> bool:
    """Return whether some text matches both patterns."""
    if one == other or "*" in (one, other):
        return True
    if _apart(one, other) or _apart(one[::-1], other[::-1]):
        return False
    reached: set[tuple[int, int]] = set()
    pending = [(0, 0)]
    while pending:
        state = i, j = pending.pop()
        if i == len(one) and j == len(other):
            return True
        if state not in reached:
            reached.add(state)
            pending += _overlap_steps(one, i, other, j)
    return False


def _apart(one: str, other: str) -> bool:
    """Return whether the patterns differ in a character before the first wildcard of either."""
    for a, b in zip(one, other, strict=False):
        if a in "*?" or b in "*?":
            return False
        if a != b:
            return True
    shorter, longer = sorted((one, other), key=len)
    return len(shorter) < len(longer) and longer[len(shorter)] != "*"


def _overlap_steps(one: str, i: int, other: str, j: int) -> list[tuple[int, int]]:
    """Return the next positions in both patterns, after one character or an empty `*`."""
    a, b = one[i : i + 1], other[j : j + 1]
    steps = []
    if a == "*":
        steps += [(i + 1, j), *([(i, j + 1)] if b and b != "*" else [])]
    if b == "*":
        steps += [(i, j + 1), *([(i + 1, j)] if a and a != "*" else [])]
    if a and b and "*" not in (a, b) and (a == b or "?" in (a, b)):
        steps.append((i + 1, j + 1))
    return steps


def pattern_covers(wide: str, narrow: str) -> bool:
    """Return whether the pattern *wide* matches every text that the pattern *narrow* matches.

    The search follows both and keeps the set of possible positions in *wide*. Patterns such as
    `*a????????????????` have exponentially many sets: beyond MAX_STATES, the answer is False,
    which means "not shown to cover"; otherwise it is exact.
    """
    wide, narrow = _STARS.sub("*", wide), _STARS.sub("*", narrow)
    if wide in ("*", narrow):
        return True
    # Depth first; *seen* has the states that are covered or in progress.
    letters = {*wide.replace("*", "").replace("?", ""), "\0"}  # the last stands for all others
    seen: set[tuple[frozenset[int], int]] = set()
    pending = [(_closure({0}, wide), 0)]
    while pending:
        state = positions, index = pending.pop()
        if state in seen:
            continue
        seen.add(state)
        if len(seen) > MAX_STATES or not positions:
            return False
        if index == len(narrow):
            if len(wide) not in positions:
                return False
            continue
        char = narrow[index]
        if char == "*":
            pending.append((positions, index + 1))
        after = index if char == "*" else index + 1
        tried = letters if char in "*?" else char
        pending += [(_step(positions, letter, wide), after) for letter in tried]
    return True


def _step(positions: frozenset[int], char: str, wide: str) -> frozenset[int]:
    after = set()
    for position in positions:
        if position == len(wide):
            continue
        if wide[position] == "*":
            after.add(position)
        elif wide[position] in ("?", char):
            after.add(position + 1)
    return _closure(after, wide)


def _closure(positions: set[int], wide: str) -> frozenset[int]:
    """Add the positions after each `*`, because a `*` may match nothing."""
    reached = set(positions)
    for position in positions:
        while position < len(wide) and wide[position] == "*":
            position += 1  # noqa: PLW2901 - the loop advances from the element
            reached.add(position)
    return frozenset(reached)


FIELDS: Final = 6
"""The number of fields of an ARN."""


class Arn(NamedTuple):
    """The six fields of `arn:partition:service:region:account:resource`, wildcards included."""

    partition: str
    service: str
    region: str
    account: str
    resource: str

    @classmethod
    def parse(cls, text: str) -> Arn:
        """Return the fields of *text*; raises InputError if it is not an ARN."""
        fields = text.split(":", FIELDS - 1)
        if len(fields) != FIELDS or fields[0] != "arn":
            raise InputError(f"not an ARN: `{text}`", remedy="an ARN has six fields: arn:aws:…")
        return cls(*fields[1:])

    def __str__(self) -> str:
        return ":".join(("arn", *self))

    @property
    def type(self) -> str:
        """The resource type in an EC2 or IAM ARN (`instance` of `instance/i-1`), or empty."""
        kind, slash, _ = self.resource.partition("/")
        return kind if slash else ""
