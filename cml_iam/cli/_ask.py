"""Confirmation before a change; every question names the account, identity and region."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from cml_iam.cli._output import complain
from cml_iam.cli._settings import settings
from cml_iam.errors import InputError
from cml_iam.visible import one_line

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws


def agreed(aws: Aws, question: str) -> bool:
    """Ask *question* unless --yes was given; raises InputError if no terminal can answer."""
    if not _asks(aws, question):
        return True
    return click.confirm(one_line(question), err=True)


def typed(aws: Aws, words: str, purpose: str) -> bool:
    """Make the user type *words* for *purpose*, unless --yes was given; raises as `agreed`."""
    question = f"type `{words}` {purpose}"
    if not _asks(aws, question):
        return True
    given: str = click.prompt(one_line(question), default="", show_default=False, err=True)
    return given == words


def _asks(aws: Aws, question: str) -> bool:
    """Print where the change would be made, and return whether confirmation is required."""
    if settings().yes:
        return False
    if not sys.stdin.isatty():
        raise InputError(
            f"confirmation required, but stdin is not a terminal: {question}",
            remedy="add --yes, or --dry-run if the command has it",
        )
    identity = aws.identity()
    where = f" in {aws.region}" if aws.region else ""
    complain(f"account {identity.account}, as {identity.arn}{where}")
    return True
