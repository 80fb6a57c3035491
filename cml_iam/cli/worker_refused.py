"""Why EC2 refused: which statement of the site's own policy would have to change."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cml_iam import errors

if TYPE_CHECKING:
    from cml_iam.cli.worker_scene import Scene
    from cml_iam.engine import Request
    from cml_iam.site import Site
    from cml_iam.workers import GuardTag, Image, Launch, Outcome, Worker

_ROLE = re.compile(r"on resource: (arn:\S+:role/\S+)")
_ELSEWHERE = (
    "the site's own policy allows it: what is attached may be older (`cml-iam bootstrap plan` "
    "shows), or a boundary or a service control policy refuses it"
)


@contextmanager
def explained(here: Scene, launch: Launch) -> Iterator[None]:
    """Have a DeniedError name the statements that would have to allow *launch*."""
    try:
        yield
    except errors.DeniedError as error:
        if here.site is None:
            raise
        if error.action == "iam:PassRole":
            reasons = _not_passed(here.site, error.message, here.home)
        else:
            image = _image(here, launch.image_id)
            reasons = refused_by(here.site, launch, image, here.home, here.manager.guard)
        error.remedy = "; ".join(reasons or [_ELSEWHERE])
        raise


def explain(here: Scene, outcomes: Sequence[Outcome]) -> None:
    """Have the DeniedError of each outcome name the statements that would have to allow it."""
    for outcome in outcomes:
        if here.site and isinstance(outcome.error, errors.DeniedError) and outcome.error.action:
            reasons = _of_worker(here.site, outcome.error.action, outcome.worker)
            outcome.error.remedy = "; ".join(reasons or [_ELSEWHERE])


def _of_worker(site: Site, action: str, worker: Worker) -> list[str]:
    """Return what the hardened policy of *site* refuses of *action* on *worker*."""
    from cml_iam.check.manager import supposed

    return _refused(site, supposed(action, site.principal_arn, worker.region, worker, ()))


def refused_by(
    site: Site, launch: Launch, image: Image | None, region: str, guard: GuardTag
) -> list[str]:
    """Return what the hardened policy of *site* refuses of *launch*, with the statement's Sid.

    An image that cannot be looked at counts as this account's own.
    """
    from cml_iam.check.manager import launch_requests

    return _refused(site, launch_requests(site.principal_arn, launch, image, region, guard))


def _refused(site: Site, requests: Sequence[Request]) -> list[str]:
    """Return what the hardened policy of *site* surely refuses of *requests*."""
    from cml_iam.check.refusal import Deciding, why_refused
    from cml_iam.render import render_policy

    deciding = Deciding((render_policy(site).document,), live=False)
    return [each.said for each in why_refused(requests, deciding) if each.sure]


def _not_passed(site: Site, message: str, region: str) -> list[str]:
    """Return why the policy of *site* does not let the role that AWS's *message* names be passed.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
    """
    from cml_iam.engine import Request
    from cml_iam.facts import service_principal

    named = _ROLE.search(message)
    if named is None:
        return []
    service = service_principal("ec2", site.partition)
    context: dict[str, str | list[str]] = {
        "iam:PassedToService": service,
        "aws:RequestedRegion": region,
    }
    reasons = _refused(site, [Request("iam:PassRole", named[1], site.principal_arn, context)])
    granted = f"`{site.grant.pass_role}`" if site.grant.pass_role else "none"
    hint = f"`grant.pass_role` of the site file names the one role it may hand over: {granted}"
    return [*reasons, hint] if reasons else []


def _image(here: Scene, image_id: str) -> Image | None:
    try:
        return here.manager.get_image(image_id, region=here.home)
    except errors.AwsError:
        return None
