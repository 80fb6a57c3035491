"""The report as GitHub's Markdown, for the summary of a job.

GitHub takes a mebibyte for a step and shows nothing of a larger one, so the writer stops in time
and says what is left out; what matters most stands first.
https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#step-isolation-and-limits
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from cml_iam.audit.write import _words as words
from cml_iam.audit.write._alike import unused_rows
from cml_iam.audit.write._codec import date_text
from cml_iam.audit.write._escape import page_link, shown
from cml_iam.audit.write._tables import matrix_rows
from cml_iam.credentials import MAX_KEY_AGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cml_iam.audit._report import AuditFinding, Check, Matrix, Report
    from cml_iam.lint import Severity

ROOM: Final = 900_000
"""Bytes of UTF-8, well below the mebibyte that a step may write."""

_LONGEST: Final = 2_000
"""Characters of one text: a message of any length must leave room for the next."""

_ACTIVE: Final = re.compile(r"[&<>|*_`~\[\]\\@#$!]|:(?=//)|(?<=www)\.")
Section = tuple[str, str, "Iterable[str]"]
"""A heading, what stands before the rows, and the rows."""


def markdown_report(report: Report, fail_on: Severity) -> str:
    """Return *report* as Markdown of less than a mebibyte."""
    written = [_head(report, fail_on)]
    room = ROOM - len(written[0].encode())
    for heading, before, rows in _sections(report):
        text, room = _fitting(heading, before, list(rows), room)
        written.append(text)
    return "\n".join(filter(None, written))


def _fitting(heading: str, before: str, rows: list[str], room: int) -> tuple[str, int]:
    """Return as much of a section as there is room for, and the room that is left."""
    if not rows:
        return "", room
    text = f"## {heading}\n\n{before}"
    room -= len(text.encode())
    for number, row in enumerate(rows):
        size = len(row.encode())
        if size > room:
            left = f"**{len(rows) - number} more: no room here; see the report in another form.**"
            return f"{text}\n{left}\n", room
        text += row
        room -= size
    return text, room


def _head(report: Report, fail_on: Severity) -> str:
    conclusion, sentence = words.verdict(report, fail_on)
    tools = ", ".join(f"{name} {report.tools[name]}" for name in sorted(report.tools))
    site = f", site {_code(report.site)}" if report.site else ""
    lines = [
        f"# {words.OF_CONCLUSION[conclusion]} {_plain(sentence)}",
        f"Audit of {date_text(report.time)}{site}; {_plain(tools)}.",
    ]
    if report.since:
        lines.append(f"{_capital(_plain(words.since(report.since)))}.")
    if report.skipped:
        lines.append(f"{_capital(_plain(words.left_out(report)))}.")
    return "\n\n".join(lines) + "\n"


def _sections(report: Report) -> Iterator[Section]:
    yield "Not checked", _columns("what", "why", "what to do"), _lost(report)
    new = frozenset(report.since.new) if report.since else frozenset()
    yield "Findings", "", [_finding(each, new) for each in _ordered(report)]
    if report.since:
        gone = [_row(_rule(each), _code(words.elsewhere(each.spot))) for each in report.since.gone]
        yield "Gone since the earlier report", _columns("finding", "place"), gone
    for matrix in report.matrices:
        yield _matrix(matrix)
    yield (
        "Decided otherwise",
        _columns("document", "change", "request", "rendered", "found"),
        [
            _row(
                _plain(" in ".join(filter(None, (each.document, each.account)))),
                _plain(f"{each.change}: {', '.join(each.actions)}"),
                _code(words.request(each.after)),
                _plain(words.decided(each.before)),
                _plain(words.decided(each.after)),
            )
            for each in report.changes
        ],
    )
    over = [_row(_code(each.name), _plain(each.reason)) for each in report.passed_over]
    yield "Not judged as policies", _columns("file", "why"), over
    yield "Access keys", _columns("key", "status", "age", "last used", "of"), _keys(report)
    yield "Granted and not used", _columns("permission", "last used", "methods"), _unused(report)
    yield "Checks", _columns("state", "check", "what was seen"), _checks(report)


def _ordered(report: Report) -> list[AuditFinding]:
    waived = [each for each in report.findings if each.waiver]
    return [each for _, group in words.by_severity(report.open) for each in group] + waived


def _rule(finding: AuditFinding) -> str:
    return f"{finding.severity.word} {_plain(finding.rule)} {_plain(finding.name)}"


def _finding(finding: AuditFinding, new: frozenset[str]) -> str:
    symbol = words.WAIVED if finding.waiver else words.SYMBOL[finding.severity]
    state = "waived " if finding.waiver else ""
    fresh = " (new)" if finding.fingerprint in new else ""
    lines = [
        f"### {symbol} {state}{_rule(finding)}{fresh}",
        f"{_code(words.elsewhere(finding.spot))}<br>{_plain(finding.message)}",
        *_behind(finding),
    ]
    return "\n\n".join(lines) + "\n\n"


def _behind(finding: AuditFinding) -> Iterator[str]:
    if finding.waiver:
        yield _capital(_plain(words.waived_words(finding)))
    if finding.remedy:
        yield f"**What to do:** {_plain(finding.remedy)}"
    if finding.witness:
        steps = "".join(
            f"<li>{_plain(each.says)}: <b>{_plain(words.decided(each))}</b>"
            f"<br>{_code(words.request(each))}</li>"
            for each in finding.witness
        )
        yield f"<details><summary>How it is done</summary><ol>{steps}</ol></details>"
    if finding.page:
        link = _code(finding.page)
        if page_link(finding.page):
            link = f'<a href="{finding.page}">{finding.page}</a>'
        yield f"<sub>{link}</sub>"


def _lost(report: Report) -> Iterator[str]:
    for each in words.lost_accounts(report):
        name = f"account {each.id}" + (f" ({each.name})" if each.name else "")
        yield _row(
            f"{words.UNKNOWN} {_plain(name)}", _plain(each.reason or ""), _plain(each.remedy or "")
        )
    for check in report.unchecked:
        yield _row(
            f"{words.UNKNOWN} {_asked(check)}",
            _plain(words.seen(check)),
            _plain(check.remedy or ""),
        )


def _matrix(matrix: Matrix) -> Section:
    where = f" in {_plain(matrix.account)}" if matrix.account else ""
    heading = f"Permissions{where}: {words.as_expected(matrix)}"
    rows = [_row(_code(row[0]), *map(_plain, row[1:])) for row in matrix_rows(matrix)]
    return heading, _columns("permission", *map(_plain, matrix.situations)), rows


def _keys(report: Report) -> Iterator[str]:
    for each in report.keys:
        late = each.age > MAX_KEY_AGE.days
        yield _row(
            _code(each.id),
            _plain(each.status),
            f"{words.WARNED if late else words.NOTED} {words.plural(each.age, 'day')}",
            _plain(words.last_use(each)),
            _plain(" ".join(filter(None, (each.user, each.account)))),
        )


def _unused(report: Report) -> Iterator[str]:
    for permission, where, used, methods in unused_rows(report):
        place = f" in {where}" if where else ""
        yield _row(_code(permission + place), used, _plain(", ".join(methods)))


def _checks(report: Report) -> Iterator[str]:
    for each in report.checks:
        state = f"{words.OF_STATE[each.state]} {each.state}"
        yield _row(state, _asked(each), _plain(words.seen(each)))


def _asked(check: Check) -> str:
    return _plain(check.title + (f" in {check.account}" if check.account else ""))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _columns(*names: str) -> str:
    return _row(*names) + _row(*("---" for _ in names))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


def _code(text: str | None) -> str:
    """Return foreign *text* as code: marked as such by HTML, since backticks cannot be escaped."""
    return f"<code>{_escaped(text)}</code>" if text else ""


def _plain(text: str) -> str:
    """Return foreign *text* so that neither Markdown nor HTML reads anything in it.

    What our own sentences put in backticks becomes code.
    """
    parts = re.split("`([^`]+)`", _bounded(text))
    return "".join(
        f"<code>{_inactive(each)}</code>" if number % 2 else _inactive(each)
        for number, each in enumerate(parts)
    )


def _escaped(text: str) -> str:
    return _inactive(_bounded(text))


def _bounded(text: str) -> str:
    safe = shown(text)
    return f"{safe[:_LONGEST]}…" if len(safe) > _LONGEST else safe


def _inactive(text: str) -> str:
    return _ACTIVE.sub(lambda match: f"&#{ord(match[0])};", text)
