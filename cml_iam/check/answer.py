"""The answers of checks: results, findings and their evidence."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, cast

from cml_iam.audit import (
    Ask,
    AuditFinding,
    Cell,
    Changed,
    Check,
    Input,
    KeyLine,
    Matrix,
    Skipped,
    Spot,
    Unused,
)

if TYPE_CHECKING:
    from cml_iam.engine import Request


class State(StrEnum):
    """The state of a subject; *advice* is not a fault, *could not check* never counts as fine."""

    OK = "ok"
    ADVICE = "advice"
    FINDING = "finding"
    UNCHECKED = "could not check"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The *state* of *subject*, as *said*, with a remedy; *area* is the id of the check."""

    area: str
    subject: str
    state: State
    said: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of one or several checks: results, findings, and further observations.

    *details* are for a command that lays them out itself: a Verification, the Health of regions, a
    Status or a Drift.
    """

    inputs: tuple[Input, ...] = ()
    checks: tuple[Check, ...] = ()
    findings: tuple[AuditFinding, ...] = ()
    matrices: tuple[Matrix, ...] = ()
    keys: tuple[KeyLine, ...] = ()
    changes: tuple[Changed, ...] = ()
    unused: tuple[Unused, ...] = ()
    passed_over: tuple[Skipped, ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
    details: tuple[Any, ...] = ()

    def __add__(self, other: Answer) -> Answer:
        names = [field.name for field in fields(self)]
        return Answer(**{name: (*getattr(self, name), *getattr(other, name)) for name in names})


def fingerprint(rule: str, spot: Spot, about: str = "") -> str:
    """Return what identifies a finding, even when it moves to another line."""
    parts = (rule, spot.account, spot.file, spot.resource, spot.statement, about)
    text = "\x1f".join(part or "" for part in parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def ask_of(
    request: Request, outcome: str, statements: Iterable[str] = (), *, says: str = ""
) -> Ask:
    """Return *request* and its *outcome* in the report's form."""
    context: dict[str, Any] = {
        key: value if isinstance(value, str) else tuple(value)
        for key, value in sorted(request.context.items())
    }
    where = f" on {request.resource}" if request.resource != "*" else ""
    return Ask(
        says=says or f"{request.action}{where}",
        action=request.action,
        resource=request.resource,
        outcome=outcome,
        context=context,
        statements=tuple(statements),
    )


_AMBIENT: Final = frozenset(
    {
        "aws:currenttime",
        "aws:epochtime",
        "aws:principalaccount",
        "aws:principalarn",
        "aws:principaltype",
        "aws:securetransport",
        "aws:sourceip",
        "aws:tokenissuetime",
        "aws:userid",
        "aws:username",
        "aws:viaawsservice",
    }
)
"""Condition keys that every request has; they matter only if a policy uses them."""


def trimmed(answer: Answer, policies: str) -> Answer:
    """Return *answer* without the global condition keys that *policies* never mention."""
    text = policies.lower()
    dropped = frozenset(key for key in _AMBIENT if key not in text)

    def trim(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(trim, value))
        if isinstance(value, Ask):
            context = value.context.items()
            kept = {key: setting for key, setting in context if key.lower() not in dropped}
            return replace(value, context=kept)
        names = _WITH_ASKS.get(type(value), ())
        return replace(value, **{name: trim(getattr(value, name)) for name in names})

    return cast("Answer", trim(answer))


_WITH_ASKS: Final[Mapping[type, tuple[str, ...]]] = {
    Answer: ("findings", "matrices", "changes"),
    AuditFinding: ("witness",),
    Matrix: ("cells",),
    Cell: ("asks",),
    Changed: ("before", "after"),
}
"""The fields of a report's values that hold requests."""
