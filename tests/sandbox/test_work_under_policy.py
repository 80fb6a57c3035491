"""Every method and command of the workers does its work in the sandbox, under either policy.

The calls it sends are those the catalogue lists for the methods it stands for, none is refused,
and each is answered as botocore's models say.
"""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cml_iam.aws import connect
from cml_iam.catalogue import load_catalogue
from cml_iam.cli._main import run
from cml_iam.cli.groups import WORKER
from cml_iam.render import render_policy
from cml_iam.sandbox import OWN_IMAGE, Sandbox, start_sandbox
from cml_iam.secret import Secret
from cml_iam.site import Site, load_site
from cml_iam.workers import Launch, WorkerManager
from tests.sandbox.conftest import Identity, root_of
from tests.sandbox.contract import Recorder, problems

pytestmark = pytest.mark.long

WEST_IMAGE = "ami-0a1b2c3d4e5f60002"
SITE = f"""
[account]
id = "111122223333"
[principal]
user = "manager"
[restrict]
regions = ["us-east-1", "us-west-2"]
guard_tag = {{ ManagedBy = "lablet-cloud-manager" }}
instance_types = ["m5zn.metal", "c5.*"]
image_owners = ["111122223333"]
images = {{ us-east-1 = ["{OWN_IMAGE}"], us-west-2 = ["{WEST_IMAGE}"] }}
"""
_NUMBERS = itertools.count(1)


def a_launch() -> Launch:
    """A launch of its own: the same one again would be the same worker."""
    return Launch("lab", OWN_IMAGE, "m5zn.metal", client_token=f"token-{next(_NUMBERS)}")


def workers_of(identity: Identity) -> WorkerManager:
    """Return the library, as the user *identity*."""
    return WorkerManager(
        connect(
            region="us-east-1",
            endpoint_url=identity.sandbox.endpoint_url,
            access_key=identity.key,
            secret_key=Secret(identity.secret),
        )
    )


@dataclass(frozen=True)
class Manager:
    """The manager's user in a sandbox with a policy of a site.

    *unwatched* makes and ends the workers of the tests.
    """

    identity: Identity
    policy: str
    unwatched: WorkerManager

    @property
    def workers(self) -> WorkerManager:
        """The library, with clients of its own."""
        return workers_of(self.identity)


@pytest.fixture(scope="module", params=["base", "hardened"])
def manager(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Manager]:
    path = tmp_path_factory.mktemp("site") / "cml-iam.toml"
    path.write_text(SITE)
    site = load_site(path)
    with start_sandbox() as sandbox:
        sandbox.register_image(WEST_IMAGE, region="us-west-2", name="cml-west")
        identity = _bootstrapped(sandbox, site, request.param)
        yield Manager(identity, request.param, workers_of(identity))


def _bootstrapped(sandbox: Sandbox, site: Site, variant: str) -> Identity:
    root = root_of(sandbox)
    iam = root.client("iam")
    iam.create_user(UserName="manager")
    text = render_policy(site, "base" if variant == "base" else "hardened").text
    made = iam.create_policy(PolicyName="manager", PolicyDocument=text)["Policy"]
    iam.attach_user_policy(UserName="manager", PolicyArn=made["Arn"])
    key = iam.create_access_key(UserName="manager")["AccessKey"]
    return Identity(sandbox, key["AccessKeyId"], key["SecretAccessKey"], name="manager")


class Calls:
    """What was sent while it was watched."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def forget(self) -> None:
        self._recorder.answers.clear()

    @property
    def done(self) -> set[str]:
        """The actions that were done."""
        return {answer.action for answer in self._recorder.answers if answer.status < 300}

    @property
    def tried(self) -> set[str]:
        """The actions that a dry run was sent of."""
        return {
            answer.action for answer in self._recorder.answers if b"DryRunOperation" in answer.body
        }

    @property
    def refused(self) -> list[str]:
        """The actions that were answered with an error, but for dry runs."""
        return [
            f"{answer.action}: {answer.body.decode()}"
            for answer in self._recorder.answers
            if answer.status >= 300 and b"DryRunOperation" not in answer.body
        ]

    @property
    def differences(self) -> list[str]:
        """Where an answer is not as its model says."""
        return sorted({problem for raw in self._recorder.answers for problem in problems(raw)})


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Watch every client that is made from now on."""
    import botocore.session

    recorder = Recorder()
    create = botocore.session.Session.create_client

    def watched(self: Any, *arguments: Any, **options: Any) -> Any:
        return recorder.watch(create(self, *arguments, **options))

    monkeypatch.setattr(botocore.session.Session, "create_client", watched)
    return Calls(recorder)


@pytest.fixture
def worker(manager: Manager) -> Iterator[str]:
    """A worker of the manager's; terminated afterwards."""
    made = manager.unwatched.create_instance(a_launch()).id
    yield made
    for instance in manager.unwatched.get_all_instances(states=("pending", "running", "stopped")):
        manager.unwatched.terminate_instance(instance.id)


def expected(*methods: str) -> set[str]:
    """Return the catalogue's actions of *methods*."""
    listed = load_catalogue().permissions
    return {each.action for each in listed if set(methods) & set(each.methods)}


METHODS: dict[str, Callable[[WorkerManager, str], object]] = {
    "create_instance": lambda m, _: m.create_instance(a_launch()),
    "start_instance": lambda m, i: m.start_instance(i),
    "stop_instance": lambda m, i: m.stop_instance(i),
    "terminate_instance": lambda m, i: m.terminate_instance(i),
    "get_instance_details": lambda m, i: m.get_instance_details(i),
    "get_all_instances": lambda m, _: m.get_all_instances(),
    "get_instance_status": lambda m, i: m.get_instance_status(i),
    "get_ami_ids_by_name": lambda m, _: m.get_ami_ids_by_name("cml-*"),
    "update_instance_tags": lambda m, i: m.update_instance_tags(i, {"team": "core"}),
    "delete_instance_tags": lambda m, i: m.delete_instance_tags(i, ["team"]),
    "get_instance_tags": lambda m, i: m.get_instance_tags(i),
    "get_instance_resources_utilization": lambda m, i: m.get_instance_resources_utilization(i),
}


@pytest.mark.parametrize("method", METHODS)
def test_a_method_sends_the_calls_of_the_catalogue_and_no_other(
    method: str, manager: Manager, worker: str, calls: Calls
) -> None:
    METHODS[method](manager.workers, worker)

    # ec2:CreateTags is authorized for a launch with tags, and never called by it.
    assert calls.done == expected(method) - ({"ec2:CreateTags"} if "create" in method else set())
    assert (calls.refused, calls.differences) == ([], [])


def test_health_finds_every_permission_granted(manager: Manager, worker: str, calls: Calls) -> None:
    found = manager.workers.health(probe=a_launch())

    assert found.ok
    assert (calls.done | calls.tried) - FREE == set(load_catalogue().actions)
    assert calls.refused == []


def test_these_are_the_methods_of_the_catalogue() -> None:
    named = {method for permission in load_catalogue().permissions for method in permission.methods}

    assert named == {*METHODS, "health"}


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


Cli = Callable[..., Said]


@pytest.fixture
def cli(
    manager: Manager,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> Cli:
    for name, value in {
        "AWS_ENDPOINT_URL": manager.identity.sandbox.endpoint_url,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": manager.identity.key,
        "AWS_SECRET_ACCESS_KEY": manager.identity.secret,
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cml-iam.toml").write_text(SITE)

    def typed(*words: str) -> Said:
        monkeypatch.setattr("sys.stdin", io.StringIO(""))
        capsys.readouterr()
        code = run(list(words))
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return typed


FIND = ("get_all_instances",)
"""How every command finds the workers it is given by name."""

# Each command; the methods whose permissions it uses; what it tries by a dry run first.
WORK: list[tuple[str, tuple[str, ...], set[str]]] = [
    (
        "create lab2 --image-name cml-*",
        ("create_instance", "get_ami_ids_by_name", *FIND),
        {"ec2:RunInstances"},
    ),
    (
        "create lab3 --image-name cml-* --dry-run",
        ("get_ami_ids_by_name", *FIND),
        {"ec2:RunInstances"},
    ),
    ("list", FIND, set()),
    ("show lab", FIND, set()),
    ("status lab", (*FIND, "get_instance_status"), set()),
    ("tag lab -t a=b", (*FIND, "update_instance_tags"), set()),
    ("untag lab -t a", (*FIND, "delete_instance_tags"), set()),
    ("stop lab --yes --dry-run", FIND, {"ec2:StopInstances"}),
    ("stop lab --yes", (*FIND, "stop_instance"), set()),
    ("stop lab --yes --wait", (*FIND, "stop_instance"), set()),
    ("start lab", (*FIND, "start_instance"), set()),
    ("wait lab", (*FIND, "get_instance_status"), set()),
    ("metrics lab", (*FIND, "get_instance_resources_utilization"), set()),
    ("idle", (*FIND, "get_instance_resources_utilization"), set()),
    ("watch --count 1", (*FIND, "get_instance_resources_utilization"), set()),
    ("orphans", FIND, set()),
    ("images cml-*", ("get_ami_ids_by_name",), set()),
    ("terminate lab --yes", (*FIND, "terminate_instance"), set()),
]


FREE = {"sts:GetCallerIdentity"}
"""What a command may call to compare the account first, and nobody needs a permission for."""


@pytest.mark.parametrize(("line", "methods", "tries"), WORK)
def test_a_command_sends_the_calls_of_the_catalogue_and_no_other(
    line: str, methods: tuple[str, ...], tries: set[str], cli: Cli, worker: str, calls: Calls
) -> None:
    said = cli("worker", *line.split())

    assert said.code == 0, said.err
    assert calls.done - FREE == expected(*methods) - _authorized_only(methods)
    assert (calls.tried, calls.refused, calls.differences) == (tries, [], [])


def _authorized_only(methods: tuple[str, ...]) -> set[str]:
    """Return what a launch with tags is authorized for and never calls."""
    retags = "update_instance_tags" in methods
    return {"ec2:CreateTags"} if "create_instance" in methods and not retags else set()


def test_adopting_is_the_administrators_under_the_hardened_policy(
    manager: Manager, cli: Cli, calls: Calls
) -> None:
    ec2 = root_of(manager.identity.sandbox).client("ec2")
    made = ec2.run_instances(ImageId=OWN_IMAGE, InstanceType="c5.large", MinCount=1, MaxCount=1)
    orphan = made["Instances"][0]["InstanceId"]
    calls.forget()
    said = cli("worker", "adopt", orphan, "--yes")
    ec2.terminate_instances(InstanceIds=[orphan])

    if manager.policy == "base":
        assert (said.code, calls.refused) == (0, []), said.err
        assert calls.done >= expected(*FIND, "update_instance_tags")
    else:
        assert said.code == 5
        assert len(calls.refused) == 1
        assert "UnauthorizedOperation" in calls.refused[0]


def test_every_worker_command_is_among_them() -> None:
    """A new command goes into WORK, with the methods whose permissions it uses."""
    assert {line.split()[0] for line, _, _ in WORK} | {"adopt"} == set(WORKER)


def test_health_on_the_command_line_finds_every_permission(
    cli: Cli, worker: str, calls: Calls
) -> None:
    # In the region that has a worker: without one there is nothing to try most of them on.
    said = cli("health", "--region", "us-east-1", "-o", "json")

    assert said.code == 0, said.err
    assert json.loads(said.out)
    assert (calls.done | calls.tried) - FREE == set(load_catalogue().actions)
    assert calls.refused == []
