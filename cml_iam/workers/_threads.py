"""Several calls at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

THREADS: Final = 16

In = TypeVar("In")
Out = TypeVar("Out")


def in_threads(do: Callable[[In], Out], items: Sequence[In], threads: int = THREADS) -> list[Out]:
    """Return what *do* returns for each of *items*, in their order, several at a time."""
    if len(items) < 2:
        return [do(each) for each in items]
    with ThreadPoolExecutor(min(threads, len(items))) as pool:
        return list(pool.map(do, items))
