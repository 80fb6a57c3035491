"""`cml-iam policy history`: the versions of the policy, and how to upgrade."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cml_iam.cli._output import (
    INFO,
    OK,
    answer,
    print_table,
    say,
)
from cml_iam.cli._settings import shared_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cml_iam.catalogue import PolicyVersion, Upgrade


@click.command()
@click.option(
    "--from",
    "start",
    metavar="VERSION",
    help="Show what to grant and what may be removed to upgrade from VERSION to the current one.",
)
@shared_options("output")
def history(start: str | None) -> None:
    """List the versions of the policy, or show how to upgrade from one of them.

    \b
    Examples:
      cml-iam policy history
      cml-iam policy history --from VERSION
    """  # noqa: D301 - click reads the backspace as "do not fill"
    from cml_iam.catalogue import load_history, upgrade

    if start is None:
        _show_versions(load_history())
    else:
        way = upgrade(start)
        answer(upgrade_json(way), lambda: _say_upgrade(way))


def _show_versions(versions: Sequence[PolicyVersion]) -> None:
    rows = ((e.version, str(e.date), _granted(e), e.changes) for e in versions)
    answer(
        [version_json(each) for each in versions],
        lambda: print_table(("version", "date", "grants", "changes"), rows),
    )


def _granted(version: PolicyVersion) -> str:
    more = f" and {len(version.optional)} on request" if version.optional else ""
    return f"{len(version.actions)} actions{more}"


def _say_upgrade(way: Upgrade) -> None:
    for each in way.grant:
        say(f"+ grant {each}")
    for each in way.revoke:
        say(f"- may be removed: {each}")
    for name, each in way.optional.items():
        say(f"{INFO} on request, by `{name}` in [grant]: {each}")
    say(_verdict(way))


def _verdict(way: Upgrade) -> str:
    step = f"from {way.start.version} to {way.end.version}"
    if not way.grant and not way.revoke:
        return f"{OK} {step}: nothing to grant, nothing to remove"
    return f"{INFO} {step}: {len(way.grant)} to grant, {len(way.revoke)} may be removed"


def version_json(version: PolicyVersion) -> dict[str, Any]:
    """Return *version* as JSON values."""
    return {
        "version": version.version,
        "date": str(version.date),
        "changes": version.changes,
        "actions": list(version.actions),
        "optional": dict(version.optional),
    }


def upgrade_json(way: Upgrade) -> dict[str, Any]:
    """Return *way* as JSON values."""
    return {
        "from": way.start.version,
        "to": way.end.version,
        "grant": list(way.grant),
        "revoke": list(way.revoke),
        "optional": dict(way.optional),
    }
