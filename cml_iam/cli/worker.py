"""`cml-iam worker`: one file for each kind of command below it."""

from __future__ import annotations

import click

from cml_iam.cli._lazy import LazyGroup

COMMANDS = {
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
    "adopt": ("cml_iam.cli.worker_adopt:adopt", "Put the guard tag on instances."),
    "images": ("cml_iam.cli.worker_images:images", "Find images by name, the newest first."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def worker() -> None:
    """Run the workers: EC2 instances that carry the guard tag."""
