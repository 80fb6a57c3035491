"""Idle, orphans and adopt as a user types them, with the policies enforced."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cml_iam.aws import Aws, connect
from cml_iam.cli._main import run
from cml_iam.sandbox import Sandbox, start_sandbox
from cml_iam.secret import Secret
from cml_iam.visible import unseen

pytestmark = pytest.mark.long
SITE = """
[account]
id = "111122223333"
[principal]
[restrict]
regions = ["us-east-1", "us-west-2"]
guard_tag = { ManagedBy = "lablet-cloud-manager" }
instance_types = ["m5zn.metal", "c5.*"]
image_owners = ["111122223333"]
"""
GUARD = "ManagedBy=lablet-cloud-manager"
IMAGE = "ami-0a1b2c3d4e5f60001"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with start_sandbox() as running:
        yield running


@dataclass(frozen=True)
class Shell:
    """The command line as the manager, or as *root* of the account."""

    cml_iam: Any
    sandbox: Sandbox
    manager: dict[str, str]
    patch: pytest.MonkeyPatch

    def __call__(self, *words: str, root: bool = False) -> Any:
        for name, value in {**self.sandbox.environment(), **({} if root else self.manager)}.items():
            self.patch.setenv(name, value)
        return self.cml_iam("worker", *words)

    def root(self) -> Aws:
        root = self.sandbox.environment()
        return connect(
            endpoint_url=root["AWS_ENDPOINT_URL"],
            region="us-east-1",
            access_key=root["AWS_ACCESS_KEY_ID"],
            secret_key=Secret(root["AWS_SECRET_ACCESS_KEY"]),
        )

    def names(self, state: str) -> list[str]:
        listed = json.loads(self("list", "-o", "json").out)
        return [each["name"] for each in listed if each["state"] == state]


@pytest.fixture(scope="module")
def manager(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The manager's credentials, with the hardened policy."""
    folder = tmp_path_factory.mktemp("manager")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in sandbox.environment().items():
            patch.setenv(name, value)
        patch.chdir(folder)
        (folder / "cml-iam.toml").write_text(SITE)
        assert run(["bootstrap", "apply", "--yes", "-q"]) == 0
        lines = (folder / ".env").read_text().splitlines()
        pairs = (line.split("=", 1) for line in lines if line.startswith("AWS_"))
        yield {name: value.strip("\"'") for name, value in pairs}


@pytest.fixture
def shell(
    sandbox: Sandbox,
    manager: dict[str, str],
    cml_iam: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Shell]:
    (tmp_path / "cml-iam.toml").write_text(SITE)
    made = Shell(cml_iam, sandbox, manager, monkeypatch)
    yield made
    listed = json.loads(made("list", "--all", "-o", "json", root=True).out)
    if living := [each["id"] for each in listed if each["state"] != "terminated"]:
        made.root().call("ec2", "terminate_instances", InstanceIds=living)


@pytest.fixture
def lab(shell: Shell) -> str:
    said = shell("create", "lab", "--image", IMAGE, "-o", "json")
    assert said.code == 0, said.err
    return str(json.loads(said.out)["id"])


def test_a_worker_without_data_is_unknown_and_never_stopped(shell: Shell, lab: str) -> None:
    said = shell("idle", "--stop", "--yes", "--cpu", "100", "--network", "100000")

    assert said.code == 0  # it is younger than the window, which is no failure
    assert f"? unknown: lab ({lab})" in said.out
    assert "uptime: unknown: started 0m ago" in said.out
    assert "cml: unknown: CML was not queried: no user and password" in said.out
    assert "CML_IAM_CML_USER" in said.err
    assert "nothing to stop" in said.err
    assert shell.names("running") == ["lab"]


class Later(datetime):
    """A time at which what was launched just now is three hours old."""

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return datetime.now(tz) + timedelta(hours=3)


def test_the_idle_ones_are_stopped_after_asking_and_no_others(shell: Shell, lab: str) -> None:
    shell.patch.setattr("cml_iam.cli.worker_find.datetime", Later)
    held = json.loads(shell("create", "held", "--image", IMAGE, "-o", "json").out)["id"]
    shell("tag", "held", "-t", "cml-iam:hold=exam")
    rules = ("--cpu", "100", "--network", "100000", "--without", "cml", "--stop")

    unasked = shell("idle", *rules)
    assert (unasked.code, shell.names("stopped")) == (2, [])
    assert "confirmation required, but stdin is not a terminal: stop lab" in unasked.err
    assert "fix: add --yes, or --dry-run to change nothing" in unasked.err
    assert f"idle: lab ({lab})" in unasked.err
    tried = shell("idle", *rules, "--dry-run")
    assert (tried.code, shell.names("stopped")) == (0, [])
    assert "stop is permitted (nothing was changed)" in tried.out

    (first, second) = json.loads(shell("idle", *rules, "--yes", "-o", "json").out)
    assert (first["id"], first["use"], first["stopped"]) == (held, "held", None)
    assert first["hold"] == "`cml-iam:hold=exam`"
    assert (second["id"], second["use"]) == (lab, "idle")
    assert second["stopped"]["previous"] == "running"
    assert shell.names("stopped") == ["lab"]


@pytest.mark.parametrize(
    "words",
    [
        ("--without", "cpu", "--without", "network", "--without", "cml"),
        ("--window", "5m"),
        ("--cpu", "101"),
        ("--window", "2w"),
    ],
)
def test_rules_that_make_no_sense_are_usage(shell: Shell, words: tuple[str, ...]) -> None:
    assert shell("idle", *words).code == 2


def unmanaged(shell: Shell, name: str, **tags: str) -> str:
    """Launch an instance without the guard tag, as root; return its id."""
    named = [{"Key": key, "Value": value} for key, value in {"Name": name, **tags}.items()]
    answer = shell.root().call(
        "ec2",
        "run_instances",
        ImageId=IMAGE,
        InstanceType="t3.micro",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": named}],
    )
    return str(answer["Instances"][0]["InstanceId"])


def test_a_refused_adoption_is_explained_by_all_parts_of_the_sites_policy(
    shell: Shell, tmp_path: Path
) -> None:
    orphan = unmanaged(shell, "cml-parts")
    groups = ", ".join(f'"sg-{number:017x}"' for number in range(120))
    (tmp_path / "cml-iam.toml").write_text(
        SITE.replace("[restrict]\n", f"[restrict]\nsecurity_groups = [{groups}]\n")
    )

    refused = shell("adopt", orphan, "--yes")
    assert (refused.code, "RetagWorkers" in refused.out) == (5, True)


def test_an_orphan_is_found_with_its_reasons_and_adopted_by_an_administrator(
    shell: Shell,
) -> None:
    orphan = unmanaged(shell, "cml-old")

    found = shell("orphans")
    assert found.code == 3
    assert f"▲ likely: cml-old ({orphan}), t3.micro, running, us-east-1" in found.out
    assert "its name is `cml-old`" in found.out
    assert "its image is called `cml-2.9-worker`" in found.out
    assert orphan in found.err

    refused = shell("adopt", orphan, "--yes")
    assert refused.code == 5
    assert "refused: by design" in refused.out
    assert "RetagWorkers" in refused.out
    assert "administrator" in refused.err
    assert shell.names("running") == []

    adopted = shell("adopt", orphan, "--yes", root=True)
    assert adopted.code == 0
    assert "user/" not in adopted.err.split("set by")[-1]
    assert shell.names("running") == ["cml-old"]
    assert shell("orphans").code == 0
    assert "nothing to do" in shell("adopt", orphan, "--yes", root=True).out


def test_adopting_asks_and_a_dry_run_changes_nothing(shell: Shell) -> None:
    orphan = unmanaged(shell, "cml-old")

    assert shell("adopt", orphan, root=True).code == 2
    assert shell("adopt", orphan, "--dry-run", root=True).code == 0
    assert shell("orphans").code == 3
    shell.root().call("ec2", "terminate_instances", InstanceIds=[orphan])


def test_a_second_worker_of_one_name_is_warned_of(shell: Shell, lab: str) -> None:
    said = shell("create", "lab", "--image", IMAGE)

    assert said.code == 0
    assert f"another worker is already called lab: {lab}, running in us-east-1" in said.err
    assert "another worker" not in shell("create", "other", "--image", IMAGE).err


def test_read_only_is_refused_before_anything_is_asked_or_kept(shell: Shell) -> None:
    said = shell("create", "new", "--image", IMAGE, "--read-only")

    assert (said.code, said.out) == (2, "")
    assert "only reads are allowed" in said.err
    assert "asking EC2" not in said.err
    assert "no known answer" not in shell("create", "new", "--image", IMAGE).err
    assert shell("create", "more", "--image", IMAGE, "--read-only", "--dry-run").code == 0


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a*"])
def test_a_name_that_is_none_is_refused_before_anything_is_asked(shell: Shell, name: str) -> None:
    said = shell("create", name, "--image-name", "nothing")

    assert (said.code, said.out) == (2, "")
    assert "name" in said.err
    assert "no image" not in said.err


def test_what_is_over_already_is_said_and_the_wrong_state_named(shell: Shell, lab: str) -> None:
    assert shell("terminate", "lab", "--yes").code == 0

    assert f"✔ lab ({lab}): terminated already" in shell("terminate", lab, "--yes").out
    said = shell("start", lab)
    assert said.code == 5
    assert f"✖ lab ({lab}): it is terminated: " in said.out


def test_no_image_says_what_was_searched_and_what_to_do(shell: Shell) -> None:
    said = shell("images", "cml")

    assert (said.code, said.out) == (3, "")
    assert "no available image called `cml` in us-east-1, of 111122223333" in said.err
    assert "try '*cml*'" in said.err
    assert json.loads(shell("images", "cml", "-o", "json").out) == []
    assert shell("images", "*cml*").code == 0


def test_what_a_terminal_would_obey_is_written_out_everywhere(shell: Shell) -> None:
    """XML, EC2's language, has no ESC; it has U+009B, which means the same, and others."""
    evil = unmanaged(
        shell, "cml\x9b2J\n\u202eb", Note="=HYPERLINK(1)\x9b", ManagedBy="lablet-cloud-manager"
    )

    for words in (("list", "--name", "cml*"), ("show", evil), ("list", "-o", "csv")):
        said = shell(*words)
        assert said.code == 0, said.err
        assert unseen((said.out + said.err).replace("\n", "").replace("\r", "")) == ()
        assert r"cml\x9b2J\n\u202eb" in said.out
    (row,) = csv.DictReader(io.StringIO(shell("list", "--state", "running", "-o", "csv").out))
    assert json.loads(row["tags"])["Note"] == "=HYPERLINK(1)\x9b"
    assert r"tag Note" in shell("show", evil).out


def test_with_the_base_policy_they_all_work_too(shell: Shell, lab: str) -> None:
    """And anyone may adopt anything: what the hardened policy is for."""
    for name, value in shell.sandbox.environment().items():
        shell.patch.setenv(name, value)
    as_base = ("bootstrap", "apply", "--yes", "--no-key", "--document", "base")
    assert shell.cml_iam(*as_base).code == 0
    orphan = unmanaged(shell, "cml-old")

    assert shell("idle", "--without", "cml").code == 0
    assert shell("orphans").code == 3
    assert shell("adopt", orphan, "--yes").code == 0
    assert shell("stop", "lab", "--yes").code == 0
    assert shell("start", "lab").code == 0
    assert sorted(shell.names("running")) == ["cml-old", "lab"]
