"""What comes over the wire and what goes back, before anything is understood of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Message:
    """An HTTP request as received: *target* is the undecoded path with its query.

    Header names are lower case; a header sent twice is joined by a comma, as for signing.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    source_ip: str = "127.0.0.1"

    @property
    def path(self) -> str:
        """The undecoded path."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The undecoded query."""
        return self.target.partition("?")[2]

    @property
    def fields(self) -> list[tuple[str, str]]:
        """The parameters in the query, decoded, without those of a signature."""
        return [each for each in form_fields(self.query) if not each[0].startswith("X-Amz-")]


def form_fields(text: str) -> list[tuple[str, str]]:
    """Return the fields of a form or a query, empty ones too."""
    return parse_qsl(text, keep_blank_values=True)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response, sent after *seconds*; a *lost* one is never sent."""

    status: int
    body: bytes
    content_type: str = "text/xml;charset=UTF-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    lost: bool = False
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the service did what was asked."""
        return self.status < 300
