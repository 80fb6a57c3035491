"""Hours of work say what the clock on the wall says, on the days it is put forward or back too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cml_iam.clock import DAYS, Hours, is_open, next_change, parse_hours, parse_length
from cml_iam.errors import InputError

BERLIN = "Europe/Berlin"
ZONES = (
    "UTC",
    BERLIN,
    "America/New_York",
    "America/Havana",  # the clock is put back at 01:00, so that midnight comes twice
    "Asia/Beirut",  # put forward at midnight, which never comes
    "Australia/Lord_Howe",  # by half an hour
    "Asia/Kathmandu",
    "Pacific/Apia",
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


hours = st.builds(
    lambda zone, at, days: Hours(zone, min(at), max(at), tuple(sorted(days))),
    st.sampled_from(ZONES),
    st.lists(st.integers(0, 1440), min_size=2, max_size=2, unique=True),
    st.sets(st.integers(0, 6), min_size=1),
)
moments = st.datetimes(
    datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC), allow_imaginary=False
)


@given(hours)
def test_hours_are_read_as_they_are_written(written: Hours) -> None:
    text, _, zone = str(written).rpartition(" ")

    assert parse_hours(text, zone) == written
    assert parse_hours(text.upper(), zone) == written


@given(st.text(alphabet="montuewdfri-+ :0123456789", max_size=24))
def test_what_is_no_hours_is_refused_in_words(text: str) -> None:
    try:
        read = parse_hours(text, "UTC")
    except InputError as error:
        said = error.message
    else:
        said = f"{text} {read}"
        assert 0 <= read.opens < read.closes <= 1440
        assert read.days == tuple(sorted(set(read.days)))
    assert text in said


@given(hours, moments)
def test_nothing_changes_before_the_next_change_and_then_it_does(
    work: Hours, moment: datetime
) -> None:
    now = is_open(work, moment)
    change = next_change(work, moment)
    if change is None:
        assert now
        assert (work.opens, work.closes, work.days) == (0, 1440, tuple(range(7)))
        return

    assert moment < change <= moment + timedelta(days=8)
    assert is_open(work, change) is not now
    assert is_open(work, change - timedelta(seconds=1)) is now
    for part in range(1, 12):
        assert is_open(work, moment + (change - moment) * part / 12) is now


@given(hours, moments)
def test_far_from_a_change_of_the_clock_it_is_the_clock_on_the_wall_that_counts(
    work: Hours, moment: datetime
) -> None:
    local = moment.astimezone(ZoneInfo(work.zone))
    steady = all(
        (moment + timedelta(days=n)).astimezone(local.tzinfo).utcoffset() == local.utcoffset()
        for n in (-2, -1, 1, 2)
    )
    if steady:
        minute = local.hour * 60 + local.minute
        on_the_wall = local.weekday() in work.days and work.opens <= minute < work.closes
        assert is_open(work, moment) is on_the_wall


# Europe/Berlin 2026: 02:00 becomes 03:00 on March 29, 03:00 becomes 02:00 on October 25.
@pytest.mark.parametrize(
    ("text", "moment", "then"),
    [
        ("mon-fri 08:00-18:00", "2026-03-27 12:00", "2026-03-27 17:00"),  # Friday, CET
        ("mon-fri 08:00-18:00", "2026-03-28 12:00", "2026-03-30 06:00"),  # Monday, CEST
        ("mon-fri 08:00-18:00", "2026-10-24 12:00", "2026-10-26 07:00"),  # and back
        ("sun 02:30-06:00", "2026-03-29 00:00", "2026-03-29 01:00"),  # 02:30 never comes
        ("sun 00:00-02:30", "2026-03-29 00:00", "2026-03-29 01:00"),  # nor does its end
        ("sun 01:00-02:30", "2026-10-25 00:00", "2026-10-25 01:30"),  # the second 02:30
        ("sun 02:30-06:00", "2026-10-24 23:00", "2026-10-25 00:30"),  # the first 02:30
        ("sat-sun 00:00-24:00", "2026-10-24 12:00", "2026-10-25 23:00"),  # days that touch
    ],
)
def test_the_next_change_knows_summer_time(text: str, moment: str, then: str) -> None:
    assert next_change(parse_hours(text, BERLIN), utc(moment)) == utc(then)


def test_work_that_never_ends_never_changes() -> None:
    assert next_change(parse_hours("mon-sun 00:00-24:00", BERLIN), utc("2026-10-24 12:00")) is None


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("sat 08:00-12:00", ("sat",)),
        ("mon+wed+fri 08:00-12:00", ("mon", "wed", "fri")),
        ("fri-mon 08:00-12:00", ("mon", "fri", "sat", "sun")),
        ("mon-tue+sun 08:00-12:00", ("mon", "tue", "sun")),
    ],
)
def test_days_are_one_a_range_or_several(text: str, days: tuple[str, ...]) -> None:
    assert tuple(DAYS[n] for n in parse_hours(text, "UTC").days) == days


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mon",
        "mon-fri",
        "mon-fri 8:00-18:00",
        "mon-fri 18:00-08:00",
        "mon-fri 08:00-08:00",
        "mo-fr 08:00-18:00",
        "mon-tue-wed 08:00-18:00",
        "mon- 08:00-18:00",
        "mon-fri 08:00-24:01",
        "mon-fri 08:60-18:00",
        "mon-fri 08:00-18:00 UTC",
        "+mon 08:00-18:00",
    ],
)
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_hours(text, "UTC")


@pytest.mark.parametrize("zone", ["", "Berlin", "../UTC", "/etc/passwd", "Europe/", "UTC\x00"])
def test_a_zone_the_system_does_not_know_is_refused(zone: str) -> None:
    with pytest.raises(InputError, match="no time zone"):
        parse_hours("mon-fri 08:00-18:00", zone)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        (" 2 h", timedelta(hours=2)),
        ("7d", timedelta(days=7)),
    ],
)
def test_a_length_of_time_is_a_number_and_a_unit(text: str, length: timedelta) -> None:
    assert parse_length(text) == length


@pytest.mark.parametrize(
    "text", ["", "1", "h", "-1h", "1.5h", "1w", "123456m", "99999d", "\u0661h"]
)
def test_another_length_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="not a length of time"):
        parse_length(text)
