"""The images a new sandbox has."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from cml_iam.errors import InputError

if TYPE_CHECKING:
    from cml_iam.sandbox._world import World

OWN_IMAGE: Final = "ami-0a1b2c3d4e5f60001"
"""The account's own image, in the region the sandbox is started for."""

UBUNTU_IMAGE: Final = "ami-0c1c30571d2dae5c9"
"""A public image of somebody else."""

CANONICAL: Final = "099720109477"
"""https://documentation.ubuntu.com/aws/aws-how-to/instances/find-ubuntu-images/"""


def seed(world: World) -> None:
    """Make the images of a new sandbox."""
    register_image(world, OWN_IMAGE, world.region, world.account, "cml-2.9-worker")
    name = "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server"
    register_image(world, UBUNTU_IMAGE, world.region, CANONICAL, name, public=True)


def register_image(
    world: World, image_id: str, region: str, owner: str, name: str, *, public: bool = False
) -> None:
    """Make the image *image_id* in *region*."""
    if not re.fullmatch(r"ami-(?:[0-9a-f]{8}|[0-9a-f]{17})", image_id):
        raise InputError(f"not the id of an image: `{image_id}`")
    from moto.ec2.models.amis import Ami

    backend = world.ec2(region)
    backend.amis[image_id] = Ami(
        backend,
        image_id,
        name=name or image_id,
        description=name or image_id,
        owner_id=owner,
        public=public,
        virtualization_type="hvm",
        architecture="x86_64",
        root_device_type="ebs",
        root_device_name="/dev/sda1",
        hypervisor="xen",
        image_location=f"{owner}/{name or image_id}",
        region_name=f"{region}a",
    )
