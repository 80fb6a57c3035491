"""One account to act in: ours in memory, or moto's behind the real connection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cml_iam import errors
from cml_iam.aws import Aws, Identity, connect
from cml_iam.aws.port import is_read
from cml_iam.credentials import AccessKey, Delivery, EnvFile
from cml_iam.credentials._keys import SignIn
from cml_iam.provision import Plan, apply_plan, plan_bootstrap
from cml_iam.secret import Secret
from cml_iam.site import Site
from tests.provision.fake_iam import ACCOUNT, FakeIam

USER = "cml-cloud-manager-service"
POLICY = "CMLWorkerManagementPolicy"


def document(*actions: str, sid: str = "Manage") -> str:
    listed = ", ".join(f'"{action}"' for action in actions)
    return (
        f'{{"Version": "2012-10-17", "Statement": [{{"Sid": "{sid}", "Effect": "Allow", '
        f'"Action": [{listed}], "Resource": "*"}}]}}'
    )


BASE = document("ec2:DescribeInstances", "ec2:StopInstances")
OTHER = document("ec2:DescribeInstances", "ec2:StartInstances")


@dataclass
class Recorded:
    """The port, with a list of the writing calls that went through it."""

    aws: Aws
    writes: list[str] = field(default_factory=list)
    region: str | None = "us-east-1"

    def call(self, service: str, operation: str, **rest: Any) -> dict[str, Any]:
        try:
            answer = self.aws.call(service, operation, **rest)
        except NotImplementedError as error:  # moto's word, inside this process
            raise errors.NotOfferedError(str(error), code="NotImplemented") from None
        if not is_read(service, operation):
            self.writes.append(operation)
        return answer

    def pages(self, service: str, operation: str, key: str, **rest: Any) -> Iterator[Any]:
        return self.aws.pages(service, operation, key, **rest)

    def identity(self) -> Identity:
        return self.aws.identity()


@dataclass
class World:
    """An account, its administrator's port, and a `.env` in *folder*."""

    aws: Recorded
    sign_in: SignIn
    site: Site
    folder: Path
    pauses: list[float] = field(default_factory=list)

    @property
    def env(self) -> Path:
        return self.folder / ".env"

    @property
    def delivery(self) -> Delivery:
        return Delivery(EnvFile(self.env), self.sign_in)

    def plan(self, text: str | Sequence[str] = BASE, **options: Any) -> Plan:
        options = {"delivery": self.delivery, **options}
        return plan_bootstrap(self.aws, options.pop("site", self.site), text, **options)

    def apply(self, text: str | Sequence[str] = BASE, **options: Any) -> str | None:
        return apply_plan(self.aws, self.plan(text, **options), pause=self.pauses.append)

    def again(self, text: str | Sequence[str] = BASE, **options: Any) -> list[str]:
        """Apply again and return the writing calls that took."""
        self.aws.writes.clear()
        self.apply(text, **options)
        return list(self.aws.writes)


def fake_world(folder: Path, iam: FakeIam | None = None) -> World:
    iam = iam or FakeIam()
    return World(Recorded(iam.admin()), iam.sign_in, Site(account=ACCOUNT), folder)


def moto_world(folder: Path) -> World:
    admin = connect(
        region="us-east-1", access_key="AKIAIOSFODNN7EXAMPLE", secret_key=Secret("any" * 8)
    )

    def sign_in(key: AccessKey) -> Aws:
        return connect(region="us-east-1", access_key=key.id, secret_key=key.secret)

    return World(Recorded(admin), sign_in, Site(account="123456789012"), folder)
