"""What is promised where a tag marks the workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from cml_iam.catalogue import Permission
from cml_iam.facts import Assumption
from cml_iam.prove._promise import LATER, RUN, TAGGING, Promise, every, merged, operations, own
from cml_iam.site import Site, Tag
from cml_iam.space import Shape

TAG_CASE: Final = "https://docs.aws.amazon.com/IAM/latest/UserGuide/access_tags.html#access_tags_control-resources"


def tag_promises(site: Site, tag: Tag, permissions: Sequence[Permission]) -> Iterator[Promise]:
    """Yield what *site* promises of its guard tag; *permissions* are all that it may do."""
    instances = (every(site, "instance"),)
    carried = {"StringEquals": {f"aws:ResourceTag/{tag.key}": tag.value}}
    requested = f"aws:RequestTag/{tag.key}"
    other = {"StringNotEquals": {f"aws:ResourceTag/{tag.key}": tag.value}}
    yield Promise(
        "foreign-operated",
        "no instance without the guard tag is operated, in any number of steps",
        "taken over",
        (Shape(operations(permissions), instances),),
        tag=tag,
        closing=carried,
        limits=(_other_case(tag),),
    )
    yield Promise(
        "foreign-retagged",
        "no tag of an instance without the guard tag is changed",
        "never",
        (Shape(TAGGING, instances, merged(other, LATER)),),
        closing=carried,
    )
    yield Promise(
        "guard-tag-kept",
        "no worker loses the guard tag",
        "lost",
        (Shape(TAGGING, instances),),
        tag=tag,
        closing={"ForAllValues:StringNotEqualsIgnoreCase": {"aws:TagKeys": [tag.key]}},
    )
    yield Promise(
        "launch-tagged",
        "no instance is launched without the guard tag",
        "never",
        (
            Shape(RUN, instances, {"StringNotEquals": {requested: tag.value}}),
            # aws:RequestTag takes the key in any case of letters; aws:TagKeys lists it as it is.
            Shape(RUN, instances, {"ForAllValues:StringNotEquals": {"aws:TagKeys": [tag.key]}}),
        ),
        closing={
            "StringEquals": {requested: tag.value},
            "ForAnyValue:StringEquals": {"aws:TagKeys": [tag.key]},
        },
    )
    yield from _of_other_resources(site, permissions)


def _of_other_resources(site: Site, permissions: Sequence[Permission]) -> Iterator[Promise]:
    """Yield that where a tag marks the workers nothing but instances of the account is touched."""
    workers = own(site, "instance")
    made = tuple(own(site, kind) for kind in ("network-interface", "volume"))
    yield Promise(
        "operated-resources",
        "only the account's own instances are operated",
        "never",
        (Shape(operations(permissions), not_resources=(workers,)),),
    )
    yield Promise(
        "tagged-resources",
        "only the account's own instances are tagged, and at launch their disks and interfaces",
        "never",
        (
            Shape(TAGGING, not_resources=(workers, *made)),
            Shape(TAGGING, made, LATER),
        ),
    )


def _other_case(tag: Tag) -> Assumption:
    other = tag.key.lower() if tag.key != tag.key.lower() else tag.key.upper()
    text = (
        f"an instance with the tag {other}={tag.value} counts as one with {tag}: condition keys "
        "ignore the case of a tag's key, EC2 does not, and no policy can distinguish the two"
    )
    return Assumption("limit", "foreign-operated", text, TAG_CASE)
