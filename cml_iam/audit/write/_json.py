"""The report as JSON, which can be read back and compared. Its schema ships with the package."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from cml_iam.audit._report import Report, Since
from cml_iam.audit.write._codec import decoded, encoded
from cml_iam.audit.write._words import belongs, counts
from cml_iam.errors import DocumentError, InputError, Problem
from cml_iam.located import located_problems, parse_json, schema_problems
from cml_iam.shipped import shipped_text

if TYPE_CHECKING:
    from cml_iam.audit._report import AuditFinding, State
    from cml_iam.lint import Severity


VERSION: Final = 2
"""Version of the JSON format; readers refuse any other."""

SCHEMA: Final = "audit-report.schema.json"
_DERIVED: Final = ("version", "conclusion", "counts")
_REMEDY: Final = "give a report that `cml-iam audit` wrote as JSON"


def json_report(report: Report, fail_on: Severity) -> str:
    """Return *report* as JSON, with its conclusion and counts before its fields."""
    head = {
        "version": VERSION,
        "conclusion": report.conclusion(fail_on),
        "counts": counts(report),
    }
    return json.dumps(head | encoded(report), indent=2) + "\n"


def read_report(text: str, name: str) -> Report:
    """Read a report that was written as JSON, from the file *name*.

    Raises InputError if it is not a report or has another version; DocumentError, with every place,
    if its content was changed.
    """
    value = _parsed(text, name)
    if not isinstance(value, dict) or not {"version", "checks"} <= value.keys():
        raise InputError(f"`{name}` is not an audit report", remedy=_REMEDY)
    if value["version"] != VERSION:
        raise InputError(
            f"`{name}` is an audit report of version `{value['version']}`; this reads {VERSION}",
            remedy="make both reports with the same cml-iam",
        )
    schema = json.loads(shipped_text("policies", SCHEMA))
    if schema_problems(value, schema, lambda *_: None):
        raise DocumentError(located_problems(parse_json(text, name), schema))
    try:
        return decoded({k: v for k, v in value.items() if k not in _DERIVED}, Report)  # type: ignore[no-any-return] # the type asked for
    except ValueError as error:
        raise DocumentError((Problem(f"`{name}`: {error}", None, _REMEDY),)) from None


def _parsed(text: str, name: str) -> Any:
    """Parse with the fast parser; only faulty text is parsed again, for line numbers."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return parse_json(text, name).value


Asked = tuple[str, str | None]
"""A check and its account."""


def compare_reports(now: Report, earlier: Report) -> Since:
    """Return what changed between two reports: findings by fingerprint, checks by state.

    A finding is new if it is open now and was not before. It is gone if it was open, was checked
    again, and no longer appears. If its check could not be made this time, was not requested, or
    its file was not read, it is neither.
    """
    before = {each.fingerprint for each in earlier.open}
    present = {each.fingerprint for each in now.findings}
    states, past = _states(now), _states(earlier)
    return Since(
        time=earlier.time,
        new=tuple(dict.fromkeys(e.fingerprint for e in now.open if e.fingerprint not in before)),
        gone=tuple(
            each
            for each in earlier.open
            if each.fingerprint not in present and _looked_for(each, now)
        ),
        checks=tuple(
            (*asked, past[asked], state)
            for asked, state in states.items()
            if asked in past and past[asked] != state
        ),
    )


def _states(report: Report) -> dict[Asked, State]:
    return {(each.id, each.account): each.state for each in report.checks}


def _looked_for(finding: AuditFinding, now: Report) -> bool:
    if finding.spot.file and finding.spot.file not in {each.name for each in now.inputs}:
        return False
    checks = [each for each in now.checks if belongs(finding, each)]
    return bool(checks) and all(each.state != "not checked" for each in checks)
