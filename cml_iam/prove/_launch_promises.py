"""What is promised of launches: which images, types and resources, and how."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from cml_iam.facts import Assumption, service
from cml_iam.prove._promise import RUN, TAGGING, Conditions, Promise, every, listing, merged, own
from cml_iam.site import LAUNCH_RESTRICTIONS, Site
from cml_iam.space import Shape

GROUPS_OF_INTERFACE: Final = Assumption(
    "limit",
    "security-groups",
    "an instance launched on an existing network interface has the security groups of that "
    "interface, which no condition key of the launch names",
    "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html",
)


def launch_promises(site: Site) -> Iterator[Promise]:
    """Yield what *site* promises of launches."""
    restrict = site.restrict
    if restrict.instance_types:
        types = list(restrict.instance_types)
        yield Promise(
            "instance-types",
            f"no instance is launched but {listing(types)}",
            "never",
            (_launch(site, "instance", {"StringNotLike": {"ec2:InstanceType": types}}),),
            closing={"StringLike": {"ec2:InstanceType": types}},
        )
    if "images" in restrict.active:
        yield _images(site)
    if restrict.image_tag:
        yield _image_tags_kept(site)
    if restrict.active & LAUNCH_RESTRICTIONS:
        yield _launch_resources(site)
    yield from _network(site)
    yield from _manner(site)


def _images(site: Site) -> Promise:
    """Promise that only the site's images are launched: listed ones, by owner, or by tag."""
    restrict = site.restrict
    elsewhere: dict[str, Any] = {}
    if restrict.images:
        elsewhere["aws:RequestedRegion"] = list(restrict.images)
    if restrict.image_owners:
        elsewhere["ec2:Owner"] = list(restrict.image_owners)
    if restrict.image_tag:
        elsewhere[f"aws:ResourceTag/{restrict.image_tag.key}"] = restrict.image_tag.value
    closing: Conditions = {}
    if restrict.image_owners and not restrict.images and not restrict.image_tag:
        closing = {"StringEquals": {"ec2:Owner": list(restrict.image_owners)}}
    return Promise(
        "images",
        "no image is launched that the site does not name",
        "never",
        (*_unlisted(site), _launch(site, "image", {"StringNotEquals": elsewhere})),
        closing=closing,
    )


def _image_tags_kept(site: Site) -> Promise:
    """Promise that no image is made one of the site's: whoever sets its tags decides which are.

    That includes the tags that CopyImage, CreateImage and RegisterImage set while they create one.
    """
    return Promise(
        "images-not-tagged",
        "no tag of an image is set or removed",
        "never",
        (Shape(TAGGING, (every(site, "image"),)),),
    )


def _unlisted(site: Site) -> Iterator[Shape]:
    """Yield the launches, where images are listed, of one that is not.

    A policy may test the ARN or ec2:ImageID; as a request has one image, both name an unlisted one.
    An image has another id in every region, so no region needs to be told from another, and no
    partition.
    """
    images = site.restrict.images
    if not images:
        return
    ids = [each for region in images.values() for each in region]
    listed = [f"arn:*:ec2:*::image/{each}" for each in ids]
    others = [f"arn:*:ec2:*:*:{kind}/*" for kind in _launched_types() if kind != "image"]
    where = {"StringEquals": {"aws:RequestedRegion": list(images)}}
    unlisted: Conditions = {"StringNotEquals": {"ec2:ImageID": ids}}
    yield Shape(RUN, not_resources=(*listed, *others), conditions=merged(where, unlisted))


def _launch_resources(site: Site) -> Promise:
    """Promise that a launch uses the account's own, and no snapshot, template or reservation.

    An image is of no account, and a listed subnet may be shared by the account that owns it.
    """
    used = [own(site, kind) for kind in ("instance", "key-pair", "network-interface", "volume")]
    used += ["arn:*:ec2:*::image/*", own(site, "security-group")]
    listed = [f"arn:*:ec2:*:*:subnet/{each}" for each in site.restrict.subnets]
    return Promise(
        "launch-resources",
        "no launch uses another account's resources, a snapshot or a launch template",
        "never",
        (Shape(RUN, not_resources=(*used, *(listed or [own(site, "subnet")]))),),
    )


def _network(site: Site) -> Iterator[Promise]:
    restrict = site.restrict
    if restrict.subnets:
        subnets = [f"arn:{site.partition}:ec2:*:*:subnet/{each}" for each in restrict.subnets]
        yield Promise(
            "subnets",
            "no instance is launched into another subnet",
            "never",
            (
                _other_than("subnet", subnets),
                _launch(site, "network-interface", {"ArnNotLike": {"ec2:Subnet": subnets}}),
            ),
        )
    if restrict.security_groups:
        groups = [
            f"arn:{site.partition}:ec2:*:{site.account}:security-group/{each}"
            for each in restrict.security_groups
        ]
        yield Promise(
            "security-groups",
            "no instance is launched with another security group",
            "never",
            (_other_than("security-group", groups),),
            limits=(GROUPS_OF_INTERFACE,),
        )


def _manner(site: Site) -> Iterator[Promise]:
    """Yield how instances and their disks must be made, each by the key that says so."""
    restrict = site.restrict
    if restrict.imdsv2:
        title = "no instance is launched whose metadata can be read without a token"
        yield _must_be(site, "imdsv2", title, "ec2:MetadataHttpTokens", "required")
    if restrict.on_demand_only:
        title = "no Spot instance is launched"
        yield _must_be(site, "on-demand-only", title, "ec2:InstanceMarketType", "on-demand")
    if restrict.encrypted_volumes:
        yield Promise(
            "encrypted-volumes",
            "no volume is made at launch that is not encrypted",
            "never",
            (_launch(site, "volume", {"BoolIfExists": {"ec2:Encrypted": "false"}}),),
            closing={"Bool": {"ec2:Encrypted": "true"}},
        )


def _must_be(site: Site, name: str, title: str, key: str, value: str) -> Promise:
    other = _launch(site, "instance", {"StringNotEquals": {key: value}})
    return Promise(name, title, "never", (other,), closing={"StringEquals": {key: value}})


def _launch(site: Site, kind: str, conditions: Conditions) -> Shape:
    return Shape(RUN, (every(site, kind),), conditions)


def _other_than(kind: str, listed: Sequence[str]) -> Shape:
    """Return the launches that use a resource of *kind* which is not *listed*."""
    others = [f"arn:*:ec2:*:*:{each}/*" for each in _launched_types() if each != kind]
    return Shape(RUN, not_resources=(*listed, *others))


def _launched_types() -> tuple[str, ...]:
    """Return the resource types that AWS asks a launch about."""
    ec2 = service("ec2")
    action = ec2.action("RunInstances") if ec2 else None
    return tuple(each.type for each in action.targets if each.type) if action else ()
