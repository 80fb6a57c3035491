"""A type checker knows the public names: it accepts what works, and refuses what cannot."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

RIGHT = """\
import asyncio
from pathlib import Path
import boto3
import cml_iam
from cml_iam.cloud_manager import AwsEc2Client, Exceptions

session = boto3.Session(profile_name="lab", region_name="us-east-1")
guard = cml_iam.load_site(Path("cml-iam.toml")).restrict.guard_tag
manager = cml_iam.WorkerManager(session=session, guard=guard)
names: list[str] = [worker.name for worker in manager.get_all_instances()]
ready: bool = bool(manager.health()) and cml_iam.connect(session=session).region == "us-east-1"

async def main() -> bool:
    async with cml_iam.AsyncWorkerManager(session=session) as workers:
        await workers.stop_instance((await workers.get_all_instances())[0].id)
    async with AwsEc2Client(session, exceptions=Exceptions(base=ValueError)) as client:
        return await client.health("us-east-1")

asyncio.run(main())
"""
WRONG = (
    'cml_iam.WorkerManager(session="lab")',
    "cml_iam.connect(session=42)",
    "cml_iam.AsyncWorkerManager(session=object())",
    "cml_iam.WorkerManager().start_instance(1)",
    'AwsEc2Client("lab")',
    "AwsEc2Client(None, exceptions=ValueError)",
    "cml_iam.unknown",
)


def test_mypy_accepts_a_users_script_and_refuses_each_wrong_line(tmp_path: Path) -> None:
    wrong = "import cml_iam\nfrom cml_iam.cloud_manager import AwsEc2Client\n" + "\n".join(WRONG)
    (tmp_path / "right.py").write_text(RIGHT)
    (tmp_path / "wrong.py").write_text(wrong + "\n")

    ran = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-pretty", "right.py", "wrong.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )

    refused = {
        line.partition(": error:")[0] for line in ran.stdout.splitlines() if "error:" in line
    }
    assert refused == {f"wrong.py:{number}" for number in range(3, 3 + len(WRONG))}, ran.stdout
