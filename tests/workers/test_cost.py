"""What workers cost: what is not known is missing from the amount, and said so, never 0."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cml_iam.errors import DocumentError, InputError
from cml_iam.workers import Amount, Prices, cost_of, costs_of, load_prices, parse_prices, total
from cml_iam.workers._model import Worker, worker_from
from tests.workers.fake import instance

NOW = datetime(2026, 3, 11, 12, tzinfo=UTC)
PRICES = parse_prices(
    """
date = 2026-01-31
[hourly.us-east-1]
"m5zn.metal" = 4.0
[gp3_gib_month]
us-east-1 = 0.073
""",
    "own.toml",
)
NO_DISK = "the disks: their sizes are not among what the manager may ask"


def worker(**changed: Any) -> Worker:
    given = {"LaunchTime": NOW - timedelta(hours=3), **changed}
    return worker_from(instance(**given), "us-east-1")


def test_a_running_worker_costs_its_hours_and_its_disks() -> None:
    cost = cost_of(worker(), PRICES, NOW, disk_gib=100)

    assert cost.hour == Amount(Decimal("4.01"))  # 100 GiB at 0.073 for 730 hours a month
    assert cost.since_start == Amount(Decimal("12.03"))
    assert (cost.month.known, cost.month.missing) == (
        Decimal("12.03"),
        ("earlier runs this month",),
    )


def test_one_that_runs_since_before_the_month_has_a_whole_month() -> None:
    cost = cost_of(worker(LaunchTime=NOW - timedelta(days=30)), PRICES, NOW, disk_gib=100)

    assert cost.month == Amount(Decimal("4.01") * (10 * 24 + 12))


def test_disks_of_unknown_size_are_missing_from_every_amount() -> None:
    cost = cost_of(worker(), PRICES, NOW)

    assert cost.hour == Amount(Decimal(4), (NO_DISK,))
    assert NO_DISK in cost.since_start.missing
    assert NO_DISK in cost.month.missing


def test_a_stopped_worker_costs_its_disks_not_nothing() -> None:
    stopped = worker(State={"Name": "stopped"})

    unknown, known = cost_of(stopped, PRICES, NOW), cost_of(stopped, PRICES, NOW, disk_gib=100)

    assert unknown.hour.unknown
    assert known.hour == Amount(Decimal("0.01"))
    assert known.since_start.missing == ("when it was stopped",)
    assert known.month.missing == ("how long it ran this month",)


@pytest.mark.parametrize(
    ("changed", "missing"),
    [
        ({"InstanceType": "m8i.large"}, "the price of m8i.large in us-east-1"),
        ({"InstanceLifecycle": "spot"}, "the price of a spot instance"),
    ],
)
def test_without_a_price_the_amount_is_unknown(changed: dict[str, Any], missing: str) -> None:
    cost = cost_of(worker(**changed), PRICES, NOW)

    assert cost.hour.unknown
    assert missing in cost.hour.missing


def test_a_start_is_billed_for_a_minute_at_least() -> None:
    cost = cost_of(worker(LaunchTime=NOW - timedelta(seconds=5)), PRICES, NOW)

    assert round(cost.since_start.known * 60, 9) == 4


def test_a_total_of_which_something_is_missing_is_at_least() -> None:
    known, unknown = Amount(Decimal(2)), Amount(missing=("x",))

    assert total([known, known]) == Amount(Decimal(4))
    assert total([known, unknown, unknown]) == Amount(Decimal(2), ("x",))
    assert total([]) == Amount()


def test_terminated_workers_cost_nothing_any_more() -> None:
    assert costs_of([worker(State={"Name": "terminated"})], PRICES, NOW) == ()


def test_the_shipped_table_says_its_date_and_source_and_has_the_documented_types() -> None:
    prices = load_prices()

    assert prices.source.startswith("https://aws.amazon.com/")
    assert prices.day == datetime(2026, 1, 19, tzinfo=UTC).date()
    (region,) = prices.hourly
    families = {name.partition(".")[0] for name in prices.hourly[region]}
    assert {"c5", "c6i", "m5", "m5zn"} <= families
    assert prices.hourly[region]["c5.large"] == Decimal("0.085")
    # Within a family the price follows the size; a slip of a digit would not.
    for family in families:
        large = prices.hourly[region][f"{family}.large"]
        assert Decimal("1.9") < prices.hourly[region][f"{family}.xlarge"] / large < Decimal("2.1")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[hourly]", "has no `date`"),
        ('date = "today"\n[hourly]', "`date` is no date"),
        ('date = 2026-01-01\n[hourly.us-east-1]\n"c5.large" = "0.1"', "must be a number"),
        ('date = 2026-01-01\n[hourly.us-east-1]\n"c5.large" = -1', "at least 0"),
        ("date = 2026-01-01\n[hourly]\n[monthly]", "`monthly` is not known"),
    ],
)
def test_a_table_that_is_none_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises((InputError, DocumentError)) as raised:
        parse_prices(text, "p.toml")

    assert words in str(raised.value)
    assert "p.toml" in str(raised.value)


def test_a_table_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(InputError, match=r"no such file|it is a folder"):
            load_prices(path)


def test_prices_stay_exact() -> None:
    read: Prices = parse_prices('date = 2026-01-01\n[hourly.r]\n"t" = 0.1', "p")

    assert read.hourly["r"]["t"] * 3 == Decimal("0.3")
