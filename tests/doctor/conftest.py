"""A sandbox with a manager's user in it, and the doctor called in to it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cml_iam.aws import Aws, connect
from cml_iam.render import render_policy
from cml_iam.sandbox import OWN_IMAGE, Sandbox, start_sandbox
from cml_iam.secret import Secret

_NUMBERS = itertools.count(1)
SITE = """
[account]
id = "111122223333"
[principal]
user = "{user}"
[restrict]
regions = ["us-east-1"]
"""


class Clock:
    """The time of the sandbox, which a test may shift."""

    shift = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.shift


@pytest.fixture(scope="package")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="package")
def sandbox(clock: Clock) -> Iterator[Sandbox]:
    with start_sandbox(clock=clock) as running:
        yield running


@pytest.fixture(scope="package")
def root(sandbox: Sandbox) -> Aws:
    return _as(sandbox, sandbox.root.id, sandbox.root.secret)


@pytest.fixture
def worker(root: Aws) -> Iterator[str]:
    """The only worker that runs, with the guard tag; terminated after the test."""
    made = root.call(
        "ec2",
        "run_instances",
        ImageId=OWN_IMAGE,
        InstanceType="m5zn.metal",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[
            {
                "ResourceType": "instance",
                "Tags": [
                    {"Key": "ManagedBy", "Value": "lablet-cloud-manager"},
                    {"Key": "Name", "Value": "lab"},
                ],
            }
        ],
    )
    worker_id = str(made["Instances"][0]["InstanceId"])
    yield worker_id
    root.call("ec2", "terminate_instances", InstanceIds=[worker_id])


@dataclass
class Patient:
    """A user of the sandbox whose key stands in the environment, and the doctor's visits."""

    sandbox: Sandbox
    root: Aws
    name: str
    key: str
    secret: Secret
    folder: Path
    monkeypatch: pytest.MonkeyPatch
    run: Any
    said: dict[str, Any] = field(default_factory=dict)

    @property
    def aws(self) -> Aws:
        return _as(self.sandbox, self.key, self.secret)

    def use(self, key: str, secret: str) -> None:
        """Put a key into the environment and into the `.env`."""
        self.monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        self.monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
        path = self.folder / ".env"
        path.write_text(f"AWS_ACCESS_KEY_ID={key}\nAWS_SECRET_ACCESS_KEY={secret}\n")
        path.chmod(0o600)

    def allow(self, *documents: Any) -> None:
        """Replace the user's policies."""
        for number, document in enumerate(documents):
            text = document if isinstance(document, str) else json.dumps(document)
            self.root.call(
                "iam",
                "put_user_policy",
                UserName=self.name,
                PolicyName=f"policy-{number}",
                PolicyDocument=text,
            )

    def visit(self, *words: str, admin: bool = False) -> list[dict[str, str]]:
        """Run `cml-iam doctor` and return what it found, without what is ok."""
        options = ["--admin-profile", "admin"] if admin else []
        ran = self.run("doctor", *words, *options, "-o", "json", "-q")
        assert ran.out, ran.err
        self.said = json.loads(ran.out) | {"code": ran.code, "text": ran.out}
        return [diagnose for diagnose in self.said["diagnoses"] if diagnose["state"] != "ok"]


def _as(sandbox: Sandbox, key: str, secret: Secret) -> Aws:
    return connect(
        endpoint_url=sandbox.endpoint_url,
        region=sandbox.region,
        access_key=key,
        secret_key=secret,
    )


@pytest.fixture
def patient(
    sandbox: Sandbox,
    root: Aws,
    clock: Clock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cml_iam: Callable[..., Any],
) -> Iterator[Patient]:
    """A healthy one: a user with the base policy."""
    name = f"manager-{next(_NUMBERS)}"
    root.call("iam", "create_user", UserName=name)
    key = root.call("iam", "create_access_key", UserName=name)["AccessKey"]
    monkeypatch.setenv("AWS_ENDPOINT_URL", sandbox.endpoint_url)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    profiles = tmp_path / "no-aws-credentials"
    profiles.write_text(
        f"[admin]\naws_access_key_id = {sandbox.root.id}\n"
        f"aws_secret_access_key = {sandbox.root.secret.reveal()}\n"
    )
    profiles.chmod(0o600)
    (tmp_path / "cml-iam.toml").write_text(SITE.format(user=name))
    secret = Secret(str(key["SecretAccessKey"].reveal()))
    made = Patient(sandbox, root, name, key["AccessKeyId"], secret, tmp_path, monkeypatch, cml_iam)
    made.use(made.key, secret.reveal())
    made.allow(render_policy(None, "base").text)
    yield made
    clock.shift = timedelta(0)
