"""What a launch may use, once it is restricted by resource.

No snapshot (it would let the caller read any disk of the account), launch template, placement group
or Spot request: the manager uses none.
"""

from __future__ import annotations

from collections.abc import Iterator

from cml_iam.policy import Shape
from cml_iam.restrict._options import Restricted
from cml_iam.restrict._row import RUN, Case, Only, Promise, own
from cml_iam.restrict.guard_tag import guard_tag


def launch_promise(site: Restricted) -> Promise:
    """Promise that a launch uses its own account, and no snapshot, template or reservation.

    An image's ARN names no account, and a listed subnet may be shared by the account that owns it.
    """
    kinds = ("instance", "key-pair", "network-interface", "volume", "image", "security-group")
    subnets = Only("subnet", site.restrict.subnets, shared=True).arns(site, partition="*")
    return Promise(
        "launch-resources",
        "a launch uses only images and the account's own key pairs, networks and disks",
        (
            Shape(
                (RUN,),
                not_resources=(
                    *(own(site, kind) for kind in kinds),
                    *(subnets or (own(site, "subnet"),)),
                ),
            ),
        ),
    )


def launch_cases(site: Restricted, region: str) -> Iterator[Case]:
    """Yield launches in *region* with resources that the manager does not need.

    Every policy refuses the launch with a role: iam:PassRole is not in the catalogue.
    """
    marks = [tag for tag in (site.restrict.image_tag, guard_tag(site)) if tag]
    snapshot = {
        "snapshots": ("snap-0f04e190000000001",),
        "snapshot_tags": {tag.key: tag.value for tag in marks},
    }
    role = f"arn:{site.partition}:iam::{site.account}:role/admin"
    for words, changes, kind in (
        ("with a disk made from any snapshot", snapshot, "snapshot"),
        (
            "through a launch template",
            {"launch_template": "lt-0f04e190000000001"},
            "launch-template",
        ),
        ("with a role for the instance", {"profile_role": role}, "role"),
    ):
        yield Case(
            f"{words} in {region}",
            changes,
            kind,
            "other resources",
            name=f"{region}-{kind}",
            region=region,
        )
