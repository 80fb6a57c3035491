"""The read-only HTTP service: /health, /metrics, and the fleet page.

The metrics are in Prometheus' text format, 0.0.4. Unknown values are absent, never 0.
https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import json
import socket
import time
from base64 import b64decode
from binascii import Error as Base64Error
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hmac import compare_digest
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from cml_iam.errors import InputError
from cml_iam.visible import visible
from cml_iam.workers._health import Verdict
from cml_iam.workers._metric import USAGE
from cml_iam.workers._model import Worker
from cml_iam.workers._monitor import Monitor, Watched
from cml_iam.workers._page import fleet_page
from cml_iam.workers._threads import Cache

if TYPE_CHECKING:
    Sample = tuple[Mapping[str, str], float]

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
MOST_CONNECTIONS: Final = 128
"""The maximum number of open connections; each costs a thread.

Above this number, the client with the most connections loses its oldest one.
"""

REQUEST_SECONDS: Final = 10.0
"""Maximum seconds from connection to complete response; probes do not wait longer."""

KEPT_SECONDS: Final = 1.0
"""How long the page and the metrics are cached, in seconds: rendering 200 workers takes a while."""

_TEXT: Final = "text/plain; charset=utf-8"
_METRICS: Final = "text/plain; version=0.0.4; charset=utf-8"
_POLICY: Final = "Content-Security-Policy"
_HEADERS: Final = {
    _POLICY: "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class _Body:
    content: bytes
    media_type: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Reader:
    """A connection: its client, and its start (by the monotonic clock)."""

    address: str
    since: float


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, monitor: Monitor, address: tuple[str, int], token: str | None) -> None:
        self.monitor = monitor
        self.token = token
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._readers: dict[socket.socket, _Reader] = {}  # the oldest first
        self._lock = Lock()
        # Rendered in a thread of its own: a reader's thread would keep the memory that it used.
        self.page = Cache(self._page, KEPT_SECONDS)
        self.metrics = Cache(self._metrics, KEPT_SECONDS)
        super().__init__(address, _Handler)

    def _page(self) -> _Body:
        page = fleet_page(self.monitor.watch())
        policy = {_POLICY: f"{page.policy}; frame-ancestors 'none'"}
        return _Body(page.text.encode(), "text/html; charset=utf-8", policy)

    def _metrics(self) -> _Body:
        return _Body(exposition(self.monitor.watch()).encode(), _METRICS)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            if len(self._readers) >= MOST_CONNECTIONS:
                self._close(self._one_too_many())
            self._readers[request] = _Reader(client_address[0], time.monotonic())
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._readers.pop(request, None)

    def service_actions(self) -> None:
        """End the requests that time out; called twice a second."""
        with self._lock:
            limit = time.monotonic() - REQUEST_SECONDS
            late = [request for request, reader in self._readers.items() if reader.since < limit]
            for request in late:
                self._close(request)

    def _one_too_many(self) -> socket.socket:
        """Return the oldest connection of the address with the most connections."""
        (most, _), *_ = Counter(reader.address for reader in self._readers.values()).most_common(1)
        return next(request for request, reader in self._readers.items() if reader.address == most)

    def _close(self, request: socket.socket) -> None:
        """End the thread that reads from or writes to *request*."""
        self._readers.pop(request, None)
        with suppress(OSError):
            request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore readers that leave before their response."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "cml-iam"
    sys_version = ""
    timeout = 10

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if not self._meant_for_us():
            self._say(421, "this server does not have that host name")
        elif path == "/" and "text/html" in self.headers.get("Accept", ""):
            # A browser asks its user: any name, and the token as the password.
            self._kept(self.server.page, {"WWW-Authenticate": 'Basic realm="cml-iam"'})
        elif path in ("/", "/health"):
            self._health()
        elif path == "/metrics":
            self._kept(self.server.metrics)
        else:
            self._say(404, "see /health and /metrics")

    do_HEAD = do_GET  # noqa: N815 - the name http.server calls

    def send_error(self, code: int, *_: Any, **__: Any) -> None:
        """Answer a request that http.server refuses; an unknown method gets the status 405."""
        self.request_version = "HTTP/1.0"  # a request without a version would get no headers
        if code == HTTPStatus.NOT_IMPLEMENTED:
            self._say(405, "only GET and HEAD are supported", {"Allow": "GET, HEAD"})
        else:
            self._say(code, HTTPStatus(code).phrase.lower())
        self.close_connection = True

    def _kept(self, kept: Cache[_Body], challenge: Mapping[str, str] | None = None) -> None:
        """Answer 200 whatever the manager's health is: programs use /health."""
        if not self._trusted():
            self._say(401, "a token is required", challenge)
            return
        rendered = kept.get(REQUEST_SECONDS)
        if rendered.value is None or rendered.error is not None:  # an old one would mislead
            self._say(500, "see the log")
        else:
            self._answer(200, rendered.value)

    def _health(self) -> None:
        report = self.server.monitor.report()
        values = report.as_json() if self._trusted() else {"status": report.as_json()["status"]}
        content = f"{json.dumps(values)}\n".encode()
        self._answer(200 if report.ok else 503, _Body(content, "application/json"))

    def _trusted(self) -> bool:
        token = self.server.token
        return token is None or compare_digest(self._sent_token().encode(), token.encode())

    def _sent_token(self) -> str:
        """Return the token sent: as a bearer token, or as the password of Basic authentication."""
        scheme, _, rest = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            # http.server reads headers as Latin-1.
            return rest.strip().encode("latin-1").decode("utf-8", "replace")
        if scheme.lower() == "basic":
            try:
                return b64decode(rest, validate=True).decode().partition(":")[2]
            except (Base64Error, UnicodeDecodeError):
                return ""
        return ""

    def _meant_for_us(self) -> bool:
        """Refuse requests for a foreign host name that resolves to this machine (DNS rebinding)."""
        named = self.headers.get("Host", "").rpartition("@")[2]
        name = named.rsplit(":", 1)[0] if not named.endswith("]") else named
        return self.server.token is not None or name.strip("[]").lower() in (*LOOPBACK, "")

    def _say(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        self._answer(status, _Body(f"{text}\n".encode(), _TEXT, headers or {}))

    def _answer(self, status: int, body: _Body) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, **body.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", body.media_type)
        self.send_header("Content-Length", str(len(body.content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body.content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Do not log requests: the log records the state of EC2."""


def make_server(monitor: Monitor, host: str, port: int, token: str | None) -> ThreadingHTTPServer:
    """Return the server, bound but not running; raises InputError for a port in use."""
    try:
        return _Server(monitor, (host.strip("[]"), port), token)
    except OSError as error:
        raise InputError(
            f"cannot listen on {host}, port {port}: {error.strerror or error}",
            remedy="stop the program that listens there, or choose another --port",
        ) from None


def exposition(seen: Watched) -> str:
    """Return *seen* in Prometheus' text format."""
    lines = []
    for name, meaning, samples in _families(seen):
        full = f"cml_iam_{name}"
        lines += [f"# HELP {full} {meaning}", f"# TYPE {full} gauge"]
        lines += [f"{full}{_labels(labels)} {_number(value)}" for labels, value in samples]
    return "".join(f"{line}\n" for line in lines)


def _families(seen: Watched) -> Iterator[tuple[str, str, Iterable[Sample]]]:
    report, fleet = seen.report, seen.fleet
    yield "up", "Whether EC2 answers these credentials.", [({}, report.connected)]
    yield "healthy", "Whether EC2 answers and no permission is refused.", [({}, report.ok)]
    times = {"connection": seen.checked_at, "fleet": seen.listed_at, "usage": seen.measured_at}
    yield (
        "checked_timestamp_seconds",
        "Time of the last answer, in Unix seconds; absent before the first answer.",
        [({"what": what}, round(at.timestamp())) for what, at in times.items() if at],
    )
    yield (
        "permission",
        "Whether the permission is granted; absent if it could not be checked.",
        [
            ({"action": check.action, "region": health.region}, check.verdict is Verdict.ALLOWED)
            for health in seen.permissions
            for check in health.checks
            if check.verdict is not Verdict.UNCHECKED
        ],
    )
    if fleet is None:
        return
    counts = Counter((worker.region, worker.state) for worker in fleet.workers)
    yield (
        "workers",
        "Workers by region and state.",
        [({"region": region, "state": state}, n) for (region, state), n in sorted(counts.items())],
    )
    yield (
        "region_failed",
        "Regions whose workers could not be listed.",
        [({"region": region}, 1) for region in sorted(fleet.failures)],
    )
    yield from _of_workers(fleet.workers, seen)


def _of_workers(
    workers: Sequence[Worker], seen: Watched
) -> Iterator[tuple[str, str, Iterable[Sample]]]:
    measured = [worker for worker in workers if worker.id in seen.usage]
    for measure in USAGE:
        means = [(worker, seen.usage[worker.id].metrics[measure].mean) for worker in measured]
        yield (
            f"worker_{measure}_percent",
            f"Mean {measure} of the worker in percent; absent if it is unknown.",
            [(worker.named, mean) for worker, mean in means if mean is not None],
        )
    running = [worker for worker in workers if worker.state == "running"]
    starts = [(worker, worker.launched_at) for worker in running]
    yield (
        "worker_launched_timestamp_seconds",
        "When the running worker was last started, in Unix time.",
        [(worker.named, round(start.timestamp())) for worker, start in starts if start],
    )
    checks = [(worker, seen.statuses.get(worker.id)) for worker in running]
    yield (
        "worker_status_ok",
        "Whether both EC2 status checks pass; absent if they are unknown.",
        [(worker.named, status.ok) for worker, status in checks if status],
    )
    answers = [(worker, seen.cml.get(worker.id)) for worker in running]
    yield (
        "worker_cml_ready",
        "Whether CML is ready; absent if it was not queried or did not answer.",
        [(worker.named, answer.ready) for worker, answer in answers if answer and answer.answered],
    )


def _number(value: float) -> str:
    # The format `g` would write a time of ten digits as 1.79e+09.
    return str(int(value)) if float(value).is_integer() else f"{float(value):.6g}"


def _labels(labels: Mapping[str, str]) -> str:
    """Return *labels* with invisible characters and line breaks written out."""
    if not labels:
        return ""
    escaped = str.maketrans({"\\": r"\\", '"': r"\""})
    pairs = [f'{name}="{visible(value).translate(escaped)}"' for name, value in labels.items()]
    return "{" + ",".join(pairs) + "}"
