"""`cml-iam worker orphans` and `adopt`: find instances that are not workers, and adopt them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from cml_iam import errors
from cml_iam.cli._exit import Exit
from cml_iam.cli._output import INFO, OK, WARN, answer, note, progress, say, say_lines
from cml_iam.cli._settings import aws_options, settings, shared_options
from cml_iam.cli.worker_act import change, confirm, failures, outcome_json, outcome_line
from cml_iam.cli.worker_scene import Scene, scene
from cml_iam.cli.worker_show import report_failures
from cml_iam.workers import (
    Looks,
    Orphan,
    Outcome,
    Worker,
    adopt_change,
    check_adoption,
    find_orphans,
    looks_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


@shared_options("site", "output")
@aws_options
@click.pass_context
def orphans(context: click.Context) -> None:
    """Find instances that look like CML workers but lack the guard tag, with the reasons.

    Likely instances match by name, image or tags; possible ones only by an instance type of the
    site. The manager cannot operate them; `worker adopt` makes them workers. Exits with 3 when
    there are likely instances.

    Examples:
      cml-iam worker orphans
    """
    here = scene()
    with progress(f"asking EC2 in {', '.join(here.regions)}"):
        listing = here.listing(managed_only=False)
        looks = looks_of(here.site) if here.site else Looks()
        found = find_orphans(here.manager, listing.workers, looks)
    regions = [region for region in here.regions if region not in listing.failures]
    likely = Exit.FINDINGS if any(orphan.likely for orphan in found) else Exit.OK
    if regions:  # otherwise an empty list would be an answer
        answer(found, lambda: _print(here, found, regions))
    context.exit(report_failures(listing) or likely)


def _print(here: Scene, found: Sequence[Orphan], answered: Sequence[str]) -> None:
    if not found:
        say(f"{OK} no instance without the tag {here.manager.guard} looks like a worker")
        note(f"  looked in {', '.join(answered)}")
    for orphan in found:
        worker = orphan.worker
        mark, word = (WARN, "likely") if orphan.likely else (INFO, "possible")
        where = f"{worker.instance_type}, {worker.state}, {worker.region}"
        say(f"{mark} {word}: {worker.label}, {where}")
        for reason in orphan.reasons:
            say(f"    {reason}")
    if found:
        ids = " ".join(orphan.worker.id for orphan in found if orphan.likely) or "ID"
        note(f"  to adopt them as workers, as an administrator: cml-iam worker adopt {ids}")


_BY_AN_ADMINISTRATOR = (
    "run it as an administrator who may use ec2:CreateTags on the instance, for example with "
    "--profile ADMIN"
)


@click.argument("ids", nargs=-1, required=True)
@shared_options("site", "output", "yes", "dry_run", "no_site")
@aws_options
def adopt(ids: tuple[str, ...]) -> None:
    """Add the guard tag to the instances IDS, which makes them workers.

    Needs the administrator's credential: the hardened policy deliberately denies it to the manager,
    because anyone who may set the guard tag can take over any instance. With --dry-run, EC2 only
    checks whether the call is permitted.

    Examples:
      cml-iam worker adopt i-0a1b2c3d4e5f67890 --profile admin
    """
    here = scene("administrator", changes=True)
    found = here.find(ids)
    wanted = check_adoption(found, here.manager.guard)
    for worker in found:
        if worker not in wanted:
            note(f"{INFO} {worker.label} already has the guard tag")
    if not wanted:
        answer([], lambda: say(f"{OK} nothing to do"), Exit.OK)
    note(f"{INFO} the tag {here.manager.guard}, set by {here.aws.identity().arn}")
    confirm(here, wanted, "adopt")
    make = partial(adopt_change, guard=here.manager.guard)
    outcomes = [_explained(here, each) for each in change(here, wanted, make, "tag")]
    dry = settings().dry_run
    answer(
        [outcome_json(outcome, None, dry=dry) for outcome in outcomes],
        lambda: say_lines(outcome_line(outcome, "adopt", dry=dry) for outcome in outcomes),
        failures(outcomes),
    )


def _explained(here: Scene, outcome: Outcome) -> Outcome:
    """Add to a refusal the statement that causes it, and who can make the change."""
    error = outcome.error
    if isinstance(error, errors.DeniedError):
        error.message = f"refused: {_why(here, outcome.worker)}"
        error.remedy = _BY_AN_ADMINISTRATOR
    return outcome


def _why(here: Scene, worker: Worker) -> str:
    site = here.site
    who = here.aws.identity().arn
    if site is None or who != site.principal_arn:
        return f"`{who}` may not use ec2:CreateTags on {worker.id}"
    return "by design: " + "; ".join(_statements(here, worker))


def _statements(here: Scene, worker: Worker) -> list[str]:
    """Return the part of each statement of the site's policy for the manager."""
    from cml_iam.engine import authorization, compile_policies
    from cml_iam.render import render_policy

    site: Any = here.site
    caller = authorization.Caller(site.principal_arn)
    instance = authorization.Instance(
        worker.id, worker.region, site.account, worker.instance_type, worker.tags, worker.zone
    )
    guard = here.manager.guard
    (asked,) = authorization.retag(caller, "ec2:CreateTags", instance, {guard.key: guard.value})
    decision = compile_policies([render_policy(site).document]).decide(asked)
    return [
        f"statement `{reason.label}` does not allow it: {reason.reason}"
        for reason in decision.reasons
        if reason.effect == "Allow" and all(element.matched for element in reason.elements)
    ] or ["no statement of the site's policy allows it"]
