"""The current time, working hours in a time zone, and durations as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from cml_iam.errors import InputError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_DAY_MINUTES: Final = 24 * 60
_TEXT: Final = re.compile(r"([a-z+-]+) (\d\d):(\d\d)-(\d\d):(\d\d)")
# At most 9,999 days: no computer has older data.
_LENGTH: Final = re.compile(r"(?![0-9]{5}\s*d)([0-9]{1,5})\s*([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Hours(NamedTuple):
    """Working hours: *opens* and *closes* are minutes of the day; in *days*, Monday is 0."""

    zone: str = "UTC"
    opens: int = 7 * 60
    closes: int = 18 * 60
    days: tuple[int, ...] = (0, 1, 2, 3, 4)

    def __str__(self) -> str:
        return f"{_days_text(self.days)} {_at(self.opens)}-{_at(self.closes)} {self.zone}"


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def parse_hours(text: str, zone: str) -> Hours:
    """Parse working hours such as `mon-fri 07:00-18:00` in the time zone *zone*.

    Days are a single day (`sat`), a range, or several of these joined by `+`. Raises InputError.
    """
    match = _TEXT.fullmatch(" ".join(text.lower().split()))
    days = _days(match[1]) if match else None
    if not match or days is None:
        raise InputError(f"not working hours: `{text}`", remedy="write `mon-fri 07:00-18:00`")
    opens, closes = (int(match[n]) * 60 + int(match[n + 1]) for n in (2, 4))
    if not opens < closes <= _DAY_MINUTES or int(match[3]) > 59 or int(match[5]) > 59:
        raise InputError(f"working hours must end after they begin: `{text}`")
    time_zone(zone)
    return Hours(zone, opens, closes, days)


def time_zone(name: str) -> ZoneInfo:
    """Return the time zone called *name*; raises InputError if the system does not know it."""
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise InputError(
            f"no time zone `{name}`", remedy="use a name such as Europe/Berlin, or UTC"
        ) from None


def short_span(length: timedelta) -> str:
    """Return *length* in its two largest units, such as `2d 3h`, `3h 4m` or `4m`."""
    minutes = max(0, int(length.total_seconds()) // 60)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [f"{count}{unit}" for count, unit in ((days, "d"), (hours, "h"), (minutes, "m"))]
    first = next((place for place, part in enumerate(parts) if part[0] != "0"), 2)
    return " ".join(parts[first : first + 2])


def parse_length(text: str) -> timedelta:
    """Parse a duration: `90s`, `15m`, `1h`, `7d`; raises InputError."""
    match = _LENGTH.fullmatch(text.strip())
    if not match:
        raise InputError(f"not a length of time: `{text}`", remedy="write 90s, 15m, 1h or 7d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _days(text: str) -> tuple[int, ...] | None:
    numbers: set[int] = set()
    for part in text.split("+"):
        first, dash, last = part.partition("-")
        if not {first, last if dash else first} <= set(DAYS):
            return None
        begin, end = DAYS.index(first), DAYS.index(last if dash else first)
        numbers |= {(begin + n) % 7 for n in range((end - begin) % 7 + 1)}
    return tuple(sorted(numbers))


def _days_text(days: tuple[int, ...]) -> str:
    runs: list[list[int]] = []
    for day in days:
        if not runs or runs[-1][-1] != day - 1:
            runs.append([])
        runs[-1].append(day)
    names = (DAYS[run[0]] if len(run) == 1 else f"{DAYS[run[0]]}-{DAYS[run[-1]]}" for run in runs)
    return "+".join(names)


def _at(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
