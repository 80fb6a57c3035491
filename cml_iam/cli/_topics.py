"""`cml-iam help`: the topics, and the help of any command."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from typing import Final

import click
from click.shell_completion import CompletionItem

from cml_iam.cli._exit import MEANING
from cml_iam.cli._output import fitted
from cml_iam.cli.groups import leaves

CREDENTIALS: Final = """\
A command uses the first of these credentials that exists:
  1. --profile NAME
  2. the environment: AWS_ACCESS_KEY_ID, AWS_PROFILE, or a web identity
  3. [credentials] of the site file:
     `manager` for worker, health, serve and doctor
     `administrator` for bootstrap, key, worker adopt, policy verify --live and
     audit --live
  4. what the AWS SDK finds: the profile `default`, the container's role, the
     instance's role

In the site file, a credential is "profile:NAME", or "env:PATH" with a path
relative to the file:
  [credentials]
  manager = "env:.env"
  administrator = "profile:admin"

A command uses the first of these regions that is set:
  1. --region NAME
  2. AWS_REGION or AWS_DEFAULT_REGION, if the site allows that region
  3. the first region of the site file
  4. without a site file: the region of the AWS profile, else us-east-1
Commands that list workers search every region of the site, unless --region
names one.

The credential must belong to the account of the site file, and to
--expect-account.
"""
"""Which credential and which region a command uses; docs/credentials.md holds the same text."""

ENVIRONMENT: Final = """\
cml-iam reads these environment variables:
  CML_IAM_SITE            the site file, as --site
  CML_IAM_OUTPUT          the output format, as --output: text or json
  CML_IAM_READ_ONLY       1 refuses every call that would change anything, as
                          --read-only
  CML_IAM_DEBUG           1 shows a traceback on an internal error, as --debug
  CML_IAM_SERVE_TOKEN     the token that clients of `serve` must send
  CML_IAM_CML_USER        the CML user with which `worker idle` reads the labs
  CML_IAM_CML_PASSWORD    the password of that user
  NO_COLOR                if set, turns colours off
  SOURCE_DATE_EPOCH       the time of an audit report, in seconds since 1970
  XDG_STATE_HOME          the parent of the state folder `cml-iam`
                          (default ~/.local/state)

The AWS SDK reads its own variables, among them:
  AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_PROFILE
  AWS_REGION, AWS_DEFAULT_REGION, AWS_ENDPOINT_URL
  AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE, AWS_CA_BUNDLE
  HTTPS_PROXY, NO_PROXY
See also: cml-iam help credentials
"""

CONFIGURATION: Final = """\
The value of a setting comes from the first of these that sets it:
  1. an option; the common options may stand before or after the command
  2. the environment variable that --help names beside the option
  3. the site file
  4. the default that --help names

The site file is the one that --site names, else CML_IAM_SITE, else cml-iam.toml
in the current folder. `cml-iam init` writes it. Credentials and regions have
their own order: cml-iam help credentials
"""

COMPLETION: Final = """\
To complete commands and options with the Tab key, add one line to your shell's
startup file:
  bash (~/.bashrc, bash 4.4 or newer):
    eval "$(_CML_IAM_COMPLETE=bash_source cml-iam)"
  zsh (~/.zshrc, after compinit):
    eval "$(_CML_IAM_COMPLETE=zsh_source cml-iam)"
  fish (~/.config/fish/completions/cml-iam.fish):
    _CML_IAM_COMPLETE=fish_source cml-iam | source
Then start a new shell.

`worker` commands complete the names and IDs of the workers that the last
`cml-iam worker list` without filters showed for the same site file. Completion
never calls AWS. The list is kept in ~/.local/state/cml-iam/names, or below
XDG_STATE_HOME.
"""


def commands(group: click.Command) -> str:
    """Return one line for each command of *group*: its name and its summary."""
    rows = [(leaf.words, leaf.summary) for leaf in leaves(group)]
    width = max(len(words) for words, _ in rows)
    return "".join(f"{words:<{width}}  {text}\n" for words, text in rows)


TOPICS: Final[dict[str, tuple[str, str | Callable[[click.Command], str]]]] = {
    "commands": ("every command in one list", commands),
    "completion": ("completion in bash, zsh and fish", COMPLETION),
    "configuration": ("where settings come from, and which one takes precedence", CONFIGURATION),
    "credentials": ("which credential and region a command uses", CREDENTIALS),
    "environment": ("the environment variables", ENVIRONMENT),
    "exit-codes": (
        "what each exit code means",
        "".join(f"{code.value:>3}  {meaning}\n" for code, meaning in MEANING.items()),
    ),
}
"""The topics by name: a summary, and the text or a function of the root command that returns it."""


def complete_words(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the topics and commands that *incomplete* can become, after the words given."""
    given: Sequence[str] = context.params.get(parameter.name or "") or ()
    group: click.Command | None = context.find_root().command
    for word in given:
        group = group.get_command(context, word) if isinstance(group, click.Group) else None
    commands_here = group.list_commands(context) if isinstance(group, click.Group) else []
    words = sorted({*commands_here, *(() if given else TOPICS)})
    return [CompletionItem(word) for word in words if word.startswith(incomplete)]


@click.argument("words", nargs=-1, metavar="[TOPIC | COMMAND...]", shell_complete=complete_words)
@click.pass_context
def topics(context: click.Context, words: tuple[str, ...]) -> None:
    """Show a help topic, or the help of a command.

    Without an argument, lists the topics.

    Examples:
      cml-iam help environment
      cml-iam help worker create
    """
    if not words:
        click.echo("Topics:")
        for name, (about, _) in TOPICS.items():
            click.echo(f"  {name:<14} {about}")
        click.echo("\nUse `cml-iam help TOPIC`, or name a command: cml-iam help worker create")
    elif len(words) == 1 and words[0] in TOPICS:
        text = TOPICS[words[0]][1]
        if callable(text):
            text = text(context.find_root().command)
        for line in text.splitlines():
            # A row of two columns goes on below its second one.
            row = re.match(r" *\S+(?: \S+)* {2,}(?=\S)", line)
            click.echo(fitted(line, sys.stdout, hanging=row.end() if row else None))
    else:
        click.echo(_help_of(context, words))


def _help_of(context: click.Context, words: Sequence[str]) -> str:
    """Return the help of the command named by *words*; raises UsageError."""
    parent = context.find_root()
    for index, word in enumerate(words):
        group = parent.command
        command = group.get_command(parent, word) if isinstance(group, click.Group) else None
        if command is None:
            named = " ".join(words[: index + 1])
            raise click.UsageError(
                f"no such topic or command: `{named}` (topics: {', '.join(TOPICS)})", context
            )
        parent = command.context_class(command, info_name=word, parent=parent)
    return parent.get_help()
