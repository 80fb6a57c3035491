"""Lint policies: texts, documents attached together, and policies inside other files."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cml_iam.errors import DocumentError, Place
from cml_iam.lint._corrections import grammar_corrections
from cml_iam.lint._effect import matches_nothing
from cml_iam.lint._finding import KINDS, Finding, Found, Kind, Severity, recognized_kind
from cml_iam.lint._rules import Rule, lint_rules, rule_named
from cml_iam.lint._subject import Subject
from cml_iam.lint._tags import gates, judged
from cml_iam.policy import build_policy, grammar_problems, parse_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from cml_iam.errors import Problem
    from cml_iam.lint._edits import Correction
    from cml_iam.policy import PolicyDocument
    from cml_iam.sources import Reading
    from cml_iam.sources import Subject as KeptPolicy


COMPARED: Final = 200
"""The maximum number of statements that are compared with each other and proved one by one.

A managed policy of 6,144 characters has room for about 120 statements.
"""

SYNTAX, GRAMMAR, TOO_MANY, MATCHES_NOTHING = "CML101", "CML102", "CML110", "CML308"
"""The rules about the text itself, and the rules for what the other rules do not report."""

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
    read = [_read(name, text) for name, text in texts]
    found = [finding for problems, _ in read for finding in problems]
    documents = [document for _, document in read if document is not None]
    for group_kind, group in _groups(documents, kind, together=together):
        found += lint_policies(group, kind=group_kind)
    order = {name: position for position, (name, _) in enumerate(texts)}
    return tuple(sorted(found, key=lambda each: (order.get(_file(each), 0), *_order(each))))


def _groups(
    documents: Iterable[PolicyDocument], kind: Kind | None, *, together: bool
) -> Iterator[tuple[Kind, list[PolicyDocument]]]:
    """Yield the groups of documents judged together, with their kind."""
    joined: list[PolicyDocument] = []
    for document in documents:
        value = document.located.value if document.located else {}
        own = kind or recognized_kind(value)
        if together and own in {kind, "identity"}:
            joined.append(document)
        else:
            yield own, [document]
    if joined:
        yield kind or "identity", joined


def lint_policies(
    documents: Iterable[PolicyDocument], *, kind: Kind = "identity"
) -> tuple[Finding, ...]:
    """Judge *documents* in effect together, for example attached to one principal.

    All are of one *kind*; see KINDS.
    """
    assert kind in KINDS  # noqa: S101 - a programming error
    subject = Subject(tuple(documents), kind)
    few = len(subject.items) <= COMPARED
    found = [
        rule.finding(each)
        for rule in lint_rules()
        if rule.check is not None and kind in rule.kinds and (few or not rule.compares)
        for each in rule.check(subject)
    ]
    if few:
        said = {(_file(e), e.statement) for e in found if e.severity > Severity.INFO}
        found += map(rule_named(MATCHES_NOTHING).finding, matches_nothing(subject, said))
    found += map(rule_named(TOO_MANY).finding, _too_many(subject))
    return tuple(sorted(found, key=_order))


def _too_many(subject: Subject) -> Iterator[Found]:
    """Report what is not judged because it would take too long."""
    statements, ids = len(subject.items), [rule.id for rule in lint_rules() if rule.compares]
    place = subject.documents[0].located.place(()) if subject.documents[0].located else None
    what = f"{statements:,} statements are too many; at most {COMPARED} are compared"
    said = f"{what}; not applied: {', '.join(ids)}"
    if statements <= COMPARED:
        every, first = gates(subject), judged(subject)
        if len(first) == len(every):
            return
        gate = every[len(first)]
        place = gate.item.condition_place(gate.asked.condition)
        said = (
            f"{len(every)} conditions on tags are too many; CML501, CML502 and CML503 judge only "
            f"the first {len(first)}, not this one and those after it"
        )
    yield Found(said, place, "split the policy, and check its parts")


def is_complete(findings: Iterable[Finding], name: str) -> bool:
    """Return whether every rule could judge the document *name*, whose text must be readable."""
    unread = {SYNTAX, GRAMMAR}
    return not any(finding.rule in unread and _file(finding) == name for finding in findings)


def _read(name: str, text: str) -> tuple[list[Finding], PolicyDocument | None]:
    try:
        located = parse_json(text, name)
    except DocumentError as error:
        return _findings(rule_named(SYNTAX), error.problems), None
    problems = grammar_problems(located)
    if problems:
        return _findings(rule_named(GRAMMAR), problems, grammar_corrections(located)), None
    return [], build_policy(located)


def _findings(
    rule: Rule, problems: Iterable[Problem], corrections: Mapping[Place, Correction] | None = None
) -> list[Finding]:
    certain = corrections or {}
    return [
        rule.finding(
            Found(
                problem.message,
                problem.place,
                problem.remedy,
                correction=certain.get(problem.place) if problem.place else None,
            )
        )
        for problem in problems
    ]


def _file(finding: Finding) -> str:
    return finding.place.file if finding.place else ""


def _order(finding: Finding) -> tuple[Place, str, str]:
    return finding.place or Place("", 0, 0), finding.rule, finding.message


def lint_subjects(
    subjects: Sequence[KeptPolicy],
    *,
    kind: Kind,
    together: bool = False,
    processes: int = 1,
) -> tuple[Finding, ...]:
    """Judge *subjects*, all of one *kind*, as `lint_texts` does.

    A subject with an unknown value is judged twice: with any value allowed, and with a value that
    occurs nowhere else. A finding is reported only if both give it in the same words.
    """
    read = [subject for subject in subjects if subject.readings]
    first = _in_their_files([(each, each.readings[0]) for each in read], kind, together, processes)
    doubtful = [each for each in read if each.readings[1:]]
    if not doubtful:
        return tuple(finding for finding, _ in first)
    again = read if together else doubtful
    second = _in_their_files(
        [(each, each.readings[-1]) for each in again], kind, together, processes
    )
    left = {problem.place for each in doubtful for problem in each.open}
    narrow = [finding for finding, _ in second if finding.place not in left]
    sure, names = set(map(_key, narrow)), {each.name for each in again}
    kept = [finding for finding, name in first if name not in names or _key(finding) in sure]
    open_to = {finding.place for finding, name in first if name in names and finding.witness}
    known = set(map(_key, kept))
    return (
        *kept,
        *(e for e in narrow if e.witness and e.place in open_to and _key(e) not in known),
    )


def _in_their_files(
    readings: Sequence[tuple[KeptPolicy, Reading]], kind: Kind, together: bool, processes: int
) -> list[tuple[Finding, str]]:
    """Return the findings with their places in the file and the name of the policy."""
    texts = [(subject.name, reading.text) for subject, reading in readings]
    named = {subject.name: (subject, reading) for subject, reading in readings}
    found = lint_texts(texts, kind=kind, together=together, processes=processes)
    return [_carried(finding, named) for finding in found]


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
