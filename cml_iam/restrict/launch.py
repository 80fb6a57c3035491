"""Restrictions on a launch: its instance type, network, metadata, market and disks.

Once it is restricted by resource, a launch may use no snapshot (it would let the caller read any
disk of the account), launch template, placement group or Spot request: the manager uses none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cml_iam.facts import Assumption
from cml_iam.policy import Shape, pattern_matches
from cml_iam.restrict._options import Restricted, flag, ids, listed
from cml_iam.restrict._row import RUN, Case, KeyTest, Only, Promise, Restriction, Rule, own
from cml_iam.restrict.guard_tag import guard_tag

_OTHER_TYPES = ("t2.micro", "p5.48xlarge", "u-24tb1.metal", "mac2.metal", "x1e.32xlarge")


def _other_type(site: Restricted) -> Iterator[Case]:
    """Yield a launch of a type that the site does not list, if there is one."""
    patterns = site.restrict.instance_types
    for kind in _OTHER_TYPES:
        if not any(pattern_matches(pattern, kind) for pattern in patterns):
            yield Case(f"a {kind}", {"instance_type": kind}, situation="other type", name=kind)
            return


def _a_type(pattern: str) -> str:
    family, _, size = pattern.partition(".")
    family = family.replace("*", "m5").replace("?", "5")
    return f"{family}.{size.replace('*', 'large' if size == '*' else '').replace('?', '2')}"


def _listed_types(site: Restricted, _: str) -> Iterator[dict[str, str]]:
    for pattern in site.restrict.instance_types:
        yield {"instance_type": _a_type(pattern)}


INSTANCE_TYPES = Restriction(
    name="instance_types",
    main=True,
    options=(
        listed(
            "instance_types",
            "The instance types that may be launched; * and ? are wildcards.",
            r"^[a-z0-9*?-]+\.[a-z0-9*?-]+$",
            'an instance type is a family and a size in lower case, such as "c5.large", "c5.*" or'
            ' "*.metal"',
        ),
    ),
    title="instances are launched only as {}",
    rules=lambda site: (
        Rule(
            "DenyOtherInstanceTypes",
            (KeyTest("ec2:InstanceType", site.restrict.instance_types, "StringLike"),),
        ),
    ),
    usual=lambda site, region: next(
        iter(_listed_types(site, region)), {"instance_type": "c5.2xlarge"}
    ),
    variants=_listed_types,
    cases=_other_type,
)

_ELSEWHERE = {"subnet": "subnet-0f04e190000000001"}


def listed_subnets(site: Restricted) -> Only:
    """Return the subnets of *site*, which may be shared by the account that owns them."""
    return Only("subnet", site.restrict.subnets, shared=True)


def _in_listed_subnets(site: Restricted) -> Rule:
    # An interface that exists already names no subnet, but it lies in one.
    subnets = KeyTest("ec2:Subnet", listed_subnets(site).arns(site), "ArnLike")
    return Rule(
        "DenyInterfacesElsewhere", (subnets,), type="network-interface", allow="LaunchInterface"
    )


SUBNETS = Restriction(
    name="subnets",
    options=(
        ids("subnets", "The subnets into which workers may be launched.", "a subnet id", "subnet"),
    ),
    title="instances are launched only into the listed subnets",
    rules=lambda site: (_in_listed_subnets(site),),
    resources=lambda site: (listed_subnets(site),),
    usual=lambda site, _: {"subnet": site.restrict.subnets[0]},
    variants=lambda site, _: ({"subnet": subnet} for subnet in site.restrict.subnets[1:]),
    cases=lambda _: (
        Case("into another subnet", _ELSEWHERE, "subnet", "other resources"),
        Case(
            "with an interface in another subnet",
            {**_ELSEWHERE, "network_interface": "eni-0f04e190000000001"},
            "network-interface",
            "other resources",
        ),
    ),
)

GROUPS_OF_INTERFACE: Final = Assumption(
    "limit",
    "security-groups",
    "an instance launched on an existing network interface has the security groups of that "
    "interface, which no condition key of the launch contains",
    "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html",
)

SECURITY_GROUPS = Restriction(
    name="security_groups",
    options=(
        ids(
            "security_groups",
            "The security groups with which workers may be launched.",
            "a security group id",
            "sg",
        ),
    ),
    title="instances are launched only with the listed security groups",
    resources=lambda site: (Only("security-group", site.restrict.security_groups),),
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


IMDSV2 = Restriction(
    name="imdsv2",
    options=(
        flag("imdsv2", "A launch must require IMDSv2 (MetadataOptions.HttpTokens=required)."),
    ),
    title="every launched instance requires a token for its metadata (IMDSv2)",
    rules=lambda _: (
        Rule("DenyLaunchWithoutImdsv2", (KeyTest("ec2:MetadataHttpTokens", "required"),)),
    ),
    usual=lambda *_: {"metadata_tokens": "required"},
    cases=lambda _: (
        Case("without IMDSv2", {"metadata_tokens": "optional"}),
        Case("without a setting for IMDSv2", {"metadata_tokens": ""}),
    ),
)

ON_DEMAND_ONLY = Restriction(
    name="on_demand_only",
    options=(flag("on_demand_only", "No Spot instances."),),
    title="no Spot instance can be launched",
    rules=lambda _: (Rule("DenySpot", (KeyTest("ec2:InstanceMarketType", "on-demand"),)),),
    cases=lambda _: (Case("as a Spot instance", {"market": "spot"}),),
)

_ENCRYPTED = KeyTest("ec2:Encrypted", "true", "Bool", denied_by="StringNotEquals")

ENCRYPTED_VOLUMES = Restriction(
    name="encrypted_volumes",
    options=(flag("encrypted_volumes", "Every volume that a launch creates must be encrypted."),),
    title="no unencrypted volume can be created at launch",
    rules=lambda _: (
        Rule("DenyPlainVolumes", (_ENCRYPTED,), type="volume", allow="LaunchEncryptedVolume"),
    ),
    usual=lambda *_: {"encrypted": True},
    cases=lambda _: (Case("with an unencrypted disk", {"encrypted": False}, type="volume"),),
)


def launch_promise(site: Restricted) -> Promise:
    """Promise that a launch uses only its own account, and no snapshot, template or reservation.

    The ARN of an image names no account, and another account may share a listed subnet.
    """
    kinds = ("instance", "key-pair", "network-interface", "volume", "image", "security-group")
    subnets = listed_subnets(site).arns(site, partition="*") or (own(site, "subnet"),)
    resources = (*(own(site, kind) for kind in kinds), *subnets)
    return Promise(
        "launch-resources",
        "a launch can use only images and the account's own key pairs, networks and disks",
        (Shape((RUN,), not_resources=resources),),
    )


def launch_cases(site: Restricted, region: str) -> Iterator[Case]:
    """Yield launches in *region* with resources that the manager does not need.

    Every policy refuses a launch with a role, because iam:PassRole is not in the catalogue.
    """
    marks = [tag for tag in (site.restrict.image_tag, guard_tag(site)) if tag]
    snapshot = {
        "snapshots": ("snap-0f04e190000000001",),
        "snapshot_tags": {tag.key: tag.value for tag in marks},
    }
    template = {"launch_template": "lt-0f04e190000000001"}
    role = {"profile_role": f"arn:{site.partition}:iam::{site.account}:role/admin"}
    for words, changes, kind in (
        ("with a disk made from any snapshot", snapshot, "snapshot"),
        ("through a launch template", template, "launch-template"),
        ("with a role for the instance", role, "role"),
    ):
        yield Case(
            f"{words} in {region}",
            changes,
            kind,
            "other resources",
            name=f"{region}-{kind}",
            region=region,
        )
