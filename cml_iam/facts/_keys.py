"""Condition keys that AWS sends under two names, a global one and one of EC2's own; and tagging.

Which requests have which of the two stands here alone.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/iam-policy-structure.html#amazon-ec2-keys
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_EC2_KEYS: Final = (
    "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/iam-policy-structure.html#amazon-ec2-keys"
)


@dataclass(frozen=True, slots=True)
class Twins:
    """A key with two names; those that end in a slash are completed by the key of a tag.

    Requests to *services* (prefixes of actions) have it under both, all others under *plain* alone.
    """

    plain: str
    other: str
    services: tuple[str, ...]
    page: str


TWINS: Final = (
    Twins("aws:RequestedRegion", "ec2:Region", ("ec2",), _EC2_KEYS),
    Twins("aws:ResourceTag/", "ec2:ResourceTag/", ("ec2", "ec2-instance-connect"), _EC2_KEYS),
)


TAGGING: Final = ("ec2:CreateTags", "ec2:DeleteTags")

LATER: Final = {"Null": {"ec2:CreateAction": "true"}}
"""The condition that tags are of what exists already.

EC2 says ec2:CreateAction of those it sets while it creates:
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
"""


@lru_cache(1 << 13)
def twins(key: str) -> Twins | None:
    """Return what is known of *key*, under either of its names, if it has two."""
    lower = key.lower()
    for pair in TWINS:
        for name in (pair.plain.lower(), pair.other.lower()):
            if lower.startswith(name) if name.endswith("/") else lower == name:
                return pair
    return None


@lru_cache(1 << 13)
def same_key(key: str) -> str:
    """Return one name for all names of a condition key, in lower case."""
    pair = twins(key)
    return (pair.plain + _tag(key)).lower() if pair else key.lower()


@lru_cache(1 << 13)
def every_name(key: str) -> tuple[str, ...]:
    """Return all names of *key*: `aws:RequestedRegion` and `ec2:Region` for either of them."""
    pair = twins(key)
    return (pair.plain + _tag(key), pair.other + _tag(key)) if pair else (key,)


@lru_cache(1 << 13)
def names_of(key: str, action: str) -> tuple[str, ...]:
    """Return the names under which a request for *action* has *key*, if it has it.

    A value given under one name stands under each of them: requests to EC2 have both `ec2:Region`
    and `aws:RequestedRegion`, those to other services `aws:RequestedRegion` alone.
    """
    pair = twins(key)
    names = every_name(key)
    both = pair is None or action.partition(":")[0].lower() in pair.services
    return names if both else names[:1]


def is_region(key: str) -> bool:
    """Say whether *key* holds the region of the request."""
    return same_key(key) == "aws:requestedregion"


def _tag(key: str) -> str:
    return key.partition("/")[2]
