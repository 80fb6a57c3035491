"""What workers cost, from a dated table of prices; what has no price is unknown, never 0.

EC2 bills by the second, for a minute at least after each start; a stopped instance costs nothing,
its disks go on costing.
https://aws.amazon.com/ec2/pricing/on-demand/
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cml_iam.workers._model import Worker
    from cml_iam.workers._prices import Prices

MONTH_HOURS: Final = Decimal(730)
"""Hours of a month, as AWS converts a price per GiB and month.

https://docs.aws.amazon.com/pricing-calculator/latest/userguide/getting-started.html
"""

NOT_COUNTED: Final = "public addresses, data transfer, snapshots, licences, taxes and discounts"

_LEAST: Final = timedelta(minutes=1)
_RUNNING: Final = ("pending", "running")


@dataclass(frozen=True, slots=True)
class Amount:
    """What is *known* of an amount; *missing* says what is not in it, each once."""

    known: Decimal = Decimal(0)
    missing: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing

    @property
    def unknown(self) -> bool:
        """Whether nothing at all is known."""
        return bool(self.missing) and not self.known

    def __add__(self, other: Amount) -> Amount:
        missing = dict.fromkeys((*self.missing, *other.missing))
        return Amount(self.known + other.known, tuple(missing))


@dataclass(frozen=True, slots=True)
class Cost:
    """What *worker* costs: per hour as it is now, since it was last started, and this month."""

    worker: Worker
    hour: Amount
    since_start: Amount
    month: Amount


def cost_of(worker: Worker, prices: Prices, now: datetime, disk_gib: int | None = None) -> Cost:
    """Return what *worker* costs by *prices*, with gp3 disks of *disk_gib* in all.

    EC2 says since when a worker runs, not how long it ran before, nor when it was stopped.
    """
    instance, disks = _instance(worker, prices), _disks(worker, prices, disk_gib)
    hour = (instance if worker.state in _RUNNING else Amount()) + disks
    return Cost(
        worker,
        hour,
        _since_start(worker, instance, disks, now),
        _month(worker, instance, disks, now),
    )


def total(amounts: Iterable[Amount]) -> Amount:
    """Return the sum of *amounts*, incomplete if one of them is."""
    return sum(amounts, Amount())


def costs_of(
    workers: Sequence[Worker], prices: Prices, now: datetime, disk_gib: int | None = None
) -> tuple[Cost, ...]:
    """Return what each of *workers* that is not terminated costs."""
    return tuple(
        cost_of(each, prices, now, disk_gib) for each in workers if each.state != "terminated"
    )


def _instance(worker: Worker, prices: Prices) -> Amount:
    if worker.lifecycle != "on-demand":
        return Amount(missing=(f"the price of a {worker.lifecycle} instance",))
    price = prices.hourly.get(worker.region, {}).get(worker.instance_type)
    if price is None:
        return Amount(missing=(f"the price of {worker.instance_type} in {worker.region}",))
    return Amount(price)


def _disks(worker: Worker, prices: Prices, disk_gib: int | None) -> Amount:
    if disk_gib is None:
        return Amount(missing=("the disks: their sizes are not among what the manager may ask",))
    price = prices.gp3_gib_month.get(worker.region)
    if price is None:
        return Amount(missing=(f"the disks: no price of gp3 in {worker.region}",))
    return Amount(price * disk_gib / MONTH_HOURS)


def _since_start(worker: Worker, instance: Amount, disks: Amount, now: datetime) -> Amount:
    if worker.state not in _RUNNING:
        return Amount(missing=("when it was stopped",))
    if worker.launched_at is None:
        return Amount(missing=("since when it runs",))
    return _for(instance, _billed(worker.launched_at, now)) + _for(disks, now - worker.launched_at)


def _month(worker: Worker, instance: Amount, disks: Amount, now: datetime) -> Amount:
    begin = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    since = worker.launched_at
    # Whether the disks are older than the last start is not known.
    kept = _for(disks, now - max(begin, since or now))
    if worker.state not in _RUNNING or since is None:
        return kept + Amount(missing=("how long it ran this month",))
    if since <= begin:
        return kept + _for(instance, now - begin)
    return kept + _for(instance, _billed(since, now)) + Amount(missing=("earlier runs this month",))


def _billed(since: datetime, now: datetime) -> timedelta:
    return max(_LEAST, now - since)


def _for(hourly: Amount, length: timedelta) -> Amount:
    hours = Decimal(max(0, int(length.total_seconds()))) / 3600
    return Amount(hourly.known * hours, hourly.missing)
