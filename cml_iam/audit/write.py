"""The audit report in the formats that people and machines read, and read again from JSON.

    text = write_report(report, form_of("report.sarif"))
    since = compare_reports(report, read_report(earlier, "earlier.json"))

JSON has the fields of the dataclasses, by their types. Times are in UTC, to the second.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from functools import cache
from itertools import repeat
from os import PathLike
from pathlib import PurePath
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from cml_iam.audit import AuditFinding, Report, Since
from cml_iam.audit._words import belongs, counts, date_text
from cml_iam.errors import DocumentError, InputError, Problem
from cml_iam.files import shipped_text
from cml_iam.lint import Severity
from cml_iam.located import located_problems, parse_json, schema_problems
from cml_iam.secret import masked

Form = Literal["text", "json", "sarif", "junit", "markdown", "html"]
EXTENSIONS: Final[dict[str, Form]] = {
    ".txt": "text",
    ".json": "json",
    ".sarif": "sarif",
    ".xml": "junit",
    ".md": "markdown",
    ".html": "html",
}
FORMS: Final[tuple[Form, ...]] = tuple(EXTENSIONS.values())


def form_of(path: str | PathLike[str]) -> Form:
    """Return the format for the file name of *path*; raises InputError if it is unknown.

    `report.sarif.json` is SARIF, as code scanning services name it.
    """
    name = PurePath(path)
    if [suffix.lower() for suffix in name.suffixes[-2:]] == [".sarif", ".json"]:
        return "sarif"
    form = EXTENSIONS.get(name.suffix.lower())
    if form is None:
        raise InputError(
            f"cannot tell the format of the report from the name `{path}`",
            remedy=f"use one of these extensions: {', '.join(EXTENSIONS)}",
        )
    return form


def write_report(
    report: Report,
    form: Form,
    *,
    fail_on: Severity = Severity.WARNING,
    width: int | None = None,
) -> str:
    """Return *report* in the format *form*; the same report always gives the same bytes.

    *fail_on* is the lowest severity that makes the verdict `findings`; *width* is the terminal's
    width in columns, for text only. Secrets known to this process are masked in every format.
    """
    return masked(_written(report, form, fail_on, width))


def _written(report: Report, form: Form, fail_on: Severity, width: int | None) -> str:
    if form == "json":
        return _json_report(report, fail_on)
    if form == "sarif":
        from cml_iam.audit._sarif import sarif_report

        return sarif_report(report, fail_on)
    if form == "junit":
        from cml_iam.audit._junit import junit_report

        return junit_report(report, fail_on)
    from cml_iam.audit._sections import document_of

    document = document_of(report, fail_on)
    if form == "markdown":
        from cml_iam.report.markdown import markdown_of

        return markdown_of(document)
    if form == "html":
        from cml_iam.report.html import page_of

        return page_of(document).text
    from cml_iam.report.text import WIDTH, text_of

    return text_of(document, width or WIDTH)


VERSION: Final = 2
"""The version of the JSON format; reports of other versions are refused."""

SCHEMA: Final = "audit-report.schema.json"
_REMEDY: Final = "pass a report that `cml-iam audit` wrote as JSON"


def _json_report(report: Report, fail_on: Severity) -> str:
    head = {
        "version": VERSION,
        "conclusion": report.conclusion(fail_on),
        "counts": counts(report),
    }
    return json.dumps(head | _encoded(report), indent=2) + "\n"


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
            f"`{name}` is an audit report of version `{value['version']}`, but this program reads "
            f"version {VERSION}",
            remedy="make both reports with the same cml-iam",
        )
    schema = json.loads(shipped_text("policies", SCHEMA))
    if schema_problems(value, schema):
        raise DocumentError(located_problems(parse_json(text, name), schema))
    try:
        report: Report = _decoded(value, Report)
    except ValueError as error:
        raise DocumentError((Problem(f"`{name}`: {error}", None, _REMEDY),)) from None
    return report


def _parsed(text: str, name: str) -> Any:
    """Parse with the fast parser; parse only faulty text again, for line numbers."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return parse_json(text, name).value


def compare_reports(now: Report, earlier: Report) -> Since:
    """Return what changed between two reports: findings by fingerprint, checks by state.

    A finding is new if it is open now but was not before. It is gone if it was open, was checked
    again, and no longer appears. It is neither if its check could not be made or was not requested,
    or if its file was not read.
    """
    before = {finding.fingerprint for finding in earlier.open}
    present = {finding.fingerprint for finding in now.findings}
    fresh = (finding.fingerprint for finding in now.open if finding.fingerprint not in before)
    past = {(check.id, check.account): check.state for check in earlier.checks}
    states = {(check.id, check.account): check.state for check in now.checks}
    return Since(
        time=earlier.time,
        new=tuple(dict.fromkeys(fresh)),
        gone=tuple(
            finding
            for finding in earlier.open
            if finding.fingerprint not in present and _looked_for(finding, now)
        ),
        checks=tuple(
            (*check, past[check], state)
            for check, state in states.items()
            if check in past and past[check] != state
        ),
    )


def _looked_for(finding: AuditFinding, now: Report) -> bool:
    if finding.spot.file and finding.spot.file not in {source.name for source in now.inputs}:
        return False
    checks = [check for check in now.checks if belongs(finding, check)]
    return bool(checks) and all(check.state != "not checked" for check in checks)


def _encoded(value: Any) -> Any:
    """Return *value* as parsed JSON: mappings by sorted key, dataclasses in field order."""
    if is_dataclass(value):
        return {field.name: _encoded(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: _encoded(value[key]) for key in sorted(value)}
    if isinstance(value, tuple | list):
        return list(map(_encoded, value))
    if isinstance(value, Severity):
        return value.word
    return date_text(value) if isinstance(value, date) else value


def _decoded(value: Any, kind: Any) -> Any:
    """Return valid JSON as a value of type *kind*; raises ValueError for an invalid date."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        if value is None or (isinstance(value, str) and str in inner):
            return value
        (kind,) = (other for other in inner if other not in (NoneType, str))
        return _decoded(value, kind)
    if origin is tuple:
        kinds = repeat(inner[0]) if inner[1:] == (...,) else inner
        return tuple(map(_decoded, value, kinds))
    if origin is Mapping:
        return MappingProxyType({key: _decoded(item, inner[1]) for key, item in value.items()})
    if origin is Literal or kind in (str, int, bool):
        return value
    if kind is datetime:
        return datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    if kind is date:
        return date.fromisoformat(value)
    if kind is Severity:
        return Severity[value.upper()]
    types = _types(kind)
    return kind(**{name: _decoded(value[name], types[name]) for name in types if name in value})


@cache
def _types(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)
