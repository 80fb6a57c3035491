"""The lines of a document that a finding is about, for a report."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import reduce
from operator import getitem
from typing import TYPE_CHECKING, Final

from cml_iam.check._texts import secrets_in_text
from cml_iam.errors import DocumentError
from cml_iam.located import parse_json
from cml_iam.report import Excerpt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cml_iam.audit import AuditFinding
    from cml_iam.check.answer import Answer
    from cml_iam.policy import PolicyDocument

MOST_LINES: Final = 20
MOST_COLUMNS: Final = 160

_AROUND: Final = (2, 8)
"""The number of lines shown around a place if the extent of its statement is unknown."""

_QUOTED: Final = re.compile(r'"([^"\\]+)"')

Lines = tuple[int, int]
"""The first and the last line, counted from 1."""


def with_excerpts(answer: Answer, texts: Mapping[str, str]) -> Answer:
    """Add the relevant lines of *texts* (by file or ARN) to the findings of *answer*.

    A text that contains an access key is never shown.
    """
    safe = {name: text for name, text in texts.items() if not secrets_in_text(text)}
    known: dict[str, Mapping[str, Lines]] = {}

    def shown(finding: AuditFinding) -> AuditFinding:
        for name in _names(finding, safe):
            if name not in known:
                known[name] = dict(_statements(safe[name]))
            if excerpt := _excerpt(finding, safe[name], known[name]):
                return replace(finding, excerpt=excerpt)
        return finding

    return replace(answer, findings=tuple(map(shown, answer.findings)))


def document_text(document: PolicyDocument) -> str:
    """Return an account's document formatted for people, whatever its original layout."""
    if document.located is None:
        return ""
    return json.dumps(document.located.value, indent=2, ensure_ascii=False)


def _names(finding: AuditFinding, texts: Mapping[str, str]) -> Sequence[str]:
    """Return the names of *texts* that may contain the finding; all policies for a principal."""
    spot = finding.spot
    named = spot.file or spot.resource or ""
    if named in texts:
        return (named,)
    return () if spot.file or not finding.witness else tuple(texts)


def _excerpt(finding: AuditFinding, text: str, statements: Mapping[str, Lines]) -> Excerpt | None:
    lines, spot = text.split("\n"), finding.spot
    # In a sequence, only the last request counts, because it is the one to prevent.
    labels = [label for ask in reversed(finding.witness) for label in ask.statements]
    labels = [spot.statement] if spot.statement else labels
    found = next((statements[label] for label in labels if label in statements), None)
    at = spot.line if spot.file else None
    if at and not 1 <= at <= len(lines):
        return None
    if found is None or (at and not found[0] <= at <= found[1]):
        if not at:
            return None
        found = (max(1, at - _AROUND[0]), min(len(lines), at + _AROUND[1]))
    first, last = found
    # A place at the beginning of a statement is that of all its lines.
    inside = at and (at > first or lines[at - 1][: (spot.column or 1) - 1].strip(" \t{"))
    marked = [at] if at and inside else _naming(finding, lines, found)
    if last - first >= MOST_LINES:
        first = max(first, min((marked or [first])[0] - _AROUND[0], last - MOST_LINES + 1))
        last = first + MOST_LINES - 1
    column = (spot.column or 1) if at else 1
    return Excerpt(
        first,
        tuple(
            _cut(line, column if number == at else 1)
            for number, line in enumerate(lines[first - 1 : last], start=first)
        ),
        tuple(each for each in marked if first <= each <= last),
    )


def _naming(finding: AuditFinding, lines: Sequence[str], within: Lines) -> list[int]:
    """Return the lines that name an action of the finding's requests."""
    actions = {ask.action.lower() for ask in finding.witness}
    return [
        number
        for number in range(within[0], within[1] + 1)
        if any(
            fnmatchcase(action, pattern.lower())
            for pattern in _QUOTED.findall(lines[number - 1])
            if ":" in pattern and not pattern.startswith("arn:")
            for action in actions
        )
    ]


def _statements(text: str) -> Iterator[tuple[str, Lines]]:
    """Yield the label and lines of each statement in a JSON text."""
    try:
        located = parse_json(text)
    except DocumentError:
        return
    for path, span in located.values.items():
        if len(path) < 2 or path[-2] != "Statement" or not isinstance(path[-1], int):
            continue
        value = reduce(getitem, path, located.value)
        if isinstance(value, dict):
            sid = value.get("Sid")
            label = sid if isinstance(sid, str) and sid else f"statement {path[-1] + 1}"
            source = located.source
            yield label, (source.place(span.start).line, source.place(span.end - 1).line)


def _cut(line: str, column: int) -> str:
    """Return *line* or, if it is long, the part around *column*."""
    if len(line) <= MOST_COLUMNS:
        return line
    start = max(0, min(column - 1 - MOST_COLUMNS // 4, len(line) - MOST_COLUMNS))
    rest = line[start : start + MOST_COLUMNS]
    return f"{'…' if start else ''}{rest}{'…' if start + MOST_COLUMNS < len(line) else ''}"
