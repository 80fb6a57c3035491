"""What is sent, how often, and where to."""

import io
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import pytest

from cml_iam import errors
from cml_iam.aws import Aws, connect
from cml_iam.secret import Secret
from tests.aws import answers
from tests.aws.conftest import EXAMPLE_KEY, EXAMPLE_SECRET, LOST, Endpoint

Connect = Callable[..., Aws]


def test_a_lost_answer_is_asked_for_again(endpoint: Endpoint, to: Connect) -> None:
    endpoint.answers = [LOST, (200, answers.REGIONS)]

    said = to().call("ec2", "describe_regions")

    assert [region["RegionName"] for region in said["Regions"]] == ["us-east-1"]
    assert endpoint.actions() == ["DescribeRegions"] * 2


@pytest.mark.parametrize(
    "answer", [LOST, (500, answers.ec2_error("InternalError", "x"))], ids=["lost", "500"]
)
def test_once_sends_a_single_time_whatever_happens(
    endpoint: Endpoint, to: Connect, answer: Any
) -> None:
    endpoint.answers = [answer, (200, answers.access_key("AKIASECOND"))]

    with pytest.raises(errors.UnreachableError) as raised:
        to().call("iam", "create_access_key", once=True, UserName="u")

    assert endpoint.actions() == ["CreateAccessKey"]
    assert "retries" not in str(raised.value)


def test_without_once_a_key_would_be_made_twice(endpoint: Endpoint, to: Connect) -> None:
    """botocore's standard retries send CreateAccessKey again: the reason `once` exists."""
    endpoint.answers = [LOST, (200, answers.access_key("AKIASECOND"))]

    to().call("iam", "create_access_key", UserName="u")

    assert endpoint.actions() == ["CreateAccessKey"] * 2


def test_the_number_of_attempts_is_ours_not_botocores(endpoint: Endpoint, to: Connect) -> None:
    endpoint.answers = [(500, answers.ec2_error("InternalError", "x"))]

    with pytest.raises(errors.UnreachableError):
        to(attempts=4).call("ec2", "describe_regions")

    assert len(endpoint.requests) == 4


def test_every_page_is_read(endpoint: Endpoint, to: Connect) -> None:
    endpoint.answers = [
        (200, answers.instances("i-1", "i-2", more="t")),
        (200, answers.instances("i-3")),
    ]

    found = [
        instance["InstanceId"]
        for reservation in to().pages("ec2", "describe_instances", "Reservations", MaxResults=5)
        for instance in reservation["Instances"]
    ]

    assert found == ["i-1", "i-2", "i-3"]
    assert "MaxResults=5" in endpoint.requests[0][0]


def test_an_operation_without_pages_is_one_page(endpoint: Endpoint, to: Connect) -> None:
    endpoint.answers = [(200, answers.REGIONS)]

    assert len(list(to().pages("ec2", "describe_regions", "Regions"))) == 1


def test_a_misspelt_key_of_pages_is_a_fault_not_an_empty_list(to: Connect) -> None:
    with pytest.raises(ValueError, match="Reservations"):
        list(to().pages("ec2", "describe_instances", "Instances"))


def test_an_error_within_pages_is_mapped(endpoint: Endpoint, to: Connect) -> None:
    endpoint.answers = [
        (200, answers.instances("i-1", more="t")),
        (403, answers.ec2_error("UnauthorizedOperation", "no")),
    ]

    with pytest.raises(errors.DeniedError):
        list(to().pages("ec2", "describe_instances", "Reservations"))


def test_identity_is_asked_of_sts(endpoint: Endpoint, to: Connect) -> None:
    endpoint.answers = [(200, answers.CALLER)]

    assert to().identity().arn == "arn:aws:iam::111122223333:user/cml-cloud-manager-service"


def test_another_account_is_refused_before_the_first_call(endpoint: Endpoint, to: Connect) -> None:
    endpoint.answers = [(200, answers.CALLER)]
    aws = to(expect_account="999999999999")

    for _ in range(2):
        with pytest.raises(errors.RefusedError, match="`999999999999` is expected"):
            aws.call("ec2", "describe_regions")

    assert set(endpoint.actions()) == {"GetCallerIdentity"}


def test_of_an_invalid_credential_the_service_says_why_and_nothing_is_changed(
    endpoint: Endpoint, to: Connect
) -> None:
    unknown = answers.iam_error("InvalidClientTokenId", "The security token is invalid.")
    endpoint.answers = [(403, unknown), (401, answers.ec2_error("AuthFailure", "not validated"))]
    aws = to(expect_account="111122223333", region="us-east-1")

    with pytest.raises(errors.CredentialsError) as read:
        aws.call("ec2", "describe_regions")
    asked = len(endpoint.actions())
    endpoint.answers = [(403, unknown)]
    with pytest.raises(errors.CredentialsError) as change:
        aws.call("ec2", "terminate_instances", InstanceIds=["i-1"])

    assert (read.value.code, change.value.code) == ("AuthFailure", "InvalidClientTokenId")
    assert "TerminateInstances" not in endpoint.actions()[asked:]


def test_the_account_is_checked_once(endpoint: Endpoint, to: Connect) -> None:
    endpoint.answers = [(200, answers.CALLER), (200, answers.REGIONS)]
    aws = to(expect_account="111122223333")

    aws.call("ec2", "describe_regions")
    aws.call("ec2", "describe_regions")

    assert endpoint.actions() == ["GetCallerIdentity", "DescribeRegions", "DescribeRegions"]


def test_read_only_sends_nothing_that_changes(endpoint: Endpoint, to: Connect) -> None:
    endpoint.answers = [(200, answers.REGIONS)]
    aws = to(read_only=True)

    with pytest.raises(errors.RefusedError):
        aws.call("ec2", "stop_instances", InstanceIds=["i-1"])
    aws.call("ec2", "describe_regions")

    assert endpoint.actions() == ["DescribeRegions"]


def test_read_only_lets_a_dry_run_through(endpoint: Endpoint, to: Connect) -> None:
    endpoint.answers = [(412, answers.ec2_error("DryRunOperation", "would have succeeded"))]

    with pytest.raises(errors.AwsError) as caught:
        to(read_only=True).call("ec2", "stop_instances", InstanceIds=["i-1"], DryRun=True)

    assert caught.value.code == "DryRunOperation"


def test_a_dry_run_of_another_service_is_no_excuse(to: Connect) -> None:
    with pytest.raises(errors.RefusedError):
        to(read_only=True).call("iam", "delete_user", UserName="u", DryRun=True)


def test_one_client_per_service_and_region_even_from_many_threads(
    endpoint: Endpoint, to: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    import botocore.session

    endpoint.answers = [(200, answers.REGIONS)]
    made: list[tuple[str, str]] = []
    real = botocore.session.Session.create_client

    def counted(self: Any, service: str, **options: Any) -> Any:
        made.append((service, options["region_name"]))
        return real(self, service, **options)

    monkeypatch.setattr(botocore.session.Session, "create_client", counted)
    aws = to()

    def ask(region: str) -> None:
        aws.call("ec2", "describe_regions", region=region)

    threads = [
        threading.Thread(target=ask, args=(region,))
        for region in ("us-east-1", "us-west-2")
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(made) == [("ec2", "us-east-1"), ("ec2", "us-west-2")]


@pytest.mark.parametrize(
    ("explicit", "environment", "profile", "expected"),
    [
        ("us-west-2", {"AWS_REGION": "eu-west-1"}, None, "us-west-2"),
        (None, {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"}, None, "eu-west-1"),
        (None, {"AWS_DEFAULT_REGION": "eu-west-2"}, "there", "eu-west-2"),
        (None, {}, "there", "eu-north-1"),
        (None, {}, None, None),
    ],
)
def test_the_region_comes_from_the_nearest_place(
    explicit: str | None,
    environment: dict[str, str],
    profile: str | None,
    expected: str | None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "config").write_text("[profile there]\nregion = eu-north-1\n")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert connect(profile=profile, region=explicit).region == expected


def test_the_region_of_the_call_wins(endpoint: Endpoint, to: Connect) -> None:
    endpoint.answers = [(200, answers.REGIONS)]

    to().call("ec2", "describe_regions", region="us-west-2")

    assert "/us-west-2/ec2/" in endpoint.requests[0][1]


def test_no_region_is_wrong_input(to: Connect) -> None:
    with pytest.raises(errors.InputError) as caught:
        to(region=None, endpoint_url=None).call("ec2", "describe_regions")

    assert "--region" in (caught.value.remedy or "")


def test_iam_and_sts_need_no_region(endpoint: Endpoint, to: Connect) -> None:
    endpoint.answers = [(200, answers.CALLER)]

    assert to(region=None).identity().account == "111122223333"


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_EC2"])
def test_the_endpoint_may_come_from_the_environment(
    endpoint: Endpoint, to: Connect, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    endpoint.answers = [(200, answers.REGIONS)]
    monkeypatch.setenv(name, endpoint.url)

    to(endpoint_url=None).call("ec2", "describe_regions")

    assert len(endpoint.requests) == 1


@pytest.mark.parametrize("url", ["not a url", "127.0.0.1:4566"])
def test_what_is_no_url_is_wrong_input(to: Connect, url: str) -> None:
    with pytest.raises(errors.InputError, match="not an endpoint"):
        to(endpoint_url=url).call("ec2", "describe_regions")


def test_what_is_no_url_in_the_environment_is_named(
    to: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "127.0.0.1:4566")

    with pytest.raises(errors.InputError, match="not an endpoint: Invalid endpoint: 127"):
        to(endpoint_url=None).call("ec2", "describe_regions")


def test_a_dead_endpoint_is_unreachable(to: Connect) -> None:
    with pytest.raises(errors.UnreachableError, match="no answer") as caught:
        to(endpoint_url="http://127.0.0.1:9", attempts=1).call("ec2", "describe_regions")

    assert "--endpoint-url" in (caught.value.remedy or "")


def test_a_web_page_is_not_aws(endpoint: Endpoint, to: Connect) -> None:
    endpoint.answers = [(200, "<html><body>welcome<br></body>")]

    with pytest.raises(errors.UnreachableError, match="is not AWS: HTTP 200 with a web page"):
        to(attempts=1).call("ec2", "describe_regions")


def test_no_credentials_anywhere() -> None:
    with pytest.raises(errors.CredentialsError, match="unable to locate credentials"):
        connect(region="us-east-1", endpoint_url="http://127.0.0.1:9").call(
            "ec2", "describe_regions"
        )


def test_half_a_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", EXAMPLE_KEY)

    with pytest.raises(errors.CredentialsError, match="partial credentials"):
        connect(region="us-east-1").call("ec2", "describe_regions")


def test_a_key_without_its_secret_is_wrong_input() -> None:
    with pytest.raises(errors.InputError):
        connect(access_key=EXAMPLE_KEY)


def test_an_unknown_profile_is_named() -> None:
    with pytest.raises(errors.CredentialsError, match="nobody"):
        connect(profile="nobody")


def test_a_broken_configuration_file_is_wrong_input(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("not an ini file\n")

    with pytest.raises(errors.InputError, match="config"):
        connect()


def test_a_secret_in_an_answer_is_held(endpoint: Endpoint, to: Connect) -> None:
    secret = token_urlsafe(30)
    endpoint.answers = [(200, answers.access_key("AKIANEW", secret))]

    said = to().call("iam", "create_access_key", once=True, UserName="u")

    assert secret not in repr(said)
    assert said["AccessKey"]["SecretAccessKey"].reveal() == secret


def test_a_secret_is_passed_on_as_it_is(endpoint: Endpoint, to: Connect) -> None:
    secret = token_urlsafe(30)
    endpoint.answers = [(400, answers.iam_error("ValidationError", f"not {secret}"))]

    with pytest.raises(errors.RequestError) as caught:
        to().call("iam", "create_login_profile", UserName="u", Password=Secret(secret))

    assert f"Password={secret}" in endpoint.requests[0][0]
    assert "not ***" in str(caught.value)
    assert secret not in repr(caught.value)


def test_botocores_complaint_about_a_secret_does_not_repeat_it(to: Connect) -> None:
    secret = token_urlsafe(30)

    with pytest.raises(errors.RequestError) as caught:
        to().call("iam", "create_user", UserName="u", Tags=Secret(secret))

    assert "Tags" in str(caught.value)
    assert secret not in repr(caught.value)


def test_no_secret_reaches_a_debug_log(endpoint: Endpoint, to: Connect) -> None:
    secret, token = token_urlsafe(30), token_urlsafe(30)
    endpoint.answers = [(200, answers.access_key("AKIANEW", secret))]
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    root, loud = logging.getLogger(), logging.getLogger("botocore.parsers")
    before = root.level, loud.level
    root.addHandler(handler)
    try:
        aws = to(session_token=Secret(token))
        root.setLevel(logging.DEBUG)
        loud.setLevel(logging.DEBUG)
        aws.call("iam", "create_access_key", once=True, UserName="u")
        logging.getLogger("cml_iam").debug("ours is heard")
    finally:
        root.removeHandler(handler)
        root.setLevel(before[0])
        loud.setLevel(before[1])

    assert "ours is heard" in written.getvalue()
    for hidden in (secret, token, EXAMPLE_SECRET):
        assert hidden not in written.getvalue()


def test_no_botocore_exception_hangs_on_ours(endpoint: Endpoint, to: Connect) -> None:
    endpoint.answers = [(403, answers.ec2_error("AuthFailure", "no"))]

    with pytest.raises(errors.CredentialsError) as caught:
        to().call("ec2", "describe_regions")

    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
