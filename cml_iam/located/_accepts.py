"""Recognize values that conform to a JSON Schema, much faster than `jsonschema`.

Most documents are valid and need no explanation, but importing `jsonschema` alone takes longer than
everything else in a command. `jsonschema` handles whatever this module does not know, and every
invalid value. https://json-schema.org/draft/2020-12/json-schema-validation
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, Final

Schema = Mapping[str, Any]


class _UnknownError(Exception):
    """The schema uses something that this module does not know."""


def accepts(value: Any, schema: Schema) -> bool:
    """Return whether *value* certainly conforms to *schema*; False means no or unknown."""
    try:
        return _accepts(value, schema, schema)
    except _UnknownError:
        return False


def _accepts(value: Any, schema: Schema, root: Schema) -> bool:
    for keyword, argument in schema.items():
        if keyword in _SAY_NOTHING:
            continue
        check = _CHECKS.get(keyword)
        if check is None:
            raise _UnknownError
        if not check(value, argument, schema, root):
            return False
    return True


def _is_type(value: Any, name: str) -> bool:
    if name == "integer":
        return is_number(value) and float(value).is_integer()
    if name == "number":
        return is_number(value)
    found = _TYPES.get(name)
    if found is None:
        raise _UnknownError
    return isinstance(value, found) and (name == "boolean" or not isinstance(value, bool))


_TYPES: Final[dict[str, Any]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
}


def _type(value: Any, wanted: Any, _: Schema, __: Schema) -> bool:
    names = [wanted] if isinstance(wanted, str) else wanted
    return any(_is_type(value, name) for name in names)


def is_number(value: Any) -> bool:
    """Return whether *value* is a JSON number; TOML also has `nan` and `inf`."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _enum(value: Any, known: list[Any], _: Schema, __: Schema) -> bool:
    if not all(isinstance(each, str) for each in known):
        raise _UnknownError  # JSON tells 1 from true, Python does not
    return isinstance(value, str) and value in known


def _const(value: Any, wanted: Any, schema: Schema, root: Schema) -> bool:
    return _enum(value, [wanted], schema, root)


def _required(value: Any, names: list[str], _: Schema, __: Schema) -> bool:
    return not isinstance(value, dict) or all(name in value for name in names)


def _properties(value: Any, known: Schema, _: Schema, root: Schema) -> bool:
    return not isinstance(value, dict) or all(
        _accepts(value[name], inner, root) for name, inner in known.items() if name in value
    )


def _additional(value: Any, inner: Any, schema: Schema, root: Schema) -> bool:
    if not isinstance(value, dict):
        return True
    if "patternProperties" in schema:
        raise _UnknownError
    known = schema.get("properties", {})
    others = (member for name, member in value.items() if name not in known)
    return all(_accepts_any_schema(member, inner, root) for member in others)


def _accepts_any_schema(value: Any, schema: Any, root: Schema) -> bool:
    return schema if isinstance(schema, bool) else _accepts(value, schema, root)


def _items(value: Any, inner: Any, _: Schema, root: Schema) -> bool:
    return not isinstance(value, list) or all(
        _accepts_any_schema(each, inner, root) for each in value
    )


def _min_items(value: Any, least: int, _: Schema, __: Schema) -> bool:
    return not isinstance(value, list) or len(value) >= least


def _max_items(value: Any, most: int, _: Schema, __: Schema) -> bool:
    return not isinstance(value, list) or len(value) <= most


def _unique_items(value: Any, wanted: bool, _: Schema, __: Schema) -> bool:
    if not wanted or not isinstance(value, list):
        return True
    if not all(isinstance(each, str) for each in value):
        raise _UnknownError  # JSON tells 1 from true, Python does not
    return len(set(value)) == len(value)


def _min_properties(value: Any, least: int, _: Schema, __: Schema) -> bool:
    return not isinstance(value, dict) or len(value) >= least


def _max_properties(value: Any, most: int, _: Schema, __: Schema) -> bool:
    return not isinstance(value, dict) or len(value) <= most


def _property_names(value: Any, inner: Any, _: Schema, root: Schema) -> bool:
    return not isinstance(value, dict) or all(
        _accepts_any_schema(name, inner, root) for name in value
    )


def _pattern(value: Any, expression: str, _: Schema, __: Schema) -> bool:
    return not isinstance(value, str) or re.search(expression, value) is not None


def _minimum(value: Any, least: float, _: Schema, __: Schema) -> bool:
    return not is_number(value) or bool(value >= least)


def _maximum(value: Any, most: float, _: Schema, __: Schema) -> bool:
    return not is_number(value) or bool(value <= most)


def _ref(value: Any, target: str, _: Schema, root: Schema) -> bool:
    prefix, _hash, name = target.rpartition("/")
    if prefix != "#/$defs" or name not in root.get("$defs", {}):
        raise _UnknownError
    return _accepts(value, root["$defs"][name], root)


def _all_of(value: Any, schemas: list[Schema], _: Schema, root: Schema) -> bool:
    return all(_accepts(value, schema, root) for schema in schemas)


def _one_of(value: Any, schemas: list[Schema], _: Schema, root: Schema) -> bool:
    return sum(_accepts(value, schema, root) for schema in schemas) == 1


def _not(value: Any, schema: Schema, _: Schema, root: Schema) -> bool:
    return not _accepts(value, schema, root)


def _if(value: Any, test: Schema, schema: Schema, root: Schema) -> bool:
    chosen = schema.get("then" if _accepts(value, test, root) else "else", True)
    return _accepts_any_schema(value, chosen, root)


_SAY_NOTHING: Final = frozenset(
    {
        "$schema",
        "$comment",
        "$defs",
        "default",
        "title",
        "description",
        "x-problem",
        "then",
        "else",
    }
)
_CHECKS: Final[dict[str, Callable[[Any, Any, Schema, Schema], bool]]] = {
    "type": _type,
    "enum": _enum,
    "const": _const,
    "required": _required,
    "properties": _properties,
    "additionalProperties": _additional,
    "items": _items,
    "minItems": _min_items,
    "maxItems": _max_items,
    "uniqueItems": _unique_items,
    "minProperties": _min_properties,
    "maxProperties": _max_properties,
    "propertyNames": _property_names,
    "pattern": _pattern,
    "minimum": _minimum,
    "maximum": _maximum,
    "$ref": _ref,
    "allOf": _all_of,
    "oneOf": _one_of,
    "not": _not,
    "if": _if,
}
