"""`cml-iam policy rules`: lint's rules with examples; no network needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cml_iam.cli._output import answer, heading, print_table, say
from cml_iam.cli._settings import shared_options
from cml_iam.cli.policy_lint import SYMBOL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cml_iam.audit import AuditRule
    from cml_iam.lint import Example, Explained, Rule


@click.argument("rule", required=False, metavar="[ID]")
@shared_options("output")
def rules(rule: str | None) -> None:
    """List the rules of `policy lint`, or explain the rule with this ID or name.

    \b
    Examples:
      cml-iam policy rules
      cml-iam policy rules CML501
    """  # noqa: D301 - click reads the backspace as "do not fill"
    from cml_iam.lint import explain_rule, lint_rules

    if rule is not None:
        explained = explain_rule(rule)
        answer(explained, lambda: show(explained))
    else:
        answer(lint_rules(), lambda: print_rules(lint_rules()))


def print_rules(rules: Iterable[Rule | AuditRule]) -> None:
    """Print *rules* as a table."""
    print_table(
        ("rule", "severity", "name", "what it finds"),
        (
            (each.id, f"{SYMBOL[each.severity.word]} {each.severity.word}", each.name, each.title)
            for each in rules
        ),
    )


def show(explained: Explained) -> None:
    """Print everything about one rule."""
    rule = explained.rule
    heading(f"{rule.id} {rule.name} ({rule.severity.word})")
    say(f"{rule.title[:1].upper()}{rule.title[1:]}.")
    say("")
    click.echo(click.wrap_text(explained.description))
    say("")
    if explained.aws_checks:
        checks = ", ".join(explained.aws_checks)
        click.echo(click.wrap_text(f"Equivalent checks of AWS: {checks}"))
        say("")
    say(f"see: {rule.page}")
    for title, example in (("Fails", explained.failing), ("Passes", explained.passing)):
        say("")
        heading(f"{title}{_of_kind(example)}:")
        click.echo(example.text.rstrip("\n"))


def _of_kind(example: Example) -> str:
    return "" if example.kind == "identity" else f" (--kind {example.kind})"
