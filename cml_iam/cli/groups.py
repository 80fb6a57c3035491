"""The groups `policy`, `bootstrap`, `key` and `worker`; their commands are imported on call."""

from __future__ import annotations

import click

from cml_iam.cli._lazy import LazyGroup

POLICY = {
    "render": ("cml_iam.cli.policy_render:render", "Print the policy of a site as JSON."),
    "lint": ("cml_iam.cli.policy_lint:lint", "Find faults in policy files."),
    "rules": ("cml_iam.cli.policy_rules:rules", "List and explain the lint rules."),
    "verify": (
        "cml_iam.cli.policy_verify:verify",
        "Check that a policy grants and denies what it must.",
    ),
    "prove": ("cml_iam.cli.policy_prove:prove", "Prove what policies can never permit."),
    "who-can": ("cml_iam.cli.policy_who_can:who_can", "List who in an account may do something."),
    "explain": (
        "cml_iam.cli.policy_explain:explain",
        "Explain why a request is allowed or denied.",
    ),
    "diff": ("cml_iam.cli.policy_diff:diff", "Show what one policy allows that another does not."),
    "history": ("cml_iam.cli.policy_history:history", "List the versions of the policy."),
    "documents": ("cml_iam.cli.policy_render:documents", "List the documents that a site renders."),
    "permissions": ("cml_iam.cli.policy_render:permissions", "Print the tables of permissions."),
}


@click.group(cls=LazyGroup, lazy=POLICY)
def policy() -> None:
    """Render, lint, verify and explain policies."""


BOOTSTRAP = {
    "plan": ("cml_iam.cli.bootstrap_apply:plan", "Show what apply would change."),
    "apply": ("cml_iam.cli.bootstrap_apply:apply", "Make the changes that plan shows."),
    "status": ("cml_iam.cli.bootstrap_show:status", "Show what exists, and the access keys."),
    "drift": ("cml_iam.cli.bootstrap_show:drift", "Show how the account differs from the site."),
    "render": (
        "cml_iam.cli.bootstrap_show:render",
        "Print the trail and alarms as Terraform or CloudFormation.",
    ),
    "adopt": ("cml_iam.cli.bootstrap_apply:adopt", "Take over an existing user, role or policy."),
    "rollback": (
        "cml_iam.cli.bootstrap_apply:rollback",
        "Restore the previous version of the policy.",
    ),
    "destroy": (
        "cml_iam.cli.bootstrap_apply:destroy",
        "Delete the user or role, its keys and its policies.",
    ),
}


@click.group(cls=LazyGroup, lazy=BOOTSTRAP)
def bootstrap() -> None:
    """Create the user or role, its policy and its access key: first plan, then apply."""


KEY = {
    "list": (
        "cml_iam.cli.key_list:list_keys",
        "List the access keys with age, last use and due date.",
    ),
    "rotate": ("cml_iam.cli.key_rotate:rotate", "Replace the access key."),
    "resume": ("cml_iam.cli.key_rotate:resume", "Resume an interrupted or waiting rotation."),
    "rollback": ("cml_iam.cli.key_rotate:rollback", "Undo the rotation in progress."),
    "status": ("cml_iam.cli.key_rotate:status", "Show the phase of a rotation."),
    "revoke": ("cml_iam.cli.key_list:revoke", "Deactivate a leaked key immediately."),
    "delete": ("cml_iam.cli.key_list:delete", "Delete an inactive access key."),
    "deliver": ("cml_iam.cli.key_deliver:deliver", "Write one working key to several stores."),
    "exec": ("cml_iam.cli.key_deliver:execute", "Run a command with the key in its environment."),
    "credential-process": (
        "cml_iam.cli.key_deliver:credential_process",
        "Print the key in the format AWS SDKs expect.",
    ),
    "print": (
        "cml_iam.cli.key_deliver:print_key",
        "Print the key as a Kubernetes manifest or shell exports.",
    ),
}


@click.group(cls=LazyGroup, lazy=KEY)
def key() -> None:
    """List, rotate, deliver and revoke the access keys of the site's user."""


WORKER = {
    "create": ("cml_iam.cli.worker_create:create", "Launch a worker."),
    "list": ("cml_iam.cli.worker_show:list_workers", "List the workers of all regions."),
    "show": ("cml_iam.cli.worker_show:show", "Show the details of a worker."),
    "start": ("cml_iam.cli.worker_act:start", "Start stopped workers."),
    "stop": ("cml_iam.cli.worker_act:stop", "Stop running workers."),
    "terminate": ("cml_iam.cli.worker_act:terminate", "Terminate workers permanently."),
    "tag": ("cml_iam.cli.worker_act:tag", "Add or change tags on workers."),
    "untag": ("cml_iam.cli.worker_act:untag", "Remove tags from workers."),
    "status": ("cml_iam.cli.worker_show:status", "Show the EC2 status checks of workers."),
    "wait": ("cml_iam.cli.worker_wait:wait", "Wait until workers reach a state."),
    "metrics": (
        "cml_iam.cli.worker_metrics:metrics",
        "Show the CPU, memory, network and disk use of workers.",
    ),
    "watch": ("cml_iam.cli.worker_watch:watch", "Show a live table of the workers."),
    "idle": ("cml_iam.cli.worker_idle:idle", "Find running workers that are not in use."),
    "orphans": ("cml_iam.cli.worker_orphans:orphans", "Find CML instances without the guard tag."),
    "adopt": ("cml_iam.cli.worker_orphans:adopt", "Tag existing instances as workers."),
    "images": ("cml_iam.cli.worker_show:images", "List images by name, newest first."),
}


@click.group(cls=LazyGroup, lazy=WORKER)
def worker() -> None:
    """Create and operate workers: EC2 instances that carry the guard tag."""
