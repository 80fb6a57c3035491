"""The policies by which a refusal is judged: those attached now, or those that should be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cml_iam.policy import PolicyDocument


@dataclass(frozen=True, slots=True)
class Attached:
    """The policies that decide what a principal may do: *live* from IAM, or what should be.

    *unread* says what of those attached could not be read, where it is not all of them.
    """

    identity: tuple[PolicyDocument, ...]
    boundary: PolicyDocument | None = None
    live: bool = True
    unread: str = ""

    @property
    def where(self) -> str:
        """Where they were found, in words."""
        if self.live:
            return "attached now"
        why = f"could not read {self.unread}" if self.unread else "those attached may not be read"
        return f"of the site file; {why}"
