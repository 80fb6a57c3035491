"""Stop the process before and after every call to AWS and every change of the disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn
from unittest.mock import patch

CHANGES = (
    "chmod",
    "fchmod",
    "fchown",
    "fsync",
    "ftruncate",
    "mkdir",
    "open",
    "rename",
    "replace",
    "rmdir",
    "unlink",
    "write",
)
"""The calls by which a file or a name comes, goes or changes; pathlib makes the same ones."""


class Killed(BaseException):
    """The process is gone; no `except Exception` sees it."""


def _raise() -> NoReturn:
    raise Killed


@dataclass
class Bomb:
    """Counts moments, and goes off at the one numbered *at* (from 1)."""

    at: int | None = None
    explode: Callable[[], NoReturn] = _raise
    moments: int = 0

    def tick(self) -> None:
        self.moments += 1
        if self.moments == self.at:
            self.explode()


@contextmanager
def ticking(bomb: Bomb) -> Iterator[None]:
    """Have *bomb* tick before and after every change of the disk."""

    def around(work: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            bomb.tick()
            result = work(*arguments, **options)
            bomb.tick()
            return result

        return counted

    patches = [patch.object(os, name, around(getattr(os, name))) for name in CHANGES]
    for each in patches:
        each.start()
    try:
        yield
    finally:
        for each in patches:
            each.stop()
