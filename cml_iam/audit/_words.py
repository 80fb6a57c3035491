"""The wording of a report, the same in every format: verdict, counts, places, decisions."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final

from cml_iam.audit import audit_rules
from cml_iam.lint import Severity, lint_rules
from cml_iam.report import listed, plural

if TYPE_CHECKING:
    from cml_iam.audit import Account, Ask, AuditFinding, Check, Conclusion, Report, Spot

SEVERITIES: Final = (Severity.ERROR, Severity.WARNING, Severity.INFO)

_OUTCOMES: Final = {
    "explicitDeny": "denied by a statement",
    "implicitDeny": "not allowed by any statement",
}


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
    """Return the conclusion and its sentence; what was left out must not count as clean."""
    conclusion, number = report.conclusion(fail_on), counts(report)
    parts = [plural(number[each.word], each.word) for each in SEVERITIES if number[each.word]]
    if number["waived"]:
        parts.append(f"{number['waived']} waived")
    parts += _counted(
        (number["not_checked"], "check", "not made"),
        (number["accounts_not_checked"], "account", "not audited"),
    )
    if not report.checks and not number["accounts_not_checked"]:
        parts.append("no check made")
    if conclusion != "clean":
        return conclusion, f"{conclusion.capitalize()}: {listed(parts)}"
    left_out = _counted(
        (len(report.skipped), "check", "left out"), (len(report.passed_over), "file", "not judged")
    )
    lead = "Passed in part" if left_out else "Clean"
    parts += left_out
    made = f"{lead}: {plural(len(report.checks), 'check')} made"
    return conclusion, f"{made}; {listed(parts)}" if parts else made


def _counted(*counts: tuple[int, str, str]) -> list[str]:
    return [f"{plural(number, noun)} {rest}" for number, noun, rest in counts if number]


def elsewhere(spot: Spot) -> str:
    """Return the place of a finding, with the account if the place does not name it."""
    where = spot.place
    if spot.account and spot.account not in where:
        return f"{where} in account {spot.account}" if where else f"account {spot.account}"
    return where


def decided(ask: Ask) -> str:
    """Return the outcome in everyday words, and the statements that decided."""
    by = f" by {', '.join(ask.statements)}" if ask.statements else ""
    return _OUTCOMES.get(ask.outcome, ask.outcome) + by


def seen(check: Check) -> str:
    """Return the detail of a check, or the reason why it was not made."""
    return (check.reason or "no reason given") if check.state == "not checked" else check.detail


def waived_words(finding: AuditFinding) -> str:
    """Return who waived a finding, why, and until when; empty if it is not waived."""
    waiver = finding.waiver
    if waiver is None:
        return ""
    return f"waived by {waiver.owner} until {waiver.expires.isoformat()}: {waiver.reason}"


def belongs(finding: AuditFinding, check: Check) -> bool:
    """Return whether *finding* comes from *check*; any account matches one without an account."""
    return finding.check == check.id and finding.spot.account in (check.account, None)


def title(finding: AuditFinding) -> str:
    """Return the title of the rule behind *finding*, or the rule's name if it is unknown."""
    own = audit_rules().get(finding.rule)
    linted = (rule.title for rule in lint_rules() if rule.id == finding.rule)
    return own.title if own else next(linted, finding.name)
