"""What is drawn in a terminal: bars, axes, gaps."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cml_iam.cli._chart import (
    ASCII,
    BLOCKS,
    UNICODE,
    amount,
    chart,
    pen_for,
    scale,
    sparkline,
    squeezed,
)

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_a_line_of_bars_has_eight_levels_and_gaps() -> None:
    values = [0, 12.5, 25, 37.5, 50, 62.5, 75, 87.5, 100, None, 0]

    assert sparkline(values, 100.0) == f"{BLOCKS}█ ▁"
    assert sparkline(values, 100.0, ASCII) == "_.:-=+*## _"


def test_a_chart_has_units_times_and_gaps() -> None:
    lines = chart([0.0, 10.0, None, 25.0], START, START + HOUR, rate=False, width=60, height=4)

    assert [line.split()[0] for line in (lines[0], lines[2], lines[4])] == ["25", "12.5", "0"]
    assert lines[-1].split() == ["12:00", "12:30", "13:00", "UTC"]
    bars = [line[9:].ljust(48) for line in lines[:4]]
    gap = slice(26, 36)
    assert all(set(row[gap]) == {" "} for row in bars)
    assert bars[3][:12] == "▁" * 12
    assert "╌" * 10 in lines[4]


def test_a_chart_in_ascii_is_ascii() -> None:
    drawn = "".join(chart([1.0, None, 3e6], START, START + HOUR, rate=True, width=50, pen=ASCII))

    assert drawn.isascii()
    assert "MB/s" in drawn


@example([5e-324], 40, True, UNICODE)
@given(
    st.lists(st.none() | st.floats(0, 1e12), max_size=300),
    st.integers(20, 250),
    st.booleans(),
    st.sampled_from([UNICODE, ASCII]),
)
def test_a_chart_is_never_wider_than_asked(values, width, rate, pen) -> None:
    lines = chart(values, START, START + HOUR, rate=rate, width=max(width, 40), pen=pen)

    assert max(map(len, lines)) <= max(width, 40)


@given(st.lists(st.none() | st.floats(0, 100), max_size=300), st.integers(1, 100))
def test_squeezing_keeps_the_gaps_that_fill_a_column(values, width) -> None:
    made = squeezed(values, width)

    assert len(made) == min(len(values), width)
    assert any(each is not None for each in values) == any(each is not None for each in made)


@pytest.mark.parametrize(
    ("value", "rate", "written"),
    [
        (12.34, False, "12.3 %"),
        (0.0, False, "0.0 %"),
        (0.0, True, "0 B/s"),
        (999.0, True, "999 B/s"),
        (999.9, True, "1.0 kB/s"),
        (1500.0, True, "1.5 kB/s"),
        (123456.0, True, "123 kB/s"),
        (2e6, True, "2 MB/s"),
        (7.3e9, True, "7.3 GB/s"),
    ],
)
def test_amounts_have_their_unit(value: float, rate: bool, written: str) -> None:
    assert amount(value, rate=rate) == written


@pytest.mark.parametrize(
    ("values", "rate", "top"),
    [
        ([], False, 10),
        ([3], False, 10),
        ([26], False, 50),
        ([100], False, 100),
        ([140], False, 140),
        ([], True, 1000),
        ([0], True, 1000),
        ([3], True, 4),
        ([4100], True, 8000),
        ([9e5], True, 1e6),
    ],
)
def test_axes_end_at_round_numbers(values: list[float], rate: bool, top: float) -> None:
    assert scale(values, rate=rate) == top


@pytest.mark.parametrize(
    ("encoding", "pen"),
    [("utf-8", UNICODE), ("ascii", ASCII), ("latin-1", ASCII), (None, ASCII), ("odd", ASCII)],
)
def test_what_cannot_be_written_is_drawn_in_ascii(encoding: str | None, pen: object) -> None:
    assert pen_for(encoding) is pen
