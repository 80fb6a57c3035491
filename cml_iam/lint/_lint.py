"""Lint policies: texts, documents attached together, and policies inside other files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cml_iam.errors import DocumentError, Place, Problem
from cml_iam.lint._effect import matches_nothing
from cml_iam.lint._finding import KINDS, Correction, Fault, Finding, Kind, Severity, recognized_kind
from cml_iam.lint._rules import lint_rules, rule_named
from cml_iam.lint._subject import Subject
from cml_iam.lint._tags import gates, judged
from cml_iam.policy import PolicyDocument, build_policy, grammar_problems, parse_json

if TYPE_CHECKING:
    from cml_iam.sources import Reading
    from cml_iam.sources import Subject as KeptPolicy


COMPARED: Final = 200
"""The maximum number of statements that are compared with each other and proved one by one.

A managed policy of 6,144 characters has room for about 120 statements.
"""

SYNTAX, GRAMMAR, MATCHES_NOTHING = "CML101", "CML102", "CML308"
"""The rules about the text itself, and the rule for what the other rules do not report."""

MANY: Final = 100
"""The number of documents for which another process is worthwhile."""


def lint_text(
    text: str, name: str = "<policy>", *, kind: Kind | None = None
) -> tuple[Finding, ...]:
    """Judge the policy document *text*, called *name* in places; see `lint_texts`.

    A text that is not JSON, or breaks the grammar, is reported as a finding, and then the other
    rules cannot judge it. Never raises an error.
    """
    return lint_texts([(name, text)], kind=kind)


def lint_texts(
    texts: Sequence[tuple[str, str]],
    *,
    kind: Kind | None = None,
    together: bool = False,
    processes: int = 1,
) -> tuple[Finding, ...]:
    """Judge several documents given as (name, text): each alone, or attached *together*.

    Without a *kind*, the kind of each document is recognized (see `recognized_kind`), and only the
    identity-based ones are judged together.

    *processes* processes share the work. With more than one, the calling program must be importable
    without side effects, as multiprocessing requires.
    """
    if together or processes < 2 or len(texts) < MANY:
        return _judged(texts, kind, together=together)
    from concurrent.futures import ProcessPoolExecutor
    from functools import partial
    from multiprocessing import get_context

    size = -(-len(texts) // processes)
    parts = [texts[start : start + size] for start in range(0, len(texts), size)]
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        judged = pool.map(partial(_judged, kind=kind, together=False), parts)
        return tuple(finding for part in judged for finding in part)


def _judged(
    texts: Sequence[tuple[str, str]], kind: Kind | None, *, together: bool
) -> tuple[Finding, ...]:
    findings: list[Finding] = []
    joined: list[PolicyDocument] = []
    for name, text in texts:
        document = _read(name, text, findings)
        if document is None or document.located is None:
            continue
        own = kind or recognized_kind(document.located.value)
        if together and own in {kind, "identity"}:
            joined.append(document)
        else:
            findings += lint_policies([document], kind=own)
    if joined:
        findings += lint_policies(joined, kind=kind or "identity")
    order = {name: position for position, (name, _) in enumerate(texts)}
    return tuple(sorted(findings, key=lambda f: (order.get(_file(f), 0), *_order(f))))


def _read(name: str, text: str, findings: list[Finding]) -> PolicyDocument | None:
    """Return the document; None, with the problems added to *findings*, if the text is none."""
    try:
        located = parse_json(text, name)
    except DocumentError as error:
        findings += _findings(SYNTAX, error.problems, {})
        return None
    if problems := grammar_problems(located):
        from cml_iam.lint._corrections import grammar_corrections

        findings += _findings(GRAMMAR, problems, grammar_corrections(located))
        return None
    return build_policy(located)


def _findings(
    rule: str, problems: Iterable[Problem], corrections: Mapping[Place, Correction]
) -> Iterator[Finding]:
    for message, place, remedy in problems:
        correction = corrections.get(place) if place else None
        fault = Fault(message, place, remedy, correction=correction)
        yield rule_named(rule).finding(fault)


def lint_policies(
    documents: Iterable[PolicyDocument], *, kind: Kind = "identity"
) -> tuple[Finding, ...]:
    """Judge *documents*, all of one *kind*, in effect together: attached to one principal, say."""
    assert kind in KINDS  # noqa: S101 - a programming error
    subject = Subject(tuple(documents), kind)
    few = len(subject.items) <= COMPARED
    findings = [
        finding
        for rule in lint_rules()
        if rule.check and kind in rule.kinds and (few or not rule.compares)
        for finding in rule.findings(subject)
    ]
    if few:
        reported = {(_file(f), f.statement) for f in findings if f.severity > Severity.INFO}
        rule = rule_named(MATCHES_NOTHING)
        for item in subject.items:
            place = item.place()
            if (place.file if place else "", item.label) not in reported:
                findings += map(rule.finding, matches_nothing(item))
    return tuple(sorted(findings, key=_order))


def too_many(subject: Subject) -> Iterator[Fault]:
    statements, ids = len(subject.items), [rule.id for rule in lint_rules() if rule.compares]
    located = subject.documents[0].located
    if statements > COMPARED:
        message = (
            f"{statements:,} statements are too many; at most {COMPARED} are compared; not "
            f"applied: {', '.join(ids)}"
        )
        place = located.place(()) if located else None
    else:
        every, first = gates(subject), judged(subject)
        if len(first) == len(every):
            return
        message = (
            f"{len(every)} conditions on tags are too many; CML501, CML502 and CML503 judge only "
            f"the first {len(first)}, not this one and those after it"
        )
        gate = every[len(first)]
        place = gate.item.place(*gate.clause.at)
    yield Fault(message, place, "split the policy, and check its parts")


def is_complete(findings: Iterable[Finding], name: str) -> bool:
    """Return whether every rule could judge the document *name*, whose text must be readable."""
    unread = {SYNTAX, GRAMMAR}
    return not any(finding.rule in unread and _file(finding) == name for finding in findings)


def _file(finding: Finding) -> str:
    return finding.place.file if finding.place else ""


def _order(finding: Finding) -> tuple[Place, str, str]:
    return finding.place or Place("", 0, 0), finding.rule, finding.message


def lint_subjects(
    subjects: Sequence[KeptPolicy], *, kind: Kind, together: bool = False, processes: int = 1
) -> tuple[Finding, ...]:
    """Judge *subjects*, all of one *kind*, as `lint_texts` does.

    A subject with an unknown value is judged twice: with any value allowed, and with a value that
    occurs nowhere else. A finding is reported only if both give it in the same words.
    """

    def judge(chosen: Sequence[KeptPolicy], reading: int) -> list[tuple[Finding, str]]:
        named = {subject.name: (subject, subject.readings[reading]) for subject in chosen}
        texts = [(subject.name, subject.readings[reading].text) for subject in chosen]
        findings = lint_texts(texts, kind=kind, together=together, processes=processes)
        return [_carried(finding, named) for finding in findings]

    read = [subject for subject in subjects if subject.readings]
    first = judge(read, 0)
    doubtful = [subject for subject in read if subject.readings[1:]]
    if not doubtful:
        return tuple(finding for finding, _ in first)
    again = read if together else doubtful
    left = {problem.place for subject in doubtful for problem in subject.open}
    narrow = [finding for finding, _ in judge(again, -1) if finding.place not in left]
    sure, names = set(map(_key, narrow)), {subject.name for subject in again}
    kept = [finding for finding, name in first if name not in names or _key(finding) in sure]
    open_to = {finding.place for finding, name in first if name in names and finding.witness}
    kept_keys = set(map(_key, kept))
    further = (f for f in narrow if f.witness and f.place in open_to and _key(f) not in kept_keys)
    return (*kept, *further)


def _carried(
    finding: Finding, readings: Mapping[str, tuple[KeptPolicy, Reading]]
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
