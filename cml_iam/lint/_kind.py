"""What a policy is for, as far as the document itself says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cml_iam.lint._finding import Kind

EVERYONE: Final = ("*", {"AWS": "*"}, {"AWS": ["*"]})
"""The ways to write a principal that is everybody."""

JUDGED_AS: Final[Mapping[str, str]] = {
    "resource": "a resource's policy; what its service demands beyond IAM's rules is not judged",
    "trust": "a trust policy; what the role itself may do is not judged",
    "scp": "a service control policy; the accounts it is attached to are not judged",
    "rcp": "a resource control policy; the accounts it is attached to are not judged",
}
"""What is said of a policy that is not attached to a principal, by its kind."""

_WITHOUT_RESOURCE: Final = ("ecr:", "ecr-public:")
"""Services whose resources' policies have no `Resource`."""


def recognized_kind(value: Any) -> Kind:
    """Return the kind of the policy in the parsed JSON *value*, which may be a lone statement.

    A statement that names principals belongs to a resource, to a role (its trust policy: about STS,
    and without `Resource`), or to an organization (a resource control policy: nothing but Deny, for
    everybody, on every resource). A service control policy and a permissions boundary look like
    every identity-based policy, so they are never recognized.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html
    """
    statements = _statements(value)
    named = [each for each in statements if "Principal" in each or "NotPrincipal" in each]
    if not named:
        lone_trust = statements and all(_about_sts(e) and not _on_resource(e) for e in statements)
        return "trust" if lone_trust else "identity"
    if all(_of_organization(each) for each in statements):
        return "rcp"
    if all(_about_sts(each) for each in named):
        return "trust"
    if any(_on_resource(each) for each in named):
        return "resource"
    actions = [action for each in named for action in _actions(each)]
    without = any(action.startswith(_WITHOUT_RESOURCE) for action in actions)
    return "resource" if without else "trust"


def _statements(value: Any) -> list[Mapping[str, Any]]:
    raw = value.get("Statement", value) if isinstance(value, dict) else ()
    listed = raw if isinstance(raw, list) else [raw]
    return [each for each in listed if isinstance(each, dict)]


def _about_sts(statement: Mapping[str, Any]) -> bool:
    return any(action.startswith("sts:") for action in _actions(statement))


def _of_organization(statement: Mapping[str, Any]) -> bool:
    denied = statement.get("Effect") == "Deny" and statement.get("Resource") in ("*", ["*"])
    return denied and statement.get("Principal") in EVERYONE


def _on_resource(statement: Mapping[str, Any]) -> bool:
    return "Resource" in statement or "NotResource" in statement


def _actions(statement: Mapping[str, Any]) -> list[str]:
    raw = statement.get("Action", statement.get("NotAction", ()))
    listed: Iterable[Any] = raw if isinstance(raw, list) else [raw]
    return [each.lower() for each in listed if isinstance(each, str)]
