"""Why EC2 refused a launch: which statement of the site's own policy would have to change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cml_iam import errors

if TYPE_CHECKING:
    from cml_iam.cli.worker_scene import Scene
    from cml_iam.site import Site
    from cml_iam.workers import GuardTag, Image, Launch

_ELSEWHERE = (
    "the site's own policy allows this launch: what is attached may be older (`cml-iam bootstrap "
    "plan` shows), or a boundary or a service control policy refuses it"
)


@contextmanager
def explained(here: Scene, launch: Launch) -> Iterator[None]:
    """Have a DeniedError name the statements that would have to allow *launch*."""
    try:
        yield
    except errors.DeniedError as error:
        if here.site is None:
            raise
        image = _image(here, launch.image_id)
        error.remedy = "; ".join(
            refused_by(here.site, launch, image, here.home, here.manager.guard) or [_ELSEWHERE]
        )
        raise


def refused_by(
    site: Site, launch: Launch, image: Image | None, region: str, guard: GuardTag
) -> list[str]:
    """Return what the hardened policy of *site* refuses of *launch*, with the statement's Sid.

    An image that cannot be looked at counts as this account's own.
    """
    from cml_iam.doctor import Attached, launch_requests, why_refused
    from cml_iam.render import render_policy

    attached = Attached((render_policy(site).document,))
    requests = launch_requests(site.principal_arn, launch, image, region, guard)
    return [each.said for each in why_refused(requests, attached) if each.sure]


def _image(here: Scene, image_id: str) -> Image | None:
    try:
        return here.manager.get_image(image_id, region=here.home)
    except errors.AwsError:
        return None
