"""The order of evaluation: what must hold for a request to be allowed.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html
1. A matching Deny in any policy denies.
2. Each guardrail present must allow: every level of SCPs and of RCPs, the endpoint policy, the
   permissions boundary, the session policies.
3. Then the identity policies or, within one account, the resource policy must allow; across
   accounts both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from cml_iam.engine._compile import ActionIndex, CompiledStatement
from cml_iam.engine._request import Caller, Naming, PolicyType, Request

Outcome = Literal["allowed", "explicitDeny", "implicitDeny"]
"""The decisions as the Simulate* API names them."""

ALLOWED: Final = "allowed"
EXPLICIT_DENY: Final = "explicitDeny"
IMPLICIT_DENY: Final = "implicitDeny"


@dataclass(frozen=True, slots=True)
class Gate:
    """Policies of one *kind*, or of one *level* of an organization, from 1: one must allow."""

    kind: PolicyType
    statements: tuple[CompiledStatement, ...]
    index: ActionIndex
    level: int | None = None


ALWAYS_ALLOWED: Final = frozenset({"sts:getcalleridentity"})
"""The actions that no policy can refuse, not even by a Deny.

https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
"""


def applies(kind: PolicyType, caller: Caller, *, of_resource: bool) -> bool:
    """Return whether policies of the type *kind* apply to *caller*.

    An organization's policies do not apply to service-linked roles, and its SCPs only to users and
    roles of member accounts. An unnamed caller is anonymous if there is a resource policy
    (*of_resource*); otherwise it is the principal that the identity policies are attached to.
    https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps.html
    https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_rcps.html
    """
    if kind not in {"scp", "rcp"}:
        return True
    if caller.service_linked:
        return False
    return kind == "rcp" or caller.arn is not None or (caller.text is None and not of_resource)


def is_allowed(
    request: Request, caller: Caller, allows: Mapping[PolicyType, Sequence[Naming]]
) -> bool:
    """Return whether a request that no statement denies is allowed.

    *allows* says how directly an Allow of each policy names the caller, by type of policy.
    """

    def all_allow(*kinds: PolicyType) -> bool:
        return all(all(allows.get(kind, ())) for kind in kinds)

    if not all_allow("scp", "rcp", "endpoint"):
        return False
    limits = all_allow("boundary", "session")
    own_account = all_allow("identity") and limits
    resource = allows["resource"][0] if "resource" in allows else None
    # Without a resource policy, the account in an ARN does not count: a shared subnet, for example,
    # has its owner's account in its ARN but cannot have a policy.
    known_owner = request.resource_account is not None or resource is not None
    if known_owner and is_across_accounts(request, caller):
        return own_account and bool(resource)
    if needs_resource_policy(request) and resource is Naming.NOT:
        return False
    # Within one account, a resource policy that names the account only delegates. If it names the
    # role, boundary and session policies must still allow; if it names the user, the session or
    # everyone, they can only deny explicitly.
    return own_account or resource is Naming.DIRECTLY or (resource is Naming.IDENTITY and limits)


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
