"""Find instances that look like CML workers but lack the guard tag, so nobody operates them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from cml_iam.errors import RefusedError
from cml_iam.visible import visible
from cml_iam.workers._fleet import FILTER_VALUES
from cml_iam.workers._model import is_image_id

if TYPE_CHECKING:
    from cml_iam.site import Site
    from cml_iam.tag import Tag
    from cml_iam.workers._manager import WorkerManager
    from cml_iam.workers._model import Image, Worker

_WORDS: Final = re.compile(
    r"(?<![a-z])(cml2?|virl2?|cisco[ _-]?modeling[ _-]?labs?)(?![a-z])", re.I
)
"""Names that CML's images and installers use."""

_GONE: Final = ("shutting-down", "terminated")


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
        """Return the instance and the reasons as JSON values."""
        more = {"likely": self.likely, "reasons": list(self.reasons), "twin": self.twin}
        return self.worker.as_json() | more


@dataclass(frozen=True, slots=True)
class Looks:
    """The signs of a worker of this site: types (with * and ?) and the ids of images."""

    types: tuple[str, ...] = ()
    images: frozenset[str] = frozenset()


def looks_of(site: Site) -> Looks:
    """Return the signs of *site*'s workers, from its restrictions and worker profiles."""
    profiles = site.workers.values()
    types = dict.fromkeys(
        (*site.restrict.instance_types, *(each for p in profiles for each in p.instance_types))
    )
    listed = [image for images in site.restrict.images.values() for image in images]
    named = [profile.image for profile in profiles if is_image_id(profile.image)]
    return Looks(tuple(types), frozenset((*listed, *named)))


def find_orphans(
    manager: WorkerManager, instances: Sequence[Worker], looks: Looks
) -> tuple[Orphan, ...]:
    """Return the *instances* that look like workers but lack the guard tag, likely ones first."""
    others = [
        instance
        for instance in instances
        if not manager.guard.marks(instance.tags) and instance.state not in _GONE
    ]
    images = _images_of(manager, others)
    found = [
        _judged(other, images.get((other.region, other.image_id)), looks, manager.guard)
        for other in others
    ]
    return tuple(sorted((each for each in found if each.reasons), key=lambda each: not each.likely))


def check_adoption(workers: Sequence[Worker], guard: Tag) -> tuple[Worker, ...]:
    """Return the *workers* without the guard tag; raises RefusedError if one must not be adopted.

    IAM treats two tags whose keys differ only in case as one, and which of them counts is
    undefined.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """
    for worker in workers:
        if worker.state in _GONE:
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
    """Return the images of *workers* by region and id; deleted ones are missing."""
    found: dict[tuple[str, str], Image] = {}
    for region in dict.fromkeys(worker.region for worker in workers):
        ids = sorted({worker.image_id for worker in workers if worker.region == region})
        for start in range(0, len(ids), FILTER_VALUES):
            batch = ids[start : start + FILTER_VALUES]
            images = manager.find_images_by_id(batch, region=region)
            found |= {(region, image.id): image for image in images}
    return found


def _judged(worker: Worker, image: Image | None, looks: Looks, guard: Tag) -> Orphan:
    reasons = []
    if _WORDS.search(worker.name):
        reasons.append(f"its name is `{visible(worker.name)}`")
    if image is not None and (_WORDS.search(image.name) or _WORDS.search(image.description or "")):
        reasons.append(f"its image is called `{visible(image.name)}`")
    elif worker.image_id in looks.images:
        reasons.append(f"its image {worker.image_id} is one of the site's")
    reasons += _told_by_tags(worker, guard)
    likely = bool(reasons)
    if pattern := next(
        (each for each in looks.types if fnmatchcase(worker.instance_type, each)), None
    ):
        like = "" if pattern == worker.instance_type else f" (`{pattern}`)"
        reasons.append(f"its type {worker.instance_type} is one of the site's{like}")
    return Orphan(worker, tuple(reasons), likely, _twin(worker, guard))


def _told_by_tags(worker: Worker, guard: Tag) -> list[str]:
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
