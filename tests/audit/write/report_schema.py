"""Print the JSON Schema of the report, generated from the report's types so that they agree.

python -m tests.audit.write.report_schema > policies/audit-report.schema.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from cml_iam.audit import Report
from cml_iam.audit.write import VERSION
from cml_iam.lint import Severity

Schema = dict[str, Any]

_TIME: Final[Schema] = {
    "description": "A time in UTC, to the second.",
    "type": "string",
    "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$",
    "x-problem": "a time is written like 2026-11-23T22:05:53Z",
}
_DAY: Final[Schema] = {
    "description": "A day.",
    "type": "string",
    "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
    "x-problem": "a day is written like 2026-11-23",
}
_COUNTED: Final = (
    "error",
    "warning",
    "info",
    "waived",
    "passed",
    "failed",
    "not_checked",
    "accounts_not_checked",
)


def report_schema() -> Schema:
    """Return the JSON Schema (2020-12) of the JSON report."""
    defs: dict[str, Schema] = {}
    body = _dataclass(Report, defs)
    count = {"type": "integer", "minimum": 0}
    head: Schema = {
        "version": {"description": "Of this format.", "type": "integer", "enum": [VERSION]},
        "conclusion": {
            "description": "`findings` if any, else `incomplete` if a check could not be made.",
            "enum": ["clean", "findings", "incomplete"],
        },
        "counts": {
            "description": "Open findings by severity, waived ones, checks by state.",
            "type": "object",
            "additionalProperties": False,
            "required": list(_COUNTED),
            "properties": dict.fromkeys(_COUNTED, count),
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "cml-iam audit report",
        **body,
        "required": [*head, *body["required"]],
        "properties": head | body["properties"],
        "$defs": dict(sorted(defs.items())),
    }


def _schema(kind: Any, defs: dict[str, Schema]) -> Schema:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return {"oneOf": [_schema(each, defs) for each in inner]}
    if origin is tuple:
        return _tuple(inner, defs)
    if origin is Mapping:
        return {"type": "object", "additionalProperties": _schema(inner[1], defs)}
    if origin is Literal:
        return {"enum": list(inner)}
    if is_dataclass(kind):
        name = str(getattr(kind, "__name__", kind))
        if name not in defs:
            defs[name] = {}
            defs[name] = _dataclass(kind, defs)
        return {"$ref": f"#/$defs/{name}"}
    return _PLAIN[kind]


_PLAIN: Final[dict[Any, Schema]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer", "minimum": 0},
    NoneType: {"type": "null"},
    datetime: _TIME,
    date: _DAY,
    Severity: {"enum": [severity.word for severity in reversed(Severity)]},
}


def _tuple(inner: tuple[Any, ...], defs: dict[str, Schema]) -> Schema:
    if inner[1:] == (...,):
        return {"type": "array", "items": _schema(inner[0], defs)}
    return {
        "type": "array",
        "minItems": len(inner),
        "prefixItems": [_schema(each, defs) for each in inner],
        "items": False,
    }


def _dataclass(kind: Any, defs: dict[str, Schema]) -> Schema:
    hints = get_type_hints(kind)
    return {
        "description": " ".join((kind.__doc__ or "").split()).replace("*", "`"),
        "type": "object",
        "additionalProperties": False,
        "required": [field.name for field in fields(kind) if "added" not in field.metadata],
        "properties": {name: _schema(each, defs) for name, each in hints.items()},
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(report_schema(), indent=2) + "\n")
