"""`cml-iam worker orphans`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from cml_iam.cli._exit import Exit
from cml_iam.cli._output import INFO, OK, WARN, note, print_json, progress, say, wants_json
from cml_iam.cli._settings import aws_options, shared_options
from cml_iam.cli.worker_scene import Scene, scene, worker_json
from cml_iam.cli.worker_show import report_failures
from cml_iam.workers import Looks, Orphan, find_orphans, list_fleet, looks_of


@click.command()
@shared_options("site", "output")
@aws_options
@click.pass_context
def orphans(context: click.Context) -> None:
    """Find instances that look like CML workers and lack the guard tag, with the reasons.

    Likely ones by name, image or tags; possible ones only by an instance type of the site. Nobody
    operates them: `worker adopt` makes workers of them. Exits with 3 when there are likely ones.
    """
    here = scene()
    with progress(f"asking EC2 in {', '.join(here.regions)}"):
        listing = list_fleet(
            here.regions,
            lambda region: here.manager.get_all_instances(region=region, managed_only=False),
        )
        looks = looks_of(here.site) if here.site else Looks()
        found = find_orphans(here.manager, listing.workers, looks)
    answered = [each for each in here.regions if each not in listing.failures]
    if not answered:
        context.exit(report_failures(listing))  # an empty list would be an answer
    if wants_json():
        print_json([_as_json(each) for each in found])
    else:
        _print(here, found, answered)
    likely = Exit.FINDINGS if any(each.likely for each in found) else Exit.OK
    context.exit(report_failures(listing) or likely)


def _print(here: Scene, found: Sequence[Orphan], answered: Sequence[str]) -> None:
    if not found:
        say(f"{OK} no instance without the tag {here.manager.guard} looks like a worker")
        note(f"  looked in {', '.join(answered)}")
    for each in found:
        worker = each.worker
        mark, word = (WARN, "likely") if each.likely else (INFO, "possible")
        where = f"{worker.instance_type}, {worker.state}, {worker.region}"
        say(f"{mark} {word}: {worker.label}, {where}")
        for reason in each.reasons:
            say(f"    {reason}")
    if found:
        ids = " ".join(each.worker.id for each in found if each.likely) or "ID"
        note(f"  to make workers of them, as an administrator: cml-iam worker adopt {ids}")


def _as_json(orphan: Orphan) -> dict[str, Any]:
    return {
        **worker_json(orphan.worker),
        "likely": orphan.likely,
        "reasons": list(orphan.reasons),
        "twin": orphan.twin,
    }
