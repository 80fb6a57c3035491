"""Report JSON Schema violations in words and with places.

Schemas may have `x-problem`, the message for a failed combination (`oneOf`, `not`, `pattern` …),
because "is not valid under any of the given schemas" helps nobody.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cml_iam.errors import Place, Problem
from cml_iam.located._accepts import accepts, is_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cml_iam.located._json import Located, Path

    Locate = Callable[[Path, bool], Place | None]
    """A function that returns the place of the value at a path or, if the flag is set, of its name.
    """

_JSON_TYPES = {
    "object": "a table of names and values",
    "array": "a list",
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}


def schema_problems(value: Any, schema: Mapping[str, Any], place: Locate) -> tuple[Problem, ...]:
    """Return every violation of *schema* in *value*, in document order.

    *place* returns the place of a path (of its name if the second argument is true).
    """
    if accepts(value, schema):
        return ()
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    numbers = Draft202012Validator.TYPE_CHECKER.redefine("number", lambda _, held: is_number(held))
    errors = extend(Draft202012Validator, type_checker=numbers)(schema).iter_errors(value)
    found = [problem for error in errors for problem in _explain(error, place, schema)]
    return tuple(sorted(set(found), key=_order))


def located_problems(located: Located, schema: Mapping[str, Any]) -> tuple[Problem, ...]:
    """Return every violation of *schema* in a document parsed with positions."""
    return schema_problems(
        located.value,
        schema,
        lambda path, named: located.name_place(path) if named else located.place(path),
    )


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Return a remedy that names the most similar of *known*, ignoring case, or None."""
    from difflib import get_close_matches

    by_case = {candidate.lower(): candidate for candidate in known}
    close = get_close_matches(word.lower(), by_case, n=1, cutoff=0.7)
    return f"did you mean `{by_case[close[0]]}`?" if close else None


def _order(problem: Problem) -> tuple[Place, str]:
    return problem.place or Place("", 0, 0), problem.message


def _explain(error: Any, place: Locate, schema: Mapping[str, Any]) -> list[Problem]:
    path: Path = tuple(error.absolute_path)
    if error.validator == "additionalProperties":
        return _unknown(error, path, place, schema)
    explain = _EXPLAIN.get(error.validator)
    if "x-problem" in error.schema and error.validator not in _STRUCTURAL:
        return [Problem(error.schema["x-problem"], place(path, False))]
    if explain is None:
        return [Problem(f"{_name(path)}: {error.message}", place(path, False))]
    problems: list[Problem] = explain(error, path, place)
    return problems


def _unknown(error: Any, path: Path, place: Locate, schema: Mapping[str, Any]) -> list[Problem]:
    known = error.schema.get("properties", {})
    return [
        Problem(
            f"`{name}` is not known in {_name(path)}",
            place((*path, name), True),
            did_you_mean(name, known) or _elsewhere(name, schema) or _one_of(known),
        )
        for name in error.instance
        if name not in known
    ]


def _elsewhere(name: str, schema: Mapping[str, Any]) -> str | None:
    """Return a remedy that names the tables of *schema* with *name*, or None."""
    tables = []
    for table, inner in schema.get("properties", {}).items():
        named = inner.get("additionalProperties")
        if name in inner.get("properties", {}):
            tables.append(f"[{table}]")
        elif isinstance(named, dict) and name in named.get("properties", {}):
            tables.append(f"[{table}.NAME]")
    return f"`{name}` belongs in {' or '.join(tables)}" if tables else None


def _missing(error: Any, path: Path, place: Locate) -> list[Problem]:
    missing = [name for name in error.validator_value if name not in error.instance]
    return [Problem(f"{_name(path)} has no `{name}`", place(path, False)) for name in missing]


def _type(error: Any, path: Path, place: Locate) -> list[Problem]:
    wanted = error.validator_value
    kinds = [wanted] if isinstance(wanted, str) else wanted
    words = " or ".join(_JSON_TYPES[kind] for kind in kinds)
    message = f"{_name(path)} must be {words}, not {_shown(error.instance)}"
    return [Problem(message, place(path, False), _as_table(error, path))]


def _as_table(error: Any, path: Path) -> str | None:
    """Return a remedy if a table was given as the text of its only required key, or None."""
    required = error.schema.get("required", ())
    if len(required) != 1 or len(path) != 1 or not isinstance(error.instance, str | int):
        return None
    return f"write [{path[0]}], and below it {required[0]} = {json.dumps(str(error.instance))}"


def _choice(error: Any, path: Path, place: Locate) -> list[Problem]:
    given, known = error.instance, [str(choice) for choice in error.validator_value]
    remedy = did_you_mean(_written(given).strip('"'), known) or _one_of(known)
    return [Problem(f"{_name(path)} cannot be {_shown(given)}", place(path, False), remedy)]


def _out_of_bounds(error: Any, path: Path, place: Locate) -> list[Problem]:
    words = "at least" if error.validator == "minimum" else "at most"
    bound = f"{words} {error.validator_value}"
    return [
        Problem(f"{_name(path)} must be {bound}, not {_shown(error.instance)}", place(path, False))
    ]


def _too_few(_: Any, path: Path, place: Locate) -> list[Problem]:
    return [Problem(f"{_name(path)} must not be empty", place(path, False))]


def _repeat(_: Any, path: Path, place: Locate) -> list[Problem]:
    return [Problem(f"{_name(path)} lists an item twice", place(path, False))]


def _name(path: Path) -> str:
    if not path:
        return "the document"
    return "`" + "".join(_step(step) for step in path).removeprefix(".") + "`"


def _step(step: str | int) -> str:
    return f"[{step}]" if isinstance(step, int) else f".{step}"


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return _JSON_TYPES["object" if isinstance(value, dict) else "array"]
    text = _written(value)
    return f"`{text if len(text) <= 60 else text[:57] + '...'}`"


def _written(value: Any) -> str:
    """Return *value* in the notation of JSON and TOML, which can differ from Python's."""
    if value is None or isinstance(value, str | bool):
        return json.dumps(value, ensure_ascii=False)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _one_of(known: Iterable[str]) -> str | None:
    names = list(known)
    return f"one of: {', '.join(names)}" if 0 < len(names) <= 20 else None


_STRUCTURAL = {"required", "type"}
_EXPLAIN: dict[str, Any] = {
    "required": _missing,
    "type": _type,
    "enum": _choice,
    "const": _choice,
    "minItems": _too_few,
    "minProperties": _too_few,
    "minLength": _too_few,
    "uniqueItems": _repeat,
    "minimum": _out_of_bounds,
    "maximum": _out_of_bounds,
}
