"""Workers are launched only with these security groups."""

from __future__ import annotations

from typing import Final

from cml_iam.facts import Assumption
from cml_iam.restrict._options import Restricted, listed
from cml_iam.restrict._row import Case, Only, Restriction

GROUPS_OF_INTERFACE: Final = Assumption(
    "limit",
    "security-groups",
    "an instance launched on an existing network interface has the security groups of that "
    "interface, which no condition key of the launch names",
    "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html",
)


def _only(site: Restricted) -> Only:
    return Only("security-group", site.restrict.security_groups)


SECURITY_GROUPS = Restriction(
    name="security_groups",
    options=(
        listed(
            "security_groups",
            "Security groups that workers may be launched with.",
            "^sg-([0-9a-f]{8}|[0-9a-f]{17})$",
            'a security group id is "sg-" and 8 or 17 hexadecimal digits',
        ),
    ),
    title="instances are launched only with the listed security groups",
    resources=lambda site: (_only(site),),
    limits=(GROUPS_OF_INTERFACE,),
    usual=lambda site, _: {"security_groups": site.restrict.security_groups},
    cases=lambda _: (
        Case(
            "with another security group",
            {"security_groups": ("sg-0f04e190000000001",)},
            "security-group",
            "other resources",
        ),
    ),
)
