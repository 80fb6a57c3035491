"""The policies of one type, and the three outcomes that policies can have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from cml_iam.engine._compile import CompiledStatement
    from cml_iam.engine._index import ActionIndex
    from cml_iam.engine._resource import PolicyType

Outcome = Literal["allowed", "explicitDeny", "implicitDeny"]
"""In the words of the Simulate* API."""

ALLOWED: Final = "allowed"
EXPLICIT_DENY: Final = "explicitDeny"
IMPLICIT_DENY: Final = "implicitDeny"


@dataclass(frozen=True, slots=True)
class Gate:
    """Policies of one *kind* of which one must allow; *level* counts organization levels from 1."""

    kind: PolicyType
    statements: tuple[CompiledStatement, ...]
    index: ActionIndex
    level: int | None = None
