"""Values of a condition key, one for each way that conditions can answer to it.

Conditions on a key divide its values into those they tell apart. Every value that a condition
names, the ends of every range, and a value that none names are enough to meet each of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any, Final

from cml_iam.facts import key_type
from cml_iam.policy import Condition

MAX_NAMED: Final = 400
_VARIABLE: Final = re.compile(
    r"""\$\{\s*(?P<key>[^,{}]*[^,{}\s])\s*(?:,\s*['"](?P<default>[^'"]*)['"]\s*)?\}"""
)
_ESCAPES: Final = {"*", "?", "$"}
EXAMPLE: Final = "example"

_OTHER: Final = {
    "Bool": "false",
    "Numeric": "1000000",
    "Date": "2026-01-01T12:00:00Z",
    "IPAddress": "198.51.100.99",
    "ARN": "arn:aws:iam::999999999999:role/other",
}


def family(operator: str) -> str:
    """Return what an operator compares: `string`, `numeric`, `null` …, in lower case."""
    base = operator.lower().rpartition(":")[2].removesuffix("ifexists")
    names = ("string", "numeric", "date", "bool", "binary", "arn", "null")
    if base in {"ipaddress", "notipaddress"}:
        return "ip"
    return next((each for each in names if base.startswith(each)), "string")


def values_of(key: str, conditions: Iterable[Condition], usual: Any = None) -> list[Any]:
    """Return values of *key* that *conditions* tell apart, None (absent) as the last.

    *usual* is what requests have otherwise; those a condition names come first.
    """
    conditions = tuple(conditions)
    singles = singles_of(key, conditions, usual)
    if not takes_several(key, conditions):
        return [*singles, None]
    lists = [[each] for each in singles]
    lists += [[each, singles[-1]] for each in singles[:-1]] + [singles[:-1]]
    known = key_type(key) is not None
    return [*([] if known else singles), *_unique(each for each in lists if each), None]


def singles_of(key: str, conditions: Iterable[Condition], usual: Any = None) -> list[str]:
    """Return the single values, the last of them one that no condition names."""
    conditions = tuple(conditions)
    named = [text for each in conditions for text in _named(each)][:MAX_NAMED]
    if any("ignorecase" in each.operator.lower() for each in conditions):
        named += [text.swapcase() for text in named]
    if isinstance(usual, str):
        named.append(usual)
    return _unique([*named, other(key, named)])


def takes_several(key: str, conditions: Iterable[Condition]) -> bool:
    """Say whether *key* has several values: known to, or unknown and asked for as if it had."""
    kind = key_type(key)
    if kind is not None:
        return kind.startswith("ArrayOf")
    return any(each.operator.lower().startswith("for") for each in conditions)


def other(key: str, named: Iterable[str]) -> str:
    """Return a value for *key* that is none of *named*."""
    taken = set(named)
    if key.lower() == "ec2:instancetype":
        return "x2iedn.32xlarge" if "x2iedn.32xlarge" not in taken else "u-24tb1.metal"
    kind = (key_type(key) or "").removeprefix("ArrayOf")
    first = _OTHER.get(kind, "something-else")
    if kind == "Bool":
        return "false" if "true" in taken else "true"
    candidates = (first, *(f"{first}{n}" for n in range(2, len(taken) + 3)))
    return next(each for each in candidates if each not in taken)


def filled(pattern: str) -> Iterator[str]:
    """Yield texts that *pattern* stands for: with something for each `*`, and with nothing."""
    if "*" not in pattern and "?" not in pattern:
        yield pattern
        return
    yield pattern.replace("?", "2").replace("*", "x")
    yield pattern.replace("?", "2").replace("*", "")


def substituted(text: str, known: dict[str, Any] | None = None) -> Iterator[str]:
    """Yield *text* with values for its policy variables: those of *known*, and defaults."""
    yield _VARIABLE.sub(lambda m: _value(m, known or {}), text)
    if any(m["default"] is not None for m in _VARIABLE.finditer(text)):
        yield _VARIABLE.sub(lambda m: m["default"] or "", text)


def _value(match: re.Match[str], known: dict[str, Any]) -> str:
    key = match["key"]
    if key in _ESCAPES:
        return key
    found = next((v for name, v in known.items() if name.lower() == key.lower()), EXAMPLE)
    return found if isinstance(found, str) else EXAMPLE


def _named(condition: Condition) -> Iterator[str]:
    kind = family(condition.operator)
    make: Callable[[str], Iterator[str]] | None = _RANGES.get(kind)
    if condition.key.lower() == "ec2:instancetype":
        make = _types
    for value in condition.values:
        for text in substituted(value):
            if kind == "null":
                continue
            with suppress(ValueError, OverflowError):
                yield from make(text) if make else (text,)


def _types(pattern: str) -> Iterator[str]:
    """Yield instance types that exist, or could, for *pattern*."""
    yield pattern.replace("?", "2").replace(".*", ".large").replace("*", "m5")
    yield from filled(pattern)


def _numbers(text: str) -> Iterator[str]:
    number = float(text)
    for each in (number, number - 1, number + 1):
        yield f"{each:g}" if abs(each) < 1e6 else str(int(each))


def _dates(text: str) -> Iterator[str]:
    if text.isdigit():
        yield from (text, str(int(text) - 1), str(int(text) + 1))
        return
    moment = datetime.fromisoformat(text)
    for seconds in (0, -1, 1):
        yield (moment + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def _addresses(text: str) -> Iterator[str]:
    """Yield the first and last address of a network, and its neighbours."""
    network = ip_network(text, strict=False)
    first, last = int(network.network_address), int(network.broadcast_address)
    make = type(network.network_address)
    for number in (first, last, first - 1, last + 1):
        with suppress(ValueError):
            yield str(make(number))
    if network.version == 4:
        yield str(ip_address("2001:db8::99"))


def _unique(values: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for each in values:
        if each not in found:
            found.append(each)
    return found


_RANGES: Final = {
    "string": filled,
    "arn": filled,
    "numeric": _numbers,
    "date": _dates,
    "ip": _addresses,
    "bool": lambda text: iter((text.lower(), "false" if text.lower() == "true" else "true")),
}
