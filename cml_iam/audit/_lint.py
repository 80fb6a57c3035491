"""Lint's findings as the audit's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cml_iam.audit._part import linted
from cml_iam.audit._sizes import open_sizes
from cml_iam.lint import lint_texts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cml_iam.audit._given import Policy
    from cml_iam.audit._report import AuditFinding
    from cml_iam.lint import Kind

LINT: Final = "lint"
"""The check of lint's findings."""


def lint_many(
    policies: Sequence[Policy], kind: Kind, *, together: bool, processes: int
) -> list[AuditFinding]:
    """Judge *policies*, all of one *kind*, on as many *processes*; see `lint_texts`."""
    texts = [(each.name, each.text) for each in policies]
    found = lint_texts(texts, kind=kind, together=together, processes=processes)
    sizes = (finding for each in policies for finding in open_sizes(each, LINT))
    judged = [*(linted(each, LINT, texts[0][0]) for each in found), *sizes]
    shifts = {each.name: each.shift for each in policies if each.shift}
    return [_moved(each, shifts) for each in judged] if shifts else judged


def _moved(finding: AuditFinding, shifts: Mapping[str, int]) -> AuditFinding:
    """Return *finding* with its column in the file, where that is not the one in the text."""
    spot = finding.spot
    shift = shifts.get(spot.file or "", 0)
    if spot.line != 1 or spot.column is None:
        return finding
    return replace(finding, spot=replace(spot, column=max(1, spot.column - shift)))
