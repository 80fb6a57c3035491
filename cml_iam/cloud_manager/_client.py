"""What the clients of the application have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from cml_iam.cloud_manager._connection import Given, connected
from cml_iam.cloud_manager._errors import Exceptions
from cml_iam.workers import DEFAULT_GUARD, AsyncWorkerManager, GuardTag, WorkerManager


class Client:
    """What the application's clients have in common.

    *credentials* are an object with an access key's attributes, a boto3 session, or a connection of
    `cml_iam.connect`. *guard* is the tag that every launch carries: it must be the site's guard
    tag. *owners* are the accounts whose images are found by name; `self` is the caller's own.
    *exceptions* names the application's exception classes; without it the errors are those of
    `cml_iam.errors`.
    """

    def __init__(
        self,
        credentials: Given,
        *,
        guard: GuardTag = DEFAULT_GUARD,
        owners: Sequence[str] = ("self",),
        exceptions: Exceptions | None = None,
    ) -> None:
        self.manager = AsyncWorkerManager(WorkerManager(connected(credentials), guard=guard))
        self.owners = tuple(owners)
        self._exceptions = exceptions or Exceptions()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Send no further calls."""
        self.manager.close()
