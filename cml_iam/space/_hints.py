"""Readable texts: for the fields of a resource's ARN, and as values of condition keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from cml_iam.facts import (
    EXAMPLE_ACCOUNT,
    EXAMPLE_IDS,
    EXAMPLE_REGIONS,
    OTHER_ACCOUNT,
    PARTITIONS,
    same_key,
)
from cml_iam.space._globs import Glob, Wild
from cml_iam.space._types import base_type

if TYPE_CHECKING:
    from cml_iam.space._places import Place

RESOURCE_FIELD: Final = 5
REGIONS: Final = tuple(region for regions in EXAMPLE_REGIONS.values() for region in regions)


def field_hints(place: Place, index: int, globs: Iterable[Glob]) -> list[str]:
    """Return texts that read well in the field *index* of the ARN of a resource of *place*."""
    globs = tuple(globs)
    name = EXAMPLE_IDS.get(place.type, "foreign") if index == RESOURCE_FIELD else "foreign"
    own = {
        1: [*PARTITIONS],
        2: [place.prefix, "s3", "ec2", "iam"],
        3: list(REGIONS),
        4: [EXAMPLE_ACCOUNT, OTHER_ACCOUNT, "444455556666"],
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
    "aws:requestedregion": REGIONS,
    "aws:principalaccount": (OTHER_ACCOUNT, EXAMPLE_ACCOUNT),
    "aws:resourceaccount": (OTHER_ACCOUNT, EXAMPLE_ACCOUNT),
    "aws:username": ("example", "admin"),
    "ec2:imageid": (EXAMPLE_IDS["image"],),
    "ec2:owner": (OTHER_ACCOUNT, "amazon"),
    "ec2:createaction": ("RunInstances", "CreateVolume"),
    "aws:tagkeys": ("Owner", "Name"),
}  # fmt: skip
_BY_TYPE: Final[Mapping[str, tuple[str, ...]]] = {
    "Bool": ("true", "false"),
    "ARN": (
        f"arn:aws:iam::{EXAMPLE_ACCOUNT}:role/other",
        f"arn:aws:iam::{OTHER_ACCOUNT}:role/other",
        f"arn:aws:iam::{OTHER_ACCOUNT}:user/other",
    ),
    "Numeric": ("10",),
    "Date": ("2026-01-01T12:00:00Z",),
    "IPAddress": ("198.51.100.99", "2001:db8::99"),
}
