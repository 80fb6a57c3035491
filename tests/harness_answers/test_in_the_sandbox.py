"""Every command where AWS does answer: an inactive key, a disk that is full or read-only, a folder
that is somebody else's.

A disk of a size, and a folder of somebody else, can be made by root alone: elsewhere these skip.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from cml_iam.aws import Aws, connect
from cml_iam.sandbox import Sandbox, start_sandbox
from cml_iam.secret import Secret
from tests.harness_answers.commands import commands
from tests.harness_answers.harness import SITE, end_of, expected, prepare, ran

pytestmark = pytest.mark.long

WRITERS = (
    "key deliver",
    "key revoke",
    "key rotate",
    "worker create",
)
"""Those that write a file whenever they run; `bootstrap apply` finds nothing left to do."""

# What destroys comes last, so that all others find what they look for.
COMMANDS = sorted(commands(), key=lambda name: name in ("bootstrap destroy", "worker terminate"))
NOBODY = 65534


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with start_sandbox() as running:
        yield running


@pytest.fixture(scope="module")
def root(sandbox: Sandbox) -> Aws:
    given = sandbox.environment()
    return connect(
        endpoint_url=given["AWS_ENDPOINT_URL"],
        region="us-east-1",
        access_key=given["AWS_ACCESS_KEY_ID"],
        secret_key=Secret(given["AWS_SECRET_ACCESS_KEY"]),
    )


def everything(aws: Aws) -> str:
    """Return the users, keys, policies and instances there are."""
    users = [page["UserName"] for page in aws.pages("iam", "list_users", "Users")]
    found = {
        "keys": {
            user: sorted(
                (page["AccessKeyId"], page["Status"])
                for page in aws.pages("iam", "list_access_keys", "AccessKeyMetadata", UserName=user)
            )
            for user in users
        },
        "policies": sorted(
            page["PolicyName"]
            for page in aws.pages("iam", "list_policies", "Policies", Scope="Local")
        ),
        "instances": sorted(
            instance["InstanceId"]
            for page in aws.pages("ec2", "describe_instances", "Reservations")
            for instance in page["Instances"]
        ),
    }
    return json.dumps(found)


@pytest.mark.parametrize("name", COMMANDS)
def test_an_inactive_key_is_told_by_every_command(
    tmp_path: Path, sandbox: Sandbox, root: Aws, name: str
) -> None:
    user = f"gone-{COMMANDS.index(name)}"
    root.call("iam", "create_user", UserName=user)
    key = root.call("iam", "create_access_key", UserName=user)["AccessKey"]
    root.call(
        "iam",
        "update_access_key",
        UserName=user,
        AccessKeyId=key["AccessKeyId"],
        Status="Inactive",
    )
    prepare(tmp_path)
    ended = end_of(
        name,
        tmp_path,
        {
            **sandbox.environment(),
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"].reveal(),
        },
        read_timeout=30,
    )

    assert ended.code == expected(name, 4), ended.text
    assert "internal error" not in ended.text


@pytest.mark.parametrize("name", COMMANDS)
def test_the_wrong_account_stops_every_command_before_anything_is_changed(
    tmp_path: Path, sandbox: Sandbox, root: Aws, name: str
) -> None:
    prepare(tmp_path, SITE.replace("111122223333", "444455556666"))
    before = everything(root)
    ended = end_of(name, tmp_path, sandbox.environment(), read_timeout=30)

    assert ended.code == (3 if name == "doctor" else 2), ended.text
    assert {"111122223333", "444455556666"} <= set(re.findall(r"\b\d{12}\b", ended.text))
    assert everything(root) == before


Arrange = Callable[[Path], None]


def _foreign(folder: Path) -> None:
    state = folder / ".cml-iam"
    state.mkdir()
    (state / "journal.json").write_text("{}")
    for each in (state, *state.iterdir()):
        os.chown(each, NOBODY, NOBODY)


def _read_only(folder: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)


def _full(folder: Path) -> None:
    with (folder / "filler").open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(bytes(4096))


DISKS: dict[str, Arrange] = {
    "a folder of state that is somebody else's": _foreign,
    "a read-only disk": _read_only,
    "a full disk": _full,
}


@contextmanager
def a_small_disk(folder: Path) -> Iterator[None]:
    """Mount a disk of 256 KiB at *folder*; skip where it is not permitted."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.fixture(scope="module")
def applied(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, str]:
    """Bootstrap once; return the `.env` that it wrote, and the id of the key in it."""
    folder = tmp_path_factory.mktemp("applied")
    (folder / "cml-iam.toml").write_text(SITE)
    ended = ran(["bootstrap", "apply", "--yes"], folder, sandbox.environment(), read_timeout=30)
    assert ended.code == 0, ended.text
    written = (folder / ".env").read_bytes()
    found = re.search(rb"AWS_ACCESS_KEY_ID=['\"]?(\w+)", written)
    assert found is not None
    return written, found[1].decode()


@pytest.mark.parametrize("disk", DISKS)
@pytest.mark.parametrize("name", COMMANDS)
def test_what_cannot_be_kept_is_not_changed_in_aws(
    tmp_path: Path,
    sandbox: Sandbox,
    root: Aws,
    applied: tuple[bytes, str],
    name: str,
    disk: str,
) -> None:
    if os.geteuid():
        pytest.skip("only root can make such a disk or folder")
    written, key = applied
    with a_small_disk(tmp_path):
        (tmp_path / "cml-iam.toml").write_text(SITE)
        (tmp_path / ".env").write_bytes(written)
        (tmp_path / ".env").chmod(0o600)
        DISKS[disk](tmp_path)
        before = everything(root)
        ended = end_of(name, tmp_path, sandbox.environment(), key, read_timeout=30)
        after = everything(root)

    assert ended.code != 1, ended.text
    assert "internal error" not in ended.text
    assert "Traceback" not in ended.text
    if name in WRITERS and DISKS[disk] is not _foreign:
        assert ended.code != 0, ended.text
    # A leaked key is cut off first, wherever the new one may be kept.
    if ended.code != 0 and name != "key revoke":
        assert after == before, ended.text
