"""The audit: everything the toolkit knows, asked of files or of an account; one report.

    part = audit_documents(Offline(read_given([Path("policies")]), site))
    account, live = audit_account(aws, Live(site, now))
    report = make_report(now, [part, live], accounts=[account])

A part is made by the files that are named for what they ask, and only then put in order, waived
and compared; `write` has the forms in which a report is written.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from cml_iam.audit._audit import make_report
from cml_iam.audit._documents import OFFLINE, Offline, audit_documents
from cml_iam.audit._given import read_given
from cml_iam.audit._part import Part
from cml_iam.audit._report import (
    GROUPS,
    Account,
    Ask,
    AuditFinding,
    Cell,
    Changed,
    Check,
    Conclusion,
    Input,
    KeyLine,
    Matrix,
    Report,
    Since,
    Skipped,
    Spot,
    State,
    Unused,
    Waiver,
)
from cml_iam.audit._rules import AUDIT_RULES, AuditRule
from cml_iam.audit._waivers import Waivers, read_waivers

if TYPE_CHECKING:
    from cml_iam.audit._accounts import (
        DEFAULT_ROLE,
        Target,
        TemporaryKey,
        Way,
        audit_accounts,
        list_organization,
        read_targets,
    )
    from cml_iam.audit._live import LIVE, Live, audit_account

CHECKS: Final = (
    *OFFLINE,
    "drift",
    "attachments",
    "boundary",
    "quarantine",
    "proof",
    "simulation",
    "use",
    "last-accessed",
    "keys",
    "trail",
    "alarms",
)
"""The checks that can be left out, by id; those of accounts stand here without their rooms."""

_LATER: Final = {
    "DEFAULT_ROLE": "_accounts",
    "LIVE": "_live",
    "Live": "_live",
    "Target": "_accounts",
    "TemporaryKey": "_accounts",
    "Way": "_accounts",
    "audit_account": "_live",
    "audit_accounts": "_accounts",
    "list_organization": "_accounts",
    "read_targets": "_accounts",
}
"""Names that an offline audit does not need, by file: they bring the rooms that speak to AWS."""

__all__ = [
    "AUDIT_RULES",
    "CHECKS",
    "DEFAULT_ROLE",
    "GROUPS",
    "LIVE",
    "Account",
    "Ask",
    "AuditFinding",
    "AuditRule",
    "Cell",
    "Changed",
    "Check",
    "Conclusion",
    "Input",
    "KeyLine",
    "Live",
    "Matrix",
    "Offline",
    "Part",
    "Report",
    "Since",
    "Skipped",
    "Spot",
    "State",
    "Target",
    "TemporaryKey",
    "Unused",
    "Waiver",
    "Waivers",
    "Way",
    "audit_account",
    "audit_accounts",
    "audit_documents",
    "list_organization",
    "make_report",
    "read_given",
    "read_targets",
    "read_waivers",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    globals()[name] = value
    return value
