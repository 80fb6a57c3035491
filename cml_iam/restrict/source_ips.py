"""The manager calls only from these addresses."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from cml_iam.catalogue import load_catalogue
from cml_iam.restrict._options import Contradiction, Restricted, listed
from cml_iam.restrict._row import Case, KeyTest, Restriction, Rule

KEY = "aws:SourceIp"
_OTHER_ADDRESSES = ("198.51.100.66", "192.0.2.66", "8.8.8.8")
_INVENTORY = ("ec2:DescribeInstances",)


def _rule(site: Restricted) -> Rule:
    # Calls that AWS makes on the manager's behalf have other addresses, and are left alone.
    inside = KeyTest(KEY, site.restrict.source_ips, "IpAddress")
    by_aws = KeyTest("aws:ViaAWSService", "true", "Bool")
    return Rule("DenyOtherNetworks", (inside, by_aws), "*", type="")


def addresses(site: Restricted) -> tuple[str, ...]:
    """Return an address in each of the ranges that the manager may call from."""
    ranges = (ip_network(each, strict=False) for each in site.restrict.source_ips)
    return tuple(str(each[0]) for each in ranges)


def _cases(site: Restricted) -> Iterator[Case]:
    allowed = [ip_network(each, strict=False) for each in site.restrict.source_ips]
    outside = (a for a in _OTHER_ADDRESSES if not any(ip_address(a) in each for each in allowed))
    other = next(outside, None)
    if other is None:
        return
    yield Case(f"from {other}", actions=load_catalogue().actions, context={KEY: other})
    for address in addresses(site):
        yield Case(f"from {address}", actions=_INVENTORY, context={KEY: address}, allowed=True)
    yield Case(
        "by an AWS service for the manager",
        actions=_INVENTORY,
        context={KEY: other, "aws:ViaAWSService": "true"},
        allowed=True,
    )


def _contradictions(site: Restricted) -> Iterator[Contradiction]:
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
            "Addresses (CIDR) the manager may call from. Calls through a VPC endpoint have no"
            " public address and are refused.",
            "^[0-9a-fA-F.:]+(/[0-9]{1,3})?$",
            'an address or range of them is written as "203.0.113.0/24" or "2001:db8::/32"',
        ),
    ),
    splits=False,
    title="nothing is done from outside {}",
    rules=lambda site: (_rule(site),),
    cases=_cases,
    contradictions=_contradictions,
)
