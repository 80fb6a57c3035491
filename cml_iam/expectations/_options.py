"""The expectations of the site's further restrictions and grants; only of those it has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from cml_iam import authorization as ask
from cml_iam.catalogue import Permission, load_catalogue
from cml_iam.engine import Request
from cml_iam.expectations._builders import RUN, expect, expect_launch
from cml_iam.expectations._expectation import (
    AS_INTENDED,
    OTHER_MANNER,
    OTHER_RESOURCES,
    Expectation,
)
from cml_iam.expectations._stage import Stage
from cml_iam.facts import OTHER_ACCOUNT, service_principal


def derive_options(stage: Stage) -> Iterator[Expectation]:
    """Yield what the options of the site must allow and refuse."""
    for region in stage.launch_regions[:1]:
        yield from _launch_options(stage, region)
        yield from _passed_role(stage, region)
    yield from _other_network(stage)
    yield from _without_mfa(stage)


def _launch_options(stage: Stage, region: str) -> Iterator[Expectation]:
    usual = stage.launch(region)
    foreign = "subnet-0f04e190000000001"
    cases = (
        ("subnets", "into another subnet", replace(usual, subnet=foreign), "subnet"),
        (
            "subnets",
            "with an interface that lies in another subnet",
            replace(usual, subnet=foreign, network_interface="eni-0f04e190000000001"),
            "network-interface",
        ),
        (
            "security_groups",
            "with another security group",
            replace(usual, security_groups=("sg-0f04e190000000001",)),
            "security-group",
        ),
        ("imdsv2", "without IMDSv2", replace(usual, metadata_tokens="optional"), "instance"),
        ("imdsv2", "without a word on IMDSv2", replace(usual, metadata_tokens=""), "instance"),
        ("on_demand_only", "as a Spot instance", replace(usual, market="spot"), "instance"),
        (
            "encrypted_volumes",
            "with a disk that is not encrypted",
            replace(usual, encrypted=False),
            "volume",
        ),
    )
    for option, words, launch, kind in cases:
        if option in stage.site.restrict.active:
            situation = OTHER_MANNER if kind in ("instance", "volume") else OTHER_RESOURCES
            name = words.replace(" ", "-")
            yield expect_launch(stage, situation, name, f"launch {words}", launch, (option,), kind)


def _passed_role(stage: Stage, region: str) -> Iterator[Expectation]:
    name = stage.site.grant.pass_role
    if not name:
        return
    arn = f"arn:{stage.site.partition}:iam::{stage.site.account}:role/{name}"
    launch = replace(stage.launch(region), profile_role=arn)
    requests = ask.launch(stage.caller, launch)
    yield expect("iam:PassRole", AS_INTENDED, name, f"launch with the role {name}", requests)
    *_, passing = requests
    # IAM is a global service: nothing says which region it takes the handing over to be in.
    anywhere = {**passing.context, "aws:RequestedRegion": "aws-global"}
    yield expect(
        "iam:PassRole",
        AS_INTENDED,
        f"{name}-anywhere",
        f"hand over the role {name}, wherever IAM takes that to be",
        (passing._replace(context=anywhere),),
    )
    service = {
        **passing.context,
        "iam:PassedToService": service_principal("lambda", stage.site.partition),
    }
    foreign = arn.replace(stage.site.account, OTHER_ACCOUNT)
    for manner, words, request in (
        ("lambda", f"hand the role {name} to another service", passing._replace(context=service)),
        (
            "other-account",
            "hand over a role of another account",
            passing._replace(resource=foreign),
        ),
    ):
        made = expect("iam:PassRole", OTHER_MANNER, manner, words, (request,))
        yield replace(made, expected="refused")


def _other_network(stage: Stage) -> Iterator[Expectation]:
    address = stage.other_address if stage.site.restrict.source_ips else None
    if address is None:
        return
    for permission in load_catalogue().permissions:
        request = _any_use(stage, permission)
        yield _from(request, f"from {address}", address, ("source_ips",))
    for allowed in stage.addresses:
        yield _from(_any_use(stage, _inventory()), f"from {allowed}", allowed)
    yield _from(
        _any_use(stage, _inventory()),
        "by an AWS service for the manager",
        address,
        extra={"aws:ViaAWSService": "true"},
    )


def _inventory() -> Permission:
    return load_catalogue().permission("ec2:DescribeInstances")


def _any_use(stage: Stage, permission: Permission) -> Request:
    """Return an authorization that a use of *permission* asks for."""
    region = stage.regions[0]
    if not permission.resources:
        return ask.describe(stage.caller, permission.action, region)[0]
    if permission.action == RUN:
        return ask.launch(stage.caller, stage.launch(region))[0]
    return ask.operate(stage.caller, permission.action, stage.worker(region))[0]


def _from(
    request: Request,
    words: str,
    address: str,
    violates: tuple[str, ...] = (),
    extra: Mapping[str, str] = MappingProxyType({}),
) -> Expectation:
    context = {**request.context, "aws:SourceIp": address, **extra}
    return expect(
        request.action,
        OTHER_MANNER if violates else AS_INTENDED,
        words.replace(" ", "-"),
        f"{request.action.partition(':')[2]} {words}",
        (request._replace(context=context),),
        violates,
    )


def _without_mfa(stage: Stage) -> Iterator[Expectation]:
    if not stage.site.restrict.mfa_to_terminate:
        return
    caller = replace(stage.caller, mfa=False)
    action, worker = "ec2:TerminateInstances", stage.worker(stage.regions[0])
    yield expect(
        action,
        OTHER_MANNER,
        "without-mfa",
        "TerminateInstances without MFA",
        ask.operate(caller, action, worker),
        ("mfa_to_terminate",),
    )
