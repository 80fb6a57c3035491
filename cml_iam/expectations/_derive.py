"""Derive the expectations of a site from the catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from cml_iam import authorization as ask
from cml_iam.catalogue import Catalogue, Permission, load_catalogue
from cml_iam.engine import Request
from cml_iam.expectations._builders import CREATE_TAGS, RUN, expect, expect_launch
from cml_iam.expectations._expectation import (
    AS_INTENDED,
    GUARD_TAG,
    OTHER_IMAGE,
    OTHER_INSTANCE,
    OTHER_REGION,
    OTHER_RESOURCES,
    OTHER_TYPE,
    UNLISTED,
    UNTAGGED,
    Expectation,
)
from cml_iam.expectations._options import derive_options
from cml_iam.expectations._other_account import derive_other_account
from cml_iam.expectations._stage import Stage
from cml_iam.restrict import LAUNCH_RESTRICTIONS
from cml_iam.site import Site

UNLISTED_ACTIONS: Final = {
    "iam:CreateUser": "make itself another principal",
    "iam:CreateAccessKey": "make itself another key",
    "iam:AttachUserPolicy": "give itself more permissions",
    "iam:PassRole": "hand a role to an instance and use it from there",
    "sts:AssumeRole": "become a role",
    "ec2:CreateSnapshot": "copy a disk",
    "ec2:ModifySnapshotAttribute": "give a copied disk away",
    "ec2:ModifyInstanceAttribute": "change user data, and so run code on an instance",
    "ec2:GetPasswordData": "read an administrator's password",
    "ec2:AuthorizeSecurityGroupIngress": "open a firewall",
    "ec2:RequestSpotInstances": "launch by another door",
    "ec2:CreateFleet": "launch by another door",
    "ec2:DeleteVolume": "destroy a disk",
    "cloudwatch:PutMetricData": "forge metrics",
    "cloudwatch:DeleteAlarms": "silence alarms",
    "s3:GetObject": "read data",
}
"""Actions the manager must not have, and what they would be good for."""


def derive_expectations(site: Site) -> tuple[Expectation, ...]:
    """Return every expectation of *site*: what must work, and what must be refused.

    A call that violates a restriction which *site* does not have is expected to be allowed, so
    that a policy which refuses too much is found as surely as one that refuses too little.
    """
    catalogue, stage = load_catalogue(), Stage.of(site)
    return tuple(
        replace(each, expected="refused") if each.violates & site.restrict.active else each
        for each in _all(catalogue, stage)
    )


def _all(catalogue: Catalogue, stage: Stage) -> Iterator[Expectation]:
    granted = catalogue.granted(stage.site.grant.active - {"pass_role"})
    for permission in (*catalogue.permissions, *granted):
        yield from _intended(permission, stage)
        yield from _elsewhere(permission, stage)
        if permission.resources and permission.action != RUN:
            yield from _foreign(permission, stage)
        if permission.access == "Tagging":
            yield from _guard_tag_edits(permission, stage)
    yield from _tagging_other_types(stage)
    yield from _launches(stage)
    yield from derive_other_account(stage)
    yield from derive_options(stage)
    yield from _unlisted(catalogue, stage)


def _intended(permission: Permission, stage: Stage) -> Iterator[Expectation]:
    if permission.action == RUN:
        for region in stage.launch_regions:
            for number, launch in enumerate(stage.launches(region), start=1):
                yield expect(
                    permission.action,
                    AS_INTENDED,
                    f"{region}-{number}",
                    _described(launch),
                    ask.launch(stage.caller, launch),
                )
        return
    for region in stage.regions:
        yield expect(
            permission.action,
            AS_INTENDED,
            region,
            f"{permission.name} in {region}",
            _use(permission, stage, region),
        )


def _described(launch: ask.Launch) -> str:
    key = f" with the key pair {launch.key_name}" if launch.key_name else ""
    tagged = ", ".join(launch.tags)
    return (
        f"launch a {launch.instance_type} from {launch.image.id} in {launch.region}{key},"
        f" tagged: {tagged}"
    )


def _elsewhere(permission: Permission, stage: Stage) -> Iterator[Expectation]:
    for region in stage.other_regions:
        requests = (
            ask.launch(stage.caller, stage.launch(region))
            if permission.action == RUN
            else _use(permission, stage, region)
        )
        yield expect(
            permission.action,
            OTHER_REGION,
            region,
            f"{permission.name} in {region}",
            requests,
            () if permission.any_region else _elsewhere_violates(permission, stage, region),
            _elsewhere_decisive(stage, requests),
        )


def _elsewhere_decisive(stage: Stage, requests: tuple[Request, ...]) -> tuple[int, ...]:
    """Return what must be refused: everything, or where regions are free what names an image."""
    return tuple(
        index
        for index, request in enumerate(requests)
        if stage.site.restrict.regions or ":image/" in request.resource
    )


def _elsewhere_violates(permission: Permission, stage: Stage, region: str) -> tuple[str, ...]:
    """Return what *permission* violates in *region*: without a listed image, `images` as well."""
    restrict = stage.site.restrict
    if permission.action == RUN and restrict.images and not restrict.other_images:
        return ("regions", "images") if region not in restrict.images else ("regions",)
    return ("regions",)


def _use(permission: Permission, stage: Stage, region: str) -> tuple[Request, ...]:
    """Return what the manager's own use of *permission* in *region* asks for."""
    if not permission.resources:
        return ask.describe(stage.caller, permission.action, region)
    if permission.access == "Tagging":
        return ask.retag(
            stage.caller, permission.action, stage.worker(region), _tags(permission, "Owner")
        )
    return ask.operate(stage.caller, permission.action, stage.worker(region))


def _foreign(permission: Permission, stage: Stage) -> Iterator[Expectation]:
    region = stage.regions[0]
    for situation, instance in (
        (OTHER_INSTANCE, stage.foreign(region)),
        (UNTAGGED, stage.untagged(region)),
    ):
        requests = (
            ask.retag(stage.caller, permission.action, instance, _tags(permission, "Owner"))
            if permission.access == "Tagging"
            else ask.operate(stage.caller, permission.action, instance)
        )
        article = "a" if situation == OTHER_INSTANCE else "an"
        description = f"{permission.name} on {article} {situation}"
        yield expect(
            permission.action, situation, instance.id, description, requests, ("guard_tag",)
        )


def _guard_tag_edits(permission: Permission, stage: Stage) -> Iterator[Expectation]:
    """Take over a foreign instance, change, respell or remove the tag of a worker, wipe it."""
    region, tag = stage.regions[0], stage.tag
    worker, untagged = stage.worker(region), stage.untagged(region)
    edits: list[tuple[str, str, ask.Instance, ask.Tags | tuple[str, ...]]]
    if permission.action == CREATE_TAGS:
        edits = [
            ("take-over", "mark an untagged instance as a worker", untagged, {tag.key: tag.value}),
            ("change", "change a worker's guard tag", worker, {tag.key: "other"}),
            ("respell", "set the guard tag's key in other case", worker, {_respelt(tag.key): "x"}),
            ("among", "set the guard tag among others", worker, {"Owner": "x", tag.key: "x"}),
        ]
    else:
        edits = [
            ("remove", "remove a worker's guard tag", worker, (tag.key,)),
            ("respell", "remove the guard tag's key in other case", worker, (_respelt(tag.key),)),
            ("among", "remove the guard tag among others", worker, ("Owner", tag.key)),
            ("wipe", "remove all tags of a worker at once", worker, ()),
        ]
    for name, description, instance, tags in edits:
        requests = ask.retag(stage.caller, permission.action, instance, tags)
        yield expect(permission.action, GUARD_TAG, name, description, requests, ("guard_tag",))


def _tagging_other_types(stage: Stage) -> Iterator[Expectation]:
    """Tags on what no launch is making: disks and images that policies may go by."""
    region, caller = stage.regions[0], stage.caller
    worker = stage.worker(region)
    existing = {
        "volume": "vol-0f04e190000000001",
        "network-interface": "eni-0f04e190000000001",
        "image": "ami-0f04e190000000002",
    }
    for kind, name in existing.items():
        for action in (CREATE_TAGS, "ec2:DeleteTags"):
            (request,) = ask.retag(caller, action, worker, {"Approved": "true"})
            account = "" if kind == "image" else stage.site.account
            arn = f"arn:{stage.site.partition}:ec2:{region}:{account}:{kind}/{name}"
            yield expect(
                action,
                OTHER_RESOURCES,
                kind,
                f"{action.partition(':')[2]} on an existing {kind}",
                (request._replace(resource=arn),),
                ("guard_tag", "images")
                if kind == "image" and stage.site.restrict.image_tag
                else ("guard_tag",),
            )


def _launches(stage: Stage) -> Iterator[Expectation]:
    for region in stage.launch_regions[:1]:
        yield from _launches_without_guard_tag(stage, region)
        yield from _launches_of_other_types(stage, region)
    for region in dict.fromkeys((*stage.launch_regions[:1], *stage.launch_regions[-1:])):
        yield from _launches_with_other_resources(stage, region)
    for region in stage.launch_regions:
        yield from _launches_of_other_images(stage, region)


def _launches_without_guard_tag(stage: Stage, region: str) -> Iterator[Expectation]:
    usual, tag = stage.launch(region), stage.tag
    cases: tuple[tuple[str, dict[str, str]], ...] = (
        ("without", {"Name": "cml-worker-01"}),
        ("none", {}),
        ("other-value", {tag.key: "another-team"}),
        ("other-case", {_respelt(tag.key): tag.value}),
    )
    for name, tags in cases:
        launch = replace(usual, tags={"instance": tags} if tags else {})
        words = ", ".join(f"{key}={value}" for key, value in tags.items()) or "no tags"
        yield expect_launch(
            stage, GUARD_TAG, name, f"launch with {words}", launch, ("guard_tag",), "instance"
        )


def _launches_of_other_types(stage: Stage, region: str) -> Iterator[Expectation]:
    if stage.other_type is None:
        return
    launch = replace(stage.launch(region), instance_type=stage.other_type)
    description = f"launch a {stage.other_type}"
    yield expect_launch(
        stage, OTHER_TYPE, stage.other_type, description, launch, ("instance_types",), "instance"
    )


def _launches_of_other_images(stage: Stage, region: str) -> Iterator[Expectation]:
    for image in stage.other_images(region):
        launch = replace(stage.launch(region), image=image)
        owner = "the account's own" if image.owner == stage.site.account else "a stranger's"
        description = f"launch {owner} unlisted image {image.id} in {region}"
        name = f"{region}-{image.id}"
        yield expect_launch(stage, OTHER_IMAGE, name, description, launch, ("images",), "image")


def _launches_with_other_resources(stage: Stage, region: str) -> Iterator[Expectation]:
    """Once a launch is restricted resource by resource, only what the manager uses is left."""
    usual = stage.launch(region)
    split = tuple(sorted(LAUNCH_RESTRICTIONS))
    for name, description, launch, kind in (
        (
            "snapshot",
            "launch with a disk made from any snapshot",
            replace(
                usual,
                snapshots=("snap-0f04e190000000001",),
                snapshot_tags={**stage.image_tags, stage.tag.key: stage.tag.value},
            ),
            "snapshot",
        ),
        (
            "launch-template",
            "launch through a launch template",
            replace(usual, launch_template="lt-0f04e190000000001"),
            "launch-template",
        ),
        (
            "role",
            "launch with a role for the instance",
            replace(
                usual, profile_role=f"arn:{stage.site.partition}:iam::{usual.account}:role/admin"
            ),
            "role",
        ),
    ):
        violates = () if name == "role" else split
        label, words = f"{region}-{name}", f"{description} in {region}"
        made = expect_launch(stage, OTHER_RESOURCES, label, words, launch, violates, kind)
        # No restriction is needed to refuse this: iam:PassRole is not in the catalogue.
        yield replace(made, expected="refused") if name == "role" else made


def _unlisted(catalogue: Catalogue, stage: Stage) -> Iterator[Expectation]:
    assert not set(UNLISTED_ACTIONS) & set(catalogue.actions)  # noqa: S101 - an invariant
    for action, purpose in UNLISTED_ACTIONS.items():
        requests = ask.describe(stage.caller, action, stage.regions[0])
        made = expect(action, UNLISTED, action, f"{action}: {purpose}", requests)
        yield replace(made, expected="refused")


def _tags(permission: Permission, key: str) -> ask.Tags | tuple[str, ...]:
    return {key: "network-lab"} if permission.action == CREATE_TAGS else (key,)


def _respelt(key: str) -> str:
    """Return *key* in other case: IAM ignores case in condition key names, EC2 does not."""
    return key.lower() if key != key.lower() else key.upper()
