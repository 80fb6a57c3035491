"""What the site file says of workers: how to launch them, and which instances look like them.

Instances that look like CML workers but lack the guard tag are operated by nobody.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from cml_iam.errors import AwsError, InputError, NotFoundError, RefusedError
from cml_iam.tag import Tag
from cml_iam.visible import visible
from cml_iam.workers._changes import Disk, Launch
from cml_iam.workers._fleet import FILTER_VALUES
from cml_iam.workers._health import PROBE
from cml_iam.workers._manager import WorkerManager
from cml_iam.workers._model import Image, Worker, is_image_id

if TYPE_CHECKING:
    from cml_iam.site import Site, WorkerProfile


@dataclass(frozen=True, slots=True)
class Placement:
    """One attempt: an instance type, and a subnet (None: EC2 chooses)."""

    instance_type: str
    subnet_id: str | None = None
    zone: str = field(default="", compare=False)

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
    subnets = {zone: subnet for zone, subnet in profile.subnets.items() if zone[:-1] == region}
    if profile.subnets and not subnets:
        raise InputError(
            f"worker profile `{profile.name}` has no subnet in `{region}`",
            remedy=f"choose one of {', '.join(profile.subnets)}, or add a subnet",
        )
    places = tuple(subnets.items()) or (("", None),)
    return tuple(
        Placement(instance_type, subnet, zone)
        for instance_type in profile.instance_types
        for zone, subnet in places
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
    patterns = restrict.instance_types
    types = [pattern for pattern in patterns if not set("*?") & set(pattern)]
    types += [f"{pattern[:-1]}large" for pattern in patterns if pattern.endswith(".*")]
    return Launch(
        PROBE,
        next(iter(restrict.images.get(region, ())), ""),
        next(iter(types), ""),
        subnet_id=restrict.subnets[0] if at_home and len(restrict.subnets) == 1 else None,
        security_group_ids=restrict.security_groups[:1] if at_home else (),
        disk=Disk() if restrict.encrypted_volumes else None,
    )


_WORDS: Final = re.compile(
    r"(?<![a-z])(cml2?|virl2?|cisco[ _-]?modeling[ _-]?labs?)(?![a-z])", re.I
)
"""Names that CML's images and installers use."""


@dataclass(frozen=True, slots=True)
class Orphan:
    """An instance without the guard tag, and the *reasons* to consider it a worker.

    It is *likely* a worker if there is a reason other than its type. *twin* is a tag that could be
    mistaken for the guard tag.
    """

    worker: Worker
    reasons: tuple[str, ...]
    likely: bool
    twin: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            **self.worker.as_json(),
            "likely": self.likely,
            "reasons": list(self.reasons),
            "twin": self.twin,
        }


def _looks_of(site: Site) -> tuple[Sequence[str], Collection[str]]:
    """Return the types (with * and ?) of the site's workers, and the ids of their images."""
    profiles = site.workers.values()
    types = chain(site.restrict.instance_types, *(profile.instance_types for profile in profiles))
    named = [profile.image for profile in profiles if is_image_id(profile.image)]
    return tuple(types), frozenset(chain(named, *site.restrict.images.values()))


def find_orphans(
    manager: WorkerManager, instances: Sequence[Worker], site: Site | None
) -> tuple[Orphan, ...]:
    """Return the *instances* that look like workers but lack the guard tag, likely ones first."""
    looks: tuple[Sequence[str], Collection[str]] = _looks_of(site) if site else ((), ())
    others = [
        instance
        for instance in instances
        if not manager.guard.marks(instance.tags) and not instance.ended
    ]
    images = _images_of(manager, others)
    judged = [
        _judged(other, images.get((other.region, other.image_id)), *looks, manager.guard)
        for other in others
    ]
    orphans = [orphan for orphan in judged if orphan.reasons]
    return tuple(sorted(orphans, key=lambda orphan: not orphan.likely))


def check_adoption(workers: Sequence[Worker], guard: Tag) -> tuple[Worker, ...]:
    """Return the *workers* without the guard tag; raises RefusedError if one must not be adopted.

    IAM treats two tags whose keys differ only in case as one, and which of them counts is
    undefined.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """
    for worker in workers:
        if worker.ended:
            raise RefusedError(f"{worker.label} is {worker.state}: nothing is left to adopt")
        if twin := _twin(worker, guard):
            raise RefusedError(
                f"{worker.label} has the tag `{visible(twin)}`, which IAM does not distinguish "
                f"from `{guard.key}`",
                remedy="remove that tag first, with the same credentials",
            )
        if guard.key in worker.tags and not guard.marks(worker.tags):
            value = visible(worker.tags[guard.key])
            raise RefusedError(
                f"{worker.label} belongs to somebody else: `{guard.key}={value}`",
                remedy="ask the owner, who would lose control of it",
            )
    return tuple(worker for worker in workers if not guard.marks(worker.tags))


def _images_of(
    manager: WorkerManager, workers: Sequence[Worker]
) -> Mapping[tuple[str, str], Image]:
    """Return the images by region and id; deleted ones are missing."""
    by_place: dict[tuple[str, str], Image] = {}
    for region in dict.fromkeys(worker.region for worker in workers):
        ids = sorted({worker.image_id for worker in workers if worker.region == region})
        for start in range(0, len(ids), FILTER_VALUES):
            images = manager.find_images_by_id(ids[start : start + FILTER_VALUES], region=region)
            by_place |= {(region, image.id): image for image in images}
    return by_place


def _judged(
    worker: Worker, image: Image | None, types: Sequence[str], ids: Collection[str], guard: Tag
) -> Orphan:
    reasons = []
    if _WORDS.search(worker.name):
        reasons.append(f"its name is `{visible(worker.name)}`")
    if image is not None and (_WORDS.search(image.name) or _WORDS.search(image.description or "")):
        reasons.append(f"its image is called `{visible(image.name)}`")
    elif worker.image_id in ids:
        reasons.append(f"its image {worker.image_id} is one of the site's")
    reasons += _tag_reasons(worker, guard)
    likely = bool(reasons)
    patterns = [pattern for pattern in types if fnmatchcase(worker.instance_type, pattern)]
    if patterns:
        like = "" if patterns[0] == worker.instance_type else f" (`{patterns[0]}`)"
        reasons.append(f"its type {worker.instance_type} is one of the site's{like}")
    return Orphan(worker, tuple(reasons), likely, _twin(worker, guard))


def _tag_reasons(worker: Worker, guard: Tag) -> list[str]:
    reasons = []
    for key, value in worker.tags.items():
        if key == "Name":
            continue
        shown = f"`{visible(key)}={visible(value)}`"
        if guard.is_key(key) and value.strip().casefold() == guard.value.casefold():
            reasons.append(f"its tag {shown} is almost the guard tag `{guard}`")
        elif _WORDS.search(key) or _WORDS.search(value):
            reasons.append(f"its tag {shown}")
    return reasons


def _twin(worker: Worker, guard: Tag) -> str | None:
    return next((key for key in worker.tags if guard.is_key(key) and key != guard.key), None)
