"""The dependencies of the service, by type: what is not proved to work is not handed out."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from cml_iam.errors import IncompleteError

Service = TypeVar("Service")


class Container:
    """Hands out what was registered; a service is registered once it has worked."""

    def __init__(self) -> None:
        self._made: dict[type, Any] = {}

    def register(self, kind: type[Service], made: Service) -> None:
        """Hand out *made* for *kind* from now on."""
        self._made[kind] = made

    def get(self, kind: type[Service]) -> Service:
        """Return the service of *kind*; raises IncompleteError before it has worked."""
        try:
            return cast("Service", self._made[kind])
        except KeyError:
            raise IncompleteError("EC2 has not answered yet, so nothing more was asked") from None

    def __contains__(self, kind: type) -> bool:
        return kind in self._made
