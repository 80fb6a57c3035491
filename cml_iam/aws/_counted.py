"""AWS, counted: how many questions were asked."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.aws.port import Aws, Identity


class Counted:
    """The port *aws*; *calls* counts what was asked, a list of several pages once."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._lock = Lock()
        self.calls = 0

    @property
    def region(self) -> str | None:
        """The region calls go to when none is named."""
        return self._aws.region

    def call(
        self,
        service: str,
        operation: str,
        *,
        region: str | None = None,
        once: bool = False,
        **parameters: Any,
    ) -> dict[str, Any]:
        """Call as the port does, and count it."""
        self._count()
        return self._aws.call(service, operation, region=region, once=once, **parameters)

    def pages(
        self,
        service: str,
        operation: str,
        key: str,
        *,
        region: str | None = None,
        **parameters: Any,
    ) -> Iterator[Any]:
        """Yield as the port does, and count it once."""
        self._count()
        return self._aws.pages(service, operation, key, region=region, **parameters)

    def identity(self) -> Identity:
        """Ask who we are, and count it."""
        self._count()
        return self._aws.identity()

    def _count(self) -> None:
        with self._lock:
            self.calls += 1
