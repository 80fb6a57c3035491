"""Advice on permissions that are probably wider than intended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cml_iam.catalogue import load_catalogue
from cml_iam.facts import arn_pattern, covers
from cml_iam.lint._finding import are, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.facts import ArnPattern
    from cml_iam.lint._finding import Found
    from cml_iam.lint._subject import Item, Subject
    from cml_iam.policy import Path

TO_SERVICES: Final = "iam:PassRole"
LINKED: Final = "iam:CreateServiceLinkedRole"
ALL_ROLES: Final = ("arn", "*", "iam", "", "*", "role/*")
LINKED_ROLES: Final = ("arn", "*", "iam", "", "*", "role/aws-service-role/*")


def unrestricted_write(item: Item) -> Iterator[Found]:
    """Yield write actions allowed on every resource without a condition; a Deny may restrict."""
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
        yield item.found(
            f"{listed(names)} {are(names)} allowed on every resource, without a condition",
            "name the resources, or restrict it by tag, region or type"
            + (" (`cml-iam policy render`)" if managed else ""),
        )


def everything(subject: Subject) -> Iterator[Found]:
    """Yield Allows of all actions, or of all actions not listed."""
    for item in () if _capped(subject) else subject.allows:
        if item.statement.conditions or not _on_most(item):
            continue
        if item.statement.not_action is not None:
            left = [name for name in (TO_SERVICES, LINKED) if item.compiled.matches_action(name)]
            among = f"; {listed(left)} {are(left)} among them" if left else ""
            yield item.found(
                "every action except those listed is allowed, including actions that AWS adds "
                f"later{among}",
                "list the actions that are needed in `Action`; or make it a Deny",
                ("NotAction",),
            )
        elif item.everything:
            but_some = "" if item.written.not_resource is None else " but those listed"
            yield item.found(
                f"every action on every resource{but_some} is allowed",
                "list the actions that are needed",
                ("Action",),
            )


def service_wide(subject: Subject) -> Iterator[Found]:
    """Yield Allows of all actions of a service."""
    for item in () if _capped(subject) else subject.allows:
        for element in item.named:
            if element.actions and not element.text.partition(":")[2].strip("*"):
                yield item.found(
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


def pass_any_role(item: Item) -> Iterator[Found]:
    """Yield iam:PassRole on every role: whoever can launch then has the permissions of any role."""
    for roles, at in _on_every_role(item, TO_SERVICES, ALL_ROLES):
        yield item.found(
            f"{roles} may be passed to a service: with RunInstances, this grants the permissions "
            "of any role that EC2 may assume",
            "name the role that is needed",
            at,
        )


def linked_roles(item: Item) -> Iterator[Found]:
    """Yield iam:CreateServiceLinkedRole for all services."""
    named = any(asked.name == "iam:awsservicename" for asked in item.asked)
    for roles, at in () if named else _on_every_role(item, LINKED, LINKED_ROLES):
        yield item.found(
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
    pattern = arn_pattern(text, variables=item.variables)
    if pattern is None or "${" in text:
        return False
    return covers((pattern[0], "*", *pattern[2:4], "*", pattern[5]), roles)
