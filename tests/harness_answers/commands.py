"""Every command that speaks to AWS, read off the command line itself, and how each is run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cml_iam.cli._main import cli
from cml_iam.cli.groups import leaves

if TYPE_CHECKING:
    import click

_WORKER: Final = "i-0a1b2c3d4e5f60718"

ARGUMENTS: Final[dict[str, tuple[str, ...]]] = {
    "policy verify": ("--live",),
    "audit": ("--live",),
    "bootstrap apply": ("--yes",),
    "bootstrap adopt": ("--yes",),
    "bootstrap rollback": ("--yes",),
    "bootstrap destroy": ("--yes",),
    "key rotate": ("--yes",),
    "key revoke": ("OLD_KEY", "--yes"),
    "key delete": ("OLD_KEY", "--yes"),
    "key deliver": ("--to", "env:other.env", "--yes"),
    "key exec": ("--from", "ssm:/cml/key", "--", "true"),
    "key credential-process": ("--from", "ssm:/cml/key"),
    "key print": ("--from", "ssm:/cml/key", "--as", "kubernetes", "--unsafe-stdout"),
    "worker create": ("lab-1", "--image", "ami-0a1b2c3d4e5f60001"),
    "worker show": ("lab-1",),
    "worker start": ("lab-1",),
    "worker stop": ("lab-1", "--yes"),
    "worker terminate": ("lab-1", "--yes"),
    "worker tag": ("lab-1", "-t", "Stage=test"),
    "worker untag": ("lab-1", "-t", "Stage"),
    "worker wait": ("lab-1", "--timeout", "1s"),
    "worker watch": ("--count", "1"),
    "worker adopt": (_WORKER, "--yes"),
    "worker images": ("cml-*",),
}
"""What a command needs to ask AWS something; OLD_KEY stands for the id of a key that exists."""


def commands() -> tuple[str, ...]:
    """Return the name of every command that takes `--endpoint-url`: those that speak to AWS."""
    return tuple(leaf.words for leaf in leaves(cli) if _asks(leaf.command))


def wanting() -> tuple[str, ...]:
    """Return the commands that need an argument but have none in `ARGUMENTS`."""
    return tuple(
        name
        for name, _, command in leaves(cli)
        if _asks(command)
        and name not in ARGUMENTS
        and any(param.required for param in command.params)
    )


def _asks(command: click.Command) -> bool:
    return any(param.name == "endpoint_url" for param in command.params)
