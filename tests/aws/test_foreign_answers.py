"""What is not AWS's answer is never read as one, and no answer goes on without end."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from cml_iam import errors
from cml_iam.aws import Aws, connect, greet
from cml_iam.aws import _bounds as bounds
from cml_iam.secret import Secret
from tests.harness_answers.endpoint import KINDS, dripping, foreign

CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("ec2", "describe_instances", {}),
    ("ec2", "delete_tags", {"Resources": ["i-1"]}),
    ("iam", "get_user", {"UserName": "u"}),
    ("iam", "delete_user", {"UserName": "u"}),
    ("sts", "get_caller_identity", {}),
    ("cloudwatch", "get_metric_data", {"MetricDataQueries": [], "StartTime": 0, "EndTime": 1}),
    ("ssm", "get_parameter", {"Name": "/x"}),
    ("secretsmanager", "get_secret_value", {"SecretId": "x"}),
    ("cloudtrail", "describe_trails", {}),
    ("s3", "get_bucket_location", {"Bucket": "b"}),
]
"""One call at least of each protocol of botocore's that is spoken: ec2, query, JSON, CBOR, REST."""


def to(url: str, **options: Any) -> Aws:
    return connect(
        endpoint_url=url,
        region="us-east-1",
        access_key="AKIAIOSFODNN7EXAMPLE",
        secret_key=Secret("x" * 40),
        **{"attempts": 1, "read_timeout": 0.5, **options},
    )


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "ANSWER_BYTES", 1024 * 1024)


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_of_another_kind_is_no_answer_in_any_protocol(kind: str) -> None:
    with foreign(KINDS[kind]) as endpoint:
        for service, operation, parameters in CALLS:
            with pytest.raises(errors.UnreachableError) as caught:
                to(endpoint.url).call(service, operation, **parameters)
            assert caught.value.remedy, (service, operation)
            if kind.startswith(("20", "30", "40")):
                assert f"{endpoint.url} is not AWS: " in caught.value.message, (service, operation)


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_of_pages_is_not_taken_for_empty(kind: str) -> None:
    with foreign(KINDS[kind]) as endpoint, pytest.raises(errors.UnreachableError):
        list(to(endpoint.url).pages("ec2", "describe_instances", "Reservations"))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_greeted_is_not_taken_for_aws(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cml_iam.aws._session._READ_TIMEOUT", 0.5)
    with foreign(KINDS[kind]) as endpoint:
        if kind.startswith("502"):
            return  # an error of the server's: something answers, and its clock can be read
        with pytest.raises(errors.UnreachableError):
            greet("ec2", "us-east-1", endpoint_url=endpoint.url)


def test_a_foreign_answer_is_described() -> None:
    said = {}
    for kind, send in KINDS.items():
        with foreign(send) as endpoint, pytest.raises(errors.UnreachableError) as caught:
            to(endpoint.url).call("ec2", "describe_instances")
        said[kind] = caught.value.message.replace(endpoint.url, "URL")

    assert said["200, a web page"] == "the server at URL is not AWS: HTTP 200 with a web page"
    assert said["200, nothing"].endswith("HTTP 200 with no content")
    assert said["200, JSON"].endswith("HTTP 200 with JSON of another kind")
    assert said["200, XML of another kind"].endswith("HTTP 200 with XML that begins with <feed>")
    assert said["301 to elsewhere"].endswith("HTTP 301 to https://portal.example/")
    assert said["an endless body"].endswith("its response is longer than 1024 KiB")
    assert said["a byte now and then, in the body"].endswith(
        "did not complete its answer within 1 s"
    )


def test_an_answer_that_takes_its_time_is_not_sent_for_again() -> None:
    with foreign(dripping(b"HTTP/1.1 200 OK\r\n", 0.05)) as endpoint:
        with pytest.raises(errors.UnreachableError, match="did not complete"):
            to(endpoint.url, attempts=5).call("ec2", "describe_instances")
        assert endpoint.requests == 1


def test_no_timer_is_left_behind(endpoint: Any) -> None:
    from tests.aws import answers

    endpoint.answers = [(200, answers.REGIONS)]
    aws = to(endpoint.url)
    for _ in range(3):
        aws.call("ec2", "describe_regions")

    timers = [each for each in threading.enumerate() if isinstance(each, threading.Timer)]
    assert not [timer for timer in timers if not timer.finished.is_set()]
