"""Partitions of AWS: their regions, and how services are named as principals there."""

from __future__ import annotations

import tomllib
from functools import cache
from typing import Final, Literal, get_args

from cml_iam.policy import did_you_mean
from cml_iam.shipped import shipped_text

Partition = Literal["aws", "aws-cn", "aws-us-gov"]
PARTITIONS: Final[tuple[str, ...]] = get_args(Partition)
"""The partitions whose accounts can be used.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
"""

DOMAINS: Final = {
    "aws": "amazonaws.com",
    "aws-cn": "amazonaws.com.cn",
    "aws-us-gov": "amazonaws.com",
}
"""The domain of the services' endpoints, by partition.

https://docs.aws.amazon.com/general/latest/gr/rande.html
"""


def service_principal(service: str, partition: str) -> str:
    """Return the name of *service*, such as `ec2`, as a principal in *partition*.

    EC2 has a name of its own in China.
    https://docs.amazonaws.cn/en_us/aws/latest/userguide/iam.html
    """
    return f"{service}.{DOMAINS[partition if service == 'ec2' else 'aws']}"


@cache
def known_regions(partition: str) -> tuple[str, ...]:
    """Return the regions of *partition* in the shipped list, which is as old as the release."""
    listed: list[str] = tomllib.loads(shipped_text("policies", "regions.toml"))[partition]
    return tuple(listed)


@cache
def opt_in_regions() -> frozenset[str]:
    """Return the regions that an account has only after it turned them on.

    https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html
    """
    return frozenset(tomllib.loads(shipped_text("policies", "regions.toml"))["opt-in"])


def first_region(partition: str) -> str:
    """Return the region of *partition* that every account has enabled and that IAM is in.

    https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html
    """
    return _FIRST_REGIONS[partition]


_FIRST_REGIONS = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}


def partition_of(region: str) -> str:
    """Return the partition of *region*, by its prefix: a new region has no place in a list yet."""
    prefixes = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
    return next((each for prefix, each in prefixes.items() if region.startswith(prefix)), "aws")


@cache
def all_regions() -> tuple[str, ...]:
    """Return the regions of all partitions in the shipped list."""
    return tuple(region for partition in PARTITIONS for region in known_regions(partition))


def meant_region(region: str, known: tuple[str, ...]) -> str | None:
    """Return a remedy that names the closest of *known*, or None: swapped letters come first."""
    mixed_up = [name for name in known if sorted(name) == sorted(region)]
    return did_you_mean(region, mixed_up) or did_you_mean(region, known)
