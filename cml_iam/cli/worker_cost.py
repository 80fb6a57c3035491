"""`cml-iam worker cost`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from cml_iam.cli._csv import as_csv, form_option
from cml_iam.cli._output import INFO, UNKNOWN, console, note, print_json, print_table, say
from cml_iam.cli._settings import aws_options, settings, shared_options
from cml_iam.cli.worker_scene import scene
from cml_iam.cli.worker_show import state, wanted_workers
from cml_iam.visible import visible
from cml_iam.workers import NOT_COUNTED, Amount, Cost, Prices, Worker, costs_of, load_prices, total

_LEAST = "≥"
WIDE = 100
"""Columns from which on the region has room too."""

_PARTS = ("hour", "since_start", "month")
_NAMED = 3
"""How many workers a line names; `-o json` has them all."""


@click.command()
@click.argument("workers", nargs=-1)
@click.option(
    "--prices",
    "table",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Your own prices, in TOML.  [default: the shipped table]",
)
@click.option(
    "--disk",
    type=click.IntRange(1),
    metavar="GIB",
    help="Count gp3 disks of this size in all for each worker.",
)
@form_option
@shared_options("site")
@aws_options
def cost(workers: tuple[str, ...], table: Path | None, disk: int | None, form: str | None) -> None:
    """Print what WORKERS, ids or names (* and ?), or all, cost: per hour, since start, this month.

    Prices are On-Demand of Linux, from a table with its date. What has no price, or whose hours EC2
    does not tell, is not counted as 0: the amount says "at least", or is unknown.
    """
    prices = load_prices(table)
    here = scene()
    costs = costs_of(wanted_workers(here, workers), prices, datetime.now(UTC), disk)
    chosen = form or settings().output
    if chosen == "json":
        print_json(_as_json(costs, prices))
    elif chosen == "csv":
        click.echo(as_csv(_CSV, [_csv_row(each, prices) for each in costs]), nl=False)
    else:
        _print(costs, prices)


def _print(costs: Sequence[Cost], prices: Prices) -> None:
    if not costs:
        note(f"{INFO} no worker that could cost anything")
        return
    columns = ["name", "state", "type", "region", "per hour", "since start", "this month"]
    rows = [_row(each) for each in costs]
    if console().width < WIDE:
        at = columns.index("region")
        columns, rows = _without(columns, at), [_without(row, at) for row in rows]
    print_table(columns, rows)
    totals = {part: total(getattr(each, part) for each in costs) for part in _PARTS}
    words = {"hour": "per hour", "since_start": "since start", "month": "this month"}
    for part, amount in totals.items():
        say(f"total {words[part]}: {_in_words(amount, prices.currency)}")
    for missing, lacking in _missing(costs).items():
        say(f"{UNKNOWN} unknown: {missing} ({_named(lacking, len(costs))})")
    note(f"  prices of {prices.day}, {prices.currency}, On-Demand Linux: {prices.source}")
    note(f"  not counted: {NOT_COUNTED}")


def _missing(costs: Sequence[Cost]) -> dict[str, list[Worker]]:
    """Return what is not known, each with the workers of which it is not."""
    found: dict[str, list[Worker]] = {}
    for cost in costs:
        parts = (getattr(cost, part).missing for part in _PARTS)
        for missing in dict.fromkeys(each for part in parts for each in part):
            found.setdefault(missing, []).append(cost.worker)
    return found


def _named(workers: Sequence[Worker], of: int) -> str:
    """Return *workers*, some or all *of* them, in words that fit on a line."""
    if len(workers) == of > _NAMED:
        return f"all {of} workers"
    named = [visible(each.name) or each.id for each in workers[:_NAMED]]
    rest = len(workers) - len(named)
    return ", ".join(named) + (f" and {rest} more" if rest else "")


def _without(cells: list[str], at: int) -> list[str]:
    return cells[:at] + cells[at + 1 :]


def _row(cost: Cost) -> list[str]:
    worker = cost.worker
    amounts = [_short(getattr(cost, part), 4 if part == "hour" else 2) for part in _PARTS]
    return [
        visible(worker.name) or worker.id,
        state(worker.state),
        worker.instance_type,
        worker.region,
        *amounts,
    ]


def _short(amount: Amount, digits: int) -> str:
    if amount.unknown:
        return f"{UNKNOWN} unknown"
    return f"{'' if amount.complete else f'{_LEAST} '}{amount.known:.{digits}f}"


def _in_words(amount: Amount, currency: str) -> str:
    if amount.unknown:
        return "unknown"
    return f"{'' if amount.complete else 'at least '}{amount.known:.2f} {currency}"


def _as_json(costs: Sequence[Cost], prices: Prices) -> dict[str, Any]:
    return {
        "prices": {
            "date": prices.day.isoformat(),
            "source": prices.source,
            "currency": prices.currency,
        },
        "not_counted": NOT_COUNTED,
        "workers": [
            {
                "id": each.worker.id,
                "name": each.worker.name,
                "state": each.worker.state,
                "instance_type": each.worker.instance_type,
                "region": each.worker.region,
                **{part: _amount_json(getattr(each, part)) for part in _PARTS},
            }
            for each in costs
        ],
        "total": {
            part: _amount_json(total(getattr(each, part) for each in costs)) for part in _PARTS
        },
    }


def _amount_json(amount: Amount) -> dict[str, Any]:
    return {
        "known": None if amount.unknown else _rounded(amount.known),
        "complete": amount.complete,
        "missing": list(amount.missing),
    }


def _rounded(known: Decimal) -> float:
    return float(round(known, 6))


_CSV = (
    "id",
    "name",
    "state",
    "instance_type",
    "region",
    "currency",
    "prices_of",
    *(f"{part}{column}" for part in _PARTS for column in ("", "_complete")),
    "missing",
)


def _csv_row(cost: Cost, prices: Prices) -> list[str]:
    worker = cost.worker
    amounts: list[str] = []
    missing: dict[str, None] = {}
    for part in _PARTS:
        amount: Amount = getattr(cost, part)
        known = "" if amount.unknown else str(_rounded(amount.known))
        amounts += [known, "true" if amount.complete else "false"]
        missing |= dict.fromkeys(amount.missing)
    about = [worker.id, worker.name, worker.state, worker.instance_type, worker.region]
    return [*about, prices.currency, prices.day.isoformat(), *amounts, "; ".join(missing)]
