"""The cases of the restrictions, and what a launch may use, as expectations.

Cases of the four main restrictions are derived for every site, those of others only if the site has
the restriction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cml_iam import authorization as ask
from cml_iam.catalogue import load_catalogue
from cml_iam.engine import Request
from cml_iam.expectations._expectation import Expectation, expect
from cml_iam.expectations._stage import Stage
from cml_iam.facts import OTHER_ACCOUNT, service_principal
from cml_iam.restrict import LAUNCH_RESTRICTIONS, RUN, Case, splits_launch
from cml_iam.restrict.grants import passed_role
from cml_iam.restrict.launch import launch_cases

_SPLIT = tuple(sorted(LAUNCH_RESTRICTIONS))


def derive_cases(stage: Stage) -> Iterator[Expectation]:
    """Yield what each restriction must allow and refuse, and what each launch must."""
    for row in stage.rows:
        for case in row.cases(stage.site):
            yield from _expected(stage, case, (row.name,))
    for region in dict.fromkeys((*stage.launch_regions[:1], *stage.launch_regions[-1:])):
        for case in launch_cases(stage.site, region):
            if case.type == "role":
                # No restriction is needed to refuse this: iam:PassRole is not in the catalogue.
                yield _launch(stage, case, ())._replace(expected="refused")
            else:
                yield _launch(stage, case, _SPLIT)
    for region in stage.launch_regions[:1]:
        if splits_launch(stage.site):
            yield _launch_elsewhere(stage, region)
        yield from _passed_role(stage, region)


def _expected(stage: Stage, case: Case, violates: tuple[str, ...]) -> Iterator[Expectation]:
    if case.actions:
        for action in case.actions:
            yield _use(stage, case, action, () if case.allowed else violates)
    elif stage.launch_regions:
        yield _launch(stage, case, violates)


def _launch(stage: Stage, case: Case, violates: tuple[str, ...]) -> Expectation:
    """Return the launch of *case*, which must be refused by the authorization of its type."""
    region = case.region or stage.launch_regions[0]
    requests = ask.launch(stage.caller, stage.launch(region, case.changes))
    decisive = tuple(
        index
        for index, request in enumerate(requests)
        if request.action != "ec2:CreateTags" and f":{case.type}/" in request.resource
    )
    words = f"launch {case.words}"
    return expect(RUN, case.situation, _name(case), words, requests, violates, decisive)


def _use(stage: Stage, case: Case, action: str, violates: tuple[str, ...]) -> Expectation:
    """Return a typical use of *action*: its first authorization, with the context of *case*."""
    permission = load_catalogue().permission(action)
    request = stage.use(permission, stage.regions[0])[0]
    request = request._replace(context={**request.context, **case.context})
    situation = "as intended" if case.allowed else case.situation
    words = f"{permission.name} {case.words}"
    return expect(action, situation, _name(case), words, (request,), violates)


def _name(case: Case) -> str:
    return case.name or case.words.replace(" ", "-")


def _launch_elsewhere(stage: Stage, region: str) -> Expectation:
    """Return a launch with another account's resources; only a split launch pins the account.

    Otherwise the policy names no account, and only the owner of the resources decides.
    """
    tags = stage.launch(region).tags["instance"]
    everything = dict.fromkeys(("instance", "volume", "network-interface"), tags)
    usual = stage.launch(region, {"key_name": "cml-admin", "tags": everything})
    requests = ask.launch(stage.caller, replace(usual, account=OTHER_ACCOUNT))
    return expect(
        RUN,
        "other resources",
        "other-account",
        "launch with another account's resources",
        requests,
        _SPLIT,
        tuple(n for n, each in enumerate(requests) if _pins(stage, each)),
    )


def _pins(stage: Stage, request: Request) -> bool:
    """Return whether the policy names the account for this authorization of a launch."""
    if f":{OTHER_ACCOUNT}:" not in request.resource:
        return False
    restrict = stage.site.restrict
    if request.action != RUN:
        # Without the guard tag, tags may be set on anything that may be launched.
        return restrict.guard_tag is not None
    # A listed subnet may be shared by the account that owns it.
    return not (restrict.subnets and ":subnet/" in request.resource)


def _passed_role(stage: Stage, region: str) -> Iterator[Expectation]:
    name, arn = stage.site.grant.pass_role, passed_role(stage.site)
    if not (name and arn):
        return
    requests = ask.launch(stage.caller, stage.launch(region, {"profile_role": arn}))
    passing = requests[-1]

    yield expect("iam:PassRole", "as intended", name, f"launch with the role {name}", requests)
    # IAM is a global service: its documentation does not say which region it assumes for the call.
    anywhere = _with(passing, "aws:RequestedRegion", "aws-global")
    words = f"pass the role {name}, whichever region IAM assumes for it"
    yield expect("iam:PassRole", "as intended", f"{name}-anywhere", words, (anywhere,))
    service = service_principal("lambda", stage.site.partition)
    foreign = arn.replace(stage.site.account, OTHER_ACCOUNT)
    for manner, words, request in (
        (
            "lambda",
            f"pass the role {name} to another service",
            _with(passing, "iam:PassedToService", service),
        ),
        (
            "other-account",
            "pass a role of another account",
            passing._replace(resource=foreign),
        ),
    ):
        made = expect("iam:PassRole", "other manner", manner, words, (request,))
        yield made._replace(expected="refused")


def _with(request: Request, key: str, value: str) -> Request:
    return request._replace(context={**request.context, key: value})
