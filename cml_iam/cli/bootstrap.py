"""`cml-iam bootstrap`: one file for a few commands each."""

from __future__ import annotations

import click

from cml_iam.cli._lazy import LazyGroup

COMMANDS = {
    "plan": ("cml_iam.cli.bootstrap_apply:plan", "Show what apply would do."),
    "apply": ("cml_iam.cli.bootstrap_apply:apply", "Do what plan shows."),
    "status": ("cml_iam.cli.bootstrap_show:status", "Show how things stand, and the access keys."),
    "drift": ("cml_iam.cli.bootstrap_show:drift", "Say whether the account is as the site says."),
    "render": (
        "cml_iam.cli.bootstrap_show:render",
        "Print the trail and alarms as Terraform, CloudFormation.",
    ),
    "adopt": ("cml_iam.cli.bootstrap_act:adopt", "Take over what is there already."),
    "rollback": ("cml_iam.cli.bootstrap_act:rollback", "Put the former policy in force again."),
    "destroy": ("cml_iam.cli.bootstrap_act:destroy", "Delete the principal and its policies."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def bootstrap() -> None:
    """Create the user or role, its policy and its access key: first plan, then apply."""
