"""ARN patterns, and the values of their fields: partitions, regions, example accounts and ids.

As in IAM, a wildcard stays inside its field, except in the last.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
"""

from __future__ import annotations

import re
import tomllib
from functools import cache, lru_cache
from typing import Any, Final

from cml_iam.facts._partitions import PARTITIONS
from cml_iam.files import shipped_text
from cml_iam.policy import FIELDS, did_you_mean, pattern_covers, patterns_overlap

ArnPattern = tuple[str, ...]
"""Six patterns, one for each field of an ARN."""

ANY: Final[ArnPattern] = ("*",) * FIELDS
_VARIABLE: Final = re.compile(r"\$\{([*?$])\}|\$\{[^}]*\}")


def arn_pattern(text: str, *, variables: bool = True) -> ArnPattern | None:
    """Return the six fields of *text*, or None if it is neither `*` nor an ARN.

    Missing fields become `*`; a policy variable counts as any text.
    """
    plain = _VARIABLE.sub(lambda match: "?" if match[1] else "*", text) if variables else text
    if plain == "*":
        return ANY
    fields = plain.split(":", FIELDS - 1)
    if fields[0] != "arn":
        return None
    return (*fields, *("*" for _ in range(FIELDS - len(fields))))


def overlap(one: ArnPattern, other: ArnPattern) -> bool:
    """Return whether any ARN matches both; compares the last field first, as it differs most."""
    return patterns_overlap(one[-1], other[-1]) and all(map(patterns_overlap, one, other))


@lru_cache(1 << 14)
def covers(wide: ArnPattern, narrow: ArnPattern) -> bool:
    """Return whether *wide* matches every ARN that *narrow* matches."""
    return all(map(pattern_covers, wide, narrow))


EXAMPLE_ACCOUNT: Final = "111122223333"
"""The account in examples; AWS's own pages use it."""

OTHER_ACCOUNT: Final = "999999999999"
"""An account without any relation to the site."""

EXAMPLE_REGIONS: Final = {
    "aws": (
        "us-east-1",
        "eu-central-1",
        "ap-southeast-2",
        "sa-east-1",
        "us-west-2",
        "eu-west-1",
        "us-east-2",
        "us-west-1",
        "eu-west-2",
        "eu-west-3",
        "eu-north-1",
        "eu-south-1",
        "ap-northeast-1",
        "ap-southeast-1",
        "ap-south-1",
        "ca-central-1",
        "me-central-1",
    ),
    "aws-cn": ("cn-northwest-1", "cn-north-1"),
    "aws-us-gov": ("us-gov-east-1", "us-gov-west-1"),
}
"""Regions by partition, well-known ones first."""

EXAMPLE_IDS: Final = {
    "instance": "i-0foreign000000001",
    "image": "ami-0foreign000000001",
    "volume": "vol-0foreign000000001",
    "network-interface": "eni-0foreign000000001",
    "security-group": "sg-0foreign000000001",
    "subnet": "subnet-0foreign000000001",
    "snapshot": "snap-0foreign000000001",
    "key-pair": "foreign-key",
    "bucket": "foreign-bucket",
    "object": "foreign-object",
    "user": "foreign-user",
    "role": "foreign-role",
    "policy": "foreign-policy",
}
"""Example ids, by type, of resources that the policies do not mention."""


DOMAINS: Final = {
    "aws": "amazonaws.com",
    "aws-cn": "amazonaws.com.cn",
    "aws-us-gov": "amazonaws.com",
}
"""The domain of service endpoints, by partition.

https://docs.aws.amazon.com/general/latest/gr/rande.html
"""


def service_principal(service: str, partition: str) -> str:
    """Return the principal of *service*, such as `ec2`, in *partition*.

    EC2 has a different name in China.
    https://docs.amazonaws.cn/en_us/aws/latest/userguide/iam.html
    """
    return f"{service}.{DOMAINS[partition if service == 'ec2' else 'aws']}"


@cache
def known_regions(partition: str) -> tuple[str, ...]:
    """Return the regions of *partition* in the shipped list, which is as old as the release."""
    return tuple(_regions()[partition])


@cache
def _regions() -> dict[str, Any]:
    return tomllib.loads(shipped_text("policies", "regions.toml"))


@cache
def opt_in_regions() -> frozenset[str]:
    """Return the regions that an account must enable before use.

    https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html
    """
    return frozenset(_regions()["opt-in"])


def first_region(partition: str) -> str:
    """Return the region of *partition* that every account has enabled and that hosts IAM.

    https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html
    """
    return _FIRST_REGIONS[partition]


_FIRST_REGIONS = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}


def partition_of(region: str) -> str:
    """Return the partition of *region*, by its prefix, which also works for new regions."""
    prefixes = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
    return next(
        (partition for prefix, partition in prefixes.items() if region.startswith(prefix)), "aws"
    )


@cache
def all_regions() -> tuple[str, ...]:
    """Return the regions of all partitions in the shipped list."""
    return tuple(region for partition in PARTITIONS for region in known_regions(partition))


def meant_region(region: str, known: tuple[str, ...]) -> str | None:
    """Return a remedy that names the most similar of *known*, or None; prefers swapped letters."""
    mixed_up = [name for name in known if sorted(name) == sorted(region)]
    return did_you_mean(region, mixed_up) or did_you_mean(region, known)
