"""Render the base and the hardened policy, and every other document a site needs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from cml_iam.catalogue import load_catalogue
from cml_iam.errors import CmlIamError, DocumentError, InputError, QuotaError
from cml_iam.files import shipped_templates
from cml_iam.policy import MANAGED_POLICY_CHARACTERS, PolicyDocument, parse_policy, policy_size
from cml_iam.render import _values as values_of
from cml_iam.render._parts import split_policy
from cml_iam.site import Site

if TYPE_CHECKING:
    from jinja2 import Environment

Profile = Literal["base", "hardened"]
PROFILES: Final[tuple[Profile, ...]] = ("base", "hardened")

Kind = Literal["identity", "boundary", "resource", "trust", "scp"]
"""The purposes of documents, named as in `policy lint --kind`."""

TRUST_CHARACTERS: Final = 2048
SCP_CHARACTERS: Final = 5120
BUCKET_CHARACTERS: Final = 20480
"""Quotas: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html and
https://docs.aws.amazon.com/organizations/latest/userguide/orgs_reference_limits.html
"""


class DocumentForm(NamedTuple):
    """A document that cml-iam can render: its template, values, purpose and quota."""

    name: str
    title: str
    kind: Kind
    values: Callable[[Site], Mapping[str, Any]]
    quota: int = MANAGED_POLICY_CHARACTERS
    template: str = ""

    def text(self, site: Site) -> str:
        """Return the document of *site*, from its template."""
        return _render(f"{self.template or self.name}.json.j2", self.values(site))


class RenderedPolicy(NamedTuple):
    """A rendered document: its JSON *text*, the parsed document, and its name."""

    profile: str
    text: str
    document: PolicyDocument
    kind: Kind = "identity"

    @property
    def size(self) -> int:
        """The number of characters that count towards IAM's quota."""
        return policy_size(self.text)


def render_policy(site: Site | None, profile: Profile = "hardened") -> RenderedPolicy:
    """Render *profile* for *site*; the base profile needs no site.

    The hardened document replaces the base document and enforces exactly the site's restrictions.
    The same input gives the same bytes. Raises InputError if the site is missing, and QuotaError if
    the document exceeds the size of a managed policy.
    """
    if profile == "base":
        text = _render("base.json.j2", {"catalogue": load_catalogue()})
        return _rendered(DOCUMENTS["base"], text)
    if site is None:
        raise InputError("the hardened policy needs a site file")
    return render_document(site, profile)


def render_document(site: Site, name: str) -> RenderedPolicy:
    """Render the document *name*, one of `DOCUMENTS`, for *site*.

    Raises InputError if the site file lacks values for the document, or if the document would be
    empty; QuotaError if it is larger than AWS accepts.
    """
    form = DOCUMENTS[name]
    return _rendered(form, form.text(site))


def render_parts(site: Site | None, profile: Profile = "hardened") -> tuple[RenderedPolicy, ...]:
    """Render *profile* as one or more managed policies with the same total meaning.

    Raises QuotaError if ten are not enough.
    """
    form = DOCUMENTS[profile]
    if site is None:
        return (render_policy(site, profile),)
    texts = split_policy(form.text(site))
    return tuple(_rendered(form, text) for text in texts)


def render_limits(site: Site) -> dict[str, RenderedPolicy]:
    """Return the boundary and the guardrail of *site* by name, except one that is too large.

    There are none if the site restricts nothing.
    """
    limits: dict[str, RenderedPolicy] = {}
    for name in ("boundary", "guard") if site.restrict.active else ():
        with suppress(QuotaError):  # a boundary cannot be split into parts
            limits[name] = render_document(site, name)
    return limits


@cache
def _environment() -> Environment:
    """Return the jinja2 environment of the policy templates.

    Every `{{ expression }}` is printed as JSON: a string with its quotes, escaped. Templates
    therefore never put an expression inside quotes, and no value can end a string or add an
    element. Undefined names are errors.
    """
    return shipped_templates("policies", json.dumps)


def _render(template: str, values: Mapping[str, Any]) -> str:
    """Return the template's JSON formatted, without empty conditions and null statements."""
    value = json.loads(_environment().get_template(template).render(values))
    value["Statement"] = [_tidy(each) for each in value["Statement"] if each is not None]
    return json.dumps(value, indent=2) + "\n"


def _tidy(statement: dict[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in statement.items() if (name, each) != ("Condition", {})}


def _rendered(form: DocumentForm, text: str) -> RenderedPolicy:
    if not json.loads(text)["Statement"]:
        raise InputError(
            f"the site restricts nothing, so the document `{form.name}` would be empty",
            remedy="add a restriction to [restrict]",
        )
    try:
        document = parse_policy(text, form.name)
    except DocumentError as error:
        raise CmlIamError(
            f"the template of `{form.name}` does not produce a policy: {error}"
        ) from error
    rendered = RenderedPolicy(form.name, text, document, form.kind)
    if rendered.size > form.quota:
        raise QuotaError(
            f"the {form.name} policy has {rendered.size} characters; AWS allows {form.quota}",
            remedy="list fewer regions, instance types or images, restrict images by owner, or"
            " write it in parts: `policy render --all DIR`",
        )
    return rendered


def _base(site: Site) -> Mapping[str, Any]:
    return {"catalogue": load_catalogue(), "site": site}


_FORMS: Final = (
    DocumentForm("base", "The documented policy: everything, everywhere", "identity", _base),
    DocumentForm(
        "hardened",
        "The policy within the site's restrictions; replaces the base",
        "identity",
        values_of.policy_values,
    ),
    DocumentForm(
        "boundary",
        "The same as a permissions boundary, if the base policy stays attached",
        "boundary",
        values_of.policy_values,
        template="hardened",
    ),
    DocumentForm(
        "guard",
        "Deny statements that also restrict the base policy or AdministratorAccess",
        "identity",
        partial(values_of.guard_values, for_organization=False),
    ),
    DocumentForm(
        "scp",
        "The same Denies for the manager in every account of an organization",
        "scp",
        partial(values_of.guard_values, for_organization=True),
        SCP_CHARACTERS,
        template="guard",
    ),
    DocumentForm(
        "trust-ec2",
        "Who may assume the role: EC2 instances",
        "trust",
        values_of.trust_values,
        TRUST_CHARACTERS,
    ),
    DocumentForm(
        "trust-ecs",
        "Who may assume the role: ECS tasks of the account",
        "trust",
        values_of.ecs_values,
        TRUST_CHARACTERS,
    ),
    DocumentForm(
        "trust-irsa",
        "Who may assume the role: a Kubernetes service account, by OIDC",
        "trust",
        values_of.irsa_values,
        TRUST_CHARACTERS,
    ),
    DocumentForm(
        "trust-pod-identity",
        "Who may assume the role: a Kubernetes service account, by Pod Identity",
        "trust",
        values_of.eks_values,
        TRUST_CHARACTERS,
    ),
    DocumentForm(
        "trust-oidc",
        "Who may assume the role: holders of a token, outside AWS, by OIDC",
        "trust",
        values_of.oidc_values,
        TRUST_CHARACTERS,
    ),
    DocumentForm(
        "trust-roles-anywhere",
        "Who may assume the role: the holder of a certificate, outside AWS, by IAM Roles Anywhere",
        "trust",
        values_of.roles_anywhere_values,
        TRUST_CHARACTERS,
    ),
    DocumentForm(
        "bootstrap-security-admin",
        "For administrators who own the boundary and the guardrail",
        "identity",
        values_of.bootstrap_values,
    ),
    DocumentForm(
        "bootstrap-operator",
        "For administrators who run `cml-iam bootstrap` and `key`",
        "identity",
        values_of.bootstrap_values,
    ),
    DocumentForm(
        "bootstrap-audit",
        "For administrators who set up the trail and the alarms",
        "identity",
        values_of.audit_values,
    ),
    DocumentForm(
        "cloudtrail-bucket",
        "The trail's bucket: who may write to it",
        "resource",
        values_of.audit_values,
        BUCKET_CHARACTERS,
    ),
    DocumentForm(
        "cloudtrail-to-logs", "What the trail's role may do", "identity", values_of.audit_values
    ),
    DocumentForm(
        "trust-cloudtrail-to-logs",
        "Who may assume the trail's role",
        "trust",
        values_of.audit_values,
        TRUST_CHARACTERS,
    ),
)

DOCUMENTS: Final = {form.name: form for form in _FORMS}
"""Every document that can be rendered, by name."""
