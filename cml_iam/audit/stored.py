"""The report as JSON, which can be read back and compared: the dataclasses' fields are the format.

Encoding follows the types of the report, so a new field cannot be forgotten on one side. Times are
in UTC, to the second. The schema ships with the package.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from enum import Enum
from functools import cache
from types import MappingProxyType, NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from cml_iam.audit import Report, Since
from cml_iam.audit._words import belongs, counts, date_text
from cml_iam.errors import DocumentError, InputError, Problem
from cml_iam.files import shipped_text
from cml_iam.lint import Severity
from cml_iam.located import located_problems, parse_json, schema_problems

if TYPE_CHECKING:
    from cml_iam.audit import AuditFinding, State
    from cml_iam.lint import Severity

VERSION: Final = 2
"""The version of the JSON format; reports of other versions are refused."""

SCHEMA: Final = "audit-report.schema.json"
_DERIVED: Final = ("version", "conclusion", "counts")
_REMEDY: Final = "pass a report that `cml-iam audit` wrote as JSON"


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
            f"`{name}` is an audit report of version `{value['version']}`, but this program reads "
            f"version {VERSION}",
            remedy="make both reports with the same cml-iam",
        )
    schema = json.loads(shipped_text("policies", SCHEMA))
    if schema_problems(value, schema):
        raise DocumentError(located_problems(parse_json(text, name), schema))
    try:
        return decoded({k: v for k, v in value.items() if k not in _DERIVED}, Report)  # type: ignore[no-any-return] # the type asked for
    except ValueError as error:
        raise DocumentError((Problem(f"`{name}`: {error}", None, _REMEDY),)) from None


def _parsed(text: str, name: str) -> Any:
    """Parse with the fast parser; parse only faulty text again, for line numbers."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return parse_json(text, name).value


Asked = tuple[str, str | None]
"""A check and its account."""


def compare_reports(now: Report, earlier: Report) -> Since:
    """Return what changed between two reports: findings by fingerprint, checks by state.

    A finding is new if it is open now but was not before. It is gone if it was open, was checked
    again, and no longer appears. It is neither if its check could not be made or was not requested,
    or if its file was not read.
    """
    before = {each.fingerprint for each in earlier.open}
    present = {finding.fingerprint for finding in now.findings}
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
    return {(check.id, check.account): check.state for check in report.checks}


def _looked_for(finding: AuditFinding, now: Report) -> bool:
    if finding.spot.file and finding.spot.file not in {each.name for each in now.inputs}:
        return False
    checks = [check for check in now.checks if belongs(finding, check)]
    return bool(checks) and all(check.state != "not checked" for check in checks)


def encoded(value: Any) -> Any:
    """Return *value* as parsed JSON: mappings by sorted key, dataclasses in field order."""
    if is_dataclass(value):
        return {field.name: encoded(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: encoded(value[key]) for key in sorted(value)}
    if isinstance(value, tuple | list):
        return [encoded(each) for each in value]
    if isinstance(value, Severity):
        return value.word
    return date_text(value) if isinstance(value, date) else value


def decoded(value: Any, kind: Any) -> Any:
    """Return parsed JSON as a value of type *kind*; raises ValueError for an invalid date.

    The value must conform to the schema, which also defines the optional fields.
    """
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return _one_of(value, get_args(kind))
    if origin is tuple:
        return _tuple(value, get_args(kind))
    if origin is Mapping:
        inner = get_args(kind)[1]
        return MappingProxyType({key: decoded(each, inner) for key, each in value.items()})
    if origin is Literal or kind in (str, int, bool):
        return value
    return _object(value, kind)


def _object(value: Any, kind: Any) -> Any:
    if kind is datetime:
        return datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    if kind is date:
        return date.fromisoformat(value)
    if issubclass(kind, Enum):
        return kind[value.upper()]
    return kind(**{n: decoded(value[n], each) for n, each in _types(kind).items() if n in value})


@cache
def _types(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _one_of(value: Any, kinds: tuple[Any, ...]) -> Any:
    """Decode *value* as the one of *kinds* that it looks like: null, a string, or another type."""
    if value is None and NoneType in kinds:
        return None
    if isinstance(value, str) and str in kinds:
        return value
    (kind,) = (each for each in kinds if each not in (NoneType, str))
    return decoded(value, kind)


def _tuple(value: Any, kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    if kinds[1:] == (...,):
        return tuple(decoded(each, kinds[0]) for each in value)
    return tuple(decoded(each, kind) for each, kind in zip(value, kinds, strict=True))
