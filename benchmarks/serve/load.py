"""`cml-iam serve` under load: answers, times, and the memory of its process.

    python benchmarks/serve/load.py [--rate 200] [--seconds 60] [--workers 200] [--regions 4]

An embedded AWS with a fleet in one of the regions, `cml-iam serve` in a process of its own, and
readers that send *rate* requests a second on a new connection each, as probes do: 7 of 10 for
/health, 2 for /metrics, 1 for the page. Ends with 1 if an answer failed, the rate was not kept, or
the memory went past --limit, 100 MB.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from cml_iam.aws import connect
from cml_iam.sandbox import OWN_IMAGE, Sandbox, command_environment, start_sandbox

PATHS = ("/health",) * 7 + ("/metrics",) * 2 + ("/",)
READERS = 16
REGIONS = ("us-east-1", "us-east-2", "us-west-1", "us-west-2")
GUARD = [{"Key": "ManagedBy", "Value": "lablet-cloud-manager"}]


def launch(sandbox: Sandbox, workers: int) -> None:
    aws = connect(
        endpoint_url=sandbox.endpoint_url,
        region=sandbox.region,
        access_key=sandbox.root.id,
        secret_key=sandbox.root.secret,
    )
    aws.call(
        "ec2",
        "run_instances",
        ImageId=OWN_IMAGE,
        InstanceType="m5zn.metal",
        MinCount=workers,
        MaxCount=workers,
        TagSpecifications=[{"ResourceType": "instance", "Tags": GUARD}],
    )


def started(sandbox: Sandbox, folder: str) -> tuple[subprocess.Popen[str], int]:
    """Start the service; return it with its port."""
    command = [sys.executable, "-u", "-m", "cml_iam", "serve", "--port", "0"]
    process = subprocess.Popen(
        command,
        env=command_environment(sandbox, os.environ),
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    # The credential is named first, then the address.
    line = next(line for line in process.stderr if "http://127.0.0.1:" in line)
    port = int(line.split("127.0.0.1:")[1].split("/")[0])
    threading.Thread(target=process.stderr.read, daemon=True).start()
    return process, port


def ask(port: int, path: str) -> tuple[int, float]:
    begun = time.perf_counter()
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={"Accept": "text/html"} if path == "/" else {})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, time.perf_counter() - begun


def load(port: int, rate: int, seconds: int) -> tuple[Counter[object], list[float], float]:
    """Send at even intervals; return the statuses, the times, and how long it took."""
    statuses: Counter[object] = Counter()
    times: list[float] = []
    turn = iter(range(rate * seconds))
    lock = threading.Lock()
    begun = time.perf_counter()

    def read() -> None:
        while True:
            with lock:
                number = next(turn, None)
            if number is None:
                return
            wait = begun + number / rate - time.perf_counter()
            if wait > 0:
                time.sleep(wait)
            try:
                status, took = ask(port, PATHS[number % len(PATHS)])
            except (OSError, HTTPException) as error:
                status, took = type(error).__name__, 0.0
            with lock:
                statuses[status] += 1
                times.append(took)

    readers = [threading.Thread(target=read) for _ in range(READERS)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    return statuses, sorted(times), time.perf_counter() - begun


def memory(process: subprocess.Popen[str]) -> dict[str, float]:
    """Return resident memory in MB (10^6 bytes), now and at its highest."""
    told = Path(f"/proc/{process.pid}/status").read_text()
    found = {}
    for name, field in (("now", "VmRSS:"), ("highest", "VmHWM:")):
        (line,) = [each for each in told.splitlines() if each.startswith(field)]
        found[name] = round(int(line.split()[1]) * 1024 / 1e6, 1)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--workers", type=int, default=200)
    parser.add_argument("--regions", type=int, choices=range(1, 5), default=4)
    parser.add_argument("--limit", type=float, default=100.0)
    chosen = parser.parse_args()
    with start_sandbox() as sandbox, tempfile.TemporaryDirectory() as folder:
        launch(sandbox, chosen.workers)
        site = f'[account]\nid = "{sandbox.account}"\n[restrict]\nregions = '
        regions = json.dumps(REGIONS[: chosen.regions])
        Path(folder, "cml-iam.toml").write_text(f"{site}{regions}\n")
        process, port = started(sandbox, folder)
        try:
            ask(port, "/health")
            time.sleep(3)
            before = memory(process)
            statuses, times, took = load(port, chosen.rate, chosen.seconds)
            after = memory(process)
        finally:
            process.terminate()
            process.wait(10)
    sent = chosen.rate * chosen.seconds
    found = {
        "requests": sent,
        "statuses": {str(each): n for each, n in statuses.items()},
        "rate": round(sent / took, 1),
        "ms": {
            "median": round(times[len(times) // 2] * 1000, 1),
            "p99": round(times[len(times) * 99 // 100] * 1000, 1),
            "longest": round(times[-1] * 1000, 1),
        },
        "memory_mb": {"before": before["now"], "after": after["now"], "highest": after["highest"]},
        "ended_by": process.returncode,
    }
    print(json.dumps(found, indent=2))
    kept = found["rate"] >= 0.98 * chosen.rate and after["highest"] < chosen.limit
    return 0 if kept and set(statuses) <= {200, 503} else 1


if __name__ == "__main__":
    sys.exit(main())
