"""RunInstances: authorized on every resource of the launch, each with its own condition keys.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/iam-policy-structure.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from cml_iam import facts
from cml_iam.catalogue import load_catalogue
from cml_iam.engine import Request
from cml_iam.facts import Action, Target
from cml_iam.lint._ask import allowed, can_be, owing, sent
from cml_iam.lint._corrections import further_statement, spelled_tag
from cml_iam.lint._finding import Correction, Fault, Step, listed
from cml_iam.lint._subject import Clause, Item, Subject
from cml_iam.lint._tags import arns_of, besides, ec2_action, lifecycle, other_case
from cml_iam.prove import Shape, where

RUN: Final = "ec2:RunInstances"
EBS_ROOT: Final = "volume"
"""Optional in the reference because of instance store, but a launch from an EBS image needs it."""


def cannot_launch(subject: Subject) -> Iterator[Fault]:
    runs = (
        (item, element.index)
        for item in subject.allows
        for element in item.named
        if element.actions and element.text.lower().startswith("ec2:run")
    )
    granting, index = next(runs, (None, 0))
    if granting is None:
        return
    run = ec2_action("RunInstances")
    about = subject.concerning(run)
    allowing = [item for item in about if item.allows]
    refused = [target for target in _needed(run) if _is_refused(subject, about, target)]
    missing = [target for target in refused if _is_refused(subject, allowing, target)]
    denied = [target for target in refused if target not in missing]
    if denied:
        denies = [item for item in about if not item.allows]
        alone = (
            item
            for item in denies
            if any(_is_refused(subject, [*allowing, item], target) for target in denied)
        )
        yield next(alone, denies[0]).fault(
            "no instance can be launched: this statement refuses RunInstances on every "
            f"{listed([target.type for target in denied], most=6)}, which a launch needs",
            "name the intended resources: a negated condition also holds if its key is absent",
            witness=_refusals(subject, denied),
        )
    elif missing:
        yield granting.fault(
            "no instance can be launched: RunInstances is allowed, but not on "
            f"{listed([target.type for target in missing], most=6)}{_why(about, missing, run)}, "
            "and a launch needs all of them",
            "add a statement that allows ec2:RunInstances on these resource types, without keys "
            "they do not have",
            ("Action", index),
            _refusals(subject, missing),
            _completed_launch(granting, missing),
        )


def _needed(run: Action) -> list[Target]:
    return [target for target in run.targets if target.required or target.type == EBS_ROOT]


def _is_refused(subject: Subject, items: Iterable[Item], target: Target) -> bool:
    """Return whether *items* of *subject* provably never allow RunInstances on *target*."""
    about = [item for item in items if item.reaches(target)]
    return not can_be(subject.authorizer, about, RUN, arns_of([target]))


def _refusals(subject: Subject, targets: list[Target]) -> tuple[Step, ...]:
    request = sent(Shape((RUN,), arns_of(targets[:1])))
    return (subject.step(request, f"{RUN} on {request.resource}"),) if request else ()


def _why(items: Iterable[Item], missing: list[Target], run: Action) -> str:
    """Name the keys that keep *items* from the *missing* types, and the types that have them."""
    every = (
        clause.key
        for item in items
        for clause in item.clauses
        if item.allows and clause.operator.known and not clause.test({})
        for target in missing
        if item.reaches(target) and facts.never_with(clause.key, RUN, target.keys)
    )
    keys = list(dict.fromkeys(every))
    if not keys:
        return ""
    having = {t.type for k in keys for t in run.targets if not facts.never_with(k, RUN, t.keys)}
    types = sorted({target.type for target in _needed(run)} & having)
    where = f"exists on {listed(types)} only" if types else "exists on none of them"
    return f" ({listed(keys)} {where}, so the condition refuses everything else)"


def _completed_launch(item: Item, missing: list[Target]) -> Correction | None:
    """Allow a launch on *missing* types in the regions of *item*; never guess at instances."""
    if any(target.type == "instance" for target in missing):
        return None
    partition, account = item.subject.partition or "aws", item.subject.account or "*"
    regions: dict[str, dict[str, list[str]]] = {}
    for condition in item.statement.conditions:
        if facts.is_region(condition.key):
            regions.setdefault(condition.operator, {})[condition.key] = list(condition.values)
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Action": RUN,
        "Resource": [
            f"arn:{partition}:ec2:*:{account if pattern[4] else ''}:{pattern[5]}"
            for target in missing
            for pattern in target.arns
        ],
    }
    return further_statement(item, statement | ({"Condition": regions} if regions else {}))


def health_locked_out(subject: Subject) -> Iterator[Fault]:
    """Yield region restrictions that also refuse DescribeRegions to the health check.

    The manager's `health()` calls DescribeRegions in the region of its client. A policy is
    considered a manager's if it allows starting, stopping and terminating instances.
    """
    if not all(any(a.full in item.actions for item in subject.allows) for a in lifecycle()):
        return
    changing = {permission.action for permission in load_catalogue().changing}
    restricted = [
        clause
        for clause in subject.clauses
        if clause.item.allows
        and facts.is_region(clause.key)
        and changing & clause.item.actions.keys()
    ]
    if not restricted:
        return
    named = {value for clause in restricted for value in clause.values}
    regions = (*facts.EXAMPLE_REGIONS["aws"][1:], "xx-none-1")
    outside = next(region for region in regions if region not in named)
    describe = ec2_action("DescribeRegions")
    shape = Shape((describe.full,), ("*",), {"StringEquals": {"aws:RequestedRegion": outside}})
    locked_out = allowed(subject.concerning(describe), shape).holds
    request = sent(shape) if locked_out else None
    if request:
        yield restricted[0].fault(
            "the health check can fail: it may call ec2:DescribeRegions in any region, but the "
            "call is not allowed in every region",
            'allow ec2:DescribeRegions on `"Resource": "*"` without a condition',
            witness=(subject.step(request, f"ec2:DescribeRegions in {outside}"),),
        )


def launched_by_case(clause: Clause) -> Iterator[Fault]:
    """Yield tags required at launch that a launch may spell in a different case.

    Condition keys ignore the case of a tag's key, but EC2 does not.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/access_tags.html
    """
    item, run = clause.item, ec2_action("RunInstances")
    requires = clause.demands if item.allows else clause.forbids
    if not clause.name.startswith(facts.REQUEST_TAG) or not requires or not item.says(run):
        return
    launch = _in_other_case(clause, run)
    untagged = launch and _untagged(launch)
    if launch is None or untagged is None or item.subject.authorizer.decide(untagged).allowed:
        return
    tag = clause.key.partition("/")[2]
    twin = other_case(tag)
    value = {key.lower(): value for key, value in launch.context.items()}[clause.name]
    step = item.subject.step
    yield clause.fault(
        f"the tag required at launch can be spelled `{twin}`: condition keys ignore case but EC2 "
        f"does not, so a search for `{tag}` misses the instance",
        f"also require the spelling: `ForAnyValue:StringEquals` on `aws:TagKeys` with `{tag}`",
        witness=(
            step(untagged, f"{launch.action} on {launch.resource}, without the tag"),
            step(launch, f"{launch.action} on it, with the tag {twin}={value}"),
        ),
        correction=spelled_tag(item, tag),
    )


def _in_other_case(clause: Clause, run: Action) -> Request | None:
    """Return an allowed launch, affected by the statement, with the tag in a different case."""
    key, item = clause.key, clause.item
    values = tuple(value for value in clause.values if "${" not in value)
    having = [t for t in item.targets(run) if not facts.never_with(key, RUN, t.keys)]
    arns = arns_of(having)
    if not values or not arns:
        return None
    sent_tag = {"StringLike" if clause.like else "StringEquals": {key: values}}
    twin = {"ForAllValues:StringEquals": {"aws:TagKeys": [other_case(key.partition("/")[2])]}}
    shape = where(Shape((RUN,), arns), sent_tag, twin, *besides(clause))
    about = [other for other in item.subject.concerning(run) if any(map(other.reaches, having))]
    return owing(about, item, shape)


def _untagged(request: Request) -> Request:
    kept = {
        key: value
        for key, value in request.context.items()
        if not key.lower().startswith((facts.REQUEST_TAG, facts.TAG_KEYS))
    }
    return request._replace(context=kept)
