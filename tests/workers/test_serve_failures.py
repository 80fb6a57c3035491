"""Whatever becomes of AWS, /health answers 503 with the reason within 5 seconds.

The real client is asked over real sockets; that its times end early enough is a sum. No test looks
at a clock: where AWS answers there is all the time in the world, and where it never does, the times
are cut short, and an answer there is at all came before AWS's.
"""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cml_iam.aws import Aws, connect
from cml_iam.cli.health import PROBE_ATTEMPTS, PROBE_SECONDS
from cml_iam.sandbox import start_sandbox
from cml_iam.secret import Secret
from cml_iam.workers import Monitor, WorkerManager
from cml_iam.workers._monitor import PATIENCE
from tests.workers.test_serve import serving

WITHIN = 5.0
LONG = 25.0
"""Seconds for what does answer, however busy the machine; less than the port waits by itself."""

SHORT = 0.3
"""Seconds to wait for what never answers."""

BACKOFF = 1.0
"""Seconds that botocore waits at most before the second of two attempts."""


def told(
    url: str, key: str = "AKIAIOSFODNN7EXAMPLE", *, seconds: float = LONG, **more: Any
) -> tuple[int, dict[str, Any]]:
    """Ask /health of a service whose AWS is at *url*; return status and answer.

    The client gives up after *seconds*, the service some time after that: the reason tells which.
    """
    aws = connect(
        endpoint_url=url,
        region="us-east-1",
        access_key=key,
        secret_key=more.pop("secret", Secret("x" * 40)),
        attempts=1,
        connect_timeout=seconds,
        read_timeout=seconds,
        **more,
    )
    patient: Aws = connect(endpoint_url=url, region="us-east-1")
    watched = Monitor(
        WorkerManager(patient),
        ["us-east-1"],
        "us-east-1",
        patience=seconds + LONG,
        prober=WorkerManager(aws),
    )
    with serving(watched) as get:
        status, said = get("/health")
    return status, json.loads(said)


def test_the_probe_gives_up_before_the_reader_does() -> None:
    assert PROBE_ATTEMPTS == 2
    assert 2 * PROBE_SECONDS + BACKOFF < PATIENCE < WITHIN


@contextmanager
def listening(*, answering: bool) -> Iterator[str]:
    """Take connections and never answer, or (not *answering*) do not even take them."""
    taken = []
    server = socket.create_server(("127.0.0.1", 0), backlog=0 if not answering else 5)
    address = server.getsockname()
    if not answering:
        # With the queue full, the system drops what comes, as a dead host does.
        full = False
        while not full:
            taken.append(socket.socket())
            taken[-1].settimeout(SHORT)
            full = taken[-1].connect_ex(address) != 0
    yield f"http://127.0.0.1:{address[1]}"
    for each in taken:
        each.close()
    server.close()


def test_a_dead_endpoint() -> None:
    with listening(answering=False) as url:
        status, said = told(url, seconds=SHORT)

    assert status == 503
    assert said["connected"] is False
    assert "connect timeout" in said["reasons"][0].lower()


def test_a_refused_connection() -> None:
    status, said = told("http://127.0.0.1:1")

    assert status == 503
    assert "could not connect to the endpoint" in said["reasons"][0]


def test_an_answer_that_hangs() -> None:
    with listening(answering=True) as url:
        status, said = told(url, seconds=SHORT)

    assert status == 503
    assert "read timeout" in said["reasons"][0].lower()


@contextmanager
def hanging() -> Iterator[Monitor]:
    """A service whose AWS answers at the end of the test, and not before."""
    go_on = threading.Event()

    class Hanging:
        region = "us-east-1"

        def call(self, *_: Any, **__: Any) -> dict[str, Any]:
            go_on.wait()
            return {"Regions": []}

    aws: Any = Hanging()
    try:
        yield Monitor(WorkerManager(aws), ["us-east-1"], "us-east-1", patience=0.1)
    finally:
        go_on.set()


def test_an_answer_that_hangs_longer_than_the_probe_gives_up() -> None:
    """The last line of defence: the reader gets an answer though the client is still waiting."""
    with hanging() as watched, serving(watched) as get:
        status, said = get("/health")

    assert status == 503
    assert "no answer within 0." in json.loads(said)["reasons"][0]


def test_expired_credentials() -> None:
    later = [timedelta(0)]
    with start_sandbox(clock=lambda: datetime.now(UTC) + later[0]) as sandbox:
        root = connect(
            endpoint_url=sandbox.endpoint_url,
            region="us-east-1",
            access_key=sandbox.root.id,
            secret_key=sandbox.root.secret,
        )
        root.call("iam", "create_user", UserName="u")
        key = root.call("iam", "create_access_key", UserName="u")["AccessKey"]
        user = connect(
            endpoint_url=sandbox.endpoint_url,
            region="us-east-1",
            access_key=key["AccessKeyId"],
            secret_key=key["SecretAccessKey"],
        )
        made = user.call("sts", "get_session_token", DurationSeconds=900)["Credentials"]
        later[0] = timedelta(minutes=16)
        status, said = told(
            sandbox.endpoint_url,
            made["AccessKeyId"],
            secret=made["SecretAccessKey"],
            session_token=made["SessionToken"],
        )

    assert status == 503
    assert "RequestExpired" in said["reasons"][0]


def test_credentials_that_are_wrong() -> None:
    with start_sandbox() as sandbox:
        status, said = told(sandbox.endpoint_url)

    assert status == 503
    assert "AuthFailure" in said["reasons"][0]


def test_no_credentials_at_all() -> None:
    aws = connect(region="us-east-1", endpoint_url="http://127.0.0.1:1")
    with serving(Monitor(WorkerManager(aws), ["us-east-1"], "us-east-1")) as get:
        status, said = get("/health")

    assert status == 503
    assert "credentials" in json.loads(said)["reasons"][0]


def test_what_does_not_speak_aws() -> None:
    watched = Monitor(WorkerManager(connect(region="us-east-1")), ["us-east-1"], "us-east-1")
    with serving(watched, token="t") as get:  # any server that answers in JSON
        status, said = told(get.url)

    assert status == 503
    assert said["reasons"]


@pytest.mark.parametrize("path", ["/", "/metrics"])
def test_the_other_answers_come_before_awss_too(path: str) -> None:
    with hanging() as watched, serving(watched) as get:
        status, said = get(path, Accept="text/html")

    assert status == 200
    assert "cml_iam_up 0\n" in said or "EC2 cannot be used" in said
