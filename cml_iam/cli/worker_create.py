"""`cml-iam worker create` and `images`."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import click

from cml_iam.cli._exit import Exit
from cml_iam.cli._output import OK, note, print_json, print_table, progress, say, wants_json
from cml_iam.cli._settings import aws_options, settings, shared_options
from cml_iam.cli.worker_scene import Scene, scene, worker_json
from cml_iam.cli.worker_wait import wait_code, wait_options, wait_until
from cml_iam.cli.worker_words import words
from cml_iam.errors import InputError, NotFoundError
from cml_iam.site import Site
from cml_iam.workers import Disk, Goal, Image, Launch, launch_ask


@click.command()
@click.argument("name")
@click.option("--image", metavar="ID", help="[default: the site's image of the region]")
@click.option("--image-name", metavar="PATTERN", help="The newest image of this name, * and ?.")
@click.option("--type", "instance_type", metavar="TYPE", help="[default: the site's first type]")
@click.option("--subnet", metavar="ID", help="[default: the site's one, or the default VPC's]")
@click.option(
    "--security-group",
    "groups",
    metavar="ID",
    multiple=True,
    help="May be repeated.  [default: the site's one]",
)
@click.option("--key-name", metavar="NAME", help="The key pair to sign in with.")
@click.option("--instance-profile", metavar="NAME|ARN", help="The role of the worker itself.")
@click.option("--disk", type=int, metavar="GIB", help="An encrypted gp3 root disk of this size.")
@click.option(
    "--user-data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What cloud-init is to run.",
)
@click.option("--nested", is_flag=True, help="Nested virtualization: c8i, m8i and r8i types.")
@click.option("--detailed-monitoring", is_flag=True, help="Metrics each minute; costs extra.")
@click.option("-t", "--tag", "tags", metavar="KEY=VALUE", multiple=True, help="May be repeated.")
@click.option("--client-token", metavar="TEXT", help="The same text never makes a second worker.")
@wait_options
@shared_options("site", "output", "color", "quiet", "dry_run")
@aws_options
@click.pass_context
def create(context: click.Context, /, name: str, **given: Any) -> None:
    """Launch a worker called NAME, with the guard tag on it and its volumes.

    --dry-run asks EC2 whether it is permitted. When no answer comes, the worker may exist all the
    same: repeat with the --client-token of the error message, which never makes a second one.
    """
    here = scene()
    launch = _launch(here, name, given)
    if settings().dry_run:
        here.manager.permits(launch_ask(launch, here.manager.guard), region=here.home)
        _say_permitted(here, launch)
        return
    note(f"  client token {launch.client_token}")
    with progress(f"asking EC2 for {name}, {launch.instance_type} in {here.home}"):
        made = here.manager.create_instance(launch, region=here.home)
    if not wants_json():
        say(f"{OK} {made.label}: {made.state}, {made.instance_type} in {made.zone or made.region}")
    code = Exit.OK
    if given["wait"]:
        (ended,) = wait_until(here, [made], Goal.RUNNING, given["timeout"])
        made, code = ended.worker, wait_code([ended])
    if wants_json():
        print_json(worker_json(made))
    context.exit(code)


@click.command()
@click.argument("pattern")
@click.option(
    "--owner", "owners", metavar="ID", multiple=True, help="[default: the site's, or self]"
)
@shared_options("site", "output", "color", "quiet")
@aws_options
def images(pattern: str, owners: tuple[str, ...]) -> None:
    """Find images whose name fits PATTERN (* and ?) among trusted owners, the newest first."""
    here = scene()
    found = here.manager.find_images(pattern, region=here.home, owners=owners or _owners(here))
    if wants_json():
        print_json([asdict(each) for each in found])
        return
    print_table(
        ["id", "name", "created", "owner"],
        [[each.id, each.name, each.created_at[:10], each.owner] for each in found],
    )


def _launch(here: Scene, name: str, given: dict[str, Any]) -> Launch:
    image = _image(here, given["image"], given["image_name"])
    made = Launch(
        name=name,
        image_id=image if isinstance(image, str) else image.id,
        instance_type=given["instance_type"] or _type(here),
        subnet_id=given["subnet"] or only_subnet(here.site),
        security_group_ids=given["groups"] or only_group(here.site),
        key_name=given["key_name"],
        instance_profile=given["instance_profile"],
        user_data=given["user_data"].read_text("utf-8") if given["user_data"] else None,
        nested=given["nested"],
        detailed_monitoring=given["detailed_monitoring"],
        tags=words(given["tags"]),
        client_token=given["client_token"] or str(uuid4()),
    )
    if given["disk"] is None and not (here.site and here.site.restrict.encrypted_volumes):
        return made
    known = here.manager.get_image(image, region=here.home) if isinstance(image, str) else image
    return replace(made, disk=_disk(given["disk"], known))


def only_subnet(site: Site | None) -> str | None:
    """Return the subnet of the site, if it allows just one."""
    allowed = site.restrict.subnets if site else ()
    return allowed[0] if len(allowed) == 1 else None


def only_group(site: Site | None) -> tuple[str, ...]:
    """Return the security group of the site, if it allows just one."""
    allowed = site.restrict.security_groups if site else ()
    return allowed if len(allowed) == 1 else ()


def _disk(size_gib: int | None, image: Image) -> Disk:
    if not image.root_device:
        raise InputError(f"image `{image.id}` names no root device", remedy="leave --disk out")
    return Disk(size_gib, image.root_device)


def _image(here: Scene, image: str | None, pattern: str | None) -> str | Image:
    if image and pattern:
        raise click.UsageError("give --image or --image-name, not both")
    if image:
        return image
    allowed = here.site.restrict.images.get(here.home, ()) if here.site else ()
    if pattern:
        found = here.manager.find_images(pattern, region=here.home, owners=_owners(here))
        fitting = [each for each in found if not allowed or each.id in allowed]
        if not fitting:
            raise NotFoundError(
                f"no image called `{pattern}` in {here.home}",
                remedy="see `cml-iam worker images`; only trusted owners' and allowed ones count",
            )
        return fitting[0]
    if len(allowed) == 1:
        return allowed[0]
    raise InputError(
        f"which image? the site file lists {len(allowed)} for {here.home}",
        remedy="name one: --image or --image-name",
    )


def _type(here: Scene) -> str:
    named = first_type(here.site)
    if named is None:
        raise InputError("which instance type?", remedy="name one: --type, such as m5zn.metal")
    return named


def first_type(site: Site | None) -> str | None:
    """Return the first instance type the site names in full."""
    patterns = site.restrict.instance_types if site else ()
    return next((each for each in patterns if not set("*?") & set(each)), None)


def _owners(here: Scene) -> tuple[str, ...]:
    return (here.site.restrict.image_owners if here.site else ()) or ("self",)


def _say_permitted(here: Scene, launch: Launch) -> None:
    if wants_json():
        print_json({"dry_run": True, "permitted": True, "region": here.home, **asdict(launch)})
        return
    say(
        f"{OK} {launch.name}: permitted: {launch.instance_type} from {launch.image_id} "
        f"in {here.home} (nothing was made)"
    )
