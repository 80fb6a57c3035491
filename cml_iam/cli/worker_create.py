"""`cml-iam worker create`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click

from cml_iam import clock, workers
from cml_iam.cli._exit import Exit
from cml_iam.cli._files import read_text
from cml_iam.cli._options import aws_options, option, repeatable, settings, shared_options
from cml_iam.cli._output import INFO, OK, answer, early, note, progress, say
from cml_iam.cli._site import site_path
from cml_iam.cli.worker_act import Wait, wait_code, wait_options, wait_until
from cml_iam.cli.worker_scene import (
    Scene,
    explained,
    scene,
    state_folder,
    tags_of,
    warn_of_namesakes,
)
from cml_iam.errors import InputError, RefusedError

if TYPE_CHECKING:
    from cml_iam.site import WorkerProfile
    from cml_iam.workers import Image, Launch, Placement


@click.argument("name")
@option("--worker-profile NAME", "Worker profile: a [workers.NAME] table of the site file.")
@option("--image ID", "ID of the image.  [default: the site's image of the region]")
@option("--image-name PATTERN", "Use the newest image whose name matches PATTERN (* and ?).")
@option("--type TYPE", "Instance type.  [default: the site's first type]", name="instance_type")
@option("--subnet ID", "ID of the subnet.  [default: the site's, else the default VPC's]")
@repeatable("--security-group ID", "ID of a security group.  [default: the site's]", name="groups")
@option("--key-name NAME", "Key pair for SSH.")
@option("--instance-profile NAME|ARN", "Instance profile of the worker.")
@option(
    "--disk GIB",
    "Size of the encrypted gp3 root disk, in GiB.  [default: the image's]",
    type=click.IntRange(1),
)
@option(
    "--user-data",
    "File that cloud-init runs on the first boot.",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@option("--nested", "Enable nested virtualization (c8i, m8i and r8i types).")
@option("--detailed-monitoring", "Publish metrics every minute, at extra cost.")
@repeatable("-t, --tag KEY=VALUE", "Add this tag.", name="tags")
@option(
    "--client-token TEXT",
    "Idempotency token: repeating the command with the same TEXT creates no second worker.",
)
@wait_options(workers.Goal.RUNNING, cml=True)
@shared_options("site", "output", "dry_run", "no_site")
@aws_options
def create(name: str, wait: Wait, **options: Any) -> None:
    """Launch a worker called NAME, with the guard tag on it and its volumes.

    First checks with EC2 whether the launch is permitted; --dry-run stops there. With a worker
    profile, tries each of its zones, then its next type, until there is capacity. If no answer
    arrives, the worker may exist: repeat the command, which never creates a second one.

    Examples:
      cml-iam worker create lab-1 --wait --cml
      cml-iam worker create lab-1 --type m5zn.metal --disk 200
      cml-iam worker create lab-1 --worker-profile big --dry-run
    """
    workers.check_name(name)
    if options["image"] is not None and not workers.is_image_id(options["image"]):
        raise InputError(
            f"not an image id: `{options['image']}`", remedy="an id is `ami-` and 8 or 17 digits"
        )
    if settings().read_only and not settings().dry_run:
        raise RefusedError(
            "a launch is a change, but only reads are allowed",
            remedy="omit --read-only (or unset CML_IAM_READ_ONLY), or add --dry-run",
        )
    here, tries, launch = _plan(name, options)
    pending, key = workers.PendingLaunches(state_folder() / "launches"), _key(here, name)
    with explained(here, launch):
        here.manager.permits(workers.launch_change(launch, here.manager.guard), region=here.home)
        if not pending.under_way(key):  # otherwise the namesake is this launch, repeated
            warn_of_namesakes(here, name)
        if settings().dry_run:
            _say_permitted(here, launch)
            return
        with progress(f"launching {name}: {tries[0]} in {here.home}"):
            if options["client_token"]:
                worker = here.manager.create_instance(launch, region=here.home)
            else:
                worker = workers.create_worker(
                    here.manager,
                    launch,
                    tries,
                    region=here.home,
                    key=key,
                    pending=pending,
                    now=clock.now,
                    tell=lambda text: note(f"{INFO} {text}"),
                )
    where = worker.zone or worker.region
    early(say, f"{OK} {worker.label}: {worker.state}, {worker.instance_type} in {where}")
    pending.forget(key)
    code = Exit.OK
    if wait.goal:
        (ended,) = wait_until(here, [worker], wait)
        worker, code = ended.worker, wait_code([ended])
    answer(worker, (), code)


def _say_permitted(here: Scene, launch: Launch) -> None:
    result = {"dry_run": True, "permitted": True, "region": here.home, **asdict(launch)}
    placement = f"{launch.instance_type} from {launch.image_id} in {here.home}"
    answer(result, [f"{OK} {launch.name}: permitted: {placement} (nothing was created)"])


def _key(here: Scene, name: str) -> str:
    """Return what identifies a launch when the command is repeated."""
    account = here.site.account if here.site else ""
    endpoint = settings().endpoint_url or os.environ.get("AWS_ENDPOINT_URL", "")
    return "\n".join((account, here.home, name, endpoint))


def _plan(name: str, options: dict[str, Any]) -> tuple[Scene, tuple[Placement, ...], Launch]:
    """Return where to create, the places to try there, and the launch in the first one."""
    here = scene(changes=True)
    _refuse_outside("regions", "in", here.home, here.restrict.regions)
    if options["worker_profile"] is None:
        launch = _launch(here, name, options)
        return here, (workers.Placement(launch.instance_type, launch.subnet_id),), launch
    profile = _profile(here, options)
    if profile.region and not settings().region:
        here = replace(here, home=profile.region)
    tries = workers.placements(profile, here.home)
    user_data = profile.user_data and read_text(site_path().parent / profile.user_data)
    tags = tags_of(options["tags"])

    def of_image(image: Image) -> Launch:
        launch = workers.profile_launch(profile, name, image, user_data)
        return replace(
            launch,
            subnet_id=tries[0].subnet_id,
            detailed_monitoring=options["detailed_monitoring"],
            tags={**launch.tags, **tags},
        )

    any_image = workers.Image(_ANY_IMAGE, "", "", "", root_device="/dev/xvda")
    workers.launch_change(of_image(any_image), here.manager.guard)  # refuses before EC2 is asked
    image = workers.profile_image(here.manager, here.site, profile, here.home)
    return here, tries, of_image(image)


_ANY_IMAGE = "ami-00000000"
"""Placeholder for the image while the other settings of a launch are checked."""

_BESIDE_A_PROFILE = ("worker_profile", "detailed_monitoring", "tags")
"""The options that do not contradict a worker profile."""


def _profile(here: Scene, options: dict[str, Any]) -> WorkerProfile:
    doubled = [
        parameter.opts[0]
        for parameter in click.get_current_context().command.params
        if options.get(str(parameter.name)) and parameter.name not in _BESIDE_A_PROFILE
    ]
    if doubled:
        raise click.UsageError(f"{', '.join(doubled)}: already set by the worker profile")
    profiles = here.site.workers if here.site else {}
    if options["worker_profile"] not in profiles:
        raise InputError(
            f"the site file has no worker profile `{options['worker_profile']}`",
            remedy=f"it has: {', '.join(profiles)}" if profiles else "add [workers.NAME] to it",
        )
    return profiles[options["worker_profile"]]


def _launch(here: Scene, name: str, options: dict[str, Any]) -> Launch:
    """Return the launch that the options and the site describe; raises for one it forbids."""
    limits = here.restrict
    allowed_images = limits.images.get(here.home, ())
    image = _image(options, allowed_images, here.home)
    launch = workers.Launch(
        name=name,
        image_id=image or _ANY_IMAGE,
        instance_type=options["instance_type"] or _type(limits.instance_types),
        subnet_id=options["subnet"] or next(iter(_only(limits.subnets)), None),
        security_group_ids=options["groups"] or _only(limits.security_groups),
        key_name=options["key_name"],
        instance_profile=options["instance_profile"],
        user_data=read_text(options["user_data"]) if options["user_data"] else None,
        nested=options["nested"],
        detailed_monitoring=options["detailed_monitoring"],
        tags=tags_of(options["tags"]),
        client_token=options["client_token"] or str(uuid4()),
    )
    _refuse_outside("instance_types", "of type", launch.instance_type, limits.instance_types)
    if launch.subnet_id:
        _refuse_outside("subnets", "in", launch.subnet_id, limits.subnets)
    for group in launch.security_group_ids:
        _refuse_outside("security_groups", "with", group, limits.security_groups)
    if image:
        _refuse_outside(f"images.{here.home}", "from", image, allowed_images)
    workers.launch_change(launch, here.manager.guard)  # refuses before EC2 is asked
    if image:
        chosen = here.manager.get_image(image, region=here.home)
    else:
        owners = workers.image_owners(here.site)
        pattern = options["image_name"]
        chosen = workers.newest_image(here.manager, here.site, here.home, pattern, owners)
    disk = workers.root_disk(chosen, options["disk"])
    if disk is None and (options["disk"] or limits.encrypted_volumes):
        raise InputError(
            f"image `{chosen.id}` has no root device", remedy="use an image with an EBS root volume"
        )
    return replace(launch, image_id=chosen.id, disk=disk)


def _refuse_outside(restriction: str, how: str, value: str, allowed: Sequence[str]) -> None:
    """Raise for a *value* the site does not allow; a profile was checked with the site."""
    if allowed and not any(fnmatchcase(value, pattern) for pattern in allowed):
        raise InputError(
            f"the site does not allow a worker {how} `{value}`, and its policy denies it",
            remedy=f"name one of {', '.join(allowed)}, or add it to `restrict.{restriction}`",
        )


def _only(allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Return the value of a restriction that allows just one, else nothing."""
    return allowed if len(allowed) == 1 else ()


def _image(options: dict[str, Any], allowed: Sequence[str], region: str) -> str | None:
    """Return the id of the image to launch; None if it must be found by its name."""
    image, pattern = options["image"], options["image_name"]
    if image and pattern:
        raise click.UsageError("give --image or --image-name, not both")
    if image or pattern:
        return str(image) if image else None
    if len(allowed) == 1:
        return allowed[0]
    raise InputError(
        f"no image is given, and the site file names {len(allowed) or 'none'} for {region}",
        remedy="name one: --image or --image-name",
    )


def _type(patterns: Sequence[str]) -> str:
    """Return the first instance type that the site names in full."""
    for pattern in patterns:
        if not set("*?") & set(pattern):
            return pattern
    raise InputError("which instance type?", remedy="name one: --type, such as m5zn.metal")
