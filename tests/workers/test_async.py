"""The manager for asyncio: the same methods, in few threads, ended when their time is over."""

from __future__ import annotations

import asyncio
import inspect
import threading
from typing import Any

import pytest

from cml_iam.errors import NotFoundError
from cml_iam.workers import AsyncWorkerManager, WorkerManager


class Slow:
    """A connection whose calls wait until they are let go; counts those under way."""

    region = "us-east-1"

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.begun: list[str] = []
        self.most = self._under_way = 0
        self._lock = threading.Lock()

    def pages(self, service: str, operation: str, key: str, **parameters: Any) -> list[Any]:
        with self._lock:
            self._under_way += 1
            self.begun.append(operation)
            self.most = max(self.most, self._under_way)
        assert self.let_go.wait(10)
        with self._lock:
            self._under_way -= 1
        return []


def test_every_public_method_of_the_manager_is_a_coroutine_of_the_same_arguments() -> None:
    synchronous = {
        name: method
        for name, method in inspect.getmembers(WorkerManager, inspect.isfunction)
        if not name.startswith("_")
        # Further names of the same methods, in the words of the application's code.
        and method.__name__ == name
    }

    for name, method in synchronous.items():
        coroutine = getattr(AsyncWorkerManager, name)
        assert inspect.iscoroutinefunction(coroutine), name
        assert coroutine.__doc__ == method.__doc__


def test_errors_are_those_of_the_manager() -> None:
    slow = Slow()
    slow.let_go.set()

    async def ask() -> None:
        async with AsyncWorkerManager(WorkerManager(slow)) as manager:  # type: ignore[arg-type]
            await manager.get_instance_details("i-0123456789abcdef0")

    with pytest.raises(NotFoundError):
        asyncio.run(ask())


def test_no_more_calls_are_under_way_than_there_are_threads() -> None:
    slow = Slow()

    async def ask() -> None:
        async with AsyncWorkerManager(WorkerManager(slow), threads=3) as manager:  # type: ignore[arg-type]
            asked = [asyncio.create_task(manager.get_all_instances()) for _ in range(12)]
            while len(slow.begun) < 3:
                await asyncio.sleep(0.001)
            slow.let_go.set()
            await asyncio.gather(*asked)

    asyncio.run(ask())

    assert (slow.most, len(slow.begun)) == (3, 12)


def test_a_call_whose_time_is_over_ends_at_once_and_one_that_waits_is_not_sent() -> None:
    slow = Slow()

    async def ask() -> None:
        manager = AsyncWorkerManager(WorkerManager(slow), threads=1)  # type: ignore[arg-type]
        under_way = asyncio.create_task(manager.get_all_instances())
        while not slow.begun:
            await asyncio.sleep(0.001)
        waiting = asyncio.create_task(manager.get_all_instances())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await waiting
        under_way.cancel()
        with pytest.raises(asyncio.CancelledError):
            await under_way
        slow.let_go.set()
        manager.close()

    asyncio.run(ask())

    assert slow.begun == ["describe_instances"]
