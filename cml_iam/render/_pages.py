"""Common parts of the formats: templates that encode every printed value, and HCL.

HCL is formatted like `terraform fmt`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from cml_iam.files import shipped_templates
from cml_iam.render._policies import render_document

if TYPE_CHECKING:
    from collections.abc import Callable

    from jinja2 import Environment

    from cml_iam.policy import PolicyDocument, Principals, Statement
    from cml_iam.render._policies import RenderedPolicy
    from cml_iam.site import Site, Trust

DESCRIPTION: Final = "What CML Cloud Manager may do"
TAGS: Final = {"cml-iam:managed": "true"}
"""The tags on resources that bootstrap creates."""


ANCHOR: Final = "arn:aws:rolesanywhere:::trust-anchor/made-with-the-role"
"""A placeholder for a trust anchor that the format creates; the format replaces it."""


def makes_anchor(site: Site, trust: Trust) -> bool:
    """Return whether the format must create the trust anchor, because the site file names none."""
    certificate = site.roles_anywhere
    return trust == "roles-anywhere" and certificate is not None and not certificate.trust_anchor


def trust_document(site: Site, trust: Trust) -> RenderedPolicy:
    """Return the role's trust document; raises InputError if the site file lacks its values."""
    if makes_anchor(site, trust) and site.roles_anywhere:
        anchored = site.roles_anywhere._replace(trust_anchor=ANCHOR)
        site = replace(site, roles_anywhere=anchored)
    return render_document(site, f"trust-{trust}")


@dataclass(frozen=True, slots=True)
class Part:
    """A managed policy: *name* and *arn* are IAM's, *label* is for Terraform and others."""

    name: str
    arn: str
    label: str
    rendered: RenderedPolicy


def pages(encode: Callable[[Any], str]) -> Environment:
    """Return a Jinja environment in which every value passes through *encode*.

    The filter `bare` marks our own names and expressions, which are printed unchanged.
    """

    def printed(value: Any) -> str:
        return value.text if isinstance(value, _Bare) else encode(value)

    made = shipped_templates("templates", printed)
    made.filters["bare"] = _Bare
    return made


@dataclass(frozen=True, slots=True)
class _Bare:
    text: str


INLINE: Final = 60
"""The maximum length of a list that is written on its attribute's line."""


def hcl_document(document: PolicyDocument) -> dict[str, Any]:
    """Return the template's values for *document* as an `aws_iam_policy_document`."""
    return {"statements": [_hcl_statement(statement) for statement in document.statements]}


def _hcl_statement(statement: Statement) -> dict[str, Any]:
    elements = {
        "actions": statement.action,
        "not_actions": statement.not_action,
        "resources": statement.resource,
        "not_resources": statement.not_resource,
    }
    return {
        "attributes": aligned(
            {"sid": hcl(statement.sid), "effect": hcl(statement.effect)}
            | {name: hcl(list(each)) for name, each in elements.items() if each}
        ),
        "blocks": [
            *(
                {"name": "principals", "lines": _block(type=kind, identifiers=list(ids))}
                for kind, ids in _principal_ids(statement.principal)
            ),
            *(
                {
                    "name": "condition",
                    "lines": _block(
                        test=condition.operator,
                        variable=condition.key,
                        values=list(condition.values),
                    ),
                }
                for condition in statement.conditions
            ),
        ],
    }


def _block(**attributes: Any) -> list[str]:
    return aligned({name: hcl(value, indent=6) for name, value in attributes.items()})


def aligned(attributes: Mapping[str, str]) -> list[str]:
    """Return lines `name = value`, aligned as `terraform fmt` does.

    Adjacent single-line values share a column; a multi-line value stands alone.
    """
    lines: list[str] = []
    run: list[tuple[str, str]] = []
    for name, value in attributes.items():
        if "\n" not in value:
            run.append((name, value))
            continue
        lines += [*_columns(run), f"{name} = {value}"]
        run = []
    return lines + _columns(run)


def _columns(run: list[tuple[str, str]]) -> list[str]:
    width = max((len(name) for name, _ in run), default=0)
    return [f"{name:<{width}} = {value}" for name, value in run]


def _principal_ids(principals: Principals | None) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if principals is None:
        return ()
    return (("*", ("*",)),) if principals.everyone else principals.ids


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
        pairs = ", ".join(f"{hcl(key)} = {hcl(each)}" for key, each in value.items())
        return f"{{ {pairs} }}"
    inline = f"[{', '.join(hcl(each) for each in value)}]"
    if len(inline) <= INLINE:
        return inline
    lines = "".join(f"{' ' * (indent + 2)}{hcl(each)},\n" for each in value)
    return f"[\n{lines}{' ' * indent}]"
