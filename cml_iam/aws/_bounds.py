"""Limits on a response: its size, and the time from the first byte sent.

botocore's read timeout applies between two reads, and the size of a response is unlimited. This
module imports botocore, so import it only where a client is created.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final, Self

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)
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
    endpoint = client._endpoint  # noqa: SLF001 - botocore has no other way to the HTTP session
    seconds = client.meta.config.read_timeout * READ_TIMEOUTS
    endpoint.http_session = _BoundedSession(endpoint.http_session, seconds, ANSWER_BYTES)


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
            for each in self._sockets:
                _shut_down(each)


_current = threading.local()


def _shut_down(sock: Any) -> None:
    with suppress(OSError):  # already closed, or taken over by TLS
        sock.shutdown(socket.SHUT_RDWR)


class _Watched:
    """A connection mixin that lets the current request's deadline watch the connection's socket."""

    def _new_conn(self) -> Any:
        sock = super()._new_conn()  # type: ignore[misc]  # a mixin for urllib3's connections
        _watch(sock)
        return sock

    def request(self, *args: Any, **options: Any) -> Any:
        if vars(self).get("sock") is not None:
            _watch(vars(self)["sock"])
        return super().request(*args, **options)  # type: ignore[misc]  # as above


def _watch(sock: Any) -> None:
    deadline = getattr(_current, "deadline", None)
    if deadline is not None:
        deadline.watch(sock)


class _Connection(_Watched, AWSHTTPConnection):  # type: ignore[misc]  # botocore has no types
    pass


class _TlsConnection(_Watched, AWSHTTPSConnection):  # type: ignore[misc]  # as above
    pass


class _Pool(AWSHTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(AWSHTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _BoundedSession:
    """botocore's HTTP session with limits on every response."""

    def __init__(self, inner: Any, seconds: float, most: int) -> None:
        self._inner = inner
        self._seconds = seconds
        self._most = most
        # Shared by direct connections and connections through a proxy.
        vars(inner)["_pool_classes_by_scheme"].update(http=_Pool, https=_TlsPool)

    def send(self, request: Any) -> Any:
        """Send *request* and read the whole response, like the inner session."""
        streams, request.stream_output = request.stream_output, True
        with _Deadline(self._seconds) as deadline:
            try:
                response = self._inner.send(request)
                if not streams:
                    self._read(request, response)
            except Exception:
                if not deadline.passed:
                    raise
            if not deadline.passed:
                return response
        raise UnreachableError(
            f"no answer: {request.url} did not complete its answer within {self._seconds:g} s",
            remedy=_REMEDY,
        )

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()

    def _read(self, request: Any, response: Any) -> None:
        response.raw = _Bounded(response.raw, self._most, request.url)
        try:
            body = response.content
        except Urllib3ReadTimeout as error:
            raise ReadTimeoutError(endpoint_url=request.url, error=error) from None
        except (Urllib3Error, OSError) as error:
            raise ConnectionClosedError(
                endpoint_url=request.url, request=request, error=error
            ) from None
        promised = response.headers.get("Content-Length", "")
        if request.method != "HEAD" and promised.isdecimal() and len(body) < int(promised):
            raise ConnectionClosedError(endpoint_url=request.url, request=request)


class _Bounded:
    """A response that is read up to *most* bytes."""

    def __init__(self, raw: Any, most: int, url: str) -> None:
        self._raw = raw
        self._most = most
        self._url = url

    def stream(self) -> Iterator[bytes]:
        """Yield the chunks of the response."""
        taken = 0
        for piece in self._raw.stream(_PIECE):
            taken += len(piece)
            if taken > self._most:
                self._raw.close()
                raise UnreachableError(
                    f"the server at {self._url} is not AWS: its response is longer than "
                    f"{self._most // 1024} KiB",
                    remedy=_REMEDY,
                )
            yield piece
