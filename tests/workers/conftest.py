from collections.abc import Iterator
from secrets import token_urlsafe
from urllib.request import Request, urlopen

import pytest

from cml_iam.aws import Aws, connect
from cml_iam.secret import Secret
from tests.workers.tls import AnswerTls, tls_servers


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def moto_connection(moto_url: str) -> Aws:
    return connect(
        endpoint_url=moto_url,
        region="us-east-1",
        access_key="AKIAIOSFODNN7EXAMPLE",
        secret_key=Secret(token_urlsafe(30)),
    )


@pytest.fixture
def moto(moto_url: str, moto_connection: Aws) -> Aws:
    """An empty moto, spoken to through our own port."""
    urlopen(Request(f"{moto_url}/moto-api/reset", method="POST"), timeout=60).close()  # noqa: S310
    return moto_connection


@pytest.fixture
def answer_tls() -> Iterator[AnswerTls]:
    """Start a TLS server on the loopback interface; gives its port."""
    with tls_servers() as start:
        yield start
