"""`cml-iam bootstrap`: plan, apply, adopt, rollback, destroy, status, drift and render."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cml_iam.cli._bootstrap import (
    acting_options,
    carry_out,
    drift_options,
    planned,
    shared_policy_option,
    site_and_documents,
    status_options,
    wanted_options,
    watch_of,
    watch_options,
    where_of,
    wishes,
)
from cml_iam.cli._delivery import Where, own_store, stores_from
from cml_iam.cli._exit import Exit, judged
from cml_iam.cli._output import (
    INFO,
    OK,
    UNKNOWN,
    WARN,
    answer,
    early,
    note,
    print_table,
    say,
    say_lines,
    typed,
)
from cml_iam.cli._settings import on_command_line, shared_options
from cml_iam.cli._site import connect_as, load_site
from cml_iam.errors import CmlIamError, InputError

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws
    from cml_iam.check.bootstrap import Drift, Status
    from cml_iam.provision import AuditForm, Piece, SavedPlan


@wanted_options
@shared_policy_option
@click.option(
    "--save",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Save the plan to FILE (mode 0600), for `bootstrap apply FILE`.",
)
def plan(save: Path | None, **wanted: Any) -> None:
    """Show what `bootstrap apply` would change, without changing anything.

    Exits with 6 when changes are pending.

    Examples:
      cml-iam bootstrap plan --profile admin
      cml-iam bootstrap plan --save plan.json
    """
    from cml_iam.provision import plan_data, plan_lines, save_plan

    _, made = planned(wanted)
    answer(plan_data(made), lambda: say_lines(plan_lines(made)))
    if save is not None:
        save_plan(made, _kept(wanted), save)
        note(
            f"{INFO} saved: `cml-iam bootstrap apply {save}` applies exactly this plan, or nothing"
        )
    if made.changes:
        click.get_current_context().exit(Exit.CHANGES)


@click.argument("plan_file", required=False, type=click.Path(path_type=Path), metavar="[PLAN]")
@wanted_options
@shared_policy_option
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
    from cml_iam.provision import check_fresh, load_plan

    saved = None
    if plan_file is not None:
        _refuse_others(wanted)
        saved = load_plan(plan_file)
        wanted = {**wanted, **_options_of(saved)}
    aws, made = planned(wanted)
    if saved is not None:
        check_fresh(saved, made)
    done = carry_out(aws, made)
    if done and done.key_id and made.key:
        early(say, f"{OK} access key {done.key_id} is in {made.key.store}")
        if made.key.changes and made.delivery:
            early(say, *(f"{WARN} {word}" for word in made.delivery.store.afterwards()))


def _kept(wanted: dict[str, Any]) -> dict[str, Any]:
    """Return the options for the plan file; the path of the key file becomes absolute."""
    from cml_iam.credentials import absolute_store

    lists = {name: list(value) for name, value in wanted.items() if isinstance(value, tuple)}
    stores = wanted["to"] or (own_store(wanted["env_file"]),)
    files = {"env_file": None, "to": [absolute_store(store) for store in stores]}
    return {**wanted, **lists, **files}


def _options_of(saved: SavedPlan) -> dict[str, Any]:
    """Return the options of the plan file as the command line gives them; raises InputError."""
    context = click.get_current_context()
    known = {param.name: param for param in context.command.params}
    try:
        return {
            name: known[name].type_cast_value(context, value)
            for name, value in saved.options.items()
        }
    except (click.BadParameter, KeyError, TypeError, ValueError):
        raise InputError(
            f"`{saved.path}` has unknown options",
            remedy="make a new one with `bootstrap plan --save`",
        ) from None


def _refuse_others(wanted: dict[str, Any]) -> None:
    for name in filter(on_command_line, wanted):
        option = name.replace("_", "-")
        raise InputError(
            f"a saved plan already contains its options: `--{option}`",
            remedy="omit one of them",
        )


@wanted_options
@shared_options("yes", "dry_run")
def adopt(**wanted: Any) -> None:
    """Take over an existing user, role or policy: tag it, and show what apply would change.

    Examples:
      cml-iam bootstrap adopt --profile admin
    """
    from cml_iam.provision import plan_adoption

    aws, made = planned({**wanted, "no_key": True})
    carry_out(aws, plan_adoption(aws, made))


@click.option("--policy", metavar="NAME", help="Name of the policy.  [default: the site's]")
@click.option(
    "--to", "version", metavar="VERSION", help="Version to restore.  [default: the previous one]"
)
@acting_options
def rollback(policy: str | None, version: str | None) -> None:
    """Restore the previous version of the policy, in one call.

    The next apply creates the site's policy again, so change the site first.

    Examples:
      cml-iam bootstrap rollback
      cml-iam bootstrap rollback --to v3
    """
    from cml_iam.provision import plan_rollback

    site = load_site()
    aws = connect_as("administrator", site)
    carry_out(aws, plan_rollback(aws, site, policy, version))


@click.option("--guard", is_flag=True, help="Also delete the site's guardrail.")
@click.option("--boundary", is_flag=True, help="Also delete the site's boundary.")
@acting_options
def destroy(guard: bool, boundary: bool) -> None:
    """Delete the user or role, its keys and its policies, after you type its name.

    Deletes only what cml-iam created or adopted, and no trail, bucket or alarm.

    Examples:
      cml-iam bootstrap destroy --dry-run
      cml-iam bootstrap destroy --guard --boundary
    """
    from cml_iam.provision import plan_destruction

    site = load_site()
    aws = connect_as("administrator", site)
    pieces: set[Piece] = {"principal"}
    pieces |= {"guard"} if guard else set()
    pieces |= {"boundary"} if boundary else set()
    made = plan_destruction(aws, site, pieces)
    name = str(site.role or site.user)
    done = carry_out(aws, made, lambda aws, _: typed(aws, name, "to delete it"))
    if done and site.user:
        _name_dead_keys(aws, {step.name for step in made.changes if step.resource == "access key"})


def _name_dead_keys(aws: Aws, deleted: set[str]) -> None:
    """Name the deleted keys, and the one that the site's store still holds, if any."""
    if not deleted:
        return
    store = stores_from(Where(None, allow_tracked=True), aws)
    try:
        held = store.look().key
    except CmlIamError:  # another store than a file, which may not be read, says nothing
        held = None
    where = f", `{store.name}` has one" if held and held.id in deleted else ""
    note(f"{WARN} deleted: {', '.join(sorted(deleted))}; remove every copy of them{where}")


@status_options
def status(**wanted: Any) -> None:
    """Show how the account differs from the site, and the user's access keys.

    Examples:
      cml-iam bootstrap status --profile admin
      cml-iam bootstrap status --no-key -o json
    """
    from cml_iam.check.bootstrap import BootstrapScene
    from cml_iam.check.checks import ask, check_named

    site, documents = site_and_documents(wanted["document"])
    aws = connect_as("administrator", site)
    store = None if wanted["no_key"] else stores_from(where_of(wanted), aws)
    (found,) = ask(check_named("status"), BootstrapScene(aws, site, documents, store)).details
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
        say(f"  fix: {found.remedy}")
    _say_rest(found.plan.warnings, found.plan.unchecked)
    say(summary(found.plan))


_STATES = {
    "create": f"{WARN} missing",
    "change": f"{WARN} differs",
    "delete": f"{WARN} left over",
    "keep": f"{OK} as wanted",
}


@drift_options
def drift(**wanted: Any) -> None:
    """Show how the account differs from the site in meaning, and what else the principal has.

    Compares the site's boundary and guardrail if they are attached. Exits with 6 when something
    differs, and with 8 when nothing differs but something could not be checked.

    Examples:
      cml-iam bootstrap drift --profile admin
      cml-iam bootstrap drift --with audit
    """
    from cml_iam.check.bootstrap import BootstrapScene
    from cml_iam.check.checks import ask, check_named

    site, documents = site_and_documents(wanted["document"])
    aws = connect_as("administrator", site)
    options = wishes(site, wanted)
    pieces = options.pop("pieces")
    scene = BootstrapScene(aws, site, documents, pieces=pieces, options=options)
    (found,) = ask(check_named("differences"), scene).details
    code = judged(findings=False, unchecked=bool(found.plan.unchecked))
    answer(found, lambda: _say_drift(found), Exit.CHANGES if found.differs else code)


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

    Examples:
      cml-iam bootstrap render --form cloudformation
    """
    from cml_iam.provision import render_audit

    click.echo(render_audit(load_site(), watch_of(wanted), form), nl=False)


def _say_drift(found: Drift) -> None:
    from cml_iam.provision import steps_lines

    say(f"principal  {found.plan.principal}")
    say("")
    say_lines(steps_lines(found.plan.changes))
    _say_rest(found.also, found.plan.unchecked)
    if found.differs:
        say(
            f"{WARN} differs: {len(found.plan.changes)} from the site file, {len(found.also)} "
            "outside it"
        )
    else:
        checked = len(found.plan.steps) - len(found.plan.changes)
        say(f"{OK} matches the site file: {checked} compared")


def _say_rest(warnings: tuple[str, ...], unchecked: tuple[str, ...]) -> None:
    say_lines(f"{WARN} {text}" for text in warnings)
    say_lines(f"{UNKNOWN} {text}" for text in unchecked)
