"""One way of calling AWS, measured in this process: python contender.py WAY JOB URL WORKERS.

`original` calls as the original client is described to: a client for every call, no pages, one
worker after another, a look whether the worker exists before its metrics, GetMetricStatistics for
each. The calls are re-implemented from that description. `ours` is cml-iam as it is.

Prints JSON: seconds and CPU-seconds after the imports, the peak of resident memory, what came out.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.workers import fleet

KEY = {"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE", "aws_secret_access_key": "replayed"}


def original(job: str, url: str, workers: int) -> Callable[[], Any]:
    import boto3
    import botocore.exceptions

    def client(service: str, region: str) -> Any:
        return boto3.client(service, region_name=region, endpoint_url=url, **KEY)

    def list_all() -> Any:
        return sum(
            len(reservation["Instances"])
            for region in fleet.REGIONS
            for reservation in client("ec2", region).describe_instances()["Reservations"]
        )

    def statistics(region: str, now: datetime, namespace: str, metric: str, number: int) -> Any:
        return client("cloudwatch", region).get_metric_statistics(
            Namespace=namespace,
            MetricName=metric,
            Dimensions=[{"Name": "InstanceId", "Value": fleet.worker_id(number)}],
            StartTime=now - timedelta(minutes=5),
            EndTime=now,
            Period=300,
            Statistics=["Average"],
        )["Datapoints"]

    def metrics() -> Any:
        known = 0
        for number in range(workers):
            region, now = fleet.region_of(number), datetime.now(UTC)
            client("ec2", region).describe_instances(InstanceIds=[fleet.worker_id(number)])
            known += bool(statistics(region, now, "AWS/EC2", "CPUUtilization", number))
            known += bool(statistics(region, now, "CWAgent", "mem_used_percent", number))
        return known

    def start_one(number: int) -> bool:
        asked = client("ec2", fleet.REGIONS[0])
        try:
            asked.start_instances(InstanceIds=[fleet.worker_id(number)])
        except botocore.exceptions.ClientError:
            return False
        return True

    def start() -> Any:
        return sum(map(start_one, range(workers)))

    def start_at_once() -> Any:
        with ThreadPoolExecutor(16) as pool:
            return sum(pool.map(start_one, range(workers)))

    return {
        "list": list_all,
        "metrics": metrics,
        "start": start,
        "start-16": start_at_once,
    }[job]


def ours(job: str, url: str, workers: int) -> Callable[[], Any]:
    import boto3  # noqa: F401 - so that here, too, importing botocore is not measured

    from cml_iam.aws import connect
    from cml_iam.secret import Secret
    from cml_iam.workers import Worker, WorkerManager, act, list_fleet, start_change

    aws = connect(
        endpoint_url=url,
        region=fleet.REGIONS[0],
        access_key=KEY["aws_access_key_id"],
        secret_key=Secret(KEY["aws_secret_access_key"]),
    )
    manager = WorkerManager(aws)

    def listed() -> tuple[Worker, ...]:
        found = list_fleet(fleet.REGIONS, lambda region: manager.get_all_instances(region=region))
        return found.workers

    def metrics(metric_data: bool) -> Any:
        used = manager.get_utilization_of(listed(), metric_data=metric_data)
        both = [metric for each in used.values() for metric in (each.cpu, each.memory)]
        return sum(metric.mean is not None for metric in both)

    def start() -> Any:
        stopped = [
            Worker(fleet.worker_id(number), fleet.REGIONS[0], "stopped", fleet.TYPE, fleet.IMAGE)
            for number in range(workers)
        ]
        return sum(each.change is not None for each in act(manager, stopped, start_change))

    return {
        "list": lambda: len(listed()),
        "metrics": lambda: metrics(False),
        "metrics-data": lambda: metrics(True),
        "start": start,
    }[job]


def awaited(job: str, url: str, workers: int) -> Callable[[], Any]:  # noqa: ARG001
    """Return cml-iam's asynchronous manager: the metrics of every worker, gathered."""
    from cml_iam.aws import connect
    from cml_iam.secret import Secret
    from cml_iam.workers import AsyncWorkerManager

    aws = connect(
        endpoint_url=url,
        region=fleet.REGIONS[0],
        access_key=KEY["aws_access_key_id"],
        secret_key=Secret(KEY["aws_secret_access_key"]),
    )
    manager = AsyncWorkerManager(aws)

    async def metrics() -> Any:
        regions = [manager.get_all_instances(region=region) for region in fleet.REGIONS]
        found = [worker for part in await asyncio.gather(*regions) for worker in part]
        used = await manager.get_utilization_of(found)
        both = [metric for each in used.values() for metric in (each.cpu, each.memory)]
        return sum(metric.mean is not None for metric in both)

    return lambda: asyncio.run(metrics())


def aiobotocore(job: str, url: str, workers: int) -> Callable[[], Any]:  # noqa: ARG001
    """Return aiobotocore: clients kept for each region and service, 32 calls at a time."""
    from aiobotocore.config import AioConfig
    from aiobotocore.session import get_session

    config = AioConfig(max_pool_connections=32)
    session, loop, stack = get_session(), asyncio.new_event_loop(), AsyncExitStack()
    clients: dict[tuple[str, str], Any] = {}

    async def client(service: str, region: str) -> Any:
        if (service, region) not in clients:
            making = session.create_client(
                service, region_name=region, endpoint_url=url, config=config, **KEY
            )
            clients[service, region] = await stack.enter_async_context(making)
        return clients[service, region]

    async def ids(region: str) -> list[tuple[str, str]]:
        pages = (await client("ec2", region)).get_paginator("describe_instances").paginate()
        return [
            (region, instance["InstanceId"])
            async for page in pages
            for reservation in page["Reservations"]
            for instance in reservation["Instances"]
        ]

    async def metrics() -> Any:
        free, now = asyncio.Semaphore(32), datetime.now(UTC)
        for region in fleet.REGIONS:
            await client("cloudwatch", region)

        async def known(region: str, worker: str, namespace: str, metric: str) -> bool:
            async with free:
                answer = await clients["cloudwatch", region].get_metric_statistics(
                    Namespace=namespace,
                    MetricName=metric,
                    Dimensions=[{"Name": "InstanceId", "Value": worker}],
                    StartTime=now - timedelta(minutes=5),
                    EndTime=now,
                    Period=300,
                    Statistics=["Average"],
                )
            return bool(answer["Datapoints"])

        listed = await asyncio.gather(*map(ids, fleet.REGIONS))
        kinds = (("AWS/EC2", "CPUUtilization"), ("CWAgent", "mem_used_percent"))
        asked = [known(*each, *kind) for part in listed for each in part for kind in kinds]
        return sum(await asyncio.gather(*asked))

    return lambda: loop.run_until_complete(metrics())


def parsing(job: str, url: str, workers: int) -> Callable[[], Any]:  # noqa: ARG001
    """Return botocore's parsing of the same answers and nothing else: the floor of listing."""
    import botocore.session
    from botocore.parsers import create_parser

    model = botocore.session.Session().get_service_model("ec2")
    shape = model.operation_model("DescribeInstances").output_shape
    parser = create_parser("ec2")
    bodies = [
        fleet.page(region, start, fleet.PAGE, workers, "running")
        for region in fleet.REGIONS
        for start in range(0, len(fleet.in_region(region, workers)), fleet.PAGE)
    ]

    def parse() -> Any:
        found = 0
        for body in bodies:
            said = parser.parse({"status_code": 200, "headers": {}, "body": body}, shape)
            found += sum(len(reservation["Instances"]) for reservation in said["Reservations"])
        return found

    return parse


WAYS = {
    "original": original,
    "ours": ours,
    "parsing": parsing,
    "awaited": awaited,
    "aiobotocore": aiobotocore,
}


def main() -> int:
    way, job, url, workers = sys.argv[1:5]
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    do = WAYS[way](job, url, int(workers))
    turns = []
    # The original keeps nothing, so its second time is like its first; nor is any start repeated.
    for _ in range(1 if way == "original" or job == "start" else 2):
        started, used = time.perf_counter(), time.process_time()
        result = do()
        turns.append((time.perf_counter() - started, time.process_time() - used))
    (seconds, cpu), (again, _) = turns[0], turns[-1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    said = {"seconds": seconds, "cpu": cpu, "again": again, "mib": peak, "result": result}
    print(json.dumps({**said, "turns": len(turns)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
