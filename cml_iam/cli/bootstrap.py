"""`cml-iam bootstrap`: plan, apply, adopt, rollback, destroy, status, drift and render."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cml_iam import credentials, provision
from cml_iam.cli import _bootstrap as common
from cml_iam.cli._exit import Exit, judged
from cml_iam.cli._options import (
    FILE,
    on_command_line,
    option,
    options,
    shared_options,
)
from cml_iam.cli._output import (
    INFO,
    OK,
    UNKNOWN,
    WARN,
    answer,
    early,
    note,
    say,
    say_lines,
    typed,
)
from cml_iam.cli._site import connect_as, load_site
from cml_iam.cli._table import print_table
from cml_iam.cli.key_deliver import Where
from cml_iam.errors import CmlIamError, InputError

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws
    from cml_iam.check.bootstrap import Drift, Status


@common.wanted_options
@common.shared_policy_option
@option(
    "--save FILE",
    "Save the plan to FILE (mode 0600), for `bootstrap apply FILE`.",
    type=click.Path(path_type=Path, dir_okay=False),
)
def plan(save: Path | None, **wanted: Any) -> None:
    """Show what `bootstrap apply` would change, without changing anything.

    Exits with 6 when changes are pending.

    Examples:
      cml-iam bootstrap plan --profile admin
      cml-iam bootstrap plan --save plan.json
    """
    _, plan = common.planned(wanted)
    answer(provision.plan_data(plan), provision.plan_lines(plan))
    if save is not None:
        provision.save_plan(plan, _kept(wanted), save)
        note(
            f"{INFO} saved: `cml-iam bootstrap apply {save}` applies exactly this plan, or nothing"
        )
    if plan.changes:
        click.get_current_context().exit(Exit.CHANGES)


@click.argument("plan_file", required=False, type=FILE, metavar="[PLAN]")
@common.wanted_options
@common.shared_policy_option
@shared_options("yes", "dry_run")
def apply(plan_file: Path | None, **wanted: Any) -> None:
    """Create and update the user or role, its policy and its access key.

    Shows the plan, then asks for confirmation on a terminal; without a terminal, it needs --yes.
    With PLAN, a file from `bootstrap plan --save`, makes exactly the changes in it, unless the
    account has changed since. The access key is written to its store and never printed. A second
    run changes nothing; after an interrupted run, run the command again.

    Examples:
      cml-iam bootstrap apply --profile admin
      cml-iam bootstrap apply --guard --boundary --yes
      cml-iam bootstrap apply plan.json
    """
    saved = None
    if plan_file is not None:
        for name in filter(on_command_line, wanted):
            raise InputError(
                f"a saved plan already contains its options: `--{name.replace('_', '-')}`",
                remedy="omit one of them",
            )
        saved = provision.load_plan(plan_file)
        wanted = {**wanted, **_options_of(saved)}
    aws, plan = common.planned(wanted)
    if saved is not None:
        provision.check_fresh(saved, plan)
    done = common.carry_out(aws, plan)
    if done and done.key_id and plan.key:
        early(say, f"{OK} access key {done.key_id} is in {plan.key.store}")
        if plan.key.changes and plan.delivery:
            early(say, *(f"{WARN} {word}" for word in plan.delivery.store.afterwards()))


def _kept(wanted: dict[str, Any]) -> dict[str, Any]:
    """Return the options for the plan file; the path of the key file becomes absolute."""
    lists = {name: list(value) for name, value in wanted.items() if isinstance(value, tuple)}
    stores = [credentials.absolute_store(store) for store in common.where_of(wanted).texts]
    return {**wanted, **lists, "env_file": None, "to": stores}


def _options_of(saved: provision.SavedPlan) -> dict[str, Any]:
    """Return the options of the plan file as the command line gives them; raises InputError."""
    context = click.get_current_context()
    parameters = {param.name: param for param in context.command.params}
    try:
        return {
            name: parameters[name].type_cast_value(context, value)
            for name, value in saved.options.items()
        }
    except (click.BadParameter, KeyError, TypeError, ValueError):
        raise InputError(
            f"`{saved.path}` has unknown options",
            remedy="make a new one with `bootstrap plan --save`",
        ) from None


@common.wanted_options
@shared_options("yes", "dry_run")
def adopt(**wanted: Any) -> None:
    """Take over an existing user, role or policy: tag it, and show what apply would change.

    Examples:
      cml-iam bootstrap adopt --profile admin
    """
    aws, plan = common.planned({**wanted, "no_key": True})
    common.carry_out(aws, provision.plan_adoption(aws, plan))


@option("--policy NAME", "Name of the policy.  [default: the site's]")
@option("--to VERSION", "Version to restore.  [default: the previous one]", name="version")
@common.acting_options
def rollback(policy: str | None, version: str | None) -> None:
    """Restore the previous version of the policy, in one call.

    The next apply creates the site's policy again, so change the site first.

    Examples:
      cml-iam bootstrap rollback
      cml-iam bootstrap rollback --to v3
    """
    site = load_site()
    aws = connect_as("administrator", site)
    common.carry_out(aws, provision.plan_rollback(aws, site, policy, version))


@option("--guard", "Also delete the site's guardrail.")
@option("--boundary", "Also delete the site's boundary.")
@common.acting_options
def destroy(guard: bool, boundary: bool) -> None:
    """Delete the user or role, its keys and its policies, after you type its name.

    Deletes only what cml-iam created or adopted, and no trail, bucket or alarm.

    Examples:
      cml-iam bootstrap destroy --dry-run
      cml-iam bootstrap destroy --guard --boundary
    """
    site = load_site()
    aws = connect_as("administrator", site)
    plan = provision.plan_destruction(aws, site, common.pieces_of(guard=guard, boundary=boundary))
    name = str(site.role or site.user)
    done = common.carry_out(aws, plan, lambda aws, _: typed(aws, name, "to delete it"))
    deleted = {step.name for step in plan.changes if step.resource == "access key"}
    if done and site.user and deleted:
        _name_dead_keys(aws, deleted)


def _name_dead_keys(aws: Aws, deleted: set[str]) -> None:
    """Name the deleted keys, and the one that the site's store still holds, if any."""
    store = Where(None, allow_tracked=True).open(aws)
    try:
        held = store.look().key
    except CmlIamError:  # a store in AWS that may not be read
        held = None
    where = f", `{store.name}` has one" if held and held.id in deleted else ""
    note(f"{WARN} deleted: {', '.join(sorted(deleted))}; remove every copy of them{where}")


@options(common.policy_option, common.key_options, common.common_options)
def status(**wanted: Any) -> None:
    """Show how the account differs from the site, and the user's access keys.

    Examples:
      cml-iam bootstrap status --profile admin
      cml-iam bootstrap status --no-key -o json
    """
    site, documents = common.site_and_documents(wanted)
    aws = connect_as("administrator", site)
    store = None if wanted["no_key"] else common.where_of(wanted).open(aws)
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


@options(common.policy_option, common.principal_options, common.common_options)
def drift(**wanted: Any) -> None:
    """Show how the account differs from the site in meaning, and what else the principal has.

    Compares the site's boundary and guardrail if they are attached. Exits with 6 when something
    differs, and with 8 when nothing differs but something could not be checked.

    Examples:
      cml-iam bootstrap drift --profile admin
      cml-iam bootstrap drift --with audit
    """
    site, documents = common.site_and_documents(wanted)
    aws = connect_as("administrator", site)
    wishes = common.wishes_of(site, wanted)
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
@common.watch_options
@shared_options("site")
def render(form: provision.AuditForm, **wanted: Any) -> None:
    """Print the trail and alarms of `--with audit` for another tool, without calling AWS.

    For the principal and its policy, use `cml-iam policy render --form`.

    Examples:
      cml-iam bootstrap render --form cloudformation
    """
    click.echo(provision.render_audit(load_site(), common.watch_of(wanted), form), nl=False)
