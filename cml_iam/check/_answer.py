"""The answers of checks: results, findings and their evidence; answers can be combined."""

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
    from cml_iam.check.standing import Drift, Status
    from cml_iam.check.verify import Verification
    from cml_iam.engine import Request
    from cml_iam.lint import Finding, Severity
    from cml_iam.workers import Health


class State(StrEnum):
    """The state of a subject: *advice* is not wrong yet, *could not check* never counts as fine."""

    OK = "ok"
    ADVICE = "advice"
    FINDING = "finding"
    UNCHECKED = "could not check"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The state of *subject*: what was *said* about it, and the *remedy* if there is one.

    *area* is the id of the check.
    """

    area: str
    subject: str
    state: State
    said: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of one or several checks: results, findings, and what was seen on the way."""

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
        names = [each.name for each in fields(self)]
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

    *about* distinguishes findings of one rule at one place, and must not change from day to day.
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
        witness=tuple(ask_of(each.request, each.outcome, says=each.says) for each in found.witness),
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
    """Return *answer* without the global context keys that *policies* never mention."""
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
            replace(each, cells=tuple(map(cell, each.cells))) for each in answer.matrices
        ),
        changes=tuple(
            replace(each, before=ask(each.before), after=ask(each.after)) for each in answer.changes
        ),
    )


def numbered(findings: Iterable[AuditFinding]) -> tuple[AuditFinding, ...]:
    """Return *findings* with a fingerprint each; identical ones are numbered in order."""
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
    text = "\x1f".join(each or "" for each in parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
