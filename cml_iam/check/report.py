"""Make the audit report: sort the answers, apply waivers, and check the waivers themselves.

A waiver accepts findings deliberately. The site file has a `[[waivers]]` table for each:

    [[waivers]]
    finding = "CML822"                 # the rule's id
    place = "*"                        # a pattern over the place, as the report prints it
    reason = "alarms come with the new account"
    owner = "platform team"
    expires = 2027-01-31               # the last day on which it holds

A faulty waiver is a finding of the audit and affects no other command. One site file serves many
audits, so a waiver is reported as unused only if the audit could have had its finding.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple

from cml_iam._version import __version__
from cml_iam.audit import (
    GROUPS,
    About,
    Account,
    AuditFinding,
    Check,
    Input,
    Report,
    Spot,
    Waiver,
    audit_rules,
)
from cml_iam.check.answer import Answer
from cml_iam.check.checks import CHECKS, WAIVERS, failed
from cml_iam.facts import updated
from cml_iam.lint import lint_rules
from cml_iam.located import Located, did_you_mean
from cml_iam.report import plural


def make_report(
    time: datetime,
    answers: Iterable[Answer],
    *,
    site: str | None = None,
    accounts: Sequence[Account] = (),
    waivers: Sequence[WaiverEntry] = (),
    skipped: Iterable[str] = (),
    about: About | None = None,
) -> Report:
    """Return the report of *answers* without the *skipped* checks; *site* names its file.

    Checks are in the order of GROUPS, findings are sorted by severity and then by place.
    """
    left_out, whole = tuple(dict.fromkeys(skipped)), sum(answers, Answer())
    time = time.astimezone(UTC)
    checks = [check for check in whole.checks if check.id not in left_out]
    findings = [finding for finding in whole.findings if finding.check not in left_out]
    findings = _numbered(sorted(findings, key=_rank))
    if waivers:
        findings, result = _waived(findings, waivers, time.date(), checks, whole.inputs)
        checks.append(result)
    return Report(
        time=time.replace(microsecond=0),
        tools={"cml-iam": __version__, "service reference": updated()},
        site=site,
        inputs=whole.inputs,
        accounts=tuple(accounts),
        checks=tuple(sorted(checks, key=_group)),
        findings=tuple(findings),
        matrices=whole.matrices,
        keys=whole.keys,
        changes=whole.changes,
        unused=whole.unused,
        skipped=left_out,
        passed_over=whole.passed_over,
        about=about,
    )


def _numbered(findings: Iterable[AuditFinding]) -> list[AuditFinding]:
    """Return *findings* with fingerprints of their own; identical ones are numbered in order."""
    count: Counter[str] = Counter()
    unique = []
    for finding in findings:
        number = count[finding.fingerprint]
        count[finding.fingerprint] += 1
        other = hashlib.sha256(f"{finding.fingerprint} {number}".encode()).hexdigest()[:32]
        unique.append(replace(finding, fingerprint=other) if number else finding)
    return unique


def _rank(finding: AuditFinding) -> tuple[int, str, str, int, str, str]:
    spot = finding.spot
    return (
        -finding.severity,
        spot.account or "",
        spot.file or spot.resource or "",
        spot.line or 0,
        finding.rule,
        finding.message,
    )


def _group(check: Check) -> tuple[str, int]:
    return check.account or "", GROUPS.index(check.group)


_TEXTS: Final = ("finding", "place", "reason", "owner")
_FIELDS: Final = (*_TEXTS, "expires")


class WaiverEntry(NamedTuple):
    """An entry of the site file at *spot*: a waiver, or the problems that make it invalid."""

    spot: Spot
    waiver: Waiver | None
    problems: tuple[str, ...]


def read_waivers(located: Located, file: str) -> tuple[WaiverEntry, ...]:
    """Return the entries for waivers in the site file parsed as *located*."""
    entries = []
    for number, raw in enumerate(located.value.get("waivers", ())):
        problems = tuple(_problems(raw))
        waiver = None if problems else Waiver(**{name: raw[name] for name in _FIELDS})
        spot = Spot.at(located.place(("waivers", number)), file)
        entries.append(WaiverEntry(spot, waiver, problems))
    return tuple(entries)


def _problems(raw: Any) -> Iterator[str]:
    if not isinstance(raw, Mapping):
        yield "it is not a table"
        return
    yield from (f"`{name}` is missing" for name in _FIELDS if raw.get(name) in ("", None))
    yield from (f"a waiver has no field `{name}`" for name in raw if name not in _FIELDS)
    for name in _TEXTS:
        if not isinstance(raw.get(name, ""), str):
            yield f"`{name}` must be a string"
    expires, rule = raw.get("expires"), raw.get("finding")
    is_day = isinstance(expires, date) and not isinstance(expires, datetime)
    if expires not in ("", None) and not is_day:
        yield "`expires` must be a date without quotes, such as 2027-01-31"
    rule_ids = [*(rule.id for rule in lint_rules()), *audit_rules()]
    if isinstance(rule, str) and rule and rule not in rule_ids:
        hint = did_you_mean(rule, rule_ids)
        yield f"there is no finding `{rule}`" + (f" ({hint})" if hint else "")


def _waived(
    findings: Sequence[AuditFinding],
    waivers: Sequence[WaiverEntry],
    today: date,
    checks: Sequence[Check],
    inputs: Sequence[Input],
) -> tuple[list[AuditFinding], Check]:
    """Return *findings* with the waived ones marked, the findings about waivers, and the check.

    A waiver is valid through its day of expiry, in UTC. A waiver without a finding is reported as
    unused, unless *checks* of *inputs* did not look for its finding. Findings about waivers cannot
    be waived.
    """
    given = [entry.waiver for entry in waivers if entry.waiver]
    valid = [waiver for waiver in given if waiver.expires >= today]
    waived = [
        replace(
            finding, waiver=next((waiver for waiver in valid if _covers(waiver, finding)), None)
        )
        for finding in findings
    ]
    needed = {id(finding.waiver) for finding in waived if finding.waiver}
    needed |= {id(waiver) for waiver in valid if not _looked_for(waiver, checks, inputs)}
    wrong = [
        finding
        for number, entry in enumerate(waivers, start=1)
        for finding in _wrong(entry, number, today, needed)
    ]
    count = sum(1 for finding in waived if finding.waiver)
    detail = f"{len(waivers)} given, {plural(count, 'finding')} waived"
    result = WAIVERS.passed(len(waivers), detail)
    return [*waived, *wrong], failed(result) if wrong else result


def _wrong(
    entry: WaiverEntry, number: int, today: date, needed: Collection[int]
) -> Iterator[AuditFinding]:
    """Yield the finding about a waiver that is invalid, expired or not *needed*, by identity."""
    spot, waiver, problems = entry
    if waiver is None:
        message = f"waiver {number} waives nothing: {'; '.join(problems)}"
        yield WAIVERS.finding("CML902", message, spot, about=f"{number}")
        return
    message = f"the waiver of {waiver.finding} at `{waiver.place}` by {waiver.owner}"
    about = f"{waiver.finding} {waiver.place}"
    if waiver.expires < today:
        message += f" expired on {waiver.expires}"
        yield WAIVERS.finding("CML901", message, spot, about=about)
    elif id(waiver) not in needed:
        yield WAIVERS.finding("CML903", f"{message} matches no finding", spot, about=about)


def _covers(waiver: Waiver, finding: AuditFinding) -> bool:
    return waiver.finding == finding.rule and any(
        place and _matches(place, waiver.place) for place in places_of(finding)
    )


def places_of(finding: AuditFinding) -> tuple[str, ...]:
    """Return the forms of a finding's place that a waiver's pattern may match.

    These are `FILE:LINE:COLUMN` or an ARN, as printed in a report, with or without the statement in
    brackets and the account; and the file, the ARN or the account alone.
    """
    spot = finding.spot
    printed = f"{spot.place} in account {spot.account}" if spot.account else spot.place
    alone = (spot.file, spot.resource, spot.account)
    return (spot.position, spot.place, printed, *(name for name in alone if name))


def _matches(text: str, pattern: str) -> bool:
    # Only * is a wildcard: a place may hold brackets and question marks.
    return fnmatchcase(text, re.sub(r"([\[?])", r"[\1]", pattern))


_IN_FILES: Final = frozenset(check.id for check in CHECKS if check.of == "files")
_ACCOUNT: Final = re.compile(r"(?<!\d)\d{12}(?!\d)")


def _looked_for(waiver: Waiver, checks: Sequence[Check], inputs: Sequence[Input]) -> bool:
    """Return whether every check that could report what *waiver* waives was made.

    If the place names a file or an account, only the checks of that file or account count.
    """
    ids, place = frozenset({"lint"}), waiver.place
    if waiver.finding in audit_rules():
        ids = frozenset(check.id for check in CHECKS if waiver.finding in check.finds)
    files = [source.name for source in inputs if source.kind == "file"]
    if place.startswith("arn:"):
        ids -= _IN_FILES
    elif place.strip("*") and any(
        place.startswith(file) or _matches(file, place) for file in files
    ):
        ids &= _IN_FILES
    elif files and ids <= _IN_FILES and place.strip("*"):
        return not ids  # the place is in another file, which was not read
    accounts = set(_ACCOUNT.findall(place)) if ids - _IN_FILES else set()
    relevant = [
        check
        for check in checks
        if check.id in ids and (check.account in accounts or not accounts or check.id in _IN_FILES)
    ]
    answered = all(check.state != "not checked" for check in relevant)
    return answered and ids <= {check.id for check in relevant}
