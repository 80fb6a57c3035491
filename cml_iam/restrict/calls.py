"""Restrictions on every call: its region, the address it comes from, MFA for some; the grants.

Grants are permissions beyond the documented ones. iam:PassRole is limited to one role and EC2: if
any role could be passed, RunInstances would give the permissions of every role.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from cml_iam.catalogue import load_catalogue
from cml_iam.facts import Assumption, service_principal
from cml_iam.policy import Shape
from cml_iam.restrict._options import (
    REGION,
    Contradiction,
    Option,
    Restricted,
    flag,
    list_of,
    listed,
)
from cml_iam.restrict._row import Case, KeyTest, Promise, Restriction, Rule, listing, permissions

_REGIONS_PAGE = (
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/"
    "reference_policies_condition-keys.html#condition-keys-requestedregion"
)


def _in_regions(site: Restricted) -> KeyTest:
    return KeyTest("aws:RequestedRegion", site.restrict.regions)


def _anywhere(site: Restricted) -> list[str]:
    return [permission.action for permission in permissions(site) if permission.any_region]


def _outside_regions(site: Restricted) -> Iterator[Rule]:
    inside = _in_regions(site)
    yield Rule("DenyOutsideRegions", (inside,), "*", type="", not_actions=_anywhere(site))


def _regional(site: Restricted) -> Iterator[Promise]:
    """Promise that no action works in another region; actions of the catalogue are better examples.

    Calls with the same answer in every region (DescribeRegions) may be sent to any region.
    """
    elsewhere = _in_regions(site).fails
    actions = tuple(permission.action for permission in permissions(site))
    regional = tuple(action for action in actions if action not in _anywhere(site))
    anywhere = " and ".join(_anywhere(site))
    text = f"{anywhere} may be used in any region, because its answer is the same everywhere"
    yield Promise(
        "regions",
        f"nothing can be done outside {listing(site.restrict.regions)}",
        (Shape(regional, conditions=elsewhere), Shape(not_actions=actions, conditions=elsewhere)),
        closing=_in_regions(site).holds,
        limits=(Assumption("limit", "regions", text, _REGIONS_PAGE),) if anywhere else (),
    )


REGIONS = Restriction(
    name="regions",
    main=True,
    splits=False,
    options=(
        Option(
            "regions",
            {"description": "The regions in which the manager may act.", **list_of(REGION)},
            tuple,
        ),
    ),
    rules=_outside_regions,
    promises=_regional,
)

_ADDRESS = "aws:SourceIp"
_OTHER_ADDRESSES = ("198.51.100.66", "192.0.2.66", "8.8.8.8")
_INVENTORY = ("ec2:DescribeInstances",)


def _from_networks(site: Restricted) -> Rule:
    # Calls that AWS makes on the manager's behalf have other addresses, and are left alone.
    inside = KeyTest(_ADDRESS, site.restrict.source_ips, "IpAddress")
    by_aws = KeyTest("aws:ViaAWSService", "true", "Bool")
    return Rule("DenyOtherNetworks", (inside, by_aws), "*", type="")


def addresses(site: Restricted) -> tuple[str, ...]:
    """Return an address in each range from which the manager may call."""
    return tuple(str(network[0]) for network in _networks(site))


def _networks(site: Restricted) -> list[IPv4Network | IPv6Network]:
    return [ip_network(text, strict=False) for text in site.restrict.source_ips]


def _calls_from(site: Restricted) -> Iterator[Case]:
    networks = _networks(site)
    outside = (
        address
        for address in _OTHER_ADDRESSES
        if not any(ip_address(address) in network for network in networks)
    )
    other = next(outside, None)
    if other is None:
        return
    yield Case(f"from {other}", actions=load_catalogue().actions, context={_ADDRESS: other})
    for address in addresses(site):
        yield Case(f"from {address}", actions=_INVENTORY, context={_ADDRESS: address}, allowed=True)
    yield Case(
        "by an AWS service for the manager",
        actions=_INVENTORY,
        context={_ADDRESS: other, "aws:ViaAWSService": "true"},
        allowed=True,
    )


def _bad_ranges(site: Restricted) -> Iterator[Contradiction]:
    for index, text in enumerate(site.restrict.source_ips):
        try:
            ip_network(text, strict=False)
        except ValueError:
            path = ("restrict", "source_ips", index)
            yield Contradiction(f"not an address or range: `{text}`", path)


SOURCE_IPS = Restriction(
    name="source_ips",
    options=(
        listed(
            "source_ips",
            "The addresses (CIDR) from which the manager may call. Calls through a VPC endpoint "
            "have no public address and are refused.",
            "^[0-9a-fA-F.:]+(/[0-9]{1,3})?$",
            'an address range is written as "203.0.113.0/24" or "2001:db8::/32"',
        ),
    ),
    splits=False,
    title="nothing can be done from outside {}",
    rules=lambda site: (_from_networks(site),),
    cases=_calls_from,
    contradictions=_bad_ranges,
)

_MFA = "aws:MultiFactorAuthPresent"
_TERMINATE = "ec2:TerminateInstances"


def _never_has_mfa(site: Restricted) -> Iterator[Contradiction]:
    if site.user:
        yield Contradiction(
            "a user's access key never has MFA, so nothing could be terminated",
            ("restrict", "mfa_to_terminate"),
            "use a `role`, or remove `mfa_to_terminate`",
            name=True,
        )


MFA_TO_TERMINATE = Restriction(
    name="mfa_to_terminate",
    options=(
        flag(
            "mfa_to_terminate",
            "Terminating a worker needs a session with MFA, which a user's access key alone never "
            "has.",
        ),
    ),
    splits=False,
    title="nothing can be terminated without MFA",
    rules=lambda _: (
        Rule("DenyTerminateWithoutMfa", (KeyTest(_MFA, "true", "Bool"),), _TERMINATE, type=""),
    ),
    cases=lambda _: (
        Case("without MFA", name="without-mfa", actions=(_TERMINATE,), context={_MFA: "false"}),
    ),
    contradictions=_never_has_mfa,
)


def passed_role(site: Restricted) -> str | None:
    """Return the ARN of the one role that may be passed to a worker."""
    name = site.grant.pass_role
    return f"arn:{site.partition}:iam::{site.account}:role/{name}" if name else None


def to_ec2(site: Restricted) -> KeyTest:
    """Return the test that the role is passed to EC2."""
    return KeyTest("iam:PassedToService", service_principal("ec2", site.partition))


def _passing(site: Restricted) -> Rule:
    return Rule("DenyPassToOthers", (to_ec2(site),), "iam:PassRole", type="")


def _passed(site: Restricted) -> Iterator[Promise]:
    rule, role = _passing(site), passed_role(site)
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
        rules=lambda site: (_passing(site),),
        promises=_passed,
    ),
    *(
        Restriction(name=option.name, options=(option,), splits=False)
        for option in (
            flag("metric_data", "cloudwatch:GetMetricData: read metrics of many workers at once."),
            flag("detailed_monitoring", "ec2:MonitorInstances: turn on one-minute metrics."),
            flag(
                "instance_type_details",
                "ec2:DescribeInstanceTypes: read the properties of instance types.",
            ),
        )
    ),
)
"""The rows of `[grant]`; the permissions are in `policies/permissions.toml`."""
