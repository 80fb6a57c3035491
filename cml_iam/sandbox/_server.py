"""The HTTP server: on the loopback interface, one thread for each connection."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any, ClassVar, Final

from cml_iam.errors import InputError
from cml_iam.sandbox._call import MOST_BYTES
from cml_iam.sandbox._wire import Answer, Message

if TYPE_CHECKING:
    from collections.abc import Callable

LOOPBACK: Final = "127.0.0.1"
_PATIENCE: Final = 60.0
"""Seconds a connection may be silent."""


def _now() -> datetime:
    return datetime.now(UTC)


class Server:
    """Answers requests by *respond* until `stop`; port 0 takes any free one."""

    def __init__(
        self,
        respond: Callable[[Message], Answer],
        port: int = 0,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        made = {"respond": staticmethod(respond), "clock": staticmethod(clock or _now)}
        handler = type("Handler", (_Handler,), made)
        try:
            self._server = _Server((LOOPBACK, port), handler)
        except (OSError, OverflowError) as error:
            raise InputError(
                f"cannot listen on `{LOOPBACK}:{port}`: {error}",
                remedy="choose another port, or 0 for any free one",
            ) from error
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The URL of the server."""
        return f"http://{LOOPBACK}:{self._server.server_port}"

    def stop(self) -> None:
        """Stop answering, and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent about clients that leave in the middle of a connection."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _PATIENCE
    wbufsize = -1
    disable_nagle_algorithm = True
    respond: ClassVar[Callable[[Message], Answer]]
    clock: ClassVar[Callable[[], datetime]]

    def _handle(self) -> None:
        answer = self._answer()
        if answer.seconds:
            time.sleep(answer.seconds)
        if answer.lost:
            self.close_connection = True
            return
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if "content-length" not in answer.headers:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        self.wfile.flush()

    def _answer(self) -> Answer:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not re.fullmatch("[0-9]{1,12}", length):
            self.close_connection = True
            return Answer(411, b"a request needs its Content-Length", "text/plain")
        if int(length) > MOST_BYTES:
            self.close_connection = True
            return Answer(413, b"the request is too large", "text/plain")
        return type(self).respond(self._message(self.rfile.read(int(length))))

    def _message(self, body: bytes) -> Message:
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            key = name.lower()
            headers[key] = f"{headers[key]},{value}" if key in headers else value
        return Message(self.command, self.path, headers, body, self.client_address[0])

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return what the Date header says: the time of the sandbox, not of this machine."""
        return super().date_time_string(
            int(type(self).clock().timestamp() if timestamp is None else timestamp)
        )

    def version_string(self) -> str:
        """Return what the Server header says."""
        return "cml-iam-sandbox"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's own
        """Write nothing: what is of interest is in the answers."""

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = _handle  # noqa: N815
