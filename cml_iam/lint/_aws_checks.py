"""The checks that AWS's own validator makes of a policy, by the rule here that is about the same.

The names are those of AWS's page. A rule may find more than the check does, or decide it more
exactly; a check that is not here has no rule of its own.
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
        "Policy size exceeds identity policy quota",
        "Policy size exceeds resource policy quota",
        "Policy size exceeds role trust policy quota",
        "Policy size exceeds SCP quota",
    ),
    "CML104": (
        "Missing principal",
        "Missing resource",
        "Role trust policy syntax error resource",
        "SCP syntax error principal",
        "Unsupported principal",
    ),
    "CML105": ("Unique Sids required", "Unsupported Sid"),
    "CML106": ("Variable unsupported in version",),
    "CML201": ("Invalid action", "Invalid service in action"),
    "CML202": ("Invalid condition operator", "Null with if exists"),
    "CML203": ("Invalid condition key format", "Invalid service condition key"),
    "CML204": (
        "Empty array condition ForAllValues",
        "Empty array condition ForAnyValue",
        "Invalid variable for operator",
        "Type mismatch Boolean",
        "Type mismatch IP range",
    ),
    "CML205": ("Wildcard without like operator",),
    "CML206": ("Invalid ARN account", "Invalid ARN prefix", "Invalid partition"),
    "CML211": (
        "Federated principal not supported",
        "Invalid federated principal syntax in role trust policy",
        "Invalid principal format",
        "Invalid service principal format",
        "Unsupported wildcard in principal",
    ),
    "CML213": ("Invalid role reference", "Invalid user reference"),
    "CML214": (
        "Mismatched action for principal",
        "Missing action for condition key",
        "Missing action for roles anywhere trust policy",
    ),
    "CML301": ("Redundant statement",),
    "CML303": ("ARN Region not allowed", "Invalid ARN resource"),
    "CML306": ("Duplicate keys with different case",),
    "CML318": ("Irrelevant condition key in policy",),
    "CML319": ("Unsupported condition key for service principal",),
    "CML521": ("Role trust policy unsupported wildcard in principal",),
    "CML522": ("Missing condition key for oidc principal", "Missing github repo condition key"),
    "CML523": ("Specific github repo and branch recommended",),
    "CML525": ("Allow with NotPrincipal", "Role trust policy syntax error notprincipal"),
    "CML526": ("Restrict access to service principal",),
    "CML603": (
        "Pass role with NotResource",
        "Pass role with star in action and NotResource",
        "Pass role with star in resource",
    ),
}
