"""`cml-iam policy render`: print a document, or write all of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cml_iam import render as room
from cml_iam.cli._options import on_command_line, option, shared_options
from cml_iam.cli._output import INFO, OK, WARN, note
from cml_iam.cli._site import load_site, refuse_trust
from cml_iam.errors import InputError
from cml_iam.render import FORMS, Form
from cml_iam.site import TRUSTS

if TYPE_CHECKING:
    from cml_iam.site import Site, Trust


class _DocumentName(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5
    """A choice among the documents, which the help does not list and so does not load."""

    name = "document"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        return click.Choice(list(room.DOCUMENTS)).convert(value, param, ctx)

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> Any:
        return click.Choice(list(room.DOCUMENTS)).shell_complete(ctx, param, incomplete)


@option(
    "--document NAME",
    "Document to print: base (no restrictions), hardened (the site's restrictions), or "
    "another one that `policy documents` lists.",
    type=_DocumentName(),
    default="hardened",
)
@option(
    "--form",
    "Output format: the JSON document, Terraform, CloudFormation (also for StackSets), "
    "AWS CLI commands, or Markdown.",
    type=click.Choice(FORMS),
    default="json",
)
@option(
    "--trust",
    "Service or identity that may assume the role, if the output creates one.",
    type=click.Choice(TRUSTS),
    default="ec2",
)
@option(
    "--all DIR",
    "Write every document for which the site file has the values into DIR.",
    name="folder",
    type=click.Path(path_type=Path, file_okay=False),
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
    if (folder or form == "json") and on_command_line("trust"):
        raise InputError(
            "--trust has no effect on a single JSON document",
            remedy=f"use --document trust-{trust}, or --form terraform",
        )
    if folder:
        _write_all(folder)
    elif form == "json":
        _print_document(document)
    elif document not in ("base", "hardened"):
        raise InputError(
            f"`{document}` does not support --form: it exists only as JSON",
            remedy="omit --form, or render the policy: --document base or hardened",
        )
    else:
        site = load_site()
        refuse_trust(site, trust)
        click.echo(room.render_form(site, form, document, trust), nl=False)


def _print_document(document: str) -> None:
    if document == "base":
        click.echo(room.render_policy(None, "base").text, nl=False)
        return
    site = load_site()
    rendered = room.render_document(site, document)
    if document == "hardened" and not site.restrict.active:
        note(f"{WARN} the site file has no [restrict]: this permits what the base policy permits")
    click.echo(rendered.text, nl=False)


def _write_all(folder: Path) -> None:
    """Write what can be rendered; name what the site file lacks for the rest."""
    site = load_site()
    folder.mkdir(parents=True, exist_ok=True)
    for name in room.DOCUMENTS:
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
        return tuple(part.text for part in room.render_parts(site))
    return (room.render_document(site, name).text,)
