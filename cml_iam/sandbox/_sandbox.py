"""Start a sandbox, run a command in it, and stop it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime
from threading import Lock
from typing import Any, Final

from cml_iam.engine import Shape
from cml_iam.errors import InputError, RefusedError
from cml_iam.sandbox._conditions import Conditions
from cml_iam.sandbox._front import LOOPBACK, Server
from cml_iam.sandbox._moto import Moto
from cml_iam.sandbox._sts import AUDIENCE, Identity, issue_token
from cml_iam.sandbox._wire import kind_of
from cml_iam.sandbox._world import World, system_clock

ACCOUNT: Final = "111122223333"
REGION: Final = "us-east-1"
OWN_IMAGE: Final = "ami-0a1b2c3d4e5f60001"
"""An image of the account, in the sandbox's first region."""

UBUNTU_IMAGE: Final = "ami-0c1c30571d2dae5c9"
"""A public image of another account."""

_CANONICAL: Final = "099720109477"
"""https://documentation.ubuntu.com/aws/aws-how-to/instances/find-ubuntu-images/"""

_RUNNING: Final = Lock()
"""Held while this process runs a sandbox."""


class Sandbox(AbstractContextManager["Sandbox"]):
    """A running embedded AWS; a context manager that stops it."""

    def __init__(self, world: World, server: Server, end: ExitStack) -> None:
        self._world = world
        self._server = server
        self._end = end
        self.endpoint_url = f"http://{LOOPBACK}:{server.server_port}"
        """The endpoint URL, the same for every service."""
        self.account = world.account
        """The id of the sandbox's only account."""
        self.region = world.region
        """The region set in the environment; other regions work too."""
        self.root = world.root
        """The access key of the account's root user: random, and useless elsewhere."""

    def environment(self) -> dict[str, str]:
        """Return the variables that point AWS's SDKs and CLI at the sandbox, as the root user.

        They contain the root's secret in plain text. Variables that would override these, such as
        AWS_PROFILE and AWS_ENDPOINT_URL_EC2, are not included: see `foreign_variable`.
        """
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": self.root.id,
            "AWS_SECRET_ACCESS_KEY": self.root.secret.reveal(),
        }

    def web_identity_token(self, issuer: str, subject: str, audience: str = AUDIENCE) -> str:
        """Return a token with which *subject* may assume a role that trusts *issuer*.

        *issuer* is the URL of an OpenID Connect provider in IAM; a Kubernetes service account is
        the subject `system:serviceaccount:NAMESPACE:NAME`.
        """
        now = self._world.now()
        return issue_token(Identity(issuer, subject, audience), self.root.secret, now)

    def register_image(
        self,
        image_id: str,
        *,
        region: str | None = None,
        owner: str | None = None,
        name: str = "",
        public: bool = False,
    ) -> None:
        """Create an image that can be launched; by default this account is the *owner*."""
        where, account = region or self.region, owner or self.account
        if where not in self._world.regions:
            raise InputError(f"no region `{where}` in the partition `{self._world.partition}`")
        if kind_of(image_id) != "image":
            raise InputError(f"not the id of an image: `{image_id}`")
        from moto.ec2.models.amis import Ami

        name = name or image_id
        with self._world.lock:
            backend = self._world.ec2(where)
            backend.amis[image_id] = Ami(
                backend,
                image_id,
                name=name,
                description=name,
                owner_id=account,
                public=public,
                virtualization_type="hvm",
                architecture="x86_64",
                root_device_type="ebs",
                root_device_name="/dev/sda1",
                hypervisor="xen",
                image_location=f"{account}/{name}",
                region_name=f"{where}a",
            )

    def stop(self) -> None:
        """Stop answering and delete everything; repeated calls do nothing."""
        self._end.close()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"Sandbox({self.endpoint_url}, account={self.account}, region={self.region})"


def start_sandbox(
    account: str = ACCOUNT,
    region: str = REGION,
    port: int = 0,
    *,
    simulate_shape: Shape = "new",
    describes_until_arrived: int = 0,
    conditions: Conditions | None = None,
    clock: Callable[[], datetime] = system_clock,
) -> Sandbox:
    """Start an embedded AWS on the loopback interface, empty except for a few images.

    It has one *account*. *region* is the region in its environment, and determines the partition.
    *port* 0 picks a free one. *simulate_shape* is the shape of Simulate* responses: "new" as of
    2026-07-30, or "old". An instance stays pending, stopping or shutting down for
    *describes_until_arrived* DescribeInstances calls. *conditions* are delays, limits and refusals
    like those of the real AWS: none by default, AWS's own with `AS_AWS`. *clock* returns the time.

    Raises MissingExtraError without moto, RefusedError if this process already runs a sandbox, and
    InputError for an invalid account, region or port.
    """
    if not re.fullmatch(r"\d{12}", account):
        raise InputError(f"an account id has 12 digits: `{account}`")
    if not _RUNNING.acquire(blocking=False):
        raise RefusedError(
            "this process already runs a sandbox, and moto's state is global to the process",
            remedy="stop the other sandbox first, or start this one in a separate process",
        )
    with ExitStack() as end:
        end.callback(_RUNNING.release)
        moto = Moto(account)
        end.callback(moto.close)
        looks, conditions = describes_until_arrived, conditions or Conditions()
        world = World(moto, account, region, simulate_shape, looks, conditions, clock)
        if region not in world.regions:
            raise InputError(f"no such region: `{region}`")
        server = Server(world, port)
        end.callback(server.stop)
        sandbox = Sandbox(world, server, end.pop_all())
        sandbox.register_image(OWN_IMAGE, name="cml-2.9-worker")
        ubuntu = "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server"
        sandbox.register_image(UBUNTU_IMAGE, owner=_CANONICAL, name=ubuntu, public=True)
        return sandbox


def foreign_variable(name: str) -> bool:
    """Return whether the environment variable *name* would direct a command past the sandbox."""
    return name in _FOREIGN or name.startswith(("AWS_CONTAINER_", "AWS_ENDPOINT_URL_"))


_FOREIGN: Final = {
    "AWS_CONFIG_FILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_SECURITY_TOKEN",
    "AWS_SESSION_TOKEN",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
}

NOT_FOUND: Final = 127
NOT_EXECUTABLE: Final = 126
"""The exit code of a shell for a command that it cannot run."""

_PASSED_ON: Final = ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")


def command_environment(sandbox: Sandbox, environment: Mapping[str, str]) -> dict[str, str]:
    """Return *environment* pointed at *sandbox*, without variables that override this."""
    kept = {name: value for name, value in environment.items() if not foreign_variable(name)}
    return {
        **kept,
        # The user's own files may set profiles, endpoints and credentials.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        **sandbox.environment(),
    }


def run_command(sandbox: Sandbox, command: Sequence[str]) -> int:
    """Run *command* in *sandbox*; return its exit code like a shell.

    Signals are passed on. A command that does not exist returns 127, one that cannot be executed
    126, and one ended by a signal 128 plus the signal's number.
    """
    environment = command_environment(sandbox, os.environ)
    try:
        process = subprocess.Popen(command, env=environment)  # noqa: S603 - the user's own command
    except FileNotFoundError:
        return NOT_FOUND
    except OSError:
        return NOT_EXECUTABLE
    with _signals_to(process):
        code = process.wait()
    return code if code >= 0 else 128 - code


@contextmanager
def _signals_to(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Pass signals on to *process*, except interrupts: the terminal has already sent them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, _: Any) -> None:
        if number != signal.SIGINT:
            process.send_signal(number)

    numbers = [signal.SIGINT, *(getattr(signal, name) for name in _PASSED_ON)]
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
