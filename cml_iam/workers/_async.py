"""The worker manager for asyncio: the same methods as coroutines."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar

from cml_iam.aws.port import Aws, Session
from cml_iam.tag import Tag
from cml_iam.workers._manager import WorkerManager

THREADS: Final = 16
"""The maximum number of concurrent calls; further calls wait for a thread."""

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")


def _in_thread(
    method: Callable[Concatenate[WorkerManager, Arguments], Answer],
) -> Callable[Concatenate[AsyncWorkerManager, Arguments], Coroutine[Any, Any, Answer]]:
    """Return a coroutine function that runs *method* in one of the manager's threads."""

    async def run(
        self: AsyncWorkerManager, /, *arguments: Arguments.args, **named: Arguments.kwargs
    ) -> Answer:
        import asyncio  # 3 MB that a command can save

        call = partial(method, self.manager, *arguments, **named)
        return await asyncio.get_running_loop().run_in_executor(self.executor, call)

    run.__name__, run.__doc__ = method.__name__, method.__doc__
    return run


class AsyncWorkerManager:
    """The methods of `WorkerManager` as coroutines, for one or more event loops.

    Each call runs in one of at most *threads* threads and reuses the existing clients. A coroutine
    that is cancelled or times out ends immediately: a call that waits for a thread is not sent, and
    a call in progress completes without its response being used, because a request to AWS cannot be
    withdrawn. Use it as an asynchronous context manager, or `close` it.
    """

    def __init__(
        self,
        manager: WorkerManager | Aws | None = None,
        *,
        session: Session | None = None,
        guard: Tag | None = None,
        threads: int = THREADS,
    ) -> None:
        """Use *manager*, or create a `WorkerManager` with the other arguments."""
        if not isinstance(manager, WorkerManager):
            manager = WorkerManager(manager, session=session, guard=guard)
        self.manager = manager
        self.executor = ThreadPoolExecutor(threads, thread_name_prefix="cml-iam")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Send no further calls; calls in progress complete on their own."""
        self.executor.shutdown(wait=False, cancel_futures=True)

    create_instance = _in_thread(WorkerManager.create_instance)
    start_instance = _in_thread(WorkerManager.start_instance)
    stop_instance = _in_thread(WorkerManager.stop_instance)
    terminate_instance = _in_thread(WorkerManager.terminate_instance)
    get_instance_details = _in_thread(WorkerManager.get_instance_details)
    get_all_instances = _in_thread(WorkerManager.get_all_instances)
    find_instances = _in_thread(WorkerManager.find_instances)
    find_by_client_token = _in_thread(WorkerManager.find_by_client_token)
    get_instance_status = _in_thread(WorkerManager.get_instance_status)
    get_statuses = _in_thread(WorkerManager.get_statuses)
    get_image = _in_thread(WorkerManager.get_image)
    find_images = _in_thread(WorkerManager.find_images)
    find_images_by_id = _in_thread(WorkerManager.find_images_by_id)
    get_ami_ids_by_name = _in_thread(WorkerManager.get_ami_ids_by_name)
    health = _in_thread(WorkerManager.health)
    update_instance_tags = _in_thread(WorkerManager.update_instance_tags)
    delete_instance_tags = _in_thread(WorkerManager.delete_instance_tags)
    get_instance_tags = _in_thread(WorkerManager.get_instance_tags)
    get_instance_resources_utilization = _in_thread(
        WorkerManager.get_instance_resources_utilization
    )
    get_utilization_of = _in_thread(WorkerManager.get_utilization_of)
    do = _in_thread(WorkerManager.do)
    permits = _in_thread(WorkerManager.permits)
