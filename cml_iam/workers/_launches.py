"""Launches defined by the site file: from worker profiles, and for the permission check."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cml_iam.errors import AwsError, InputError, NotFoundError
from cml_iam.workers._changes import Disk, Launch
from cml_iam.workers._health import PROBE
from cml_iam.workers._model import is_image_id

if TYPE_CHECKING:
    from cml_iam.site import Site, WorkerProfile
    from cml_iam.workers._manager import WorkerManager
    from cml_iam.workers._model import Image


@dataclass(frozen=True, slots=True)
class Placement:
    """One attempt: an instance type, and a subnet (None: EC2 chooses)."""

    instance_type: str
    subnet_id: str | None = None
    zone: str = ""

    def __str__(self) -> str:
        where = self.zone or self.subnet_id
        return f"{self.instance_type} in {where}" if where else self.instance_type


def profile_launch(
    profile: WorkerProfile, name: str, image: Image, user_data: str | None = None
) -> Launch:
    """Return the launch of a worker called *name* from *profile*, in its first place."""
    disk = root_disk(image, profile.disk)
    if disk is None and profile.disk:
        raise InputError(
            f"image `{image.id}` has no root device", remedy="remove `disk` from the profile"
        )
    return Launch(
        name=name,
        image_id=image.id,
        instance_type=profile.instance_types[0],
        security_group_ids=profile.security_groups,
        key_name=profile.key_name,
        instance_profile=profile.instance_profile,
        disk=disk,
        user_data=user_data,
        nested=profile.virtualization == "nested",
        tags=dict(profile.tags),
    )


def root_disk(image: Image, gib: int | None) -> Disk | None:
    """Return an encrypted gp3 root disk of *gib*, or of *image*'s size; None without EBS.

    The request states the size, because an endpoint might not take it from the image's snapshot.
    """
    return Disk(gib or image.root_gib, image.root_device) if image.root_device else None


def placements(profile: WorkerProfile, region: str) -> tuple[Placement, ...]:
    """Return the placements to try in *region*: each type in every zone before the next type."""
    subnets = {zone: each for zone, each in profile.subnets.items() if zone[:-1] == region}
    if profile.subnets and not subnets:
        raise InputError(
            f"worker profile `{profile.name}` has no subnet in `{region}`",
            remedy=f"choose one of {', '.join(profile.subnets)}, or add a subnet",
        )
    if not subnets:
        return tuple(Placement(each) for each in profile.instance_types)
    return tuple(
        Placement(each, subnet, zone)
        for each in profile.instance_types
        for zone, subnet in subnets.items()
    )


def image_owners(site: Site | None) -> tuple[str, ...]:
    """Return the trusted image owners: the site's, or this account."""
    return (site.restrict.image_owners if site else ()) or ("self",)


def newest_image(
    manager: WorkerManager, site: Site | None, region: str, pattern: str, owners: tuple[str, ...]
) -> Image:
    """Return the newest image of *owners* that matches *pattern* and is allowed in *region*."""
    allowed = site.restrict.images.get(region, ()) if site else ()
    images = manager.find_images(pattern, region=region, owners=owners)
    fitting = [image for image in images if not allowed or image.id in allowed]
    if not fitting:
        raise NotFoundError(
            f"no image called `{pattern}` in {region}",
            remedy="see `cml-iam worker images`; only allowed images of trusted owners count",
        )
    return fitting[0]


def profile_image(
    manager: WorkerManager, site: Site | None, profile: WorkerProfile, region: str
) -> Image:
    """Return the image of *profile* in *region*; raises NotFoundError where there is none."""
    if is_image_id(profile.image):
        return manager.get_image(profile.image, region=region)
    owners = profile.owners or image_owners(site)
    return newest_image(manager, site, region, profile.image, owners)


def launch_to_try(manager: WorkerManager, site: Site | None, region: str) -> Launch | None:
    """Return a launch by *site* in *region*, to try the permission; some values may be missing.

    It is the launch of the first worker profile for the region, otherwise a launch within the
    site's restrictions, with the tags that CML Cloud Manager sends according to the site file. None
    without a site file.
    """
    if site is None:
        return None
    launch = next(_profile_launches(manager, site, region), None) or _site_launch(site, region)
    if site.application is None:
        return launch
    sent = dict.fromkeys(site.application.tagged, site.application.tags)
    return replace(launch, sent_tags=sent)


def _profile_launches(manager: WorkerManager, site: Site, region: str) -> Iterator[Launch]:
    """Yield the first launch that each profile tries in *region*, without user data.

    Skips profiles for another region, or with an image that cannot be found.
    """
    for profile in site.workers.values():
        if profile.region not in (None, region):
            continue
        try:
            first = placements(profile, region)[0]
            launch = profile_launch(profile, PROBE, profile_image(manager, site, profile, region))
        except (AwsError, InputError):
            continue
        yield replace(launch, subnet_id=first.subnet_id)


def _site_launch(site: Site, region: str) -> Launch:
    """Return a launch with the values of *restrict*; values that it does not list are empty.

    Resources of one region, such as subnets, are tried only in the home region.
    """
    restrict = site.restrict
    at_home = region == site.home_region
    types = [each for each in restrict.instance_types if not set("*?") & set(each)]
    families = [each for each in restrict.instance_types if each.endswith(".*")]
    return Launch(
        PROBE,
        next(iter(restrict.images.get(region, ())), ""),
        next(iter(types), next((f"{family[:-1]}large" for family in families), "")),
        subnet_id=restrict.subnets[0] if at_home and len(restrict.subnets) == 1 else None,
        security_group_ids=restrict.security_groups[:1] if at_home else (),
        disk=Disk() if restrict.encrypted_volumes else None,
    )
