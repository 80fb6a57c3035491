"""A loopback endpoint that answers what a test tells it to, and counts what it was sent."""

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from cml_iam.aws import Aws, connect
from cml_iam.secret import Secret

EXAMPLE_KEY = "AKIAIOSFODNN7EXAMPLE"
EXAMPLE_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

LOST = "lost"
"""An answer that never comes: the work was done, the connection broke."""


@dataclass
class Endpoint:
    """*answers* are used up in order, the last one for ever; *requests* is what was sent.

    What *regions* has for the region that a request is signed for, goes before *answers*.
    """

    url: str
    answers: list[tuple[int, str] | str] = field(default_factory=list)
    regions: dict[str, tuple[int, str]] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)

    def actions(self) -> list[str]:
        return [
            part.partition("=")[2]
            for body, _ in self.requests
            for part in body.split("&")
            if part.startswith("Action=")
        ]


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            made.requests.append((body, self.headers.get("Authorization", "")))
            signed_for = self.headers.get("Authorization", "").split("/")[2:3]
            answer: tuple[int, str] | str
            if signed_for and signed_for[0] in made.regions:
                answer = made.regions[signed_for[0]]
            else:
                answer = made.answers.pop(0) if len(made.answers) > 1 else made.answers[0]
            if isinstance(answer, str):
                self.connection.close()
                return
            status, text = answer
            self.send_response(status)
            self.send_header("Content-Type", "text/xml")
            self.send_header("x-amzn-RequestId", "1")  # which JSON has nowhere else
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a connection we closed ourselves

    server = Quiet(("127.0.0.1", 0), Handler)
    made = Endpoint(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def no_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Nothing of the machine's own AWS configuration reaches a test."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def to(endpoint: Endpoint) -> Callable[..., Aws]:
    """Return connect() to the endpoint with the example key."""

    def made(**options: Any) -> Aws:
        given: dict[str, Any] = {
            "endpoint_url": endpoint.url,
            "region": "us-east-1",
            "access_key": EXAMPLE_KEY,
            "secret_key": Secret(EXAMPLE_SECRET),
        }
        return connect(**{**given, **options})

    return made
