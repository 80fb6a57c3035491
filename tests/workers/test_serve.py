"""`serve` answers truthfully, and in time, whatever AWS does."""

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import pytest

from cml_iam import errors
from cml_iam.report.html import Page
from cml_iam.workers import Monitor, WorkerManager
from cml_iam.workers._threads import Cache
from cml_iam.workers.http_service import make_server
from tests.workers.fake import NOW, FakeAws, instance


def monitor(aws: FakeAws, patience: float = 4.0) -> Monitor:
    return Monitor(
        WorkerManager(aws, now=lambda: NOW), ["us-east-1"], "us-east-1", patience=patience
    )


@contextmanager
def serving(watched: Monitor, token: str | None = None) -> Iterator[Any]:
    server = make_server(watched, "127.0.0.1", 0, token)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()

    def get(path: str, **headers: str) -> tuple[int, str]:
        connection = HTTPConnection("127.0.0.1", server.server_address[1], timeout=100)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        said = answer.read().decode()
        connection.close()
        return answer.status, said

    get.server = server
    get.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield get
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def wait_for_permissions(watched: Monitor) -> None:
    watched.report()
    watched._permissions.get(10.0)


def test_health_is_200_when_ec2_answers(caplog: pytest.LogCaptureFixture) -> None:
    watched = monitor(FakeAws(instances=[instance()]))
    with caplog.at_level(logging.INFO), serving(watched) as get:
        wait_for_permissions(watched)
        status, said = get("/health")

    assert (status, json.loads(said)["status"]) == (200, "ok")
    assert [record.message for record in caplog.records] == [
        "✅ AWS EC2 connection successful",
        "✅ AWS EC2 has answered: listing and measuring workers is enabled",
    ]


def test_health_is_503_with_the_reason_when_credentials_are_wrong(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refused = errors.CredentialsError("An error occurred (AuthFailure)", code="AuthFailure")
    with serving(monitor(FakeAws(failing={"describe_regions": refused}))) as get:
        first, second = get("/health"), get("/health")

    assert first == second
    assert first[0] == 503
    assert "AuthFailure" in json.loads(first[1])["reasons"][0]
    assert [record.message for record in caplog.records] == [
        "⚠️ AWS EC2 health check failed: Error while verifying access to EC2: "
        "An error occurred (AuthFailure)",
        "⚠️ AWS operations may fail at runtime",
    ]


def test_health_is_503_with_the_reason_when_aws_hangs() -> None:
    go_on = threading.Event()

    class Hanging(FakeAws):
        def _describe_regions(self, given: Any) -> dict[str, Any]:
            go_on.wait(10)
            return super()._describe_regions(given)

    aws = Hanging()
    with serving(monitor(aws, patience=0.05)) as get:
        answers = [get("/health") for _ in range(3)]
        go_on.set()

    assert {status for status, _ in answers} == {503}
    assert "no answer within 0." in answers[0][1]
    assert len(aws.calls) == 1


def test_a_refused_permission_is_503() -> None:
    watched = monitor(FakeAws(instances=[instance()], denied={"ec2:StopInstances"}))
    with serving(watched) as get:
        wait_for_permissions(watched)
        status, said = get("/health")

    assert status == 503
    assert [reason.split(":")[1] for reason in json.loads(said)["reasons"]] == ["StopInstances"]


def test_metrics_are_in_prometheus_format_and_unknown_is_absent() -> None:
    odd = [{"Key": "Name", "Value": 'a"b'}, *instance()["Tags"][:1]]
    aws = FakeAws(instances=[instance(), instance(2, Tags=odd)])
    aws.publish("CPUUtilization", {"InstanceId": instance()["InstanceId"]}, [10.0, 20.0])
    watched = monitor(aws)
    with serving(watched) as get:
        wait_for_permissions(watched)
        watched._usage.get(10.0)
        status, said = get("/metrics")

    lines = said.splitlines()
    assert status == 200
    assert "cml_iam_up 1" in lines
    assert 'cml_iam_permission{action="ec2:StopInstances",region="us-east-1"} 1' in lines
    assert 'cml_iam_workers{region="us-east-1",state="running"} 2' in lines
    cpu = [line for line in lines if line.startswith("cml_iam_worker_cpu_percent{")]
    assert len(cpu) == 1
    assert cpu[0].endswith(" 15")
    assert not [line for line in lines if line.startswith("cml_iam_worker_memory_percent{")]


def test_a_browser_is_shown_a_page_in_which_a_name_is_text() -> None:
    name = [{"Key": "Name", "Value": "<script>"}, *instance()["Tags"][:1]]
    with serving(monitor(FakeAws(instances=[instance(Tags=name)]))) as get:
        _, said = get("/", Accept="text/html")

    assert "&lt;script&gt;" in said
    assert said.count("<script") == 1, "the page's own"


def test_without_the_token_only_the_status_is_told() -> None:
    with serving(monitor(FakeAws()), token="abc") as get:
        assert json.loads(get("/health")[1]) == {"status": "ok"}
        assert get("/metrics")[0] == 401
        assert get("/metrics", Authorization="Bearer abc")[0] == 200


def test_a_foreign_name_and_an_unknown_path_are_refused() -> None:
    with serving(monitor(FakeAws())) as get:
        assert get("/health", Host="evil.example")[0] == 421
        assert get("/health", Host="localhost:8030")[0] == 200
        assert get("/etc")[0] == 404


def test_an_answer_is_kept_for_its_time_and_a_stale_one_says_why() -> None:
    clock, made = [0.0], iter([1, errors.InputError("no"), 3])

    def make() -> int:
        value = next(made)
        if isinstance(value, Exception):
            raise value
        return value

    kept = Cache(make, 10.0, lambda: clock[0])

    assert kept.get(5.0).value == kept.get(5.0).value == 1
    clock[0] = 11.0
    late = kept.get(5.0)
    assert (late.value, late.age, str(late.error)) == (1, 11.0, "no")
    assert str(kept.get(5.0).error) == "no"
    clock[0] = 22.0
    assert kept.get(5.0).value == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host", "0.0.0.0"], "without a token"),  # noqa: S104 - refused
        (["--token", "x"], "on the command line"),
    ],
)
def test_serve_is_not_opened_to_others_by_accident(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from cml_iam.cli._main import run

    assert run(["serve", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_browser_sends_the_token_as_the_password_it_asks_for() -> None:
    from base64 import b64encode

    with serving(monitor(FakeAws()), token="abc") as get:
        right = b64encode(b"anybody:abc").decode()
        wrong = b64encode(b"abc:anybody").decode()

        assert get("/", Accept="text/html")[0] == 401
        assert get("/", Accept="text/html", Authorization=f"Basic {wrong}")[0] == 401
        assert get("/", Accept="text/html", Authorization="Basic ???")[0] == 401
        status, said = get("/", Accept="text/html", Authorization=f"Basic {right}")

    assert status == 200
    assert '<p class="product">CML workers</p>' in said


def test_the_page_of_a_failing_manager_is_a_page_and_its_health_is_not_well() -> None:
    refused = errors.CredentialsError("AuthFailure", code="AuthFailure")
    with serving(monitor(FakeAws(failing={"describe_regions": refused}))) as get:
        assert get("/", Accept="text/html")[0] == 200
        assert get("/health", Accept="text/html")[0] == 503
        assert get("/")[0] == 503


def test_nothing_more_is_asked_before_ec2_has_answered() -> None:
    refused = errors.CredentialsError("AuthFailure", code="AuthFailure")
    aws = FakeAws(failing={"describe_regions": refused})
    with serving(monitor(aws)) as get:
        get("/metrics")
        get("/", Accept="text/html")

    assert set(aws.actions) == {"ec2:DescribeRegions"}


def test_every_region_is_tried_and_named() -> None:
    aws = FakeAws(instances=[instance()], denied={"ec2:StopInstances"})
    watched = Monitor(WorkerManager(aws, now=lambda: NOW), ["us-east-1", "us-west-2"], "us-east-1")
    wait_for_permissions(watched)
    report = watched.report()

    assert [reason.split(":")[0] for reason in report.reasons] == ["us-east-1", "us-west-2"]
    assert not report.ok


def address_of(get: Any) -> tuple[str, int]:
    return "127.0.0.1", int(get.url.rpartition(":")[2])


def test_slow_readers_keep_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as may connect send half a request each, and one more comes."""
    monkeypatch.setattr("cml_iam.workers.http_service.MOST_CONNECTIONS", 8)
    with serving(monitor(FakeAws())) as get:
        slow = [socket.create_connection(address_of(get), timeout=10) for _ in range(8)]
        for each in slow:
            each.sendall(b"GET /health HTTP/1.1\r\nX: ")

        assert [get("/health")[0] for _ in range(4)] == [200] * 4
        assert slow[0].recv(1) == b""  # the oldest was closed
        slow[-1].sendall(b"y\r\n\r\n")
        assert slow[-1].recv(12) == b"HTTP/1.0 200"
        for each in slow:
            each.close()


@pytest.mark.parametrize("sent", [b"", b"GET /health HTTP/1.1\r\nX: ", b"POST / HTTP/1.1\r\n"])
def test_a_request_has_so_many_seconds_and_no_more(
    monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr("cml_iam.workers.http_service.REQUEST_SECONDS", 0.1)
    with (
        serving(monitor(FakeAws())) as get,
        socket.create_connection(address_of(get), timeout=30) as slow,
    ):
        slow.sendall(sent)
        assert slow.recv(1) == b""


def test_one_who_does_not_read_the_answer_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    began = threading.Event()

    def large(_: object) -> Page:
        began.set()
        return Page("x" * (64 << 20), "default-src 'none'")

    monkeypatch.setattr("cml_iam.workers.http_service.fleet_page", large)
    with (
        serving(monitor(FakeAws())) as get,
        socket.create_connection(address_of(get), timeout=30) as deaf,
    ):
        deaf.sendall(b"GET / HTTP/1.1\r\nAccept: text/html\r\n\r\n")
        taken = 0
        assert began.wait(30)
        monkeypatch.setattr("cml_iam.workers.http_service.REQUEST_SECONDS", 0.0)
        while get.server._readers:
            time.sleep(0.01)
        while piece := deaf.recv(1 << 20):
            taken += len(piece)

    assert taken < (64 << 20)


METHODS = ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"]


@pytest.mark.parametrize("method", METHODS)
def test_another_method_is_405_and_says_which_are_allowed(method: str) -> None:
    with serving(monitor(FakeAws())) as get:
        connection = HTTPConnection(*address_of(get), timeout=30)
        connection.request(method, "/health")
        answer = connection.getresponse()
        connection.close()

    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert_safe(answer.headers)


def assert_safe(headers: Any) -> None:
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Type"] != "text/html"


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (b"GET /etc HTTP/1.1\r\n\r\n", 404),
        (b"GET /metrics HTTP/1.1\r\n\r\n", 401),
        (b"GET /health HTTP/1.1\r\n\r\n", 503),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
        (b"GET / NONSENSE/1.1\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 505),
        (b"POST / HTTP/1.1\r\n\r\n", 405),
    ],
)
def test_every_answer_that_is_no_success_is_plain_and_cannot_run(asked: bytes, status: int) -> None:
    refused = errors.CredentialsError("no", code="AuthFailure")
    with (
        serving(monitor(FakeAws(failing={"describe_regions": refused})), token="t") as get,
        socket.create_connection(address_of(get), timeout=30) as reader,
    ):
        reader.sendall(asked)
        answer = HTTPResponse(reader)
        answer.begin()
        answer.read()

    assert answer.status == status
    assert_safe(answer.headers)


ODD = "gnp\u202egnp.exe\x9b2J\u200b\u2028"


def test_what_cannot_be_seen_is_written_out_on_the_page_and_in_metrics() -> None:
    tags = [{"Key": "Name", "Value": ODD}, *instance()["Tags"][:1]]
    aws = FakeAws(instances=[instance(Tags=tags, StateReason={"Message": ODD})])
    aws.publish("CPUUtilization", {"InstanceId": instance()["InstanceId"]}, [10.0, 20.0])
    watched = monitor(aws)
    with serving(watched) as get:
        wait_for_permissions(watched)
        watched._usage.get(10.0)
        page, metrics = get("/", Accept="text/html")[1], get("/metrics")[1]

    for said in (page, metrics):
        assert not set("\u202e\x9b\u200b\u2028") & set(said)
    assert r"gnp\u202egnp.exe\x9b2J\u200b\u2028" in page
    assert r"gnp\\u202egnp.exe\\x9b2J\\u200b\\u2028" in metrics


def test_a_token_may_have_any_letters() -> None:
    token = "pässwörd"
    with serving(monitor(FakeAws()), token=token) as get:
        sent = f"Bearer {token}".encode().decode("latin-1")
        assert get("/metrics", Authorization=sent)[0] == 200
        assert get("/metrics", Authorization="Bearer other")[0] == 401


def test_an_address_of_ipv6_is_listened_on() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    server = make_server(monitor(FakeAws()), "::1", 0, None)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    connection = HTTPConnection("::1", server.server_address[1], timeout=30)
    connection.request("GET", "/health")
    status = connection.getresponse().status
    connection.close()
    server.shutdown()
    thread.join()
    server.server_close()

    assert status == 200


def test_before_ec2_answers_the_page_does_not_speak_of_a_time_out() -> None:
    refused = errors.CredentialsError("AuthFailure", code="AuthFailure")
    with serving(monitor(FakeAws(failing={"describe_regions": refused}))) as get:
        said = get("/", Accept="text/html")[1]

    assert "no answer within 0 s" not in said
    assert "The workers are unknown." in said


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_metrics_that_cannot_be_written_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cml_iam.workers.http_service.exposition", lambda _seen: 1 / 0)
    with serving(monitor(FakeAws())) as get:
        assert get("/metrics") == (500, "see the log\n")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_metrics_that_can_no_longer_be_written_are_not_the_last_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cml_iam.workers.http_service.KEPT_SECONDS", 0)
    with serving(monitor(FakeAws())) as get:
        assert get("/metrics")[0] == 200
        monkeypatch.setattr("cml_iam.workers.http_service.exposition", lambda _seen: 1 / 0)

        assert get("/metrics") == (500, "see the log\n")
        assert get("/health")[0] == 200
