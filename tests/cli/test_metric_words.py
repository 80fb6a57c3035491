"""What is drawn of metrics in a terminal: bars with their scale, gaps."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

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
from cml_iam.cli._table import GAP, room_beside
from cml_iam.cli.worker_metrics import frame_columns, metric_columns
from cml_iam.workers import Frame, Listing, Measure, Metric, Point, Utilization, Worker


def test_a_line_of_bars_has_eight_levels_and_gaps() -> None:
    values = [0, 12.5, 25, 37.5, 50, 62.5, 75, 87.5, 100, None, 0]

    assert sparkline(values, 100.0) == f"{BLOCKS}█ ▁"
    assert sparkline(values, 100.0, SIGNS) == "_.:-=+*## _"


@given(st.lists(st.none() | st.floats(0, 100), max_size=300), st.integers(1, 100))
def test_squeezing_keeps_the_gaps_that_fill_a_column(values, width) -> None:
    made = squeezed(values, width)

    assert len(made) == min(len(values), width)
    assert any(value is not None for value in values) == any(each is not None for each in made)


@pytest.mark.parametrize(
    ("value", "rate", "written"),
    [
        (12.34, False, "12.3 %"),
        (0.0, False, "0.0 %"),
        (0.0, True, "0 B/s"),
        (999.0, True, "999 B/s"),
        (1023.9, True, "1.0 KiB/s"),
        (1536.0, True, "1.5 KiB/s"),
        (123456.0, True, "121 KiB/s"),
        (2.0 * 2**20, True, "2 MiB/s"),
        (7.3 * 2**30, True, "7.3 GiB/s"),
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
        ([], True, 1024),
        ([0], True, 1024),
        ([0.1], True, 1),
        ([3], True, 4),
        ([4096], True, 4096),
        ([4097], True, 8192),
        ([9e5], True, 2**20),
    ],
)
def test_scales_end_at_round_numbers(values: list[float], rate: bool, top: float) -> None:
    assert scale(values, rate=rate) == top


@pytest.mark.parametrize(
    ("top", "rate", "written"),
    [(10.0, False, "0-10 %"), (140, False, "0-140 %"), (1024.0, True, "0-1 KiB/s")],
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


LONG = "cml-worker-with-a-long-name-02"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _busy(name: str) -> tuple[list[tuple[Worker, Metric]], dict[str, Utilization]]:
    """Return the metrics of a busy worker called *name*, and its utilization by id."""
    worker = Worker("i-1", "us-east-1", "running", "m5zn.metal", "ami-1", name=name)
    start = NOW - timedelta(minutes=15)
    values = dict.fromkeys(Measure, 123456.0) | {Measure.CPU: 77.7, Measure.MEMORY: 50.0}
    metrics = {
        measure: Metric(
            measure.value,
            300,
            tuple(Point(start + timedelta(minutes=5 * n), value, value, 1) for n in range(3)),
        )
        for measure, value in values.items()
    }
    used = Utilization(worker.id, worker.region, start, NOW, metrics)
    pairs = [(worker, metrics[each]) for each in (Measure.CPU, Measure.NETWORK_IN)]
    return pairs, {worker.id: used}


@pytest.mark.parametrize(
    ("name", "width", "expected"),
    [
        (LONG, 80, "worker metric mean latest points"),
        (LONG, 86, "worker metric mean latest max"),
        (LONG, 160, "worker metric mean latest max points scale trend"),
        (LONG, None, "worker metric mean latest max points scale trend"),
        ("lab", 84, "worker metric mean latest max scale trend"),
    ],
)
def test_metrics_show_as_many_whole_columns_as_fit(
    name: str, width: int | None, expected: str
) -> None:
    pairs, used = _busy(name)

    columns = metric_columns(pairs, used, width, SIGNS)

    assert list(columns) == expected.split()
    assert columns["worker"] == [name, name]
    assert width is None or room_beside(columns, width) >= -GAP


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (64, ["name", "state", "cpu", "memory"]),
        (84, ["name", "state", "cpu", "memory", "cpu trend, 0-100 %"]),
        (160, None),
    ],
)
def test_watch_shows_as_many_whole_columns_as_fit(width: int, expected: list[str] | None) -> None:
    pairs, used = _busy(LONG)
    worker = replace(pairs[0][0], launched_at=None)
    frame = Frame(NOW, Listing((worker,), {}), used, NOW, {}, ())

    columns = frame_columns(frame, width, SIGNS)

    assert list(columns) == (expected or list(frame_columns(frame, None, SIGNS)))
    assert room_beside(columns, width) >= -GAP
