"""The account of the site file stops every command; the site file says whose credential it is."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cml_iam.aws import connect
from cml_iam.sandbox import Sandbox, start_sandbox
from cml_iam.secret import Secret
from tests.cli.test_global_options import LEAVES
from tests.harness_answers.commands import ARGUMENTS, commands
from tests.site.test_site import EXAMPLE

OTHER = EXAMPLE.replace('id = "111122223333"', 'id = "999988887777"')
KEY_ID = "AKIAIOSFODNN7EXAMPLE"
REPORTS_IT = {"doctor"}
HERE = {
    "serve": ("--port", "0"),
    "worker idle": ("--stop", "--yes", "--without", "cml"),
}
"""Commands that are run otherwise than in `tests.harness_answers`."""

COMMANDS = {
    name: tuple(
        KEY_ID if word == "OLD_KEY" else word for word in HERE.get(name, ARGUMENTS.get(name, ()))
    )
    for name in commands()
    if name not in REPORTS_IT
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with start_sandbox() as running:
        yield running


@pytest.fixture
def administrator(
    sandbox: Sandbox, cml_iam: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """The command line, the sandbox's root in the environment and a site file in the folder."""
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    (tmp_path / "cml-iam.toml").write_text(EXAMPLE)
    return cml_iam


def _aws_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> None:
    """Move the root's key from the environment into the profile `admin`."""
    environment = sandbox.environment()
    file = tmp_path / "aws-credentials"
    file.write_text(
        f"[admin]\naws_access_key_id = {environment['AWS_ACCESS_KEY_ID']}\n"
        f"aws_secret_access_key = {environment['AWS_SECRET_ACCESS_KEY']}\n"
    )
    file.chmod(0o600)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    for name in list(os.environ):
        if name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name)


@pytest.fixture
def operator(
    administrator: Any, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """A folder after `bootstrap apply` whose site file names both credentials; no environment."""
    site = '[credentials]\nmanager = "env:.env"\nadministrator = "profile:admin"\n' + EXAMPLE
    (tmp_path / "cml-iam.toml").write_text(site)
    _aws_config(tmp_path, monkeypatch, sandbox)
    ran = administrator("bootstrap", "apply", "--yes")
    assert ran.code == 0, ran.err
    yield administrator
    ended = administrator("--profile", "admin", "bootstrap", "destroy", "--yes")
    assert ended.code == 0, ended.err


def test_every_command_on_aws_is_tried_here() -> None:
    on_aws = {name for name, leaf in LEAVES.items() if "profile" in {p.name for p in leaf.params}}

    assert on_aws == set(COMMANDS) | REPORTS_IT


@pytest.mark.parametrize("command", COMMANDS)
def test_credentials_of_another_account_stop_it(
    administrator: Any, tmp_path: Path, sandbox: Sandbox, command: str
) -> None:
    (tmp_path / "cml-iam.toml").write_text(OTHER)

    ran = administrator(*command.split(), *COMMANDS[command])

    assert ran.code == 2, ran.out + ran.err
    assert "`111122223333`" in ran.err
    assert "`999988887777`" in ran.err
    assert not (tmp_path / ".env").exists()


def test_doctor_reports_another_account_as_a_finding(administrator: Any, tmp_path: Path) -> None:
    (tmp_path / "cml-iam.toml").write_text(OTHER)

    ran = administrator("doctor", "credentials")

    assert ran.code == 3
    assert "account 111122223333, but the site file is for 999988887777" in ran.out


def test_an_expected_account_beside_another_site_file_is_refused(administrator: Any) -> None:
    ran = administrator("worker", "list", "--expect-account", "999988887777")

    assert ran.code == 2
    assert "--expect-account is `999988887777`" in ran.err


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("worker terminate", ("lab",)),
        ("worker stop", ("lab",)),
        ("key rotate", ()),
        ("bootstrap destroy", ()),
    ],
)
def test_a_prompt_names_account_identity_and_region(
    administrator: Any, monkeypatch: pytest.MonkeyPatch, command: str, arguments: tuple[str, ...]
) -> None:
    administrator("bootstrap", "apply", "--yes", "--no-key")
    administrator("worker", "create", "lab", "--image", "ami-0a1b2c3d4e5f60001")

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal("no\n"))
    ran = administrator(*command.split(), *arguments)

    said = "account 111122223333, as arn:aws:iam::111122223333:root in us-east-1"
    assert said in ran.err, ran.err
    administrator("worker", "terminate", "lab", "--yes")


def test_the_manager_works_with_its_own_key_and_bootstrap_with_the_administrators(
    operator: Any, tmp_path: Path
) -> None:
    lines = (tmp_path / ".env").read_text().splitlines()
    held = dict(line.split("=", 1) for line in lines if "=" in line)

    listed, health, plan = operator("worker", "list"), operator("health"), operator("key", "list")

    for ran in (listed, health):
        said = f"credential: access key {held['AWS_ACCESS_KEY_ID']} from `{tmp_path / '.env'}`"
        assert said in ran.err
        assert "`credentials.manager` in the site file" in ran.err
    assert "named by `credentials.administrator` in the site file" in plan.err
    assert plan.code == 0
    assert "credential" not in operator("worker", "list", "-q").err
    assert held["AWS_SECRET_ACCESS_KEY"] not in "".join(
        ran.out + ran.err for ran in (listed, health, plan)
    )


def test_the_command_line_and_the_environment_come_before_the_site_file(
    operator: Any, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = operator("--profile", "admin", "worker", "list")
    monkeypatch.setenv("AWS_PROFILE", "admin")
    by_profile = operator("worker", "list")
    monkeypatch.delenv("AWS_PROFILE")
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    by_key = operator("worker", "list")

    assert "from profile `admin` in" in named.err
    assert "(named by --profile)" in named.err
    assert "from profile `admin` in" in by_profile.err
    assert "from the environment: AWS_ACCESS_KEY_ID" in by_key.err


@pytest.mark.parametrize(
    ("spoil", "code", "words"),
    [
        ("no file", 4, "`cml-iam bootstrap apply` creates the key and writes it"),
        ("no key", 4, "has no access key"),
        ("open", 2, "is accessible to other users (0644)"),
        ("link", 2, "is a symbolic link"),
        ("profile", 4, "`credentials.manager` in the site file"),
    ],
)
def test_a_credential_that_cannot_be_used_is_said_with_its_origin(
    operator: Any, tmp_path: Path, spoil: str, code: int, words: str
) -> None:
    env, site = tmp_path / ".env", tmp_path / "cml-iam.toml"
    if spoil == "no file":
        env.unlink()
    elif spoil == "no key":
        env.write_text("AWS_REGION=us-east-1\n")
    elif spoil == "open":
        env.chmod(0o644)
    elif spoil == "link":
        env.rename(tmp_path / "real.env")
        env.symlink_to("real.env")
    else:
        site.write_text(site.read_text().replace("env:.env", "profile:gone"))

    ran, doctor = operator("worker", "list"), operator("doctor", "credentials", "-o", "json")

    assert ran.code == code
    assert words in ran.err
    assert "in the site file" in ran.err
    assert doctor.code == 3
    (source,) = [e for e in json.loads(doctor.out)["diagnoses"] if e["subject"] == "source"]
    assert "in the site file" in source["said"]


def test_a_site_file_elsewhere_finds_its_own_env_file(
    operator: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("CML_IAM_SITE", str(tmp_path / "cml-iam.toml"))

    assert f"from `{tmp_path / '.env'}`" in operator("worker", "list").err


def test_without_a_site_file_defaults_are_said_and_changes_refused(
    administrator: Any, tmp_path: Path
) -> None:
    (tmp_path / "cml-iam.toml").unlink()
    launch = ("create", "lab", "--image", "ami-0a1b2c3d4e5f60001", "--type", "m5zn.metal")

    listed = administrator("worker", "list")
    refused = administrator("worker", *launch)
    meant = administrator("worker", *launch, "--no-site")

    assert listed.code == 0
    assert "have the tag ManagedBy=lablet-cloud-manager, the region is us-east-1" in listed.err
    assert refused.code == 2
    assert "--no-site" in refused.err
    assert meant.code == 0, meant.err
    for words in (("stop", "lab", "--yes"), ("tag", "lab", "-t", "a=b"), ("idle", "--stop")):
        assert administrator("worker", *words).code == 2
    assert administrator("worker", "terminate", "lab", "--yes", "--no-site").code == 0


def test_a_mistyped_region_is_doubted(administrator: Any) -> None:
    ran = administrator("worker", "list", "--region", "us-esat-1")

    assert "`us-esat-1` (did you mean `us-east-1`?)" in ran.err


def test_the_key_goes_where_the_site_file_looks_for_it(
    administrator: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also from another folder, by a saved plan, and for `key` and `doctor`."""
    site = '[credentials]\nmanager = "env:manager.env"\n' + EXAMPLE
    (tmp_path / "cml-iam.toml").write_text(site)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("CML_IAM_SITE", str(tmp_path / "cml-iam.toml"))

    assert administrator("bootstrap", "plan", "--save", "plan.json").code == 6
    applied = administrator("bootstrap", "apply", "plan.json", "--yes")
    listed = json.loads(administrator("key", "list", "-o", "json").out)
    doctor = administrator("doctor", "files", "-o", "json")
    administrator("bootstrap", "destroy", "--yes")

    assert applied.code == 0, applied.err
    assert (tmp_path / "manager.env").exists()
    assert list(listed["stores"]) == [str(tmp_path / "manager.env")]
    assert "manager.env" in doctor.out


def _state(sandbox: Sandbox, folder: Path) -> dict[str, Any]:
    """Everything that a command could change: the user, keys, policies, instances and files."""
    environment = sandbox.environment()
    aws = connect(
        endpoint_url=sandbox.endpoint_url,
        region="us-east-1",
        access_key=environment["AWS_ACCESS_KEY_ID"],
        secret_key=Secret(environment["AWS_SECRET_ACCESS_KEY"]),
    )
    users = [page["UserName"] for page in aws.pages("iam", "list_users", "Users")]
    instances = [
        (
            instance["InstanceId"],
            instance["State"]["Name"],
            sorted(map(str, instance.get("Tags", ()))),
        )
        for reservation in aws.pages("ec2", "describe_instances", "Reservations")
        for instance in reservation["Instances"]
    ]
    return {
        "users": users,
        "keys": {
            user: sorted(
                (each["AccessKeyId"], each["Status"])
                for each in aws.call("iam", "list_access_keys", UserName=user)["AccessKeyMetadata"]
            )
            for user in users
        },
        "policies": sorted(
            (page["Arn"], page["DefaultVersionId"], page["AttachmentCount"])
            for page in aws.pages("iam", "list_policies", "Policies", Scope="Local")
        ),
        "instances": sorted(instances),
        "files": {
            str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and "state" not in path.parts
        },
    }


def test_a_dry_run_changes_nothing_whatever_the_command(
    administrator: Any, sandbox: Sandbox, tmp_path: Path
) -> None:
    assert administrator("bootstrap", "apply", "--yes").code == 0
    launched = administrator("worker", "create", "lab", "--image", "ami-0a1b2c3d4e5f60001")
    assert launched.code == 0
    (key,) = json.loads(administrator("key", "list", "-o", "json").out)["keys"]
    before = _state(sandbox, tmp_path)
    tried = []

    for command, arguments in COMMANDS.items():
        if "dry_run" in {param.name for param in LEAVES[command].params}:
            words = [key["id"] if argument == KEY_ID else argument for argument in arguments]
            ran = administrator("--dry-run", *command.split(), *words)
            tried.append(command)
            assert ran.code in (0, 2, 3, 6, 7, 8), f"{command}: {ran.err}"
            assert _state(sandbox, tmp_path) == before, command

    assert {"key rotate", "key revoke", "bootstrap destroy", "worker terminate"} <= set(tried)
    administrator("worker", "terminate", "lab", "--yes")
    administrator("bootstrap", "destroy", "--yes")


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("key", "revoke", "notakey", "--yes"), "not an access key id: `notakey`"),
        (("key", "delete", "notakey", "--yes"), "not an access key id: `notakey`"),
        (("worker", "create", "lab", "--image", "ami-xyz"), "not an image id: `ami-xyz`"),
        (("bootstrap", "apply", "--yes", "--env-file", "no/x"), "no such folder: `no`"),
        (("key", "deliver", "--to", "env:no/x", "--yes"), "no such folder: `no`"),
        (("key", "rotate", "--env-file", "no/x", "--yes"), "no such folder: `no`"),
        (("bootstrap", "plan", "--with", "audit", "--alert-email", "x"), "not an e-mail address"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_is_refused_before_aws_is_asked(
    cml_iam: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Any, says: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    (tmp_path / "cml-iam.toml").write_text('[account]\nid = "111122223333"\n[principal]\n')

    ran = cml_iam(*command, "--endpoint-url", "http://127.0.0.1:9")

    assert ran.code == 2
    assert says in ran.err
