"""Derive the expectations of a site from the permission catalogue, and judge policies by them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Final, Literal, NamedTuple

from cml_iam.catalogue import Catalogue, Permission, load_catalogue
from cml_iam.engine import Request
from cml_iam.engine import authorization as ask
from cml_iam.expectations._stage import AS_SENT, Answer, Expectation, Stage, derive_cases, expect
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
    action, caller = permission.action, stage.caller
    if action != RUN:
        for region in stage.regions:
            requests = stage.use(permission, region)
            yield expect(action, "as intended", region, f"{permission.name} in {region}", requests)
        return
    application = stage.site.application
    for region in stage.launch_regions:
        for number, launch in enumerate(stage.launches(region), start=1):
            requests = ask.launch(caller, launch)
            name = f"{region}-{number}"
            yield expect(action, "as intended", name, _described(launch), requests)
        if application:
            tags = dict.fromkeys(application.tagged, application.tags)
            launch = stage.launch(region, {"tags": tags})
            words = f"{_described(launch)}, as CML Cloud Manager sends it ([manager] tags)"
            requests = ask.launch(caller, launch)
            yield expect(RUN, "as intended", f"{region}{AS_SENT}", words, requests)


def _described(launch: ask.Launch) -> str:
    key = f" with the key pair {launch.key_name}" if launch.key_name else ""
    return (
        f"launch a {launch.instance_type} from {launch.image.id} in {launch.region}{key},"
        f" tagged: {', '.join(launch.tags)}"
    )


def _elsewhere(permission: Permission, stage: Stage) -> Iterator[Expectation]:
    restrict = stage.site.restrict
    for region in stage.other_regions:
        requests = stage.use(permission, region)
        # All authorizations must be refused or, if regions are free, those that name an image.
        decisive = (
            index
            for index, request in enumerate(requests)
            if restrict.regions or ":image/" in request.resource
        )
        violates = [] if permission.any_region else ["regions"]
        if permission.action == RUN and restrict.images and region not in restrict.images:
            violates += [] if restrict.other_images else ["images"]
        yield expect(
            permission.action,
            "other region",
            region,
            f"{permission.name} in {region}",
            requests,
            tuple(violates),
            tuple(decisive),
        )


def _foreign(permission: Permission, stage: Stage) -> Iterator[Expectation]:
    region = stage.regions[0]
    cases: tuple[tuple[Situation, str, ask.Instance], ...] = (
        ("foreign instance", "a", stage.foreign(region)),
        ("untagged instance", "an", stage.untagged(region)),
    )
    for situation, article, instance in cases:
        requests = stage.use_on(permission, instance)
        words = f"{permission.name} on {article} {situation}"
        yield expect(permission.action, situation, instance.id, words, requests, ("guard_tag",))


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
        requests = ask.use(stage.caller, action, instance, edit.tags)
        yield expect(action, "guard tag", edit.name, edit.description, requests, ("guard_tag",))


def _tagging_other_types(stage: Stage) -> Iterator[Expectation]:
    """Yield taggings outside a launch: of disks and images, on which other policies may rely."""
    site, region = stage.site, stage.regions[0]
    existing = {
        "volume": "vol-0f04e190000000001",
        "network-interface": "eni-0f04e190000000001",
        "image": "ami-0f04e190000000002",
    }
    for kind, name in existing.items():
        account = "" if kind == "image" else site.account
        arn = f"arn:{site.partition}:ec2:{region}:{account}:{kind}/{name}"
        images = ("images",) if kind == "image" and site.restrict.image_tag else ()
        for action in TAGGING:
            worker = stage.worker(region)
            (request,) = ask.use(stage.caller, action, worker, {"Approved": "true"})
            yield expect(
                action,
                "other resources",
                kind,
                f"{action.partition(':')[2]} on an existing {kind}",
                (request._replace(resource=arn),),
                ("guard_tag", *images),
            )


def _unlisted(catalogue: Catalogue, stage: Stage) -> Iterator[Expectation]:
    assert not set(UNLISTED_ACTIONS) & set(catalogue.actions)  # noqa: S101 - an invariant
    for action, purpose in UNLISTED_ACTIONS.items():
        requests = ask.describe(stage.caller, action, stage.regions[0])
        words = f"{action}: {purpose}"
        yield expect(action, "unlisted action", action, words, requests, expected="refused")


class Judgement(NamedTuple):
    """The result of an expectation.

    *answer* is the answer to the call: allowed if each of its authorizations is; None if one could
    not be decided and none was refused. *statements* are the statements that decided; *hint* names
    the statement that comes closest to allowing a missing permission.
    """

    expectation: Expectation
    answer: Answer | None
    statements: tuple[str, ...] = ()
    refused: tuple[Request, ...] = ()
    hint: str = ""

    @property
    def verdict(self) -> Literal["holds", "fails", "unchecked"]:
        """Whether the expectation is met, fails, or could not be checked."""
        if self.answer is None:
            return "unchecked"
        return "holds" if self.answer == self.expectation.expected else "fails"


class Ruling(NamedTuple):
    """The decision of one authorization, and the labels of the statements that decided."""

    allowed: bool | None
    statements: tuple[str, ...] = ()


def judge(
    expectations: Iterable[Expectation], decide: Callable[[Request], Ruling]
) -> tuple[Judgement, ...]:
    """Decide every authorization of *expectations* with *decide*, and judge the calls."""
    return tuple(_judge(expectation, decide) for expectation in expectations)


def _judge(expectation: Expectation, decide: Callable[[Request], Ruling]) -> Judgement:
    rulings = [(request, decide(request)) for request in expectation.requests]
    refused = tuple(request for request, ruling in rulings if ruling.allowed is False)
    answer: Answer | None = "allowed"
    if refused:
        answer = "refused"
    elif any(ruling.allowed is None for _, ruling in rulings):
        answer = None
    # For a refused call, only what refused it: its other authorizations may be allowed.
    telling = [ruling for _, ruling in rulings if not (refused and ruling.allowed)]
    statements = dict.fromkeys(label for ruling in telling for label in ruling.statements)
    return Judgement(expectation, answer, tuple(statements), refused)
