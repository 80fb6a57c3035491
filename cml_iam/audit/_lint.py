"""Lint's findings as the audit's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cml_iam.audit._part import linted
from cml_iam.audit._sizes import open_sizes
from cml_iam.errors import Place
from cml_iam.lint import lint_subjects
from cml_iam.sources import plain_subject

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cml_iam.audit._given import Policy
    from cml_iam.audit._report import AuditFinding
    from cml_iam.lint import Kind

LINT: Final = "lint"
"""The check of lint's findings."""


def lint_many(
    policies: Sequence[Policy], kind: Kind, *, together: bool, processes: int
) -> list[AuditFinding]:
    """Judge *policies*, all of one *kind*, on as many *processes*; see `lint_subjects`."""
    subjects = [each.subject or plain_subject(each.name, each.text) for each in policies]
    found = lint_subjects(subjects, kind=kind, together=together, processes=processes)
    # Findings are named by the file of their place, which a policy of a plan is named by, too.
    named = {each.name: each for each in policies} | {each.file: each for each in policies}
    judged = [linted(each, LINT, policies[0].name) for each in found]
    judged += [finding for each in policies for finding in _sizes(each)]
    return [
        replace(each, spot=named[each.spot.file].spot(each.spot))
        if each.spot.file in named
        else each
        for each in judged
    ]


def _sizes(policy: Policy) -> Iterator[AuditFinding]:
    """Yield open sizes at their places in the file."""
    for finding in open_sizes(policy, LINT):
        spot, subject = finding.spot, policy.subject
        if subject and subject.readings and spot.line and spot.column:
            place = subject.place(Place(policy.name, spot.line, spot.column), subject.readings[0])
            spot = replace(
                spot, file=place.file, line=place.line or None, column=place.column or None
            )
        yield replace(finding, spot=spot)
