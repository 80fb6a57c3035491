"""Names that stand for accounts, regions and resources in examples: one vocabulary for all."""

from __future__ import annotations

from typing import Final

EXAMPLE_ACCOUNT: Final = "111122223333"
"""The account of an example; AWS's own pages use it."""

OTHER_ACCOUNT: Final = "999999999999"
"""An account that the site has nothing to do with."""

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
"""Regions by partition, those that a reader knows first."""

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
"""What stands for a resource that the policies say nothing of, by its type."""
