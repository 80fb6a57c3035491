"""`init` asks on a terminal, and checks each answer when it is given."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from cml_iam.site import load_site


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def asked(cml_iam: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run `init` on a terminal where these lines are typed."""

    def run(*lines: str, options: tuple[str, ...] = ()) -> Any:
        monkeypatch.setattr("sys.stdin", Terminal("\n".join(lines) + "\n"))
        return cml_iam("init", *options)

    return run


DEFAULTS = ("",) * 9
"""Enter at each question after the account."""


def test_enter_takes_what_stands_in_brackets(asked: Any, tmp_path: Path) -> None:
    ran = asked("111122223333", *DEFAULTS)

    site = load_site(tmp_path / "cml-iam.toml")
    assert ran.code == 0, ran.err
    assert site.restrict.regions == ("us-east-1",)
    assert str(site.restrict.guard_tag) == "ManagedBy=lablet-cloud-manager"
    assert site.application
    assert site.application.sends(site.restrict.guard_tag)
    assert site.grant.active == {"detailed_monitoring"}
    assert site.launch_warning is None
    assert site.restrict.instance_types == ("m5zn.metal",)
    assert not site.restrict.other_images
    assert not site.restrict.images
    assert (site.role, site.credentials.manager) == (None, "env:.env")
    assert site.credentials.administrator is None


def test_a_prompt_breaks_no_default_at_80_columns(
    asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cml_iam.cli._output._columns_of", lambda _: 80)

    ran = asked("111122223333", *DEFAULTS)

    assert "`default_tags`)\n  [ManagedBy=lablet-cloud-manager]: " in ran.err


def test_none_leaves_a_restriction_out(asked: Any, tmp_path: Path) -> None:
    ran = asked("111122223333", *(["none"] * 9))

    assert ran.code == 0, ran.err
    assert "`none` omits a restriction" in ran.err
    assert "IAM Roles Anywhere (docs/keyless.md)" in " ".join(ran.err.split())
    site = load_site(tmp_path / "cml-iam.toml")
    assert (site.restrict.active, site.grant.active, site.application) == (set(), set(), None)


def test_images_a_role_and_the_administrator_are_asked_for(asked: Any, tmp_path: Path) -> None:
    image = "us-east-1=ami-0a1b2c3d4e5f60001"
    answers = ("cml-manager", "", "", "", "", "111122223333", image, "no", "profile:admin")
    ran = asked("111122223333", *answers)

    site = load_site(tmp_path / "cml-iam.toml")
    assert ran.code == 0, ran.err
    assert site.restrict.image_owners == ("111122223333",)
    assert site.restrict.images == {"us-east-1": ("ami-0a1b2c3d4e5f60001",)}
    assert (site.role, site.user) == ("cml-manager", None)
    assert not site.grant.active
    assert (site.credentials.manager, site.credentials.administrator) == (None, "profile:admin")


def test_a_wrong_answer_is_said_at_once_and_asked_again(asked: Any, tmp_path: Path) -> None:
    lines = ("12345", "111122223333", "", "US-EAST", "us-esat-1", "nonsense", "Team=cml")
    ran = asked(*lines, "", "", "", "", "perhaps", "no", "")

    assert ran.code == 0, ran.err
    assert "`account.id` must be twelve digits" in ran.err
    assert "did you mean `us-east-1`" in ran.err
    assert "not a tag: `nonsense`" in ran.err
    assert "not yes or no: `perhaps`" in ran.err
    assert str(load_site(tmp_path / "cml-iam.toml").restrict.guard_tag) == "Team=cml"


def test_the_account_of_the_credentials_is_offered(
    asked: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cml_iam.sandbox import start_sandbox

    with start_sandbox() as sandbox:
        for name, value in sandbox.environment().items():
            monkeypatch.setenv(name, value)
        ran = asked("", *DEFAULTS)

    assert ran.code == 0, ran.err
    assert "[111122223333]" in ran.out + ran.err
    assert load_site(tmp_path / "cml-iam.toml").account == "111122223333"


def test_options_name_the_credentials(cml_iam: Any, tmp_path: Path) -> None:
    named = ("--manager", "profile:cml", "--administrator", "env:admin.env")
    ran = cml_iam("init", "--account", "111122223333", *named)

    site = load_site(tmp_path / "cml-iam.toml")
    assert ran.code == 0, ran.err
    assert site.credentials.manager == "profile:cml"
    assert site.credentials.administrator == "env:admin.env"
    assert cml_iam("init", "--force", "--account", "111122223333", "--manager", "cml").code == 2
