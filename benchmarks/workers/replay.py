"""A server that answers as EC2 and CloudWatch do, at once or after a delay, and counts.

    python benchmarks/workers/replay.py --workers 2000 --delay 0.05

Prints its URL, and serves until its standard input ends. It speaks what botocore sends: EC2's
query protocol with XML, CloudWatch's JSON. It does not check signatures. Starting is limited as
EC2's is: 5 requests at once, then 2 a second, in each region.
https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import threading
import time
from collections import Counter
from urllib.parse import parse_qs

try:
    from benchmarks.workers import fleet
except ModuleNotFoundError:  # started as a script
    import fleet  # type: ignore[no-redef]

BURST, PER_SECOND = 5.0, 2.0
_SCOPE = re.compile(rb"Credential=[^/]+/\d+/([^/]+)/([^/]+)/")
Reply = tuple[int, str, bytes]


class Bucket:
    """EC2's bucket of requests."""

    def __init__(self) -> None:
        self.tokens, self.at = BURST, time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self.tokens = min(BURST, self.tokens + (now - self.at) * PER_SECOND)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class World:
    """*workers* over four regions, all in *state*; *counts* are the requests by operation."""

    def __init__(self, workers: int, state: str) -> None:
        self.workers, self.state = workers, state
        self.counts: Counter[str] = Counter()
        self.buckets = {region: Bucket() for region in fleet.REGIONS}

    def answer(self, head: bytes, body: bytes) -> Reply:
        if head.startswith(b"GET /counts"):
            counts, self.counts = self.counts, Counter()
            return 200, "application/json", json.dumps(counts).encode()
        scope = _SCOPE.search(head)
        region = scope[1].decode() if scope else fleet.REGIONS[0]
        target = re.search(rb"X-Amz-Target: \w+\.(\w+)", head, re.IGNORECASE)
        if target:
            operation = target[1].decode()
            self.counts[operation] += 1
            return 200, "application/x-amz-json-1.0", self._measured(operation, json.loads(body))
        given = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        self.counts[given["Action"]] += 1
        if given["Action"] == "StartInstances":
            if not self.buckets[region].take():
                return 503, "text/xml", fleet.THROTTLED
            ids = [value for name, value in given.items() if name.startswith("InstanceId.")]
            return 200, "text/xml", fleet.started(ids)
        return 200, "text/xml", self._described(region, given)

    def _described(self, region: str, given: dict[str, str]) -> bytes:
        if "InstanceId.1" in given:
            return fleet.single(fleet.number_of(given["InstanceId.1"]), self.state)
        start, size = int(given.get("NextToken", 0)), int(given.get("MaxResults", self.workers))
        return fleet.page(region, start, size, self.workers, self.state)

    def _measured(self, operation: str, given: dict) -> bytes:
        if operation == "GetMetricData":
            return fleet.data(given["MetricDataQueries"])
        return fleet.statistics(given["MetricName"], given["Dimensions"])


async def serve(world: World, delay: float) -> asyncio.Server:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
                body = await reader.readexactly(int(length[1])) if length else b""
                status, kind, said = world.answer(head, body)
                if delay:
                    await asyncio.sleep(delay)
                writer.write(
                    f"HTTP/1.1 {status} -\r\nContent-Type: {kind}\r\nx-amzn-RequestId: r\r\n"
                    f"Content-Length: {len(said)}\r\n\r\n".encode()
                    + said
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    return await asyncio.start_server(talk, "127.0.0.1", 0, backlog=512)


def main() -> int:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--workers", type=int, default=2000)
    arguments.add_argument("--state", default="running")
    arguments.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    given = arguments.parse_args()
    world = World(given.workers, given.state)
    for region in fleet.REGIONS:  # the pages of both ways of asking, built before anybody asks
        for size in (given.workers, fleet.PAGE):
            for start in range(0, len(fleet.in_region(region, given.workers)), size):
                fleet.page(region, start, size, given.workers, given.state)

    async def run() -> None:
        server = await serve(world, given.delay)
        host, port = server.sockets[0].getsockname()
        print(f"http://{host}:{port}", flush=True)
        async with server:
            await server.serve_forever()

    threading.Thread(target=lambda: asyncio.run(run()), daemon=True).start()
    sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
