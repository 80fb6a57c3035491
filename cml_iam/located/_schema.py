"""Report JSON Schema violations in words and with places.

Schemas may have `x-problem`, the message for a failed combination (`oneOf`, `not`, `pattern` …).
Importing `jsonschema` takes longer than everything else in a command. So `accepts` recognizes valid
values; `jsonschema` handles invalid values, and whatever `accepts` does not know.
https://json-schema.org/draft/2020-12/json-schema-validation
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import isfinite
from typing import Any, Final

from cml_iam.errors import Place, Problem
from cml_iam.located._json import Located, Path

Schema = Mapping[str, Any]


class _UnknownError(Exception):
    """The schema uses something that `accepts` does not know."""


def accepts(value: Any, schema: Schema) -> bool:
    """Return whether *value* certainly conforms to *schema*; False means no or unknown."""
    try:
        return _accepts(value, schema, schema)
    except _UnknownError:
        return False


def _accepts(value: Any, schema: Schema | bool, root: Schema) -> bool:
    if isinstance(schema, bool):
        return schema
    for keyword, argument in schema.items():
        if keyword in _SAY_NOTHING:
            continue
        if keyword not in _CHECKS:
            raise _UnknownError
        kind, check = _CHECKS[keyword]
        if (kind is None or _is_type(value, kind)) and not check(value, argument, schema, root):
            return False
    return True


def _is_number(value: Any) -> bool:
    """Return whether *value* is a JSON number; TOML also has `nan` and `inf`."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


_PYTHON_TYPES: Final = {"object": dict, "array": list, "string": str, "boolean": bool}


def _is_type(value: Any, name: str) -> bool:
    if name in _PYTHON_TYPES:
        return isinstance(value, _PYTHON_TYPES[name])
    if name not in ("number", "integer"):
        raise _UnknownError
    return _is_number(value) and (name == "number" or float(value).is_integer())


def _type(value: Any, names: str | list[str], _: Schema, __: Schema) -> bool:
    return any(_is_type(value, name) for name in ([names] if isinstance(names, str) else names))


def _enum(value: Any, allowed: list[Any], _: Schema, __: Schema) -> bool:
    texts = _texts(allowed)
    return isinstance(value, str) and value in texts


def _texts(values: list[Any]) -> list[str]:
    if not all(isinstance(value, str) for value in values):
        raise _UnknownError  # JSON tells 1 from true, Python does not
    return values


def _properties(value: Any, schemas: Schema, _: Schema, root: Schema) -> bool:
    return all(_accepts(value[name], schemas[name], root) for name in schemas if name in value)


def _additional(value: Any, inner: Any, schema: Schema, root: Schema) -> bool:
    if "patternProperties" in schema:
        raise _UnknownError
    own = schema.get("properties", {})
    return all(_accepts(value[name], inner, root) for name in value if name not in own)


def _all_accepted(values: Any, inner: Any, _: Schema, root: Schema) -> bool:
    return all(_accepts(value, inner, root) for value in values)


def _ref(value: Any, target: str, _: Schema, root: Schema) -> bool:
    prefix, _hash, name = target.rpartition("/")
    if prefix != "#/$defs" or name not in root.get("$defs", {}):
        raise _UnknownError
    return _accepts(value, root["$defs"][name], root)


def _if(value: Any, test: Schema, schema: Schema, root: Schema) -> bool:
    branch = "then" if _accepts(value, test, root) else "else"
    return _accepts(value, schema.get(branch, True), root)


_SAY_NOTHING: Final = frozenset(
    ("$schema", "$comment", "$defs", "default", "title", "description", "x-problem", "then", "else")
)
_CHECKS: Final[dict[str, tuple[str | None, Callable[[Any, Any, Schema, Schema], bool]]]] = {
    "type": (None, _type),
    "enum": (None, _enum),
    "const": (None, lambda value, only, *of: _enum(value, [only], *of)),
    "required": ("object", lambda value, names, *_: all(name in value for name in names)),
    "properties": ("object", _properties),
    "additionalProperties": ("object", _additional),
    "propertyNames": ("object", _all_accepted),
    "minProperties": ("object", lambda value, least, *_: len(value) >= least),
    "maxProperties": ("object", lambda value, most, *_: len(value) <= most),
    "items": ("array", _all_accepted),
    "minItems": ("array", lambda value, least, *_: len(value) >= least),
    "maxItems": ("array", lambda value, most, *_: len(value) <= most),
    "uniqueItems": (
        "array",
        lambda value, unique, *_: not unique or len(set(_texts(value))) == len(value),
    ),
    "pattern": ("string", lambda value, text, *_: re.search(text, value) is not None),
    "minimum": ("number", lambda value, least, *_: bool(value >= least)),
    "maximum": ("number", lambda value, most, *_: bool(value <= most)),
    "$ref": (None, _ref),
    "allOf": (None, lambda value, all_, _, root: all(_accepts(value, s, root) for s in all_)),
    "oneOf": (None, lambda value, one, _, root: sum(_accepts(value, s, root) for s in one) == 1),
    "not": (None, lambda value, schema, _, root: not _accepts(value, schema, root)),
    "if": (None, _if),
}
"""The test of each keyword: the JSON type that it is about (None for any), and a function of the
value, the keyword's argument, its schema and the whole schema."""

_WORDS: Final = {
    "object": "a table of names and values",
    "array": "a list",
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}


def schema_problems(
    value: Any, schema: Schema, located: Located | None = None
) -> tuple[Problem, ...]:
    """Return every violation of *schema* in *value*, in document order.

    *located* is the document with the value; without it, the problems have no places.
    """
    if accepts(value, schema):
        return ()
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    numbers = Draft202012Validator.TYPE_CHECKER.redefine("number", lambda _, held: _is_number(held))
    errors = extend(Draft202012Validator, type_checker=numbers)(schema).iter_errors(value)
    problems = {problem for error in errors for problem in _explain(error, located, schema)}
    return tuple(sorted(problems, key=lambda p: (p.place or Place("", 0, 0), p.message)))


def located_problems(located: Located, schema: Schema) -> tuple[Problem, ...]:
    """Return every violation of *schema* in a document parsed with positions."""
    return schema_problems(located.value, schema, located)


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Return a remedy that names the most similar of *known*, ignoring case, or None."""
    from difflib import get_close_matches

    by_case = {candidate.lower(): candidate for candidate in known}
    close = get_close_matches(word.lower(), by_case, n=1, cutoff=0.7)
    return f"did you mean `{by_case[close[0]]}`?" if close else None


def _explain(error: Any, located: Located | None, schema: Schema) -> Iterator[Problem]:
    path: Path = tuple(error.absolute_path)
    if error.validator == "additionalProperties":
        allowed = error.schema.get("properties", {})
        for name in error.instance:
            if name not in allowed:
                place = located.name_place((*path, name)) if located else None
                remedy = did_you_mean(name, allowed) or _elsewhere(name, schema) or _one_of(allowed)
                yield Problem(f"`{name}` is not known in {_name(path)}", place, remedy)
        return
    place = located.place(path) if located else None
    if "x-problem" in error.schema and error.validator not in ("required", "type"):
        yield Problem(error.schema["x-problem"], place)
    elif error.validator == "required":
        for name in error.validator_value:
            if name not in error.instance:
                yield Problem(f"{_name(path)} has no `{name}`", place)
    elif error.validator in ("enum", "const"):
        allowed = error.validator_value if error.validator == "enum" else [error.validator_value]
        names, shown = list(map(str, allowed)), _written(error.instance).strip('"')
        remedy = did_you_mean(shown, names) or _one_of(names)
        yield Problem(f"{_name(path)} cannot be {_shown(error.instance)}", place, remedy)
    else:
        remedy = _as_table(error, path) if error.validator == "type" else None
        yield Problem(_message(error, _name(path)), place, remedy)


def _message(error: Any, name: str) -> str:
    match error.validator:
        case "type":
            kinds = error.validator_value
            words = [_WORDS[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds)]
            return f"{name} must be {' or '.join(words)}, not {_shown(error.instance)}"
        case "minItems" | "minProperties" | "minLength":
            return f"{name} must not be empty"
        case "uniqueItems":
            return f"{name} lists an item twice"
        case "minimum" | "maximum":
            bound = "at least" if error.validator == "minimum" else "at most"
            return f"{name} must be {bound} {error.validator_value}, not {_shown(error.instance)}"
    return f"{name}: {error.message}"


def _elsewhere(name: str, schema: Schema) -> str | None:
    """Return a remedy that names the tables of *schema* with *name*, or None."""
    tables = []
    for table, inner in schema.get("properties", {}).items():
        named = inner.get("additionalProperties")
        if name in inner.get("properties", {}):
            tables.append(f"[{table}]")
        elif isinstance(named, dict) and name in named.get("properties", {}):
            tables.append(f"[{table}.NAME]")
    return f"`{name}` belongs in {' or '.join(tables)}" if tables else None


def _as_table(error: Any, path: Path) -> str | None:
    """Return a remedy if a table was given as the text of its only required key, or None."""
    required = error.schema.get("required", ())
    if len(required) != 1 or len(path) != 1 or not isinstance(error.instance, str | int):
        return None
    return f"write [{path[0]}], and below it {required[0]} = {json.dumps(str(error.instance))}"


def _name(path: Path) -> str:
    if not path:
        return "the document"
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return f"`{''.join(steps).removeprefix('.')}`"


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return _WORDS["object" if isinstance(value, dict) else "array"]
    text = _written(value)
    return f"`{text if len(text) <= 60 else text[:57] + '...'}`"


def _written(value: Any) -> str:
    """Return *value* in the notation of JSON and TOML, which can differ from Python's."""
    if value is None or isinstance(value, str | bool):
        return json.dumps(value, ensure_ascii=False)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _one_of(allowed: Iterable[str]) -> str | None:
    names = list(allowed)
    return f"one of: {', '.join(names)}" if 0 < len(names) <= 20 else None
