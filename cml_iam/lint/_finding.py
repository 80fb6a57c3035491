"""What a rule says: findings, and the requests that prove them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from cml_iam.engine import Request
    from cml_iam.errors import Place
    from cml_iam.lint._edits import Correction

Kind = Literal["identity", "boundary", "resource", "trust", "scp", "rcp"]
"""What a document is for: attached to a principal, a permissions boundary, a resource's policy,
a role's trust policy, a service control policy, or a resource control policy."""

KINDS: tuple[Kind, ...] = ("identity", "boundary", "resource", "trust", "scp", "rcp")


class Severity(IntEnum):
    """How bad a finding is; `ERROR` is the highest."""

    INFO = 1
    WARNING = 2
    ERROR = 3

    @property
    def word(self) -> str:
        """The severity as it is printed: `error`, `warning`, `info`."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Step:
    """One request of a witness, and how the documents decide it: `allowed` or `…Deny`.

    *says* tells the step in words.
    """

    request: Request
    outcome: str
    says: str

    def as_json(self) -> dict[str, Any]:
        """Return the step as parsed JSON."""
        return {
            "says": self.says,
            "principal": self.request.principal,
            "action": self.request.action,
            "resource": self.request.resource,
            "context": _plain(self.request.context),
            "outcome": self.outcome,
        }


@dataclass(frozen=True, slots=True)
class Found:
    """What a rule's function yields: a finding without what the rule itself says."""

    message: str
    place: Place | None
    remedy: str | None = None
    statement: str | None = None
    witness: tuple[Step, ...] = ()
    correction: Correction | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with a policy.

    *rule* is the rule's id, which never changes its meaning, and *name* its name. *place* is where
    it stands, *statement* the label of the statement, *witness* the requests that prove it, decided
    by the engine; *page* is AWS's page on the matter. *correction* is what would fix it, where
    there is one answer.
    """

    rule: str
    name: str
    severity: Severity
    message: str
    place: Place | None
    page: str
    remedy: str | None = None
    statement: str | None = None
    witness: tuple[Step, ...] = ()
    correction: Correction | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the finding as parsed JSON."""
        place = self.place
        return {
            "rule": self.rule,
            "name": self.name,
            "severity": self.severity.word,
            "message": self.message,
            "file": place.file if place else None,
            "line": place.line or None if place else None,
            "column": place.column or None if place else None,
            "statement": self.statement,
            "remedy": self.remedy,
            "page": self.page,
            "witness": [step.as_json() for step in self.witness],
            "corrected": self.correction.as_json() if self.correction else None,
            "correction": self.correction.claim if self.correction else None,
        }


def _plain(context: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: list(value) if isinstance(value, list | tuple) else value
        for key, value in context.items()
    }


SHOWN: Final = 4
"""Names listed before `and N more`."""


def listed(names: list[str], *, most: int = SHOWN) -> str:
    """Return *names* in one phrase, cut short where there are more than *most*."""
    quoted = [f"`{name}`" for name in names[:most]]
    if len(names) > most:
        quoted.append(f"{len(names) - most} more")
    if len(quoted) == 1:
        return quoted[0]
    return f"{', '.join(quoted[:-1])} and {quoted[-1]}"
