"""Write a site's policy in the formats that teams use: JSON, Terraform, CloudFormation and others.

Every format is generated from the parsed documents, and tests read each one back.
"""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Final, Literal

from cml_iam.policy import MANAGED_POLICY_CHARACTERS
from cml_iam.render._cloudformation import as_cloudformation
from cml_iam.render._pages import (
    ANCHOR,
    DESCRIPTION,
    TAGS,
    Part,
    hcl,
    hcl_document,
    makes_anchor,
    pages,
    trust_document,
)
from cml_iam.render._parts import part_name
from cml_iam.render._policies import RenderedPolicy, render_parts
from cml_iam.restrict import launch_note, permissions

if TYPE_CHECKING:
    from collections.abc import Callable

    from cml_iam.policy import Statement
    from cml_iam.site import Site, Trust

Form = Literal["json", "terraform", "cloudformation", "commands", "markdown"]

BACKTICK: Final = "`"


def render_form(
    site: Site,
    form: Form,
    profile: Literal["base", "hardened"] = "hardened",
    trust: Trust = "ec2",
) -> str:
    """Return the policy of *site* in *form*, with the principal if the format creates resources.

    *trust* says who may use a role. Raises the errors of `render_parts`, and InputError if the site
    file lacks values for the trust document.
    """
    return _FORMS[form](site, _parts(site, profile), trust)


def _parts(site: Site, profile: Literal["base", "hardened"]) -> tuple[Part, ...]:
    return tuple(
        Part(
            name=part_name(site.policy, number),
            arn=part_name(site.policy_arn, number),
            label=part_name(profile, number).replace("-", "_"),
            rendered=each,
        )
        for number, each in enumerate(render_parts(site, profile), start=1)
    )


def _as_json(_: Site, parts: tuple[Part, ...], __: Trust) -> str:
    if len(parts) == 1:
        return parts[0].rendered.text
    return (
        json.dumps({part.name: json.loads(part.rendered.text) for part in parts}, indent=2) + "\n"
    )


def _as_terraform(site: Site, parts: tuple[Part, ...], trust: Trust) -> str:
    arns = ", ".join(f"aws_iam_policy.{part.label}.arn" for part in parts)
    values = {
        "parts": [
            {"label": each.label, "name": each.name, **hcl_document(each.rendered.document)}
            for each in parts
        ],
        "trust": hcl_document(_trust(site, trust).document),
        "anchor": ANCHOR if makes_anchor(site, trust) else None,
        "anywhere": trust == "roles-anywhere",
        "policy_arns": f"[{arns}]",
        "description": DESCRIPTION,
        "tags": TAGS,
        "user": site.user,
        "role": site.role,
        "profile": trust == "ec2",
        "path": site.path,
    }
    text = pages(hcl).get_template("terraform/policy.tf.j2").render(values)
    return text.replace(hcl(ANCHOR), "aws_rolesanywhere_trust_anchor.manager.arn")


def _as_commands(site: Site, parts: tuple[Part, ...], trust: Trust) -> str:
    values = {
        "parts": [
            {"name": part.name, "arn": part.arn, "text": _minified(part.rendered.text)}
            for part in parts
        ],
        "trust": _minified(_trust(site, trust).text),
        "description": DESCRIPTION,
        "tags": " ".join(f"Key={key},Value={value}" for key, value in TAGS.items()),
        "user": site.user,
        "role": site.role,
        "profile": trust == "ec2",
        "path": site.path,
    }
    return pages(shlex.quote).get_template("commands.sh.j2").render(values)


def _trust(site: Site, trust: Trust) -> RenderedPolicy:
    """Return the role's trust document; a user has none, so any document is enough."""
    return trust_document(site, trust if site.role else "ec2")


def _minified(text: str) -> str:
    return json.dumps(json.loads(text), separators=(",", ":"))


def _as_markdown(site: Site, parts: tuple[Part, ...], _: Trust) -> str:
    values = {
        "title": DESCRIPTION,
        "site": site,
        "principal": _code(site.principal_arn),
        "note": launch_note(site, *(part.rendered.text for part in parts)),
        "quota": MANAGED_POLICY_CHARACTERS,
        "parts": [
            {
                "name": part.name,
                "size": part.rendered.size,
                "text": part.rendered.text,
                "rows": [_row(statement) for statement in part.rendered.document.statements],
            }
            for part in parts
        ],
        "permissions": [
            (_code(e.action), e.purpose, ", ".join(_code(f"{m}()") for m in e.methods) or "-")
            for e in permissions(site)
        ],
    }
    return pages(str).get_template("policy.md.j2").render(values)


def _row(statement: Statement) -> tuple[str, ...]:
    actions = statement.action or tuple(f"not {each}" for each in statement.not_action or ())
    resources = statement.resource or tuple(f"not {each}" for each in statement.not_resource or ())
    conditions = tuple(
        f"{condition.key} {condition.operator} {' or '.join(condition.values)}"
        for condition in statement.conditions
    )
    return (
        statement.sid or "",
        statement.effect,
        *(_codes(each) for each in (actions, resources, conditions)),
    )


def _codes(texts: tuple[str, ...]) -> str:
    return "<br>".join(_code(text) for text in texts) or "-"


def _code(text: str) -> str:
    """Return *text* as Markdown code for a table cell."""
    return BACKTICK + text.replace("|", "\\|").replace(BACKTICK, "'") + BACKTICK


_FORMS: Final[dict[Form, Callable[[Site, tuple[Part, ...], Trust], str]]] = {
    "json": _as_json,
    "terraform": _as_terraform,
    "cloudformation": as_cloudformation,
    "commands": _as_commands,
    "markdown": _as_markdown,
}

FORMS: Final[tuple[Form, ...]] = tuple(_FORMS)
