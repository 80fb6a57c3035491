"""Advice on permissions that are probably wider than intended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cml_iam.catalogue import load_catalogue
from cml_iam.facts import arn_pattern, covers
from cml_iam.lint._finding import Found, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.errors import Place
    from cml_iam.facts import Action, ArnPattern
    from cml_iam.lint._subject import Item, Subject

TO_SERVICES: Final = "iam:PassRole"
LINKED: Final = "iam:CreateServiceLinkedRole"
ALL_ROLES: Final = ("arn", "*", "iam", "", "*", "role/*")
LINKED_ROLES: Final = ("arn", "*", "iam", "", "*", "role/aws-service-role/*")


def unrestricted_write(subject: Subject) -> Iterator[Found]:
    """Yield write actions allowed on every resource without a condition."""
    for item in subject.allows:
        if item.statement.conditions or "*" not in (item.written.resource or ()):
            continue
        names = [
            action.full
            for action in item.actions.values()
            if action.writes and not action.takes_no_resource and not _denied(subject, action)
        ]
        if names:
            yield item.found(
                f"{listed(names)} {'are' if len(names) > 1 else 'is'} allowed on every resource, "
                "without a condition",
                item.place(),
                f"name the resources, or restrict it by tag, region or type{_rendered(names)}",
            )


def _rendered(names: list[str]) -> str:
    """Return the command that restricts *names*, if these are the manager's own actions."""
    return " (`cml-iam policy render`)" if {*names} <= {*load_catalogue().actions} else ""


def everything(subject: Subject) -> Iterator[Found]:
    """Yield Allows of all actions, or of all actions not listed."""
    if _capped(subject):
        return
    for item in subject.allows:
        if item.statement.conditions or not _everywhere(item):
            continue
        but_some = "" if item.written.not_resource is None else " but those listed"
        if item.statement.not_action is not None:
            yield item.found(
                "every action except those listed is allowed, including actions that AWS adds later"
                + _for_services(item),
                item.place("NotAction"),
                "list the actions that are needed in `Action`; or make it a Deny",
            )
        elif item.everything:
            yield item.found(
                f"every action on every resource{but_some} is allowed",
                item.place("Action"),
                "list the actions that are needed",
            )


def service_wide(subject: Subject) -> Iterator[Found]:
    """Yield Allows of all actions of a service."""
    if _capped(subject):
        return
    for item in subject.allows:
        for element in item.named:
            if element.actions and not element.text.partition(":")[2].strip("*"):
                service = element.actions[0].service
                yield item.found(
                    f"every action of `{service}` is allowed, including actions that AWS adds "
                    "later",
                    item.place("Action", element.index),
                    "list the actions that are needed",
                )


def _denied(subject: Subject, action: Action) -> bool:
    """Return whether another statement's Deny may restrict *action*."""
    return any(not item.allows for item in subject.concerning(action))


def _capped(subject: Subject) -> bool:
    """Return whether a Deny refuses every action that it does not list."""
    return any(
        item.statement.not_action is not None
        and _everywhere(item)
        and not item.statement.conditions
        for item in subject.denies
    )


def _everywhere(item: Item) -> bool:
    return item.written.not_resource is not None or "*" in (item.written.resource or ())


def _for_services(item: Item) -> str:
    """Name the allowed actions, despite NotAction, that give permissions to services."""
    left = [name for name in (TO_SERVICES, LINKED) if item.compiled.matches_action(name)]
    return f"; {listed(left)} {'are' if len(left) > 1 else 'is'} among them" if left else ""


def pass_any_role(subject: Subject) -> Iterator[Found]:
    """Yield iam:PassRole on every role: whoever can launch then has the permissions of any role."""
    for item, roles, place in _on_every_role(subject, TO_SERVICES, ALL_ROLES):
        yield item.found(
            f"{roles} may be passed to a service: with RunInstances, this grants the permissions "
            "of any role that EC2 may assume",
            place,
            "name the role that is needed",
        )


def linked_roles(subject: Subject) -> Iterator[Found]:
    """Yield iam:CreateServiceLinkedRole for all services."""
    for item, roles, place in _on_every_role(subject, LINKED, LINKED_ROLES):
        if any(condition.condition.key.lower() == "iam:awsservicename" for condition in item.asked):
            continue
        yield item.found(
            f"a service-linked role may be created for any service: {roles} is allowed",
            place,
            "name the services: `iam:AWSServiceName` with `StringEquals`, or the ARN of the role",
        )


def _on_every_role(
    subject: Subject, action: str, roles: ArnPattern
) -> Iterator[tuple[Item, str, Place | None]]:
    """Yield Allows of *action* on all *roles* of an account, with their name and the place."""
    for item in subject.allows:
        if action not in item.actions:
            continue
        for index, text in enumerate(item.written.resource or ()):
            if _all(roles, text, item):
                yield item, "every role", item.place("Resource", index)
        excepted = item.written.not_resource
        if excepted is not None and not any(_all(roles, text, item) for text in excepted):
            yield item, "every role but those listed", item.place("NotResource")


def _all(roles: ArnPattern, text: str, item: Item) -> bool:
    """Return whether *text* matches all *roles* of an account, whichever account that is."""
    pattern = arn_pattern(text, variables=item.variables)
    if pattern is None or "${" in text:
        return False
    return covers((pattern[0], "*", *pattern[2:4], "*", pattern[5]), roles)
