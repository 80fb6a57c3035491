"""The window metrics are asked for: whole periods, as fine as the monitoring reports."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cml_iam.errors import InputError

DEFAULT_WINDOW: Final = timedelta(minutes=15)
"""Three periods of basic monitoring: in a shorter window there is often no point at all."""

BASIC_PERIOD, DETAILED_PERIOD = 300, 60
MAX_POINTS = 1440
"""The most that one GetMetricStatistics answers.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html
"""

_PERIODS = (60, 300, 900, 3600, 21600, 86400)
# Points of one minute are kept for 15 days, of five minutes for 63, of an hour for 455.
_KEPT = ((timedelta(days=63), 3600), (timedelta(days=15), 300))


@dataclass(frozen=True, slots=True)
class Window:
    """Whole periods of *period* seconds that cover the *asked* length of time before *end*."""

    start: datetime
    end: datetime
    period: int
    asked: timedelta


def choose_period(window: timedelta, *, detailed: bool) -> int:
    """Return the seconds of a point: as fine as the monitoring, few enough, and still kept."""
    seconds = window.total_seconds()
    least = DETAILED_PERIOD if detailed else BASIC_PERIOD
    for age, kept in _KEPT:
        if window > age:
            least = max(least, kept)
    for period in _PERIODS:
        if period >= least and seconds / period <= MAX_POINTS:
            return period
    raise InputError("the window is longer than CloudWatch keeps points: 455 days")


def window_of(window: timedelta, now: datetime, *, detailed: bool) -> Window:
    """Return the whole periods that cover the last *window* before *now*.

    Raises InputError for a window CloudWatch cannot answer.
    """
    if window < timedelta(minutes=1):
        raise InputError(
            "the window is shorter than a minute", remedy="EC2 reports every minute at the finest"
        )
    if window > timedelta(days=455):
        raise InputError("the window is longer than CloudWatch keeps points: 455 days")
    period = choose_period(window, detailed=detailed)
    # From the start of a period on, so that the first point is a whole one.
    start = int((now - window).timestamp()) // period * period
    return Window(datetime.fromtimestamp(start, UTC), now, period, window)
