"""What each part of an audit adds to the report, and how its findings are made."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from cml_iam.audit._report import Ask, AuditFinding, Spot
from cml_iam.audit._rules import AUDIT_RULES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cml_iam.audit._report import Cell, Changed, Check, Input, KeyLine, Matrix, Skipped, Unused
    from cml_iam.engine import Decision, Request
    from cml_iam.lint import Finding, Severity


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a report; parts are added up."""

    inputs: tuple[Input, ...] = ()
    checks: tuple[Check, ...] = ()
    findings: tuple[AuditFinding, ...] = ()
    matrices: tuple[Matrix, ...] = ()
    keys: tuple[KeyLine, ...] = ()
    changes: tuple[Changed, ...] = ()
    unused: tuple[Unused, ...] = ()
    passed_over: tuple[Skipped, ...] = ()

    def __add__(self, other: Part) -> Part:
        names = [each.name for each in fields(self)]
        return Part(**{name: (*getattr(self, name), *getattr(other, name)) for name in names})


def add_up(parts: Iterable[Part]) -> Part:
    """Return all *parts* as one."""
    return sum(parts, Part())


def found(
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

    *about* tells findings of one rule at one spot apart, and must not change from day to day.
    """
    known = AUDIT_RULES[rule]
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


def linted(finding: Finding, check: str, name: str) -> AuditFinding:
    """Return what lint found in the document *name* as a finding of the audit."""
    place = finding.place
    spot = Spot(
        file=place.file if place else name,
        line=place.line or None if place else None,
        column=place.column or None if place else None,
        statement=finding.statement,
    )
    return AuditFinding(
        rule=finding.rule,
        name=finding.name,
        severity=finding.severity,
        message=finding.message,
        spot=spot,
        check=check,
        fingerprint=_fingerprint(finding.rule, spot, ""),
        remedy=finding.remedy,
        page=finding.page,
        witness=tuple(
            ask_of(each.request, each.outcome, says=each.says) for each in finding.witness
        ),
    )


def ask_of(
    request: Request, outcome: str, statements: Iterable[str] = (), *, says: str = ""
) -> Ask:
    """Return *request* and its *outcome* as the report keeps them."""
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


def decided(decision: Decision, *, says: str = "") -> Ask:
    """Return what the engine decided, with the statements that did."""
    labels = dict.fromkeys(reason.label for reason in decision.statements)
    return ask_of(decision.request, decision.outcome, labels, says=says)


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
"""Condition keys that every request has; they tell something only where a policy asks for them."""


def trimmed(part: Part, policies: str) -> Part:
    """Return *part* without the ambient keys of requests that the text of *policies* never asks."""
    asked = policies.lower()
    dropped = frozenset(each for each in AMBIENT if each not in asked)

    def ask(one: Ask) -> Ask:
        kept = {key: value for key, value in one.context.items() if key.lower() not in dropped}
        return replace(one, context=kept)

    def cell(one: Cell) -> Cell:
        return replace(one, asks=tuple(map(ask, one.asks)))

    return replace(
        part,
        findings=tuple(
            replace(each, witness=tuple(map(ask, each.witness))) for each in part.findings
        ),
        matrices=tuple(replace(each, cells=tuple(map(cell, each.cells))) for each in part.matrices),
        changes=tuple(
            replace(each, before=ask(each.before), after=ask(each.after)) for each in part.changes
        ),
    )


def told_apart(findings: Iterable[AuditFinding]) -> tuple[AuditFinding, ...]:
    """Return *findings* with a fingerprint each: equal ones are numbered, in their order."""
    seen: Counter[str] = Counter()
    apart = []
    for each in findings:
        number = seen[each.fingerprint]
        seen[each.fingerprint] += 1
        numbered = hashlib.sha256(f"{each.fingerprint} {number}".encode()).hexdigest()[:32]
        apart.append(replace(each, fingerprint=numbered) if number else each)
    return tuple(apart)


def _fingerprint(rule: str, spot: Spot, about: str) -> str:
    parts = (rule, spot.account, spot.file, spot.resource, spot.statement, about)
    text = "\x1f".join(each or "" for each in parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
