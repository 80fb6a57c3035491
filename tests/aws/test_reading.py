"""Large answers are read cheaply, and mean the same as read whole."""

from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any

import pytest

from cml_iam.aws._reading import LARGE, leave_unread, read_time, reader
from cml_iam.workers._model import worker_from

fleet = pytest.importorskip("benchmarks.workers.fleet")


def instances(body: bytes, *, trimmed: bool) -> list[dict[str, Any]]:
    import botocore.session

    client = botocore.session.Session().create_client(
        "ec2",
        region_name="us-east-1",
        aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
        aws_secret_access_key="none",
    )
    if trimmed:
        leave_unread(client)
    shape = client.meta.service_model.operation_model("DescribeInstances").output_shape
    answer = {"status_code": 200, "headers": {}, "body": body}
    read = reader().create_parser("ec2").parse(answer, shape)
    return [one for reservation in read["Reservations"] for one in reservation["Instances"]]


def test_a_worker_is_the_same_whether_all_is_read_or_only_what_is_used() -> None:
    body = fleet.page("eu-west-1", 0, 3, 40, "stopped")

    (whole, *_), (part, *_) = (instances(body, trimmed=each) for each in (False, True))

    assert worker_from(whole, "eu-west-1") == worker_from(part, "eu-west-1")
    assert "NetworkInterfaces" in whole
    assert "NetworkInterfaces" not in part
    worker = worker_from(part, "eu-west-1")
    assert (worker.volume_ids, worker.launched_at) == (
        ("vol-00000000000000002",),
        datetime(2026, 3, 1, 8, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    "written",
    [
        "2026-03-01T08:00:00.000Z",
        "2026-03-01T08:00:00Z",
        "2026-03-01T10:00:00+02:00",
        "20260301T080000Z",
        "Sun, 01 Mar 2026 08:00:00 GMT",
        1772352000,
        1772352000.0,
        "1772352000",
    ],
)
def test_a_time_is_read_however_aws_writes_it(written: Any) -> None:
    at = read_time(written)

    assert at == datetime(2026, 3, 1, 8, tzinfo=UTC)
    assert at.utcoffset() in (timedelta(0), timedelta(hours=2))


def test_large_answers_are_read_one_after_the_other_and_all_of_them() -> None:
    body = fleet.page("us-east-1", 0, 60, 400, "running")
    assert len(body) > LARGE
    found: list[int] = []
    threads = [
        Thread(target=lambda: found.append(len(instances(body, trimmed=True)))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [60, 60, 60]


def test_an_answer_that_cannot_be_read_does_not_keep_the_next_waiting() -> None:
    from botocore.parsers import ResponseParserError

    parser_of = reader()
    import botocore.session

    model = botocore.session.Session().get_service_model("ec2")
    shape = model.operation_model("DescribeInstances").output_shape
    broken = {"status_code": 200, "headers": {}, "body": b"<broken" + b" " * LARGE}
    for _ in range(2):
        with pytest.raises(ResponseParserError):
            parser_of.create_parser("ec2").parse(broken, shape)
