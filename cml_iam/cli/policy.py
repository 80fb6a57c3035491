"""`cml-iam policy`: one file for each command below it."""

from __future__ import annotations

import click

from cml_iam.cli._lazy import LazyGroup

COMMANDS = {
    "render": ("cml_iam.cli.policy_render:render", "Print the policy of a site as JSON."),
    "lint": ("cml_iam.cli.policy_lint:lint", "Find what is wrong with policy files."),
    "rules": ("cml_iam.cli.policy_rules:rules", "Explain the rules of lint, offline."),
    "verify": ("cml_iam.cli.policy_verify:verify", "Prove each permission, offline or live."),
    "prove": ("cml_iam.cli.policy_prove:prove", "Prove what policies can never permit."),
    "who-can": ("cml_iam.cli.policy_who_can:who_can", "List who of an account may do something."),
    "explain": ("cml_iam.cli.policy_explain:explain", "Say why a request is allowed or refused."),
    "diff": ("cml_iam.cli.policy_diff:diff", "Say what a policy means that another does not."),
    "history": ("cml_iam.cli.policy_history:history", "List the versions of the policy."),
    "documents": ("cml_iam.cli.policy_render:documents", "List the documents of a site."),
    "permissions": ("cml_iam.cli.policy_render:permissions", "Print the permission tables."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def policy() -> None:
    """Render, lint, verify and explain policies."""
