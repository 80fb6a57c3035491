"""A site's policy in the formats that teams use: JSON, Terraform, CloudFormation and others."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, Literal, NamedTuple

from cml_iam.policy import MANAGED_POLICY_CHARACTERS, Statement
from cml_iam.render._form import Form
from cml_iam.render._hcl import hcl, hcl_document, pages
from cml_iam.render._policies import RenderedPolicy, part_name, render_document, render_parts
from cml_iam.restrict import launch_note, permissions
from cml_iam.site import Site, Trust
from cml_iam.tag import as_aws

DESCRIPTION: Final = "What CML Cloud Manager may do"
TAGS: Final = {"cml-iam:managed": "true"}
"""The tags on resources that bootstrap creates."""

ANCHOR: Final = "arn:aws:rolesanywhere:::trust-anchor/made-with-the-role"
"""A placeholder for a trust anchor that the format creates; the format replaces it."""

BACKTICK: Final = "`"


class Part(NamedTuple):
    """A managed policy: *name* and *arn* are IAM's, *label* is for Terraform."""

    name: str
    arn: str
    label: str
    rendered: RenderedPolicy


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
    parts = tuple(
        Part(
            part_name(site.policy, number),
            part_name(site.policy_arn, number),
            part_name(profile, number).replace("-", "_"),
            rendered,
        )
        for number, rendered in enumerate(render_parts(site, profile), start=1)
    )
    return _FORMS[form](site, parts, trust)


def _as_json(_: Site, parts: tuple[Part, ...], __: Trust) -> str:
    if len(parts) == 1:
        return parts[0].rendered.text
    documents = {part.name: json.loads(part.rendered.text) for part in parts}
    return json.dumps(documents, indent=2) + "\n"


def _as_terraform(site: Site, parts: tuple[Part, ...], trust: Trust) -> str:
    values = _values(site, parts, trust, lambda rendered: hcl_document(rendered.document))
    text = pages(hcl).get_template("terraform/policy.tf.j2").render(values)
    return text.replace(hcl(ANCHOR), "aws_rolesanywhere_trust_anchor.manager.arn")


def _as_cloudformation(site: Site, parts: tuple[Part, ...], trust: Trust) -> str:
    """Return a template that has the same meaning in any account and partition.

    Account and partition are CloudFormation's pseudo parameters, so that one template serves a
    StackSet of many accounts.
    """
    values = _values(site, parts, trust, lambda rendered: anywhere(json.loads(rendered.text), site))
    values["tags"] = as_aws(TAGS)
    text = pages(json.dumps).get_template("cloudformation/policy.json.j2").render(values)
    return json.dumps(json.loads(text), indent=2) + "\n"


def _as_commands(site: Site, parts: tuple[Part, ...], trust: Trust) -> str:
    values = _values(
        site,
        parts,
        trust,
        lambda rendered: json.dumps(json.loads(rendered.text), separators=(",", ":")),
    )
    values["tags"] = " ".join(f"Key={key},Value={value}" for key, value in TAGS.items())
    return pages(shlex.quote).get_template("commands.sh.j2").render(values)


def _values(
    site: Site, parts: tuple[Part, ...], trust: Trust, write: Callable[[RenderedPolicy], Any]
) -> dict[str, Any]:
    """Return the values of the forms that create resources; *write* converts a document."""
    certificate, who = site.roles_anywhere, trust if site.role else "ec2"
    # The format must create the trust anchor if the site file names none.
    anchor = trust == "roles-anywhere" and certificate is not None and not certificate.trust_anchor
    trusting = site
    if anchor and site.role and certificate:
        trusting = replace(site, roles_anywhere=certificate._replace(trust_anchor=ANCHOR))
    return {
        "parts": [{**part._asdict(), "document": write(part.rendered)} for part in parts],
        # A user has no trust document, so any is enough.
        "trust": write(render_document(trusting, f"trust-{who}")),
        "anchor": anchor,
        "anywhere": trust == "roles-anywhere",
        "profile": trust == "ec2",
        "description": DESCRIPTION,
        "tags": TAGS,
        "user": site.user,
        "role": site.role,
        "path": site.path,
    }


def anywhere(value: Any, site: Site, region: str | None = None) -> Any:
    """Return *value* with pseudo parameters for account, partition and *region* in its ARNs."""
    if isinstance(value, dict):
        return {
            key: {"Ref": "AWS::AccountId"}
            if key == "aws:SourceAccount" and member == site.account
            else anywhere(member, site, region)
            for key, member in value.items()
        }
    if isinstance(value, list):
        return [anywhere(element, site, region) for element in value]
    if value == ANCHOR:
        return {"Fn::GetAtt": ["TrustAnchor", "TrustAnchorArn"]}
    if not isinstance(value, str) or not value.startswith(f"arn:{site.partition}:"):
        return value
    text = value.replace("${", "${!").replace(f":{site.account}:", ":${AWS::AccountId}:")
    if region:
        text = text.replace(f":{region}:", ":${AWS::Region}:")
    return {"Fn::Sub": "arn:${AWS::Partition}:" + text.removeprefix(f"arn:{site.partition}:")}


def _as_markdown(site: Site, parts: tuple[Part, ...], _: Trust) -> str:
    values = {
        "title": DESCRIPTION,
        "site": site,
        "note": launch_note(site, *(part.rendered.text for part in parts)),
        "quota": MANAGED_POLICY_CHARACTERS,
        "parts": parts,
        "permissions": permissions(site),
        "cells": _cells,
        "code": _code,
    }
    return pages(str).get_template("policy.md.j2").render(values)


def _cells(statement: Statement) -> tuple[str, ...]:
    actions = statement.action or tuple(f"not {action}" for action in statement.not_action or ())
    others = tuple(f"not {resource}" for resource in statement.not_resource or ())
    conditions = tuple(
        f"{condition.key} {condition.operator} {' or '.join(condition.values)}"
        for condition in statement.conditions
    )
    columns = (actions, statement.resource or others, conditions)
    cells = ("<br>".join(map(_code, texts)) or "-" for texts in columns)
    return (statement.sid or "", statement.effect, *cells)


def _code(text: str) -> str:
    return BACKTICK + text.replace("|", "\\|").replace(BACKTICK, "'") + BACKTICK


_FORMS: Final[dict[Form, Callable[[Site, tuple[Part, ...], Trust], str]]] = {
    "json": _as_json,
    "terraform": _as_terraform,
    "cloudformation": _as_cloudformation,
    "commands": _as_commands,
    "markdown": _as_markdown,
}
