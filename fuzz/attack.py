"""Judge one case after another, and tell of the faults: what the attackers have in common."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

MOST_FAULTS = 20


def attack(
    judge: Callable[[Random], tuple[Sequence[str], str]], count: int, seed: int, noun: str
) -> int:
    """Let *judge* make *count* cases, each with its answers and its fault; return 1 if any has one.

    A case is repeated by its seed, which stands before its fault.
    """
    counts: Counter[str] = Counter()
    faults = done = 0
    start = time.perf_counter()
    while done < count and faults < MOST_FAULTS:
        answers, fault = judge(Random(f"{seed}/{done}"))  # noqa: S311 - repeatable
        counts.update(answers)
        if fault:
            faults += 1
            _say(f"{seed}/{done}: {fault}\n")
        done += 1
        if done % 1000 == 0 or done == count:
            _say(f"{done} {noun}, {faults} faults, {time.perf_counter() - start:.0f} s")
    for answer, times in sorted(counts.items()):
        _say(f"{times:8} {answer}")
    return 1 if faults else 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
