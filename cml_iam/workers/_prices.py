"""Tables of prices: the shipped one with its date and source, or the user's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from cml_iam.errors import DocumentError, InputError
from cml_iam.files import regular_text
from cml_iam.located import located_problems, parse_toml
from cml_iam.shipped import shipped_text

_MONEY: Final = {"type": "number", "minimum": 0}
_TABLE: Final = {"type": "object", "additionalProperties": _MONEY}
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["date", "hourly"],
    "additionalProperties": False,
    "properties": {
        "date": {},
        "source": {"type": "string"},
        "currency": {"type": "string"},
        "hourly": {"type": "object", "additionalProperties": _TABLE},
        "gp3_gib_month": _TABLE,
    },
}


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of *day*: On-Demand Linux per hour by region and type, gp3 per GiB and month."""

    day: date
    source: str
    currency: str
    hourly: Mapping[str, Mapping[str, Decimal]]
    gp3_gib_month: Mapping[str, Decimal]


def load_prices(path: Path | None = None) -> Prices:
    """Read the table in *path*, or the shipped one; raises InputError, DocumentError."""
    if path is None:
        return parse_prices(shipped_text("policies", "prices.toml"), "prices.toml")
    return parse_prices(regular_text(path), str(path))


def parse_prices(text: str, name: str) -> Prices:
    """Read prices from the TOML *text*, called *name* in messages; raises DocumentError."""
    located = parse_toml(text, name)
    if problems := located_problems(located, json.loads(json.dumps(SCHEMA))):
        raise DocumentError(problems)
    value = located.value
    if not isinstance(value["date"], date):
        raise InputError(
            f"{located.place(('date',))}: `date` is no date", remedy="write date = 2026-01-31"
        )
    return Prices(
        value["date"],
        value.get("source", name),
        value.get("currency", "USD"),
        {region: _exact(types) for region, types in value["hourly"].items()},
        _exact(value.get("gp3_gib_month", {})),
    )


def _exact(prices: Mapping[str, float]) -> dict[str, Decimal]:
    return {name: Decimal(str(price)) for name, price in prices.items()}
