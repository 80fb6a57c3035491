"""`cml-iam key`: the access keys of the site's user; one file for each kind of command."""

from __future__ import annotations

import click

from cml_iam.cli._lazy import LazyGroup

COMMANDS = {
    "list": ("cml_iam.cli.key_list:list_keys", "List the keys: age, last use, due date, stores."),
    "rotate": ("cml_iam.cli.key_rotate:rotate", "Replace the key, step by step."),
    "resume": ("cml_iam.cli.key_rotate:resume", "Go on with a rotation."),
    "rollback": ("cml_iam.cli.key_rotate:rollback", "Undo the rotation under way."),
    "status": ("cml_iam.cli.key_rotate:status", "Show which phase a rotation is in."),
    "revoke": ("cml_iam.cli.key_revoke:revoke", "Make a leaked key inactive at once."),
    "delete": ("cml_iam.cli.key_revoke:delete", "Delete an inactive key."),
    "deliver": ("cml_iam.cli.key_deliver:deliver", "Put one working key into several stores."),
    "exec": ("cml_iam.cli.key_hand:execute", "Run a command with the key in its environment."),
    "credential-process": ("cml_iam.cli.key_hand:credential_process", "Answer an AWS SDK."),
    "print": ("cml_iam.cli.key_hand:print_key", "Print a manifest for kubectl, or shell exports."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def key() -> None:
    """List, rotate, deliver and revoke the access keys of the site's user."""
