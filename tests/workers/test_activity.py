"""How many nodes CML says that run, asked of a TLS server on the loopback interface."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from secrets import token_urlsafe
from typing import Any

import pytest

from cml_iam.errors import RefusedError
from cml_iam.secret import Secret
from cml_iam.workers import Activity, CmlAccess, cml_activity
from cml_iam.workers._cml import running_nodes
from cml_iam.workers._model import worker_from
from tests.workers.fake import instance
from tests.workers.tls import AnswerTls, Certificate, Quiet, certificate

PASSWORD = token_urlsafe(20)
LOGIN = ("admin", Secret(PASSWORD))
WORKER = worker_from(instance(PublicIpAddress="127.0.0.1"), "us-east-1")
TOKEN = "a.token"


def stats(*running: Any) -> dict[str, Any]:
    """Return /system_stats of a CML with these computes."""
    return {
        "computes": {
            str(number): {"hostname": "c", "stats": {"dominfo": {"running_nodes": each}}}
            for number, each in enumerate(running)
        }
    }


Serve = Callable[..., CmlAccess]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("own"), "cml-controller", None)


@pytest.fixture
def serve(own: Certificate, answer_tls: AnswerTls) -> Serve:
    """Answer as CML does; return how to ask it. *said* is the answer to /system_stats."""

    def start(said: Any, status: int = 200, token: Any = TOKEN) -> CmlAccess:
        class Answers(Quiet, BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert self.path == "/api/v0/authenticate"
                known = sent == {"username": "admin", "password": PASSWORD}
                self._answer(200 if known else 401, token)

            def do_GET(self) -> None:
                assert self.path == "/api/v0/system_stats"
                assert self.headers["Authorization"] == f"Bearer {TOKEN}"
                self._answer(status, said)

            def _answer(self, code: int, value: Any) -> None:
                body = json.dumps(value).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        return CmlAccess(ca_file=own.alone, port=answer_tls(own, Answers))

    return start


def test_the_nodes_of_all_computes_are_counted(serve: Serve) -> None:
    assert cml_activity(WORKER, serve(stats(2, 3)), *LOGIN) == Activity(nodes=5)
    assert cml_activity(WORKER, serve(stats(0)), *LOGIN) == Activity(nodes=0)


@pytest.mark.parametrize(
    "said",
    [{}, [], None, stats(), stats(1, None), stats(True), stats(-1), stats("3"), stats(1.0)],
)
def test_an_answer_without_every_count_is_unknown_never_none(serve: Serve, said: Any) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        running_nodes(said)
    found = cml_activity(WORKER, serve(said), *LOGIN)

    assert found.nodes is None
    assert "does not report how many nodes run" in (found.unknown or "")


def test_a_user_cml_does_not_know_is_said_without_the_password(serve: Serve) -> None:
    wrong = token_urlsafe(20)

    found = cml_activity(WORKER, serve(stats(0)), "admin", Secret(wrong))

    assert found.unknown == "CML at 127.0.0.1 answered HTTP 401"
    assert found.remedy == "CML rejects this user and password"
    assert wrong not in repr(found)


def test_a_user_who_may_not_ask_is_said(serve: Serve) -> None:
    found = cml_activity(WORKER, serve({}, status=403), *LOGIN)

    assert found.remedy == "the user must be an administrator of CML"


@pytest.mark.parametrize("token", [None, 3, "", "a\r\nX: y", "ü"])
def test_a_token_that_is_none_is_not_sent_on(serve: Serve, token: Any) -> None:
    assert cml_activity(WORKER, serve(stats(0), token=token), *LOGIN).nodes is None


def test_a_certificate_nobody_trusts_is_never_given_the_password(serve: Serve) -> None:
    access = CmlAccess(port=serve(stats(0)).port)

    found = cml_activity(WORKER, access, *LOGIN)

    assert "certificate is not trusted" in (found.unknown or "")
    assert "--cml-ca" in (found.remedy or "")
    with pytest.raises(RefusedError, match="the CML password is not sent"):
        cml_activity(WORKER, CmlAccess(insecure=True, port=access.port), *LOGIN)


def test_nobody_answering_and_no_address_are_said(serve: Serve) -> None:
    closed = CmlAccess(port=1, seconds=0.5)
    nowhere = worker_from(instance(), "us-east-1")

    assert "did not answer" in (cml_activity(WORKER, closed, *LOGIN).unknown or "")
    assert cml_activity(nowhere, closed, *LOGIN).unknown == "the worker has no address"


def test_the_password_is_in_no_repr() -> None:
    assert PASSWORD not in repr(LOGIN)
