"""Templates that encode every printed value, and HCL, formatted like `terraform fmt`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cml_iam.files import shipped_templates
from cml_iam.policy import PolicyDocument, Statement

if TYPE_CHECKING:
    from jinja2 import Environment

INLINE: Final = 60
"""The maximum length of a list that is written on its attribute's line."""


class _Bare(NamedTuple):
    text: str


def pages(encode: Callable[[Any], str]) -> Environment:
    """Return a Jinja environment in which every value passes through *encode*.

    The filter `bare` marks our own names and expressions, which are printed unchanged.
    """
    environment = shipped_templates(
        "templates", lambda value: value.text if isinstance(value, _Bare) else encode(value)
    )
    environment.filters["bare"] = _Bare
    return environment


def hcl_document(document: PolicyDocument) -> list[dict[str, Any]]:
    """Return the template's values for the statements of an `aws_iam_policy_document`."""
    return [_hcl_statement(statement) for statement in document.statements]


def _hcl_statement(statement: Statement) -> dict[str, Any]:
    elements = {
        "actions": statement.action,
        "not_actions": statement.not_action,
        "resources": statement.resource,
        "not_resources": statement.not_resource,
    }
    principals = statement.principal.ids if statement.principal else ()
    if statement.principal and statement.principal.everyone:
        principals = (("*", ("*",)),)
    blocks = [("principals", {"type": kind, "identifiers": ids}) for kind, ids in principals]
    blocks += [
        ("condition", {"test": test.operator, "variable": test.key, "values": test.values})
        for test in statement.conditions
    ]
    return {
        "attributes": aligned(
            {"sid": hcl(statement.sid), "effect": hcl(statement.effect)}
            | {name: hcl(texts) for name, texts in elements.items() if texts}
        ),
        "blocks": [
            {
                "name": name,
                "lines": aligned({key: hcl(value, indent=6) for key, value in block.items()}),
            }
            for name, block in blocks
        ],
    }


def aligned(attributes: Mapping[str, str]) -> list[str]:
    """Return lines `name = value`; `terraform fmt` aligns adjacent single-line values."""
    lines: list[str] = []
    for multiline, run in groupby(attributes.items(), lambda attribute: "\n" in attribute[1]):
        pairs = tuple(run)
        width = 0 if multiline else max(len(name) for name, _ in pairs)
        lines += [f"{name.ljust(width)} = {value}" for name, value in pairs]
    return lines


def hcl(value: Any, indent: int = 4) -> str:
    """Return *value* as an HCL expression in which `${` and `%{` are plain text.

    A long list has one line per element, indented for an attribute at depth *indent*.
    https://developer.hashicorp.com/terraform/language/expressions/strings
    """
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, str):
        return json.dumps(value).replace("${", "$${").replace("%{", "%%{")
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{hcl(key)} = {hcl(member)}" for key, member in value.items())
        return f"{{ {pairs} }}"
    elements = [hcl(element) for element in value]
    inline = f"[{', '.join(elements)}]"
    if len(inline) <= INLINE:
        return inline
    lines = "".join(f"{' ' * (indent + 2)}{element},\n" for element in elements)
    return f"[\n{lines}{' ' * indent}]"
