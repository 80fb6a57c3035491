"""Workers are launched only from listed images or, in regions without a list, by owner or tag."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from cml_iam.facts import EXAMPLE_REGIONS, OTHER_ACCOUNT, TAGGING
from cml_iam.policy import Shape, merged
from cml_iam.restrict._options import (
    REGION,
    Contradiction,
    Option,
    Restricted,
    id_schema,
    list_of,
    listed,
    tag,
)
from cml_iam.restrict._row import (
    RUN,
    Case,
    KeyTest,
    Promise,
    Restriction,
    Rule,
    every,
    other_types,
    own,
)

_OWNED, _TAGGED = "ami-0a11009ed00000001", "ami-0a11009ed00000002"


def by_owner(site: Restricted) -> KeyTest | None:
    """Return the test that one of the listed accounts owns the image."""
    owners = site.restrict.image_owners
    return KeyTest("ec2:Owner", owners) if owners else None


def by_tag(site: Restricted) -> KeyTest | None:
    """Return the test that the image has the tag, which the manager cannot set."""
    mark = site.restrict.image_tag
    return KeyTest(f"aws:ResourceTag/{mark.key}", mark.value) if mark else None


def _by_region(site: Restricted) -> KeyTest | None:
    regions = tuple(site.restrict.images)
    return KeyTest("aws:RequestedRegion", regions) if regions else None


def _by_id(site: Restricted) -> KeyTest:
    return KeyTest("ec2:ImageID", _ids(site))


def _ids(site: Restricted) -> list[str]:
    return [image for images in site.restrict.images.values() for image in images]


def _elsewhere(site: Restricted) -> tuple[KeyTest, ...]:
    """Return the tests that admit an image in any region: a listed id, an owner, a tag."""
    tests = (_by_region(site), by_owner(site), by_tag(site))
    return tuple(test for test in tests if test)


def _rules(site: Restricted) -> Iterator[Rule]:
    if site.restrict.images:
        regions = [f"arn:{site.partition}:ec2:{region}::image/*" for region in site.restrict.images]
        yield Rule("DenyUnlistedImages", (_by_id(site),), type="image", resources=regions)
    sid = "DenyOtherImages" if site.restrict.other_images else "DenyImagesElsewhere"
    images = own(site, "image", site.partition)
    yield Rule(sid, _elsewhere(site), type="image", resources=images)


def _promises(site: Restricted) -> Iterator[Promise]:
    elsewhere = merged(*(test.fails for test in _elsewhere(site)))
    owner = by_owner(site)
    yield Promise(
        "images",
        "instances are launched only from images that the site allows",
        (*_launches_of_unlisted(site), Shape((RUN,), (every(site, "image"),), elsewhere)),
        closing=owner.holds if owner and _elsewhere(site) == (owner,) else {},
    )
    if site.restrict.image_tag:
        # Those too that CopyImage, CreateImage and RegisterImage set while they create one:
        # whoever sets an image's tags decides which are launched.
        yield Promise(
            "images-not-tagged",
            "no tag of an image can be set or removed",
            (Shape(TAGGING, (every(site, "image"),)),),
        )


def _launches_of_unlisted(site: Restricted) -> Iterator[Shape]:
    """Yield launches of an image that is not listed, if images are listed.

    Both its ARN and ec2:ImageID name it, because a policy may test either. An image has a different
    id in every region, so regions and partitions do not matter.
    """
    region = _by_region(site)
    if region:
        listed_images = [f"arn:*:ec2:*::image/{image}" for image in _ids(site)]
        yield Shape(
            (RUN,),
            conditions=merged(region.holds, _by_id(site).fails),
            not_resources=(*listed_images, *other_types("image")),
        )


def launch_regions(site: Restricted) -> tuple[str, ...]:
    """Return the regions for launches: those with listed images, and all if owners are allowed."""
    restrict = site.restrict
    examples = EXAMPLE_REGIONS[site.partition]
    regions = restrict.regions or tuple(dict.fromkeys((*restrict.images, *examples)))
    with_images = tuple(region for region in regions if region in restrict.images)
    if restrict.images and not restrict.other_images:
        return with_images
    others = tuple(region for region in regions if region not in restrict.images)
    return with_images + (others if restrict.regions else others[:1])


def _usual(site: Restricted, region: str) -> Mapping[str, Any]:
    restrict = site.restrict
    if restrict.images.get(region):
        return _image(restrict.images[region][0], site.account)
    owner = next(iter(restrict.image_owners), site.account)
    return _image(_OWNED, owner, tags=_mark(site))


def _variants(site: Restricted, region: str) -> Iterator[Mapping[str, Any]]:
    """Yield an image for each way in which images may be launched in *region*."""
    restrict = site.restrict
    if restrict.images.get(region):
        # Whoever owns it: a listed image needs no listed owner.
        yield from (_image(image, OTHER_ACCOUNT) for image in restrict.images[region])
        return
    yield from (_image(_OWNED, owner) for owner in restrict.image_owners)
    if restrict.image_tag:
        yield _image(_TAGGED, OTHER_ACCOUNT, tags=_mark(site))


def _cases(site: Restricted) -> Iterator[Case]:
    restrict = site.restrict
    for region in launch_regions(site):
        yield _case("a stranger's", region, "ami-0f04e190000000002", OTHER_ACCOUNT, public=True)
        if region in restrict.images or site.account not in restrict.image_owners:
            tags = _mark(site, "not-")
            yield _case(
                "the account's own", region, "ami-00bad0bad0bad0003", site.account, tags=tags
            )


def _case(whose: str, region: str, name: str, owner: str, **keys: Any) -> Case:
    return Case(
        f"{whose} unlisted image {name} in {region}",
        _image(name, owner, **keys),
        "image",
        "other image",
        name=f"{region}-{name}",
        region=region,
    )


def _image(name: str, owner: str, **keys: Any) -> Mapping[str, Any]:
    return {"image": {"id": name, "owner": owner, **keys}}


def _mark(site: Restricted, prefix: str = "") -> dict[str, str]:
    mark = site.restrict.image_tag
    return {mark.key: prefix + mark.value} if mark else {}


def _contradictions(site: Restricted) -> Iterator[Contradiction]:
    restrict, first = site.restrict, dict[str, str]()
    for region, images in restrict.images.items():
        for index, image in enumerate(images):
            if first.setdefault(image, region) != region:
                yield Contradiction(
                    f"image `{image}` is already listed for `{first[image]}`, but an image has a "
                    "different id in every region",
                    ("restrict", "images", region, index),
                    f"write the image's id in `{region}`",
                )
        if restrict.regions and region not in restrict.regions:
            yield Contradiction(
                f"images are listed for `{region}`, which is not an allowed region",
                ("restrict", "images", region),
                "add it to `restrict.regions`, or remove these images",
                name=True,
            )
    for index, region in enumerate(restrict.regions):
        if restrict.images and not restrict.other_images and region not in restrict.images:
            yield Contradiction(
                f"no image may be launched in `{region}`: it has none in `restrict.images`",
                ("restrict", "regions", index),
                f"add `{region}` to [restrict.images], or remove it from `regions`",
            )


IMAGES = Restriction(
    name="images",
    main=True,
    options=(
        listed(
            "image_owners",
            "The owners whose images may be launched in regions without a list in"
            " [restrict.images]: account ids, self (the site's account), amazon or"
            " aws-marketplace.",
            "^([0-9]{12}|amazon|aws-marketplace|self)$",
            'an image owner is an account\'s twelve digits, "self", "amazon" or "aws-marketplace"',
        ),
        Option(
            "images",
            {
                "description": "The only images that may be launched in a region, by region.",
                "type": "object",
                "minProperties": 1,
                "propertyNames": REGION,
                "additionalProperties": list_of(id_schema("an image id", "ami")),
            },
            lambda raw: MappingProxyType({region: tuple(ids) for region, ids in raw.items()}),
        ),
        tag(
            "image_tag",
            "A tag of the images that may be launched in regions without a list in "
            "[restrict.images]. Only the account's own images can have this tag, which the manager "
            "cannot set.",
            'the image tag is one key and its value, such as { Approved = "cml" }',
        ),
    ),
    rules=_rules,
    promises=_promises,
    usual=_usual,
    variants=_variants,
    cases=_cases,
    contradictions=_contradictions,
)
