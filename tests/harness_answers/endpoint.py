"""An endpoint that answers as a proxy, a captive portal or a broken server does; never as AWS."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

_PAGE: Final = b"<!DOCTYPE html><html><body>Sign in to the network<br></body></html>"
_FEED: Final = b'<?xml version="1.0"?><feed><title>News</title><RequestId>1</RequestId></feed>'
# As of AWS, but of an operation that nobody calls.
_OTHER_OPERATION: Final = (
    b"<DescribeHostsResponse><requestId>1</requestId><ResponseMetadata><RequestId>1</RequestId>"
    b"</ResponseMetadata></DescribeHostsResponse>"
)
_TRUNCATED: Final = b"<DescribeInstancesResponse><requestId>1</requestId><reservationSet><item>"

Send = Callable[[socket.socket, threading.Event], None]


def _whole(status: str, body: bytes, kind: str = "text/html", more: str = "") -> Send:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nConnection: close\r\n{more}"

    def send(client: socket.socket, _: threading.Event) -> None:
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    return send


def _endless(client: socket.socket, ended: threading.Event) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nConnection: close\r\n\r\n<a>")
    piece = b"<item>x</item>" * 4096
    while not ended.is_set():
        client.sendall(piece)


def _cut_off(client: socket.socket, _: threading.Event) -> None:
    head = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nConnection: close\r\n"
    length = len(_TRUNCATED) + 1000
    client.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode() + _TRUNCATED)


def dripping(answer: bytes, pause: float) -> Send:
    """Return what sends *answer* a byte at a time, *pause* seconds apart, and then goes on."""

    def send(client: socket.socket, ended: threading.Event) -> None:
        sent = 0
        while not ended.wait(pause):
            client.sendall(answer[sent : sent + 1] or b" ")
            sent += 1

    return send


KINDS: Final[dict[str, Send]] = {
    "200, a web page": _whole("200 OK", _PAGE),
    "200, nothing": _whole("200 OK", b"", "text/xml"),
    "200, JSON": _whole("200 OK", b'{"status": "ok"}', "application/json"),
    "200, XML of another kind": _whole("200 OK", _FEED, "text/xml"),
    "200, the answer of another call": _whole("200 OK", _OTHER_OPERATION, "text/xml"),
    "204": _whole("204 No Content", b"", "text/xml"),
    "301 to elsewhere": _whole("301 Moved", b"", more="Location: https://portal.example/\r\n"),
    "404, a web page": _whole("404 Not Found", _PAGE),
    "502, a web page": _whole("502 Bad Gateway", _PAGE),
    "an endless body": _endless,
    "a truncated body": _cut_off,
    "a byte now and then, from the first": dripping(b"HTTP/1.1 200 OK\r\nX: ", 0.02),
    "a byte now and then, in the body": dripping(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n\r\n<a>", 0.001
    ),
}
"""What answers in AWS's place."""


@dataclass
class Foreign:
    """The endpoint at *url*; *send* is how it answers, *requests* how many came."""

    url: str
    send: Send
    requests: int = 0
    _open: list[socket.socket] = field(default_factory=list)


@contextmanager
def foreign(send: Send) -> Iterator[Foreign]:
    """Serve *send* on the loopback interface."""
    ended = threading.Event()
    server = socket.create_server(("127.0.0.1", 0), backlog=64)
    made = Foreign(f"http://127.0.0.1:{server.getsockname()[1]}", send)

    def answer(client: socket.socket) -> None:
        with client, suppress(OSError):
            _read_request(client)
            made.requests += 1
            made.send(client, ended)
            client.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = server.accept()
                threading.Thread(target=answer, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield made
    finally:
        ended.set()
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()


def _read_request(client: socket.socket) -> None:
    taken = b""
    while b"\r\n\r\n" not in taken:
        piece = client.recv(65536)
        if not piece:
            raise OSError("the client left")
        taken += piece
    head, _, body = taken.partition(b"\r\n\r\n")
    lengths = [
        int(line.partition(b":")[2])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    ]
    left = (lengths[0] if lengths else 0) - len(body)
    while left > 0:
        left -= len(client.recv(65536) or b" " * left)
