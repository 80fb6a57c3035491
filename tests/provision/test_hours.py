"""The hours of a zone in metric math say what the zone's own clock says."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from cml_iam.errors import InputError
from cml_iam.provision import Hours, parse_hours
from cml_iam.provision._watch import YEARS, closed_queries

if TYPE_CHECKING:
    from types import CodeType

WEEK = "mon-fri 07:00-18:00"
METRIC = {"Id": "m1"}


@cache
def _compiled(expression: str) -> CodeType:
    return compile(expression.replace("||", " or "), "<metric math>", "eval")


def is_closed(queries: list[dict[str, Any]], moment: datetime) -> bool:
    """Do what CloudWatch does with the queries, for one event at *moment*."""
    names: dict[str, Any] = {
        "m1": moment,
        "EPOCH": lambda each: int(each.timestamp()),
        "HOUR": lambda each: each.hour,
        "MINUTE": lambda each: each.minute,
        "DAY": lambda each: each.isoweekday(),
        "FLOOR": math.floor,
        "IF": lambda condition, value, other: 1 if condition else other,
    }
    for query in queries[1:]:
        code = _compiled(query["Expression"])
        names[query["Id"]] = eval(code, {"__builtins__": {}}, names)  # noqa: S307 - ours
    return bool(names["closed"])


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("UTC", WEEK),
        ("Europe/Berlin", WEEK),
        ("America/New_York", "mon-sat 08:30-17:45"),
        ("Asia/Kolkata", WEEK),
        ("Australia/Lord_Howe", WEEK),
        ("Asia/Jerusalem", "sun-thu 09:00-24:00"),
        ("Africa/Casablanca", WEEK),
    ],
)
def test_an_event_is_out_of_hours_when_the_wall_clock_says_so(zone: str, text: str) -> None:
    hours = parse_hours(text, zone)
    queries = closed_queries(METRIC, hours, 2026)
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    end = datetime(2026 + YEARS, 1, 1, tzinfo=UTC)

    wrong = []
    while moment < end:
        local = moment.astimezone(ZoneInfo(zone))
        minute = local.hour * 60 + local.minute
        open_ = local.weekday() in hours.days and hours.opens <= minute < hours.closes
        if is_closed(queries, moment) == open_:
            wrong.append(moment)
        moment += timedelta(minutes=455)
    assert wrong == []


@pytest.mark.parametrize("hour", [0, 1, 2])
def test_the_very_second_of_a_change_of_the_clock_is_right(hour: int) -> None:
    queries = closed_queries(METRIC, parse_hours("mon-sun 03:00-24:00", "Europe/Berlin"), 2026)
    change = datetime(2026, 3, 29, 1, tzinfo=UTC)  # 02:00 becomes 03:00

    assert is_closed(queries, change - timedelta(seconds=1 + hour))
    assert not is_closed(queries, change + timedelta(hours=hour))


def test_expressions_are_short_enough_and_ids_are_ids() -> None:
    for zone in ("Europe/Berlin", "Africa/Casablanca", "UTC"):
        queries = closed_queries(METRIC, Hours(zone), 2026)
        assert all(len(query.get("Expression", "")) < 1024 for query in queries)
        assert all(re.fullmatch(r"[a-z][a-zA-Z0-9_]*", query["Id"]) for query in queries)
        assert [query["Id"] for query in queries if query.get("ReturnData")] == ["closed"]


@pytest.mark.parametrize(
    "text", ["", "mo 07:00-18:00", "mon-xyz 07:00-18:00", "mon-fri 18:00-07:00", "mon-fri 7-18"]
)
def test_what_are_no_hours_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_hours(text, "UTC")


@pytest.mark.parametrize("zone", ["Nowhere/Town", "../etc/passwd", ""])
def test_a_zone_that_is_none_is_refused(zone: str) -> None:
    with pytest.raises(InputError, match="time zone"):
        parse_hours(WEEK, zone)
