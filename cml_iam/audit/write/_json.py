"""The report as JSON, which can be read back. Its schema ships with the package."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from cml_iam.audit._report import Report
from cml_iam.audit.write._codec import decoded, encoded
from cml_iam.audit.write._words import counts
from cml_iam.errors import DocumentError, InputError, Problem
from cml_iam.located import located_problems, parse_json, schema_problems
from cml_iam.shipped import shipped_text

if TYPE_CHECKING:
    from cml_iam.lint import Severity

VERSION: Final = 2
"""Of the form; a reader refuses any other."""

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
        raise InputError(f"`{name}` is no audit report", remedy=_REMEDY)
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
