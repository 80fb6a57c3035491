"""Site files at random: every partition, any subset of restrictions, options and grants."""

from __future__ import annotations

from random import Random

from cml_iam.site import Grants, Partition, Restrictions, Site, Tag

_REGIONS: dict[Partition, tuple[str, ...]] = {
    "aws": ("us-east-1", "us-west-2", "eu-central-1", "ap-southeast-2", "sa-east-1", "eu-west-3"),
    "aws-cn": ("cn-north-1", "cn-northwest-1"),
    "aws-us-gov": ("us-gov-west-1", "us-gov-east-1"),
}
_TYPES = ("m5zn.metal", "c5.*", "c6i.*", "m5.*", "c8i.?xlarge", "*.metal", "r8i-flex.*")
_KEYS = ("ManagedBy", "team", "cost center", "a/b:c", "X" * 128)
_ACCOUNTS = ("111122223333", "444455556666", "099720109477")


def random_site(seed: int) -> Site:
    """Return the site of *seed*: the same seed, the same site."""
    draw = Random(seed)  # noqa: S311 - no secret is drawn
    partition = draw.choice(tuple(_REGIONS))
    role = draw.random() < 0.4
    return Site(
        account="111122223333",
        partition=partition,
        user=None if role else "cml-cloud-manager-service",
        role="cml-manager" if role else None,
        restrict=_restrictions(draw, partition, role),
        grant=Grants(
            pass_role="cml-worker" if draw.random() < 0.3 else None,
            metric_data=draw.random() < 0.3,
            detailed_monitoring=draw.random() < 0.3,
            instance_type_details=draw.random() < 0.3,
        ),
    )


def _restrictions(draw: Random, partition: Partition, role: bool) -> Restrictions:
    known = _REGIONS[partition]
    regions = tuple(draw.sample(known, draw.randint(1, len(known)))) if _often(draw) else ()
    owners = tuple(draw.sample((*_ACCOUNTS, "amazon"), draw.randint(1, 3)))
    owners = owners if _seldom(draw) else ()
    tag = Tag(draw.choice(_KEYS), "approved=1") if _seldom(draw) else None
    images = _images(draw, regions or known) if _often(draw) else {}
    if regions and images and not (owners or tag):
        # A site file must list an image for each region, or say whose may be used elsewhere.
        regions = tuple(images)
    return Restrictions(
        regions=regions,
        guard_tag=Tag(draw.choice(_KEYS), "cml-cloud-manager") if _often(draw) else None,
        instance_types=tuple(draw.sample(_TYPES, draw.randint(1, 4))) if _often(draw) else (),
        image_owners=owners,
        image_tag=tag,
        images=images,
        subnets=("subnet-0a1b2c3d", "subnet-0a1b2c3e") if _seldom(draw) else (),
        security_groups=("sg-0a1b2c3d",) if _seldom(draw) else (),
        source_ips=("192.0.2.0/25", "2001:db8::/48") if _seldom(draw) else (),
        imdsv2=_seldom(draw),
        on_demand_only=_seldom(draw),
        encrypted_volumes=_seldom(draw),
        mfa_to_terminate=role and _seldom(draw),
    )


def _images(draw: Random, regions: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    chosen = draw.sample(regions, draw.randint(1, len(regions)))
    return {
        region: tuple(f"ami-{draw.getrandbits(32):08x}" for _ in range(draw.randint(1, 3)))
        for region in chosen
    }


def _often(draw: Random) -> bool:
    return draw.random() < 0.6


def _seldom(draw: Random) -> bool:
    return draw.random() < 0.3
