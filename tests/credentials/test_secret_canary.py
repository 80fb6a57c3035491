"""No secret of a key is anywhere but in the stores asked for, whatever the commands do.

The commands run as processes of their own against the sandbox, with every logger at its lowest
level, while the arguments and environments of all their children are watched.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from cml_iam.sandbox import Sandbox, start_sandbox
from tests.conftest import REPOSITORY
from tests.site.test_site import EXAMPLE

pytestmark = pytest.mark.long

LAUNCH = """
import logging, sys
logging.basicConfig(level=1, stream=sys.stderr)
from cml_iam.cli._main import run
if sys.argv[1] == "broken":
    from cml_iam.credentials import EnvFile
    EnvFile.promote = lambda self, key: key.secret.reveal() and 1 / 0
sys.exit(run(sys.argv[2:]))
"""
GIT = """#!/bin/sh
{{ printf '%s\\n' "$0" "$@"; env; }} >> {log}
exec {git} "$@"
"""
STORES = ("env:.env", "profile:cml", "k8s:secret.yaml")
_SECRET = re.compile(r"[A-Za-z0-9/+]{40}")


def forms(secret: str) -> set[str]:
    """The secret as it could be written down: plain, base64 at every offset, URL, JSON."""
    raw = secret.encode()
    # Within a longer text the first and the last characters of base64 depend on what is beside it.
    shifted = {b64encode(b"\0" * shift + raw).decode()[4:-4] for shift in range(3)}
    escaped = secret.replace("/", "\\/")
    unicode = "".join(f"\\u{ord(letter):04x}" for letter in secret)
    return {secret, b64encode(raw).decode(), raw.hex(), quote(secret, ""), quote_plus(secret),
            json.dumps(secret)[1:-1], escaped, unicode, secret[::-1], *shifted}  # fmt: skip


def found_in(text: str, secrets: set[str]) -> list[str]:
    return [form for secret in secrets for form in forms(secret) if form in text]


@dataclass
class Watch:
    """What is seen of the processes of the session *leader*."""

    leader: int
    seen: set[bytes] = field(default_factory=set)
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.ended.wait(0.01):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    session = (process / "stat").read_text().rpartition(")")[2].split()[3]
                    if session == str(self.leader):
                        self.seen.add((process / "cmdline").read_bytes())
                        self.seen.add((process / "environ").read_bytes())
                except OSError:
                    continue


@dataclass
class Place:
    """A folder to work in, and everything that was said or seen there."""

    folder: Path
    environment: dict[str, str]
    said: list[str] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)

    def run(self, *arguments: str, broken: bool = False, told: bool = False) -> int:
        """Run a command; with *told* its stdout is a store that was asked for."""
        command = [sys.executable, "-c", LAUNCH, "broken" if broken else "whole", *arguments]
        with subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            watch = Watch(process.pid)
            thread = threading.Thread(target=watch.run)
            thread.start()
            out, err = process.communicate()
            watch.ended.set()
            thread.join()
        self.said += [err, *("" if told else out.splitlines())]
        self.said += [each.decode("utf-8", "replace") for each in watch.seen]
        self.remember()
        return process.returncode

    def remember(self) -> None:
        """Learn the secrets that are in the stores now, and those staged."""
        for path in self.folder.rglob("*"):
            if path.is_file() and not path.is_relative_to(self.folder / ".git"):
                text = path.read_text("utf-8", "replace")
                if path.name.startswith("secret.yaml"):
                    found = re.findall(r'SECRET_ACCESS_KEY: "(.*)"', text)
                    self.secrets |= {b64decode(each).decode() for each in found}
                else:
                    found = re.findall(r"(?i)SECRET_ACCESS_KEY ?= ?(\S+)", text)
                    self.secrets |= {each for each in found if _SECRET.fullmatch(each)}

    def elsewhere(self) -> list[str]:
        """The files, the stores and what is staged left out, that hold a secret."""
        stores = {".env", "credentials", "secret.yaml"}
        return [
            str(path)
            for path in self.folder.rglob("*")
            if path.is_file()
            and path.name not in stores
            and path.suffix not in (".staged", ".reserved")
            and found_in(path.read_text("utf-8", "replace"), self.secrets)
        ]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with start_sandbox() as running:
        yield running


@pytest.fixture
def place(sandbox: Sandbox, tmp_path: Path) -> Place:
    git = shutil.which("git")
    if git is None or not Path("/proc/self/environ").exists():
        pytest.skip("needs git and /proc")
    work, bin_folder, temporary = tmp_path / "work", tmp_path / "bin", tmp_path / "work" / "tmp"
    for folder in (work, bin_folder, temporary):
        folder.mkdir()
    (bin_folder / "git").write_text(GIT.format(log=tmp_path / "work" / "git.log", git=git))
    (bin_folder / "git").chmod(0o755)
    (work / "cml-iam.toml").write_text(EXAMPLE)
    (work / ".gitignore").write_text(".env\nsecret.yaml\ncredentials\n")
    subprocess.run([git, "init", "-q", work], check=True)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        **sandbox.environment(),
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
        "AWS_SHARED_CREDENTIALS_FILE": str(work / "credentials"),
        "AWS_CONFIG_FILE": str(work / "no-config"),
        "TMPDIR": str(temporary),
        "HOME": str(work),
    }
    return Place(work, environment)


def test_the_canary_is_found_in_every_form() -> None:
    secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    for said in (
        secret,
        quote(secret, ""),
        b64encode(b"x" + secret.encode() + b"yz").decode(),
        b64encode(b"xy" + secret.encode()).decode(),
        json.dumps({"a": secret}),
    ):
        assert found_in(said, {secret})
    assert not found_in("nothing of it", {secret})


def test_no_secret_is_anywhere_but_in_its_stores(place: Place, sandbox: Sandbox) -> None:
    to = [word for store in STORES for word in ("--to", store)]
    nobody = ("--health-url", "http://127.0.0.1:1/health")
    at_once = ("--overlap", "0", "--cool-off", "0")
    codes = [
        place.run("bootstrap", "apply", "--yes", "--debug"),
        place.run("key", "deliver", *to[2:], "--yes", "-o", "json"),
        place.run("key", "list", *to, "-o", "json"),
        place.run("key", "rotate", *to, "--yes", *nobody),  # stays half done
    ]
    assert codes == [0, 0, 0, 7], place.said
    assert (place.folder / ".cml-iam" / "journal.json").exists()
    assert place.elsewhere() == []
    codes = [
        place.run("key", "status", *to),
        place.run("key", "resume", *to, "--debug", broken=True),  # a fault of our own
        place.run("key", "resume", *to, *at_once, "--debug"),
        place.run("key", "rotate", *to, "--yes"),
        place.run("key", "rollback", *to, "-o", "json"),
        place.run("key", "print", "--as", "kubernetes", told=True),
        place.run("key", "credential-process", told=True),
    ]
    assert codes == [0, 1, 0, 7, 0, 0, 0], place.said
    said = "\n".join([*place.said, (place.folder / "git.log").read_text()])

    assert "ZeroDivisionError" in said  # tracebacks were printed
    assert "DEBUG:" in said  # and debug logs
    assert "check-ignore" in said  # and children had
    assert len(place.secrets) == 3
    assert place.elsewhere() == []
    assert found_in(said, place.secrets) == []
    # The operator's own secret is in the environment of our process, and goes no further.
    git_log = (place.folder / "git.log").read_text()
    assert found_in(git_log, {sandbox.root.secret.reveal()}) == []

    # A command run with the key gets it in its environment: in no argument, no output.
    place.said.clear()
    assert place.run("key", "exec", "--", "sh", "-c", "sleep 0.5; exit 9") == 9
    held = [each for each in place.said if found_in(each, place.secrets)]
    assert held
    assert all("\0AWS_SECRET_ACCESS_KEY=" in f"\0{each}" for each in held)
    assert any("sleep" in each for each in place.said)


def _remote_secrets(sandbox: Sandbox) -> set[str]:
    """The secrets in the stores inside AWS, those staged there among them."""
    from cml_iam.aws import connect

    root = connect(
        region=sandbox.region,
        endpoint_url=sandbox.endpoint_url,
        access_key=sandbox.root.id,
        secret_key=sandbox.root.secret,
    )
    values = [
        root.call("ssm", "get_parameter", Name=parameter["Name"], WithDecryption=True)
        for parameter in root.call("ssm", "describe_parameters")["Parameters"]
    ]
    held = {each["Parameter"]["Value"].reveal() for each in values}
    for each in root.call("secretsmanager", "list_secrets")["SecretList"]:
        versions = each["SecretVersionsToStages"]
        for version in versions:
            found = root.call(
                "secretsmanager", "get_secret_value", SecretId=each["Name"], VersionId=version
            )
            held.add(found["SecretString"].reveal())
    secrets = {json.loads(value).get("AWS_SECRET_ACCESS_KEY", "") for value in held}
    return {secret for secret in secrets if secret}


def test_no_secret_of_the_stores_in_aws_is_anywhere_here(place: Place, sandbox: Sandbox) -> None:
    to = ("--to", "secretsmanager:prod/cml", "--to", "ssm:/prod/cml")
    nobody = ("--health-url", "http://127.0.0.1:1/health")
    at_once = ("--overlap", "0", "--cool-off", "0")
    steps: list[tuple[tuple[str, ...], int]] = [
        (("bootstrap", "plan", *to, "--save", "plan.json", "--debug"), 6),
        (("bootstrap", "apply", "plan.json", "--yes", "--debug"), 0),
        (("key", "rotate", *to, "--yes", *nobody, "--debug"), 7),  # stays half done
        (("key", "resume", *to, *at_once, "--debug"), 0),
        (("key", "list", *to, "-o", "json", "--debug"), 0),
        (("key", "deliver", *to, "--from", "ssm:/prod/cml", "--yes", "--debug"), 0),
        (("bootstrap", "status", *to, "--debug"), 0),
        (("key", "print", "--from", "ssm:/prod/cml", "--as", "kubernetes"), 0),
    ]
    for step, code in steps:
        assert place.run(*step, told=step[1] == "print") == code, place.said
        place.secrets |= _remote_secrets(sandbox)

    assert len(place.secrets) == 2
    said = "\n".join(place.said)
    assert "DEBUG:" in said
    assert found_in(said, place.secrets) == []
    assert place.elsewhere() == []
    assert (place.folder / "plan.json").exists()
    assert [each.name for each in place.folder.glob(".env*")] == []
