"""The groups `policy`, `bootstrap`, `key` and `worker`, and how a group creates its commands.

A command is a function with options. Its group turns it into a `Command` with the name in the
group's table, and imports it only when it is called, to keep `--help` fast.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from inspect import cleandoc
from typing import Any, NamedTuple

import click

from cml_iam.cli._options import HelpContext, common_options, flags, refuse_ignored, write_options


class Command(click.Command):
    """A command with the common options; its help lists the options under headings."""

    context_class = HelpContext

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # click joins the lines of a paragraph unless a backspace precedes it.
        self.help = cleandoc(self.help or "").replace("\n\nExamples:\n", "\n\n\b\nExamples:\n")
        self.params += [option for option in common_options() if option.opts[-1] not in flags(self)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the command's own options first, then the shared ones."""
        write_options(self, formatter)


class LazyGroup(click.Group):
    """*lazy* maps a command's name to (`module:attribute`, one line of help).

    The module is one of this package; the attribute is a group, a command, or a command's function.
    """

    command_class = Command
    context_class = HelpContext

    def __init__(self, *args: Any, lazy: dict[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in declaration order."""
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return the command *cmd_name*, or None if there is none."""
        return self.command_named(cmd_name) if cmd_name in self.lazy else None

    def command_named(self, name: str) -> click.Command:
        """Import and return the command *name*, which must exist in this group."""
        if name not in self.commands:
            module, _, attribute = self.lazy[name][0].partition(":")
            written = getattr(import_module(f"cml_iam.cli.{module}"), attribute)
            is_command = isinstance(written, click.Command)
            self.add_command(written if is_command else self.command(name)(written), name)
        return self.commands[name]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options as those of a command, and then the commands."""
        write_options(self, formatter)
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.lazy.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Like click, but suggest the closest name in the error."""
        unknown = args and args[0] not in self.lazy and not args[0].startswith("-")
        if unknown and not ctx.resilient_parsing:
            from cml_iam.policy import did_you_mean

            hint = did_you_mean(args[0], self.lazy) or f"one of: {', '.join(self.lazy)}"
            ctx.fail(f"no such command: `{args[0]}` ({hint})")
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None:
            refuse_ignored(ctx, command, name)
        return name, command, rest


class Leaf(NamedTuple):
    """A command that is not a group: its *words* after `cml-iam`, and its one-line help."""

    words: str
    summary: str
    command: click.Command


def leaves(group: click.Command, before: tuple[str, ...] = ()) -> Iterator[Leaf]:
    """Yield every command below *group* in the order of the help; imports them all."""
    if not isinstance(group, LazyGroup):
        return
    for name, (_, summary) in group.lazy.items():
        command, words = group.command_named(name), (*before, name)
        if isinstance(command, LazyGroup):
            yield from leaves(command, words)
        else:
            yield Leaf(" ".join(words), summary, command)


POLICY = {
    "render": ("policy_render:render", "Print the policy of a site as JSON."),
    "lint": ("policy_lint:lint", "Find faults in policy files."),
    "rules": ("policy_lists:rules", "List and explain the lint rules."),
    "verify": ("policy_verify:verify", "Check that a policy grants and denies what it must."),
    "prove": ("policy_prove:prove", "Prove what policies can never permit."),
    "who-can": ("policy_explain:who_can", "List who in an account may do something."),
    "explain": ("policy_explain:explain", "Explain why a request is allowed or denied."),
    "diff": ("policy_diff:diff", "Show what one policy allows that another does not."),
    "history": ("policy_lists:history", "List the versions of the policy."),
    "documents": ("policy_lists:documents", "List the documents that a site renders."),
    "permissions": ("policy_lists:permissions", "Print the tables of permissions."),
}


@click.group(cls=LazyGroup, lazy=POLICY)
def policy() -> None:
    """Render, lint, verify and explain policies."""


BOOTSTRAP = {
    "plan": ("bootstrap:plan", "Show what apply would change."),
    "apply": ("bootstrap:apply", "Make the changes that plan shows."),
    "status": ("bootstrap_show:status", "Show what exists, and the access keys."),
    "drift": ("bootstrap_show:drift", "Show how the account differs from the site."),
    "render": (
        "bootstrap_show:render",
        "Print the trail and alarms as Terraform or CloudFormation.",
    ),
    "adopt": ("bootstrap:adopt", "Take over an existing user, role or policy."),
    "rollback": ("bootstrap:rollback", "Restore the previous version of the policy."),
    "destroy": ("bootstrap:destroy", "Delete the user or role, its keys and its policies."),
}


@click.group(cls=LazyGroup, lazy=BOOTSTRAP)
def bootstrap() -> None:
    """Create the user or role, its policy and its access key: first plan, then apply."""


KEY = {
    "list": ("key:list_keys", "List the access keys with age, last use and due date."),
    "rotate": ("key:rotate", "Replace the access key."),
    "resume": ("key:resume", "Resume an interrupted or waiting rotation."),
    "rollback": ("key:rollback", "Undo the rotation in progress."),
    "status": ("key:status", "Show the phase of a rotation."),
    "revoke": ("key:revoke", "Deactivate a leaked key immediately."),
    "delete": ("key:delete", "Delete an inactive access key."),
    "deliver": ("key_deliver:deliver", "Write one working key to several stores."),
    "exec": ("key_deliver:execute", "Run a command with the key in its environment."),
    "credential-process": (
        "key_deliver:credential_process",
        "Print the key in the format AWS SDKs expect.",
    ),
    "print": ("key_deliver:print_key", "Print the key as a Kubernetes manifest or shell exports."),
}


@click.group(cls=LazyGroup, lazy=KEY)
def key() -> None:
    """List, rotate, deliver and revoke the access keys of the site's user."""


WORKER = {
    "create": ("worker_create:create", "Launch a worker."),
    "list": ("worker_show:list_workers", "List the workers of all regions."),
    "show": ("worker_show:show", "Show the details of a worker."),
    "start": ("worker_act:start", "Start stopped workers."),
    "stop": ("worker_act:stop", "Stop running workers."),
    "terminate": ("worker_act:terminate", "Terminate workers permanently."),
    "tag": ("worker_act:tag", "Add or change tags on workers."),
    "untag": ("worker_act:untag", "Remove tags from workers."),
    "status": ("worker_show:status", "Show the EC2 status checks of workers."),
    "wait": ("worker_act:wait", "Wait until workers reach a state."),
    "metrics": ("worker_metrics:metrics", "Show the CPU, memory, network and disk use of workers."),
    "watch": ("worker_metrics:watch", "Show a live table of the workers."),
    "idle": ("worker_find:idle", "Find running workers that are not in use."),
    "orphans": ("worker_find:orphans", "Find CML instances without the guard tag."),
    "adopt": ("worker_find:adopt", "Tag existing instances as workers."),
    "images": ("worker_show:images", "List images by name, newest first."),
}


@click.group(cls=LazyGroup, lazy=WORKER)
def worker() -> None:
    """Create and operate workers: EC2 instances that carry the guard tag."""
