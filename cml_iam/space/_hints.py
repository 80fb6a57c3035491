"""Readable texts: for the fields of a resource's ARN, and as values of condition keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from cml_iam.facts import same_key
from cml_iam.space._globs import Glob, Wild
from cml_iam.space._types import base_type

if TYPE_CHECKING:
    from cml_iam.space._places import Place

ACCOUNT: Final = "111122223333"
OTHER_ACCOUNT: Final = "999999999999"
RESOURCE_FIELD: Final = 5
REGIONS: Final = (
    "us-east-1",
    "sa-east-1",
    "us-west-2",
    "eu-central-1",
    "eu-west-1",
    "us-east-2",
    "us-west-1",
    "ap-southeast-2",
    "ap-northeast-1",
    "ap-south-1",
    "eu-west-2",
    "eu-north-1",
    "ca-central-1",
    "cn-north-1",
    "us-gov-west-1",
)
_IDS: Final = {
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


def field_hints(place: Place, index: int, globs: Iterable[Glob]) -> list[str]:
    """Return texts that read well in the field *index* of the ARN of a resource of *place*."""
    globs = tuple(globs)
    name = _IDS.get(place.type, "foreign") if index == RESOURCE_FIELD else "foreign"
    own = {
        1: ["aws", "aws-cn", "aws-us-gov"],
        2: [place.prefix, "s3", "ec2", "iam"],
        3: list(REGIONS),
        4: [ACCOUNT, OTHER_ACCOUNT, "444455556666"],
        5: [],
    }[index]
    made = [*own]
    if place.fields is not None:
        made += _field_filled(place.fields[index - 1], name)
    for each in globs:
        made += _field_filled(each, name)
    if index == 3:
        made.append("")
    return made


def _field_filled(pattern: Glob, name: str) -> Iterator[str]:
    for filler in (name, "", "1"):
        yield "".join(_texts(pattern, filler))


def _texts(pattern: Glob, filler: str) -> Iterator[str]:
    """Yield the texts of *pattern*; `?*`, some text, becomes one filler."""
    before: object = None
    for symbol in pattern.symbols:
        if not isinstance(symbol, Wild):
            yield symbol
        elif symbol is Wild.DIGIT:
            yield "9"
        elif symbol in {Wild.MANY, Wild.MANY_INSIDE}:
            if before not in {Wild.ONE, Wild.ONE_INSIDE}:
                yield filler
        else:
            following = filler or "x"
            yield following if _starts_many(pattern, symbol) else "0"
        before = symbol


def _starts_many(pattern: Glob, symbol: Wild) -> bool:
    number = pattern.symbols.index(symbol)
    return pattern.symbols[number + 1 : number + 2] in {(Wild.MANY,), (Wild.MANY_INSIDE,)}


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
