"""What was meant, where there is no doubt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

CLOSE: Final = 0.9
"""How alike two words must be, from 0 to 1."""

MARGIN: Final = 0.03
"""By how much the closest must be closer than the next."""


def certain(word: str, known: Iterable[str]) -> str | None:
    """Return the one of *known* that *word* certainly stands for, or None; case does not count."""
    from difflib import SequenceMatcher, get_close_matches

    by_case = {each.lower(): each for each in known}
    lower = word.lower()
    if lower in by_case:
        return by_case[lower]
    swapped = [each for each in by_case if sorted(each) == sorted(lower)]
    if len(swapped) == 1:
        return by_case[swapped[0]]
    close = get_close_matches(lower, by_case, n=2, cutoff=CLOSE - MARGIN)
    likeness = [SequenceMatcher(None, each, lower).ratio() for each in close]
    if not close or likeness[0] < CLOSE:
        return None
    if len(close) > 1 and likeness[0] - likeness[1] < MARGIN:
        return None
    return by_case[close[0]]
