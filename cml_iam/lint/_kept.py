"""Judge policies that stand in other files, with the places in these."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cml_iam.lint._lint import lint_texts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cml_iam.errors import Place
    from cml_iam.lint._finding import Finding, Kind
    from cml_iam.sources import Reading, Subject


def lint_subjects(
    subjects: Sequence[Subject],
    *,
    kind: Kind,
    together: bool = False,
    processes: int = 1,
) -> tuple[Finding, ...]:
    """Judge *subjects* as `lint_texts` does, which are all of one *kind*.

    Where something is left open, a finding counts if it is there, in the same words, whatever that
    is: as anything, and as something nothing else names.
    """
    read = [each for each in subjects if each.readings]
    first = _judged([(each, each.readings[0]) for each in read], kind, together, processes)
    doubtful = [each for each in read if each.readings[1:]]
    if not doubtful:
        return tuple(finding for finding, _ in first)
    again = read if together else doubtful
    second = _judged([(each, each.readings[-1]) for each in again], kind, together, processes)
    left = {problem.place for each in doubtful for problem in each.open}
    sure = {_key(finding) for finding, _ in second if finding.place not in left}
    names = {each.name for each in again}
    return tuple(finding for finding, name in first if name not in names or _key(finding) in sure)


def _judged(
    readings: Sequence[tuple[Subject, Reading]], kind: Kind, together: bool, processes: int
) -> list[tuple[Finding, str]]:
    """Return the findings, each at its place in the file, and the name of the policy."""
    texts = [(subject.name, reading.text) for subject, reading in readings]
    named = {subject.name: (subject, reading) for subject, reading in readings}
    found = lint_texts(texts, kind=kind, together=together, processes=processes)
    return [_carried(each, named) for each in found]


def _carried(
    finding: Finding, readings: Mapping[str, tuple[Subject, Reading]]
) -> tuple[Finding, str]:
    place = finding.place
    if place is None:
        return finding, ""
    subject, reading = readings[place.file]
    if subject.start is None:
        return finding, place.file
    # A correction is written as JSON, with what the file leaves open filled in: none of the file.
    own = replace(finding, place=subject.place(place, reading), correction=None)
    return own, place.file


def _key(finding: Finding) -> tuple[str, Place | None, str]:
    return finding.rule, finding.place, finding.message
