"""The order of evaluation: what must hold for a request to be allowed.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html

1. A matching Deny in any policy denies. 2. Each guardrail present must allow: every level of SCPs
and of RCPs, the endpoint policy, the
   permissions boundary, the session policies.
3. Then the identity policies or, within one account, the resource policy must allow; across
   accounts both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from cml_iam.engine._request import Caller, Naming

if TYPE_CHECKING:
    from cml_iam.engine._compile import ActionIndex, CompiledStatement
    from cml_iam.engine._request import PolicyType, Request


Outcome = Literal["allowed", "explicitDeny", "implicitDeny"]
"""The decisions as the Simulate* API names them."""

ALLOWED: Final = "allowed"
EXPLICIT_DENY: Final = "explicitDeny"
IMPLICIT_DENY: Final = "implicitDeny"


@dataclass(frozen=True, slots=True)
class Gate:
    """Policies of one *kind*; at least one must allow the request.

    *level* is the level of an organization, counted from 1.
    """

    kind: PolicyType
    statements: tuple[CompiledStatement, ...]
    index: ActionIndex
    level: int | None = None


ALWAYS_ALLOWED: Final = frozenset({"sts:getcalleridentity"})
"""The actions that no policy can refuse, not even by a Deny.

https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
"""


class Allows(NamedTuple):
    """The types of policy that allow the request; None for a type without policies.

    *resource* says how directly an Allow of the resource policy names the caller.
    """

    identity: bool
    boundary: bool | None = None
    session: bool | None = None
    endpoint: bool | None = None
    organization: bool = True
    resource_organization: bool = True
    resource: Naming | None = None


def applies(kind: PolicyType, caller: Caller, *, of_resource: bool) -> bool:
    """Return whether policies of the type *kind* apply to *caller*.

    An organization's policies do not apply to service-linked roles. Service control policies apply
    only to users and roles of member accounts: not to AWS services, identity providers or anonymous
    callers. An unnamed caller is anonymous if there is a resource policy (*of_resource*); otherwise
    it is the principal that the identity policies are attached to.
    https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps.html
    https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_rcps.html
    """
    if kind not in {"scp", "rcp"}:
        return True
    if caller.service_linked:
        return False
    return kind == "rcp" or caller.arn is not None or (caller.text is None and not of_resource)


def is_allowed(request: Request, caller: Caller, allows: Allows) -> bool:
    """Return whether a request that no statement denies is allowed."""
    if not (allows.organization and allows.resource_organization):
        return False
    if allows.endpoint is False:
        return False
    if is_cross_account(request, caller, allows):
        return _own_account_allows(allows) and bool(allows.resource)
    if needs_resource_policy(request) and allows.resource is Naming.NOT:
        return False
    return _own_account_allows(allows) or _resource_policy_alone_allows(caller, allows)


def _own_account_allows(allows: Allows) -> bool:
    return allows.identity and allows.boundary is not False and allows.session is not False


def _resource_policy_alone_allows(caller: Caller, allows: Allows) -> bool:
    """Return whether the resource policy suffices within one account.

    A policy that names the account only delegates. If it names the role, the boundary and the
    session policies must still allow; if it names the user, the session or everyone, they can only
    deny explicitly.
    """
    if (
        caller.text is None or caller.arn is None
    ):  # anonymous, a service: has no policies of its own
        return allows.resource is Naming.DIRECTLY
    if allows.resource is Naming.IDENTITY:
        return allows.boundary is not False and allows.session is not False
    return allows.resource is Naming.DIRECTLY


def is_cross_account(request: Request, caller: Caller, allows: Allows) -> bool:
    """Return whether the caller's account differs from the resource's.

    The account in an ARN counts only if there is a resource policy: a shared subnet, for example,
    has its owner's account in its ARN but cannot have a policy.
    """
    if request.resource_account is None and allows.resource is None:
        return False
    return is_across_accounts(request, caller)


def is_across_accounts(request: Request, caller: Caller) -> bool:
    """Return whether the caller's account differs from the resource's, which may be in the ARN."""
    if caller.account is None:
        return False
    if request.resource_account is not None:
        return caller.account != request.resource_account
    fields = request.resource.split(":", 5)
    named = fields[4] if len(fields) == 6 else ""
    return named.isdigit() and named != caller.account


def needs_resource_policy(request: Request) -> bool:
    """Return whether a resource policy, if present, must allow: true for roles and KMS keys.

    https://docs.aws.amazon.com/kms/latest/developerguide/key-policies.html
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html
    """
    action, resource = request.action.lower(), request.resource
    if action.startswith("kms:"):
        return ":key/" in resource
    return action.startswith(("sts:assumerole", "sts:tagsession")) and ":role/" in resource
