"""Render the base and the hardened policy, and every other document a site needs.

IAM evaluates the policies attached to a principal as one list of statements, so a policy that is
too large is split into several with the same total meaning; so is a statement, by its resources.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache, partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from cml_iam.catalogue import load_catalogue
from cml_iam.errors import CmlIamError, DocumentError, InputError, QuotaError
from cml_iam.files import shipped_templates
from cml_iam.policy import MANAGED_POLICY_CHARACTERS, PolicyDocument, parse_policy, policy_size
from cml_iam.render import _values as values_of
from cml_iam.site import Site

if TYPE_CHECKING:
    from jinja2 import Environment

Profile = Literal["base", "hardened"]

Kind = Literal["identity", "boundary", "resource", "trust", "scp"]
"""The purposes of documents, named as in `policy lint --kind`."""

QUOTAS: Final[Mapping[Kind, int]] = {
    "identity": MANAGED_POLICY_CHARACTERS,
    "boundary": MANAGED_POLICY_CHARACTERS,
    "resource": 20480,
    "trust": 2048,
    "scp": 5120,
}
MOST_PARTS: Final = 10
"""Quotas in characters, and how many managed policies may be attached to a user or role.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html and
https://docs.aws.amazon.com/organizations/latest/userguide/orgs_reference_limits.html
"""

_ROOM: Final = MANAGED_POLICY_CHARACTERS - policy_size('{"Version":"2012-10-17","Statement":[]}')


class DocumentForm(NamedTuple):
    """A document that cml-iam can render: its purpose, and the values for its template."""

    name: str
    title: str
    kind: Kind
    values: Callable[[Any], Mapping[str, Any]]
    template: str = ""

    def text(self, site: Site | None) -> str:
        """Return the document of *site*; only the base document needs none."""
        if site is None and self.name != "base":
            raise InputError("the hardened policy needs a site file")
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
    form = DOCUMENTS[profile]
    return _rendered(form, form.text(site))


def render_document(site: Site, name: str) -> RenderedPolicy:
    """Render the document *name*, one of `DOCUMENTS`, for *site*.

    Raises InputError if the site file lacks values for the document, or if the document would be
    empty; QuotaError if it is larger than AWS accepts.
    """
    form = DOCUMENTS[name]
    return _rendered(form, form.text(site))


def render_parts(site: Site | None, profile: Profile = "hardened") -> tuple[RenderedPolicy, ...]:
    """Render *profile* as managed policies with the same total meaning; QuotaError beyond ten."""
    form = DOCUMENTS[profile]
    return tuple(_rendered(form, text) for text in _split(form.text(site)))


def render_limits(site: Site) -> dict[str, RenderedPolicy]:
    """Return the boundary and the guardrail of *site*, except what is empty or too large."""
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
    policy = json.loads(_environment().get_template(template).render(values))
    policy["Statement"] = [statement for statement in policy["Statement"] if statement is not None]
    for statement in policy["Statement"]:
        if statement.get("Condition") == {}:
            del statement["Condition"]
    return _written(policy)


def _written(policy: dict[str, Any]) -> str:
    return json.dumps(policy, indent=2) + "\n"


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
    if rendered.size > QUOTAS[form.kind]:
        raise QuotaError(
            f"the {form.name} policy has {rendered.size} characters; AWS allows "
            f"{QUOTAS[form.kind]}",
            remedy="list fewer regions, instance types or images, restrict images by owner, or"
            " write it in parts: `policy render --all DIR`",
        )
    return rendered


def part_name(name: str, number: int) -> str:
    """Return the name of part *number* (from 1) of the policy *name*."""
    return name if number == 1 else f"{name}-{number}"


def _split(text: str) -> Iterator[str]:
    """Yield *text* as one or more documents of at most 6,144 characters each."""
    policy = json.loads(text)
    parts: list[list[dict[str, Any]]] = []
    for piece in chain.from_iterable(map(_pieces, policy["Statement"])):
        part = next((part for part in parts if _size([*part, piece]) <= _ROOM), None)
        if part is None:
            parts.append([piece])
        else:
            part.append(piece)
    if len(parts) > MOST_PARTS:
        raise QuotaError(
            f"the policy needs {len(parts)} managed policies; a principal may have {MOST_PARTS}",
            remedy="list fewer regions or images, or restrict images by owner",
        )
    yield from (_written({**policy, "Statement": part}) for part in parts)


def _pieces(statement: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield *statement*, or copies among which its resources are divided."""
    resources, size = statement.get("Resource"), _size([statement])
    if size <= _ROOM:
        yield statement
        return
    if not isinstance(resources, list):
        raise QuotaError(
            f"the statement {statement.get('Sid', '')} alone has {size} characters",
            remedy="list fewer regions or instance types",
        )
    for number, chunk in enumerate(_chunks(statement, resources), start=1):
        yield {**statement, "Sid": f"{statement['Sid']}{number}", "Resource": chunk}


def _chunks(statement: dict[str, Any], resources: list[str]) -> list[list[str]]:
    """Divide *resources* into chunks that are as large as fits beside the rest of *statement*."""
    # Room for the number that is added to the Sid.
    room = _ROOM - _size([{**statement, "Resource": []}]) - len(str(len(resources)))
    chunks: list[list[str]] = [[]]
    used = 0
    for resource in resources:
        size = policy_size(json.dumps(resource)) + 1
        if size > room:
            raise QuotaError(f"the statement {statement['Sid']} leaves no room for a resource")
        if used + size > room:
            chunks.append([])
            used = 0
        chunks[-1].append(resource)
        used += size
    return chunks


def _size(statements: list[dict[str, Any]]) -> int:
    """Return how much *statements* add to the size of a document."""
    return policy_size(json.dumps(statements)) - len("[]")


_FORMS: Final = (
    DocumentForm(
        "base",
        "The documented policy: everything, everywhere",
        "identity",
        lambda _: {"catalogue": load_catalogue()},
    ),
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
        values_of.guard_values,
    ),
    DocumentForm(
        "scp",
        "The same Denies for the manager in every account of an organization",
        "scp",
        partial(values_of.guard_values, for_organization=True),
        template="guard",
    ),
    *(
        DocumentForm(f"trust-{name}", f"Who may assume the role: {who}", "trust", values)
        for name, who, values in (
            ("ec2", "EC2 instances", values_of.trust_values),
            ("ecs", "ECS tasks of the account", values_of.ecs_values),
            ("irsa", "a Kubernetes service account, by OIDC", values_of.irsa_values),
            ("pod-identity", "a Kubernetes service account, by Pod Identity", values_of.eks_values),
            ("oidc", "holders of a token, outside AWS, by OIDC", values_of.oidc_values),
            (
                "roles-anywhere",
                "the holder of a certificate, outside AWS, by IAM Roles Anywhere",
                values_of.roles_anywhere_values,
            ),
        )
    ),
    *(
        DocumentForm(f"bootstrap-{name}", f"For administrators who {do}", "identity", values)
        for name, do, values in (
            ("security-admin", "own the boundary and the guardrail", values_of.bootstrap_values),
            ("operator", "run `cml-iam bootstrap` and `key`", values_of.bootstrap_values),
            ("audit", "set up the trail and the alarms", values_of.audit_values),
        )
    ),
    DocumentForm(
        "cloudtrail-bucket",
        "The trail's bucket: who may write to it",
        "resource",
        values_of.audit_values,
    ),
    DocumentForm(
        "cloudtrail-to-logs", "What the trail's role may do", "identity", values_of.audit_values
    ),
    DocumentForm(
        "trust-cloudtrail-to-logs",
        "Who may assume the trail's role",
        "trust",
        values_of.audit_values,
    ),
)

DOCUMENTS: Final = {form.name: form for form in _FORMS}
"""Every document that can be rendered, by name."""
