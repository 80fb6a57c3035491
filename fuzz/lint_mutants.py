"""Lint mutated policies and fail on any exception: `python fuzz/lint_mutants.py [COUNT] [SEED]`.

Each mutant is a shipped or test policy with a few changes to its structure (members dropped,
copied, swapped, replaced by values of other types) or to its text; what has certain corrections is
mended too. Prints the number of mutants, the slowest and how many had each rule's findings; ends
with 1 and the mutant if anything raised.
"""

from __future__ import annotations

import copy
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from cml_iam.lint import KINDS, fix_text, lint_text

ROOT = Path(__file__).parents[1]
LARGE = 8_000
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 10**40, [], {}, [[]], [None], {"": ""}, {"AWS": []}),
    *("", "*", "?", ":", "::::::", "arn", "arn:", "arn:aws:ec2", "arn:aws:ec2:*:*:*", "x:y"),
    *("${", "${}", "${aws:username}", "${*}", "ec2:", ":x", "ec2:*", "EC2:run*", "Allow", "Deny"),
    *("aws:TagKeys", "aws:ResourceTag/", "ec2:ResourceTag/${", "../../etc/passwd:x"),
    *("\x00", "\ud800", "\U0001f600", "a" * 5000, "*" * 300, "*a" * 200, "*a" + "?" * 60),
    *({"StringEquals": {}}, {"ForAllValues:": {"": []}}, {"Null": {"aws:TagKeys": "x"}}),
)
NAMES = (
    *("Version", "Id", "Statement", "Sid", "Effect", "Action", "NotAction", "Resource"),
    *("NotResource", "Principal", "NotPrincipal", "Condition", "StringEquals", "StringLike"),
    *("StringNotEquals", "ForAllValues:StringEquals", "ForAnyValue:StringLike", "Null", "Bool"),
    *("NumericLessThan", "DateLessThan", "IpAddress", "ArnLike", "StringEqualsIfExists"),
    *("aws:TagKeys", "aws:ResourceTag/ManagedBy", "ec2:Region", "aws:RequestedRegion", "", "x"),
)


def main() -> int:
    """Run; return the exit code."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    seeds = parsed(policies())
    found: Counter[str] = Counter()
    mended = 0
    slowest, started = 0.0, time.perf_counter()
    for number in range(count):
        text, kind = mutant(chance, seeds), chance.choice(KINDS)
        before = time.perf_counter()
        try:
            findings = lint_text(text, "mutant.json", kind=kind)
            corrections = [finding.as_json() for finding in findings if finding.correction]
            if corrections:
                mended += bool(fix_text(text, "mutant.json", kind=kind).applied)
        except Exception as error:
            sys.stdout.write(f"mutant {number} of seed {seed}, kind {kind}: {error!r}\n{text!r}\n")
            raise
        slowest = max(slowest, time.perf_counter() - before)
        found.update({finding.rule for finding in findings} or {"none"})
    seconds = time.perf_counter() - started
    sys.stdout.write(
        f"{count} mutants in {seconds:.0f} s, none raised; "
        f"slowest {slowest * 1000:.0f} ms; {mended} mended\n"
    )
    for rule, number in sorted(found.items()):
        sys.stdout.write(f"  {rule}: {number}\n")
    return 0


def policies() -> list[Path]:
    """Return the policies to begin with: the rules' examples and cases, but for the very large."""
    found = sorted((ROOT / "cml_iam" / "lint" / "examples").glob("*.json"))
    found += sorted((ROOT / "tests" / "lint" / "cases").glob("*/*.json"))
    return [path for path in found if path.name != "expected.json" and path.stat().st_size < LARGE]


def parsed(paths: list[Path]) -> list[Any]:
    """Return those of *paths* that are JSON objects, parsed."""
    found = []
    for path in paths:
        try:
            found.append(json.loads(path.read_text("utf-8")))
        except ValueError:
            continue  # cases that are no JSON on purpose
    return [policy for policy in found if isinstance(policy, dict)]


def mutant(chance: random.Random, seeds: list[Any]) -> str:
    """Return the text of one mutated policy."""
    value = copy.deepcopy(chance.choice(seeds))
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        value = change(chance, value, seeds)
    text = json.dumps(value, ensure_ascii=chance.random() < 0.5)
    return change_text(chance, text) if chance.random() < 0.1 else text


def change(chance: random.Random, value: Any, seeds: list[Any]) -> Any:
    """Return *value* with one change at a place inside it."""
    places = list(walk(value))
    if not places:
        return chance.choice(ODD)
    container, key = chance.choice(places)
    kind = chance.randrange(12)
    if kind == 0:
        del container[key]
    elif kind == 1:
        container[key] = copy.deepcopy(chance.choice(ODD))
    elif kind == 2:
        other, name = chance.choice(list(walk(chance.choice(seeds))))
        container[key] = copy.deepcopy(other[name])
    elif kind == 3 and isinstance(container, dict):
        container[chance.choice(NAMES)] = container.pop(key)
    elif kind == 4 and isinstance(container, list):
        container.append(copy.deepcopy(container[key]))
    elif kind == 5 and isinstance(container[key], str):
        container[key] = change_text(chance, container[key])
    elif kind == 6:
        container[key] = [container[key]]
    else:
        container[key] = alike(chance, key, container[key], seeds)
    return value


def alike(chance: random.Random, key: str | int, value: Any, seeds: list[Any]) -> Any:
    """Return what another policy has in such a place: the mutant stays within the grammar."""
    others = [
        other[name]
        for other, name in walk(chance.choice(seeds))
        if type(other[name]) is type(value) and (isinstance(key, int) or name == key)
    ]
    return copy.deepcopy(chance.choice(others)) if others else value


def walk(value: Any) -> Any:
    """Yield every (container, key) inside *value*."""
    if not isinstance(value, dict | list):
        return
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield value, key
        if isinstance(inner, dict | list):
            yield from walk(inner)


def change_text(chance: random.Random, text: str) -> str:
    """Return *text* with some characters put in, taken out or doubled."""
    at = chance.randrange(len(text) + 1)
    piece = chance.choice(
        ("*", "?", ":", "/", "${", "}", '"', ",", "[", "{", "\\", "\n", "\u00e9", "")
    )
    return text[:at] + piece + text[at + chance.randrange(3) :]


if __name__ == "__main__":
    sys.exit(main())
