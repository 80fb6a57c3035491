"""`cml-iam bootstrap status`, `drift` and `render`: what exists, and the trail for another tool."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from cml_iam import provision
from cml_iam.cli._exit import Exit, judged
from cml_iam.cli._options import option, options, shared_options
from cml_iam.cli._output import OK, UNKNOWN, WARN, answer, say, say_lines
from cml_iam.cli._site import connect_as, load_site
from cml_iam.cli._table import print_table
from cml_iam.cli.bootstrap import (
    common_options,
    key_options,
    policy_option,
    principal_options,
    site_and_documents,
    watch_of,
    watch_options,
    where_of,
    wishes_of,
)

if TYPE_CHECKING:
    from cml_iam.check.bootstrap import Drift, Status


@options(policy_option, key_options, common_options)
def status(**wanted: Any) -> None:
    """Show how the account differs from the site, and the user's access keys.

    Examples:
      cml-iam bootstrap status --profile admin
      cml-iam bootstrap status --no-key -o json
    """
    site, documents = site_and_documents(wanted)
    aws = connect_as("administrator", site)
    store = None if wanted["no_key"] else where_of(wanted).open(aws)
    standing: Status = _answer_of("status", aws, site, documents, store)
    answer(standing, lambda: _print_status(standing))


def _answer_of(check: str, *scene: Any, **options: Any) -> Any:
    """Return the Status or Drift that *check* finds for a BootstrapScene of these values."""
    from cml_iam.check.bootstrap import BootstrapScene
    from cml_iam.check.checks import ask, check_named

    (detail,) = ask(check_named(check), BootstrapScene(*scene, **options)).details
    return detail


_STATES = {
    "create": f"{WARN} missing",
    "change": f"{WARN} differs",
    "delete": f"{WARN} left over",
    "keep": f"{OK} as wanted",
}


def _print_status(standing: Status) -> None:
    say_lines([f"principal  {standing.plan.principal}", ""])
    steps = standing.plan.all_steps
    print_table(
        ("state", "resource", "name"),
        [(_STATES[step.mark], step.resource, step.name) for step in steps],
    )
    if standing.keys:
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
                for key in standing.keys
            ],
        )
    if standing.fault:
        say(f"{WARN} {standing.fault}")
    if standing.remedy:
        say(f"  fix: {standing.remedy}")
    say_lines(_doubts(standing.plan.warnings, standing.plan))
    say(provision.summary(standing.plan))


@options(policy_option, principal_options, common_options)
def drift(**wanted: Any) -> None:
    """Show how the account differs from the site in meaning, and what else the principal has.

    Compares the site's boundary and guardrail if they are attached. Exits with 6 when something
    differs, and with 8 when nothing differs but something could not be checked.

    Examples:
      cml-iam bootstrap drift --profile admin
      cml-iam bootstrap drift --with audit
    """
    site, documents = site_and_documents(wanted)
    aws = connect_as("administrator", site)
    wishes = wishes_of(site, wanted)
    pieces = wishes.pop("pieces")
    standing: Drift = _answer_of("differences", aws, site, documents, pieces=pieces, options=wishes)
    code = judged(findings=False, unchecked=bool(standing.plan.unchecked))
    answer(standing, _drift_lines(standing), Exit.CHANGES if standing.differs else code)


def _drift_lines(drift: Drift) -> Iterator[str]:
    plan = drift.plan
    yield f"principal  {plan.principal}"
    yield ""
    yield from provision.steps_lines(plan.changes)
    yield from _doubts(drift.also, plan)
    if drift.differs:
        yield (
            f"{WARN} differs: {len(plan.changes)} from the site file, {len(drift.also)} outside it"
        )
    else:
        yield f"{OK} matches the site file: {len(plan.steps) - len(plan.changes)} compared"


def _doubts(warnings: tuple[str, ...], plan: provision.Plan) -> Iterator[str]:
    yield from (f"{WARN} {text}" for text in warnings)
    yield from (f"{UNKNOWN} {text}" for text in plan.unchecked)


@option(
    "--form",
    "Output format.",
    type=click.Choice(["terraform", "cloudformation"]),
    default="terraform",
)
@watch_options
@shared_options("site")
def render(form: provision.AuditForm, **wanted: Any) -> None:
    """Print the trail and alarms of `--with audit` for another tool, without calling AWS.

    For the principal and its policy, use `cml-iam policy render --form`.

    Examples:
      cml-iam bootstrap render --form cloudformation
    """
    click.echo(provision.render_audit(load_site(), watch_of(wanted), form), nl=False)
