"""The service over HTTP: /health, /metrics, and a page of the fleet; it only reads."""

from __future__ import annotations

import json
from base64 import b64decode
from binascii import Error as Base64Error
from hmac import compare_digest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any, Final

from cml_iam.errors import InputError
from cml_iam.workers._exposition import exposition
from cml_iam.workers._page import page_of

if TYPE_CHECKING:
    from cml_iam.workers._monitor import Monitor

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
MOST_CONNECTIONS: Final = 128
"""At once; each costs a thread. One more is closed without an answer."""

_TEXT: Final = "text/plain; charset=utf-8"
_METRICS: Final = "text/plain; version=0.0.4; charset=utf-8"
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, monitor: Monitor, address: tuple[str, int], token: str | None) -> None:
        self.monitor = monitor
        self.token = token
        self._free = BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

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

    def _page(self) -> None:
        """Answer 200 whatever it shows: programs ask /health."""
        if self._trusted():
            seen = self.server.monitor.watch()
            self._answer(200, "text/html; charset=utf-8", page_of(seen))
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
            return rest.strip()
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
        return _Server(monitor, (host, port), token)
    except OSError as error:
        raise InputError(
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            remedy="end what listens there, or choose another --port",
        ) from None
