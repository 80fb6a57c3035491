"""The report as JUnit XML, which Jenkins and GitLab read.

A passed check is a passed test. An open finding at or above the requested severity is a failed
test, a waived finding a skipped one, and a minor finding a passed one with a note. A check that
could not be made is an error, because both services mark a run with errors as failed, while a
skipped test would look fine. https://github.com/jenkinsci/xunit-plugin
https://docs.gitlab.com/ci/testing/unit_test_reports/
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from cml_iam.audit import GROUPS
from cml_iam.audit import _words as words
from cml_iam.audit._items import item_of
from cml_iam.audit._words import date_text
from cml_iam.report import shown
from cml_iam.report.text import item_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from xml.etree.ElementTree import Element

    from cml_iam.audit import Account, AuditFinding, Check, Report, Skipped
    from cml_iam.lint import Severity

Result = Literal["failure", "error", "skipped", "system-out"]
_OTHER: Final = "Other findings"
_NO_WIDTH: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class _Case:
    """A test: its name, its place, and its message; *result* is None if it passed."""

    name: str
    classname: str
    result: Result | None = None
    kind: str = ""
    message: str = ""
    lines: tuple[str, ...] = ()


def junit_report(report: Report, fail_on: Severity) -> str:
    """Return *report* as JUnit XML: one suite for each group of checks."""
    from xml.etree.ElementTree import Element, indent, tostring

    suites = list(_suites(report, fail_on))
    cases = [case for _, group in suites for case in group]
    root = Element("testsuites", {"name": "cml-iam audit", **_numbers(cases, skipped=False)})
    for name, group in suites:
        root.append(_suite(name, group, report))
    indent(root)
    text = tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _suites(report: Report, fail_on: Severity) -> Iterator[tuple[str, list[_Case]]]:
    if report.accounts:
        yield "Accounts", [_of_account(account) for account in report.accounts]
    left = words.by_check(report)
    for group in GROUPS:
        cases: list[_Case] = []
        for check in (each for each in report.checks if each.group == group):
            found = [each for each in left[check.id] if words.belongs(each, check)]
            left[check.id] = [each for each in left[check.id] if not words.belongs(each, check)]
            cases += _of_check(check, found, fail_on)
        if cases:
            yield words.TITLES[group], cases
    rest = [finding for findings in left.values() for finding in findings]
    if rest:
        yield _OTHER, [_of_finding(each, "other", fail_on) for each in rest]
    if report.skipped:
        yield "Left out", [_of_skipped(each) for each in report.skipped]
    if report.passed_over:
        yield "Not judged as policies", [_of_file(each) for each in report.passed_over]


def _of_skipped(check: str) -> _Case:
    return _Case(check, "cml-iam.left-out", "skipped", "left out", "skipped on request")


def _of_file(file: Skipped) -> _Case:
    return _Case(file.name, "cml-iam.not-judged", "skipped", "not judged", file.reason)


def _of_account(account: Account) -> _Case:
    name = f"account {account.id}" + (f" ({account.name})" if account.name else "")
    if account.state == "audited":
        return _Case(name, "cml-iam.accounts")
    reason = account.reason or "no reason given"
    return _Case(
        name,
        "cml-iam.accounts",
        "error",
        "account-not-audited",
        f"not audited: {reason}",
        _lines(reason, account.remedy),
    )


def _of_check(check: Check, findings: list[AuditFinding], fail_on: Severity) -> Iterator[_Case]:
    name = check.title + (f" in {check.account}" if check.account else "")
    where = f"cml-iam.{check.group}.{check.id}"
    if check.state == "not checked":
        reason = words.seen(check)
        yield _Case(
            name,
            where,
            "error",
            "not-checked",
            f"not checked: {reason}",
            _lines(reason, check.remedy),
        )
    elif check.state == "passed":
        yield _Case(name, where)
    elif not findings:
        yield _Case(name, where, "failure", "failed", check.detail or "failed", (check.detail,))
    for finding in findings:
        yield _of_finding(finding, f"{check.group}.{check.id}", fail_on)


def _of_finding(finding: AuditFinding, where: str, fail_on: Severity) -> _Case:
    item = item_of([finding])
    name = f"{item.rule} {item.name}" + (f" at {item.place}" if item.place else "")
    result: Result = "failure" if finding.severity >= fail_on else "system-out"
    message = finding.message
    if finding.waiver:
        result, message = "skipped", words.waived_words(finding)
    return _Case(
        name,
        f"cml-iam.{where}",
        result,
        f"{finding.severity.word} {finding.rule}",
        message,
        (item.title, *item_lines(item, _NO_WIDTH, 0)),
    )


def _lines(reason: str, remedy: str | None) -> tuple[str, ...]:
    return (reason, *([f"do: {remedy}"] if remedy else []))


def _numbers(cases: Iterable[_Case], *, skipped: bool = True) -> dict[str, str]:
    cases = list(cases)
    results = Counter(each.result for each in cases)
    numbers = {
        "tests": str(len(cases)),
        "failures": str(results["failure"]),
        "errors": str(results["error"]),
    }
    return numbers | ({"skipped": str(results["skipped"])} if skipped else {})


def _suite(name: str, cases: list[_Case], report: Report) -> Element:
    from xml.etree.ElementTree import Element

    # Jenkins wants the time without a zone; it is UTC.
    attributes = {"name": name, **_numbers(cases), "timestamp": date_text(report.time)[:-1]}
    suite = Element("testsuite", attributes)
    seen: Counter[tuple[str, str]] = Counter()
    for case in cases:
        seen[case.classname, case.name] += 1
        suite.append(_testcase(case, seen[case.classname, case.name]))
    return suite


def _testcase(case: _Case, number: int) -> Element:
    """Return the element; numbers repeated names, because services identify tests by name."""
    from xml.etree.ElementTree import Element, SubElement

    name = shown(case.name) + (f" ({number})" if number > 1 else "")
    made = Element("testcase", {"name": name, "classname": shown(case.classname)})
    if case.result:
        said = {"type": shown(case.kind), "message": shown(case.message)}
        inner = SubElement(made, case.result, {} if case.result == "system-out" else said)
        inner.text = "\n".join(_indented(line) for line in case.lines)
    return made


def _indented(line: str) -> str:
    """Return *line* made safe, keeping its leading spaces."""
    bare = line.lstrip(" ")
    return line[: len(line) - len(bare)] + shown(bare)
