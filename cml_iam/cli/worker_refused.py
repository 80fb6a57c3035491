"""Why EC2 refused a launch: which statement of the site's own policy would have to change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from cml_iam import errors

if TYPE_CHECKING:
    from cml_iam.cli.worker_scene import Scene
    from cml_iam.engine import Decision
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
    from cml_iam import authorization
    from cml_iam.engine import compile_policies
    from cml_iam.render import render_policy

    disk = launch.disk
    tags = {**launch.tags, "Name": launch.name, guard.key: guard.value}
    what = authorization.Launch(
        region=region,
        account=site.account,
        image=authorization.Image(launch.image_id, image.owner if image else site.account),
        instance_type=launch.instance_type,
        tags={"instance": tags, "volume": tags},
        key_name=launch.key_name or "",
        metadata_tokens="required",
        encrypted=disk.encrypted if disk else None,
    )
    if launch.subnet_id:
        what = replace(what, subnet=launch.subnet_id)
    if launch.security_group_ids:
        what = replace(what, security_groups=launch.security_group_ids)
    authorizer = compile_policies([render_policy(site).document])
    requests = authorization.launch(authorization.Caller(site.principal_arn), what)
    decisions = (authorizer.decide(each) for each in requests)
    return list(dict.fromkeys(_said(each) for each in decisions if not each.allowed))


def _said(decision: Decision) -> str:
    request = decision.request
    asked = f"`{request.action}` on `{request.resource.rpartition(':')[2]}`"
    if decision.outcome == "explicitDeny":
        return f"{asked}: statement `{decision.statements[0].label}` denies it"
    near = [
        each
        for each in decision.reasons
        if each.effect == "Allow" and all(element.matched for element in each.elements)
    ]
    if not near:
        return f"{asked}: no statement of the site's policy is about it"
    return f"{asked}: statement `{near[0].label}` does not allow it: {near[0].reason}"


def _image(here: Scene, image_id: str) -> Image | None:
    try:
        return here.manager.get_image(image_id, region=here.home)
    except errors.AwsError:
        return None
