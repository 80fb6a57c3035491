"""A running sandbox, and users of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from http.client import HTTPConnection
from typing import Any

import boto3
import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from cml_iam.sandbox import Sandbox, start_sandbox
from tests.sandbox.documents import ACCOUNT, GUARD, IMAGE

_NUMBERS = itertools.count(1)


class Clock:
    """The time, with a shift a test may change."""

    def __init__(self) -> None:
        self.shift = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.shift


class StoppedClock:
    """A time that goes on only when it is told to."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def go_on(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass(frozen=True)
class Identity:
    """An access key, and clients that use it."""

    sandbox: Sandbox
    key: str
    secret: str
    token: str | None = None
    name: str = ""

    def client(self, service: str, region: str = "us-east-1", **options: Any) -> Any:
        """Return a client of *service* that sends each call once, unchecked."""
        return _client(self, service, region, tuple(options.items()))

    @property
    def arn(self) -> str:
        """The ARN of the user."""
        return f"arn:aws:iam::{ACCOUNT}:user/{self.name}"


@lru_cache(maxsize=512)
def _client(who: Identity, service: str, region: str, options: tuple[tuple[str, Any], ...]) -> Any:
    # Made once: making a client takes longer than most of its calls.
    return boto3.client(
        service,
        region_name=region,
        endpoint_url=who.sandbox.endpoint_url,
        aws_access_key_id=who.key,
        aws_secret_access_key=who.secret,
        aws_session_token=who.token,
        config=Config(
            retries={"total_max_attempts": 1}, parameter_validation=False, **dict(options)
        ),
    )


@pytest.fixture(scope="package")
def clock() -> Clock:
    """The time of the sandbox."""
    return Clock()


@pytest.fixture(scope="module")
def sandbox(clock: Clock) -> Iterator[Sandbox]:
    """A sandbox for the tests of one file."""
    with start_sandbox(clock=clock) as running:
        yield running


def root_of(sandbox: Sandbox) -> Identity:
    """Return the root of the account of *sandbox*."""
    return Identity(sandbox, sandbox.root.id, sandbox.root.secret.reveal())


@pytest.fixture(scope="module")
def root(sandbox: Sandbox) -> Identity:
    """The root of the account."""
    return root_of(sandbox)


@pytest.fixture(scope="module")
def ec2(root: Identity) -> Any:
    """The root's EC2."""
    return root.client("ec2")


@pytest.fixture(scope="module")
def iam(root: Identity) -> Any:
    """The root's IAM."""
    return root.client("iam")


@pytest.fixture(scope="module")
def cloudwatch(root: Identity) -> Any:
    """The root's CloudWatch."""
    return root.client("cloudwatch")


@pytest.fixture(scope="module")
def user(root: Identity) -> Callable[..., Identity]:
    """Make a user with these managed policies attached, and its access key."""
    iam = root.client("iam")

    def make(*documents: str) -> Identity:
        name = f"user-{next(_NUMBERS)}"
        iam.create_user(UserName=name)
        for number, text in enumerate(documents):
            made = iam.create_policy(PolicyName=f"{name}-{number}", PolicyDocument=text)
            iam.attach_user_policy(UserName=name, PolicyArn=made["Policy"]["Arn"])
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return Identity(root.sandbox, key["AccessKeyId"], key["SecretAccessKey"], name=name)

    return make


Make = Callable[..., Identity]


@dataclass(frozen=True)
class Refusal:
    """An error answer of AWS."""

    code: str
    message: str
    status: int


def refused(call: Callable[..., Any], **parameters: Any) -> Refusal:
    """Return the error *call* ends with; fail if it ends with none."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    answer = caught.value.response
    return Refusal(
        answer["Error"]["Code"],
        answer["Error"]["Message"],
        answer["ResponseMetadata"]["HTTPStatusCode"],
    )


def send(
    identity: Identity,
    service: str,
    body: str | bytes = "",
    *,
    target: str = "/",
    headers: dict[str, str] | None = None,
    method: str = "POST",
    region: str = "us-east-1",
    unsigned: dict[str, str] | None = None,
) -> tuple[int, str]:
    """Send a request that no SDK would, signed with its *headers*; return status and body."""
    url = identity.sandbox.endpoint_url
    form = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
    request = AWSRequest(method, url + target, data=body, headers={**form, **(headers or {})})
    credentials = Credentials(identity.key, identity.secret, identity.token)
    signer = S3SigV4Auth if service == "s3" else SigV4Auth
    signer(credentials, service, region).add_auth(request)
    signed = dict(request.prepare().headers.items()) | (unsigned or {})
    return fetch(url + target, method, body, signed)


def fetch(
    url: str, method: str = "GET", body: str | bytes = "", headers: dict[str, str] | None = None
) -> tuple[int, str]:
    """Send a plain request; return the status, and the headers with the body."""
    place, _, target = url.removeprefix("http://").partition("/")
    connection = HTTPConnection(place, timeout=60)
    try:
        content = body.encode() if isinstance(body, str) else body
        connection.request(method, f"/{target}", content, headers or {})
        answer = connection.getresponse()
        return answer.status, f"{answer.headers}{answer.read().decode(errors='replace')}"
    finally:
        connection.close()


def launch(ec2: Any, *, tags: dict[str, str] | None = None, **parameters: Any) -> str:
    """Launch one instance; return its id."""
    asked = {"ImageId": IMAGE, "InstanceType": "c5.large", "MinCount": 1, "MaxCount": 1}
    kept = GUARD if tags is None else tags
    specification = [{"ResourceType": "instance", "Tags": tag_list(kept)}] if kept else []
    made = ec2.run_instances(**asked | {"TagSpecifications": specification} | parameters)
    return str(made["Instances"][0]["InstanceId"])


def tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    """Return *tags* as AWS writes them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
