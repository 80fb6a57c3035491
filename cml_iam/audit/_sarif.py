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
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from cml_iam.audit import _words as words
from cml_iam.audit._words import item_of
from cml_iam.lint import Severity
from cml_iam.report import shown

if TYPE_CHECKING:
    from cml_iam.audit import AuditFinding, Report, Spot
    from cml_iam.report import Request

Object = dict[str, Any]

_ROOT: Final = "%SRCROOT%"
# From 7.0 on GitHub calls a result high, from 4.0 on medium.
_LEVEL: Final = {
    Severity.ERROR: ("error", "8.0"),
    Severity.WARNING: ("warning", "5.0"),
    Severity.INFO: ("note", "2.0"),
}
_UNMADE: Final = {
    "not-checked": "a check that could not be made",
    "account-not-audited": "an account that could not be audited",
}


def sarif_report(report: Report, fail_on: Severity) -> str:
    """Return *report* as a SARIF log of one run."""
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [_run(report, fail_on)],
    }
    return json.dumps(log, indent=2) + "\n"


def _run(report: Report, fail_on: Severity) -> Object:
    by_rule = {finding.rule: finding for finding in reversed(report.findings)}
    rules = {rule: index for index, rule in enumerate(sorted(by_rule))}
    return {
        "tool": {"driver": _driver(report, [by_rule[rule] for rule in rules])},
        "automationDetails": {"id": "cml-iam/audit/"},
        "invocations": [_invocation(report, fail_on)],
        "originalUriBaseIds": {_ROOT: {"description": {"text": "the root of the repository"}}},
        "artifacts": [
            {
                "location": _artifact_location(file.name),
                "roles": ["analysisTarget"],
                "hashes": {"sha-256": file.sha256},
            }
            for file in report.inputs
            if file.account is None
        ],
        "results": [_result(finding, rules, report.site) for finding in report.findings],
        "columnKind": "unicodeCodePoints",
    }


def _driver(report: Report, rules: list[AuditFinding]) -> Object:
    tools = {shown(name): shown(report.tools[name]) for name in sorted(report.tools)}
    return {
        "name": "cml-iam",
        "version": shown(report.tools.get("cml-iam", "unknown")),
        "properties": {"tools": tools},
        "rules": list(map(_rule, rules)),
        "notifications": [
            {"id": id_, "shortDescription": _text(text)} for id_, text in _UNMADE.items()
        ],
    }


def _rule(finding: AuditFinding) -> Object:
    title, page = words.title(finding), finding.page
    level, score = _LEVEL[finding.severity]
    lines = [
        f"{finding.rule} {finding.name}: {title}",
        *_remedy(finding.remedy),
        *([f"See {page}"] if page else []),
    ]
    rule: Object = {
        "id": finding.rule,
        "name": shown(finding.name),
        "shortDescription": _text(title),
        "help": _text(*lines),
        "defaultConfiguration": {"level": level},
        "properties": {"tags": ["security", "iam"], "security-severity": score},
    }
    if page and page.startswith("https://"):
        rule["helpUri"] = quote(page, safe=":/?#[]@!$&'()*+,;=%")
    return rule


def _result(finding: AuditFinding, rules: Mapping[str, int], site: str | None) -> Object:
    item, where = item_of([finding]), _location(finding.spot, site)
    steps = [f"{lead} {_step(request)}" for lead, request in item.numbered()]
    result: Object = {
        "ruleId": finding.rule,
        "ruleIndex": rules[finding.rule],
        "level": _LEVEL[finding.severity][0],
        "message": _text(item.message, *steps, *_remedy(item.remedy)),
        "locations": [where],
        # GitHub distinguishes results by the second name.
        "partialFingerprints": {
            "cmlIamFinding/v1": shown(finding.fingerprint),
            "primaryLocationLineHash": shown(finding.fingerprint),
        },
        "properties": {"check": shown(finding.check)},
    }
    if item.is_sequence:
        flow = [
            {"location": where | {"message": _text(_step(request))}} for request in item.requests
        ]
        result["codeFlows"] = [{"threadFlows": [{"locations": flow}]}]
    # Even if nothing is waived: if one result of a log has suppressions, all must have them.
    result["suppressions"] = list(_suppressions(finding))
    return result


def _remedy(remedy: str | None) -> list[str]:
    return [f"What to do: {remedy}"] if remedy else []


def _step(request: Request) -> str:
    return f"{request.says}: {request.outcome} ({request.line})"


def _suppressions(finding: AuditFinding) -> Iterator[Object]:
    if finding.waiver:
        justification = shown(words.waived_words(finding))
        yield {"kind": "external", "status": "accepted", "justification": justification}


def _location(spot: Spot, site: str | None) -> Object:
    location: Object = {}
    if file := spot.file or site:
        region = {"startLine": 1}
        if spot.file and spot.line:
            region = {"startLine": spot.line}
            if spot.column:
                region["startColumn"] = spot.column
        artifact = _artifact_location(file)
        location["physicalLocation"] = {"artifactLocation": artifact, "region": region}
    names = {"resource": spot.resource, "declaration": spot.statement, "account": spot.account}
    logical = [
        {"fullyQualifiedName": shown(name), "kind": kind} for kind, name in names.items() if name
    ]
    return location | ({"logicalLocations": logical} if logical else {})


def _artifact_location(file: str) -> Object:
    path = PurePath(file)
    uri = quote(path.as_posix(), safe="/", errors="surrogatepass")
    return {"uri": f"file://{uri}"} if path.is_absolute() else {"uri": uri, "uriBaseId": _ROOT}


def _invocation(report: Report, fail_on: Severity) -> Object:
    conclusion, sentence = words.verdict(report, fail_on)
    properties: Object = {"conclusion": conclusion, "verdict": shown(sentence)}
    if report.skipped:
        properties["leftOut"] = list(map(shown, report.skipped))
    if report.passed_over:
        over = [shown(f"{file.name}: {file.reason}") for file in report.passed_over]
        properties["notJudged"] = over
    return {
        "executionSuccessful": report.complete,
        "endTimeUtc": words.date_text(report.time),
        "toolExecutionNotifications": list(_notifications(report)),
        "properties": properties,
    }


def _notifications(report: Report) -> Iterator[Object]:
    for check in report.unchecked:
        text = f"{words.title_of(check)} was not checked: {words.reason_of(check)}"
        about = {"properties": {"check": shown(check.id)}}
        yield _notification("not-checked", text, check.remedy) | about
    for lost in words.lost_accounts(report):
        text = f"account {lost.id} was not audited: {words.reason_of(lost)}"
        yield _notification("account-not-audited", text, lost.remedy)


def _notification(id_: str, text: str, remedy: str | None) -> Object:
    return {
        "descriptor": {"id": id_, "index": list(_UNMADE).index(id_)},
        "level": "error",
        "message": _text(text, *_remedy(remedy)),
    }


def _text(*lines: str) -> Object:
    """Return a message object, escaping what SARIF would read as a link or placeholder."""
    # A line may come with line breaks of its own.
    plain = "\n".join(shown(line) for line in "\n".join(lines).split("\n"))
    plain = re.sub(r"\[(?=[^\]]*\]\()", r"\\[", plain)
    return {"text": re.sub(r"\{(\d+)\}", r"{{\1}}", plain)}
