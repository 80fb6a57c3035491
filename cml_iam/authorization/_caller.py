"""Who calls: the condition keys that describe the caller, whatever the call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cml_iam.facts import names_of
from cml_iam.policy import Arn

Tags = Mapping[str, str]
Context = Mapping[str, str | list[str]]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and from where; *arn* is an IAM user's, a role session's or the root's.

    *mfa* is None for a long-term access key: those have no such key at all.
    """

    arn: str
    user_id: str = "AIDAEXAMPLE"
    source_ip: str = "203.0.113.10"
    tags: Tags = field(default_factory=dict)
    mfa: bool | None = None

    @property
    def partition(self) -> str:
        """The partition of the caller's ARN."""
        return Arn.parse(self.arn).partition

    @property
    def account(self) -> str:
        """The account of the caller."""
        return Arn.parse(self.arn).account

    def context(self) -> dict[str, str | list[str]]:
        """Return the global condition keys that describe the caller.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
        """
        resource = Arn.parse(self.arn).resource
        kind, _, name = resource.partition("/")
        known: dict[str, str | list[str]] = {
            "aws:PrincipalAccount": self.account,
            "aws:PrincipalArn": _principal_arn(self.arn),
            "aws:PrincipalType": _PRINCIPAL_TYPES.get(kind, "Account"),
            "aws:SecureTransport": "true",
            "aws:SourceIp": self.source_ip,
            "aws:userid": self.user_id,
        }
        if self.mfa is not None:
            known["aws:MultiFactorAuthPresent"] = str(self.mfa).lower()
        if kind == "user":
            known["aws:username"] = name.rpartition("/")[2]
        known.update({f"aws:PrincipalTag/{key}": value for key, value in self.tags.items()})
        return known


def call_context(caller: Caller, action: str, region: str) -> dict[str, str | list[str]]:
    """Return the condition keys of any call of *action* to *region*."""
    names = names_of("aws:RequestedRegion", action)
    return caller.context() | dict.fromkeys(names, region)


def _principal_arn(arn: str) -> str:
    """Return what aws:PrincipalArn holds: for a role session the role, not the session.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalarn
    """
    parsed = Arn.parse(arn)
    kind, _, rest = parsed.resource.partition("/")
    if kind != "assumed-role":
        return arn
    role = rest.rpartition("/")[0]
    return f"arn:{parsed.partition}:iam::{parsed.account}:role/{role}"


_PRINCIPAL_TYPES: Final = {
    "assumed-role": "AssumedRole",
    "federated-user": "FederatedUser",
    "role": "AssumedRole",
    "user": "User",
}
