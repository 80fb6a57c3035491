"""Waivers: findings accepted on purpose, for a reason, by somebody, until a day.

They stand in the site file, one `[[waivers]]` each:

    [[waivers]]
    finding = "CML822"                 # the rule's id
    place = "*"                        # a pattern over the place, as the report prints it
    reason = "alarms come with the new account"
    owner = "platform team"
    expires = 2027-01-31               # the last day on which it holds

What is wrong with a waiver is a finding of the audit, and stops no other command.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from cml_iam.audit._looked import looked_for
from cml_iam.audit._part import found
from cml_iam.audit._report import Check, Spot, Waiver
from cml_iam.audit._rules import AUDIT_RULES
from cml_iam.lint import RULES
from cml_iam.located import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cml_iam.audit._report import AuditFinding, Input, State
    from cml_iam.errors import Place
    from cml_iam.located import Located

WAIVERS: Final = "waivers"
"""The check of this file."""

_TEXTS: Final = ("finding", "place", "reason", "owner")
_FIELDS: Final = (*_TEXTS, "expires")


@dataclass(frozen=True, slots=True)
class Given:
    """A waiver with where it stands, or what keeps it from being one."""

    number: int
    at: Place | None
    waiver: Waiver | None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Waivers:
    """The waivers of the site file *file*."""

    file: str
    given: tuple[Given, ...]


def read_waivers(located: Located, file: str) -> Waivers:
    """Return the waivers of the site file that was parsed as *located*."""
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
    """Return *findings* with those of the waivers, the waived ones marked, and the check.

    A waiver holds through the day it expires, in UTC. One of what was not looked for, by *checks*
    in *inputs*, is not called unused. What is wrong with waivers cannot be waived.
    """
    if waivers is None or not waivers.given:
        return findings, ()
    valid = [each for each in waivers.given if each.waiver and each.waiver.expires >= today]
    waived = tuple(_waived(each, valid) for each in findings)
    used = {id(each.waiver) for each in waived if each.waiver}
    for each in valid:
        if each.waiver and not looked_for(each.waiver.finding, each.waiver.place, checks, inputs):
            used.add(id(each.waiver))
    wrong = tuple(
        finding
        for each in waivers.given
        for finding in _wrong(each, waivers.file, today, used=id(each.waiver) in used)
    )
    count = sum(1 for each in waived if each.waiver)
    detail = f"{len(waivers.given)} given, {count} finding{'s' if count != 1 else ''} waived"
    title = "Every waiver says what, where, why, who and until when, and is needed"
    state: State = "failed" if wrong else "passed"
    check = Check(WAIVERS, title, "waivers", state, len(waivers.given), detail)
    return (*waived, *wrong), (check,)


def places_of(finding: AuditFinding) -> tuple[str, ...]:
    """Return the places of a finding that a waiver's pattern may cover.

    `FILE:LINE:COLUMN` or an ARN, as a report prints them: with the statement in brackets and the
    account behind, or without; and the file, the ARN or the account alone.
    """
    spot = finding.spot
    numbers = [str(each) for each in (spot.line, spot.column) if each is not None]
    where = ":".join([spot.file, *numbers]) if spot.file else spot.resource or spot.account or ""
    if spot.file and spot.resource:
        where = f"{where}: {spot.resource}"
    stated = f"{where} [{spot.statement}]".lstrip() if spot.statement else where
    printed = f"{stated} in account {spot.account}" if spot.account else stated
    alone = (spot.file, spot.resource, spot.account)
    return (where, stated, printed, *(each for each in alone if each))


def _waived(finding: AuditFinding, valid: list[Given]) -> AuditFinding:
    for each in valid:
        waiver = each.waiver
        if waiver and waiver.finding == finding.rule and _covers(waiver.place, finding):
            return replace(finding, waiver=waiver)
    return finding


def _covers(pattern: str, finding: AuditFinding) -> bool:
    # Only * is a wildcard: a place may hold brackets and question marks.
    literal = re.sub(r"([\[?])", r"[\1]", pattern)
    return any(place and fnmatchcase(place, literal) for place in places_of(finding))


def _read(number: int, raw: Any, at: Place | None) -> Given:
    if not isinstance(raw, Mapping):
        return Given(number, at, None, ("it is no table",))
    problems = tuple(_problems(raw))
    if problems:
        return Given(number, at, None, problems)
    return Given(number, at, Waiver(**{name: raw[name] for name in _FIELDS}))


def _problems(raw: Mapping[str, Any]) -> list[str]:
    found = [
        f"`{name}` is missing" for name in _FIELDS if name not in raw or raw[name] in ("", None)
    ]
    found += [f"there is no `{name}` in a waiver" for name in raw if name not in _FIELDS]
    found += [
        f"`{name}` must be a text" for name in _TEXTS if not isinstance(raw.get(name, ""), str)
    ]
    expires = raw.get("expires")
    if expires not in ("", None) and (
        not isinstance(expires, date) or isinstance(expires, datetime)
    ):
        found.append("`expires` must be a day without quotes, such as 2027-01-31")
    rule = raw.get("finding")
    known = [*(each.id for each in RULES), *AUDIT_RULES]
    if isinstance(rule, str) and rule and rule not in known:
        hint = did_you_mean(rule, known)
        found.append(f"there is no finding `{rule}`" + (f" ({hint})" if hint else ""))
    return found


def _wrong(given: Given, file: str, today: date, *, used: bool) -> list[AuditFinding]:
    at, waiver = given.at, given.waiver
    spot = Spot(file=file, line=at.line if at else None, column=at.column if at else None)
    number = given.number + 1
    if waiver is None:
        said = f"waiver {number} waives nothing: {'; '.join(given.problems)}"
        return [found("CML902", said, spot, WAIVERS, about=f"{number}")]
    words = f"{waiver.finding} at `{waiver.place}`"
    about = f"{waiver.finding} {waiver.place}"
    if waiver.expires < today:
        said = f"the waiver of {words} by {waiver.owner} expired on {waiver.expires}"
        return [found("CML901", said, spot, WAIVERS, about=about)]
    if not used:
        said = f"the waiver of {words} by {waiver.owner} waives nothing that was found"
        return [found("CML903", said, spot, WAIVERS, about=about)]
    return []
