"""RunInstances: authorized on every resource of the launch, each with its own condition keys.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/iam-policy-structure.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cml_iam import facts
from cml_iam.facts import arn_pattern, covers, is_region, overlap
from cml_iam.lint._conditions import holds_without_key, parse_operator
from cml_iam.lint._corrections import further_statement
from cml_iam.lint._effect import listed
from cml_iam.lint._finding import Found, Step
from cml_iam.lint._sample import base_context, concerning, requests, says

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.errors import Place
    from cml_iam.facts import Action, Target
    from cml_iam.lint._edits import Correction
    from cml_iam.lint._subject import Item, Subject

EBS_ROOT: Final = "volume"
"""Optional in the reference, because of instance store; but a launch from an EBS image needs it."""


def cannot_launch(subject: Subject) -> Iterator[Found]:
    """Yield RunInstances that is allowed on some resources of a launch and not on all."""
    if not subject.attached:
        return
    granting = [item for item in subject.allows if _run_element(item) is not None]
    run = _action("RunInstances")
    if not granting or run is None:
        return
    needed = [each for each in run.targets if each.required or each.type == EBS_ROOT]
    refused = [each for each in needed if _certainly_denied(subject, run, each)]
    missing = [each for each in needed if not _possible(subject, run, each)]
    if refused:
        yield _denied_launch(subject, run, refused)
    elif missing:
        yield _incomplete_launch(subject, run, granting[0], missing)


def _incomplete_launch(subject: Subject, run: Action, item: Item, missing: list[Target]) -> Found:
    keys = _keys_in_the_way(subject, run, missing)
    why = ""
    if keys:
        of = sorted(
            {each.type for key in keys for each in run.targets if each.keys.has(key)}
            & {each.type for each in run.targets if each.required or each.type == EBS_ROOT}
        )
        where = f"exists on {listed(of)} only" if of else "exists on none of them"
        why = f" ({listed(keys)} {where}, so the condition refuses all else)"
    return Found(
        "no instance can be launched: RunInstances is allowed, but not on "
        f"{listed([each.type for each in missing], most=6)}{why}, and a launch needs all of them",
        item.place("Action", _run_element(item) or 0),
        "add a statement that allows ec2:RunInstances on these resource types, without keys they "
        "do not have",
        item.label,
        _refusals(subject, run, missing),
        _completed_launch(subject, item, missing),
    )


def _completed_launch(subject: Subject, item: Item, missing: list[Target]) -> Correction | None:
    """Allow the rest of the launch; which instances may be launched is nobody's guess."""
    if any(target.type == "instance" for target in missing):
        return None
    return further_statement(item, _rest_of_launch(subject, item, missing))


def _rest_of_launch(subject: Subject, item: Item, missing: list[Target]) -> dict[str, Any]:
    """Return a statement that allows a launch on the *missing* types, in the regions of *item*."""
    partition, account = subject.partition or "aws", subject.account or "*"
    arns = [
        f"arn:{partition}:ec2:*:{account if pattern[4] else ''}:{pattern[5]}"
        for target in missing
        for pattern in target.arns
    ]
    regions: dict[str, dict[str, list[str]]] = {}
    for condition in item.statement.conditions:
        if is_region(condition.key):
            regions.setdefault(condition.operator, {})[condition.key] = list(condition.values)
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Action": "ec2:RunInstances",
        "Resource": arns,
    }
    return statement | ({"Condition": regions} if regions else {})


def _denied_launch(subject: Subject, run: Action, refused: list[Target]) -> Found:
    item = next(
        each for each in subject.denies if any(_always_matches(each, run, t) for t in refused)
    )
    return Found(
        "no instance can be launched: this statement refuses RunInstances on every "
        f"{listed([each.type for each in refused], most=6)}, which a launch needs",
        item.place(),
        "name the resources it is meant for: an absent condition key makes a negated condition "
        "hold",
        item.label,
        _refusals(subject, run, refused),
    )


def _refusals(subject: Subject, run: Action, targets: list[Target]) -> tuple[Step, ...]:
    steps = []
    for target in targets[:1]:
        request = next(requests(subject, run, target, subject.items), None)
        if request:
            outcome = subject.authorizer.decide(request).outcome
            steps.append(Step(request, outcome, f"{request.action} on {request.resource}"))
    return tuple(steps)


def _keys_in_the_way(subject: Subject, run: Action, missing: list[Target]) -> list[str]:
    """Return the keys for lack of which a statement does not match the *missing* types."""
    found = [
        condition.key
        for item in subject.allows
        if says(item, run)
        for condition in item.statement.conditions
        if holds_without_key(condition) is False
        and any(item.reaches(each) and not each.keys.has(condition.key) for each in missing)
    ]
    return list(dict.fromkeys(found))


def _run_element(item: Item) -> int | None:
    """Return which element of Action is meant to name RunInstances, if one is."""
    for element in item.named:
        prefix, _, name = element.text.lower().partition(":")
        if prefix == "ec2" and name.startswith("run") and element.actions:
            return element.index
    return None


def _possible(subject: Subject, run: Action, target: Target) -> bool:
    return any(
        says(item, run) and item.reaches(target) and _can_hold(item, target)
        for item in subject.allows
    )


def _can_hold(item: Item, target: Target) -> bool:
    """Say whether a request on *target* can meet the conditions of *item*, keys considered."""
    return all(
        holds_without_key(condition) or target.keys.has(condition.key)
        for condition in item.statement.conditions
        if parse_operator(condition.operator)
    ) and all(parse_operator(each.operator) for each in item.statement.conditions)


def _certainly_denied(subject: Subject, run: Action, target: Target) -> bool:
    return any(_always_matches(item, run, target) for item in subject.denies)


def _always_matches(item: Item, run: Action, target: Target) -> bool:
    """Say whether *item* matches every request for *run* on *target*."""
    if not says(item, run) or not _names_all(item, target):
        return False
    return all(
        holds_without_key(condition) and not target.keys.has(condition.key)
        for condition in item.statement.conditions
    )


def _names_all(item: Item, target: Target) -> bool:
    if item.statement.not_resource is not None:
        excluded = [
            arn_pattern(text, variables=item.variables) for text in item.statement.not_resource
        ]
        return all(
            each is not None and not any(overlap(each, arn) for arn in target.arns)
            for each in excluded
        )
    if any("${" in text for text in item.statement.resource or ()):
        return False
    return any(all(covers(each, arn) for arn in target.arns) for _, each in item.resources)


def health_locked_out(subject: Subject) -> Iterator[Found]:
    """Yield region restrictions that also keep the health check from DescribeRegions.

    The manager's `health()` asks for the regions in whatever region its client was made for.
    """
    if subject.kind != "identity":
        return
    describe = _action("DescribeRegions")
    restricted = [item for item in subject.allows if _operates(item) and _region_place(item)]
    if not restricted or describe is None:
        return
    named = {
        value
        for item in restricted
        for condition in item.statement.conditions
        if is_region(condition.key)
        for value in condition.values
    }
    outside = next(
        region
        for region in ("eu-central-1", "ap-southeast-2", "sa-east-1", "xx-none-1")
        if region not in named
    )
    there = base_context(subject, describe, outside)
    about = concerning(subject, describe)
    asked = list(requests(subject, describe, describe.targets[0], about, fixed=there))
    if not any(subject.authorizer.decide(request).allowed for request in asked):
        item, request = restricted[0], asked[0]
        decision = subject.authorizer.decide(request)
        yield Found(
            "the health check is locked out: ec2:DescribeRegions is not allowed in every region, "
            "and the check may run in any",
            _region_place(item),
            'allow ec2:DescribeRegions on `"Resource": "*"` without a condition',
            item.label,
            (Step(request, decision.outcome, f"ec2:DescribeRegions in {outside}"),),
        )


def _operates(item: Item) -> bool:
    return any(f"ec2:{name}" in item.actions for name in _OPERATIONS)


_OPERATIONS: Final = ("RunInstances", "StartInstances", "StopInstances", "TerminateInstances")


def _region_place(item: Item) -> Place | None:
    return next(
        (
            item.condition_place(condition) or item.place()
            for condition in item.statement.conditions
            if is_region(condition.key)
        ),
        None,
    )


def _action(name: str) -> Action | None:
    ec2 = facts.service("ec2")
    return ec2.action(name) if ec2 else None
