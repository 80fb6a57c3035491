"""The commands in the sandbox: destroy by name, boundary and guard, the trail."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from cml_iam.aws import connect
from cml_iam.sandbox import Sandbox, start_sandbox
from tests.conftest import Ran
from tests.worlds import Snapshot

Run = Callable[..., Ran]
SITE = '[account]\nid = "111122223333"\n[principal]\n[restrict]\nregions = ["us-east-1"]\n'
USER = "cml-cloud-manager-service"


@dataclass
class Account:
    """A sandbox when it was *empty*, and when it was *bootstrapped*, with the *files* of that."""

    sandbox: Sandbox
    empty: Snapshot
    files: Path
    bootstrapped: Snapshot | None = None

    def enter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in self.sandbox.environment().items():
            monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with start_sandbox() as sandbox:
        yield Account(sandbox, Snapshot(sandbox), tmp_path_factory.mktemp("bootstrapped"))


@pytest.fixture
def run(account: Account, cml_iam: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The commands in an account that is bootstrapped with its boundary and guard."""
    account.enter(monkeypatch)
    if account.bootstrapped is None:
        account.empty.restore()
        (tmp_path / "cml-iam.toml").write_text(SITE)
        assert cml_iam("bootstrap", "apply", "--yes", "--boundary", "--guard").code == 0
        shutil.copytree(tmp_path, account.files, dirs_exist_ok=True)
        account.bootstrapped = Snapshot(account.sandbox)
    else:
        account.bootstrapped.restore()
        shutil.copytree(account.files, tmp_path, dirs_exist_ok=True)
    return cml_iam


def test_without_a_terminal_destroy_needs_yes(run: Run) -> None:
    refused = run("bootstrap", "destroy")

    assert refused.code == 2
    assert "--yes" in refused.err


def test_destroy_leaves_what_is_not_named_and_says_so(run: Run) -> None:
    done = run("bootstrap", "destroy", "--yes")

    assert done.code == 0, done.err
    assert "--guard also deletes it" in done.err
    assert ".env` has one" in done.err
    rest = run("bootstrap", "destroy", "--yes", "--guard", "--boundary")
    assert "2 done" in rest.out
    assert "nothing to do" in run("bootstrap", "destroy", "--yes").out


@pytest.mark.parametrize(("typed", "code"), [("yes", 6), (USER, 0)])
def test_on_a_terminal_the_name_must_be_typed(
    run: Run, monkeypatch: pytest.MonkeyPatch, typed: str, code: int
) -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    terminal: Any = Terminal(f"{typed}\n")
    monkeypatch.setattr("sys.stdin", terminal)

    assert run("bootstrap", "destroy").code == code


def test_after_boundary_and_guard_nothing_is_pending(run: Run) -> None:
    assert run("bootstrap", "plan", "--boundary", "--guard").code == 0
    assert run("bootstrap", "drift").code == 0


def test_with_audit_the_trail_logs(run: Run) -> None:
    done = run("bootstrap", "apply", "--yes", "--only", "audit", "--timezone", "Europe/Berlin")
    assert done.code == 0, done.err
    assert "is logging" in done.err

    again = run("bootstrap", "plan", "--with", "audit", "--timezone", "Europe/Berlin", "-o", "json")

    assert json.loads(again.out)["changes"] == 0
    same = run("bootstrap", "drift", "--with", "audit", "--timezone", "Europe/Berlin")
    assert same.code == 0, same.out
    other = run("bootstrap", "drift", "--with", "audit", "--hours", "mon-sat 07:00-18:00")
    assert other.code == 6
    assert "cml-terminate-out-of-hours" in other.out
    refused = run("bootstrap", "plan", "--with", "audit", "--timezone", "Nowhere/Town")
    assert refused.code == 2


@pytest.fixture
def fresh(
    account: Account, cml_iam: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Run, Any]:
    """The commands in an empty account, and the port of its root."""
    account.enter(monkeypatch)
    account.empty.restore()
    (tmp_path / "cml-iam.toml").write_text(SITE)
    return cml_iam, connect()


def test_the_first_key_goes_to_the_stores_named(fresh: tuple[Run, Any], tmp_path: Path) -> None:
    run, root = fresh
    stores = ("--to", "env:prod.env", "--to", "secretsmanager:cml", "--to", "ssm:/cml")

    done = run("bootstrap", "apply", "--yes", *stores, "-o", "json")

    assert done.code == 0, done.err
    (key,) = root.call("iam", "list_access_keys", UserName=USER)["AccessKeyMetadata"]
    assert json.loads(done.out)["key_id"] == key["AccessKeyId"]
    assert json.loads(done.out)["store"] == f"{tmp_path}/prod.env, secretsmanager:cml, ssm:/cml"
    held = root.call("secretsmanager", "get_secret_value", SecretId="cml")["SecretString"]
    assert json.loads(held.reveal())["AWS_ACCESS_KEY_ID"] == key["AccessKeyId"]
    assert key["AccessKeyId"] in (tmp_path / "prod.env").read_text()
    assert not (tmp_path / ".env").exists()
    assert "nothing to do" in run("bootstrap", "apply", "--yes", *stores).out
    listed = json.loads(run("key", "list", *stores, "-o", "json").out)
    assert [len(each["stores"]) for each in listed["keys"]] == [3]
    shown = json.loads(run("bootstrap", "status", *stores, "-o", "json").out)
    assert [each["stored"] for each in shown["keys"]] == [True]


def test_a_saved_plan_keeps_its_stores(
    fresh: tuple[Run, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = fresh
    assert run("bootstrap", "plan", "--to", "env:prod.env", "--save", "plan").code == 6
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    done = run("bootstrap", "apply", "--yes", "--site", "../cml-iam.toml", "../plan")

    assert done.code == 0, done.err
    assert (tmp_path / "prod.env").exists()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_quiet_apply_prints_no_plan(fresh: tuple[Run, Any]) -> None:
    run, _ = fresh

    done = run("-q", "bootstrap", "apply", "--yes")

    assert (done.code, done.err) == (0, "")
    assert "acting as" not in done.out
