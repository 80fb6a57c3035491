"""The service over HTTP: /health, /metrics, and a page of the fleet; it only reads."""

from __future__ import annotations

import json
import socket
import time
from base64 import b64decode
from binascii import Error as Base64Error
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from hmac import compare_digest
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from cml_iam.errors import InputError
from cml_iam.workers._exposition import exposition
from cml_iam.workers._page import fleet_page

if TYPE_CHECKING:
    from cml_iam.report import Page
    from cml_iam.workers._monitor import Monitor

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
MOST_CONNECTIONS: Final = 128
"""At once; each costs a thread. For one more, the oldest of whoever has the most is closed."""

REQUEST_SECONDS: Final = 10.0
"""From connecting until the whole answer is read: a probe that waits longer would have given up."""

PAGE_SECONDS: Final = 1.0

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
class _Reader:
    """A connection: whose it is, and since when (by the monotonic clock)."""

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
        self._page: tuple[float, Page] | None = None
        self._lock, self._drawing = Lock(), Lock()
        super().__init__(address, _Handler)

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

    def page(self) -> Page:
        """Return the page, which is made once a second at most: 200 workers take a while."""
        with self._drawing:
            now = time.monotonic()
            if self._page is None or now - self._page[0] > PAGE_SECONDS:
                self._page = (now, fleet_page(self.monitor.watch()))
            return self._page[1]

    def service_actions(self) -> None:
        """End the requests whose time is over; called twice a second."""
        with self._lock:
            limit = time.monotonic() - REQUEST_SECONDS
            for each in [one for one, reader in self._readers.items() if reader.since < limit]:
                self._close(each)

    def _one_too_many(self) -> socket.socket:
        """Return the oldest connection of the address that holds the most."""
        (most, _), *_ = Counter(each.address for each in self._readers.values()).most_common(1)
        return next(one for one, reader in self._readers.items() if reader.address == most)

    def _close(self, request: socket.socket) -> None:
        """Have the thread that reads *request*, or writes to it, end."""
        self._readers.pop(request, None)
        with suppress(OSError):
            request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent about readers that leave before their answer."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "cml-iam"
    sys_version = ""
    timeout = 10

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if not self._meant_for_us():
            self._answer(421, _TEXT, "not a name of this server\n")
        elif path == "/" and "text/html" in self.headers.get("Accept", ""):
            self._page()
        elif path in ("/", "/health"):
            self._health()
        elif path == "/metrics" and self._trusted():
            self._answer(200, _METRICS, exposition(self.server.monitor.watch()))
        elif path == "/metrics":
            self._answer(401, _TEXT, "a token is needed\n")
        else:
            self._answer(404, _TEXT, "see /health and /metrics\n")

    do_HEAD = do_GET  # noqa: N815 - the name http.server calls

    def send_error(self, code: int, *_: Any, **__: Any) -> None:
        """Answer what http.server finds wrong in a request; an unknown method is 405."""
        self.request_version = "HTTP/1.0"  # a request without a version would get no headers
        if code == HTTPStatus.NOT_IMPLEMENTED:
            self._answer(405, _TEXT, "only GET and HEAD\n", {"Allow": "GET, HEAD"})
        else:
            self._answer(code, _TEXT, f"{HTTPStatus(code).phrase.lower()}\n")
        self.close_connection = True

    def _page(self) -> None:
        """Answer 200 whatever it shows: programs ask /health."""
        if self._trusted():
            page = self.server.page()
            policy = {_POLICY: f"{page.policy}; frame-ancestors 'none'"}
            self._answer(200, "text/html; charset=utf-8", page.text, policy)
        else:
            # A browser asks its user: any name, and the token as the password.
            ask = {"WWW-Authenticate": 'Basic realm="cml-iam"'}
            self._answer(401, _TEXT, "a token is needed\n", ask)

    def _health(self) -> None:
        report = self.server.monitor.report()
        told = report.as_json() if self._trusted() else {"status": report.as_json()["status"]}
        self._answer(200 if report.ok else 503, "application/json", json.dumps(told) + "\n")

    def _trusted(self) -> bool:
        token = self.server.token
        return token is None or compare_digest(self._given().encode(), token.encode())

    def _given(self) -> str:
        """Return the token sent: as a bearer's, or as the password of Basic authentication."""
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
        """Refuse a foreign name that was made to resolve to this machine (DNS rebinding)."""
        named = self.headers.get("Host", "").rpartition("@")[2]
        name = named.rsplit(":", 1)[0] if not named.endswith("]") else named
        return self.server.token is not None or name.strip("[]").lower() in (*LOOPBACK, "")

    def _answer(
        self, status: int, kind: str, text: str, more: dict[str, str] | None = None
    ) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in (_HEADERS | (more or {})).items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Log no request: the log is for the state of EC2."""


def make_server(monitor: Monitor, host: str, port: int, token: str | None) -> ThreadingHTTPServer:
    """Return the server, bound and not yet running; raises InputError for a port that is taken."""
    try:
        return _Server(monitor, (host.strip("[]"), port), token)
    except OSError as error:
        raise InputError(
            f"cannot listen on {host}, port {port}: {error.strerror or error}",
            remedy="end what listens there, or choose another --port",
        ) from None
