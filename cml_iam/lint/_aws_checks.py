"""The checks of AWS's policy validator, by the corresponding rule.

The names are those of AWS's page. A rule may find more than the check does, or decide more exactly;
checks missing here have no rule of their own.
https://docs.aws.amazon.com/IAM/latest/UserGuide/access-analyzer-reference-policy-checks.html
"""

from __future__ import annotations

from typing import Final

CHECKS_PAGE: Final = (
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/access-analyzer-reference-policy-checks.html"
)

AWS_CHECKS: Final[dict[str, tuple[str, ...]]] = {
    "CML101": ("Json syntax error",),
    "CML102": (
        "Data type mismatch",
        "Empty array action",
        "Empty array principal",
        "Empty array resource",
        "Empty object principal",
        "Invalid effect",
        "Invalid policy element",
        "Invalid principal key",
        "Invalid version",
        "Missing action",
        "Missing effect",
        "Missing statement",
        "Unsupported element combination",
    ),
    "CML103": (
        "Policy size exceeds RCP quota",
        "Policy size exceeds SCP quota",
        "Policy size exceeds identity policy quota",
        "Policy size exceeds resource policy quota",
        "Policy size exceeds role trust policy quota",
    ),
    "CML104": (
        "Missing principal",
        "Missing resource",
        "Role trust policy syntax error resource",
        "SCP syntax error principal",
        "Unsupported principal",
    ),
    "CML105": (
        "Unique Sids recommended",
        "Unique Sids required",
        "Unsupported Sid",
    ),
    "CML106": ("Variable unsupported in version",),
    "CML107": ("Missing version",),
    "CML108": (
        "Empty variable",
        "Missing brace in variable",
        "Missing quote in variable",
        "Unsupported space in variable",
        "Variable unsupported in element",
    ),
    "CML109": (
        "Empty Sid value",
        "Empty object condition",
    ),
    "CML201": (
        "Invalid action",
        "Invalid service",
        "Invalid service in action",
        "Wildcard in service name",
    ),
    "CML202": (
        "Invalid condition operator",
        "Null with if exists",
    ),
    "CML203": (
        "Invalid condition key format",
        "Invalid global condition key",
        "Invalid service condition key",
        "Missing tag key in condition",
        "Unsupported global condition key",
    ),
    "CML204": (
        "Empty array condition",
        "Empty array condition ForAllValues",
        "Empty array condition ForAnyValue",
        "Empty array condition IfExists",
        "Invalid date value",
        "Invalid variable for operator",
        "Type mismatch Boolean",
        "Type mismatch IP range",
        "Type mismatch date",
        "Type mismatch number",
    ),
    "CML205": ("Wildcard without like operator",),
    "CML206": (
        "Invalid ARN account",
        "Invalid ARN prefix",
        "Invalid ARN service case",
        "Invalid partition",
        "Missing ARN field",
    ),
    "CML207": (
        "Missing qualifier",
        "Null with qualifier",
        "Type mismatch",
        "Type mismatch string",
    ),
    "CML208": (
        "Invalid ARN Region",
        "Invalid Region",
    ),
    "CML209": ("Missing ARN Region",),
    "CML210": (
        "Invalid condition data type",
        "Invalid condition multiple Boolean",
    ),
    "CML211": (
        "Federated principal not supported",
        "Invalid federated principal syntax in role trust policy",
        "Invalid principal format",
        "Invalid service principal format",
        "Unsupported wildcard in principal",
    ),
    "CML213": (
        "Invalid role reference",
        "Invalid user reference",
    ),
    "CML214": (
        "Mismatched action for principal",
        "Missing action for condition key",
        "Missing action for roles anywhere trust policy",
    ),
    "CML215": (
        "RCP syntax error NotAction",
        "RCP syntax error action",
        "RCP syntax error allow",
        "RCP syntax error principal",
    ),
    "CML216": (
        "Invalid vpc format",
        "Invalid vpce format",
    ),
    "CML301": ("Redundant statement",),
    "CML302": (
        "Allow with unsupported tag condition key for service",
        "Deny with unsupported tag condition key for service",
    ),
    "CML303": (
        "ARN Region not allowed",
        "ARN account not allowed",
        "Invalid ARN resource",
        "Unsupported resource ARN in policy",
    ),
    "CML306": ("Duplicate keys with different case",),
    "CML309": (
        "Private IP address",
        "Private IP address subset",
        "Private NotIpAddress",
        "Private NotIpAddress subset",
    ),
    "CML310": (
        "Allow NotAction with unsupported tag condition key for service",
        "Deny NotAction with unsupported tag condition key for service",
    ),
    "CML311": (
        "Redundant action",
        "Redundant condition value num",
        "Redundant principal in role trust policy",
        "Redundant resource",
    ),
    "CML312": ("Improve IP range",),
    "CML318": ("Irrelevant condition key in policy",),
    "CML319": ("Unsupported condition key for service principal",),
    "CML506": ("ForAllValues with single valued key",),
    "CML507": ("Missing paired condition keys",),
    "CML508": ("String like operator with ARN condition keys",),
    "CML521": ("Role trust policy unsupported wildcard in principal",),
    "CML522": (
        "Missing condition key for oidc principal",
        "Missing github repo condition key",
    ),
    "CML523": ("Specific github repo and branch recommended",),
    "CML525": (
        "Allow with NotPrincipal",
        "Role trust policy syntax error notprincipal",
    ),
    "CML526": (
        "Recommended condition key for service principal",
        "Restrict access to service principal",
    ),
    "CML602": (
        "Create SLR with NotAction and NotResource",
        "Create SLR with star in action and NotResource",
        "Create SLR with star in action and resource",
        "Create SLR with star in resource and NotAction",
        "Pass role with NotAction and NotResource",
        "Pass role with star in action and resource",
        "Pass role with star in resource and NotAction",
    ),
    "CML603": (
        "Pass role with NotResource",
        "Pass role with star in action and NotResource",
        "Pass role with star in resource",
    ),
    "CML605": (
        "Create SLR with NotResource",
        "Create SLR with star in resource",
    ),
}
