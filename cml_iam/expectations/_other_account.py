"""Resources of other accounts; only where a restriction pins the account.

Without one a policy names no account, and whether a foreign resource may be used is decided by its
owner alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cml_iam import authorization as ask
from cml_iam.catalogue import Permission, load_catalogue
from cml_iam.engine import Request
from cml_iam.expectations._builders import CREATE_TAGS, RUN, expect
from cml_iam.expectations._expectation import OTHER_RESOURCES, Expectation
from cml_iam.expectations._stage import Stage
from cml_iam.facts import OTHER_ACCOUNT
from cml_iam.restrict import LAUNCH_RESTRICTIONS


def derive_other_account(stage: Stage) -> Iterator[Expectation]:
    """Yield what must be refused of other accounts' resources."""
    active = stage.site.restrict.active
    for region in stage.launch_regions[:1] if active & LAUNCH_RESTRICTIONS else ():
        yield from _launches(stage, region)
    if "guard_tag" in active:
        granted = load_catalogue().granted(stage.site.grant.active - {"pass_role"})
        for permission in (*load_catalogue().permissions, *granted):
            if permission.resources and permission.action != RUN:
                yield _use(stage, permission)


def _launches(stage: Stage, region: str) -> Iterator[Expectation]:
    usual = stage.launches(region)[0]
    tags = usual.tags["instance"]
    everything = dict.fromkeys(("instance", "volume", "network-interface"), tags)
    elsewhere = replace(usual, account=OTHER_ACCOUNT, subnet_account="", tags=everything)
    requests = ask.launch(stage.caller, elsewhere)
    pinned = tuple(
        index
        for index, request in enumerate(requests)
        if f":{OTHER_ACCOUNT}:" in request.resource and _pins(stage, request)
    )
    yield expect(
        RUN,
        OTHER_RESOURCES,
        "other-account",
        "launch with another account's resources",
        requests,
        tuple(sorted(LAUNCH_RESTRICTIONS)),
        pinned,
    )


def _pins(stage: Stage, request: Request) -> bool:
    """Say whether the policy names the account for this authorization of a launch."""
    restrict = stage.site.restrict
    if request.action == CREATE_TAGS:
        # Without the guard tag, tags may be set on anything that may be launched.
        return "guard_tag" in restrict.active
    # A listed subnet may be shared by the account that owns it.
    return not (restrict.subnets and ":subnet/" in request.resource)


def _use(stage: Stage, permission: Permission) -> Expectation:
    worker = replace(stage.worker(stage.regions[0]), account=OTHER_ACCOUNT)
    if permission.access == "Tagging":
        tags = {"Owner": "network-lab"} if permission.action == CREATE_TAGS else ("Owner",)
        requests = ask.retag(stage.caller, permission.action, worker, tags)
    else:
        requests = ask.operate(stage.caller, permission.action, worker)
    return expect(
        permission.action,
        OTHER_RESOURCES,
        "other-account",
        f"{permission.name} on another account's worker",
        requests,
        ("guard_tag",),
    )
