"""What changed since an earlier report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cml_iam.audit._report import Since
from cml_iam.audit.write._words import belongs

if TYPE_CHECKING:
    from cml_iam.audit._report import AuditFinding, Report, State

Asked = tuple[str, str | None]
"""A check and the account it was asked of."""


def compare_reports(now: Report, earlier: Report) -> Since:
    """Return what changed between two reports: findings by fingerprint, checks by state.

    A finding is new if it is open now and was not before. It is gone if it was open, was checked
    again, and no longer appears. If its check could not be made this time, was not requested, or
    its file was not read, it is neither.
    """
    before = {each.fingerprint for each in earlier.open}
    present = {each.fingerprint for each in now.findings}
    states, past = _states(now), _states(earlier)
    return Since(
        time=earlier.time,
        new=tuple(dict.fromkeys(e.fingerprint for e in now.open if e.fingerprint not in before)),
        gone=tuple(
            each
            for each in earlier.open
            if each.fingerprint not in present and _looked_for(each, now)
        ),
        checks=tuple(
            (*asked, past[asked], state)
            for asked, state in states.items()
            if asked in past and past[asked] != state
        ),
    )


def _states(report: Report) -> dict[Asked, State]:
    return {(each.id, each.account): each.state for each in report.checks}


def _looked_for(finding: AuditFinding, now: Report) -> bool:
    if finding.spot.file and finding.spot.file not in {each.name for each in now.inputs}:
        return False
    checks = [each for each in now.checks if belongs(finding, each)]
    return bool(checks) and all(each.state != "not checked" for each in checks)
