"""What a sandbox is told to suffer: by a file, and by the command line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import pytest
from botocore.exceptions import ConnectionClosedError

from cml_iam.cli._main import run
from cml_iam.errors import InputError
from cml_iam.sandbox import (
    AS_AWS,
    Bucket,
    Buckets,
    Conditions,
    Refusal,
    Sandbox,
    Seconds,
    Shortage,
    load_conditions,
    parse_conditions,
    start_sandbox,
)
from tests.conftest import REPOSITORY
from tests.sandbox.conftest import Identity, launch, refused, root_of


def test_a_file_says_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "faults.toml"
    path.write_text(
        """
        throttle = true
        metrics_since_launch = true
        [seconds]
        pending = 1.5
        policy_change = 2
        [buckets]
        StartInstances = { requests = [5, 2], resources = [60, 0.5] }
        DescribeRegions = { requests = [1, 1] }
        [[no_capacity]]
        instance_type = "m5zn.*"
        [[refuse]]
        operation = "ec2:Stop*"
        code = "InternalError"
        status = 500
        after = 1
        times = 2
        [[refuse]]
        operation = "iam:CreateUser"
        lost = true
        seconds = 0.5
        """
    )

    assert load_conditions(path) == Conditions(
        throttle=True,
        metrics_since_launch=True,
        seconds=Seconds(pending=1.5, policy_change=2),
        buckets={
            "StartInstances": Buckets(Bucket(5, 2), Bucket(60, 0.5)),
            "DescribeRegions": Buckets(Bucket(1, 1)),
        },
        no_capacity=(Shortage("m5zn.*"),),
        refuse=(
            Refusal("ec2:Stop*", "InternalError", status=500, after=1, times=2),
            Refusal("iam:CreateUser", lost=True, seconds=0.5),
        ),
    )
    assert parse_conditions("") == Conditions()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("throttle", "expected '=' after a key"),
        ("throttel = true", "`throttel` is not known in the document (did you mean `throttle`?)"),
        ("throttle = 1", "faults:1:12: `throttle` must be true or false"),
        ("seconds = 3", "`seconds` must be a table"),
        ("[seconds]\nrunning = 3", "`running` is not known in `seconds`"),
        ("[seconds]\npending = -1", "`seconds.pending` must be at least 0"),
        ("[seconds]\npending = true", "`seconds.pending` must be a number"),
        ("[seconds]\npending = '1'", "`seconds.pending` must be a number"),
        ("[seconds]\npending = nan", "`seconds.pending` must be a number"),
        ("[seconds]\npending = inf", "`seconds.pending` must be a number"),
        ("[seconds]\npending = 1e300", "`seconds.pending` must be at most"),
        ("[buckets]\nX = 3", "`buckets.X` must be a table"),
        ("[buckets]\nX = {}", "`buckets.X` has no `requests`"),
        ("[buckets]\nX = {requests = [1]}", "a bucket is its size and its refill"),
        ("[buckets]\nX = {requests = ['a', 1]}", "`buckets.X.requests[0]` must be a number"),
        ("[buckets]\nX = {requests = [1, 1, 1]}", "a bucket is its size and its refill"),
        ("refuse = 1", "`refuse` must be a list"),
        ("[[refuse]]\ncode = 'X'", "`refuse[0]` has no `operation`"),
        ("[[refuse]]\noperation = 3", "`refuse[0].operation` must be a string"),
        (
            "[[refuse]]\noperation = 'StopInstances'\ncode = 'X'",
            "`operation` must be one of cloudtrail, ",
        ),
        (
            "[[refuse]]\noperation = 'sqs:SendMessage'\ncode = 'X'",
            "`operation` must be one of cloudtrail, ",
        ),
        ("[[refuse]]\noperation = 'ec2:*'", "a `[[refuse]]` needs `code`, `lost` or `seconds`"),
        (
            "[[refuse]]\noperation = 'ec2:*'\ncode = 'X'\nstatus = 200",
            "`refuse[0].status` must be at least 400",
        ),
        ("[[no_capacity]]\nregion = 'x'", "`region` is not known in `no_capacity[0]`"),
    ],
)
def test_a_file_that_says_something_else_is_wrong_input(text: str, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        parse_conditions(text)


def test_a_file_that_is_not_there_is_wrong_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_conditions(tmp_path / "none.toml")


def test_the_file_of_the_docs_is_one() -> None:
    page = (REPOSITORY / "docs" / "sandbox.md").read_text("utf-8")
    (text,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    found = parse_conditions(text)

    assert (found.throttle, found.seconds) == (AS_AWS.throttle, AS_AWS.seconds)
    assert len(found.refuse) >= 2


def root_under(conditions: Conditions, work: Callable[[Identity], None]) -> None:
    with start_sandbox(conditions=conditions) as running:
        work(root_of(running))


def test_calls_are_refused_as_often_as_told() -> None:
    def work(root: Identity) -> None:
        ec2 = root.client("ec2")
        made = launch(ec2)
        ec2.stop_instances(InstanceIds=[made])
        for _ in range(2):
            answer = refused(ec2.stop_instances, InstanceIds=[made])
            assert (answer.code, answer.status) == ("InternalError", 500)
        ec2.stop_instances(InstanceIds=[made])

    root_under(
        Conditions(refuse=(Refusal("ec2:Stop*", "InternalError", status=500, after=1, times=2),)),
        work,
    )


def test_a_lost_answer_is_of_something_done() -> None:
    def work(root: Identity) -> None:
        ec2 = root.client("ec2")
        with pytest.raises(ConnectionClosedError):
            launch(ec2, ClientToken="mine")
        again = launch(ec2, ClientToken="mine")
        found = ec2.describe_instances()["Reservations"]
        assert [each["Instances"][0]["InstanceId"] for each in found] == [again]

    root_under(Conditions(refuse=(Refusal("ec2:RunInstances", lost=True, times=1),)), work)


def test_an_answer_comes_late_and_others_need_not_wait_for_it() -> None:
    from concurrent.futures import ThreadPoolExecutor

    def work(root: Identity) -> None:
        ec2, iam = root.client("ec2"), root.client("iam")
        iam.list_users()  # the first call of a client takes long by itself
        with ThreadPoolExecutor(1) as pool:
            began = monotonic()
            late = pool.submit(ec2.describe_regions)
            iam.list_users()
            waited = late.done()
            late.result()
        assert not waited
        assert monotonic() - began >= 3

    root_under(Conditions(refuse=(Refusal("ec2:DescribeRegions", seconds=3),)), work)


FAULTS = """
[[refuse]]
operation = "secretsmanager:PutSecretValue"
code = "InternalServiceError"
status = 500
after = 1
times = 1
[[refuse]]
operation = "secretsmanager:CreateSecret"
code = "InternalServiceError"
lost = true
times = 1
[[refuse]]
operation = "ssm:PutParameter"
lost = true
times = 1
[[refuse]]
operation = "s3:CreateBucket"
code = "SlowDown"
status = 503
times = 1
[[refuse]]
operation = "iam:CreateAccessKey"
lost = true
times = 1
"""


def test_faults_befall_every_service() -> None:
    def work(root: Identity) -> None:
        secrets, iam, s3 = map(root.client, ("secretsmanager", "iam", "s3"))
        with pytest.raises(ConnectionClosedError):
            secrets.create_secret(Name="a", SecretString="x")
        assert secrets.list_secrets()["SecretList"] == []
        secrets.create_secret(Name="a", SecretString="x")
        put = {"SecretId": "a", "SecretString": "y"}
        secrets.put_secret_value(**put)
        assert refused(secrets.put_secret_value, **put).code == "InternalServiceError"
        secrets.put_secret_value(**put)
        with pytest.raises(ConnectionClosedError):
            root.client("ssm").put_parameter(Name="p", Value="x", Type="String")
        (parameter,) = root.client("ssm").describe_parameters()["Parameters"]
        assert parameter["Name"] == "p"
        assert refused(s3.create_bucket, Bucket="some-bucket").code == "SlowDown"
        assert s3.list_buckets()["Buckets"] == []
        iam.create_user(UserName="u")
        with pytest.raises(ConnectionClosedError):
            iam.create_access_key(UserName="u")
        assert len(iam.list_access_keys(UserName="u")["AccessKeyMetadata"]) == 1

    root_under(parse_conditions(FAULTS), work)


@pytest.mark.parametrize(
    ("options", "throttled"),
    [(["--throttle"], True), (["--strict"], True), (["--faults", "FILE"], True), ([], False)],
)
def test_the_command_line_takes_them(
    options: list[str], throttled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "faults.toml"
    path.write_text("throttle = true")

    def is_throttled(running: Sandbox, _: object) -> bool:
        starting = root_of(running).client("ec2")
        named = {"InstanceIds": ["i-0a1b2c3d4e5f6ffff"]}
        codes = [refused(starting.start_instances, **named).code for _ in range(8)]
        return "RequestLimitExceeded" in codes

    monkeypatch.setattr("cml_iam.sandbox.run_command", is_throttled)
    given = [str(path) if option == "FILE" else option for option in options]

    assert run(["sandbox", "run", *given, "--", "true"]) == throttled


def test_two_that_say_it_and_a_file_that_is_wrong_are_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "faults.toml"
    path.write_text("nonsense = 1")

    assert run(["sandbox", "run", "--strict", "--faults", str(path), "--", "true"]) == 2
    assert run(["sandbox", "run", "--faults", str(path), "--", "true"]) == 2
    assert "`nonsense`" in capsys.readouterr().err
