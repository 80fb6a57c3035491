"""The groups `policy`, `bootstrap`, `key` and `worker`, whose commands are imported when called."""

from __future__ import annotations

import click

from cml_iam.cli._lazy import LazyGroup

POLICY = {
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


@click.group(cls=LazyGroup, lazy=POLICY)
def policy() -> None:
    """Render, lint, verify and explain policies."""


BOOTSTRAP = {
    "plan": ("cml_iam.cli.bootstrap_apply:plan", "Show what apply would do."),
    "apply": ("cml_iam.cli.bootstrap_apply:apply", "Do what plan shows."),
    "status": ("cml_iam.cli.bootstrap_show:status", "Show how things stand, and the access keys."),
    "drift": ("cml_iam.cli.bootstrap_show:drift", "Say whether the account is as the site says."),
    "render": (
        "cml_iam.cli.bootstrap_show:render",
        "Print the trail and alarms as Terraform, CloudFormation.",
    ),
    "adopt": ("cml_iam.cli.bootstrap_apply:adopt", "Take over what is there already."),
    "rollback": ("cml_iam.cli.bootstrap_apply:rollback", "Put the former policy in force again."),
    "destroy": ("cml_iam.cli.bootstrap_apply:destroy", "Delete the principal and its policies."),
}


@click.group(cls=LazyGroup, lazy=BOOTSTRAP)
def bootstrap() -> None:
    """Create the user or role, its policy and its access key: first plan, then apply."""


KEY = {
    "list": ("cml_iam.cli.key_list:list_keys", "List the keys: age, last use, due date, stores."),
    "rotate": ("cml_iam.cli.key_rotate:rotate", "Replace the key, step by step."),
    "resume": ("cml_iam.cli.key_rotate:resume", "Go on with a rotation."),
    "rollback": ("cml_iam.cli.key_rotate:rollback", "Undo the rotation under way."),
    "status": ("cml_iam.cli.key_rotate:status", "Show which phase a rotation is in."),
    "revoke": ("cml_iam.cli.key_list:revoke", "Make a leaked key inactive at once."),
    "delete": ("cml_iam.cli.key_list:delete", "Delete an inactive key."),
    "deliver": ("cml_iam.cli.key_deliver:deliver", "Put one working key into several stores."),
    "exec": ("cml_iam.cli.key_deliver:execute", "Run a command with the key in its environment."),
    "credential-process": ("cml_iam.cli.key_deliver:credential_process", "Answer an AWS SDK."),
    "print": (
        "cml_iam.cli.key_deliver:print_key",
        "Print a manifest for kubectl, or shell exports.",
    ),
}


@click.group(cls=LazyGroup, lazy=KEY)
def key() -> None:
    """List, rotate, deliver and revoke the access keys of the site's user."""


WORKER = {
    "create": ("cml_iam.cli.worker_create:create", "Launch a worker."),
    "list": ("cml_iam.cli.worker_show:list_workers", "List the workers of all regions."),
    "show": ("cml_iam.cli.worker_show:show", "Print everything EC2 says of a worker."),
    "start": ("cml_iam.cli.worker_act:start", "Start stopped workers."),
    "stop": ("cml_iam.cli.worker_act:stop", "Stop running workers."),
    "terminate": ("cml_iam.cli.worker_act:terminate", "Terminate workers permanently."),
    "tag": ("cml_iam.cli.worker_act:tag", "Add tags to workers, or change them."),
    "untag": ("cml_iam.cli.worker_act:untag", "Remove tags from workers."),
    "status": ("cml_iam.cli.worker_show:status", "Print EC2's status checks of workers."),
    "wait": ("cml_iam.cli.worker_wait:wait", "Wait until workers reach a state."),
    "metrics": ("cml_iam.cli.worker_metrics:metrics", "Print how busy workers were."),
    "watch": ("cml_iam.cli.worker_watch:watch", "Keep a table of the workers up to date."),
    "idle": ("cml_iam.cli.worker_idle:idle", "Find running workers that nobody uses."),
    "orphans": ("cml_iam.cli.worker_orphans:orphans", "Find CML instances that are no workers."),
    "adopt": ("cml_iam.cli.worker_orphans:adopt", "Put the guard tag on instances."),
    "images": ("cml_iam.cli.worker_show:images", "Find images by name, the newest first."),
}


@click.group(cls=LazyGroup, lazy=WORKER)
def worker() -> None:
    """Run the workers: EC2 instances that carry the guard tag."""
