"""Workers are launched only into these subnets."""

from __future__ import annotations

from cml_iam.restrict._options import Restricted, listed
from cml_iam.restrict._row import Case, KeyTest, Only, Restriction, Rule

_OTHER = {"subnet": "subnet-0f04e190000000001"}
_OTHER_INTERFACE = {**_OTHER, "network_interface": "eni-0f04e190000000001"}


def _only(site: Restricted) -> Only:
    # They may be shared by the account that owns them.
    return Only("subnet", site.restrict.subnets, shared=True)


def _rule(site: Restricted) -> Rule:
    # An interface that exists already names no subnet, but it lies in one.
    subnets = KeyTest("ec2:Subnet", _only(site).arns(site), "ArnLike")
    return Rule(
        "DenyInterfacesElsewhere", (subnets,), type="network-interface", allow="LaunchInterface"
    )


SUBNETS = Restriction(
    name="subnets",
    options=(
        listed(
            "subnets",
            "Subnets that workers may be launched into.",
            "^subnet-([0-9a-f]{8}|[0-9a-f]{17})$",
            'a subnet id is "subnet-" and 8 or 17 hexadecimal digits',
        ),
    ),
    title="instances are launched only into the listed subnets",
    rules=lambda site: (_rule(site),),
    resources=lambda site: (_only(site),),
    usual=lambda site, _: {"subnet": site.restrict.subnets[0]},
    variants=lambda site, _: ({"subnet": each} for each in site.restrict.subnets[1:]),
    cases=lambda _: (
        Case("into another subnet", _OTHER, "subnet", "other resources"),
        Case(
            "with an interface in another subnet",
            _OTHER_INTERFACE,
            "network-interface",
            "other resources",
        ),
    ),
)
