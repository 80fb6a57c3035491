"""The launch as CML Cloud Manager sends it: what `health` and `verify` foretell comes to pass."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cml_iam.errors import SiteError
from cml_iam.expectations import derive_expectations
from cml_iam.sandbox import Sandbox, start_sandbox
from cml_iam.site import Application, parse_site

SITE = """
[account]
id = "111122223333"
[credentials]
manager = "env:.env"
[restrict]
regions = ["us-east-1"]
guard_tag = {{ ManagedBy = "cml-cloud-manager" }}
instance_types = ["m5zn.metal"]
[restrict.images]
us-east-1 = ["ami-0a1b2c3d4e5f60001"]
[manager]
tags = {{ ManagedBy = "{value}" }}
"""
RIGHT, WRONG = SITE.format(value="cml-cloud-manager"), SITE.format(value="lablet-cloud-manager")


def test_the_site_file_says_what_the_application_sends() -> None:
    assert parse_site(RIGHT).application == Application({"ManagedBy": "cml-cloud-manager"})
    both = RIGHT + 'tagged = ["instance", "volume"]\n'
    assert parse_site(both).application.tagged == ("instance", "volume")  # type: ignore[union-attr]


@pytest.mark.parametrize("wrong", ["tags = 1", "tags = {}\ntagged = []", 'tagged = ["snapshot"]'])
def test_another_table_is_refused(wrong: str) -> None:
    with pytest.raises(SiteError):
        parse_site(RIGHT.split("[manager]")[0] + f"[manager]\n{wrong}\n")


def test_a_site_that_does_not_say_it_has_no_such_expectation() -> None:
    site = parse_site(RIGHT.split("[manager]")[0])

    assert not [each for each in derive_expectations(site) if "as-sent" in each.id]


@pytest.mark.parametrize(("site", "code"), [(RIGHT, 0), (WRONG, 3)], ids=["right", "wrong"])
def test_verify_tries_the_launch_as_it_is_sent(
    site: str, code: int, cml_iam: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "cml-iam.toml").write_text(site)

    ran = cml_iam("policy", "verify")

    assert ran.code == code
    assert ("as CML Cloud Manager sends it" in ran.out) == (code == 3)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with start_sandbox() as running:
        yield running


@pytest.mark.long
@pytest.mark.parametrize(
    ("site", "allowed"), [(RIGHT, True), (WRONG, False)], ids=["right", "wrong"]
)
def test_health_foretells_what_becomes_of_the_applications_launch(
    site: str,
    allowed: bool,
    cml_iam: Callable[..., Any],
    tmp_path: Path,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "cml-iam.toml").write_text(site)
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    assert cml_iam("bootstrap", "apply", "--yes").code == 0
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)

    ran = cml_iam("health", "-o", "json")

    (launch,) = [
        check for check in _checks(json.loads(ran.out)) if check["action"] == "ec2:RunInstances"
    ]
    assert (launch["verdict"] == "allowed") == allowed, launch
    assert ("as CML Cloud Manager sends it" in launch["detail"]) == allowed


def _checks(answer: Any) -> list[dict[str, Any]]:
    """Return the checks of the answer, wherever it keeps them."""
    if isinstance(answer, dict):
        found = [answer] if {"action", "verdict"} <= set(answer) else []
        return found + [each for value in answer.values() for each in _checks(value)]
    return [each for value in answer for each in _checks(value)] if isinstance(answer, list) else []
