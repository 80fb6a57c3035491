"""Hours of work and lengths of time are read as they are written, and nothing else is."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cml_iam.clock import DAYS, Hours, parse_hours, parse_length
from cml_iam.errors import InputError

ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu")

hours = st.builds(
    lambda zone, at, days: Hours(zone, min(at), max(at), tuple(sorted(days))),
    st.sampled_from(ZONES),
    st.lists(st.integers(0, 1440), min_size=2, max_size=2, unique=True),
    st.sets(st.integers(0, 6), min_size=1),
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
