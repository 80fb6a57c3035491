"""Derive the expectations of a site from the permission catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from cml_iam.catalogue import Catalogue, Permission, load_catalogue
from cml_iam.engine import Request
from cml_iam.engine import authorization as ask
from cml_iam.expectations._expectation import AS_SENT, Expectation, expect
from cml_iam.expectations._stage import Stage, derive_cases
from cml_iam.facts import OTHER_ACCOUNT, TAGGING
from cml_iam.restrict import RUN, Situation
from cml_iam.restrict.guard_tag import edits
from cml_iam.site import Site

UNLISTED_ACTIONS: Final = {
    "iam:CreateUser": "create another principal",
    "iam:CreateAccessKey": "create another key",
    "iam:AttachUserPolicy": "give itself more permissions",
    "iam:PassRole": "pass a role to an instance and use it from there",
    "sts:AssumeRole": "become a role",
    "ec2:CreateSnapshot": "copy a disk",
    "ec2:ModifySnapshotAttribute": "give a copied disk away",
    "ec2:ModifyInstanceAttribute": "change user data, and so run code on an instance",
    "ec2:GetPasswordData": "read an administrator's password",
    "ec2:AuthorizeSecurityGroupIngress": "open a firewall",
    "ec2:RequestSpotInstances": "launch through another API",
    "ec2:CreateFleet": "launch through another API",
    "ec2:DeleteVolume": "destroy a disk",
    "cloudwatch:PutMetricData": "forge metrics",
    "cloudwatch:DeleteAlarms": "silence alarms",
    "s3:GetObject": "read data",
}
"""Actions that the manager must not be allowed, and what they would make possible."""


def derive_expectations(site: Site) -> tuple[Expectation, ...]:
    """Return every expectation of *site*: what must work, and what must be refused.

    A call is expected to be allowed if it violates only a restriction that *site* does not have.
    This finds policies that refuse too much as surely as those that refuse too little.
    """
    catalogue, stage, active = load_catalogue(), Stage.of(site), site.restrict.active
    return tuple(
        expectation._replace(expected="refused") if expectation.violates & active else expectation
        for expectation in _all(catalogue, stage)
    )


def _all(catalogue: Catalogue, stage: Stage) -> Iterator[Expectation]:
    granted = catalogue.granted(stage.site.grant.active - {"pass_role"})
    permissions = (*catalogue.permissions, *granted)
    for permission in permissions:
        yield from _intended(permission, stage)
        yield from _elsewhere(permission, stage)
        if permission.resources and permission.action != RUN:
            yield from _foreign(permission, stage)
        if permission.access == "Tagging":
            yield from _guard_tag_edits(permission, stage)
    yield from _tagging_other_types(stage)
    yield from derive_cases(stage)
    if "guard_tag" in stage.site.restrict.active:
        for permission in permissions:
            if permission.resources and permission.action != RUN:
                yield _on_another_accounts(permission, stage)
    yield from _unlisted(catalogue, stage)


def _intended(permission: Permission, stage: Stage) -> Iterator[Expectation]:
    action = permission.action
    if action == RUN:
        for region in stage.launch_regions:
            for number, launch in enumerate(stage.launches(region), start=1):
                requests = ask.launch(stage.caller, launch)
                name = f"{region}-{number}"
                yield expect(action, "as intended", name, _described(launch), requests)
            yield from _as_sent(stage, region)
        return
    for region in stage.regions:
        requests = stage.use(permission, region)
        yield expect(action, "as intended", region, f"{permission.name} in {region}", requests)


def _as_sent(stage: Stage, region: str) -> Iterator[Expectation]:
    """Yield the launch in *region* with the tags that CML Cloud Manager sends, if known."""
    application = stage.site.application
    if application:
        launch = stage.launch(region, {"tags": dict.fromkeys(application.tagged, application.tags)})
        words = f"{_described(launch)}, as CML Cloud Manager sends it ([manager] tags)"
        requests = ask.launch(stage.caller, launch)
        yield expect(RUN, "as intended", f"{region}{AS_SENT}", words, requests)


def _described(launch: ask.Launch) -> str:
    key = f" with the key pair {launch.key_name}" if launch.key_name else ""
    tagged = ", ".join(launch.tags)
    return (
        f"launch a {launch.instance_type} from {launch.image.id} in {launch.region}{key},"
        f" tagged: {tagged}"
    )


def _elsewhere(permission: Permission, stage: Stage) -> Iterator[Expectation]:
    for region in stage.other_regions:
        requests = stage.use(permission, region)
        yield expect(
            permission.action,
            "other region",
            region,
            f"{permission.name} in {region}",
            requests,
            () if permission.any_region else _elsewhere_violates(permission, stage, region),
            _elsewhere_decisive(stage, requests),
        )


def _elsewhere_decisive(stage: Stage, requests: tuple[Request, ...]) -> tuple[int, ...]:
    """Return the authorizations to refuse: all or, if regions are free, those naming an image."""
    return tuple(
        index
        for index, request in enumerate(requests)
        if stage.site.restrict.regions or ":image/" in request.resource
    )


def _elsewhere_violates(permission: Permission, stage: Stage, region: str) -> tuple[str, ...]:
    """Return what *permission* violates in *region*: also `images` if that lists none."""
    restrict = stage.site.restrict
    if permission.action == RUN and restrict.images and not restrict.other_images:
        return ("regions", "images") if region not in restrict.images else ("regions",)
    return ("regions",)


def _foreign(permission: Permission, stage: Stage) -> Iterator[Expectation]:
    region = stage.regions[0]
    cases: tuple[tuple[Situation, str, ask.Instance], ...] = (
        ("foreign instance", "a", stage.foreign(region)),
        ("untagged instance", "an", stage.untagged(region)),
    )
    for situation, article, instance in cases:
        requests = stage.use_on(permission, instance)
        description = f"{permission.name} on {article} {situation}"
        yield expect(
            permission.action, situation, instance.id, description, requests, ("guard_tag",)
        )


def _on_another_accounts(permission: Permission, stage: Stage) -> Expectation:
    """Return a use of another account's worker, which has the guard tag.

    Without the restriction, a policy names no account, and only the owner decides.
    """
    worker = replace(stage.worker(stage.regions[0]), account=OTHER_ACCOUNT)
    return expect(
        permission.action,
        "other resources",
        "other-account",
        f"{permission.name} on another account's worker",
        stage.use_on(permission, worker),
        ("guard_tag",),
    )


def _guard_tag_edits(permission: Permission, stage: Stage) -> Iterator[Expectation]:
    """Yield edits of tags: take over an instance; change, respell, remove or wipe tags."""
    region, action = stage.regions[0], permission.action
    for edit in edits(stage.site, action):
        instance = stage.untagged(region) if edit.untagged else stage.worker(region)
        requests = ask.retag(stage.caller, action, instance, edit.tags)
        yield expect(action, "guard tag", edit.name, edit.description, requests, ("guard_tag",))


def _tagging_other_types(stage: Stage) -> Iterator[Expectation]:
    """Yield taggings outside a launch: of disks and images, on which other policies may rely."""
    region, caller = stage.regions[0], stage.caller
    worker = stage.worker(region)
    existing = {
        "volume": "vol-0f04e190000000001",
        "network-interface": "eni-0f04e190000000001",
        "image": "ami-0f04e190000000002",
    }
    for kind, name in existing.items():
        for action in TAGGING:
            (request,) = ask.retag(caller, action, worker, {"Approved": "true"})
            account = "" if kind == "image" else stage.site.account
            arn = f"arn:{stage.site.partition}:ec2:{region}:{account}:{kind}/{name}"
            yield expect(
                action,
                "other resources",
                kind,
                f"{action.partition(':')[2]} on an existing {kind}",
                (request._replace(resource=arn),),
                ("guard_tag", "images")
                if kind == "image" and stage.site.restrict.image_tag
                else ("guard_tag",),
            )


def _unlisted(catalogue: Catalogue, stage: Stage) -> Iterator[Expectation]:
    assert not set(UNLISTED_ACTIONS) & set(catalogue.actions)  # noqa: S101 - an invariant
    for action, purpose in UNLISTED_ACTIONS.items():
        requests = ask.describe(stage.caller, action, stage.regions[0])
        made = expect(action, "unlisted action", action, f"{action}: {purpose}", requests)
        yield made._replace(expected="refused")
