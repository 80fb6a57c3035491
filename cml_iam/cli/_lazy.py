"""A group that imports a command only when it is called, to keep `--help` fast."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from cml_iam.cli._settings import prepare

if TYPE_CHECKING:
    from collections.abc import Iterator


class LazyGroup(click.Group):
    """*lazy* maps a command's name to (`module:attribute`, one line of help)."""

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
        module, _, attribute = self.lazy[name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.lazy.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Do as click does, and suggest the closest name in the error."""
        from cml_iam.policy import did_you_mean

        unknown = args and args[0] not in self.lazy and not args[0].startswith("-")
        if unknown and not ctx.resilient_parsing:
            hint = did_you_mean(args[0], self.lazy) or f"one of: {', '.join(self.lazy)}"
            ctx.fail(f"no such command: `{args[0]}` ({hint})")
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None:
            prepare(ctx, command)
        return name, command, rest


class Leaf(NamedTuple):
    """A command that is not a group: its *words* after `cml-iam`, and its line of help."""

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
