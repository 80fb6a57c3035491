"""Example values: readable texts; numbers, dates and addresses between the given bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from itertools import count, pairwise
from math import ceil, floor
from typing import Final

from cml_iam.engine.parts import NANOSECONDS, address, moment, network, number
from cml_iam.facts import (
    EXAMPLE_ACCOUNT,
    EXAMPLE_IDS,
    EXAMPLE_REGIONS,
    OTHER_ACCOUNT,
    key_type,
    same_key,
)
from cml_iam.space._globs import Glob, filled

_ENDLESS: Final = ("1e999", "-1e999")
"""Numbers beyond any number that can be written out."""

FEW: Final = 12
"""With fewer bounds than this, both ends of each range of addresses are examples, too."""

_NAMED: Final = {
    "aws:requestedregion": "Region",
    "aws:principalarn": "Principal",
    "aws:principalaccount": "Account",
    "aws:resourceaccount": "Account",
    "aws:sourceaccount": "Account",
}
"""Condition keys whose values have a documented form beyond AWS's key types, with that form."""

NAMES: Final = frozenset(_NAMED.values())


@lru_cache(1 << 13)
def base_type(key: str) -> str:
    """Return the type of *key*, or of its elements if it is multi-valued; empty if unknown."""
    return _NAMED.get(same_key(key)) or (key_type(key) or "").removeprefix("ArrayOf")


def _unlike(spellings: Iterable[str], plain: Sequence[str]) -> Iterator[str]:
    """Yield at least two spellings, and further ones until one is not among the *plain* texts."""
    unlike = False
    for count_before, text in enumerate(spellings):
        if unlike and count_before > 1:
            return
        yield text
        unlike = unlike or text not in plain


def _numbers(named: Sequence[str], plain: Sequence[str]) -> list[str]:
    """Return the numbers *named*, one between every two of them, and one beyond each end."""
    read = {text: value for text in named if (value := number(text)) is not None}
    exact = sorted({Fraction(value) for value in read.values() if is_finite(value)})
    others = [text for low, high in pairwise(exact) for text in _between(low, high)]
    if exact:
        others += [str(floor(exact[0]) - 1), str(ceil(exact[-1]) + 1), *_ENDLESS]
    endless = [text for text in named if text in read and not is_finite(read[text])]
    spelt = (text for value in exact for text in _unlike(_spelt(value), plain))
    return [*spelt, *others, *endless, "10"]


def is_finite(value: float) -> bool:
    """Return whether *value* is a number that can be written out."""
    return abs(value) != float("inf")


def _between(low: Fraction, high: Fraction) -> list[str]:
    whole = floor(low) + 1
    if whole < high:
        return [str(whole)]
    text = _decimal((low + high) / 2)
    read = number(text)
    return [text] if read is not None and low < Fraction(read) < high else []


def _spelt(value: Fraction) -> Iterator[str]:
    """Yield spellings of a number, endlessly."""
    text = _decimal(value)
    yield text
    yield f"{text}.0" if value.denominator == 1 else f"{text}0"
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    yield from (f"{sign}{'0' * zeros}{digits}" for zeros in count(1))


def _decimal(value: Fraction) -> str:
    """Return the shortest spelling that the engine reads as exactly this number."""
    return str(value.numerator if value.denominator == 1 else float(value))


def _dates(named: Iterable[str], plain: Sequence[str]) -> list[str]:
    """Return the dates *named*, one between every two of them, and one beyond each end."""
    exact = sorted({n for v in named if (n := moment(v)) is not None})
    points = [*exact]
    for low, high in pairwise(exact):
        second = (low // NANOSECONDS + 1) * NANOSECONDS
        middle = second if second < high else (low + high) // 2
        points += [middle] if low < middle < high else []
    if exact:
        before, after = exact[0] // NANOSECONDS - 1, exact[-1] // NANOSECONDS + 1
        points += [before * NANOSECONDS, after * NANOSECONDS, exact[0] - 1, exact[-1] + 1]
    spelt = ((at, text) for at in points for text in _unlike(_moment_spelt(at), plain))
    return [*(text for at, text in spelt if moment(text) == at), "2026-01-01T12:00:00Z"]


def moments(named: Iterable[str]) -> list[str]:
    """Return, in order, texts of the dates *named*, of one between every two, and of others."""
    by_moment = {at: text for text in _dates(named, ()) if (at := moment(text)) is not None}
    return [by_moment[at] for at in sorted(by_moment)]


def _moment_spelt(nanoseconds: int) -> Iterator[str]:
    """Yield spellings of a date, endlessly: as a date, or as seconds if no date can express it."""
    seconds, rest = divmod(nanoseconds, NANOSECONDS)
    end = "Z"
    try:
        date = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
        whole = date.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    except OverflowError:
        seconds, rest = divmod(abs(nanoseconds), NANOSECONDS)
        whole, end = f"{'-' if nanoseconds < 0 else ''}{seconds}", ""
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    yield f"{whole}{fraction}{end}"
    yield from (f"{whole}{fraction or '.'}{'0' * zeros}{end}" for zeros in count(2))


def _addresses(named: Sequence[str], plain: Sequence[str]) -> list[str]:
    """Return an address of every range between the *named* networks, and its ends if few."""
    texts = ["198.51.100.99", "2001:db8::99"]
    texts += [spelt for text in plain if _is_long(text) for spelt in _written(text)]
    networks = [read for value in named if (read := network(value)) is not None]
    for size, make in ((4, IPv4Address), (16, IPv6Address)):
        top = 1 << (size * 8)
        starts = {0}
        for read in networks:
            if read.size == size:
                starts |= {read.base, read.base + top - read.mask}
        bounds = [*sorted(start for start in starts if start < top), top]
        for low, high in pairwise(bounds):
            several = (low, min(low + 1, high - 1), high - 1) if len(bounds) < FEW else (low,)
            texts += [str(make(value)) for value in dict.fromkeys(several)]
    return texts


def _is_long(text: str) -> bool:
    return ":" in text and address(text) is not None


def _written(text: str) -> list[str]:
    """Return spellings of an IPv6 address; an IPv4 address has only one."""
    groups = IPv6Address(address(text) or b"").exploded.split(":")
    short = [f"{int(group, 16):x}" for group in groups]
    spellings = [":".join((*groups[:n], *short[n:])) for n in range(len(groups) + 1)]
    return list(dict.fromkeys([*spellings, *(text.upper() for text in spellings)]))


def all_written(plain: Sequence[str]) -> bool:
    """Return whether *plain* may contain every spelling of an address."""
    return any(set(_written(text)) <= set(plain) for text in plain if _is_long(text))


MAKE: Final[Mapping[str, Callable[[Sequence[str], Sequence[str]], list[str]]]] = {
    "numeric": _numbers,
    "date": _dates,
    "ip": _addresses,
}
"""For each operator family, the function that makes values from the named values and texts."""


def hints_for(key: str, globs: Iterable[Glob]) -> list[str]:
    """Return readable values of *key*."""
    name = same_key(key)
    kind = base_type(key)
    usual = "large" if name == "ec2:instancetype" else "example"
    texts: list[str] = []
    for pattern in (pattern for pattern in globs if pattern.plain is None):
        for text in (filled(pattern, many) for many in (usual, "", "1")):
            texts += [text, text.swapcase()] if pattern.fold else [text]
    return [*_HINTS.get(name, ()), *_BY_TYPE.get(kind, ()), *texts, *_OTHER]


REGIONS: Final = tuple(region for regions in EXAMPLE_REGIONS.values() for region in regions)
_OTHER: Final = ("something-else", "other", "unlisted", "example")
_HINTS: Final[Mapping[str, tuple[str, ...]]] = {
    "ec2:instancetype": (
        "x2iedn.32xlarge", "c5.large", "c5.metal", "m5.large", "m5zn.metal", "c8i.2xlarge",
        "c8i.metal-96xl", "t3.micro", "u-24tb1.metal", "m5.24xlarge", "p5.48xlarge",
    ),
    "aws:requestedregion": REGIONS,
    **dict.fromkeys(
        ("aws:principalaccount", "aws:resourceaccount"), (OTHER_ACCOUNT, EXAMPLE_ACCOUNT)
    ),
    "aws:username": ("example", "admin"),
    "ec2:imageid": (EXAMPLE_IDS["image"],),
    "ec2:owner": (OTHER_ACCOUNT, "amazon"),
    "ec2:createaction": ("RunInstances", "CreateVolume"),
    "aws:tagkeys": ("Owner", "Name"),
}  # fmt: skip
_ARNS: Final = (
    f"arn:aws:iam::{EXAMPLE_ACCOUNT}:role/other",
    f"arn:aws:iam::{OTHER_ACCOUNT}:role/other",
    f"arn:aws:iam::{OTHER_ACCOUNT}:user/other",
)
_BY_TYPE: Final[Mapping[str, tuple[str, ...]]] = {
    "Bool": ("true", "false"),
    "ARN": _ARNS,
    "Principal": _ARNS,
    "Numeric": ("10",),
    "Date": ("2026-01-01T12:00:00Z",),
    "IPAddress": ("198.51.100.99", "2001:db8::99"),
}
