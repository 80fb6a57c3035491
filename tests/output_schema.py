"""What `-o json` prints is what `policies/output.schema.json` says, and no key beyond it."""

from __future__ import annotations

import json
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import jsonschema

from cml_iam.cli._main import cli
from cml_iam.cli.groups import leaves
from cml_iam.files import shipped_text

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME: Final = "output.schema.json"
REPORT: Final = "audit-report.schema.json"


def with_json() -> tuple[str, ...]:
    """Return the commands whose -o takes `json`."""
    return tuple(
        name
        for name, _, command in leaves(cli)
        if any(
            "-o" in param.opts and "json" in getattr(param.type, "choices", ())
            for param in command.params
        )
    )


def problems(name: str, value: Any) -> list[str]:
    """Return what in *value*, an answer of the command *name*, the schema does not say."""
    errors = _validator(name).iter_errors(value)
    return [f"{error.json_path}: {error.message[:300]}" for error in errors]


def check(arguments: Sequence[str], output: str) -> None:
    """Compare *output* with the schema, if *arguments* ask a command for JSON and it answered."""
    words = [argument for argument in arguments if not argument.startswith("-")]
    name = next((" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in with_json()), None)
    if name is None or not _asks_for_json(arguments) or not output.strip():
        return
    answers = output.splitlines() if name == "worker watch" else [output]
    for answer in answers:
        wrong = problems(name, json.loads(answer))
        assert not wrong, f"policies/{NAME} does not describe this of `{name}`: {wrong}"


def _asks_for_json(arguments: Sequence[str]) -> bool:
    return ("-o", "json") in pairwise(arguments)


@cache
def _validator(name: str) -> jsonschema.Draft202012Validator:
    schema = _closed(json.loads(shipped_text("policies", NAME)))
    report = json.loads(shipped_text("policies", REPORT)) | {"$id": REPORT}
    pointer = {"$ref": f"#/$defs/{name.replace(' ', '-')}", **_CLOSED}
    whole = {**schema, "$id": NAME, "$defs": {**schema["$defs"], REPORT: report}, **pointer}
    return jsonschema.Draft202012Validator(whole)


_CLOSED: Final = {"unevaluatedProperties": False}


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    """Return *schema* where no object may have a key that is not described."""
    return {
        **schema,
        "$defs": {name: _close(each, outer=False) for name, each in schema["$defs"].items()},
    }


def _close(schema: Any, *, outer: bool = True) -> Any:
    """Close *schema*, and with *outer* also the object that it itself describes."""
    if isinstance(schema, list):
        return [_close(each, outer=outer) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {}
    for key, value in schema.items():
        if key in ("properties", "$defs"):
            made[key] = {name: _close(each) for name, each in value.items()}
        elif key == "allOf":
            made[key] = _close(value, outer=False)
        elif key in ("oneOf", "items", "additionalProperties"):
            made[key] = _close(value)
        else:
            made[key] = value
    described = "properties" in schema or "allOf" in schema or "$ref" in schema
    return {**made, **_CLOSED} if outer and described else made
