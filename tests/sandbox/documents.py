"""Policies of the tests: the base permissions, and a restricted composition of them."""

from __future__ import annotations

import json
from typing import Any

ACCOUNT = "111122223333"
IMAGE = "ami-0a1b2c3d4e5f60001"
GUARD = {"ManagedBy": "cml-cloud-manager"}

_READS = ["DescribeInstances", "DescribeInstanceStatus", "DescribeImages", "DescribeTags"]
_LIFE = ["StartInstances", "StopInstances", "TerminateInstances"]
_HERE = {"aws:RequestedRegion": ["us-east-1", "us-west-2"]}


def document(*statements: dict[str, Any]) -> str:
    """Return the text of a policy of *statements*."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(*actions: str, on: str | list[str] = "*", **conditions: Any) -> dict[str, Any]:
    """Return a statement that allows *actions*; conditions by operator."""
    made: dict[str, Any] = {"Effect": "Allow", "Action": list(actions), "Resource": on}
    return made | ({"Condition": conditions} if conditions else {})


def deny(*actions: str, on: str | list[str] = "*") -> dict[str, Any]:
    """Return a statement that denies *actions*."""
    return {"Effect": "Deny", "Action": list(actions), "Resource": on}


def _ec2(*names: str) -> list[str]:
    return [f"ec2:{name}" for name in names]


def _arns(*kinds: str) -> list[str]:
    return [f"arn:aws:ec2:*:{ACCOUNT}:{kind}/*" for kind in kinds]


EVERYTHING = document(allow("*"))

BASE = document(
    allow(
        *_ec2("RunInstances", *_LIFE, *_READS, "DescribeRegions", "CreateTags", "DeleteTags"),
        "cloudwatch:GetMetricStatistics",
    )
)

RESTRICTED = document(
    allow(*_ec2(*_READS), "cloudwatch:GetMetricStatistics", StringEquals=_HERE),
    allow("ec2:DescribeRegions"),
    allow(
        "ec2:RunInstances",
        on=_arns("instance"),
        **{
            "StringEquals": {**_HERE, "aws:RequestTag/ManagedBy": GUARD["ManagedBy"]},
            "ForAnyValue:StringEquals": {"aws:TagKeys": "ManagedBy"},
            "StringLike": {"ec2:InstanceType": ["m5zn.metal", "c5.*"]},
        },
    ),
    allow("ec2:RunInstances", on=f"arn:aws:ec2:us-east-1::image/{IMAGE}"),
    allow(
        "ec2:RunInstances",
        on=_arns("subnet", "volume", "security-group", "network-interface", "key-pair"),
        StringEquals=_HERE,
    ),
    allow(
        "ec2:CreateTags",
        on=_arns("instance", "volume", "network-interface"),
        StringEquals={**_HERE, "ec2:CreateAction": "RunInstances"},
    ),
    allow(
        *_ec2(*_LIFE),
        on=_arns("instance"),
        StringEquals={**_HERE, "aws:ResourceTag/ManagedBy": GUARD["ManagedBy"]},
    ),
    allow(
        *_ec2("CreateTags", "DeleteTags"),
        on=_arns("instance"),
        **{
            "StringEquals": {**_HERE, "aws:ResourceTag/ManagedBy": GUARD["ManagedBy"]},
            "Null": {"aws:TagKeys": "false"},
            "ForAllValues:StringNotEqualsIgnoreCase": {"aws:TagKeys": "managedby"},
        },
    ),
)
