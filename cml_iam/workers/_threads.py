"""Calls in threads: several at a time, or one in the background for all that wait for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NoResult
from dataclasses import dataclass
from threading import Lock, Thread
from typing import Final, Generic, TypeVar

from cml_iam.errors import CmlIamError, IncompleteError

THREADS: Final = 16

In = TypeVar("In")
Out = TypeVar("Out")


def in_threads(do: Callable[[In], Out], items: Sequence[In], threads: int = THREADS) -> list[Out]:
    """Call *do* for *items*, several at a time; return the results in order."""
    if len(items) < 2:
        return [do(item) for item in items]
    with ThreadPoolExecutor(min(threads, len(items))) as pool:
        return list(pool.map(do, items))


Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Cached(Generic[Value]):
    """A cached *value*, its *age* in seconds, and the reason if a newer one should exist."""

    value: Value | None
    age: float = 0.0
    error: CmlIamError | None = None


class Cache(Generic[Value]):
    """Runs *make* at most once at a time; a result is valid for *seconds*.

    Each caller chooses how long to wait at most, even if *make* hangs.
    """

    def __init__(
        self, make: Callable[[], Value], seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._make = make
        self._seconds = seconds
        self._clock = clock
        self._lock = Lock()
        self._future: Future[tuple[Value, float]] | None = None
        self._last: tuple[Value, float] | None = None
        self._failed_at = float("-inf")
        self._failure: CmlIamError | None = None

    def get(self, patience: float) -> Cached[Value]:
        """Return the value, refreshed if it is too old; wait at most *patience* seconds."""
        with self._lock:
            now = self._clock()
            if self._last and now - self._last[1] < self._seconds:
                return Cached(self._last[0], now - self._last[1])
            if self._failure and now - self._failed_at < self._seconds:
                return self._stale(self._failure)
            if self._future is None:
                self._future = Future()
                # A daemon thread, so that a hanging call does not keep the process from ending.
                Thread(target=self._run, args=(self._future,), daemon=True).start()
            future = self._future
        try:
            value, _ = future.result(timeout=patience)
        except NoResult:
            failure: CmlIamError = IncompleteError(f"no answer within {patience:.2g} s")
        except CancelledError:
            failure = IncompleteError("a bug in cml-iam: see its log")
        except CmlIamError as error:
            failure = error
        else:
            return Cached(value)
        with self._lock:
            return self._stale(failure)

    def _stale(self, failure: CmlIamError) -> Cached[Value]:
        if self._last is None:
            return Cached(None, 0.0, failure)
        return Cached(self._last[0], self._clock() - self._last[1], failure)

    def _run(self, future: Future[tuple[Value, float]]) -> None:
        last, failure = None, None
        try:
            last = self._make(), self._clock()
        except CmlIamError as error:
            failure = error
        finally:
            with self._lock:
                self._future = None
                self._last = last or self._last
                self._failure, self._failed_at = failure, self._clock()
            if last is not None:
                future.set_result(last)
            elif failure is not None:
                future.set_exception(failure)
            else:
                future.cancel()
