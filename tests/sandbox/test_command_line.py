"""`cml-iam sandbox start` and `run`, as processes of their own, and the AWS CLI against them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cml_iam.cli import _main as main
from cml_iam.sandbox import Sandbox, command_environment, run_command
from tests.sandbox.conftest import Identity, fetch
from tests.sandbox.documents import GUARD, IMAGE, RESTRICTED

pytestmark = pytest.mark.long
COMMAND = [sys.executable, "-m", "cml_iam", "sandbox"]


@contextmanager
def started(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """Run `sandbox start`; yield the process and what it exports."""
    process = subprocess.Popen(
        [*COMMAND, "start", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "AWS_SESSION_TOKEN": "left over"},
    )
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline().strip() for _ in range(6)]
        exports = dict(line.removeprefix("export ").split("=", 1) for line in lines[1:])
        assert lines[0] == "unset AWS_CONFIG_FILE AWS_SESSION_TOKEN AWS_SHARED_CREDENTIALS_FILE"
        yield process, exports
    finally:
        process.kill()
        process.communicate()


def test_start_prints_exports_stays_up_and_ends_on_a_signal() -> None:
    with started("--region", "us-west-2", "--account", "444455556666") as (process, exports):
        assert set(exports) == {
            "AWS_ENDPOINT_URL",
            "AWS_REGION",
            "AWS_DEFAULT_REGION",
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
        }
        assert exports["AWS_REGION"] == "us-west-2"
        asked = subprocess.run(
            [sys.executable, "-c", _WHO],
            env={**os.environ, **exports},
            capture_output=True,
            text=True,
        )
        assert asked.stdout.strip() == "arn:aws:iam::444455556666:root"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert process.stderr is not None
        assert exports["AWS_SECRET_ACCESS_KEY"] not in process.stderr.read()


def test_the_exports_are_in_a_file_when_the_sandbox_answers(tmp_path: Path) -> None:
    file = tmp_path / "sandbox.env"
    script = (
        f"{sys.executable} -m cml_iam sandbox start --quiet --env-file {file} & "
        f"until [ -e {file} ]; do sleep 0.05; done; . {file}; "
        f'{sys.executable} -c "{_WHO}"; stat -c %a {file}; kill $!; wait $!; echo $?'
    )
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True)

    assert ran.stdout.split() == ["arn:aws:iam::111122223333:root", "600", "0"]
    assert not file.exists()


def test_a_file_of_somebody_else_is_not_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.env"
    file.write_text("export A=b\n")

    assert main.run(["sandbox", "start", "--env-file", str(file)]) == 2
    assert file.read_text() == "export A=b\n"
    assert "was not written by `sandbox start`" in capsys.readouterr().err


_WHO = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])"


def test_run_points_the_command_at_a_sandbox_and_ends_with_its_code() -> None:
    own = {
        "AWS_PROFILE": "production",
        "AWS_SESSION_TOKEN": "x",
        "AWS_ENDPOINT_URL_EC2": "https://ec2.example",
        "AWS_SHARED_CREDENTIALS_FILE": "/home/me/.aws/credentials",
        "PATH_OF_MINE": "kept",
    }
    program = f"import json, os; {_WHO}; print(json.dumps(dict(os.environ))); raise SystemExit(7)"
    ran = subprocess.run(
        [*COMMAND, "run", "--", sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **own},
    )
    arn, printed = ran.stdout.splitlines()
    environment = json.loads(printed)

    assert (ran.returncode, arn) == (7, "arn:aws:iam::111122223333:root")
    assert ran.stderr == ""
    assert environment["PATH_OF_MINE"] == "kept"
    assert environment["AWS_SHARED_CREDENTIALS_FILE"] == os.devnull
    assert not {"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_EC2"} & set(environment)
    assert environment["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")


def test_a_command_that_cannot_run_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["sandbox", "run", "--", "no-such-command"]) == 127
    assert "no-such-command" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["no-such-command"], 127),
        ([os.path.dirname(__file__)], 126),
        ([__file__], 126),
        ([sys.executable, "-c", "import os; os.kill(os.getpid(), 15)"], 128 + signal.SIGTERM),
        ([sys.executable, "-c", "raise SystemExit(3)"], 3),
    ],
)
def test_a_command_ends_as_in_a_shell(command: list[str], code: int, sandbox: Sandbox) -> None:
    assert run_command(sandbox, command) == code


def test_signals_are_passed_on_and_the_sandbox_ends_with_the_command() -> None:
    script = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(41))\n"
        "print(os.environ['AWS_ENDPOINT_URL'], flush=True)\n"
        "time.sleep(60)"
    )
    process = subprocess.Popen(
        [*COMMAND, "run", "--", sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert fetch(url)[0] == 403
    process.send_signal(signal.SIGTERM)

    assert process.wait(60) == 41
    process.stdout.close()
    with pytest.raises(ConnectionError):
        fetch(url)


def test_wrong_options_are_usage() -> None:
    assert main.run(["sandbox", "run", "--account", "12", "--", "true"]) == 2
    assert main.run(["sandbox", "run"]) == 2


@pytest.fixture(scope="module")
def aws(sandbox: Sandbox) -> Callable[..., Any]:
    """Run the AWS CLI as *identity*; return what it printed, or its error as a text."""
    found = shutil.which("aws")
    if found is None:
        pytest.skip("no AWS CLI here")

    def call(identity: Identity, *arguments: str) -> Any:
        environment = command_environment(sandbox, os.environ) | {
            "AWS_ACCESS_KEY_ID": identity.key,
            "AWS_SECRET_ACCESS_KEY": identity.secret,
        }
        ran = subprocess.run(
            [found, *arguments, "--output", "json"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return json.loads(ran.stdout or "null") if ran.returncode == 0 else ran.stderr.strip()

    return call


def test_the_aws_cli_works_and_is_refused_where_the_policy_refuses(
    aws: Callable[..., Any], root: Identity, user: Callable[..., Identity]
) -> None:
    manager = user(RESTRICTED)
    launching = ["ec2", "run-instances", "--image-id", IMAGE, "--instance-type"]
    tags = ",".join(f"{{Key={key},Value={value}}}" for key, value in GUARD.items())
    tagged = ["--tag-specifications", f"ResourceType=instance,Tags=[{tags}]"]

    assert aws(manager, "sts", "get-caller-identity")["Arn"] == manager.arn
    assert "(UnauthorizedOperation)" in aws(manager, *launching, "t3.large", *tagged)
    made = aws(manager, *launching, "c5.large", *tagged)["Instances"][0]["InstanceId"]
    found = aws(manager, "ec2", "describe-instances", "--endpoint-url", root.sandbox.endpoint_url)
    assert [reservation["Instances"][0]["InstanceId"] for reservation in found["Reservations"]] == [
        made
    ]
    assert "(AccessDenied)" in aws(manager, "iam", "list-users")
    simulated = aws(
        root,
        *("iam", "simulate-principal-policy", "--policy-source-arn", manager.arn),
        *("--action-names", "ec2:DescribeRegions", "iam:ListUsers"),
    )["EvaluationResults"]
    assert [each["EvalDecision"] for each in simulated] == ["allowed", "implicitDeny"]
    assert aws(manager, "ec2", "terminate-instances", "--instance-ids", made)
    root.client("iam").delete_access_key(UserName=manager.name, AccessKeyId=manager.key)
    assert "(AuthFailure)" in aws(manager, "ec2", "describe-instances")


def test_a_command_runs_from_another_thread_too(sandbox: Sandbox) -> None:
    command = [sys.executable, "-c", "raise SystemExit(5)"]
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(run_command, sandbox, command).result() == 5
