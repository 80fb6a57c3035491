"""`cml-iam policy render`, and the lists: `documents`, `permissions`, `history` and `rules`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cml_iam.catalogue import load_catalogue, permission_tables
from cml_iam.cli._output import (
    INFO,
    OK,
    SEVERITY,
    WARN,
    answer,
    heading,
    note,
    print_table,
    say,
    say_lines,
)
from cml_iam.cli._settings import on_command_line, shared_options
from cml_iam.cli._site import load_site
from cml_iam.errors import InputError
from cml_iam.render import (
    DOCUMENTS,
    FORMS,
    Form,
    render_document,
    render_form,
    render_parts,
    render_policy,
)
from cml_iam.site import TRUSTS, Site, Trust

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cml_iam.audit import AuditRule
    from cml_iam.catalogue import Catalogue, PolicyVersion, Upgrade
    from cml_iam.lint import Example, Explained, Rule


@click.option(
    "--document",
    type=click.Choice(list(DOCUMENTS)),
    default="hardened",
    show_default=True,
    metavar="NAME",
    help="Document to print: base (no restrictions), hardened (the site's restrictions), "
    "or another one that `policy documents` lists.",
)
@click.option(
    "--form",
    type=click.Choice(FORMS),
    default="json",
    show_default=True,
    help="Output format: the JSON document, Terraform, CloudFormation (also for "
    "StackSets), AWS CLI commands, or Markdown.",
)
@click.option(
    "--trust",
    type=click.Choice(TRUSTS),
    default="ec2",
    show_default=True,
    help="Service or identity that may assume the role, if the output creates one.",
)
@click.option(
    "--all",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write every document for which the site file has the values into DIR.",
)
@shared_options("site")
def render(document: Any, form: Form, trust: Trust, folder: Path | None) -> None:
    """Print a policy document on stdout, and nothing else.

    Attach the hardened document instead of the base document, not in addition to it: IAM adds
    permissions up, so together with the base it would restrict nothing.

    Examples:
      cml-iam policy render > policy.json
      cml-iam policy render --form terraform
      cml-iam policy render --all rendered/
    """
    if folder or form == "json":
        _refuse_trust(trust)
    if folder:
        _write_all(folder)
        return
    if form != "json":
        if document not in ("base", "hardened"):
            raise InputError(
                f"`{document}` does not support --form: it exists only as JSON",
                remedy="omit --form, or render the policy: --document base or hardened",
            )
        site = load_site()
        if trust != "ec2" and not site.role:
            raise InputError(
                "--trust needs a role, and the site's principal is a user",
                remedy="name a `role` in the site",
            )
        click.echo(render_form(site, form, document, trust), nl=False)
        return
    if document == "base":
        click.echo(render_policy(None, "base").text, nl=False)
        return
    site = load_site()
    rendered = render_document(site, document)
    if document == "hardened" and not site.restrict.active:
        note(f"{WARN} the site file has no [restrict]: this permits what the base policy permits")
    click.echo(rendered.text, nl=False)


@shared_options("output")
def documents() -> None:
    """List the documents that `policy render --document` prints, and what each is for.

    Examples:
      cml-iam policy documents
    """
    forms = DOCUMENTS.values()
    answer(
        [{"name": form.name, "kind": form.kind, "title": form.title} for form in forms],
        lambda: print_table(
            ("document", "kind", "purpose"),
            ((form.name, form.kind, form.title) for form in forms),
        ),
    )


@shared_options("output")
def permissions() -> None:
    """Print the manager's permissions and their purposes, as in the documentation's tables.

    On a terminal, prints a list instead, which fits its width.

    Examples:
      cml-iam policy permissions
    """
    catalogue = load_catalogue()
    answer(catalogue.permissions, lambda: _print_permissions(catalogue))


def _print_permissions(catalogue: Catalogue) -> None:
    if not sys.stdout.isatty():
        click.echo(permission_tables(catalogue), nl=False)
        return
    for group in catalogue.groups:
        heading(group.title)
        for permission in group.permissions:
            say(f"  {permission.action}: {permission.purpose}")
            say(f"    used in {', '.join(f'{name}()' for name in permission.methods)}")


def _refuse_trust(trust: Trust) -> None:
    """Refuse --trust if it would not change the output."""
    if on_command_line("trust"):
        raise InputError(
            "--trust has no effect on a single JSON document",
            remedy=f"use --document trust-{trust}, or --form terraform",
        )


def _write_all(folder: Path) -> None:
    """Write what can be rendered; name what the site file lacks for the rest."""
    site = load_site()
    folder.mkdir(parents=True, exist_ok=True)
    for name in DOCUMENTS:
        try:
            texts = _texts(site, name)
        except InputError as error:
            note(f"{INFO} {name}: left out, {error.message}")
            continue
        for number, text in enumerate(texts, start=1):
            path = folder / (f"{name}.json" if len(texts) == 1 else f"{name}-{number}.json")
            path.write_text(text, "utf-8")
            note(f"{OK} {path}")


def _texts(site: Site, name: str) -> tuple[str, ...]:
    """Return the document *name*; a policy that is too large for one comes in parts."""
    if name == "hardened":
        return tuple(part.text for part in render_parts(site))
    return (render_document(site, name).text,)


@click.option(
    "--from",
    "start",
    metavar="VERSION",
    help="Show what to grant and what may be removed to upgrade from VERSION to the current one.",
)
@shared_options("output")
def history(start: str | None) -> None:
    """List the versions of the policy, or show how to upgrade from one of them.

    Examples:
      cml-iam policy history
      cml-iam policy history --from VERSION
    """
    from cml_iam.catalogue import load_history, upgrade

    if start is None:
        _show_versions(load_history())
    else:
        way = upgrade(start)
        answer(way, lambda: _say_upgrade(way))


def _show_versions(versions: Sequence[PolicyVersion]) -> None:
    rows = ((e.version, str(e.date), _granted(e), e.changes) for e in versions)
    answer(versions, lambda: print_table(("version", "date", "grants", "changes"), rows))


def _granted(version: PolicyVersion) -> str:
    more = f" and {len(version.optional)} on request" if version.optional else ""
    return f"{len(version.actions)} actions{more}"


def _say_upgrade(way: Upgrade) -> None:
    say_lines(f"+ grant {each}" for each in way.grant)
    say_lines(f"- may be removed: {each}" for each in way.revoke)
    optional = way.optional.items()
    say_lines(f"{INFO} on request, by `{name}` in [grant]: {each}" for name, each in optional)
    say(_verdict(way))


def _verdict(way: Upgrade) -> str:
    step = f"from {way.start.version} to {way.end.version}"
    if not way.grant and not way.revoke:
        return f"{OK} {step}: nothing to grant, nothing to remove"
    return f"{INFO} {step}: {len(way.grant)} to grant, {len(way.revoke)} may be removed"


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
        answer(explained, lambda: print_explained(explained))
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


def print_explained(explained: Explained) -> None:
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
