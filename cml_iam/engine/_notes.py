"""What decides a request besides policies: services refuse some things by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Final

from cml_iam.engine._order import ALWAYS_ALLOWED, needs_resource_policy
from cml_iam.policy import pattern_matches

if TYPE_CHECKING:
    from cml_iam.engine._request import Request
    from cml_iam.engine._resource import PolicyType

_READS: Final = ("Get", "List", "Describe", "Generate", "Simulate")

_REFUSED: Final = (
    (
        "iam",
        "arn:*:iam::aws:policy/*",
        "AWS manages this policy: IAM refuses every change to it, whatever policies allow",
    ),
    (
        "iam",
        "arn:*:iam::*:role/aws-service-role/*",
        "IAM refuses most changes to a service-linked role, whatever policies allow",
    ),
    (
        "iam",
        "arn:*:iam::*:role/aws-reserved/*",
        "IAM refuses changes to a role that AWS reserves, whatever policies allow",
    ),
    (
        "kms",
        "arn:*:kms:*:*:alias/aws/*",
        "AWS manages this alias: KMS refuses every change to it, whatever policies allow",
    ),
)
"""What a service refuses by itself: service, resource, and why.

https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_managed-vs-inline.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create-service-linked-role.html
https://docs.aws.amazon.com/kms/latest/developerguide/alias-about.html
"""


def notes(request: Request, kinds: AbstractSet[PolicyType]) -> Iterator[str]:
    """Yield what decides *request* besides policies of the types *kinds*, in words."""
    service, _, name = request.action.partition(":")
    if request.action.lower() in ALWAYS_ALLOWED:
        yield "no policy can refuse sts:GetCallerIdentity, not even by a Deny"
    if service.lower() == "kms" and needs_resource_policy(request) and "resource" not in kinds:
        yield (
            "a KMS key always has a key policy, and it must allow or delegate to the account: "
            "without it this decision supposes that it delegates"
        )
    if name.lower().startswith(tuple(map(str.lower, _READS))):
        return
    for owner, pattern, why in _REFUSED:
        if service.lower() == owner and pattern_matches(pattern, request.resource):
            yield why
