"""`cml-iam worker images`, and the newest image of a name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import click

from cml_iam.cli._exit import Exit
from cml_iam.cli._output import INFO, note, print_json, print_table, wants_json
from cml_iam.cli._settings import aws_options, shared_options
from cml_iam.cli.worker_scene import Scene, scene
from cml_iam.errors import NotFoundError
from cml_iam.workers import Image


@click.command()
@click.argument("pattern")
@click.option(
    "--owner", "owners", metavar="ID", multiple=True, help="[default: the site's, or self]"
)
@shared_options("site", "output")
@aws_options
@click.pass_context
def images(context: click.Context, pattern: str, owners: tuple[str, ...]) -> None:
    """Find images whose name fits PATTERN (* and ?) among trusted owners, the newest first.

    Exits with 3 when there is none.
    """
    here = scene()
    trusted = owners or owners_of(here)
    found = here.manager.find_images(pattern, region=here.home, owners=trusted)
    if wants_json():
        print_json([asdict(each) for each in found])
    else:
        _print_images(here, pattern, trusted, found)
    context.exit(Exit.OK if found else Exit.FINDINGS)


def _print_images(here: Scene, pattern: str, owners: Sequence[str], found: Sequence[Image]) -> None:
    if not found:
        note(f"{INFO} no available image called `{pattern}` in {here.home}, of {', '.join(owners)}")
        if not set("*?") & set(pattern):
            note(f"  the whole name must fit: try '*{pattern}*'")
        note("  other owners: --owner ID (self, amazon, an account); other regions: --region NAME")
        return
    print_table(
        ["id", "name", "created", "owner"],
        [[each.id, each.name, each.created_at[:10], each.owner] for each in found],
    )


def newest(here: Scene, pattern: str, owners: tuple[str, ...]) -> Image:
    """Return the newest image called *pattern* of *owners*, of those the site allows."""
    allowed = here.site.restrict.images.get(here.home, ()) if here.site else ()
    found = here.manager.find_images(pattern, region=here.home, owners=owners)
    fitting = [each for each in found if not allowed or each.id in allowed]
    if not fitting:
        raise NotFoundError(
            f"no image called `{pattern}` in {here.home}",
            remedy="see `cml-iam worker images`; only trusted owners' and allowed ones count",
        )
    return fitting[0]


def owners_of(here: Scene) -> tuple[str, ...]:
    """Return whose images are trusted: the site's owners, or this account."""
    return (here.site.restrict.image_owners if here.site else ()) or ("self",)
