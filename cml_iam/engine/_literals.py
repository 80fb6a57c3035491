"""Dates, IP addresses and numbers as IAM parses them in policies and requests.

Dates are in the W3C profile of ISO 8601, or seconds since 1970; addresses and ranges are IPv4 and
IPv6; `10`, `10.0` and `1e1` are the same number.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
https://www.w3.org/TR/NOTE-datetime
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from socket import AF_INET, AF_INET6, inet_pton
from typing import Final, NamedTuple

NANOSECONDS: Final = 1_000_000_000
_EPOCH: Final = re.compile(r"(-?[0-9]{1,18})(?:\.([0-9]{1,9})[0-9]*)?")
_W3C: Final = re.compile(
    r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})(?:T([0-9]{2}):([0-9]{2})"
    r"(?::([0-9]{2})(?:\.([0-9]{1,9})[0-9]*)?)?(Z|[+-][0-9]{2}:[0-9]{2}))?)?)?"
)
_START: Final = datetime(1970, 1, 1, tzinfo=UTC)


def moment(text: str) -> int | None:
    """Return the date *text* in nanoseconds since 1970, or None if it is not a date.

    Four digits are a year; any other whole number is seconds since 1970.
    """
    if match := _W3C.fullmatch(text):
        return _w3c(match)
    if match := _EPOCH.fullmatch(text):
        whole, fraction = int(match[1]) * NANOSECONDS, _nanoseconds(match[2])
        return whole - fraction if text.startswith("-") else whole + fraction
    return None


def _w3c(match: re.Match[str]) -> int | None:
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        date = datetime(
            int(year),
            int(month or 1),
            int(day or 1),
            int(hour or 0),
            int(minute or 0),
            int(second or 0),
            tzinfo=UTC,
        )
    except ValueError:  # the 31st of February, the hour 25
        return None
    offset = _offset(zone)
    if offset is None:
        return None
    return ((date - _START) // timedelta(seconds=1) - offset) * NANOSECONDS + _nanoseconds(fraction)


def _offset(zone: str | None) -> int | None:
    """Return the offset of a time zone from UTC, in seconds."""
    if zone is None or zone == "Z":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 23 or minutes > 59:
        return None
    return (hours * 3600 + minutes * 60) * (-1 if zone[0] == "-" else 1)


def _nanoseconds(fraction: str | None) -> int:
    return int(fraction.ljust(9, "0")) if fraction else 0


class Network(NamedTuple):
    """A range of addresses; *size* is 4 or 16 bytes: the two families never overlap."""

    size: int
    mask: int
    base: int


def address(text: str) -> bytes | None:
    """Return the 4 or 16 bytes of an address, or None if *text* is not one."""
    try:
        return inet_pton(AF_INET6 if ":" in text else AF_INET, text)
    except (OSError, ValueError):  # ValueError: a character no address can have
        return None


def inside(text: str, networks: tuple[Network, ...]) -> bool | None:
    """Return whether the address *text* is in one of *networks*; None if it is not an address."""
    found = address(text)
    if found is None:
        return None
    size, value = len(found), int.from_bytes(found, "big")
    for wanted, mask, base in networks:  # noqa: SIM110 - a loop takes a third of the time of any()
        if size == wanted and value & mask == base:
            return True
    return False


def network(text: str) -> Network | None:
    """Return the range `address/length`, or the range of one address; None if *text* is neither.

    Bits beyond the length are ignored: `192.168.1.7/16` is `192.168.0.0/16`.
    """
    base, slash, length = text.partition("/")
    found = address(base)
    if found is None:
        return None
    bits = len(found) * 8
    if not slash:
        length = str(bits)
    if not (length.isascii() and length.isdigit() and len(length) <= 3 and int(length) <= bits):
        return None
    mask = (1 << bits) - (1 << (bits - int(length)))
    return Network(len(found), mask, int.from_bytes(found, "big") & mask)


_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,300}")
_DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,300}(?:\.[0-9]{0,300})?(?:[eE][+-]?[0-9]{1,3})?")


def number(text: str) -> int | float | None:
    """Return *text* as a number, or None if it is not one."""
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else None
