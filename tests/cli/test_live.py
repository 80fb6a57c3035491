"""The commands against an AWS that enforces policies, and against none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cml_iam.sandbox import Sandbox, start_sandbox
from tests.site.test_site import EXAMPLE


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with start_sandbox() as running:
        yield running


@pytest.fixture
def live(sandbox: Sandbox, cml_iam: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command line in a folder with a site file, as the root of the sandbox."""
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    (tmp_path / "cml-iam.toml").write_text(EXAMPLE)
    return cml_iam


def test_the_principal_is_verified_where_it_is(live: Any) -> None:
    assert live("bootstrap", "apply", "--yes").code == 0

    ran = live("policy", "verify", "--live", "-o", "json")

    said = json.loads(ran.out)
    assert (ran.code, said["failed"], said["unchecked"]) == (0, 0, 0)
    assert said["how"] == "live"
    assert 0 < said["calls"] < said["expectations"]


def test_a_wider_policy_on_the_principal_is_found(live: Any) -> None:
    """With the base policy in the place of the hardened one."""
    live("bootstrap", "apply", "--yes", "--no-key", "--document", "base")

    ran = live("policy", "verify", "--live")

    assert ran.code == 3
    assert "[TerminateInstances/foreign-instance/" in ran.out
    assert "CMLWorkerManagementPolicy:" in ran.out


def test_a_principal_that_is_not_there_is_said(live: Any) -> None:
    nobody = "arn:aws:iam::111122223333:user/nobody"

    ran = live("policy", "verify", "--live", "--principal", nobody)

    assert ran.code == 5
    assert "NoSuchEntity" in ran.err
    assert "cml-iam bootstrap apply" in ran.err


def test_a_site_of_another_account_stops_before_anything(live: Any, tmp_path: Path) -> None:
    other = EXAMPLE.replace('id = "111122223333"', 'id = "444455556666"')
    (tmp_path / "cml-iam.toml").write_text(other)

    ran = live("bootstrap", "apply", "--yes")

    assert ran.code == 2
    assert "`111122223333`" in ran.err
    assert "`444455556666`" in ran.err
    assert not (tmp_path / ".env").exists()


@pytest.mark.parametrize(
    "arguments",
    [("policy", "verify", "--live"), ("bootstrap", "plan"), ("worker", "list"), ("health",)],
    ids=" ".join,
)
def test_wrong_credentials_are_4_and_a_dead_endpoint_5(
    live: Any, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = live("--endpoint-url", "http://127.0.0.1:9", *arguments)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    wrong = live(*arguments)

    assert (dead.code, wrong.code) == (5, 4)
    assert "could not connect" in dead.out + dead.err
    assert "AWS_SECRET_ACCESS_KEY" in wrong.err + wrong.out


def test_no_credentials_at_all_is_4(live: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    ran = live("policy", "verify", "--live")

    assert ran.code == 4
    assert "--profile" in ran.err


def test_read_only_refuses_to_bootstrap(live: Any) -> None:
    ran = live("--read-only", "bootstrap", "apply", "--yes", "--env-file", "other.env")

    assert ran.code == 2
    assert "read-only" in ran.err
