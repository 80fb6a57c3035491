"""The application's two interfaces, called as it calls them, in the sandbox under both policies."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from cml_iam import errors
from cml_iam.aws._errors import as_error
from cml_iam.cloud_manager import (
    AwsCloudWatchSpiClient,
    AwsEc2Client,
    AwsEc2SpiClient,
    Credentials,
    Exceptions,
    Launch,
)
from cml_iam.cloud_manager._client import Doing
from cml_iam.render import render_policy
from cml_iam.sandbox import OWN_IMAGE, Sandbox, start_sandbox
from cml_iam.secret import Secret
from cml_iam.site import parse_site
from tests.sandbox.conftest import Identity
from tests.workers.fake import FakeAws

SITE = """
[account]
id = "111122223333"
[principal]
user = "manager"
[restrict]
regions = ["us-east-1"]
guard_tag = { ManagedBy = "lablet-cloud-manager" }
instance_types = ["m5zn.metal"]
image_owners = ["111122223333"]
"""
GONE = "i-0123456789abcdef0"


class Region(Enum):
    """Regions as the application has them."""

    US_EAST_1 = "us-east-1"


class Start(Enum):
    """Windows as the application has them."""

    TEN_MINUTES = "10m"
    ONE_HOUR = "1h"


@dataclass
class AccountCredentials:
    """Credentials as the application has them."""

    aws_access_key_id: str
    aws_secret_access_key: str


class IntegrationError(Exception):
    pass


class AuthenticationError(IntegrationError):
    pass


class InstanceNotFoundError(IntegrationError):
    pass


class InvalidParameterError(IntegrationError):
    pass


EXCEPTIONS = Exceptions(
    base=IntegrationError,
    authentication=AuthenticationError,
    instance_not_found=InstanceNotFoundError,
    invalid_parameter=InvalidParameterError,
)


@dataclass(frozen=True)
class App:
    """The application with the manager's key; *do* awaits one call."""

    identity: Identity

    def ec2(self, **options: Any) -> AwsEc2Client:
        given = AccountCredentials(self.identity.key, self.identity.secret)
        return AwsEc2Client(given, **options)

    @property
    def credentials(self) -> Credentials:
        return Credentials(self.identity.key, Secret(self.identity.secret), "us-east-1")

    def launched(self) -> str:
        async def launch() -> str:
            async with self.ec2() as client:
                made = await create(client)
                return made.id

        return asyncio.run(launch())


@pytest.fixture(scope="module", params=["base", "hardened"])
def identity(request: pytest.FixtureRequest) -> Iterator[Identity]:
    with start_sandbox() as sandbox:
        yield _user(sandbox, render_policy(parse_site(SITE), request.param).text)


@pytest.fixture
def app(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> App:
    monkeypatch.setenv("AWS_ENDPOINT_URL", identity.sandbox.endpoint_url)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return App(identity)


def _user(sandbox: Sandbox, text: str) -> Identity:
    root = Identity(sandbox, sandbox.root.id, sandbox.root.secret.reveal())
    iam = root.client("iam")
    iam.create_user(UserName="manager")
    policy = iam.create_policy(PolicyName="manager", PolicyDocument=text)["Policy"]
    iam.attach_user_policy(UserName="manager", PolicyArn=policy["Arn"])
    key = iam.create_access_key(UserName="manager")["AccessKey"]
    return Identity(sandbox, key["AccessKeyId"], key["SecretAccessKey"], name="manager")


async def create(client: AwsEc2Client) -> Any:
    """Launch with positional arguments, as the application does."""
    return await client.create_instance(
        Region.US_EAST_1, "worker-1", OWN_IMAGE, "cml", "m5zn.metal", [], None, None
    )


def run(make: Callable[[AwsEc2Client], Awaitable[Any]], app: App, **options: Any) -> Any:
    async def call() -> Any:
        async with app.ec2(**options) as client:
            return await make(client)

    return asyncio.run(call())


def test_a_launch_carries_the_guard_tag_and_has_the_applications_attributes(app: App) -> None:
    made = run(create, app)

    assert made.id == made.aws_instance_id
    assert (made.aws_region, made.instance_name, made.ami_id) == (
        "us-east-1",
        "worker-1",
        OWN_IMAGE,
    )
    assert (made.ami_name, made.instance_type, made.instance_state) == (
        "cml",
        "m5zn.metal",
        "pending",
    )
    assert made.tags["Name"] == "worker-1"
    assert made.tags["ManagedBy"] == "lablet-cloud-manager"


def test_a_worker_is_stopped_started_and_terminated(app: App) -> None:
    worker = app.launched()

    for method in ("stop_instance", "start_instance", "terminate_instance"):
        assert run(lambda client, m=method: getattr(client, m)("us-east-1", worker), app) is True


def test_tags_are_read_set_and_removed(app: App) -> None:
    worker = app.launched()

    async def tag(client: AwsEc2Client) -> dict[str, str]:
        assert await client.add_tags(Region.US_EAST_1, worker, {"Lab": "ospf", "Team": "a"})
        assert await client.remove_tags(Region.US_EAST_1, worker, ["Team"])
        return await client.get_tags(Region.US_EAST_1, worker)

    tags = run(tag, app)

    assert tags == {"Name": "worker-1", "ManagedBy": "lablet-cloud-manager", "Lab": "ospf"}


def test_images_are_found_by_a_part_of_their_name_and_by_id(app: App) -> None:
    async def find(client: AwsEc2Client) -> tuple[Any, Any, Any]:
        return (
            await client.get_ami_ids_by_name(Region.US_EAST_1, "cml"),
            await client.get_ami_details(Region.US_EAST_1, OWN_IMAGE),
            await client.get_ami_details(Region.US_EAST_1, "ami-0123456789abcdef0"),
        )

    ids, details, none = run(find, app)

    assert OWN_IMAGE in ids
    assert (details.ami_id, none) == (OWN_IMAGE, None)
    assert "cml" in details.ami_name


def test_status_checks_are_unknown_of_an_instance_that_is_not_there(app: App) -> None:
    worker = app.launched()

    known = run(lambda client: client.get_instance_status_checks("us-east-1", worker), app)
    unknown = run(lambda client: client.get_instance_status_checks("us-east-1", GONE), app)

    assert known["instance_state"] in {"pending", "running"}
    assert known["monitoring_state"] in {"enabled", "disabled"}
    assert known.keys() == unknown.keys()
    assert set(unknown.values()) == {"unknown", "disabled"}


def test_instances_are_listed_by_image_type_state_and_tag(app: App) -> None:
    worker = app.launched()

    async def listed(client: AwsEc2Client) -> list[list[str]]:
        found = [
            await client.list_instances(Region.US_EAST_1),
            await client.list_instances(Region.US_EAST_1, image_ids=[OWN_IMAGE]),
            await client.list_instances(Region.US_EAST_1, [worker], ["m5zn.*"]),
            await client.list_instances(Region.US_EAST_1, tag_filters={"Name": "worker-1"}),
            await client.list_instances(Region.US_EAST_1, instance_states=["stopped"]),
        ]
        return [[instance.id for instance in instances] for instances in found]

    *with_it, stopped = run(listed, app)

    assert all(worker in ids for ids in with_it)
    assert worker not in stopped


def test_details_have_the_applications_attributes(app: App) -> None:
    worker = app.launched()
    details = run(lambda client: client.get_instance_details(Region.US_EAST_1, worker), app)

    assert (details.id, details.type, details.image_id) == (worker, "m5zn.metal", OWN_IMAGE)
    assert details.name == "worker-1"
    assert details.launch_timestamp is not None
    assert details.launch_time_relative[-1] in "smh"


def test_utilization_is_a_mean_or_unknown(app: App) -> None:
    worker = app.launched()
    used = run(
        lambda client: client.get_instance_resources_utilization(
            Region.US_EAST_1, worker, Start.TEN_MINUTES
        ),
        app,
    )

    assert (used.id, used.region_name, used.relative_start_time) == (worker, "us-east-1", "10m")
    assert used.end_time > used.start_time
    assert used.avg_cpu_utilization is None or 0 <= used.avg_cpu_utilization <= 100


def test_health_is_true_and_logs_the_lines_of_the_guide(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    app.launched()
    with caplog.at_level(logging.INFO, "cml_iam.health"):
        answer = run(lambda client: client.health(), app)

    assert answer is True
    assert any("AWS EC2" in line and "successful" in line for line in caplog.messages)


def test_health_is_false_and_names_what_it_could_not_try(
    caplog: pytest.LogCaptureFixture,
) -> None:
    without_workers = FakeAws()

    async def ask() -> tuple[bool, bool]:
        async with AwsEc2Client(without_workers) as client:
            return await client.health(), bool(await client.manager.health())

    with caplog.at_level(logging.INFO, "cml_iam.health"):
        answers = asyncio.run(ask())

    assert answers == (False, False)
    (warning,) = [line for line in caplog.messages if "ec2:RunInstances" in line]
    assert "not checked" in warning
    assert "no image and instance type" in warning


def test_health_tries_the_launch_that_it_is_given(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    other = Launch("worker-1", OWN_IMAGE, "m5zn.metal")
    with caplog.at_level(logging.INFO, "cml_iam.health"):
        run(lambda client: client.health("us-east-1", probe=other), app)

    assert not any("ec2:RunInstances" in line for line in caplog.messages)


def test_health_is_false_with_a_key_that_aws_does_not_know(app: App) -> None:
    wrong = AccountCredentials("AKIAIOSFODNN7EXAMPLE", "w" * 40)

    assert asyncio.run(AwsEc2Client(wrong).health()) is False


def test_errors_are_the_applications_where_it_names_its_classes(app: App) -> None:
    with pytest.raises(InstanceNotFoundError) as missing:
        run(
            lambda client: client.get_instance_details("us-east-1", GONE),
            app,
            exceptions=EXCEPTIONS,
        )
    with pytest.raises(InvalidParameterError):
        run(lambda client: client.start_instance("us-east-1", "lab"), app, exceptions=EXCEPTIONS)
    with pytest.raises(errors.NotFoundError):
        run(lambda client: client.get_instance_details("us-east-1", GONE), app)

    assert isinstance(missing.value.__cause__, errors.NotFoundError)


@pytest.mark.parametrize(
    ("code", "doing", "name"),
    [
        ("UnauthorizedOperation", "operation", "authentication"),
        ("InvalidClientTokenId", "operation", "authentication"),
        ("SignatureDoesNotMatch", "status", "authentication"),
        ("AuthFailure", "operation", "authentication"),
        ("ExpiredToken", "operation", "authentication"),
        ("InvalidInstanceID.NotFound", "operation", "instance_not_found"),
        ("InvalidAMIID.NotFound", "creation", "invalid_parameter"),
        ("InvalidSubnetID.NotFound", "creation", "invalid_parameter"),
        ("InstanceLimitExceeded", "creation", "quota_exceeded"),
        ("VcpuLimitExceeded", "creation", "quota_exceeded"),
        ("InsufficientInstanceCapacity", "creation", "quota_exceeded"),
        ("RequestLimitExceeded", "tags", "quota_exceeded"),
        ("InvalidParameterValue", "creation", "invalid_parameter"),
        ("IncorrectInstanceState", "operation", "instance_operation"),
        ("Unsupported", "creation", "instance_creation"),
        ("InternalError", "status", "status_check"),
        ("InternalError", "tags", "tag_operation"),
    ],
)
def test_each_code_of_aws_is_of_one_of_the_applications_classes(
    code: str, doing: Doing, name: str
) -> None:
    classes = {
        field.name: type(field.name, (IntegrationError,), {}) for field in fields(Exceptions)
    }
    error = as_error(ClientError({"Error": {"Code": code, "Message": "-"}}, "-"), "ec2", "-")

    found = Exceptions(**classes).class_of(error, doing)

    assert found is classes[name]
    assert Exceptions(base=IntegrationError).class_of(error, doing) is IntegrationError
    assert Exceptions().class_of(error, doing) is None


def test_no_repr_shows_the_secret(app: App) -> None:
    credentials = app.credentials
    client = AwsEc2SpiClient(credentials)

    for value in (credentials, client, client.manager, vars(client)):
        assert app.identity.secret not in repr(value)


def test_a_secret_given_as_text_is_not_shown_either() -> None:
    credentials = Credentials("AKIA", "sekret", session_token="tokentoken")

    assert "sekret" not in repr(credentials)
    assert "tokentoken" not in repr(credentials)
    assert credentials.secret_access_key == Secret("sekret")
    assert credentials.session_token == Secret("tokentoken")


def test_the_client_of_today_runs_a_worker_and_finds_it_by_image(app: App) -> None:
    async def work() -> tuple[Any, Any, Any, Any]:
        async with AwsEc2SpiClient(app.credentials) as client:
            worker = await client.run_instance(
                OWN_IMAGE,
                "m5zn.metal",
                None,
                [],
                None,
                {"Name": "worker-2", "lcm:lab": "1", "ManagedBy": "lablet-cloud-manager"},
                None,
            )
            state = await client.get_instance_state(worker)
            ids = await client.get_ami_ids_by_name("cml")
            found = await client.list_instances_by_ami(ids)
            image = await client.describe_image(OWN_IMAGE)
            assert await client.describe_image("ami-0123456789abcdef0") is None
            assert await client.get_instance_state(GONE) is None
            assert await client.stop_instance(worker)
            assert await client.terminate_instance(worker)
            left = await client.list_instances_by_ami([OWN_IMAGE])
            return worker, state, [each.instance_id for each in found], (image, left)

    worker, state, found, (image, left) = asyncio.run(work())

    assert (state.instance_id, state.name, state.image_id) == (worker, "worker-2", OWN_IMAGE)
    assert worker in found
    assert image["id"] == OWN_IMAGE
    assert worker not in [each.instance_id for each in left]


def test_the_metrics_of_today_are_values_or_none(app: App) -> None:
    worker = app.launched()

    async def metrics() -> Any:
        async with AwsCloudWatchSpiClient(app.credentials) as client:
            return await client.get_ec2_metrics(worker)

    found = asyncio.run(metrics())

    assert found.instance_id == worker
    for value in (found.cpu_utilization, found.network_in_bytes, found.disk_read_ops):
        assert value is None or value >= 0


def test_a_boto3_session_is_taken_as_it_is(app: App) -> None:
    session = boto3.Session(
        aws_access_key_id=app.identity.key,
        aws_secret_access_key=app.identity.secret,
        region_name="us-east-1",
    )
    before = session.client("ec2")

    async def listed() -> list[Any]:
        async with AwsEc2SpiClient(session) as client:
            return await client.list_instances_by_ami([OWN_IMAGE], include_terminated=True)

    app.launched()

    assert asyncio.run(listed())
    # The application's own clients read answers as they did: whole, and by their own parsers.
    answer = session.client("ec2").describe_instances()
    instance = answer["Reservations"][0]["Instances"][0]
    assert "NetworkInterfaces" in instance
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert type(before).__name__ == "EC2"
