"""Privilege escalation, and advice on permissions that are probably wider than intended.

An escalation is a combination of actions that gains permissions. The table is
`policies/escalations.toml`: the gain, AWS's page, and the calls needed. If a call needs a resource,
the engine decides it on one that the caller has no reason to use; other calls may be on any
resource that the documents allow.
https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final, NamedTuple

from cml_iam import facts
from cml_iam.catalogue import load_catalogue
from cml_iam.engine import Request
from cml_iam.facts import Action, ArnPattern
from cml_iam.files import shipped_text
from cml_iam.lint._ask import allowed, request_of, sent
from cml_iam.lint._finding import Fault, are, listed
from cml_iam.lint._subject import Item, Subject
from cml_iam.policy import Path
from cml_iam.prove import Shape

PARTITION: Final = "aws"
GLOBAL: Final = frozenset({"iam", "sts"})
SHOWN: Final = 5

OF_RESOURCE: Final = (facts.RESOURCE_TAG, "iam:resourcetag/", "iam:permissionsboundary")
"""Prefixes of keys that describe the resource; the resource of an escalation has none of them."""


class EscalationStep(NamedTuple):
    """One request of an escalation; *service* is the service to which a role is passed."""

    action: str
    resource: str | None = None
    service: str | None = None


@dataclass(frozen=True)
class Escalation:
    """The gain from a sequence of allowed requests, with AWS's page; *gives* is its name."""

    gains: str
    page: str
    steps: tuple[EscalationStep, ...]
    gives: str = ""


@cache
def _texts() -> tuple[tuple[frozenset[str], str], ...]:
    """Return the text of each way in the table, with the services that its steps are sent to.

    Parsing all of them takes as long as judging a policy, and most policies need only a few.
    """
    _, *ways = shipped_text("policies", "escalations.toml").split("[[way]]")
    return tuple((frozenset(re.findall(r'"([a-z0-9-]+):[A-Z]', way)), way) for way in ways)


@cache
def _escalation(text: str) -> Escalation:
    import tomllib

    way = tomllib.loads(text)
    steps = tuple(map(_step, way["steps"]))
    return Escalation(way["gains"], way["page"], steps, way.get("gives", ""))


def escalations(services: frozenset[str] = frozenset()) -> tuple[Escalation, ...]:
    """Return the table, or the ways that need no other *services* than those given."""
    ways = (text for named, text in _texts() if not services or named <= services)
    return tuple(map(_escalation, ways))


def _step(text: str) -> EscalationStep:
    """Parse `ACTION [on RESOURCE] [to SERVICE]`."""
    action, *rest = text.split()
    named = dict(zip(rest[::2], rest[1::2], strict=True))
    return EscalationStep(action, named.get("on"), named.get("to"))


def escalates(subject: Subject) -> Iterator[Fault]:
    if any(item.unlisted and not item.statement.conditions for item in subject.allows):
        return  # everything is allowed, as another rule reports
    by_item: dict[Item, list[tuple[Escalation, list[Request]]]] = {}
    for escalation in escalations(_services(subject)) if subject.allows else ():
        first = (item for item in _about(subject, escalation.steps[0].action) if item.allows)
        if all(len(by_item.get(item, ())) > SHOWN for item in first):
            continue  # nothing begins it, or what does has ways enough to show
        way = _way(subject, escalation)
        item = subject.granting(way[0]) if way else None
        if way and item:
            by_item.setdefault(item, []).append((escalation, way))
    for item, ways in by_item.items():
        escalation, way = ways[0]
        gains = "; ".join(shown.gains for shown, _ in ways[:SHOWN])
        ending = "; and more" if len(ways) > SHOWN else ""
        actions = list(dict.fromkeys(request.action for request in way))
        steps = (subject.step(call, f"{call.action} on {call.resource}") for call in way)
        yield item.fault(
            f"{listed(actions)} can lead to other permissions: {gains}{ending}",
            "name the users, groups, roles and policies it is for, and set a permissions boundary "
            f"(see {escalation.page})",
            witness=tuple(steps),
        )


def _services(subject: Subject) -> frozenset[str]:
    if any(item.unlisted for item in subject.allows):
        return frozenset()
    texts = (text for item in subject.allows for text in item.statement.action or ())
    return frozenset(text.partition(":")[0].lower() for text in texts)


def _way(subject: Subject, escalation: Escalation) -> list[Request] | None:
    about = [_about(subject, step.action) for step in escalation.steps]
    if not all(about):
        return None
    way = []
    for step, items in zip(escalation.steps, about, strict=True):
        shape = _shape(subject, step, items)
        request = sent(shape)
        if request is None or not subject.authorizer.decide(request).allowed:
            request = request_of(allowed(items, shape))
        if request is None:
            return None
        way.append(request)
    return way


def _about(subject: Subject, full: str) -> tuple[Item, ...]:
    """Return the statements about the action *full*; empty if obviously none allows it."""
    action = _action(full)
    items = subject.concerning(action) if action else ()
    refused = any(
        not item.allows and item.everywhere and not item.statement.conditions for item in items
    )
    reached = any(item.allows and item.targets(action) for item in items if action)
    return items if reached and not refused else ()


@cache
def _action(full: str) -> Action | None:
    name, _, operation = full.partition(":")
    owner = facts.service(name)
    return owner.action(operation) if owner else None


def _shape(subject: Subject, step: EscalationStep, items: tuple[Item, ...]) -> Shape:
    """Return the requests for a step, with the most dangerous keys, but no tags or boundary."""
    account, partition = subject.account or facts.EXAMPLE_ACCOUNT, subject.partition or PARTITION
    values = {
        "aws:principalaccount": account,
        "aws:principalarn": f"arn:{partition}:iam::{account}:user/example",
        "aws:principaltype": "User",
        "aws:username": "example",
        "iam:policyarn": f"arn:{partition}:iam::aws:policy/AdministratorAccess",
    }
    if step.service:
        values["iam:passedtoservice"] = step.service
    tested = {facts.same_key(c.key): c.key for item in items for c in item.statement.conditions}
    tested = {key: key for item in items for key in item.named_in_variables} | tested
    conditions = {"StringEquals": {key: values[n] for n, key in tested.items() if n in values}}
    arn = "*"
    if step.resource is not None:
        conditions["Null"] = {k: "true" for n, k in tested.items() if n.startswith(OF_RESOURCE)}
        name = step.action.partition(":")[0]
        region, prefix = ("", "iam") if name in GLOBAL else (facts.first_region(PARTITION), name)
        arn = f"arn:{partition}:{prefix}:{region}:{account}:{step.resource}"
    blocks = {operator: block for operator, block in conditions.items() if block}
    return Shape((step.action,), (arn,), blocks)


TO_SERVICES: Final = "iam:PassRole"
LINKED: Final = "iam:CreateServiceLinkedRole"
ALL_ROLES: Final = ("arn", "*", "iam", "", "*", "role/*")
LINKED_ROLES: Final = ("arn", "*", "iam", "", "*", "role/aws-service-role/*")


def unrestricted_write(item: Item) -> Iterator[Fault]:
    if not item.allows or item.statement.conditions or "*" not in item.elements["Resource"]:
        return
    names = [
        action.full
        for action in item.actions.values()
        if action.writes
        and not action.takes_no_resource
        and all(other.allows for other in item.subject.concerning(action))
    ]
    if names:
        managed = {*names} <= {*load_catalogue().actions}
        yield item.fault(
            f"{listed(names)} {are(names)} allowed on every resource, without a condition",
            "name the resources, or restrict it by tag, region or type"
            + (" (`cml-iam policy render`)" if managed else ""),
        )


def everything(subject: Subject) -> Iterator[Fault]:
    for item in () if _capped(subject) else subject.allows:
        if item.statement.conditions or not _on_most(item):
            continue
        if item.statement.not_action is not None:
            left = [name for name in (TO_SERVICES, LINKED) if item.compiled.matches_action(name)]
            among = f"; {listed(left)} {are(left)} among them" if left else ""
            yield item.fault(
                "every action except those listed is allowed, including actions that AWS adds "
                f"later{among}",
                "list the actions that are needed in `Action`; or make it a Deny",
                ("NotAction",),
            )
        elif item.everything:
            but_some = "" if item.written.not_resource is None else " but those listed"
            yield item.fault(
                f"every action on every resource{but_some} is allowed",
                "list the actions that are needed",
                ("Action",),
            )


def service_wide(subject: Subject) -> Iterator[Fault]:
    for item in () if _capped(subject) else subject.allows:
        for element in item.named:
            if element.actions and not element.text.partition(":")[2].strip("*"):
                yield item.fault(
                    f"every action of `{element.actions[0].service}` is allowed, including "
                    "actions that AWS adds later",
                    "list the actions that are needed",
                    ("Action", element.index),
                )


def _capped(subject: Subject) -> bool:
    """Return whether a Deny refuses every action that it does not list."""
    return any(
        item.statement.not_action is not None and _on_most(item) and not item.statement.conditions
        for item in subject.denies
    )


def _on_most(item: Item) -> bool:
    return item.written.not_resource is not None or "*" in item.elements["Resource"]


def pass_any_role(item: Item) -> Iterator[Fault]:
    for roles, at in _on_every_role(item, TO_SERVICES, ALL_ROLES):
        yield item.fault(
            f"{roles} may be passed to a service: with RunInstances, this grants the permissions "
            "of any role that EC2 may assume",
            "name the role that is needed",
            at,
        )


def linked_roles(item: Item) -> Iterator[Fault]:
    named = any(clause.name == "iam:awsservicename" for clause in item.clauses)
    for roles, at in () if named else _on_every_role(item, LINKED, LINKED_ROLES):
        yield item.fault(
            f"a service-linked role may be created for any service: {roles} is allowed",
            "name the services: `iam:AWSServiceName` with `StringEquals`, or the ARN of the role",
            at,
        )


def _on_every_role(item: Item, action: str, roles: ArnPattern) -> Iterator[tuple[str, Path]]:
    """Yield where an Allow of *action* names all *roles* of an account, and how to call them."""
    if not item.allows or action not in item.actions:
        return
    for text, at in item.texts("Resource"):
        if _all(roles, text, item):
            yield "every role", at
    excepted = item.written.not_resource
    if excepted is not None and not any(_all(roles, text, item) for text in excepted):
        yield "every role but those listed", ("NotResource",)


def _all(roles: ArnPattern, text: str, item: Item) -> bool:
    """Return whether *text* matches all *roles* of an account, whichever account that is."""
    pattern = facts.arn_pattern(text, variables=item.variables)
    if pattern is None or "${" in text:
        return False
    return facts.covers((pattern[0], "*", *pattern[2:4], "*", pattern[5]), roles)
