"""Whether CML is ready, asked of a TLS server on the loopback interface."""

import json
import ssl
import threading
from collections.abc import Callable
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from cml_iam import errors
from cml_iam.workers import CmlAccess, CmlAnswer, Goal, Waited, Worker, WorkerManager, wait_for
from tests.workers.fake import FakeAws, instance
from tests.workers.tls import AnswerTls, Certificate, Quiet, certificate

READY = json.dumps({"ready": True, "version": "2.9.0+build.6"}).encode()


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate for 127.0.0.1."""
    return certificate(tmp_path_factory.mktemp("named"), "lab.example", "127.0.0.1")


@pytest.fixture(scope="module")
def unnamed(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate as an appliance makes it for itself: its name, and no address."""
    return certificate(tmp_path_factory.mktemp("unnamed"), "cml-controller", None)


Serve = Callable[..., int]
HERE = Worker("i-1", "us-east-1", "running", "t", "ami-1", public_ip="127.0.0.1")


@pytest.fixture
def serve(answer_tls: AnswerTls) -> Serve:
    """Answer GETs over TLS by the *answers* in turn, the last one for ever; return the port."""

    def start(shown: Certificate, *answers: tuple[int, bytes]) -> int:
        left = list(answers)

        class Answers(Quiet, BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                assert self.path == "/api/v0/system_information"
                assert "Authorization" not in self.headers
                status, body = left.pop(0) if len(left) > 1 else left[0]
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        return answer_tls(shown, Answers)

    return start


def test_cml_that_is_ready_says_so_with_its_version(serve: Serve, named: Certificate) -> None:
    port = serve(named, (200, READY))

    answer = CmlAccess(named.alone, port=port).ask(HERE)

    assert (answer.ready, answer.version) == (True, "2.9.0+build.6")
    assert answer.said == "CML 2.9.0+build.6 is ready"


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b'{"ready": false, "version": "2.9.0"}', "CML answers but is not ready"),
        (200, b'{"ready": "true"}', "CML answers but is not ready"),
        (502, b"<html>", "CML: HTTP 502"),
        (503, b"", "CML: HTTP 503"),
        (301, b"", "CML: HTTP 301"),
        (200, b"<html>Welcome to nginx", "CML: the server that answers is not CML"),
        (200, b"[]", "CML: the server that answers is not CML"),
        (200, b'{"version": "2.9.0"}', "CML: the server that answers is not CML"),
        (200, READY + b" " * 70_000, "CML 2.9.0+build.6 is ready"),
    ],
)
def test_anything_else_is_not_ready_and_may_become_so(
    serve: Serve, named: Certificate, status: int, body: bytes, said: str
) -> None:
    port = serve(named, (status, body))

    answer = CmlAccess(named.alone, port=port).ask(HERE)

    assert answer.said == said
    assert answer.ready is said.endswith("is ready")
    assert not answer.hopeless


def test_nobody_listening_is_waited_out() -> None:
    answer = CmlAccess(port=1).ask(HERE)

    assert (answer.ready, answer.hopeless) == (False, False)
    assert answer.said == "CML: no answer (connection refused)"


def test_a_certificate_is_checked_unless_asked_otherwise(serve: Serve, named: Certificate) -> None:
    port = serve(named, (200, READY))

    answer = CmlAccess(port=port).ask(HERE)

    assert (answer.ready, answer.hopeless) == (False, True)
    assert "its certificate is not trusted (self" in answer.said
    assert "--cml-ca FILE" in (answer.remedy or "")
    assert CmlAccess(insecure=True, port=port).ask(HERE).ready


def test_exactly_the_certificate_given_is_trusted_under_any_name(
    serve: Serve, unnamed: Certificate
) -> None:
    port = serve(unnamed, (200, READY))

    assert CmlAccess(unnamed.alone, port=port).ask(HERE).ready


def test_another_certificate_than_the_one_given_is_not_trusted(
    serve: Serve, named: Certificate, unnamed: Certificate
) -> None:
    port = serve(unnamed, (200, READY))

    answer = CmlAccess(named.alone, port=port).ask(HERE)

    assert (answer.ready, answer.hopeless) == (False, True)


def test_a_file_without_certificates_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")

    with pytest.raises(errors.InputError, match=r"ca\.pem"):
        CmlAccess(tmp_path / "ca.pem").ask(HERE)


def test_one_that_drips_does_not_hold_us_up(named: Certificate) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(named.both)
    import socket

    listening = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def drip() -> None:
        taken, _ = listening.accept()
        with server.wrap_socket(taken, server_side=True) as spoken:
            spoken.recv(1000)
            spoken.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while not stop.wait(0.02):
                try:
                    spoken.sendall(b" ")
                except OSError:
                    return

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    access = CmlAccess(named.alone, port=listening.getsockname()[1], seconds=0.2)

    assert access.ask(HERE).said == "CML: no answer (timed out)"
    stop.set()
    thread.join()
    listening.close()


def worker(**changed: Any) -> Worker:
    return Worker("i-1", "us-east-1", "running", "t", "ami-1", **changed)


def test_a_worker_is_asked_where_it_can_be_reached() -> None:
    answer = CmlAccess().ask(worker())

    assert answer == CmlAnswer(False, "CML: the worker has no public address yet")
    both = worker(public_ip="127.0.0.1", private_ip="127.0.0.2")
    assert CmlAccess(port=1).ask(both).address == "127.0.0.1"
    assert CmlAccess(port=1, private=True).ask(both).address == "127.0.0.2"
    assert CmlAccess(port=1).ask(worker(private_ip="127.0.0.2")).address == "127.0.0.2"


# Waiting for it


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self.told: list[str] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def waiting(
    cml: Callable[[Worker, float], CmlAnswer],
    numbers: tuple[int, ...] = (1,),
    timeout: float = 1200,
) -> tuple[Clock, tuple[Waited, ...]]:
    """Wait for workers that are pending for 20 s, and whose checks pass after 60."""
    clock = Clock()

    class Cloud(FakeAws):
        def call(self, service: str, operation: str, **given: Any) -> dict[str, Any]:
            state = "pending" if clock.now < 20 else "running"
            self.instances = [instance(number, State={"Name": state}) for number in numbers]
            return super().call(service, operation, **given)

        def _describe_instance_status(self, given: Any) -> dict[str, Any]:
            answer = super()._describe_instance_status(given)
            for status in answer["InstanceStatuses"]:
                told = "initializing" if clock.now < 60 else "ok"
                status["InstanceStatus"] = {"Status": told}
            return answer

    ended = wait_for(
        WorkerManager(Cloud()),
        [Worker(f"i-{n:017x}", "us-east-1", "?", "t", "ami-1") for n in numbers],
        Goal.CML_READY,
        timeout=timedelta(seconds=timeout),
        tell=lambda one, where: clock.told.append(f"{one.name} {where}"),
        cml=lambda one: cml(one, clock.now),
        clock=lambda: clock.now,
        sleep=clock.sleep,
    )
    return clock, ended


def test_it_waits_through_pending_running_and_both_checks_until_cml_is_ready() -> None:
    clock, (ended,) = waiting(lambda _, now: CmlAnswer(now > 300, "CML answers but is not ready"))

    assert ended.reached
    assert clock.told == [
        "worker-1 pending",
        "worker-1 running, system check ok, instance check initializing",
        "worker-1 running, status 2/2, CML answers but is not ready",
    ]
    assert 300 < clock.now < 330


def test_cml_is_not_asked_before_both_checks_pass() -> None:
    asked: list[float] = []

    def cml(_: Worker, now: float) -> CmlAnswer:
        asked.append(now)
        return CmlAnswer(True, "ready")

    waiting(cml)

    assert asked
    assert min(asked) >= 60


def test_each_worker_has_its_own_end() -> None:
    def cml(one: Worker, _: float) -> CmlAnswer:
        if one.name == "worker-1":
            return CmlAnswer(True, "CML 2.9 is ready")
        if one.name == "worker-2":
            return CmlAnswer(False, "its certificate is not trusted", hopeless=True)
        return CmlAnswer(False, "CML: HTTP 502")

    clock, ended = waiting(cml, (1, 2, 3), timeout=120)

    assert [(each.reached, each.given_up) for each in ended] == [
        (True, False),
        (False, True),
        (False, False),
    ]
    assert ended[2].detail == "still running, status 2/2, CML: HTTP 502"
    assert clock.now == pytest.approx(120)
