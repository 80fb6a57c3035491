"""Values by the type of their key: numbers, dates, addresses; one for each part between bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from ipaddress import IPv4Address, IPv6Address
from itertools import count, pairwise
from typing import Final

from cml_iam.engine.parts import NANOSECONDS, address, moment, network, number
from cml_iam.facts import key_type, same_key

_ENDLESS: Final = ("1e999", "-1e999")
"""Numbers beyond all that can be written out."""

FEW: Final = 12


_NAMED: Final = {
    "aws:requestedregion": "Region",
    "aws:principalaccount": "Account",
    "aws:resourceaccount": "Account",
    "aws:sourceaccount": "Account",
}
NAMES: Final = frozenset(_NAMED.values())
"""What some keys hold, besides AWS's types of keys: names, in which there is never a colon."""


def base_type(key: str) -> str:
    """Return the type of *key*, or of its values if it has several; empty if unknown."""
    return _NAMED.get(same_key(key)) or (key_type(key) or "").removeprefix("ArrayOf")


def _unlike(spellings: Iterable[str], plain: Sequence[str]) -> Iterable[str]:
    """Yield two of *spellings*, and go on until one is none of *plain*: texts tell them apart."""
    unlike = False
    for made, text in enumerate(spellings):
        if unlike and made > 1:
            return
        yield text
        unlike = unlike or text not in plain


def _numbers(named: Sequence[str], plain: Sequence[str]) -> list[str]:
    """Return every number of *named*, one between each two, and one beyond either end."""
    exact = sorted({Fraction(n) for v in named if (n := number(v)) is not None and is_finite(n)})
    found: list[str] = []
    for low, high in pairwise(exact):
        found += _between(low, high)
    if exact:
        found += [_decimal(Fraction(exact[0].__floor__() - 1))]
        found += [_decimal(Fraction(exact[-1].__ceil__() + 1)), *_ENDLESS]
    endless = [v for v in named if (n := number(v)) is not None and not is_finite(n)]
    spelt = (text for each in exact for text in _unlike(_spelt(each), plain))
    return [*spelt, *found, *endless, "10"]


def is_finite(found: float) -> bool:
    """Say whether *found* is a number that can be written out."""
    return abs(found) != float("inf")


def _between(low: Fraction, high: Fraction) -> list[str]:
    whole = Fraction(low.__floor__() + 1)
    if low < whole < high:
        return [_decimal(whole)]
    text = _decimal((low + high) / 2)
    read = number(text)
    return [text] if read is not None and low < Fraction(read) < high else []


def _spelt(value: Fraction) -> Iterator[str]:
    """Yield spellings of a number, without end."""
    text = _decimal(value)
    yield text
    yield f"{text}.0" if value.denominator == 1 else f"{text}0"
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    yield from (f"{sign}{'0' * zeros}{digits}" for zeros in count(1))


def _decimal(value: Fraction) -> str:
    """Return the shortest spelling that the engine reads as just this number."""
    if value.denominator == 1:
        return str(value.numerator)
    return repr(float(value)) if Fraction(float(value)) == value else str(float(value))


def _dates(named: Iterable[str], plain: Sequence[str]) -> list[str]:
    """Return every moment of *named*, one between each two, and one beyond either end."""
    exact = sorted({n for v in named if (n := moment(v)) is not None})
    found = [text for each in exact for text in _moment_texts(each, plain)]
    for low, high in pairwise(exact):
        second = (low // NANOSECONDS + 1) * NANOSECONDS
        middle = second if second < high else (low + high) // 2
        if low < middle < high:
            found += _moment_texts(middle, plain)
    if exact:
        before, after = exact[0] // NANOSECONDS - 1, exact[-1] // NANOSECONDS + 1
        for each in (before * NANOSECONDS, after * NANOSECONDS, exact[0] - 1, exact[-1] + 1):
            found += _moment_texts(each, plain)
    return [*found, "2026-01-01T12:00:00Z"]


def moments(named: Iterable[str]) -> list[str]:
    """Return texts of every moment of *named*, of one between each two and of others, in order."""
    found = {at: text for text in _dates(named, ()) if (at := moment(text)) is not None}
    return [found[at] for at in sorted(found)]


def _moment_texts(nanoseconds: int, plain: Sequence[str]) -> list[str]:
    made = list(_unlike(_moment_spelt(nanoseconds), plain))
    return [each for each in made if moment(each) == nanoseconds]


def _moment_spelt(nanoseconds: int) -> Iterator[str]:
    """Yield spellings of a moment, without end: as a date, beyond its years as seconds."""
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
    """Return an address of every range that *named* networks leave, and its ends if few."""
    found = ["198.51.100.99", "2001:db8::99"]
    found += [text for each in plain if _is_long(each) for text in _written(each)]
    for size, make in ((4, IPv4Address), (16, IPv6Address)):
        starts = {0}
        for value in named:
            read = network(value)
            if read is not None and read.size == size:
                starts |= {read.base, read.base + _width(read.mask, size)}
        top = 1 << (size * 8)
        bounds = [*sorted(each for each in starts if each < top), top]
        for low, high in pairwise(bounds):
            several = (low, min(low + 1, high - 1), high - 1) if len(bounds) < FEW else (low,)
            found += [str(make(each)) for each in dict.fromkeys(several)]
    return found


def _is_long(text: str) -> bool:
    return ":" in text and address(text) is not None


def _written(text: str) -> list[str]:
    """Return spellings of an IPv6 address; one of IPv4 has a single one."""
    groups = IPv6Address(address(text) or b"").exploded.split(":")
    short = [f"{int(each, 16):x}" for each in groups]
    made = [":".join((*groups[:n], *short[n:])) for n in range(len(groups) + 1)]
    return list(dict.fromkeys([*made, *(each.upper() for each in made)]))


def all_written(plain: Sequence[str]) -> bool:
    """Say whether *plain* may leave no spelling of an address."""
    return any(set(_written(each)) <= set(plain) for each in plain if _is_long(each))


def _width(mask: int, size: int) -> int:
    return (1 << (size * 8)) - mask


MAKE: Final[Mapping[str, Callable[[Sequence[str], Sequence[str]], list[str]]]] = {
    "numeric": _numbers,
    "date": _dates,
    "ip": _addresses,
}
"""The values for each family of operators, of the values named and the texts compared with."""
