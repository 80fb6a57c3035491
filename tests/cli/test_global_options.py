"""A global option is honoured or refused, never ignored, wherever it stands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
import pytest

from cml_iam.cli._main import cli
from cml_iam.cli._options import flags
from cml_iam.cli.groups import LazyGroup, leaves

if TYPE_CHECKING:
    from pathlib import Path

FLAGS = {
    "site": ("--site", "nowhere.toml"),
    "profile": ("--profile", "nobody"),
    "region": ("--region", "us-east-1"),
    "endpoint_url": ("--endpoint-url", "http://127.0.0.1:9"),
    "output": ("--output", "json"),
    "color": ("--color", "never"),
    "quiet": ("--quiet",),
    "verbose": ("--verbose",),
    "debug": ("--debug",),
    "read_only": ("--read-only",),
    "expect_account": ("--expect-account", "999988887777"),
    "yes": ("--yes",),
    "no_site": ("--no-site",),
    "dry_run": ("--dry-run",),
}


LEAVES = {leaf.words: leaf.command for leaf in leaves(cli)}
HONOURED = {
    name: {
        option
        for option, (flag, *_) in FLAGS.items()
        if flag in flags(command) or option in ("color", "quiet", "debug")
    }
    for name, command in LEAVES.items()
}


def test_the_root_has_exactly_these_options() -> None:
    assert {param.name for param in cli.params} - {"version"} == set(FLAGS)


def test_every_group_is_one_that_looks_at_the_options() -> None:
    def check(group: click.Group) -> None:
        assert isinstance(group, LazyGroup)
        for name in group.list_commands(click.Context(group)):
            child = group.get_command(click.Context(group), name)
            if isinstance(child, click.Group):
                check(child)

    check(cli)


@pytest.mark.parametrize("command", LEAVES)
@pytest.mark.parametrize("option", FLAGS)
def test_an_option_before_a_command_is_honoured_or_refused(
    cml_iam: Any, command: str, option: str
) -> None:
    if option in HONOURED[command]:
        ran = cml_iam(*FLAGS[option], *command.split(), "--help")

        assert ran.code == 0
        return
    ran = cml_iam(*FLAGS[option], *command.split())

    assert ran.code == 2
    assert f"`cml-iam {command}` does not take `{FLAGS[option][0]}`" in ran.err
    assert ran.err.startswith(f"Usage: cml-iam {command} ")


@pytest.mark.parametrize("command", LEAVES)
@pytest.mark.parametrize("option", FLAGS)
def test_an_option_after_a_command_is_known_or_refused(
    cml_iam: Any, command: str, option: str
) -> None:
    if command in ("key exec", "sandbox run"):
        pytest.skip("what follows is another program's command line")
    words = command.split()
    if option in HONOURED[command]:
        assert cml_iam(*words, *FLAGS[option], "--help").code == 0
        return
    ran = cml_iam(*words, *FLAGS[option])

    assert ran.code == 2
    assert f"`cml-iam {command}` does not take `{FLAGS[option][0]}`" in ran.err


def test_what_changes_aws_takes_dry_run_read_only_and_expect_account() -> None:
    for name, honoured in HONOURED.items():
        if "profile" in honoured:
            assert {"read_only", "expect_account", "endpoint_url"} <= honoured, name
        if "yes" in honoured or name in ("init", "key resume", "key rollback", "worker create"):
            assert "dry_run" in honoured, name


def test_a_dry_run_of_init_prints_the_file_and_writes_none(cml_iam: Any, tmp_path: Path) -> None:
    for words in (("--dry-run", "init"), ("init", "--dry-run")):
        ran = cml_iam(*words, "--account", "111122223333")

        assert ran.code == 0
        assert 'id = "111122223333"' in ran.out
        assert list(tmp_path.iterdir()) == []


def test_a_dry_run_of_fix_says_what_it_would_correct(cml_iam: Any, tmp_path: Path) -> None:
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "allow", "Action": "ec2:StopInstances", "Resource": "*"}],
    }
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(policy))
    before = path.read_bytes()

    for words in (("--dry-run", "policy", "lint"), ("policy", "lint", "--dry-run")):
        ran = cml_iam(*words, "--fix", path)

        assert "would correct" in ran.out
        assert path.read_bytes() == before
    assert cml_iam("policy", "lint", "--dry-run", path).code == 2


@pytest.mark.parametrize("command", ["policy verify", "audit"])
@pytest.mark.parametrize("option", ["profile", "region", "endpoint_url", "expect_account"])
def test_offline_an_option_about_aws_is_refused(
    cml_iam: Any, tmp_path: Path, command: str, option: str
) -> None:
    (tmp_path / "cml-iam.toml").write_text('[account]\nid = "111122223333"\n')

    for words in ((*FLAGS[option], *command.split()), (*command.split(), *FLAGS[option])):
        ran = cml_iam(*words)

        assert (ran.code, ran.out) == (2, "")
        assert f"{FLAGS[option][0]}: this command calls AWS only with --live" in ran.err


def test_the_document_is_named_alike_by_every_command(cml_iam: Any, tmp_path: Path) -> None:
    from tests.site.test_site import EXAMPLE

    (tmp_path / "cml-iam.toml").write_text(EXAMPLE)
    named = ("--document", "base")
    action = ("ec2:TerminateInstances", "--context", "aws:RequestedRegion=eu-west-1")

    assert '"Sid": "' in cml_iam("policy", "render", *named).out
    assert cml_iam("policy", "verify").code == 0
    assert cml_iam("policy", "verify", *named).code == 3
    assert cml_iam("policy", "prove").code == 0
    assert cml_iam("policy", "prove", *named).code == 3
    assert "allowed" in cml_iam("policy", "explain", *action, *named).out.splitlines()[0]
    assert "allowed" not in cml_iam("policy", "explain", *action).out.splitlines()[0]
    assert "<base>:" in cml_iam("policy", "lint", *named, "--fail-on", "info").out
    assert "1 policy" in cml_iam("policy", "lint").out
    for taking_files in ("verify", "lint", "prove"):
        assert cml_iam("policy", taking_files, "some.json", *named).code == 2
