"""`cml-iam bootstrap adopt`, `rollback` and `destroy`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cml_iam.cli._ask import typed
from cml_iam.cli._bootstrap import acting_options, carry_out, planned, wanted_options
from cml_iam.cli._connect import connect_as
from cml_iam.cli._delivery import Where, stores_from
from cml_iam.cli._output import WARN, note
from cml_iam.cli._settings import shared_options
from cml_iam.cli._site import load_site
from cml_iam.errors import CmlIamError

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws
    from cml_iam.provision import Piece


@click.command()
@wanted_options
@shared_options("yes", "dry_run")
def adopt(**wanted: Any) -> None:
    """Take over a user, role or policy that is there: tag it, and show what apply would change."""
    from cml_iam.provision import plan_adoption

    aws, made = planned({**wanted, "no_key": True})
    carry_out(aws, plan_adoption(aws, made))


@click.command()
@click.option("--policy", metavar="NAME", help="Which policy.  [default: the site's]")
@click.option("--to", "version", metavar="VERSION", help="Which version.  [default: the former]")
@acting_options
def rollback(policy: str | None, version: str | None) -> None:
    """Put the version of the policy in force again that was before, in one call.

    The next apply makes the site's policy again: change the site first.
    """
    from cml_iam.provision import plan_rollback

    site = load_site()
    aws = connect_as("administrator", site)
    carry_out(aws, plan_rollback(aws, site, policy, version))


@click.command()
@click.option("--guard", is_flag=True, help="Delete the site's guard, too.")
@click.option("--boundary", is_flag=True, help="Delete the site's boundary, too.")
@acting_options
def destroy(guard: bool, boundary: bool) -> None:
    """Delete the user or role, its keys and its policies; asks for the name on a terminal.

    Touches nothing that cml-iam neither made nor took over, and no trail, bucket or alarm.
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
    """Say which keys are gone, and that the store of the site holds one of them, if it does."""
    if not deleted:
        return
    store = stores_from(Where(None, allow_tracked=True), aws)
    try:
        held = store.look().key
    except CmlIamError:  # another store than a file, which may not be read, says nothing
        held = None
    where = f", as `{store.name}` does" if held and held.id in deleted else ""
    note(f"{WARN} deleted: {', '.join(sorted(deleted))}; remove them from what holds them{where}")
