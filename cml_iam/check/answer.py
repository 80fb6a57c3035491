"""The answers of checks: results, findings and their evidence."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from cml_iam.audit import (
    Ask,
    AuditFinding,
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

    def trim(ask: Ask) -> Ask:
        kept = {key: value for key, value in ask.context.items() if key.lower() not in dropped}
        return replace(ask, context=kept)

    def trim_matrix(matrix: Matrix) -> Matrix:
        cells = (replace(cell, asks=tuple(map(trim, cell.asks))) for cell in matrix.cells)
        return replace(matrix, cells=tuple(cells))

    return replace(
        answer,
        findings=tuple(
            replace(finding, witness=tuple(map(trim, finding.witness)))
            for finding in answer.findings
        ),
        matrices=tuple(map(trim_matrix, answer.matrices)),
        changes=tuple(
            replace(change, before=trim(change.before), after=trim(change.after))
            for change in answer.changes
        ),
    )
