"""What the formats share: templates in which every printed value passes through an encoder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from cml_iam.render._policies import render_document
from cml_iam.shipped import shipped_templates

if TYPE_CHECKING:
    from collections.abc import Callable

    from jinja2 import Environment

    from cml_iam.render._policies import RenderedPolicy
    from cml_iam.site import Site, Trust


DESCRIPTION: Final = "What CML Cloud Manager may do"
TAGS: Final = {"cml-iam:managed": "true"}
"""The tags of what bootstrap creates."""


ANCHOR: Final = "arn:aws:rolesanywhere:::trust-anchor/made-with-the-role"
"""Placeholder for a trust anchor that the form creates; the form replaces it."""


def makes_anchor(site: Site, trust: Trust) -> bool:
    """Return whether the format must create the trust anchor, as the site file names none."""
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
    """One managed policy: its *name* and *arn* in IAM, its *label* in Terraform and the like."""

    name: str
    arn: str
    label: str
    rendered: RenderedPolicy


def pages(encode: Callable[[Any], str]) -> Environment:
    """Return a Jinja environment in which every value passes through *encode*.

    `bare` marks a value of ours, a name or an expression, to be printed unchanged.
    """

    def printed(value: Any) -> str:
        return value.text if isinstance(value, _Bare) else encode(value)

    made = shipped_templates("templates", printed)
    made.filters["bare"] = _Bare
    return made


@dataclass(frozen=True, slots=True)
class _Bare:
    text: str
