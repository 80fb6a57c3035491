"""Rights that let their holder take any other: combinations of actions of IAM and of services.

The table is `escalations.json`: what is gained, AWS's page, and the requests it takes. A step with
a `resource` is asked about one that the caller has no business with; the others about whatever the
documents leave room for.
https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cml_iam import facts
from cml_iam.facts import same_key
from cml_iam.lint._effect import listed
from cml_iam.lint._finding import Found, Step
from cml_iam.lint._proved import WHO, allowed_somehow
from cml_iam.lint._sample import (
    ACCOUNT,
    PARTITION,
    base_context_of,
    concerning,
    granting,
    requests,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.engine import Request
    from cml_iam.facts import Action
    from cml_iam.lint._subject import Item, Subject

REGION: Final = "us-east-1"
GLOBAL: Final = frozenset({"iam", "sts"})
SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Wanted:
    """One request of an escalation; *service* is the one a role is passed to."""

    action: str
    resource: str | None = None
    service: str | None = None


@dataclass(frozen=True, slots=True)
class Escalation:
    """What is gained by allowed requests, and AWS's page on it."""

    gains: str
    page: str
    steps: tuple[Wanted, ...]


@cache
def escalations() -> tuple[Escalation, ...]:
    """Return the table."""
    text = Path(__file__).with_name("escalations.json").read_text("utf-8")
    return tuple(
        Escalation(row["gains"], row["page"], tuple(Wanted(**each) for each in row["steps"]))
        for row in json.loads(text)
    )


def escalates(subject: Subject) -> Iterator[Found]:
    """Yield statements that begin an escalation which the documents allow to the end."""
    if subject.kind != "identity":
        return
    found: dict[int, tuple[Item, list[tuple[Escalation, list[Request]]]]] = {}
    for escalation in escalations():
        way = _way(subject, escalation)
        item = granting(subject, way[0]) if way else None
        if way and item and not _says_everything(item):
            found.setdefault(id(item), (item, []))[1].append((escalation, way))
    for item, ways in found.values():
        yield _found(subject, item, ways)


def _says_everything(item: Item) -> bool:
    """Say whether another rule says already that all is allowed."""
    everything = item.everything or item.statement.not_action is not None
    return everything and not item.statement.conditions


def _way(subject: Subject, escalation: Escalation) -> list[Request] | None:
    """Return one allowed request for each step, or None."""
    if not all(_said(subject, wanted.action) for wanted in escalation.steps):
        return None
    way = []
    for wanted in escalation.steps:
        asked = _asked(subject, wanted)
        request = next((r for r in asked if subject.authorizer.decide(r).allowed), None)
        request = request or _somehow(subject, wanted)
        if request is None:
            return None
        way.append(request)
    return way


def _said(subject: Subject, full: str) -> bool:
    """Say whether a statement allows the action *full* of something."""
    action = _action(full)
    return action is not None and any(item.allows for item in concerning(subject, action))


def _action(full: str) -> Action | None:
    name, _, operation = full.partition(":")
    owner = facts.service(name)
    return owner.action(operation) if owner else None


def _somehow(subject: Subject, wanted: Wanted) -> Request | None:
    """Return an allowed request that only a proof finds, for a step that names its resource."""
    if wanted.resource is None:
        return None
    asked = next(_asked(subject, wanted))
    who = {k: v for k, v in asked.context.items() if same_key(k).startswith(WHO)}
    return allowed_somehow(subject, wanted.action, asked.resource, who | _keys(subject, wanted))


def _asked(subject: Subject, wanted: Wanted) -> Iterator[Request]:
    from cml_iam.engine import Request

    name = wanted.action.partition(":")[0]
    if wanted.resource is not None:
        region = "" if name in GLOBAL else REGION
        account, partition = subject.account or ACCOUNT, subject.partition or PARTITION
        prefix = "iam" if name in GLOBAL else name
        arn = f"arn:{partition}:{prefix}:{region}:{account}:{wanted.resource}"
        context = base_context_of(subject, name, REGION) | _keys(subject, wanted)
        yield Request(wanted.action, arn, None, context)
        return
    action = _action(wanted.action)
    if action is None:
        return
    for target in sorted(action.targets, key=lambda each: (each.type != "instance", each.type)):
        if target.required:
            yield from requests(subject, action, target, concerning(subject, action))


def _keys(subject: Subject, wanted: Wanted) -> dict[str, Any]:
    """Return the condition keys of the worst such request."""
    partition = subject.partition or PARTITION
    keys = {"iam:PolicyARN": f"arn:{partition}:iam::aws:policy/AdministratorAccess"}
    return keys | ({"iam:PassedToService": wanted.service} if wanted.service else {})


def _found(subject: Subject, item: Item, ways: list[tuple[Escalation, list[Request]]]) -> Found:
    gains = [each.gains for each, _ in ways]
    more = f" and {len(gains) - SHOWN} more ways" if len(gains) > SHOWN else ""
    escalation, way = ways[0]
    actions = list(dict.fromkeys(each.action for each in way))
    return Found(
        f"{listed(actions)} can take any right there is: {'; '.join(gains[:SHOWN])}{more}",
        item.place(),
        "name the users, groups, roles and policies it is for, and set a permissions boundary "
        f"(see {escalation.page})",
        item.label,
        tuple(
            Step(each, subject.authorizer.decide(each).outcome, f"{each.action} on {each.resource}")
            for each in way
        ),
    )
