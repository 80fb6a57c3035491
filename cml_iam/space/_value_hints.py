"""Readable texts as values of condition keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from cml_iam.facts import same_key
from cml_iam.space._globs import Glob, Wild
from cml_iam.space._types import base_type


def hints_for(key: str, globs: Iterable[Glob]) -> list[str]:
    """Return texts that read well as values of *key*."""
    name = same_key(key)
    kind = base_type(key)
    filled = [text for each in globs if each.plain is None for text in _filled(each, name)]
    return [*_HINTS.get(name, ()), *_BY_TYPE.get(kind, ()), *filled, *_OTHER]


def _filled(pattern: Glob, name: str) -> Iterable[str]:
    """Yield *pattern* with something readable for its wildcards."""
    many = "large" if name == "ec2:instancetype" else "example"
    for filler in (many, "", "1"):
        chars = []
        for symbol in pattern.symbols:
            if isinstance(symbol, Wild):
                chars.append(filler if symbol in {Wild.MANY, Wild.MANY_INSIDE} else "2")
            else:
                chars.append(symbol)
        yield "".join(chars)
        if pattern.fold:
            yield "".join(chars).swapcase()


_OTHER: Final = ("something-else", "other", "unlisted", "example")
_HINTS: Final[Mapping[str, tuple[str, ...]]] = {
    "ec2:instancetype": (
        "x2iedn.32xlarge", "c5.large", "c5.metal", "m5.large", "m5zn.metal", "c8i.2xlarge",
        "c8i.metal-96xl", "t3.micro", "u-24tb1.metal", "m5.24xlarge", "p5.48xlarge",
    ),
    "aws:requestedregion": (
        "us-east-1", "sa-east-1", "us-west-2", "eu-central-1", "us-east-2", "us-west-1",
        "eu-west-1", "eu-west-2", "eu-west-3", "eu-north-1", "eu-south-1", "ap-northeast-1",
        "ap-southeast-1", "ap-southeast-2", "ap-south-1", "ca-central-1", "me-central-1",
        "cn-north-1", "us-gov-west-1",
    ),
    "aws:principalaccount": ("999999999999", "111122223333"),
    "aws:resourceaccount": ("999999999999", "111122223333"),
    "aws:username": ("example", "admin"),
    "ec2:imageid": ("ami-0foreign000000001",),
    "ec2:owner": ("999999999999", "amazon"),
    "ec2:createaction": ("RunInstances", "CreateVolume"),
    "aws:tagkeys": ("Owner", "Name"),
}  # fmt: skip
_BY_TYPE: Final[Mapping[str, tuple[str, ...]]] = {
    "Bool": ("true", "false"),
    "ARN": (
        "arn:aws:iam::111122223333:role/other",
        "arn:aws:iam::999999999999:role/other",
        "arn:aws:iam::999999999999:user/other",
    ),
    "Numeric": ("10",),
    "Date": ("2026-01-01T12:00:00Z",),
    "IPAddress": ("198.51.100.99", "2001:db8::99"),
}
