"""Every command and every option of bootstrap stands in its page."""

from __future__ import annotations

import click
import pytest

from cml_iam.cli.groups import BOOTSTRAP, bootstrap
from tests.conftest import REPOSITORY

PAGE = REPOSITORY / "docs" / "bootstrap.md"


@pytest.mark.parametrize("name", BOOTSTRAP)
def test_a_command_is_described(name: str) -> None:
    assert f"`cml-iam bootstrap {name}" in PAGE.read_text("utf-8")


@pytest.mark.parametrize(
    "option",
    [
        "boundary",
        "guard",
        "trust",
        "only",
        "save",
        "to",
        "policy",
        "with",
        "hours",
        "timezone",
        "alert-email",
    ],
)
def test_an_option_is_described(option: str) -> None:
    assert f"--{option}" in PAGE.read_text("utf-8")


def test_every_command_is_there() -> None:
    context = click.Context(bootstrap)

    for name in BOOTSTRAP:
        assert isinstance(bootstrap.get_command(context, name), click.Command)
