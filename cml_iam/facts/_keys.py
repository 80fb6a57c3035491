"""Condition keys as patterns, and the global ones, which the service reference does not list."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from cml_iam.policy import pattern_matches

_PLACEHOLDER: Final = re.compile(r"\$\{[^}]*\}|<[^>]*>|(?<=/)tag-key$")


@lru_cache(1 << 12)
def key_pattern(key: str) -> str:
    """Return *key* in lower case, with `*` for a placeholder such as `${TagKey}`."""
    return _PLACEHOLDER.sub("*", key).lower()


class Keys(NamedTuple):
    """Condition keys by pattern: `aws:RequestTag/${TagKey}` stands for every tag key."""

    patterns: frozenset[str]

    def has(self, key: str) -> bool:
        """Return whether *key*, in any case, is one of these keys."""
        return _has(self.patterns, key.lower())


@lru_cache(1 << 14)
def _has(patterns: frozenset[str], plain: str) -> bool:
    return plain in patterns or any(
        "*" in pattern and pattern_matches(pattern, plain) for pattern in patterns
    )


_GLOBAL: Final = {
    "String": (
        "aws:CalledViaAWSMCP",
        "aws:CalledViaFirst",
        "aws:CalledViaLast",
        "aws:Ec2InstanceSourceVpc",
        "aws:FederatedProvider",
        "aws:PrincipalAccount",
        "aws:PrincipalOrgID",
        "aws:PrincipalServiceName",
        "aws:PrincipalTag/${TagKey}",
        "aws:PrincipalType",
        "aws:referer",
        "aws:RequestedRegion",
        "aws:ResourceAccount",
        "aws:ResourceOrgID",
        "aws:SourceAccount",
        "aws:SourceIdentity",
        "aws:SourceOrgID",
        "aws:SourceVpc",
        "aws:SourceVpce",
        "aws:UserAgent",
        "aws:userid",
        "aws:username",
        "aws:VpceAccount",
        "aws:VpceOrgID",
        "glue:CredentialIssuingService",
        "glue:RoleAssumedBy",
        "identitystore:UserId",
    ),
    "ARN": (
        "aws:ChatbotSourceArn",
        "aws:PrincipalArn",
        "aws:SignInSessionArn",
        "aws:SourceArn",
        "aws:SourceVpcArn",
        "codebuild:BuildArn",
        "codebuild:ProjectArn",
        "ec2:SourceInstanceArn",
        "lambda:SourceFunctionArn",
        "ssm:SourceInstanceArn",
    ),
    "Bool": (
        "aws:AssumedRoot",
        "aws:IsMcpServiceAction",
        "aws:MultiFactorAuthPresent",
        "aws:PrincipalIsAWSService",
        "aws:SecureTransport",
        "aws:ViaAWSMCPService",
        "aws:ViaAWSService",
    ),
    "IPAddress": ("aws:Ec2InstanceSourcePrivateIPv4", "aws:SourceIp", "aws:VpcSourceIp"),
    "Numeric": ("aws:MultiFactorAuthAge", "ec2:RoleDelivery"),
    "Date": ("aws:CurrentTime", "aws:EpochTime", "aws:TokenIssueTime"),
    "ArrayOfString": (
        "aws:CalledVia",
        "aws:PrincipalOrgPaths",
        "aws:PrincipalServiceNamesList",
        "aws:ResourceOrgPaths",
        "aws:SourceOrgPaths",
        "aws:VpceOrgPaths",
    ),
}
"""Keys that any request may have, whatever the action.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""

_SOMETIMES: Final = {
    "String": ("aws:RequestTag/${TagKey}", "aws:ResourceTag/${TagKey}"),
    "ArrayOfString": ("aws:TagKeys",),
}
"""Keys that are on the same page, but that only some actions have."""

GLOBAL_KEYS: Final = frozenset(key_pattern(name) for names in _GLOBAL.values() for name in names)
GLOBAL_TYPES: Final = {
    key_pattern(name): kind
    for kind, names in (*_GLOBAL.items(), *_SOMETIMES.items())
    for name in names
}
GLOBAL_NAMES: Final = tuple(
    name for table in (_GLOBAL, _SOMETIMES) for names in table.values() for name in names
)

SEVERAL_VALUES: Final = frozenset(
    key for key, kind in GLOBAL_TYPES.items() if kind.startswith("ArrayOf")
)
"""Global keys that are always lists; for keys of services, the reference is not reliable."""
