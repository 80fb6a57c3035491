"""Run ours beside iam-simulate, PMapper and ministack: interleaved, in CPU-seconds.

    python benchmarks/engine/run.py [--peers FOLDER] [--repeats 5] [--json FILE]

Each measurement is a fresh process; the contenders take turns, so that whatever else the machine
does strikes all of them. The README says how FOLDER is set up.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import workload

HERE = Path(__file__).resolve().parent
OURS = "cml-iam"
# Rounds over the requests: enough to take about a second.
ROUNDS = {OURS: (200, 4), "iam-simulate": (10, 1), "pmapper": (50, 1), "ministack": (100, 2)}


def commands(peers: Path) -> dict[str, list[str]]:
    found = {OURS: [sys.executable, str(HERE / "contender.py"), OURS]}
    if (peers / "node_modules").is_dir():
        found["iam-simulate"] = ["node", str(HERE / "contender.mjs")]
    for name in ("pmapper", "ministack"):
        if (peers / name / "bin" / "python").exists():
            found[name] = [
                str(peers / name / "bin" / "python"),
                str(HERE / "contender.py"),
                name,
            ]
    return found


def call(command: list[str], peers: Path, *arguments: str) -> str:
    done = subprocess.run(
        [*command, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PEERS": str(peers)},
    )
    return done.stdout.strip().splitlines()[-1]


def measure(path: Path, which: int, peers: Path, repeats: int) -> dict[str, dict]:
    """Return for each contender its rates, and how many of its decisions are ours too."""
    found = commands(peers)
    rates: dict[str, list[float]] = {name: [] for name in found}
    for turn in range(repeats):
        for name, command in found.items():
            said = json.loads(call(command, peers, str(path), str(ROUNDS[name][which])))
            rates[name].append(said["decisions"] / said["cpu_seconds"])
            print(f"  {turn + 1}/{repeats} {name}", file=sys.stderr)
    ours = call(found[OURS], peers, str(path), "1", "--decisions")
    result = {}
    for name, command in found.items():
        theirs = call(command, peers, str(path), "1", "--decisions")
        if name == "pmapper":
            same = sum((a == "A") == (b == "A") for a, b in zip(ours, theirs, strict=True))
        else:
            same = sum(a == b for a, b in zip(ours, theirs, strict=True))
        result[name] = {
            "median": statistics.median(rates[name]),
            "rates": rates[name],
            "same_decisions": same,
            "requests": len(ours),
        }
    return result


def show(title: str, result: dict[str, dict]) -> None:
    print(f"\n{title}")
    heads = f"{'decisions per CPU-second':>25}{'lowest':>12}{'highest':>12}{'ours is':>10}"
    print(f"{'':14}{heads}   decides as ours")
    ours = result[OURS]["median"]
    for name, each in result.items():
        ratio = "" if name == OURS else f"{ours / each['median']:.1f} x"
        print(
            f"{name:14}{each['median']:>25,.0f}{min(each['rates']):>12,.0f}"
            f"{max(each['rates']):>12,.0f}{ratio:>10}"
            f"   {each['same_decisions']} of {each['requests']}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", type=Path, default=HERE / "peers")
    parser.add_argument("--workload", type=Path, default=workload.GIVEN)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if not options.workload.exists():
        parser.error(f"no workload at {options.workload}")
    given = workload.given(options.workload)
    peers = options.peers.resolve()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for which, (title, made) in enumerate(
            {
                "384 requests, repeated": given,
                "25,000 requests, every one different": workload.different(given),
            }.items()
        ):
            path = Path(folder) / f"{which}.json"
            path.write_text(json.dumps(made))
            results[title] = measure(path, which, peers, options.repeats)
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores")
    for title, result in results.items():
        show(title, result)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
