"""The lists `cml-iam policy documents`, `permissions`, `history` and `rules`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from cml_iam.cli._options import option, shared_options
from cml_iam.cli._output import INFO, OK, SEVERITY, answer, heading, say, say_lines
from cml_iam.cli._table import print_table

if TYPE_CHECKING:
    from cml_iam.audit import AuditRule
    from cml_iam.catalogue import Upgrade
    from cml_iam.lint import Explained, Rule


@shared_options("output")
def documents() -> None:
    """List the documents that `policy render --document` prints, and what each is for.

    Examples:
      cml-iam policy documents
    """
    from cml_iam.render import DOCUMENTS

    fields = ("name", "kind", "title")
    rows = [{field: getattr(form, field) for field in fields} for form in DOCUMENTS.values()]
    columns = ("document", "kind", "purpose")
    answer(rows, lambda: print_table(columns, [tuple(row.values()) for row in rows]))


@shared_options("output")
def permissions() -> None:
    """Print the manager's permissions and their purposes, as in the documentation's tables.

    On a terminal, prints a list instead, which fits its width.

    Examples:
      cml-iam policy permissions
    """
    from cml_iam.catalogue import load_catalogue, permission_tables

    catalogue = load_catalogue()

    def show() -> None:
        if not sys.stdout.isatty():
            click.echo(permission_tables(catalogue), nl=False)
            return
        for group in catalogue.groups:
            heading(group.title)
            for permission in group.permissions:
                say(f"  {permission.action}: {permission.purpose}")
                say(f"    used in {', '.join(f'{name}()' for name in permission.methods)}")

    answer(catalogue.permissions, show)


@option(
    "--from VERSION",
    "Show what to grant and what may be removed to upgrade from VERSION to the current one.",
    name="start",
)
@shared_options("output")
def history(start: str | None) -> None:
    """List the versions of the policy, or show how to upgrade from one of them.

    Examples:
      cml-iam policy history
      cml-iam policy history --from VERSION
    """
    from cml_iam.catalogue import load_history, upgrade

    if start is not None:
        way = upgrade(start)
        answer(way, _upgrade_lines(way))
        return
    rows = [
        (
            version.version,
            str(version.date),
            f"{len(version.actions)} actions"
            + (f" and {len(version.optional)} on request" if version.optional else ""),
            version.changes,
        )
        for version in load_history()
    ]
    answer(load_history(), lambda: print_table(("version", "date", "grants", "changes"), rows))


def _upgrade_lines(way: Upgrade) -> Iterator[str]:
    yield from (f"+ grant {action}" for action in way.grant)
    yield from (f"- may be removed: {action}" for action in way.revoke)
    for name, action in way.optional.items():
        yield f"{INFO} on request, by `{name}` in [grant]: {action}"
    step = f"from {way.start.version} to {way.end.version}"
    if way.grant or way.revoke:
        yield f"{INFO} {step}: {len(way.grant)} to grant, {len(way.revoke)} may be removed"
    else:
        yield f"{OK} {step}: nothing to grant, nothing to remove"


@click.argument("rule", required=False, metavar="[ID]")
@shared_options("output")
def rules(rule: str | None) -> None:
    """List the rules of `policy lint`, or explain the rule with this ID or name.

    Examples:
      cml-iam policy rules
      cml-iam policy rules CML501
    """
    from cml_iam.lint import explain_rule, lint_rules

    if rule is not None:
        explained = explain_rule(rule)
        answer(explained, lambda: _print_explained(explained))
    else:
        answer(lint_rules(), lambda: print_rules(lint_rules()))


def print_rules(rules: Iterable[Rule | AuditRule]) -> None:
    """Print *rules* as a table."""
    print_table(
        ("rule", "severity", "name", "what it finds"),
        (
            (rule.id, f"{SEVERITY[rule.severity.word]} {rule.severity.word}", rule.name, rule.title)
            for rule in rules
        ),
    )


def _print_explained(explained: Explained) -> None:
    """Print everything about one rule."""
    rule = explained.rule
    heading(f"{rule.id} {rule.name} ({rule.severity.word})")
    say_lines([f"{rule.title[:1].upper()}{rule.title[1:]}.", ""])
    click.echo(click.wrap_text(explained.rule.description))
    say("")
    if explained.aws_checks:
        checks = ", ".join(explained.aws_checks)
        click.echo(click.wrap_text(f"Equivalent checks of AWS: {checks}"))
        say("")
    say(f"see: {rule.page}")
    for title, example in (("Fails", explained.failing), ("Passes", explained.passing)):
        say("")
        kind = "" if example.kind == "identity" else f" (--kind {example.kind})"
        heading(f"{title}{kind}:")
        click.echo(example.text.rstrip("\n"))
