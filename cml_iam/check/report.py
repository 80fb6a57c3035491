"""Make the audit report: sort the answers, apply waivers, and check the waivers themselves.

A waiver accepts findings deliberately. The site file has a `[[waivers]]` table for each:

    [[waivers]]
    finding = "CML822"                 # the rule's id
    place = "*"                        # a pattern over the place, as the report prints it
    reason = "alarms come with the new account"
    owner = "platform team"
    expires = 2027-01-31               # the last day on which it holds

A faulty waiver is a finding of the audit and affects no other command. One site file serves many
audits (of files in a commit, of the account at night), so a waiver is reported as unused only if
the audit could have had its finding.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cml_iam._version import __version__
from cml_iam.audit import GROUPS, Report, Spot, Waiver, audit_rules
from cml_iam.check.answer import add_up, numbered
from cml_iam.check.asking import with_state
from cml_iam.check.checks import CHECKS, WAIVERS
from cml_iam.facts import updated
from cml_iam.lint import lint_rules
from cml_iam.located import did_you_mean
from cml_iam.report import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cml_iam.audit import About, Account, AuditFinding, Check, Input
    from cml_iam.check.answer import Answer
    from cml_iam.errors import Place
    from cml_iam.located import Located


def make_report(
    time: datetime,
    answers: Iterable[Answer],
    *,
    site: str | None = None,
    accounts: Sequence[Account] = (),
    waivers: Waivers | None = None,
    skipped: Iterable[str] = (),
    about: About | None = None,
) -> Report:
    """Return the report of *answers*, made at *time*; *site* is the name of the site file.

    Checks are in the order of GROUPS, findings are sorted by severity and then by place. Leaves out
    checks with ids in *skipped*.
    """
    left_out = tuple(dict.fromkeys(skipped))
    whole = _without(add_up(answers), frozenset(left_out))
    every = numbered(sorted(whole.findings, key=_rank))
    today = time.astimezone(UTC).date()
    findings, of_waivers = apply_waivers(
        every, waivers, today, checks=whole.checks, inputs=whole.inputs
    )
    return Report(
        time=time.astimezone(UTC).replace(microsecond=0),
        tools={"cml-iam": __version__, "service reference": updated()},
        site=site,
        inputs=whole.inputs,
        accounts=tuple(accounts),
        checks=tuple(sorted((*whole.checks, *of_waivers), key=_group)),
        findings=findings,
        matrices=whole.matrices,
        keys=whole.keys,
        changes=whole.changes,
        unused=whole.unused,
        skipped=left_out,
        passed_over=whole.passed_over,
        about=about,
    )


def _without(answer: Answer, skipped: frozenset[str]) -> Answer:
    return replace(
        answer,
        checks=tuple(check for check in answer.checks if check.id not in skipped),
        findings=tuple(finding for finding in answer.findings if finding.check not in skipped),
    )


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


class GivenWaiver(NamedTuple):
    """A waiver with its place, or the problems that make it invalid."""

    number: int
    at: Place | None
    waiver: Waiver | None
    problems: tuple[str, ...] = ()


class Waivers(NamedTuple):
    """The waivers of the site file *file*."""

    file: str
    given: tuple[GivenWaiver, ...]


def read_waivers(located: Located, file: str) -> Waivers:
    """Return the waivers of the site file parsed as *located*."""
    listed = located.value.get("waivers", ())
    return Waivers(
        file,
        tuple(
            _read(number, raw, located.place(("waivers", number)))
            for number, raw in enumerate(listed)
        ),
    )


def apply_waivers(
    findings: tuple[AuditFinding, ...],
    waivers: Waivers | None,
    today: date,
    *,
    checks: Sequence[Check] = (),
    inputs: Sequence[Input] = (),
) -> tuple[tuple[AuditFinding, ...], tuple[Check, ...]]:
    """Return *findings* with the waived ones marked, the findings about waivers, and the check.

    A waiver is valid through its day of expiry, in UTC. A waiver without a finding is reported as
    unused, unless *checks* of *inputs* did not look for its finding. Findings about waivers cannot
    be waived.
    """
    if waivers is None or not waivers.given:
        return findings, ()
    valid = [waiver for waiver in waivers.given if waiver.waiver and waiver.waiver.expires >= today]
    waived = tuple(_waived(each, valid) for each in findings)
    used = {id(each.waiver) for each in waived if each.waiver}
    for waiver in valid:
        if waiver.waiver and not _looked_for(
            waiver.waiver.finding, waiver.waiver.place, checks, inputs
        ):
            used.add(id(waiver.waiver))
    wrong = tuple(
        finding
        for waiver in waivers.given
        for finding in _wrong(waiver, waivers.file, today, used=id(waiver.waiver) in used)
    )
    count = sum(1 for each in waived if each.waiver)
    detail = f"{len(waivers.given)} given, {plural(count, 'finding')} waived"
    result = WAIVERS.passed(len(waivers.given), detail)
    return (*waived, *wrong), (with_state(result, "failed") if wrong else result,)


def places_of(finding: AuditFinding) -> tuple[str, ...]:
    """Return the forms of a finding's place that a waiver's pattern may match.

    These are `FILE:LINE:COLUMN` or an ARN, as printed in a report, with or without the statement in
    brackets and the account; and the file, the ARN or the account alone.
    """
    spot = finding.spot
    printed = f"{spot.place} in account {spot.account}" if spot.account else spot.place
    alone = (spot.file, spot.resource, spot.account)
    return (spot.position, spot.place, printed, *(each for each in alone if each))


def _waived(finding: AuditFinding, valid: list[GivenWaiver]) -> AuditFinding:
    for each in valid:
        waiver = each.waiver
        if waiver and waiver.finding == finding.rule and _covers(waiver.place, finding):
            return replace(finding, waiver=waiver)
    return finding


def _covers(pattern: str, finding: AuditFinding) -> bool:
    # Only * is a wildcard: a place may hold brackets and question marks.
    literal = re.sub(r"([\[?])", r"[\1]", pattern)
    return any(place and fnmatchcase(place, literal) for place in places_of(finding))


def _read(number: int, raw: Any, at: Place | None) -> GivenWaiver:
    if not isinstance(raw, Mapping):
        return GivenWaiver(number, at, None, ("it is not a table",))
    problems = tuple(_problems(raw))
    if problems:
        return GivenWaiver(number, at, None, problems)
    return GivenWaiver(number, at, Waiver(**{name: raw[name] for name in _FIELDS}))


def _problems(raw: Mapping[str, Any]) -> list[str]:
    problems = [
        f"`{name}` is missing" for name in _FIELDS if name not in raw or raw[name] in ("", None)
    ]
    problems += [f"a waiver has no field `{name}`" for name in raw if name not in _FIELDS]
    problems += [
        f"`{name}` must be a string" for name in _TEXTS if not isinstance(raw.get(name, ""), str)
    ]
    expires = raw.get("expires")
    if expires not in ("", None) and (
        not isinstance(expires, date) or isinstance(expires, datetime)
    ):
        problems.append("`expires` must be a date without quotes, such as 2027-01-31")
    rule = raw.get("finding")
    known = [*(each.id for each in lint_rules()), *audit_rules()]
    if isinstance(rule, str) and rule and rule not in known:
        hint = did_you_mean(rule, known)
        problems.append(f"there is no finding `{rule}`" + (f" ({hint})" if hint else ""))
    return problems


def _wrong(given: GivenWaiver, file: str, today: date, *, used: bool) -> list[AuditFinding]:
    at, waiver = given.at, given.waiver
    spot = Spot(file=file, line=at.line if at else None, column=at.column if at else None)
    number = given.number + 1
    if waiver is None:
        said = f"waiver {number} waives nothing: {'; '.join(given.problems)}"
        return [WAIVERS.finding("CML902", said, spot, about=f"{number}")]
    words = f"{waiver.finding} at `{waiver.place}`"
    about = f"{waiver.finding} {waiver.place}"
    if waiver.expires < today:
        said = f"the waiver of {words} by {waiver.owner} expired on {waiver.expires}"
        return [WAIVERS.finding("CML901", said, spot, about=about)]
    if not used:
        said = f"the waiver of {words} by {waiver.owner} matches no finding"
        return [WAIVERS.finding("CML903", said, spot, about=about)]
    return []


def _found_by(rule: str) -> frozenset[str]:
    """Return the ids of the checks that report *rule*; `lint` reports lint's rules."""
    if rule not in audit_rules():
        return frozenset({"lint"})
    return frozenset(check.id for check in CHECKS if rule in check.finds)


_IN_FILES: Final = frozenset(each.id for each in CHECKS if each.of == "files")
_ACCOUNT: Final = re.compile(r"(?<!\d)\d{12}(?!\d)")


def _looked_for(rule: str, place: str, checks: Sequence[Check], inputs: Sequence[Input]) -> bool:
    """Return whether every check that could report *rule* at *place*, a pattern, was made.

    If the place names a file or an account, only the checks of that file or account count.
    """
    ids = _found_by(rule)
    files = [each.name for each in inputs if each.kind == "file"]
    if place.startswith("arn:"):
        ids -= _IN_FILES
    elif any(_names(place, file) for file in files) and place.strip("*"):
        ids &= _IN_FILES
    elif files and ids <= _IN_FILES and place.strip("*"):
        return not ids  # the place is in another file, which was not read
    accounts = set(_ACCOUNT.findall(place)) if ids - _IN_FILES else set()
    made = [
        check
        for check in checks
        if check.id in ids and (check.account in accounts or not accounts or check.id in _IN_FILES)
    ]
    answered = all(each.state != "not checked" for each in made)
    return answered and ids <= {each.id for each in made}


def _names(place: str, file: str) -> bool:
    """Return whether *place* is in *file*: its name, a pattern that matches it, or a line in it."""
    return place.startswith(file) or fnmatchcase(file, re.sub(r"([\[?])", r"[\1]", place))
