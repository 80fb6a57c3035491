"""IP addresses and ranges, IPv4 and IPv6.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html#Conditions_IPAddress
"""

from __future__ import annotations

from socket import AF_INET, AF_INET6, inet_pton
from typing import NamedTuple


class Network(NamedTuple):
    """A range of addresses; *size* is 4 or 16 bytes: the two families have nothing in common."""

    size: int
    mask: int
    base: int


def address(text: str) -> bytes | None:
    """Return the 4 or 16 bytes of an address, or None if *text* is none."""
    try:
        return inet_pton(AF_INET6 if ":" in text else AF_INET, text)
    except (OSError, ValueError):  # ValueError: a character no address can have
        return None


def inside(text: str, networks: tuple[Network, ...]) -> bool | None:
    """Say whether the address *text* is in one of *networks*; None if it is no address."""
    found = address(text)
    if found is None:
        return None
    size, value = len(found), int.from_bytes(found, "big")
    for wanted, mask, base in networks:  # noqa: SIM110 - a loop takes a third of the time of any()
        if size == wanted and value & mask == base:
            return True
    return False


def network(text: str) -> Network | None:
    """Return the range `address/length`, or of one address; None if *text* is neither.

    Bits behind the length may be set: `192.168.1.7/16` is `192.168.0.0/16`.
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
