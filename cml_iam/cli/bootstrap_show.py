"""`cml-iam bootstrap status`, `drift` and `render`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cml_iam.cli._bootstrap import (
    drift_options,
    site_and_documents,
    status_options,
    watch_of,
    watch_options,
    where_of,
    wishes,
)
from cml_iam.cli._connect import connect_as
from cml_iam.cli._delivery import stores_from
from cml_iam.cli._exit import Exit, judged
from cml_iam.cli._output import OK, UNKNOWN, WARN, answer, print_table, say
from cml_iam.cli._settings import shared_options
from cml_iam.cli._site import load_site

if TYPE_CHECKING:
    from cml_iam.check.standing import Drift, Status
    from cml_iam.provision import AuditForm


@click.command()
@status_options
def status(**wanted: Any) -> None:
    """Show how the account differs from the site, and the user's access keys.

    \b
    Examples:
      cml-iam bootstrap status --profile admin
      cml-iam bootstrap status --no-key -o json
    """  # noqa: D301 - click reads the backspace as "do not fill"
    from cml_iam.check import ask, check_named
    from cml_iam.check.bootstrap import BootstrapScene

    site, documents = site_and_documents(wanted["document"])
    aws = connect_as("administrator", site)
    store = None if wanted["no_key"] else stores_from(where_of(wanted), aws)
    (found,) = ask(check_named("status"), BootstrapScene(aws, site, documents, store)).status
    answer(found, lambda: _say_status(found))


def _say_status(found: Status) -> None:
    from cml_iam.provision import summary

    say(f"principal  {found.plan.principal}")
    say("")
    print_table(
        ("state", "resource", "name"),
        [(_STATES[step.mark], step.resource, step.name) for step in found.plan.all_steps],
    )
    if found.keys:
        say("")
        print_table(
            ("access key", "state", "made", "use", "stored"),
            [
                (
                    key.info.id,
                    key.info.status,
                    f"{key.info.created:%Y-%m-%d}" if key.info.created else "?",
                    str(key.use),
                    "yes" if key.stored else "no",
                )
                for key in found.keys
            ],
        )
    if found.stale:
        say(f"{WARN} the store holds `{found.stored_id}`, which is not a key of this user")
    if found.inactive:
        say(f"{WARN} the store's key `{found.stored_id}` is inactive")
        say("  fix: replace it: `cml-iam key rotate`")
    _say_rest(found.plan.warnings, found.plan.unchecked)
    say(summary(found.plan))


_STATES = {
    "create": f"{WARN} missing",
    "change": f"{WARN} differs",
    "delete": f"{WARN} left over",
    "keep": f"{OK} as wanted",
}


@click.command()
@drift_options
def drift(**wanted: Any) -> None:
    """Show how the account differs from the site in meaning, and what else the principal has.

    Compares the site's boundary and guardrail where they are attached. Exits with 6 when something
    differs, and with 8 when nothing differs but something could not be checked.

    \b
    Examples:
      cml-iam bootstrap drift --profile admin
      cml-iam bootstrap drift --with audit
    """  # noqa: D301 - click reads the backspace as "do not fill"
    from cml_iam.check import ask, check_named
    from cml_iam.check.bootstrap import BootstrapScene

    site, documents = site_and_documents(wanted["document"])
    aws = connect_as("administrator", site)
    options = wishes(site, wanted)
    pieces = options.pop("pieces")
    scene = BootstrapScene(aws, site, documents, pieces=pieces, options=options)
    (found,) = ask(check_named("differences"), scene).drift
    code = judged(findings=False, unchecked=bool(found.plan.unchecked))
    answer(found, lambda: _say_drift(found), Exit.CHANGES if found.differs else code)


@click.command()
@click.option(
    "--form",
    type=click.Choice(["terraform", "cloudformation"]),
    default="terraform",
    show_default=True,
    help="Output format.",
)
@watch_options
@shared_options("site")
def render(form: AuditForm, **wanted: Any) -> None:
    """Print the trail and alarms of `--with audit` for another tool, without calling AWS.

    For the principal and its policy, use `cml-iam policy render --form`.

    \b
    Examples:
      cml-iam bootstrap render --form cloudformation
    """  # noqa: D301 - click reads the backspace as "do not fill"
    from cml_iam.provision import render_audit

    click.echo(render_audit(load_site(), watch_of(wanted), form), nl=False)


def _say_drift(found: Drift) -> None:
    from cml_iam.provision import step_lines

    say(f"principal  {found.plan.principal}")
    say("")
    for step in found.plan.changes:
        for line in step_lines(step):
            say(line)
    _say_rest(found.also, found.plan.unchecked)
    if found.differs:
        say(f"{WARN} differs: {len(found.plan.changes)} from the site, {len(found.also)} beside it")
    else:
        checked = len(found.plan.steps) - len(found.plan.changes)
        say(f"{OK} as the site says: {checked} compared")


def _say_rest(warnings: tuple[str, ...], unchecked: tuple[str, ...]) -> None:
    for text in warnings:
        say(f"{WARN} {text}")
    for text in unchecked:
        say(f"{UNKNOWN} {text}")
