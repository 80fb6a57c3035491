"""The report as JUnit XML, which Jenkins and GitLab read.

A passed check is a passed test. An open finding at or above the requested severity is a failed
test, a waived finding a skipped one, and a minor finding a passed one with a note. A check that
could not be made is an error, because both services mark a run with errors as failed, while a
skipped test would look fine. https://github.com/jenkinsci/xunit-plugin
https://docs.gitlab.com/ci/testing/unit_test_reports/
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

from cml_iam.audit import GROUPS
from cml_iam.audit import _words as words
from cml_iam.audit._words import item_of
from cml_iam.report import shown
from cml_iam.report.text import item_lines

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from cml_iam.audit import Account, AuditFinding, Check, Report
    from cml_iam.lint import Severity


class _Case(NamedTuple):
    """A test: its name, its place, and its message; *result* is None if it passed."""

    name: str
    classname: str
    result: Literal["failure", "error", "skipped", "system-out"] | None = None
    kind: str = ""
    message: str = ""
    lines: tuple[str, ...] = ()


def junit_report(report: Report, fail_on: Severity) -> str:
    """Return *report* as JUnit XML: one suite for each group of checks."""
    from xml.etree.ElementTree import Element, SubElement, indent, tostring

    suites = list(_suites(report, fail_on))
    whole = _numbers(case for _, cases in suites for case in cases)
    del whole["skipped"]  # the root element has no such attribute
    root = Element("testsuites", {"name": "cml-iam audit", **whole})
    # Jenkins wants the time without a zone; it is UTC.
    timestamp = words.date_text(report.time)[:-1]
    for name, cases in suites:
        attributes = {"name": name, **_numbers(cases), "timestamp": timestamp}
        suite = SubElement(root, "testsuite", attributes)
        names: Counter[tuple[str, str]] = Counter()
        for case in cases:
            names[case.classname, case.name] += 1
            _add(suite, case, names[case.classname, case.name])
    indent(root)
    text = tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _numbers(cases: Iterable[_Case]) -> dict[str, str]:
    results = Counter(case.result for case in cases)
    return {
        "tests": str(results.total()),
        "failures": str(results["failure"]),
        "errors": str(results["error"]),
        "skipped": str(results["skipped"]),
    }


def _add(suite: Element, case: _Case, number: int) -> None:
    """Add the element; numbers repeated names, because services identify tests by name."""
    from xml.etree.ElementTree import SubElement

    name = shown(case.name) + (f" ({number})" if number > 1 else "")
    test = SubElement(suite, "testcase", {"name": name, "classname": shown(case.classname)})
    if case.result:
        about = {"type": shown(case.kind), "message": shown(case.message)}
        result = SubElement(test, case.result, {} if case.result == "system-out" else about)
        result.text = "\n".join(map(_indented, case.lines))


def _indented(line: str) -> str:
    """Return *line* made safe, keeping its leading spaces."""
    bare = line.lstrip(" ")
    return line[: len(line) - len(bare)] + shown(bare)


def _suites(report: Report, fail_on: Severity) -> Iterator[tuple[str, list[_Case]]]:
    if report.accounts:
        yield "Accounts", list(map(_of_account, report.accounts))
    left: dict[str, list[AuditFinding]] = defaultdict(list)
    for finding in report.findings:
        left[finding.check].append(finding)
    for group in GROUPS:
        cases: list[_Case] = []
        for check in (check for check in report.checks if check.group == group):
            own = [finding for finding in left[check.id] if words.belongs(finding, check)]
            left[check.id] = [
                finding for finding in left[check.id] if not words.belongs(finding, check)
            ]
            cases += _of_check(check, own, fail_on)
        if cases:
            yield group.capitalize(), cases
    if rest := [finding for findings in left.values() for finding in findings]:
        yield "Other findings", [_of_finding(finding, "other", fail_on) for finding in rest]
    if report.skipped:
        yield (
            "Left out",
            [_skipped(check, "left out", "skipped on request") for check in report.skipped],
        )
    if report.passed_over:
        over = [_skipped(file.name, "not judged", file.reason) for file in report.passed_over]
        yield "Not judged as policies", over


def _skipped(name: str, kind: str, reason: str) -> _Case:
    return _Case(name, f"cml-iam.{kind.replace(' ', '-')}", "skipped", kind, reason)


def _of_account(account: Account) -> _Case:
    case = _Case(f"account {words.name_of(account)}", "cml-iam.accounts")
    if account.state == "audited":
        return case
    return _unmade(case, "account-not-audited", "not audited", account)


def _of_check(check: Check, findings: list[AuditFinding], fail_on: Severity) -> Iterator[_Case]:
    where = f"{check.group}.{check.id}"
    case = _Case(words.title_of(check), f"cml-iam.{where}")
    if check.state == "not checked":
        yield _unmade(case, "not-checked", "not checked", check)
    elif check.state == "passed":
        yield case
    elif not findings:
        message = check.detail or "failed"
        yield case._replace(result="failure", kind="failed", message=message, lines=(check.detail,))
    for finding in findings:
        yield _of_finding(finding, where, fail_on)


def _unmade(case: _Case, kind: str, state: str, subject: Check | Account) -> _Case:
    reason = words.reason_of(subject)
    lines = (reason, f"do: {subject.remedy}") if subject.remedy else (reason,)
    return case._replace(result="error", kind=kind, message=f"{state}: {reason}", lines=lines)


def _of_finding(finding: AuditFinding, where: str, fail_on: Severity) -> _Case:
    item = item_of([finding])
    case = _Case(
        f"{item.rule} {item.name}" + (f" at {item.place}" if item.place else ""),
        f"cml-iam.{where}",
        "failure" if finding.severity >= fail_on else "system-out",
        f"{finding.severity.word} {finding.rule}",
        finding.message,
        (item.title, *item_lines(item, sys.maxsize, 0)),
    )
    if finding.waiver:
        return case._replace(result="skipped", message=words.waived_words(finding))
    return case
