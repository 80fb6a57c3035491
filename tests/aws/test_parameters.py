"""A parameter of Systems Manager that is a secret is held as one."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from secrets import token_urlsafe
from typing import Any

import pytest

from cml_iam.aws import Aws
from cml_iam.secret import Secret
from tests.aws.conftest import Endpoint

Connect = Callable[..., Aws]


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """Everything that is logged, at every level and by botocore, too."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    root = logging.getLogger()
    loud = [logging.getLogger(name) for name in ("", "botocore", "botocore.parsers")]
    before = [each.level for each in loud]
    root.addHandler(handler)
    for each in loud:
        each.setLevel(logging.DEBUG)
    yield text
    root.removeHandler(handler)
    for each, level in zip(loud, before, strict=True):
        each.setLevel(level)


def _parameter(value: str, kind: str) -> tuple[int, str]:
    return 200, json.dumps({"Parameter": {"Name": "/p", "Type": kind, "Value": value}})


def test_a_secure_string_is_held_and_never_logged(
    endpoint: Endpoint, to: Connect, written: io.StringIO
) -> None:
    secret = token_urlsafe(30)
    endpoint.answers = [_parameter(secret, "SecureString")]

    aws = to()
    for name in ("", "botocore", "botocore.parsers"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    said: dict[str, Any] = aws.call("ssm", "get_parameter", Name="/p", WithDecryption=True)
    logging.getLogger("cml_iam").debug("%s", said)

    assert secret not in repr(said)
    assert said["Parameter"]["Value"].reveal() == secret
    assert "Secret" in written.getvalue() or "***" in written.getvalue()
    assert secret not in written.getvalue()


def test_a_parameter_that_is_put_is_never_logged(
    endpoint: Endpoint, to: Connect, written: io.StringIO
) -> None:
    secret = token_urlsafe(30)
    endpoint.answers = [(200, json.dumps({"Version": 1, "Tier": "Standard"}))]

    to().call("ssm", "put_parameter", Name="/p", Value=Secret(secret), Type="SecureString")

    assert secret in endpoint.requests[0][0]
    assert secret not in written.getvalue()


def test_a_parameter_that_is_no_secret_is_plain(endpoint: Endpoint, to: Connect) -> None:
    endpoint.answers = [_parameter("ami-1", "String")]

    said = to().call("ssm", "get_parameter", Name="/p")

    assert said["Parameter"]["Value"] == "ami-1"
