"""Titles of the rules behind findings, both lint's and the audit's own."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from cml_iam.audit._rules import audit_rules
from cml_iam.lint import lint_rules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cml_iam.audit._report import AuditFinding


def title(finding: AuditFinding) -> str:
    """Return the title of the rule behind *finding*, or the rule's id if it is unknown."""
    return _titles().get(finding.rule, finding.name)


@cache
def _titles() -> Mapping[str, str]:
    lint = {each.id: each.title for each in lint_rules()}
    return lint | {each.id: each.title for each in audit_rules().values()}
