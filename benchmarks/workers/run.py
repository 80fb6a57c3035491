"""Measure fleets beside the original's way of calling; write the tables of README.md.

python benchmarks/workers/run.py [--rounds 3] [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import urlopen

HERE = Path(__file__).resolve().parent
DELAYS = (0, 50, 100)
BEGIN, END = "<!-- results -->", "<!-- end of results -->"
NAMES = {
    "original": "the original's way",
    "ours": "cml-iam",
    "parsing": "botocore's parsing alone",
    "awaited": "cml-iam's AsyncWorkerManager",
    "aiobotocore": "aiobotocore, 32 calls at a time",
}


@contextmanager
def replayed(workers: int, delay: int, state: str = "running") -> Iterator[str]:
    """Run the server as a process of its own; give its URL."""
    asked = ["--workers", str(workers), "--delay", str(delay / 1000), "--state", state]
    process = subprocess.Popen(
        [sys.executable, str(HERE / "replay.py"), *asked],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait()


def once(way: str, job: str, url: str, workers: int) -> dict:
    """Let *way* do *job* in a fresh process; return what it says, with the requests it took."""
    python = os.environ["AIOBOTOCORE"] if way == "aiobotocore" else sys.executable
    command = [python, str(HERE / "contender.py"), way, job, url, str(workers)]
    said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    with urlopen(f"{url}/counts", timeout=30) as answer:
        counts = json.load(answer)
    return {**said, "requests": sum(counts.values()) // said["turns"]}


def best(results: Sequence[dict]) -> dict:
    """Return the least of each figure: what else the machine did only ever adds."""
    least = {name: min(result[name] for result in results) for name in ("seconds", "cpu", "again")}
    return {**results[0], **least}


def beside(
    ways: Sequence[tuple[str, str]], workers: int, delay: int, rounds: int
) -> dict[tuple[str, str], dict]:
    """Measure *ways* in turns on one server."""
    results: dict[tuple[str, str], list[dict]] = {each: [] for each in ways}
    with replayed(workers, delay) as url:
        for _ in range(rounds):
            for way, job in ways:
                results[way, job].append(once(way, job, url, workers))
                print(f"{delay:3} ms {way} {job}: {results[way, job][-1]}", file=sys.stderr)
    return {each: best(found) for each, found in results.items()}


def listing(workers: int, rounds: int, delays: Sequence[int]) -> Iterator[str]:
    yield f"### List {workers:,} workers in 4 regions\n"
    yield "| delay | way | requests | seconds | faster | again | faster | CPU-seconds |"
    yield "|--:|---|--:|--:|--:|--:|--:|--:|"
    ways = [("original", "list"), ("ours", "list"), ("parsing", "list")]
    for delay in delays:
        found = beside(ways, workers, delay, rounds)
        base = found["original", "list"]
        for (way, _), one in found.items():
            if way == "parsing" and delay:
                continue
            assert one["result"] == workers, one
            yield row(delay, NAMES[way], one, base)


def metrics(workers: int, rounds: int, delays: Sequence[int]) -> Iterator[str]:
    yield f"\n### CPU and memory of {workers} workers in 4 regions\n"
    yield "| delay | way | requests | seconds | faster | again | faster | CPU-seconds |"
    yield "|--:|---|--:|--:|--:|--:|--:|--:|"
    ways = [("original", "metrics"), ("ours", "metrics"), ("ours", "metrics-data")]
    for delay in delays:
        found = beside(ways[:1], workers, delay, min(rounds, 2))
        found |= beside(ways[1:], workers, delay, rounds)
        base = found["original", "metrics"]
        for (way, job), one in found.items():
            name = NAMES[way] + (", GetMetricData" if job == "metrics-data" else "")
            name += f": {one['result']} of {2 * workers} known"
            yield row(delay, name, one, base)


def awaiting(workers: int, rounds: int, delay: int) -> Iterator[str]:
    """Measure with asyncio; aiobotocore where AIOBOTOCORE names a Python that has it."""
    yield f"\n### CPU and memory of {workers} workers in 4 regions, with asyncio\n"
    yield "| delay | way | requests | seconds | faster | again | faster | CPU-seconds |"
    yield "|--:|---|--:|--:|--:|--:|--:|--:|"
    ways = [("awaited", "metrics")]
    if "AIOBOTOCORE" in os.environ:
        ways.append(("aiobotocore", "metrics"))
    found = beside([("original", "metrics")], workers, delay, 1)
    found |= beside(ways, workers, delay, rounds)
    base = found["original", "metrics"]
    for (way, _), one in found.items():
        yield row(delay, f"{NAMES[way]}: {one['result']} of {2 * workers} known", one, base)


def row(delay: int, name: str, one: dict, base: dict) -> str:
    ratio = again = more = ""
    if one is not base:
        ratio = f"{base['seconds'] / one['seconds']:.1f} x"
        again, more = f"{one['again']:.2f}", f"{base['seconds'] / one['again']:.1f} x"
    figures = [one["requests"], f"{one['seconds']:.2f}", ratio, again, more, f"{one['cpu']:.2f}"]
    return f"| {delay} ms | {name} | " + " | ".join(map(str, figures)) + " |"


def starting(workers: int) -> Iterator[str]:
    yield f"\n### Start {workers} stopped workers of a region\n"
    yield "| way | started | not started | requests | seconds |"
    yield "|---|--:|--:|--:|--:|"
    ways = (
        ("original", "start", "the original's way, one after the other"),
        ("original", "start-16", "the original's way, 16 at once"),
        ("ours", "start", "cml-iam"),
    )
    for way, job, name in ways:
        with replayed(workers * 4, 50, "stopped") as url:
            one = once(way, job, url, workers)
        print(f"{way} {job}: {one}", file=sys.stderr)
        left = workers - one["result"]
        yield f"| {name} | {one['result']} | {left} | {one['requests']} | {one['seconds']:.1f} |"


def memory(sizes: Sequence[int]) -> Iterator[str]:
    yield "\n### Memory of listing\n"
    yield "| workers | requests | CPU-seconds | botocore's parsing | peak MiB | more, per worker |"
    yield "|--:|--:|--:|--:|--:|--:|"
    first: dict = {}
    for size in sizes:
        with replayed(size, 0) as url:
            one, floor = once("ours", "list", url, size), once("parsing", "list", url, size)
        print(f"{size} workers: {one}", file=sys.stderr)
        more = "" if not first else per_worker(one, first)
        first = first or one
        figures = f"{one['requests']} | {one['cpu']:.2f} | {floor['cpu']:.2f} | {one['mib']:.0f}"
        yield f"| {size:,} | {figures} | {more} |"


def per_worker(one: dict, first: dict) -> str:
    kib = (one["mib"] - first["mib"]) * 1024 / (one["result"] - first["result"])
    return f"{kib:.1f} KiB"


def main() -> int:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--quick", action="store_true", help="small fleets; writes nothing")
    arguments.add_argument("--only", choices=["list", "metrics", "async", "start", "memory"])
    arguments.add_argument("--delays", type=int, nargs="+", default=DELAYS, help="milliseconds")
    given = arguments.parse_args()
    small = 20 if given.quick else 1
    tables = {
        "list": listing(2000 // small, given.rounds, given.delays),
        "metrics": metrics(200 // small, given.rounds, given.delays),
        "async": awaiting(200 // small, given.rounds, 50),
        "start": starting(60),
        "memory": memory([size // small for size in (2000, 10_000, 20_000)]),
    }
    lines = [line for name, table in tables.items() if given.only in (None, name) for line in table]
    where = f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores"
    results = f"{datetime.now(UTC):%Y-%m-%d}, {where}\n\n" + "\n".join(lines)
    print(results)
    if not given.quick and not given.only:
        page = HERE / "README.md"
        text = re.sub(
            f"{BEGIN}.*{END}",
            lambda _: f"{BEGIN}\n{results}\n{END}",
            page.read_text(),
            flags=re.DOTALL,
        )
        page.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
