"""The policies that SimulatePrincipalPolicy finds attached to a principal, as values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from cml_iam.engine._simulate_input import invalid
from cml_iam.policy import pattern_matches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

AttachedType = Literal["inline", "aws-managed", "user-managed"]


@dataclass(frozen=True, slots=True)
class AttachedPolicy:
    """A policy of a principal; *document* is its JSON text.

    *arn* is set for a managed policy. *owner* is the ARN of the user, group or role that the policy
    is attached to or embedded in.
    """

    name: str
    document: str
    type: AttachedType = "user-managed"
    arn: str | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class PrincipalPolicies:
    """A user, group or role with all its policies, including those of a user's groups.

    *organization* lists the SCP documents (JSON texts) of each level from the root to the account;
    None if the account is not in an organization.
    """

    arn: str
    policies: tuple[AttachedPolicy, ...] = ()
    boundary: AttachedPolicy | None = None
    organization: tuple[tuple[str, ...], ...] | None = None


def without(principal: PrincipalPolicies, exclusions: Iterable[Any]) -> PrincipalPolicies:
    """Remove the policies named by PolicyExclusionList; raises SimulationError.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_PolicyIdentifier.html
    """
    for exclusion in exclusions:
        principal = _without(principal, exclusion)
    return principal


def _without(principal: PrincipalPolicies, exclusion: Any) -> PrincipalPolicies:
    if not isinstance(exclusion, dict) or len(exclusion) != 1:
        raise invalid("a policy to exclude has exactly one of: " + ", ".join(_EXCLUDED))
    ((kind, value),) = exclusion.items()
    if kind == "PolicyType":
        return _without_type(principal, value)
    if kind not in _EXCLUDED:
        raise invalid(f"unknown policy identifier: `{kind}`")
    excluded = _EXCLUDED[kind](value)
    boundary = principal.boundary
    return replace(
        principal,
        policies=tuple(policy for policy in principal.policies if not excluded(policy)),
        boundary=None if boundary and excluded(boundary) else boundary,
    )


def _without_type(principal: PrincipalPolicies, kind: Any) -> PrincipalPolicies:
    if kind == "permission-boundary":
        return replace(principal, boundary=None)
    if kind == "scp":
        return replace(principal, organization=principal.organization and ())
    if kind == "rcp":
        return principal  # the simulator does not know RCPs yet
    if kind not in {"inline", "aws-managed", "user-managed"}:
        raise invalid(f"unknown policy type: `{kind}`")
    return replace(
        principal, policies=tuple(policy for policy in principal.policies if policy.type != kind)
    )


def _by_arn(arn: Any) -> Callable[[AttachedPolicy], bool]:
    if not isinstance(arn, str) or not 20 <= len(arn) <= 2048 or arn.count(":") < 5:
        raise invalid(f"invalid policy ARN: `{arn}`")
    *fields, resource = arn.split(":", 5)
    if fields[0] != "arn" or "*" in "".join(fields) or "?" in "".join(fields):
        raise invalid(
            f"invalid policy ARN: `{arn}`: wildcards are allowed only in the policy's name"
        )
    if resource.count("*") > 1:
        raise invalid(f"invalid policy ARN: `{arn}`: at most one `*`")
    return lambda policy: policy.arn is not None and pattern_matches(arn, policy.arn)


def _by_inline(given: Any) -> Callable[[AttachedPolicy], bool]:
    wanted: Mapping[str, Any] = given if isinstance(given, dict) else {}
    if set(wanted) != {"PolicyName", "AttachmentType", "AttachmentName"}:
        raise invalid("an inline policy needs PolicyName, AttachmentType and AttachmentName")
    kind, name = wanted["AttachmentType"], str(wanted["AttachmentName"])
    if kind not in {"user", "group", "role"}:
        raise invalid(f"unknown attachment type: `{kind}`")
    if name.count("*") > 1:
        raise invalid(f"invalid attachment name: `{name}`: at most one `*`")

    def excluded(policy: AttachedPolicy) -> bool:
        owner = (policy.owner or "").split(":", 5)[-1]
        return (
            policy.type == "inline"
            and policy.name == wanted["PolicyName"]
            and owner.startswith(f"{kind}/")
            and pattern_matches(name, owner.rpartition("/")[2])
        )

    return excluded


_EXCLUDED: Final[Mapping[str, Callable[[Any], Callable[[AttachedPolicy], bool]]]] = {
    "PolicyArn": _by_arn,
    "InlinePolicyIdentifier": _by_inline,
}
