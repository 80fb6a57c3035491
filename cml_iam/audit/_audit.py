"""The audit as a whole: parts added up, put in order, waived, and compared with an earlier one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cml_iam._version import __version__
from cml_iam.audit._part import Part, add_up, told_apart
from cml_iam.audit._report import GROUPS, Report
from cml_iam.audit._waivers import apply_waivers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cml_iam.audit._report import Account, AuditFinding, Check
    from cml_iam.audit._waivers import Waivers


def make_report(
    time: datetime,
    parts: Iterable[Part],
    *,
    site: str | None = None,
    accounts: Sequence[Account] = (),
    waivers: Waivers | None = None,
    skipped: Iterable[str] = (),
) -> Report:
    """Return the report of *parts*, made at *time*; *site* is the name of the site file.

    Checks come in the order of GROUPS, findings by severity and then by place. The ids in
    *skipped* are checks that are left out of it.
    """
    left_out = tuple(dict.fromkeys(skipped))
    whole = _without(add_up(parts), frozenset(left_out))
    found = told_apart(sorted(whole.findings, key=_rank))
    today = time.astimezone(UTC).date()
    findings, of_waivers = apply_waivers(
        found, waivers, today, checks=whole.checks, inputs=whole.inputs
    )
    return Report(
        time=time.astimezone(UTC).replace(microsecond=0),
        tools=_tools(),
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
    )


def _without(part: Part, skipped: frozenset[str]) -> Part:
    return replace(
        part,
        checks=tuple(each for each in part.checks if each.id not in skipped),
        findings=tuple(each for each in part.findings if each.check not in skipped),
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


def _tools() -> dict[str, str]:
    from cml_iam.facts import updated

    return {"cml-iam": __version__, "service reference": updated()}
