"""Business hours of a time zone as CloudWatch metric math, which knows only UTC.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from cml_iam.clock import Hours, time_zone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

YEARS: Final = 5
"""For how many years changes to and from summer time are written down."""

_DAY: Final = 86400


def closed_queries(metric: dict[str, Any], hours: Hours, year: int) -> list[dict[str, Any]]:
    """Return metric queries of which `closed` is *metric* (its query is `m1`) outside *hours*.

    Changes of the clock are known from *year* on for `YEARS` years. Every id is of one query.
    """
    rest = sorted(set(range(7)) - set(hours.days))
    base, changes = _clock(time_zone(hours.zone), year)
    if base == 0 and not changes:
        minute = "HOUR(m1) * 60 + MINUTE(m1)"
        closed = [f"DAY(m1) == {day + 1}" for day in rest]
        closed += [f"({minute}) < {hours.opens}", f"({minute}) >= {hours.closes}"]
        return [metric, _query("closed", f"IF({' || '.join(closed)}, m1, 0)", result=True)]
    local = f"EPOCH(m1) + {base}" + "".join(
        f" + {shift} * (EPOCH(m1) >= {moment})" for moment, shift in changes
    )
    closed = [f"weekday == {day}" for day in rest]
    closed += [f"second < {hours.opens * 60}", f"second >= {hours.closes * 60}"]
    return [
        metric,
        _query("local", local),
        _query("day", f"FLOOR(local / {_DAY})"),
        _query("second", f"local - {_DAY} * day"),
        # 1970 began on a Thursday.
        _query("weekday", "day + 3 - 7 * FLOOR((day + 3) / 7)"),
        _query("closed", f"IF({' || '.join(closed)}, m1, 0)", result=True),
    ]


def _query(name: str, expression: str, *, result: bool = False) -> dict[str, Any]:
    return {"Id": name, "Expression": expression, "ReturnData": result}


def _clock(zone: ZoneInfo, year: int) -> tuple[int, tuple[tuple[int, int], ...]]:
    """Return the offset to UTC in seconds when *year* begins, and moments with what they add."""
    start = datetime(year, 1, 1, tzinfo=UTC)
    return _offset(zone, start), tuple(_changes(zone, start, start.replace(year=year + YEARS)))


def _changes(zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[tuple[int, int]]:
    step = timedelta(hours=12)
    while start < end:
        shift = _offset(zone, start + step) - _offset(zone, start)
        if shift:
            yield _moment(zone, start, start + step), shift
        start += step


def _moment(zone: ZoneInfo, before: datetime, after: datetime) -> int:
    """Return the second at which the offset becomes that of *after*."""
    old, low, high = _offset(zone, before), int(before.timestamp()), int(after.timestamp())
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, datetime.fromtimestamp(middle, UTC)) == old:
            low = middle
        else:
            high = middle
    return high


def _offset(zone: ZoneInfo, moment: datetime) -> int:
    offset = moment.astimezone(zone).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0
