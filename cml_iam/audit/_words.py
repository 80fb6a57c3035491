"""The wording of a report, the same in every format: verdict, counts, places, symbols, titles."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, date, datetime
from functools import cache
from typing import TYPE_CHECKING, Final

from cml_iam.audit import audit_rules
from cml_iam.lint import Severity, lint_rules
from cml_iam.report import listed, plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cml_iam.audit import (
        Account,
        Ask,
        AuditFinding,
        Check,
        Conclusion,
        KeyLine,
        Matrix,
        Report,
        Since,
        Spot,
    )


SEVERITIES: Final = (Severity.ERROR, Severity.WARNING, Severity.INFO)

TITLES: Final = {
    "documents": "Documents",
    "permissions": "Permissions",
    "principal": "Principal",
    "keys": "Keys",
    "surroundings": "Surroundings",
    "waivers": "Waivers",
}
"""The titles of the groups of checks."""


def date_text(value: date) -> str:
    """Format a day as 2026-11-23, a time as 2026-11-23T22:05:53Z."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return value.isoformat()


def counts(report: Report) -> dict[str, int]:
    """Count open findings by severity, waived findings, and checks by state."""
    severities = Counter(finding.severity for finding in report.open)
    states = Counter(check.state for check in report.checks)
    return {
        **{severity.word: severities[severity] for severity in SEVERITIES},
        "waived": len(report.findings) - len(report.open),
        "passed": states["passed"],
        "failed": states["failed"],
        "not_checked": states["not checked"],
        "accounts_not_checked": len(lost_accounts(report)),
    }


def lost_accounts(report: Report) -> tuple[Account, ...]:
    """Return the accounts that could not be audited."""
    return tuple(account for account in report.accounts if account.state == "not checked")


def verdict(report: Report, fail_on: Severity) -> tuple[Conclusion, str]:
    """Return the conclusion and its sentence."""
    concluded = report.conclusion(fail_on)
    parts = [*_found(report), *_lost(report)]
    if concluded == "clean":
        asked = plural(len(report.checks), "check")
        left = _left(report)
        lead = "Passed in part" if left else "Clean"
        parts += left
        return concluded, f"{lead}: {asked} made" + (f"; {listed(parts)}" if parts else "")
    lead = "Incomplete" if concluded == "incomplete" else "Findings"
    return concluded, f"{lead}: {listed(parts)}"


def _found(report: Report) -> list[str]:
    number = counts(report)
    found = [
        plural(number[severity.word], severity.word)
        for severity in SEVERITIES
        if number[severity.word]
    ]
    return [*found, *([f"{number['waived']} waived"] if number["waived"] else [])]


def _left(report: Report) -> list[str]:
    """Describe what was not checked at all and therefore must not count as clean."""
    left = [
        (len(report.skipped), "check", "left out"),
        (len(report.passed_over), "file", "not judged"),
    ]
    return [f"{plural(number, word)} {what}" for number, word, what in left if number]


def _lost(report: Report) -> list[str]:
    checks, accounts = len(report.unchecked), len(lost_accounts(report))
    lost = [(checks, "check"), (accounts, "account")]
    if not report.checks and not accounts:
        return ["no check made"]
    return [f"{plural(number, word)} not made" for number, word in lost[:1] if number] + [
        f"{plural(number, word)} not audited" for number, word in lost[1:] if number
    ]


def elsewhere(spot: Spot) -> str:
    """Return the place of a finding, with the account if the place does not name it."""
    where = spot.place
    if spot.account and spot.account not in where:
        return f"{where} in account {spot.account}" if where else f"account {spot.account}"
    return where


def request(ask: Ask) -> str:
    """Return a request on one line: action, resource and context."""
    context = ", ".join(f"{key}={values(ask.context[key])}" for key in sorted(ask.context))
    return f"{ask.action} on {ask.resource}" + (f" with {context}" if context else "")


def values(value: str | tuple[str, ...]) -> str:
    """Return the value or values of a context key as text."""
    return value if isinstance(value, str) else " | ".join(value)


def decided(ask: Ask) -> str:
    """Return the outcome and the statements that decided."""
    by = f" by {', '.join(ask.statements)}" if ask.statements else ""
    return outcome(ask.outcome) + by


def outcome(word: str) -> str:
    """Return the everyday word for an outcome of the engine."""
    return _OUTCOMES.get(word, word)


_OUTCOMES: Final = {
    "allowed": "allowed",
    "explicitDeny": "denied by a statement",
    "implicitDeny": "not allowed by any statement",
}


def by_severity(
    findings: Iterable[AuditFinding],
) -> list[tuple[Severity, list[AuditFinding]]]:
    """Return the findings by severity, worst first, otherwise in their given order."""
    found = list(findings)
    groups = ((each, [one for one in found if one.severity is each]) for each in SEVERITIES)
    return [(severity, group) for severity, group in groups if group]


def as_expected(matrix: Matrix) -> str:
    """Return how many cells of a matrix are as expected, in words.

    With many accounts, only unexpected cells are kept.
    """
    states = Counter(cell.met for cell in matrix.cells)
    if states[True] or not matrix.cells:
        return f"{states[True]} of {len(matrix.cells)} as expected"
    said = {"not as expected": states[False], "not checked": states[None]}
    return listed([f"{number} {words}" for words, number in said.items() if number])


def seen(check: Check) -> str:
    """Return the detail of a check, or the reason why it was not made."""
    return (check.reason or "no reason given") if check.state == "not checked" else check.detail


def waived_words(finding: AuditFinding) -> str:
    """Return who waived a finding, why, and until when; empty if it is not waived."""
    waiver = finding.waiver
    if waiver is None:
        return ""
    return f"waived by {waiver.owner} until {waiver.expires.isoformat()}: {waiver.reason}"


def since(change: Since) -> str:
    """Summarize the changes since the earlier report in one line."""
    parts = [
        f"{len(change.new)} new",
        f"{len(change.gone)} gone",
        f"{plural(len(change.checks), 'check')} with a different result",
    ]
    return f"since {date_text(change.time)}: {listed(parts)}"


def last_use(key: KeyLine) -> str:
    """Return when and for which service a key was last used, as far as AWS knows."""
    if key.last_used is None:
        return "no use known"
    where = " ".join(filter(None, (key.service, key.region)))
    return date_text(key.last_used)[:10] + (f" {where}" if where else "")


def left_out(report: Report) -> str:
    """Return which checks were skipped on request, in words; empty if none."""
    return f"skipped on request: {listed(report.skipped)}" if report.skipped else ""


def belongs(finding: AuditFinding, check: Check) -> bool:
    """Return whether *finding* comes from *check*; any account matches one without an account."""
    return finding.check == check.id and finding.spot.account in (check.account, None)


def by_check(report: Report) -> dict[str, list[AuditFinding]]:
    """Return the findings by the id of their check."""
    made: dict[str, list[AuditFinding]] = defaultdict(list)
    for finding in report.findings:
        made[finding.check].append(finding)
    return made


def title(finding: AuditFinding) -> str:
    """Return the title of the rule behind *finding*, or the rule's id if it is unknown."""
    return _titles().get(finding.rule, finding.name)


@cache
def _titles() -> Mapping[str, str]:
    lint = {rule.id: rule.title for rule in lint_rules()}
    return lint | {rule.id: rule.title for rule in audit_rules().values()}
