"""The policy of a site in the forms teams use: JSON, Terraform, CloudFormation, commands, Markdown.

One source, one meaning: every form is made of the parsed documents, and tests read each back.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from cml_iam.catalogue import load_catalogue
from cml_iam.policy import (
    MANAGED_POLICY_CHARACTERS,
    PolicyDocument,
    Principals,
    Statement,
)
from cml_iam.render._parts import part_name
from cml_iam.render._policies import RenderedPolicy, render_document, render_parts
from cml_iam.shipped import shipped_text
from cml_iam.site import Site

if TYPE_CHECKING:
    from jinja2 import Environment

Form = Literal["json", "terraform", "cloudformation", "commands", "markdown"]

DESCRIPTION: Final = "What CML Cloud Manager may do"
TAGS: Final = {"cml-iam:managed": "true"}
"""The tags that bootstrap puts on what it makes."""

BACKTICK: Final = "`"
INLINE: Final = 60
"""Characters of a list that stays on its attribute's line."""


@dataclass(frozen=True, slots=True)
class Part:
    """One managed policy: its *name* and *arn* in IAM, its *label* in Terraform and the like."""

    name: str
    arn: str
    label: str
    rendered: RenderedPolicy


def render_form(site: Site, form: Form, profile: Literal["base", "hardened"] = "hardened") -> str:
    """Return the policy of *site* in *form*, with its principal where the form makes things.

    Raises what `render_parts` raises.
    """
    parts = _parts(site, profile)
    return _FORMS[form](site, parts)


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


def _as_json(_: Site, parts: tuple[Part, ...]) -> str:
    if len(parts) == 1:
        return parts[0].rendered.text
    return (
        json.dumps({part.name: json.loads(part.rendered.text) for part in parts}, indent=2) + "\n"
    )


def _as_terraform(site: Site, parts: tuple[Part, ...]) -> str:
    arns = ", ".join(f"aws_iam_policy.{part.label}.arn" for part in parts)
    values = {
        "parts": [
            {"label": each.label, "name": each.name, **_hcl_document(each.rendered.document)}
            for each in parts
        ],
        "trust": _hcl_document(render_document(site, "trust-ec2").document),
        "policy_arns": f"[{arns}]",
        "description": DESCRIPTION,
        "tags": TAGS,
        "user": site.user,
        "role": site.role,
    }
    return _environment(hcl).get_template("terraform/policy.tf.j2").render(values)


def _hcl_document(document: PolicyDocument) -> dict[str, Any]:
    return {"statements": [_hcl_statement(each) for each in document.statements]}


def _hcl_statement(statement: Statement) -> dict[str, Any]:
    elements = {
        "actions": statement.action,
        "not_actions": statement.not_action,
        "resources": statement.resource,
        "not_resources": statement.not_resource,
    }
    return {
        "attributes": _aligned(
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
                        test=each.operator, variable=each.key, values=list(each.values)
                    ),
                }
                for each in statement.conditions
            ),
        ],
    }


def _block(**attributes: Any) -> list[str]:
    return _aligned({name: hcl(value, indent=6) for name, value in attributes.items()})


def _aligned(attributes: Mapping[str, str]) -> list[str]:
    """Return lines `name = value`, aligned as `terraform fmt` does.

    Neighbours on one line share a column; a value of several lines stands by itself.
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
    return principals.ids if principals else ()


def hcl(value: Any, indent: int = 4) -> str:
    """Return *value* as an HCL expression; `${` and `%{` stay text.

    A long list has a line for each element, indented for an attribute that stands *indent* deep.

    https://developer.hashicorp.com/terraform/language/expressions/strings
    """
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


def _as_commands(site: Site, parts: tuple[Part, ...]) -> str:
    values = {
        "parts": [
            {"name": each.name, "arn": each.arn, "text": _minified(each.rendered.text)}
            for each in parts
        ],
        "trust": _minified(render_document(site, "trust-ec2").text),
        "description": DESCRIPTION,
        "tags": " ".join(f"Key={key},Value={value}" for key, value in TAGS.items()),
        "user": site.user,
        "role": site.role,
    }
    return _environment(shlex.quote).get_template("commands.sh.j2").render(values)


def _minified(text: str) -> str:
    return json.dumps(json.loads(text), separators=(",", ":"))


def _as_markdown(site: Site, parts: tuple[Part, ...]) -> str:
    catalogue = load_catalogue()
    permissions = (*catalogue.permissions, *catalogue.granted(site.grant.active))
    values = {
        "title": DESCRIPTION,
        "site": site,
        "principal": _code(site.principal_arn),
        "quota": MANAGED_POLICY_CHARACTERS,
        "parts": [
            {
                "name": each.name,
                "size": each.rendered.size,
                "text": each.rendered.text,
                "rows": [_row(statement) for statement in each.rendered.document.statements],
            }
            for each in parts
        ],
        "permissions": [
            (_code(e.action), e.purpose, ", ".join(_code(f"{m}()") for m in e.methods) or "-")
            for e in permissions
        ],
    }
    return _environment(str).get_template("policy.md.j2").render(values)


def _row(statement: Statement) -> tuple[str, ...]:
    actions = statement.action or tuple(f"not {each}" for each in statement.not_action or ())
    resources = statement.resource or tuple(f"not {each}" for each in statement.not_resource or ())
    conditions = tuple(
        f"{each.key} {each.operator} {' or '.join(each.values)}" for each in statement.conditions
    )
    return (
        statement.sid or "",
        statement.effect,
        *(_codes(each) for each in (actions, resources, conditions)),
    )


def _codes(texts: tuple[str, ...]) -> str:
    return "<br>".join(_code(each) for each in texts) or "-"


def _code(text: str) -> str:
    """Return *text* as Markdown code in a table's cell."""
    return BACKTICK + text.replace("|", "\\|").replace(BACKTICK, "'") + BACKTICK


def _as_cloudformation(site: Site, parts: tuple[Part, ...]) -> str:
    """Return a template that means the same in any account and partition.

    Account and partition are CloudFormation's own pseudo parameters, so that one template serves a
    StackSet of many accounts.
    """
    principal = _cfn_role(site) if site.role else _cfn_user(site)
    logical = {part.label: f"Policy{number}" for number, part in enumerate(parts, start=1)}
    attached = {"Ref": "Role" if site.role else "User"}
    resources: dict[str, Any] = dict(principal)
    for part in parts:
        resources[logical[part.label]] = {
            "Type": "AWS::IAM::ManagedPolicy",
            "Properties": {
                "ManagedPolicyName": part.name,
                "Description": DESCRIPTION,
                "PolicyDocument": _anywhere(json.loads(part.rendered.text), site),
                "Roles" if site.role else "Users": [attached],
            },
        }
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"{DESCRIPTION}. Written by cml-iam; fit for a StackSet, in one region.",
        "Parameters": {
            "PermissionsBoundary": {
                "Type": "String",
                "Default": "",
                "Description": "ARN of a permissions boundary to put on the principal.",
            }
        },
        "Conditions": {
            "HasBoundary": {"Fn::Not": [{"Fn::Equals": [{"Ref": "PermissionsBoundary"}, ""]}]}
        },
        "Resources": resources,
        "Outputs": {
            "PrincipalArn": {"Value": {"Fn::GetAtt": [attached["Ref"], "Arn"]}},
            "PolicyArns": {
                "Value": {"Fn::Join": [",", [{"Ref": name} for name in logical.values()]]}
            },
        },
    }
    return json.dumps(template, indent=2) + "\n"


_BOUNDARY: Final = {
    "Fn::If": ["HasBoundary", {"Ref": "PermissionsBoundary"}, {"Ref": "AWS::NoValue"}]
}
_CFN_TAGS: Final = [{"Key": key, "Value": value} for key, value in TAGS.items()]


def _cfn_user(site: Site) -> dict[str, Any]:
    properties = {"UserName": site.user, "PermissionsBoundary": _BOUNDARY, "Tags": _CFN_TAGS}
    return {"User": {"Type": "AWS::IAM::User", "Properties": properties}}


def _cfn_role(site: Site) -> dict[str, Any]:
    trust = json.loads(render_document(site, "trust-ec2").text)
    return {
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "RoleName": site.role,
                "AssumeRolePolicyDocument": trust,
                "PermissionsBoundary": _BOUNDARY,
                "Tags": _CFN_TAGS,
            },
        },
        "InstanceProfile": {
            "Type": "AWS::IAM::InstanceProfile",
            "Properties": {"InstanceProfileName": site.role, "Roles": [{"Ref": "Role"}]},
        },
    }


def _anywhere(value: Any, site: Site) -> Any:
    """Return *value* with the site's account and partition as pseudo parameters, in ARNs."""
    if isinstance(value, dict):
        return {key: _anywhere(each, site) for key, each in value.items()}
    if isinstance(value, list):
        return [_anywhere(each, site) for each in value]
    if not isinstance(value, str) or not value.startswith(f"arn:{site.partition}:"):
        return value
    text = value.replace("${", "${!").replace(f":{site.account}:", ":${AWS::AccountId}:")
    return {"Fn::Sub": "arn:${AWS::Partition}:" + text.removeprefix(f"arn:{site.partition}:")}


def _environment(encode: Callable[[Any], str]) -> Environment:
    """Return an environment of the templates in which every value goes through *encode*.

    `bare` marks a value of ours, a name or an expression, that is printed as it is.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    def printed(value: Any) -> str:
        return value.text if isinstance(value, _Bare) else encode(value)

    made = Environment(
        loader=FunctionLoader(lambda name: shipped_text("templates", name)),
        undefined=StrictUndefined,
        finalize=printed,
        autoescape=False,  # noqa: S701 - the finalizer encodes, and the results are no HTML
        keep_trailing_newline=True,
    )
    made.filters["bare"] = _Bare
    return made


@dataclass(frozen=True, slots=True)
class _Bare:
    text: str


_FORMS: Final[dict[Form, Callable[[Site, tuple[Part, ...]], str]]] = {
    "json": _as_json,
    "terraform": _as_terraform,
    "cloudformation": _as_cloudformation,
    "commands": _as_commands,
    "markdown": _as_markdown,
}

FORMS: Final[tuple[Form, ...]] = tuple(_FORMS)
