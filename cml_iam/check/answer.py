"""The answers of checks: results, findings and their evidence."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from cml_iam.audit import Ask, AuditFinding, Spot, audit_rules

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cml_iam.audit import Cell, Changed, Check, Input, KeyLine, Matrix, Skipped, Unused
    from cml_iam.check.verify import Verification
    from cml_iam.credentials import KeyInfo, KeyUse
    from cml_iam.engine import Request
    from cml_iam.lint import Finding, Severity
    from cml_iam.provision import Plan
    from cml_iam.workers import Health


class State(StrEnum):
    """The state of a subject; *advice* is not a fault, *could not check* never counts as fine."""

    OK = "ok"
    ADVICE = "advice"
    FINDING = "finding"
    UNCHECKED = "could not check"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The state of *subject*, described by *said*, and the *remedy*, if there is one.

    *area* is the id of the check.
    """

    area: str
    subject: str
    state: State
    said: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of one or several checks: results, findings, and further observations."""

    inputs: tuple[Input, ...] = ()
    checks: tuple[Check, ...] = ()
    findings: tuple[AuditFinding, ...] = ()
    matrices: tuple[Matrix, ...] = ()
    keys: tuple[KeyLine, ...] = ()
    changes: tuple[Changed, ...] = ()
    unused: tuple[Unused, ...] = ()
    passed_over: tuple[Skipped, ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
    tried: tuple[Health, ...] = ()
    verified: tuple[Verification, ...] = ()
    status: tuple[Status, ...] = ()
    drift: tuple[Drift, ...] = ()

    def __add__(self, other: Answer) -> Answer:
        names = [field.name for field in fields(self)]
        return Answer(**{name: (*getattr(self, name), *getattr(other, name)) for name in names})


def add_up(answers: Iterable[Answer]) -> Answer:
    """Combine *answers* into one."""
    return sum(answers, Answer())


def finding(
    rule: str,
    message: str,
    spot: Spot,
    check: str,
    *,
    about: str = "",
    remedy: str | None = None,
    severity: Severity | None = None,
    witness: Iterable[Ask] = (),
) -> AuditFinding:
    """Return a finding of the audit's own *rule*.

    *about* distinguishes findings of one rule at the same place, and must not change from day to
    day.
    """
    known = audit_rules()[rule]
    return AuditFinding(
        rule=rule,
        name=known.name,
        severity=severity or known.severity,
        message=message,
        spot=spot,
        check=check,
        fingerprint=_fingerprint(rule, spot, about),
        remedy=remedy or known.remedy,
        page=known.page,
        witness=tuple(witness),
    )


def linted(found: Finding, check: str, name: str) -> AuditFinding:
    """Return lint's findings in the document *name* as audit findings."""
    place = found.place
    spot = Spot(
        file=place.file if place else name,
        line=place.line or None if place else None,
        column=place.column or None if place else None,
        statement=found.statement,
    )
    return AuditFinding(
        rule=found.rule,
        name=found.name,
        severity=found.severity,
        message=found.message,
        spot=spot,
        check=check,
        fingerprint=_fingerprint(found.rule, spot, ""),
        remedy=found.remedy,
        page=found.page,
        witness=tuple(ask_of(step.request, step.outcome, says=step.says) for step in found.witness),
    )


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


AMBIENT = frozenset(
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
    asked = policies.lower()
    dropped = frozenset(each for each in AMBIENT if each not in asked)

    def ask(one: Ask) -> Ask:
        kept = {key: value for key, value in one.context.items() if key.lower() not in dropped}
        return replace(one, context=kept)

    def cell(one: Cell) -> Cell:
        return replace(one, asks=tuple(map(ask, one.asks)))

    return replace(
        answer,
        findings=tuple(
            replace(each, witness=tuple(map(ask, each.witness))) for each in answer.findings
        ),
        matrices=tuple(
            replace(matrix, cells=tuple(map(cell, matrix.cells))) for matrix in answer.matrices
        ),
        changes=tuple(
            replace(change, before=ask(change.before), after=ask(change.after))
            for change in answer.changes
        ),
    )


def numbered(findings: Iterable[AuditFinding]) -> tuple[AuditFinding, ...]:
    """Return *findings* with fingerprints; identical findings are numbered in order."""
    count: Counter[str] = Counter()
    unique = []
    for each in findings:
        number = count[each.fingerprint]
        count[each.fingerprint] += 1
        other = hashlib.sha256(f"{each.fingerprint} {number}".encode()).hexdigest()[:32]
        unique.append(replace(each, fingerprint=other) if number else each)
    return tuple(unique)


def _fingerprint(rule: str, spot: Spot, about: str) -> str:
    parts = (rule, spot.account, spot.file, spot.resource, spot.statement, about)
    text = "\x1f".join(part or "" for part in parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """A key of the user; *stored* is True if the store holds it."""

    info: KeyInfo
    use: KeyUse
    stored: bool

    def as_json(self) -> dict[str, Any]:
        """Return the key as JSON values."""
        return {
            "id": self.info.id,
            "status": self.info.status,
            "created": self.info.created.isoformat() if self.info.created else None,
            "last_used": self.use.when.isoformat() if self.use.when else None,
            "last_used_service": self.use.service or None,
            "last_used_region": self.use.region or None,
            "stored": self.stored,
        }


@dataclass(frozen=True, slots=True)
class Status:
    """The plan without a new key, the user's keys, and the id of the key in the store."""

    plan: Plan
    keys: tuple[KeyStatus, ...]
    stored_id: str | None

    @property
    def stale(self) -> bool:
        """Whether the store holds a key that does not belong to the user."""
        return self.stored_id is not None and not any(key.stored for key in self.keys)

    @property
    def inactive(self) -> bool:
        """Whether the store holds a key that is inactive."""
        return any(key.stored and not key.info.active for key in self.keys)

    @property
    def remedy(self) -> str | None:
        """What to do about an inactive key in the store."""
        return "replace it: `cml-iam key rotate`" if self.inactive else None

    def as_json(self) -> dict[str, Any]:
        """Return the status as JSON values."""
        return {
            "principal": self.plan.principal,
            "steps": [
                {"mark": step.mark, "resource": step.resource, "name": step.name}
                for step in self.plan.all_steps
            ],
            "keys": [key.as_json() for key in self.keys],
            "stored_id": self.stored_id,
            "stale": self.stale,
            "inactive": self.inactive,
            "remedy": self.remedy,
            "warnings": list(self.plan.warnings),
            "unchecked": list(self.plan.unchecked),
        }


@dataclass(frozen=True, slots=True)
class Drift:
    """The plan for the account, and the extra policies found there."""

    plan: Plan
    also: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether anything differs from the site."""
        return bool(self.plan.changes or self.also)

    def as_json(self) -> dict[str, Any]:
        """Return the drift as JSON values."""
        from cml_iam.provision import step_data

        return {
            "principal": self.plan.principal,
            "differs": self.differs,
            "steps": [step_data(step) for step in self.plan.changes],
            "also": list(self.also),
            "unchecked": list(self.plan.unchecked),
        }
