"""`cml-iam worker adopt`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from cml_iam import errors
from cml_iam.cli._output import INFO, OK, note, print_json, progress, say, wants_json
from cml_iam.cli._settings import aws_options, settings, shared_options
from cml_iam.cli.worker_act import confirm, failures, outcome_json, outcome_line
from cml_iam.cli.worker_scene import Scene, scene
from cml_iam.workers import Outcome, Worker, act, adopt_ask, check_adoption

_BY_AN_ADMINISTRATOR = (
    "repeat it with credentials of an administrator who may use ec2:CreateTags on the instance, "
    "such as --profile ADMIN"
)


@click.command()
@click.argument("ids", nargs=-1, required=True)
@shared_options("site", "output", "yes", "dry_run", "no_site")
@aws_options
@click.pass_context
def adopt(context: click.Context, ids: tuple[str, ...]) -> None:
    """Put the guard tag on the instances IDS, which makes workers of them.

    This is an administrator's: the hardened policy refuses it to the manager by design, since who
    may set the guard tag may take over any instance. --dry-run asks EC2 whether it is permitted.
    """
    here = scene("administrator", changes=True)
    found = here.find(ids)
    wanted = check_adoption(found, here.manager.guard)
    for each in found:
        if each not in wanted:
            note(f"{INFO} {each.label} carries the guard tag already")
    if not wanted:
        _say_nothing_to_do()
        return
    note(f"{INFO} the tag {here.manager.guard}, set by {here.aws.identity().arn}")
    confirm(here, wanted, "adopt")
    outcomes = [_explained(here, each) for each in _adopt(here, wanted)]
    if wants_json():
        print_json([outcome_json(each, None, dry=settings().dry_run) for each in outcomes])
    else:
        for outcome in outcomes:
            say(outcome_line(outcome, "adopt", dry=settings().dry_run))
    context.exit(failures(outcomes))


def _adopt(here: Scene, workers: Sequence[Worker]) -> tuple[Outcome, ...]:
    with progress(f"asking EC2 to tag {len(workers)} instance(s)"):
        return act(
            here.manager,
            workers,
            lambda instances: adopt_ask(instances, here.manager.guard),
            dry_run=settings().dry_run,
        )


def _say_nothing_to_do() -> None:
    if wants_json():
        print_json([])
    else:
        say(f"{OK} nothing to do")


def _explained(here: Scene, outcome: Outcome) -> Outcome:
    """Have a refusal name the statement that is behind it, and who may do it."""
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
    """Return what each statement of the site's policy about it says to the manager."""
    from cml_iam import authorization
    from cml_iam.engine import compile_policies
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
        f"statement `{each.label}` does not allow it: {each.reason}"
        for each in decision.reasons
        if each.effect == "Allow" and all(element.matched for element in each.elements)
    ] or ["no statement of the site's policy allows it"]
