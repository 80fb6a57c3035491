"""What the benchmarks' server answers is what botocore reads as EC2's and CloudWatch's answers."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_urlsafe

import pytest

from cml_iam import errors
from cml_iam.aws import Aws, connect
from cml_iam.secret import Secret
from cml_iam.workers import WorkerManager, act, list_fleet, start_change

fleet = pytest.importorskip("benchmarks.workers.fleet")
SERVER = Path(__file__).parents[2] / "benchmarks" / "workers" / "replay.py"


@pytest.fixture
def url() -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, str(SERVER), "--workers", "40"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.stdin.close()


@pytest.fixture
def aws(url: str) -> Aws:
    return connect(
        endpoint_url=url,
        region="us-east-1",
        access_key="AKIAIOSFODNN7EXAMPLE",
        secret_key=Secret(token_urlsafe(30)),
        attempts=1,
    )


def test_the_fleet_is_listed_measured_and_started(aws: Aws) -> None:
    manager = WorkerManager(aws, now=lambda: datetime.now(UTC))

    found = list_fleet(fleet.REGIONS, lambda region: manager.get_all_instances(region=region))
    one_by_one = manager.get_utilization_of(found.workers)
    together = manager.get_utilization_of(found.workers, metric_data=True)

    assert [worker.id for worker in found.workers] == [fleet.worker_id(n) for n in range(40)]
    assert found.workers[5].region == fleet.region_of(5)
    for used in (one_by_one, together):
        assert {each.cpu.mean for each in used.values()} == {22.0}
        assert {each.memory.mean for each in used.values()} == {22.0}
    assert all(each.change for each in act(manager, found.workers, start_change))


def test_pages_follow_each_other_and_starting_is_limited(aws: Aws) -> None:
    manager = WorkerManager(aws)
    pages = aws.pages("ec2", "describe_instances", "Reservations", MaxResults=5)

    assert len(list(pages)) == 10
    started = [_start(manager) for _ in range(20)]
    assert started[:5] == [True] * 5
    assert not all(started)


def _start(manager: WorkerManager) -> bool:
    try:
        manager.start_instance(fleet.worker_id(0))
    except errors.ThrottledError:
        return False
    return True
