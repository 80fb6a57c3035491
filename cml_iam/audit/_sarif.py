"""The report as SARIF 2.1.0, which code scanning services read.

Findings are results, waivers are suppressions, and a check that could not be made is a notification
of a failed invocation. A finding in an account has no file and points to the site file, because
services show only results with a file.
https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning
"""

from __future__ import annotations

import json
import re
from pathlib import PurePath, PurePosixPath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from cml_iam.audit import _words as words
from cml_iam.audit._items import item_of
from cml_iam.audit._words import date_text, title
from cml_iam.lint import Severity
from cml_iam.report import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cml_iam.audit import Account, AuditFinding, Check, Input, Report, Spot
    from cml_iam.report import Item, Request

Object = dict[str, Any]

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_ROOT: Final = "%SRCROOT%"
_LEVEL: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
# From 7.0 on GitHub calls a result high, from 4.0 on medium.
_SCORE: Final = {Severity.ERROR: "8.0", Severity.WARNING: "5.0", Severity.INFO: "2.0"}
_NOT_CHECKED: Final = "not-checked"
_NOT_AUDITED: Final = "account-not-audited"


def sarif_report(report: Report, fail_on: Severity) -> str:
    """Return *report* as a SARIF log of one run."""
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [_run(report, fail_on)]}
    return json.dumps(log, indent=2) + "\n"


def _run(report: Report, fail_on: Severity) -> Object:
    by_rule = {finding.rule: finding for finding in reversed(report.findings)}
    rules = {rule: index for index, rule in enumerate(sorted(by_rule))}
    return {
        "tool": {"driver": _driver(report, [by_rule[rule] for rule in rules])},
        "automationDetails": {"id": "cml-iam/audit/"},
        "invocations": [_invocation(report, fail_on)],
        "originalUriBaseIds": {_ROOT: {"description": {"text": "the root of the repository"}}},
        "artifacts": [_artifact(file) for file in _files(report)],
        "results": [_result(finding, rules, report.site) for finding in report.findings],
        "columnKind": "unicodeCodePoints",
    }


def _driver(report: Report, rules: list[AuditFinding]) -> Object:
    return {
        "name": "cml-iam",
        "version": shown(report.tools.get("cml-iam", "unknown")),
        "properties": {"tools": {shown(k): shown(report.tools[k]) for k in sorted(report.tools)}},
        "rules": [_rule(rule) for rule in rules],
        "notifications": [
            {"id": _NOT_CHECKED, "shortDescription": _text("a check that could not be made")},
            {
                "id": _NOT_AUDITED,
                "shortDescription": _text("an account that could not be audited"),
            },
        ],
    }


def _rule(finding: AuditFinding) -> Object:
    made: Object = {
        "id": finding.rule,
        "name": shown(finding.name),
        "shortDescription": _text(title(finding)),
        "help": _text("\n".join(_help(finding))),
        "defaultConfiguration": {"level": _LEVEL[finding.severity]},
        "properties": {"tags": ["security", "iam"], "security-severity": _SCORE[finding.severity]},
    }
    if finding.page and finding.page.startswith("https://"):
        made["helpUri"] = quote(finding.page, safe=":/?#[]@!$&'()*+,;=%")
    return made


def _help(finding: AuditFinding) -> Iterator[str]:
    yield f"{finding.rule} {finding.name}: {title(finding)}"
    if finding.remedy:
        yield f"What to do: {finding.remedy}"
    if finding.page:
        yield f"See {finding.page}"


def _result(finding: AuditFinding, rules: Mapping[str, int], site: str | None) -> Object:
    item = item_of([finding])
    made: Object = {
        "ruleId": finding.rule,
        "ruleIndex": rules[finding.rule],
        "level": _LEVEL[finding.severity],
        "message": _text("\n".join(_message(item))),
        "locations": [_location(finding.spot, site)],
        # The second name is the one GitHub tells results apart by.
        "partialFingerprints": {
            "cmlIamFinding/v1": shown(finding.fingerprint),
            "primaryLocationLineHash": shown(finding.fingerprint),
        },
        "properties": {"check": shown(finding.check)},
    }
    if item.is_sequence:
        made["codeFlows"] = [_flow(item, _location(finding.spot, site))]
    # Even where nothing is waived: a log in which some results have it must have it in all.
    made["suppressions"] = list(_suppressions(finding))
    return made


def _message(item: Item) -> Iterator[str]:
    yield item.message
    for lead, request in item.numbered():
        yield f"{lead} {_step(request)}"
    if item.remedy:
        yield f"What to do: {item.remedy}"


def _step(request: Request) -> str:
    return f"{request.says}: {request.outcome} ({request.line})"


def _suppressions(finding: AuditFinding) -> Iterator[Object]:
    if finding.waiver:
        yield {
            "kind": "external",
            "status": "accepted",
            "justification": shown(words.waived_words(finding)),
        }


def _flow(item: Item, where: Object) -> Object:
    """Return the steps of a sequence, which services show as a code flow."""
    steps = [{"location": where | {"message": _text(_step(request))}} for request in item.requests]
    return {"threadFlows": [{"locations": steps}]}


def _location(spot: Spot, site: str | None) -> Object:
    made: Object = {}
    file = spot.file or site
    if file:
        made["physicalLocation"] = {"artifactLocation": _artifact_location(file)}
        region = {"startLine": spot.line, "startColumn": spot.column}
        kept = {name: value for name, value in region.items() if value}
        made["physicalLocation"]["region"] = kept if spot.file and spot.line else {"startLine": 1}
    names = [
        {"fullyQualifiedName": shown(name), "kind": kind}
        for name, kind in (
            (spot.resource, "resource"),
            (spot.statement, "declaration"),
            (spot.account, "account"),
        )
        if name
    ]
    return made | ({"logicalLocations": names} if names else {})


def _artifact_location(file: str) -> Object:
    path = PurePath(file)
    if path.is_absolute():
        return {"uri": "file://" + _quoted(path.as_posix())}
    return {"uri": _quoted(PurePosixPath(path.as_posix()).as_posix()), "uriBaseId": _ROOT}


def _quoted(path: str) -> str:
    return quote(path, safe="/", errors="surrogatepass")


def _files(report: Report) -> list[Input]:
    """Return the inputs that are files rather than documents of an account."""
    return [each for each in report.inputs if each.account is None]


def _artifact(each: Input) -> Object:
    return {
        "location": _artifact_location(each.name),
        "roles": ["analysisTarget"],
        "hashes": {"sha-256": each.sha256},
    }


def _invocation(report: Report, fail_on: Severity) -> Object:
    conclusion, sentence = words.verdict(report, fail_on)
    lost = words.lost_accounts(report)
    over = [shown(f"{each.name}: {each.reason}") for each in report.passed_over]
    return {
        "executionSuccessful": report.complete,
        "endTimeUtc": date_text(report.time),
        "toolExecutionNotifications": [
            *(_unmade(check) for check in report.unchecked),
            *(_unaudited(account) for account in lost),
        ],
        "properties": {"conclusion": conclusion, "verdict": shown(sentence)}
        | ({"leftOut": [shown(each) for each in report.skipped]} if report.skipped else {})
        | ({"notJudged": over} if over else {}),
    }


def _unmade(check: Check) -> Object:
    account = f" in {check.account}" if check.account else ""
    lines = [f"{check.title}{account} was not checked: {words.seen(check)}"]
    if check.remedy:
        lines.append(f"What to do: {check.remedy}")
    return {
        "descriptor": {"id": _NOT_CHECKED, "index": 0},
        "level": "error",
        "message": _text("\n".join(lines)),
        "properties": {"check": shown(check.id)},
    }


def _unaudited(account: Account) -> Object:
    lines = [f"account {account.id} was not audited: {account.reason or 'no reason given'}"]
    if account.remedy:
        lines.append(f"What to do: {account.remedy}")
    return {
        "descriptor": {"id": _NOT_AUDITED, "index": 1},
        "level": "error",
        "message": _text("\n".join(lines)),
    }


def _text(text: str) -> Object:
    """Return a message object, escaping what SARIF would read as a link or placeholder."""
    plain = "\n".join(shown(line) for line in text.split("\n"))
    plain = re.sub(r"\[(?=[^\]]*\]\()", r"\\[", plain)
    return {"text": re.sub(r"\{(\d+)\}", r"{{\1}}", plain)}
