"""The policies that SimulatePrincipalPolicy finds attached to a principal, as values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from cml_iam.engine._simulate_input import Shape, SimulationError, invalid
from cml_iam.errors import DocumentError
from cml_iam.policy import PolicyDocument, parse_policy, pattern_matches

AttachedType = Literal["inline", "aws-managed", "user-managed"]


@dataclass(frozen=True, slots=True)
class AttachedPolicy:
    """A policy of a principal; *document* is its JSON text.

    *arn* is set for a managed policy; *owner* is the ARN of the user, group or role that has it.
    """

    name: str
    document: str
    type: AttachedType = "user-managed"
    arn: str | None = None
    owner: str | None = None

    def parsed(self) -> PolicyDocument:
        """Return the parsed document; raises SimulationError."""
        try:
            return parse_policy(self.document, self.name)
        except DocumentError as error:
            raise SimulationError("PolicyEvaluation", f"{self.name}: {error}") from error


@dataclass(frozen=True, slots=True)
class PrincipalPolicies:
    """A user, group or role with all its policies, including those of a user's groups.

    *organization* has the SCPs (JSON texts) of each level, root first; None outside of one.
    """

    arn: str
    policies: tuple[AttachedPolicy, ...] = ()
    boundary: AttachedPolicy | None = None
    organization: tuple[tuple[str, ...], ...] | None = None


def organization(
    principal: PrincipalPolicies, shape: Shape
) -> tuple[tuple[PolicyDocument, ...], ...] | None:
    """Return the SCPs; the old simulator ignored those with conditions."""
    if principal.organization is None:
        return None
    levels = [
        tuple(AttachedPolicy("scp", text).parsed() for text in level)
        for level in principal.organization
    ]
    if shape == "old":
        levels = [
            tuple(scp for scp in level if not any(s.conditions for s in scp.statements))
            for level in levels
        ]
        levels = [level for level in levels if level]
    return tuple(levels)


def without(principal: PrincipalPolicies, exclusions: Iterable[Any]) -> PrincipalPolicies:
    """Remove the policies named by PolicyExclusionList; raises SimulationError.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_PolicyIdentifier.html
    """
    for exclusion in exclusions:
        if not isinstance(exclusion, dict) or len(exclusion) != 1:
            raise invalid("a policy to exclude has exactly one of: " + ", ".join(_EXCLUDED))
        ((kind, value),) = exclusion.items()
        if kind == "PolicyType":
            principal = _without_type(principal, value)
        elif kind in _EXCLUDED:
            principal = _without(principal, _EXCLUDED[kind](value))
        else:
            raise invalid(f"unknown policy identifier: `{kind}`")
    return principal


def _without(
    principal: PrincipalPolicies, excluded: Callable[[AttachedPolicy], bool]
) -> PrincipalPolicies:
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
    if fields[0] != "arn" or not {"*", "?"}.isdisjoint("".join(fields)):
        raise invalid(
            f"invalid policy ARN: `{arn}`: wildcards are allowed only in the policy's name"
        )
    if resource.count("*") > 1:
        raise invalid(f"invalid policy ARN: `{arn}`: at most one `*`")
    return lambda policy: policy.arn is not None and pattern_matches(arn, policy.arn)


def _by_inline(identifier: Any) -> Callable[[AttachedPolicy], bool]:
    names = {"PolicyName", "AttachmentType", "AttachmentName"}
    if not isinstance(identifier, dict) or set(identifier) != names:
        raise invalid("an inline policy needs PolicyName, AttachmentType and AttachmentName")
    kind, name = identifier["AttachmentType"], str(identifier["AttachmentName"])
    if kind not in {"user", "group", "role"}:
        raise invalid(f"unknown attachment type: `{kind}`")
    if name.count("*") > 1:
        raise invalid(f"invalid attachment name: `{name}`: at most one `*`")

    def excluded(policy: AttachedPolicy) -> bool:
        owner = (policy.owner or "").split(":", 5)[-1]
        return (
            policy.type == "inline"
            and policy.name == identifier["PolicyName"]
            and owner.startswith(f"{kind}/")
            and pattern_matches(name, owner.rpartition("/")[2])
        )

    return excluded


_EXCLUDED: Final[Mapping[str, Callable[[Any], Callable[[AttachedPolicy], bool]]]] = {
    "PolicyArn": _by_arn,
    "InlinePolicyIdentifier": _by_inline,
}
