"""The wording of a report, the same in every format; findings as items, matrices as grids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Final, TypeVar

from cml_iam.audit import (
    Account,
    Ask,
    AuditFinding,
    Check,
    Conclusion,
    Matrix,
    Report,
    Spot,
    audit_rules,
)
from cml_iam.audit import Cell as MatrixCell
from cml_iam.lint import Severity, lint_rules
from cml_iam.report import (
    FAILED,
    NOTED,
    PASSED,
    UNKNOWN,
    WAIVED,
    WARNED,
    Grid,
    Item,
    Level,
    Place,
    Request,
    Station,
    listed,
    plural,
)

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
    parts = [
        plural(number[severity.word], severity.word)
        for severity in SEVERITIES
        if number[severity.word]
    ]
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
    summary = f"{lead}: {plural(len(report.checks), 'check')} made"
    return conclusion, f"{summary}; {listed(parts)}" if parts else summary


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
    return reason_of(check) if check.state == "not checked" else check.detail


def reason_of(subject: Check | Account) -> str:
    """Return why *subject* was not checked."""
    return subject.reason or "no reason given"


def title_of(check: Check) -> str:
    """Return the title of *check*, with the account it was made in."""
    return f"{check.title} in {check.account}" if check.account else check.title


def name_of(account: Account) -> str:
    """Return the id of *account*, with its name."""
    return f"{account.id} ({account.name})" if account.name else account.id


def waived_words(finding: AuditFinding) -> str:
    """Return who waived a finding, why, and until when; empty if it is not waived."""
    waiver = finding.waiver
    if waiver is None:
        return ""
    return f"waived by {waiver.owner} until {waiver.expires.isoformat()}: {waiver.reason}"


def belongs(finding: AuditFinding, check: Check) -> bool:
    """Return whether *finding* comes from *check*; without an account, it may be from any one."""
    return finding.check == check.id and finding.spot.account in (check.account, None)


def title(finding: AuditFinding) -> str:
    """Return the title of the rule behind *finding*, or the rule's name if it is unknown."""
    own = audit_rules().get(finding.rule)
    linted = (rule.title for rule in lint_rules() if rule.id == finding.rule)
    return own.title if own else next(linted, finding.name)


_SYMBOL: Final = {Severity.ERROR: FAILED, Severity.WARNING: WARNED, Severity.INFO: NOTED}
_SETS_TAG: Final = "aws:requesttag/"
_HAS_TAG: Final = ("ec2:resourcetag/", "aws:resourcetag/")
_T = TypeVar("_T")


def items_of(findings: Iterable[AuditFinding], new: Collection[str]) -> tuple[Item, ...]:
    """Group *findings* into items; fingerprints in *new* are marked and grouped separately."""
    return tuple(item_of(group, new) for group in findings_alike(findings, new))


def item_of(group: Sequence[AuditFinding], new: Collection[str] = ()) -> Item:
    """Return *group*, findings that differ only in the account, as one item."""
    finding = group[0]
    level: Level = "waived" if finding.waiver else finding.severity.word  # type: ignore[assignment] # the severities are levels
    item = Item(
        symbol=WAIVED if finding.waiver else _SYMBOL[finding.severity],
        level=level,
        word=finding.severity.word,
        rule=finding.rule,
        name=finding.name,
        place=elsewhere(finding.spot),
        message=finding.message,
        state="waived" if finding.waiver else "",
        tags=("new",) if finding.fingerprint in new else (),
        file=finding.spot.file or finding.spot.resource or finding.spot.account or "",
        accounts=tuple(other.spot.account for other in group if other.spot.account),
        requests=tuple(map(request_of, finding.witness)),
        notes=(waived_words(finding),) if finding.waiver else (),
        excerpt=finding.excerpt,
        remedy=finding.remedy,
        page=finding.page,
    )
    return item._replace(path=path_of(finding)) if item.is_sequence else item


def findings_alike(
    findings: Iterable[AuditFinding], new: Collection[str]
) -> list[list[AuditFinding]]:
    """Group *findings* that differ only in the account; new and known ones stay separate."""
    return _alike(
        (
            finding,
            finding.spot.account,
            f"{finding.fingerprint in new}{replace(finding, fingerprint='')}",
        )
        for finding in findings
    )


def _alike(things: Iterable[tuple[_T, str | None, str]]) -> list[list[_T]]:
    """Group things with their account and text: those whose texts differ only in the account."""
    groups: dict[str, list[_T]] = {}
    for thing, account, text in things:
        key = text.replace(account, "*") if account else text
        groups.setdefault(key, []).append(thing)
    return list(groups.values())


def request_of(ask: Ask) -> Request:
    """Return *ask* as shown in the report."""
    context = tuple(f"{key} = {_values(ask.context[key])}" for key in sorted(ask.context))
    return Request(ask.says, ask.action, ask.resource, decided(ask), context)


def _values(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else " | ".join(value)


def path_of(finding: AuditFinding) -> tuple[Station, ...]:
    """Return the steps of a sequence: each call, and the tag that links two calls.

    The last call is always the one to prevent, whatever its decision.
    """
    stations: list[Station] = []
    for first, second in pairwise(finding.witness):
        if first.outcome == "allowed":
            stations.append(Station(first.action, first.says, f"{NOTED} allowed", "info"))
        else:
            stations.append(Station(first.action, first.says, f"{PASSED} refused", "good"))
        if tag := _linking_tag(first, second):
            text = "the tag that the condition requires"
            stations.append(Station(tag, text, f"{NOTED} matches", "info"))
    last = finding.witness[-1]
    word = "allowed" if last.outcome == "allowed" else "refused"
    return (*stations, Station(last.action, last.says, f"{FAILED} {word}", "error"))


def _linking_tag(first: Ask, second: Ask) -> str:
    """Return the tag, as `key=value`, that *first* sets and *second* requires, or ""."""
    required = {
        key.lower().partition("/")[2]: value
        for key, value in second.context.items()
        if key.lower().startswith(_HAS_TAG)
    }
    for key, value in sorted(first.context.items()):
        name = key[len(_SETS_TAG) :]
        if key.lower().startswith(_SETS_TAG) and required.get(name.lower()) == value:
            return f"{name}={value}"
    return ""


_STANDINGS: Final = (
    Place(FAILED, "yes", "wrong", "every request is allowed"),
    Place(WARNED, "depends", "partly", "some requests are allowed, under the listed conditions"),
    Place(WARNED, "by steps", "partly", "through other principals, or after changing itself"),
    Place(UNKNOWN, "undecided", "unknown-cell", "it could not be read or decided"),
    Place("", "no", "none", "no request is allowed, and no path leads to one"),
)
"""The words of the matrix of other principals."""

_TITLES: Final = {
    "offline": "Permissions{} (computed)",
    "live": "Permissions{} (checked in AWS)",
    "others": "What others may do{}",
}


def grids_of(matrices: Iterable[Matrix]) -> Iterator[Grid]:
    """Yield one grid for equal matrices; every grid after the first shows only unexpected cells."""
    groups = _alike((matrix, matrix.account, repr(matrix)) for matrix in matrices)
    for number, group in enumerate(groups):
        matrix = group[0]
        accounts = tuple(other.account for other in group if other.account)
        where = f"{len(accounts)} accounts" if accounts[1:] else "".join(accounts)
        title = _TITLES[matrix.how].format(f" in {where}" if where else "")
        met = all(cell.met for cell in matrix.cells)
        others = matrix.how == "others"
        yield Grid(
            f"{title}: {_as_expected(matrix)}",
            PASSED if met else FAILED,
            matrix.situations,
            () if met and number else tuple(_rows(matrix)),
            accounts,
            of="principal" if others else "permission",
            absent="no" if others else "",
            legend=_STANDINGS if others else (),
        )


def _as_expected(matrix: Matrix) -> str:
    """Return how many cells are as expected; with many accounts, only unexpected ones are kept."""
    states = Counter(cell.met for cell in matrix.cells)
    if states[True] or not matrix.cells:
        return f"{states[True]} of {len(matrix.cells)} as expected"
    counts = {"not as expected": states[False], "not checked": states[None]}
    return listed(f"{number} {state}" for state, number in counts.items() if number)


def _rows(matrix: Matrix) -> Iterator[tuple[str, tuple[Place | None, ...]]]:
    cells = {(cell.permission, cell.situation): _place(cell) for cell in matrix.cells}
    for name in matrix.permissions:
        yield name, tuple(cells.get((name, situation)) for situation in matrix.situations)


def _place(cell: MatrixCell) -> Place:
    """Return one cell of the grid: the answer and, if it is wrong, the expected one."""
    requests = tuple(map(request_of, cell.asks))
    if cell.standing is not None:
        return _standing_place(cell, requests)
    if cell.met is None or cell.answer == "unknown":
        detail = f"Must be {cell.expected}; it could not be checked."
        return Place(UNKNOWN, "not checked", "unknown-cell", detail, requests)
    if cell.met:
        return Place(PASSED, cell.answer, cell.answer, "", requests)
    detail = f"Must be {cell.expected}, but is {cell.answer}."
    return Place(FAILED, cell.answer.upper(), "wrong", detail, requests)


def _standing_place(cell: MatrixCell, requests: tuple[Request, ...]) -> Place:
    """Return the cell of another principal; not marked if the site file expects it."""
    (entry,) = (standing for standing in _STANDINGS if standing.word == cell.standing)
    detail = f"{entry.detail.capitalize()}."
    if cell.met:
        return Place(PASSED, entry.word, "allowed", f"The site file expects it. {detail}", requests)
    return entry._replace(detail=detail, requests=requests)
