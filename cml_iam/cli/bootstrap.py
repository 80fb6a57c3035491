"""`cml-iam bootstrap`: plan, apply, adopt, rollback and destroy."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cml_iam import credentials, provision, render
from cml_iam.cli._exit import Exit
from cml_iam.cli._options import (
    FILE,
    Heading,
    aws_options,
    on_command_line,
    option,
    options,
    pairs,
    repeatable,
    settings,
    shared_options,
)
from cml_iam.cli._output import (
    BAD,
    INFO,
    OK,
    WARN,
    agreed,
    answer,
    complain,
    early,
    note,
    say,
    typed,
)
from cml_iam.cli._site import connect_as, document_option, load_site, refuse_trust
from cml_iam.cli.key_deliver import Where, delivery_of, file_options, to_option
from cml_iam.errors import CmlIamError, InputError
from cml_iam.site import TRUSTS

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws
    from cml_iam.site import Site

_SITES_OWN = "site"
"""The value of `--boundary` without an ARN: the site's own boundary."""

_trail_option = functools.partial(option, heading=Heading.TRAIL)
watch_options = options(
    _trail_option("--timezone ZONE", "Time zone of --hours.", default="UTC"),
    _trail_option(
        "--hours HOURS",
        "Working hours: terminating an instance outside them raises an alarm.",
        default="mon-fri 07:00-18:00",
    ),
    _trail_option("--alert-email ADDRESS", "Send the alarms to ADDRESS."),
)
policy_option = document_option(
    "Policy to attach: base (no restrictions) or hardened (the site's restrictions)."
)
key_options = options(file_options, to_option, option("--no-key", "Leave out the access keys."))
principal_options = options(
    option("--path PATH", "IAM path of the user or role.  [default: the site's]"),
    option(
        "--boundary [ARN]",
        "Include the permissions boundary ARN; without ARN, the site's own.",
        is_flag=False,
        flag_value=_SITES_OWN,
    ),
    option("--guard", "Include the site's guardrail, a Deny policy."),
    option(
        "--trust",
        "Service or identity that may assume the role.",
        type=click.Choice(TRUSTS),
        default="ec2",
    ),
    repeatable(
        "--only",
        "Include only this part, for an administrator with limited permissions.",
        type=click.Choice(["principal", "boundary", "guard", "audit"]),
    ),
    repeatable(
        "--with",
        "Also include this part: audit is a CloudTrail trail and its alarms.",
        name="extras",
        type=click.Choice(["audit"]),
    ),
    watch_options,
    repeatable("--tag KEY=VALUE", "Include this tag.", name="tags"),
)
common_options = options(aws_options, shared_options("site", "output"))
_wanted_options = options(policy_option, key_options, principal_options, common_options)
"""Every option that selects what bootstrap creates, and the common AWS options."""

_acting_options = options(aws_options, shared_options("site", "output", "yes", "dry_run"))
_shared_policy_option = option(
    "--change-shared", "Allow changes to a policy that other principals also have."
)


def site_and_documents(wanted: Mapping[str, Any]) -> tuple[Site, tuple[str, ...]]:
    """Return the site, and its policy in as many parts as it takes."""
    site = load_site()
    return site, tuple(part.text for part in render.render_parts(site, wanted["document"]))


def where_of(wanted: Mapping[str, Any]) -> Where:
    """Return the stores of the options *wanted*, which may come from a plan file."""
    return Where(
        None if wanted["env_file"] is None else Path(wanted["env_file"]),
        wanted["allow_tracked"],
        tuple(wanted["to"]),
    )


def wishes_of(site: Site, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options *wanted* as arguments of `plan_bootstrap`, without the delivery."""
    boundary = wanted["boundary"]
    own = boundary == _SITES_OWN
    if boundary and not own and not boundary.startswith("arn:"):
        raise InputError(f"not the ARN of a policy: `{boundary}`")
    refuse_trust(site, wanted["trust"])
    pieces = _pieces(guard=wanted["guard"], boundary=own) | set(wanted["extras"])
    pieces = set(wanted["only"]) or pieces
    return {
        "path": wanted["path"],
        "boundary": site.boundary_arn if own else boundary,
        "tags": dict(pairs(wanted["tags"])),
        "trust": wanted["trust"],
        "pieces": frozenset(pieces),
        "watch": watch_of(wanted) if "audit" in pieces else None,
    }


def _pieces(*, guard: bool, boundary: bool) -> set[provision.Piece]:
    pieces: dict[provision.Piece, bool] = {"principal": True, "guard": guard, "boundary": boundary}
    return {piece for piece, included in pieces.items() if included}


def watch_of(wanted: Mapping[str, Any]) -> provision.Watch:
    """Return the alarm settings of the options *wanted*."""
    hours = provision.parse_hours(wanted["hours"], wanted["timezone"])
    email = wanted["alert_email"]
    if email is not None and re.fullmatch(r"[^@\s]+@[^@\s]+", email) is None:
        raise InputError(f"not an e-mail address: `{email}`", remedy="write NAME@DOMAIN")
    return provision.Watch(datetime.now(UTC).year, hours, email)


def _planned(wanted: Mapping[str, Any]) -> tuple[Aws, provision.Plan]:
    """Return the connection, and the plan for the options *wanted*."""
    site, documents = site_and_documents(wanted)
    wishes, has_key = wishes_of(site, wanted), site.user is not None and not wanted["no_key"]
    if has_key:
        where_of(wanted).check()
    aws = connect_as("administrator", site)
    delivery = delivery_of(site, where_of(wanted).open(aws)) if has_key else None
    shared = bool(wanted.get("change_shared"))
    plan = provision.plan_bootstrap(
        aws, site, documents, delivery=delivery, change_shared=shared, **wishes
    )
    return aws, provision.foresee(aws, plan)


def _carry_out(aws: Aws, plan: provision.Plan, agree: Callable[[Aws, str], bool] = agreed) -> bool:
    """Show *plan*, ask, and apply it; return whether it was applied. Prints the result.

    For a dry run, the plan is the result; as for `bootstrap plan`, pending changes exit with 6.
    """
    if settings().dry_run:
        code = Exit.CHANGES if plan.changes else Exit.OK
        answer(provision.plan_data(plan), provision.plan_lines(plan), code)
        return False
    if not settings().quiet:
        for line in provision.plan_lines(plan, refusals=False):
            complain(line)
    plan.check()
    if plan.changes and not agree(aws, "apply?"):
        click.get_current_context().exit(Exit.CHANGES)
    key_id = provision.apply_plan(
        aws, plan, report=lambda step: note(f"{INFO} {step.resource}: {step.name}")
    )
    result = {
        "principal": plan.principal,
        "done": [f"{step.mark} {step.resource} {step.name}" for step in plan.changes],
        "key_id": key_id,
        "store": plan.key.store if plan.key else None,
    }
    count = len(plan.changes)
    answer(result, [f"{OK} {plan.principal}: {count} done" if count else f"{OK} nothing to do"])
    if "audit" in plan.desired.pieces and plan.desired.task == "bootstrap":
        _check_trail(aws, plan.desired.site)
    if key_id and plan.key:
        early(say, f"{OK} access key {key_id} is in {plan.key.store}")
        if plan.key.changes and plan.delivery:
            early(say, *(f"{WARN} {word}" for word in plan.delivery.store.afterwards()))
    return True


def _check_trail(aws: Aws, site: Site) -> None:
    """Check that the trail really logs; exit with 3 if it does not."""
    from cml_iam.check.bootstrap import trail_problems

    problems = trail_problems(aws, site)
    for text in problems:
        note(f"{BAD} {text}")
    if problems:
        click.get_current_context().exit(Exit.FINDINGS)
    note(f"{OK} the trail {site.audit.trail} is logging")


@_wanted_options
@_shared_policy_option
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
    _, plan = _planned(wanted)
    answer(provision.plan_data(plan), provision.plan_lines(plan))
    if save is not None:
        provision.save_plan(plan, _kept(wanted), save)
        note(
            f"{INFO} saved: `cml-iam bootstrap apply {save}` applies exactly this plan, or nothing"
        )
    if plan.changes:
        click.get_current_context().exit(Exit.CHANGES)


@click.argument("plan_file", required=False, type=FILE, metavar="[PLAN]")
@_wanted_options
@_shared_policy_option
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
    aws, plan = _planned(wanted)
    if saved is not None:
        provision.check_fresh(saved, plan)
    _carry_out(aws, plan)


def _kept(wanted: dict[str, Any]) -> dict[str, Any]:
    """Return the options for the plan file; the path of the key file becomes absolute."""
    lists = {name: list(value) for name, value in wanted.items() if isinstance(value, tuple)}
    stores = [credentials.absolute_store(store) for store in where_of(wanted).texts]
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


@_wanted_options
@shared_options("yes", "dry_run")
def adopt(**wanted: Any) -> None:
    """Take over an existing user, role or policy: tag it, and show what apply would change.

    Examples:
      cml-iam bootstrap adopt --profile admin
    """
    aws, plan = _planned({**wanted, "no_key": True})
    _carry_out(aws, provision.plan_adoption(aws, plan))


@option("--policy NAME", "Name of the policy.  [default: the site's]")
@option("--to VERSION", "Version to restore.  [default: the previous one]", name="version")
@_acting_options
def rollback(policy: str | None, version: str | None) -> None:
    """Restore the previous version of the policy, in one call.

    The next apply creates the site's policy again, so change the site first.

    Examples:
      cml-iam bootstrap rollback
      cml-iam bootstrap rollback --to v3
    """
    site = load_site()
    aws = connect_as("administrator", site)
    _carry_out(aws, provision.plan_rollback(aws, site, policy, version))


@option("--guard", "Also delete the site's guardrail.")
@option("--boundary", "Also delete the site's boundary.")
@_acting_options
def destroy(guard: bool, boundary: bool) -> None:
    """Delete the user or role, its keys and its policies, after you type its name.

    Deletes only what cml-iam created or adopted, and no trail, bucket or alarm.

    Examples:
      cml-iam bootstrap destroy --dry-run
      cml-iam bootstrap destroy --guard --boundary
    """
    site = load_site()
    aws = connect_as("administrator", site)
    plan = provision.plan_destruction(aws, site, _pieces(guard=guard, boundary=boundary))
    name = str(site.role or site.user)
    applied = _carry_out(aws, plan, lambda aws, _: typed(aws, name, "to delete it"))
    deleted = {step.name for step in plan.changes if step.resource == "access key"}
    if applied and site.user and deleted:
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
