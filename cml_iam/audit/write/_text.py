"""The report as plain text for a terminal of a given width. Colour is the command line's."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Final

from cml_iam.audit._report import GROUPS
from cml_iam.audit.write import _words as words
from cml_iam.audit.write._alike import unused_rows
from cml_iam.audit.write._codec import date_text
from cml_iam.audit.write._escape import shown
from cml_iam.audit.write._tables import matrix_tables, plain_table
from cml_iam.credentials import MAX_KEY_AGE
from cml_iam.visible import inert

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cml_iam.audit._report import Account, AuditFinding, Check, Matrix, Report
    from cml_iam.lint import Severity

WIDTH: Final = 100
HEADINGS: Final = {"error": "Errors", "warning": "Warnings", "info": "For information"}


def text_report(report: Report, fail_on: Severity, width: int = WIDTH) -> str:
    """Return *report* as text: the verdict first, then what is behind it."""
    parts = (
        _head(report, fail_on, width),
        _accounts(report, width),
        *_findings(report, width),
        _unchecked(report, width),
        _passed_over(report, width),
        *(_matrix(each, report, width) for each in report.matrices),
        _changes(report, width),
        _keys(report, width),
        _unused(report, width),
        _checks(report, width),
        _inputs(report, width),
    )
    return "\n\n".join("\n".join(lines) for part in parts if (lines := list(part))) + "\n"


def _head(report: Report, fail_on: Severity, width: int) -> Iterator[str]:
    conclusion, sentence = words.verdict(report, fail_on)
    yield from _line(f"{words.OF_CONCLUSION[conclusion]} {sentence}", width)
    tools = ", ".join(f"{name} {report.tools[name]}" for name in sorted(report.tools))
    site = f", site {report.site}" if report.site else ""
    yield from _line(f"audit of {date_text(report.time)}{site}; {tools}", width, 2)
    if report.since:
        yield from _line(words.since(report.since), width, 2)
    if report.skipped:
        yield from _line(words.left_out(report), width, 2)


def _accounts(report: Report, width: int) -> Iterator[str]:
    if report.accounts:
        yield "Accounts"
    for each in report.accounts:
        yield from _line(_account(each), width)
        if each.remedy:
            yield from _line(f"do: {each.remedy}", width, 4)


def _account(account: Account) -> str:
    name = f"{account.id} ({account.name})" if account.name else account.id
    if account.state == "not checked":
        return f"{words.UNKNOWN} not checked {name}: {account.reason or 'no reason given'}"
    of = f" {account.principal}" if account.principal else ""
    by = f" as {account.caller}" if account.caller else ""
    return (
        f"{words.PASSED} audited {name}:{of or ' no principal'}{by},"
        f" {words.plural(account.calls, 'call')}"
    )


def _findings(report: Report, width: int) -> Iterator[Iterator[str]]:
    new = frozenset(report.since.new) if report.since else frozenset()
    for severity, findings in words.by_severity(report.open):
        yield _group(HEADINGS[severity.word], findings, new, width)
    yield _group("Waived", [each for each in report.findings if each.waiver], new, width)
    if report.since:
        yield _group("Gone since the earlier report", report.since.gone, new, width, brief=True)


def _group(
    heading: str,
    findings: Iterable[AuditFinding],
    new: frozenset[str],
    width: int,
    *,
    brief: bool = False,
) -> Iterator[str]:
    findings = list(findings)
    if findings:
        yield f"{heading} ({len(findings)})"
    for finding in findings:
        yield from _line(_title(finding, new, gone=brief), width)
        if not brief:
            yield from _body(finding, width)


def _title(finding: AuditFinding, new: frozenset[str], *, gone: bool = False) -> str:
    word = finding.severity.word
    where = words.elsewhere(finding.spot)
    rest = f"{word} {finding.rule} {finding.name}" + (f" at {where}" if where else "")
    if gone:
        return f"{words.PASSED} gone {rest}"
    if finding.waiver:
        return f"{words.WAIVED} waived {rest}"
    fresh = " (new)" if finding.fingerprint in new else ""
    return f"{words.SYMBOL[finding.severity]} {rest}{fresh}"


def _body(finding: AuditFinding, width: int) -> Iterator[str]:
    yield from _line(finding.message, width, 4)
    for number, ask in enumerate(finding.witness, start=1):
        lead = f"{number}. " if len(finding.witness) > 1 else "e.g. "
        yield from _line(f"{lead}{ask.says}: {words.decided(ask)}", width, 6, hang=3)
        yield from _line(words.request(ask), width, 9)
    if finding.waiver:
        yield from _line(words.waived_words(finding), width, 4)
    if finding.remedy:
        yield from _line(f"fix: {finding.remedy}", width, 4)
    if finding.page:
        yield f"    see: {inert(shown(finding.page))}"


def _unchecked(report: Report, width: int) -> Iterator[str]:
    if report.unchecked:
        yield f"Not checked ({len(report.unchecked)})"
    for each in report.unchecked:
        yield from _line(f"{words.UNKNOWN} {_asked(each)}: {words.seen(each)}", width)
        if each.remedy:
            yield from _line(f"do: {each.remedy}", width, 4)


def _passed_over(report: Report, width: int) -> Iterator[str]:
    if report.passed_over:
        yield f"Not judged as policies ({len(report.passed_over)})"
    for each in report.passed_over:
        yield from _line(f"{words.NOTED} {each.name}: {each.reason}", width)


def _matrix(matrix: Matrix, report: Report, width: int) -> Iterator[str]:
    """Tell a matrix; one of several is told in a line where everything is as expected."""
    where = f" in {matrix.account}" if matrix.account else ""
    how = {"offline": "computed", "live": "asked of AWS"}[matrix.how]
    met = sum(each.met is True for each in matrix.cells)
    symbol = words.PASSED if met == len(matrix.cells) else words.FAILED
    title = f"Permissions{where} ({how}): {words.as_expected(matrix)}"
    if len(report.matrices) > 1 and met == len(matrix.cells):
        yield from _line(f"{symbol} {title}", width)
        return
    yield from _line(title, width)
    for number, table in enumerate(matrix_tables(matrix, width)):
        if number:
            yield ""
        yield from table


def _changes(report: Report, width: int) -> Iterator[str]:
    if report.changes:
        yield "Decided otherwise"
    for each in report.changes:
        where = f" in {each.account}" if each.account else ""
        what = f"{each.document}{where}: {each.change}: {', '.join(each.actions)}"
        yield from _line(f"{words.WARNED} {what}", width)
        yield from _line(words.request(each.after), width, 6)
        yield from _line(f"rendered: {words.decided(each.before)}", width, 6)
        yield from _line(f"found: {words.decided(each.after)}", width, 6)


def _keys(report: Report, width: int) -> Iterator[str]:
    if not report.keys:
        return
    yield "Access keys"
    rows = [
        [
            f"{words.WARNED if each.age > MAX_KEY_AGE.days else words.NOTED} {each.id}",
            each.status,
            words.plural(each.age, "day"),
            words.last_use(each),
            " ".join(filter(None, (each.user, each.account))),
        ]
        for each in report.keys
    ]
    yield from plain_table(["key", "status", "age", "last used", "of"], rows, width)


def _unused(report: Report, width: int) -> Iterator[str]:
    if report.unused:
        yield "Granted and not used"
    for permission, where, used, methods in unused_rows(report):
        place = f" in {where}" if where else ""
        last = used if used.startswith("no use") else f"last used {used}"
        by = f"; used by {', '.join(methods)}" if methods else ""
        yield from _line(f"{words.NOTED} {permission}{place}: {last}{by}", width)


def _checks(report: Report, width: int) -> Iterator[str]:
    if report.checks:
        yield "Checks"
    for group in GROUPS:
        for each in (check for check in report.checks if check.group == group):
            detail = f": {words.seen(each)}" if words.seen(each) else ""
            yield from _line(
                f"{words.OF_STATE[each.state]} {each.state} {_asked(each)}{detail}", width
            )


def _asked(check: Check) -> str:
    return f"{check.title}" + (f" in {check.account}" if check.account else "")


def _inputs(report: Report, width: int) -> Iterator[str]:
    if report.inputs:
        yield "Read"
    for each in report.inputs:
        yield from _line(f"{words.NOTED} {each.kind} {each.name} sha256:{each.sha256[:12]}", width)


def _line(text: str, width: int, indent: int = 0, hang: int | None = None) -> list[str]:
    """Return *text* as lines no wider than *width*; only a word that is longer stays whole.

    What does not fit into the first line stands *hang* columns further in.
    """
    if hang is None:
        hang = 2 if indent else 4
    return wrap(
        inert(shown(text)),
        width=max(width, indent + 20),
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + hang),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]
