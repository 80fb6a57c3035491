"""`cml-iam worker create`."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click

from cml_iam import clock
from cml_iam.cli._exit import Exit
from cml_iam.cli._files import read_text
from cml_iam.cli._output import INFO, OK, answer, early, note, progress, say
from cml_iam.cli._settings import aws_options, settings, shared_options
from cml_iam.cli._site import site_path
from cml_iam.cli.worker_scene import (
    Scene,
    explained,
    scene,
    state_folder,
    tags_of,
    warn_of_namesakes,
)
from cml_iam.cli.worker_wait import cml_wait_option, start_goal, wait_code, wait_options, wait_until
from cml_iam.errors import InputError, RefusedError
from cml_iam.workers import (
    Disk,
    Image,
    Launch,
    PendingLaunches,
    Placement,
    Worker,
    check_name,
    create_worker,
    image_owners,
    is_image_id,
    launch_change,
    newest_image,
    placements,
    profile_image,
    profile_launch,
    root_disk,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cml_iam.site import Site, WorkerProfile


@click.argument("name")
@click.option(
    "--worker-profile",
    metavar="NAME",
    help="Worker profile: a [workers.NAME] table of the site file.",
)
@click.option(
    "--image", metavar="ID", help="ID of the image.  [default: the site's image of the region]"
)
@click.option(
    "--image-name",
    metavar="PATTERN",
    help="Use the newest image whose name matches PATTERN (* and ?).",
)
@click.option(
    "--type",
    "instance_type",
    metavar="TYPE",
    help="Instance type.  [default: the site's first type]",
)
@click.option(
    "--subnet",
    metavar="ID",
    help="ID of the subnet.  [default: the site's, else the default VPC's]",
)
@click.option(
    "--security-group",
    "groups",
    metavar="ID",
    multiple=True,
    help="ID of a security group. Repeatable.  [default: the site's]",
)
@click.option("--key-name", metavar="NAME", help="Key pair for SSH.")
@click.option("--instance-profile", metavar="NAME|ARN", help="Instance profile of the worker.")
@click.option(
    "--disk",
    type=click.IntRange(1),
    metavar="GIB",
    help="Size of the encrypted gp3 root disk, in GiB.  [default: the image's]",
)
@click.option(
    "--user-data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File that cloud-init runs on the first boot.",
)
@click.option(
    "--nested", is_flag=True, help="Enable nested virtualization (c8i, m8i and r8i types)."
)
@click.option(
    "--detailed-monitoring", is_flag=True, help="Publish metrics every minute, at extra cost."
)
@click.option(
    "-t", "--tag", "tags", metavar="KEY=VALUE", multiple=True, help="Add this tag. Repeatable."
)
@click.option(
    "--client-token",
    metavar="TEXT",
    help="Idempotency token: repeating the command with the same TEXT creates no second worker.",
)
@wait_options
@cml_wait_option
@shared_options("site", "output", "dry_run", "no_site")
@aws_options
def create(name: str, **given: Any) -> None:
    """Launch a worker called NAME, with the guard tag on it and its volumes.

    First checks with EC2 whether the launch is permitted; --dry-run stops there. With a worker
    profile, tries each of its zones, then its next type, until there is capacity. If no answer
    arrives, the worker may exist: repeat the command, which never creates a second one.

    Examples:
      cml-iam worker create lab-1 --wait --cml
      cml-iam worker create lab-1 --type m5zn.metal --disk 200
      cml-iam worker create lab-1 --worker-profile big --dry-run
    """
    goal = start_goal(waiting=given["wait"])
    check_name(name)
    if given["image"] is not None and not is_image_id(given["image"]):
        raise InputError(
            f"not an image id: `{given['image']}`", remedy="an id is `ami-` and 8 or 17 digits"
        )
    _refuse_read_only()
    here, tries, launch = _asked(name, given)
    with explained(here, launch):
        here.manager.permits(launch_change(launch, here.manager.guard), region=here.home)
        if not launches().under_way(_key(here, name)):  # then it is the one asked for again
            warn_of_namesakes(here, name)
        if settings().dry_run:
            _say_permitted(here, launch)
            return
        with progress(f"launching {name}: {tries[0]} in {here.home}"):
            made = _create(here, launch, tries, keep_token=bool(given["client_token"]))
    where = made.zone or made.region
    early(say, f"{OK} {made.label}: {made.state}, {made.instance_type} in {where}")
    launches().forget(_key(here, name))
    code = Exit.OK
    if given["wait"]:
        (ended,) = wait_until(here, [made], goal, given["timeout"])
        made, code = ended.worker, wait_code([ended])
    answer(made, lambda: None, code)


def _check_region(here: Scene) -> None:
    """Raise for a region the site does not allow; a profile's was checked with the site."""
    allowed = here.site.restrict.regions if here.site else ()
    _refuse_outside("regions", "in", here.home, allowed)


def _check_limits(here: Scene, launch: Launch) -> None:
    """Raise for a launch the site does not allow; a profile was checked with the site."""
    if here.site is None:
        return
    limits = here.site.restrict
    _refuse_outside("instance_types", "of type", launch.instance_type, limits.instance_types)
    if launch.subnet_id:
        _refuse_outside("subnets", "in", launch.subnet_id, limits.subnets)
    for group in launch.security_group_ids:
        _refuse_outside("security_groups", "with", group, limits.security_groups)
    if launch.image_id != _ANY_IMAGE.id:
        images = limits.images.get(here.home, ())
        _refuse_outside(f"images.{here.home}", "from", launch.image_id, images)


def _refuse_outside(restriction: str, how: str, value: str, allowed: Sequence[str]) -> None:
    if allowed and not any(fnmatchcase(value, pattern) for pattern in allowed):
        raise InputError(
            f"the site does not allow a worker {how} `{value}`, and its policy denies it",
            remedy=f"name one of {', '.join(allowed)}, or add it to `restrict.{restriction}`",
        )


def _refuse_read_only() -> None:
    """Raise before anything is called or written; a dry run changes nothing."""
    if settings().read_only and not settings().dry_run:
        raise RefusedError(
            "a launch is a change, but only reads are allowed",
            remedy="omit --read-only (or unset CML_IAM_READ_ONLY), or add --dry-run",
        )


def _asked(name: str, given: dict[str, Any]) -> tuple[Scene, tuple[Placement, ...], Launch]:
    """Return where to create, the places to try there, and the launch in the first one."""
    here = scene(changes=True)
    _check_region(here)
    if given["worker_profile"] is None:
        launch = _launch(here, name, given)
        return here, (Placement(launch.instance_type, launch.subnet_id),), launch
    profile = _profile(here, given)
    if profile.region and not settings().region:
        here = replace(here, home=profile.region)
    tries = placements(profile, here.home)
    user_data, tags = _user_data(profile), tags_of(given["tags"])

    def of_image(image: Image) -> Launch:
        launch = profile_launch(profile, name, image, user_data)
        return replace(
            launch,
            subnet_id=tries[0].subnet_id,
            detailed_monitoring=given["detailed_monitoring"],
            tags={**launch.tags, **tags},
        )

    launch_change(of_image(_ANY_IMAGE), here.manager.guard)  # refuses before EC2 is asked
    image = profile_image(here.manager, here.site, profile, here.home)
    return here, tries, of_image(image)


_ANY_IMAGE = Image("ami-00000000", "", "", "", root_device="/dev/xvda")
"""Placeholder for the image while the other settings of a launch are checked."""


_OF_A_PROFILE = {
    "image": "--image",
    "image_name": "--image-name",
    "instance_type": "--type",
    "subnet": "--subnet",
    "groups": "--security-group",
    "key_name": "--key-name",
    "instance_profile": "--instance-profile",
    "disk": "--disk",
    "user_data": "--user-data",
    "nested": "--nested",
    "client_token": "--client-token",
}


def _profile(here: Scene, given: dict[str, Any]) -> WorkerProfile:
    doubled = [option for name, option in _OF_A_PROFILE.items() if given[name]]
    if doubled:
        raise click.UsageError(f"{', '.join(doubled)}: already set by the worker profile")
    known = here.site.workers if here.site else {}
    if given["worker_profile"] not in known:
        raise InputError(
            f"the site file has no worker profile `{given['worker_profile']}`",
            remedy=f"it has: {', '.join(known)}" if known else "add [workers.NAME] to it",
        )
    return known[given["worker_profile"]]


def _user_data(profile: WorkerProfile) -> str | None:
    if profile.user_data is None:
        return None
    return read_text(site_path().parent / profile.user_data)


def _create(
    here: Scene, launch: Launch, tries: tuple[Placement, ...], *, keep_token: bool
) -> Worker:
    if keep_token:
        return here.manager.create_instance(launch, region=here.home)
    return create_worker(
        here.manager,
        launch,
        tries,
        region=here.home,
        key=_key(here, launch.name),
        pending=launches(),
        now=clock.now,
        tell=lambda text: note(f"{INFO} {text}"),
    )


def launches() -> PendingLaunches:
    """Return the launches without a known outcome, of all sites of this user."""
    return PendingLaunches(state_folder() / "launches")


def _key(here: Scene, name: str) -> str:
    """Return what identifies a launch when the command is repeated."""
    account = here.site.account if here.site else ""
    endpoint = settings().endpoint_url or os.environ.get("AWS_ENDPOINT_URL", "")
    return "\n".join((account, here.home, name, endpoint))


def _launch(here: Scene, name: str, given: dict[str, Any]) -> Launch:
    image = _image(here, given["image"], given["image_name"])
    made = Launch(
        name=name,
        image_id=image or _ANY_IMAGE.id,
        instance_type=given["instance_type"] or _type(here),
        subnet_id=given["subnet"] or only_subnet(here.site),
        security_group_ids=given["groups"] or only_group(here.site),
        key_name=given["key_name"],
        instance_profile=given["instance_profile"],
        user_data=read_text(given["user_data"]) if given["user_data"] else None,
        nested=given["nested"],
        detailed_monitoring=given["detailed_monitoring"],
        tags=tags_of(given["tags"]),
        client_token=given["client_token"] or str(uuid4()),
    )
    _check_limits(here, made)
    launch_change(made, here.manager.guard)  # refuses before EC2 is asked
    if image:
        found = here.manager.get_image(image, region=here.home)
    else:
        pattern, owners = given["image_name"], image_owners(here.site)
        found = newest_image(here.manager, here.site, here.home, pattern, owners)
    return replace(made, image_id=found.id, disk=_disk(here, given["disk"], found))


def only_subnet(site: Site | None) -> str | None:
    """Return the subnet of the site, if it allows just one."""
    allowed = site.restrict.subnets if site else ()
    return allowed[0] if len(allowed) == 1 else None


def only_group(site: Site | None) -> tuple[str, ...]:
    """Return the security group of the site, if it allows just one."""
    allowed = site.restrict.security_groups if site else ()
    return allowed if len(allowed) == 1 else ()


def _disk(here: Scene, gib: int | None, image: Image) -> Disk | None:
    disk = root_disk(image, gib)
    if disk is None and (gib or (here.site and here.site.restrict.encrypted_volumes)):
        raise InputError(
            f"image `{image.id}` has no root device", remedy="use an image with an EBS root volume"
        )
    return disk


def _image(here: Scene, image: str | None, pattern: str | None) -> str | None:
    """Return the id of the image to launch; None if it must be found by *pattern*."""
    if image and pattern:
        raise click.UsageError("give --image or --image-name, not both")
    if image or pattern:
        return image
    allowed = here.site.restrict.images.get(here.home, ()) if here.site else ()
    if len(allowed) == 1:
        return allowed[0]
    raise InputError(
        f"no image is given, and the site file names {len(allowed) or 'none'} for {here.home}",
        remedy="name one: --image or --image-name",
    )


def _type(here: Scene) -> str:
    named = first_type(here.site)
    if named is None:
        raise InputError("which instance type?", remedy="name one: --type, such as m5zn.metal")
    return named


def first_type(site: Site | None) -> str | None:
    """Return the first instance type that the site names in full."""
    patterns = site.restrict.instance_types if site else ()
    return next((pattern for pattern in patterns if not set("*?") & set(pattern)), None)


def _say_permitted(here: Scene, launch: Launch) -> None:
    permitted = (
        f"{OK} {launch.name}: permitted: {launch.instance_type} from {launch.image_id} "
        f"in {here.home} (nothing was created)"
    )
    answer(
        {"dry_run": True, "permitted": True, "region": here.home, **asdict(launch)},
        lambda: say(permitted),
    )
