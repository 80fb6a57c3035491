"""Limits on a response: its size, and its whole time; botocore's applies between two reads."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Any, Final, Self

from botocore.awsrequest import AWSHTTPConnectionPool, AWSHTTPSConnectionPool
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from urllib3.exceptions import HTTPError as Urllib3Error
from urllib3.exceptions import ReadTimeoutError as Urllib3ReadTimeout

from cml_iam.errors import UnreachableError

ANSWER_BYTES: Final = 32 * 1024 * 1024
"""The maximum size of a response in bytes; AWS's largest, a page of 1,000 instances, has 4 MB."""

READ_TIMEOUTS: Final = 2
"""The maximum time from connection to last byte, as a multiple of the read timeout."""

_PIECE: Final = 64 * 1024
_REMEDY: Final = "check --endpoint-url, AWS_ENDPOINT_URL, the network and the proxy"


def bound(client: Any) -> None:
    """Make *client* abort responses that are too large or do not end."""
    session = client._endpoint.http_session  # noqa: SLF001 - botocore has no other way to it
    seconds = client.meta.config.read_timeout * READ_TIMEOUTS
    send = session.send
    # Shared by direct connections and connections through a proxy.
    vars(session)["_pool_classes_by_scheme"].update(http=_POOL, https=_TLS_POOL)

    def send_bounded(request: Any) -> Any:
        streams, request.stream_output = request.stream_output, True
        with _Deadline(seconds) as deadline:
            try:
                response = send(request)
                if not streams:
                    _read(request, response)
            except Exception:
                if not deadline.passed:
                    raise
            if not deadline.passed:
                return response
        raise UnreachableError(
            f"no answer: {request.url} did not complete its answer within {seconds:g} s",
            remedy=_REMEDY,
        )

    vars(session)["send"] = send_bounded


class _Deadline:
    """Shuts down the watched sockets after *seconds*; *passed* says whether this has happened."""

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self._sockets: list[Any] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        _current.deadline = self
        return self

    def __exit__(self, *_: object) -> None:
        _current.deadline = None
        self._timer.cancel()

    def watch(self, sock: Any) -> None:
        with self._lock:
            self._sockets.append(sock)
            if self.passed:
                _shut_down(sock)

    def _end(self) -> None:
        with self._lock:
            self.passed = True
            for sock in self._sockets:
                _shut_down(sock)


_current = threading.local()


def _shut_down(sock: Any) -> None:
    with suppress(OSError):  # already closed, or taken over by TLS
        sock.shutdown(socket.SHUT_RDWR)


def _watched(pool: Any) -> Any:
    """Return *pool*, a class, with connections that let the current deadline watch their socket."""

    class Connection(pool.ConnectionCls):  # type: ignore[misc]  # botocore has no types
        def _new_conn(self) -> Any:
            return _watch(super()._new_conn())

        def request(self, *args: Any, **options: Any) -> Any:
            if vars(self).get("sock") is not None:
                _watch(vars(self)["sock"])
            return super().request(*args, **options)

    class Pool(pool):  # type: ignore[misc]  # as above
        ConnectionCls = Connection

    return Pool


def _watch(sock: Any) -> Any:
    deadline = getattr(_current, "deadline", None)
    if deadline is not None:
        deadline.watch(sock)
    return sock


_POOL: Final = _watched(AWSHTTPConnectionPool)
_TLS_POOL: Final = _watched(AWSHTTPSConnectionPool)


def _read(request: Any, response: Any) -> None:
    """Read the whole *response*, unless it is too large."""
    body = bytearray()
    try:
        for piece in response.raw.stream(_PIECE):
            body += piece
            if len(body) > ANSWER_BYTES:
                response.raw.close()
                raise UnreachableError(
                    f"the server at {request.url} is not AWS: its response is longer than "
                    f"{ANSWER_BYTES // 1024} KiB",
                    remedy=_REMEDY,
                )
    except Urllib3ReadTimeout as error:
        raise ReadTimeoutError(endpoint_url=request.url, error=error) from None
    except (Urllib3Error, OSError) as error:
        raise ConnectionClosedError(
            endpoint_url=request.url, request=request, error=error
        ) from None
    promised = response.headers.get("Content-Length", "")
    if request.method != "HEAD" and promised.isdecimal() and len(body) < int(promised):
        raise ConnectionClosedError(endpoint_url=request.url, request=request)
    response._content = bytes(body)  # noqa: SLF001 - where botocore keeps what it has read
