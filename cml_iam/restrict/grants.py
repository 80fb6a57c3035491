"""Permissions beyond the documented ones; iam:PassRole is limited to one role and EC2.

If any role could be passed, RunInstances would give the permissions of every role.
"""

from __future__ import annotations

from collections.abc import Iterator

from cml_iam.facts import service_principal
from cml_iam.policy import Shape
from cml_iam.restrict._options import Option, Restricted, flag
from cml_iam.restrict._row import KeyTest, Promise, Restriction, Rule


def passed_role(site: Restricted) -> str | None:
    """Return the ARN of the one role that may be passed to a worker."""
    name = site.grant.pass_role
    return f"arn:{site.partition}:iam::{site.account}:role/{name}" if name else None


def to_ec2(site: Restricted) -> KeyTest:
    """Return the test that the role is passed to EC2."""
    return KeyTest("iam:PassedToService", service_principal("ec2", site.partition))


def _rule(site: Restricted) -> Rule:
    return Rule("DenyPassToOthers", (to_ec2(site),), "iam:PassRole", type="")


def _promises(site: Restricted) -> Iterator[Promise]:
    rule, role = _rule(site), passed_role(site)
    if role:
        yield Promise(
            "pass-role",
            f"only the role {site.grant.pass_role} is passed, and only to EC2",
            (Shape(("iam:PassRole",), not_resources=(role,)), rule.fails(site)),
            closing=to_ec2(site).holds,
        )


GRANTED = (
    Restriction(
        name="pass_role",
        splits=False,
        options=(
            Option(
                "pass_role",
                {
                    "description": "The only role that may be passed to a worker (through an"
                    ' instance profile), such as "cml-worker-s3-read".',
                    "$ref": "#/$defs/principal_name",
                },
                str,
            ),
        ),
        rules=lambda site: (_rule(site),),
        promises=_promises,
    ),
    *(
        Restriction(name=option.name, options=(option,), splits=False)
        for option in (
            flag(
                "metric_data",
                "cloudwatch:GetMetricData: read metrics of many workers at once.",
            ),
            flag("detailed_monitoring", "ec2:MonitorInstances: turn on one-minute metrics."),
            flag(
                "instance_type_details",
                "ec2:DescribeInstanceTypes: read the properties of instance types.",
            ),
        )
    ),
)
"""The rows of `[grant]`; the permissions are in `policies/permissions.toml`."""
