"""RunInstances: authorized on every resource of the launch, each with its own condition keys.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/iam-policy-structure.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cml_iam.catalogue import load_catalogue
from cml_iam.facts import EXAMPLE_REGIONS, REQUEST_TAG, TAG_KEYS, is_region, never_with
from cml_iam.lint._ask import allowed, can_be, owing, sent
from cml_iam.lint._corrections import further_statement, spelled_tag
from cml_iam.lint._finding import Found, Step, listed
from cml_iam.lint._subject import demands_text, ec2_action, lifecycle
from cml_iam.lint._tags import besides, forbids_text, other_case
from cml_iam.prove import Shape, where

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cml_iam.engine import Request
    from cml_iam.errors import Place
    from cml_iam.facts import Action, Target
    from cml_iam.lint._edits import Correction
    from cml_iam.lint._subject import Item, Subject
    from cml_iam.space import KeyCondition

EBS_ROOT: Final = "volume"
"""Optional in the reference because of instance store, but a launch from an EBS image needs it."""


def cannot_launch(subject: Subject) -> Iterator[Found]:
    """Yield RunInstances allowed on some resources of a launch but not on all."""
    granting = [item for item in subject.allows if _run_element(item) is not None]
    if not granting:
        return
    run = ec2_action("RunInstances")
    about = subject.concerning(run)
    needed = [target for target in run.targets if target.required or target.type == EBS_ROOT]
    refused = [each for each in needed if _is_refused(subject, about, run, each)]
    allowing = [each for each in about if each.allows]
    missing = [each for each in refused if _is_refused(subject, allowing, run, each)]
    denied = [each for each in refused if each not in missing]
    if denied:
        yield _denied_launch(subject, run, denied)
    elif missing:
        yield _incomplete_launch(subject, run, granting[0], missing)


def _is_refused(subject: Subject, items: Iterable[Item], run: Action, target: Target) -> bool:
    """Return whether *items* of *subject* provably never allow *run* on *target*."""
    about = [item for item in items if item.reaches(target)]
    return not can_be(subject.authorizer, about, run.full, _arns(target))


def _arns(target: Target) -> tuple[str, ...]:
    return tuple(":".join(arn) for arn in target.arns)


def _incomplete_launch(subject: Subject, run: Action, item: Item, missing: list[Target]) -> Found:
    keys = _keys_in_the_way(subject, run, missing)
    why = ""
    if keys:
        needed = {
            target.type for target in run.targets if target.required or target.type == EBS_ROOT
        }
        having = {t.type for k in keys for t in run.targets if not never_with(k, run.full, t.keys)}
        of = sorted(needed & having)
        where = f"exists on {listed(of)} only" if of else "exists on none of them"
        why = f" ({listed(keys)} {where}, so the condition refuses everything else)"
    return item.found(
        "no instance can be launched: RunInstances is allowed, but not on "
        f"{listed([each.type for each in missing], most=6)}{why}, and a launch needs all of them",
        item.place("Action", _run_element(item) or 0),
        "add a statement that allows ec2:RunInstances on these resource types, without keys they "
        "do not have",
        _refusals(subject, run, missing),
        _completed_launch(subject, item, missing),
    )


def _completed_launch(subject: Subject, item: Item, missing: list[Target]) -> Correction | None:
    """Allow the rest of the launch, but do not guess which instances may be launched."""
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


def _denied_launch(subject: Subject, run: Action, denied: list[Target]) -> Found:
    about = subject.concerning(run)
    allowing = [each for each in about if each.allows]
    denies = [each for each in about if not each.allows]
    alone = (e for e in denies if any(_is_refused(subject, [*allowing, e], run, t) for t in denied))
    item = next(alone, denies[0])
    return item.found(
        "no instance can be launched: this statement refuses RunInstances on every "
        f"{listed([target.type for target in denied], most=6)}, which a launch needs",
        item.place(),
        "name the intended resources: a negated condition also holds if its key is absent",
        _refusals(subject, run, denied),
    )


def _refusals(subject: Subject, run: Action, targets: list[Target]) -> tuple[Step, ...]:
    request = sent(Shape((run.full,), _arns(targets[0])))
    return (subject.step(request, f"{run.full} on {request.resource}"),) if request else ()


def _keys_in_the_way(subject: Subject, run: Action, missing: list[Target]) -> list[str]:
    """Return the condition keys that prevent a statement from matching the *missing* types."""
    found = [
        asked.condition.key
        for item in subject.concerning(run)
        for asked in item.asked
        if item.allows and asked.operator.known and not asked.test({})
        for target in missing
        if item.reaches(target) and never_with(asked.condition.key, run.full, target.keys)
    ]
    return list(dict.fromkeys(found))


def _run_element(item: Item) -> int | None:
    """Return the element of Action that names RunInstances, if any."""
    for element in item.named:
        prefix, _, name = element.text.lower().partition(":")
        if prefix == "ec2" and name.startswith("run") and element.actions:
            return element.index
    return None


def health_locked_out(subject: Subject) -> Iterator[Found]:
    """Yield region restrictions that also refuse DescribeRegions to the health check.

    The manager's `health()` calls DescribeRegions in the region of its client. A policy is
    considered a manager's if it allows starting, stopping and terminating instances.
    """
    restricted = [item for item in subject.allows if _region_place(item)]
    if not restricted:
        return
    changing = {permission.action for permission in load_catalogue().changing}
    if not all(any(action.full in e.actions for e in subject.allows) for action in lifecycle()):
        return
    restricted = [item for item in restricted if changing & item.actions.keys()]
    if not restricted:
        return
    named = {
        value
        for item in restricted
        for condition in item.statement.conditions
        if is_region(condition.key)
        for value in condition.values
    }
    regions = (*EXAMPLE_REGIONS["aws"][1:], "xx-none-1")
    outside = next(region for region in regions if region not in named)
    describe = ec2_action("DescribeRegions")
    asked = Shape((describe.full,), ("*",), {"StringEquals": {"aws:RequestedRegion": outside}})
    locked_out = allowed(subject.concerning(describe), asked).holds
    request = sent(asked) if locked_out else None
    if request:
        item = restricted[0]
        yield item.found(
            "the health check can fail: it may call ec2:DescribeRegions in any region, but the "
            "call is not allowed in every region",
            _region_place(item),
            'allow ec2:DescribeRegions on `"Resource": "*"` without a condition',
            (subject.step(request, f"ec2:DescribeRegions in {outside}"),),
        )


def _region_place(item: Item) -> Place | None:
    return next(
        (
            item.condition_place(condition) or item.place()
            for condition in item.statement.conditions
            if is_region(condition.key)
        ),
        None,
    )


def launched_by_case(subject: Subject) -> Iterator[Found]:
    """Yield tags required at launch that a launch may spell in a different case.

    Condition keys ignore the case of a tag's key, but EC2 does not.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/access_tags.html
    """
    run = ec2_action("RunInstances")
    about = subject.concerning(run)
    for item in about:
        for asked in item.asked:
            if not asked.condition.key.lower().startswith(REQUEST_TAG):
                continue
            demands = demands_text(asked) if item.allows else forbids_text(asked)
            launch = _in_other_case(about, item, asked, run) if demands else None
            if launch and not subject.authorizer.decide(_untagged(launch)).allowed:
                yield _launched(subject, item, asked, launch)


def _in_other_case(
    about: tuple[Item, ...], item: Item, asked: KeyCondition, run: Action
) -> Request | None:
    """Return an allowed launch, affected by *item*, with the tag in a different case."""
    key = asked.condition.key
    values = tuple(value for value in asked.condition.values if "${" not in value)
    having = [t for t in item.targets(run) if not never_with(key, run.full, t.keys)]
    arns = tuple(dict.fromkeys(":".join(arn) for target in having for arn in target.arns))
    if not values or not arns:
        return None
    sent_tag = {"StringLike" if "like" in asked.operator.base else "StringEquals": {key: values}}
    twin = {"ForAllValues:StringEquals": {"aws:TagKeys": [other_case(key.partition("/")[2])]}}
    shape = where(Shape((run.full,), arns), sent_tag, twin, *besides(item, asked))
    return owing([each for each in about if any(map(each.reaches, having))], item, shape)


def _untagged(request: Request) -> Request:
    kept = {
        key: value
        for key, value in request.context.items()
        if not key.lower().startswith((REQUEST_TAG, TAG_KEYS))
    }
    return request._replace(context=kept)


def _launched(subject: Subject, item: Item, asked: KeyCondition, launch: Request) -> Found:
    key = asked.condition.key
    tag = key.partition("/")[2]
    twin, value = other_case(tag), {k.lower(): v for k, v in launch.context.items()}[key.lower()]
    return item.found(
        f"the tag required at launch can be spelled `{twin}`: condition keys ignore case but EC2 "
        f"does not, so a search for `{tag}` misses the instance",
        item.condition_place(asked.condition),
        f"also require the spelling: `ForAnyValue:StringEquals` on `aws:TagKeys` with `{tag}`",
        (
            subject.step(
                _untagged(launch), f"{launch.action} on {launch.resource}, without the tag"
            ),
            subject.step(launch, f"{launch.action} on it, with the tag {twin}={value}"),
        ),
        spelled_tag(item, tag),
    )
