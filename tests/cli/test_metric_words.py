"""What is drawn of metrics in a terminal: bars with their scale, gaps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cml_iam.cli._metric_words import (
    BLOCKS,
    SIGNS,
    amount,
    levels_for,
    scale,
    scale_words,
    sparkline,
    squeezed,
)


def test_a_line_of_bars_has_eight_levels_and_gaps() -> None:
    values = [0, 12.5, 25, 37.5, 50, 62.5, 75, 87.5, 100, None, 0]

    assert sparkline(values, 100.0) == f"{BLOCKS}█ ▁"
    assert sparkline(values, 100.0, SIGNS) == "_.:-=+*## _"


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
def test_scales_end_at_round_numbers(values: list[float], rate: bool, top: float) -> None:
    assert scale(values, rate=rate) == top


@pytest.mark.parametrize(
    ("top", "rate", "written"),
    [(10.0, False, "0-10 %"), (140, False, "0-140 %"), (1000.0, True, "0-1 kB/s")],
)
def test_a_scale_is_printed_with_its_unit(top: float, rate: bool, written: str) -> None:
    assert scale_words(top, rate=rate) == written


@given(st.lists(st.floats(0, 1e12), min_size=1), st.booleans())
def test_every_value_fits_its_scale(values: list[float], rate: bool) -> None:
    top = scale(values, rate=rate)

    assert max(values) <= top
    assert len(sparkline(values, top)) == len(values)


@pytest.mark.parametrize(
    ("encoding", "levels"),
    [("utf-8", BLOCKS), ("ascii", SIGNS), ("latin-1", SIGNS), (None, SIGNS), ("odd", SIGNS)],
)
def test_what_cannot_be_written_is_drawn_in_ascii(encoding: str | None, levels: str) -> None:
    assert levels_for(encoding) == levels
