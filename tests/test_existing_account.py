"""An account set up by hand: its page, rehearsed from the guide's steps done with the AWS CLI."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cml_iam.aws import connect
from cml_iam.cli._main import run
from cml_iam.errors import CmlIamError
from cml_iam.sandbox import Sandbox, command_environment, start_sandbox
from cml_iam.secret import Secret
from tests.conftest import REPOSITORY, needs
from tests.worlds import Snapshot

pytestmark = pytest.mark.long

PAGE = (REPOSITORY / "docs" / "start" / "existing-account.md").read_text("utf-8")
USER = "cml-cloud-manager-service"
CODES = {"bootstrap plan": 6, "bootstrap drift": 6, "worker orphans": 3}
"""What the page says; every other command ends with 0."""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@dataclass
class Account:
    """A sandbox in which the guide was followed by hand."""

    folder: Path
    sandbox: Sandbox
    instance: str = ""
    refusals: list[str] = field(default_factory=list)

    def aws(self, *words: str, **environment: str) -> Any:
        """Return what the AWS CLI prints as JSON, called as the administrator."""
        own = command_environment(self.sandbox, os.environ)
        variables = {**own, "AWS_PAGER": "", **environment}
        ran = subprocess.run(
            ["aws", *words, "--output", "json"],
            env=variables,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout or "null")

    def key(self) -> dict[str, str]:
        """Return the key of the `.env`, as variables."""
        return dict(re.findall(r"^(AWS_\w+)=(\S+)$", (self.folder / ".env").read_text(), re.M))

    @contextmanager
    def manager_at_work(self) -> Iterator[None]:
        """Call EC2 over and over with the key of the `.env`, and keep what is refused."""
        over = threading.Event()

        def call() -> None:
            while not over.is_set():
                key = self.key()
                aws = connect(
                    access_key=key["AWS_ACCESS_KEY_ID"],
                    secret_key=Secret(key["AWS_SECRET_ACCESS_KEY"]),
                    region="us-east-1",
                    endpoint_url=self.sandbox.environment()["AWS_ENDPOINT_URL"],
                )
                try:
                    aws.call("ec2", "describe_instances")
                except CmlIamError as error:
                    self.refusals.append(str(error))

        thread = threading.Thread(target=call)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


@pytest.fixture(scope="module")
def guided(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Account, Snapshot]]:
    """The guide's user, policy and key; a worker as the older client launches it; a stranger."""
    with start_sandbox() as sandbox:
        account = Account(tmp_path_factory.mktemp("guide"), sandbox)
        (account.folder / "guide.json").write_text(_base_policy())
        account.aws("iam", "create-user", "--user-name", USER)
        arn = account.aws(
            *("iam", "create-policy", "--policy-name", "CMLWorkerManagementPolicy"),
            *("--policy-document", "file://guide.json"),
        )["Policy"]["Arn"]
        account.aws("iam", "attach-user-policy", "--user-name", USER, "--policy-arn", arn)
        key = account.aws("iam", "create-access-key", "--user-name", USER)["AccessKey"]
        (account.folder / ".env").write_text(
            f"AWS_ACCESS_KEY_ID={key['AccessKeyId']}\n"
            f"AWS_SECRET_ACCESS_KEY={key['SecretAccessKey']}\n"
        )
        (account.folder / ".env").chmod(0o600)
        account.aws("iam", "create-user", "--user-name", "stranger")
        account.aws("iam", "create-access-key", "--user-name", "stranger")
        account.instance = account.aws(
            *("ec2", "run-instances", "--image-id", "ami-0a1b2c3d4e5f60001"),
            *("--instance-type", "m5zn.metal", "--tag-specifications"),
            "ResourceType=instance,Tags=[{Key=Name,Value=cml-worker-01}]",
            **account.key(),
        )["Instances"][0]["InstanceId"]
        yield account, Snapshot(sandbox)


@pytest.fixture
def account(
    guided: tuple[Account, Snapshot], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Account:
    """The account as the guide leaves it, in a folder of the test's own."""
    prepared, snapshot = guided
    snapshot.restore()
    for name in ("guide.json", ".env"):
        shutil.copy2(prepared.folder / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    account = Account(tmp_path, prepared.sandbox, prepared.instance)
    _as_administrator(account, monkeypatch)
    return account


def _base_policy() -> str:
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as streams:
        streams.setattr("sys.stdout", out)
        assert run(["policy", "render", "--document", "base"]) == 0
    return out.getvalue()


def _as_administrator(account: Account, patch: pytest.MonkeyPatch) -> None:
    environment = account.sandbox.environment()
    profile = account.folder / "aws-credentials"
    profile.write_text(
        f"[admin]\naws_access_key_id = {environment.pop('AWS_ACCESS_KEY_ID')}\n"
        f"aws_secret_access_key = {environment.pop('AWS_SECRET_ACCESS_KEY')}\n"
    )
    profile.chmod(0o600)
    for name, value in environment.items():
        patch.setenv(name, value)
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(profile))
    patch.setenv("XDG_STATE_HOME", str(account.folder / "state"))


def _typed(line: str, instance: str = "") -> tuple[str, int, str]:
    """Run a command line of the page as somebody does who answers `y`, with their *instance*."""
    line = line.replace("i-0a1b2c3d4e5f60001", instance)
    words = shlex.split(line.replace("\\\n", " "), comments=True)
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as streams:
        streams.setattr("sys.stdin", Terminal("y\n"))
        streams.setattr("sys.stdout", out)
        streams.setattr("sys.stderr", out)
        code = run(words)
    return " ".join(words[:2]), code, out.getvalue()


def _lines() -> list[str]:
    blocks = "".join(re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL))
    return re.findall(r"^\$ cml-iam ((?:[^\n]|(?<=\\)\n)*)", blocks, re.MULTILINE)


@needs("aws")
def test_the_page_hardens_the_account_and_leads_back(account: Account) -> None:
    *forward, back = _lines()
    stranger = account.aws("iam", "list-access-keys", "--user-name", "stranger")
    before = account.key()

    with account.manager_at_work():
        for line in forward:
            command, code, output = _typed(line, account.instance)
            assert code == CODES.get(command, 0), f"{command}: {output}"
        hardened = _default_policy(account)
        command, code, output = _typed(back)
        assert code == 0, output

    assert "aws:ResourceTag/ManagedBy" in json.dumps(hardened)
    assert _default_policy(account) == json.loads((account.folder / "guide.json").read_text())
    assert account.key() == before
    assert account.refusals == []
    assert account.aws("iam", "list-access-keys", "--user-name", "stranger") == stranger
    assert account.aws("iam", "list-user-tags", "--user-name", "stranger")["Tags"] == []


@needs("aws")
def test_the_plan_names_the_worker_out_of_reach_and_who_else_has_the_policy(
    account: Account,
) -> None:
    arn = "arn:aws:iam::111122223333:policy/CMLWorkerManagementPolicy"
    account.aws("iam", "attach-user-policy", "--user-name", "stranger", "--policy-arn", arn)
    _typed(_lines()[0])

    _, code, output = _typed("bootstrap plan")

    assert code == 6
    assert account.instance in output
    assert "stranger" in output


@needs("aws")
def test_a_policy_that_others_have_is_left_alone_even_once_it_is_adopted(account: Account) -> None:
    arn = "arn:aws:iam::111122223333:policy/CMLWorkerManagementPolicy"
    account.aws("iam", "attach-user-policy", "--user-name", "stranger", "--policy-arn", arn)
    _typed(_lines()[0])
    before = _default_policy(account)

    adopted = _typed("bootstrap adopt")
    _, code, output = _typed("bootstrap apply")

    assert adopted[1] == 0, adopted
    assert code == 2, output
    assert "user stranger" in output
    assert "name a new `policy`" in output
    assert "--change-shared" in output
    assert _default_policy(account) == before


@needs("aws")
def test_the_branch_of_the_page_changes_no_permission_of_others(account: Account) -> None:
    arn = "arn:aws:iam::111122223333:policy/CMLWorkerManagementPolicy"
    account.aws("iam", "attach-user-policy", "--user-name", "stranger", "--policy-arn", arn)
    for line in _lines()[:5]:  # up to the workers' tags
        _typed(line, account.instance)
    before = _default_policy(account)
    site = account.folder / "cml-iam.toml"
    (own,) = re.findall(r'`(policy = "\w+")` under `\[principal\]`', PAGE)
    text, replaced = re.subn(r"^policy = .*$", own, site.read_text(), flags=re.MULTILINE)
    assert replaced == 1
    site.write_text(text)

    (block,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    with account.manager_at_work():
        for line in re.findall(r"^(?:[^\n]|(?<=\\)\n)+", block, re.MULTILINE):
            program, _, words = line.partition(" ")
            if program == "aws":
                account.aws(*shlex.split(words.replace("\\\n", " ")))
            else:
                command, code, output = _typed(words, account.instance)
                assert code == 0, f"{command}: {output}"

    held = account.aws("iam", "list-attached-user-policies", "--user-name", USER)
    assert [policy["PolicyName"] for policy in held["AttachedPolicies"]] == ["CMLWorkerManager"]
    others = account.aws("iam", "list-attached-user-policies", "--user-name", "stranger")
    assert [policy["PolicyArn"] for policy in others["AttachedPolicies"]] == [arn]
    assert _default_policy(account) == before
    assert account.refusals == []


@needs("aws")
def test_the_same_workers_are_reachable_and_the_key_can_be_rotated(account: Account) -> None:
    for line in _lines()[:-1]:
        _typed(line, account.instance)

    _, listed, output = _typed("worker list")
    with account.manager_at_work():
        _, rotated, words = _typed("key rotate --yes")

    assert (listed, account.instance in output) == (0, True)
    assert rotated == 7, words  # the old key is watched
    assert account.refusals == []


def _default_policy(account: Account) -> Any:
    arn = "arn:aws:iam::111122223333:policy/CMLWorkerManagementPolicy"
    policy = account.aws("iam", "get-policy", "--policy-arn", arn)["Policy"]
    version = ("--version-id", policy["DefaultVersionId"])
    return account.aws("iam", "get-policy-version", "--policy-arn", arn, *version)["PolicyVersion"][
        "Document"
    ]
