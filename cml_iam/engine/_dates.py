"""Dates as IAM reads them: the W3C profile of ISO 8601, or seconds since 1970.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html#Conditions_Date
https://www.w3.org/TR/NOTE-datetime
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

NANOSECONDS: Final = 1_000_000_000
_EPOCH: Final = re.compile(r"(-?[0-9]{1,18})(?:\.([0-9]{1,9})[0-9]*)?")
_W3C: Final = re.compile(
    r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})(?:T([0-9]{2}):([0-9]{2})"
    r"(?::([0-9]{2})(?:\.([0-9]{1,9})[0-9]*)?)?(Z|[+-][0-9]{2}:[0-9]{2}))?)?)?"
)
_START: Final = datetime(1970, 1, 1, tzinfo=UTC)


def moment(text: str) -> int | None:
    """Return the nanoseconds from 1970 to the date *text*, or None if it is no date.

    Four digits are a year, any other whole number is seconds since 1970.
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
    """Return the seconds that a zone is ahead of UTC."""
    if zone is None or zone == "Z":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 23 or minutes > 59:
        return None
    return (hours * 3600 + minutes * 60) * (-1 if zone[0] == "-" else 1)


def _nanoseconds(fraction: str | None) -> int:
    return int(fraction.ljust(9, "0")) if fraction else 0
