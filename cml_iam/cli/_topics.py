"""`cml-iam help`: the exit codes, whose credential is used, and the help of any command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from cml_iam.cli._exit import MEANING

if TYPE_CHECKING:
    from collections.abc import Sequence

CREDENTIALS: Final = """\
The credential of a command, the first of these that is there:
  1. --profile NAME
  2. the environment: AWS_ACCESS_KEY_ID, AWS_PROFILE, or a web identity
  3. [credentials] of the site file: `manager` for worker, health, serve and doctor,
     `administrator` for bootstrap, key, worker adopt, policy verify --live and audit --live
  4. what the AWS SDK finds: the profile `default`, the container's role, the instance's role

Each is "profile:NAME", or "env:PATH" with a path relative to the site file:
  [credentials]
  manager = "env:.env"
  administrator = "profile:admin"

The region, the first of these that is there:
  1. --region NAME
  2. AWS_REGION or AWS_DEFAULT_REGION, if the site allows that region
  3. the first region of the site file
  4. without a site file: that of the AWS profile, else us-east-1
Commands that list workers look into every region of the site, unless --region names one.

The account of the credential must be that of the site file, and of --expect-account.
"""
"""Which credential and which region a command takes; docs/credentials.md holds the same text."""


def exit_codes() -> str:
    """Return the table of the exit codes."""
    return "".join(f"{code.value:>3}  {meaning}\n" for code, meaning in MEANING.items())


@click.command("help")
@click.argument("words", nargs=-1, metavar="[TOPIC | COMMAND...]")
@click.pass_context
def topics(context: click.Context, words: tuple[str, ...]) -> None:
    """Print a topic, exit-codes or credentials, or the help of a command."""
    texts = {"exit-codes": exit_codes(), "credentials": CREDENTIALS}
    if not words:
        click.echo(f"topics: {', '.join(texts)}; or name a command: cml-iam help worker create")
    elif len(words) == 1 and words[0] in texts:
        click.echo(texts[words[0]], nl=False)
    else:
        click.echo(_help_of(context, words, tuple(texts)))


def _help_of(context: click.Context, words: Sequence[str], known: Sequence[str]) -> str:
    """Return the help of the command that *words* name; raises UsageError."""
    parent = context.find_root()
    for index, word in enumerate(words):
        group = parent.command
        command = group.get_command(parent, word) if isinstance(group, click.Group) else None
        if command is None:
            named = " ".join(words[: index + 1])
            raise click.UsageError(
                f"no topic and no command: `{named}` (topics: {', '.join(known)})", context
            )
        parent = click.Context(command, info_name=word, parent=parent)
    return parent.get_help()
