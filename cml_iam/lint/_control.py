"""Resource control policies: what AWS refuses to store, and whom a Deny affects unintentionally.

https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_rcps_syntax.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cml_iam.facts import published
from cml_iam.lint._finding import Found

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cml_iam.lint._subject import Item, Subject


def control(subject: Subject) -> Iterator[Found]:
    """Yield elements that a customer's resource control policy cannot have."""
    for item in subject.items:
        written = item.written
        if written.effect != "Deny":
            yield item.found(
                "a resource control policy of your own can have only `Deny` statements: AWS's "
                "`RCPFullAWSAccess` allows",
                item.place("Effect"),
                "make it a Deny of what must be forbidden",
            )
        if not _is_everybody(item):
            element = "NotPrincipal" if written.principal is None else "Principal"
            yield item.found(
                "a resource control policy applies to everybody: "
                '`"Principal": "*"` and nothing else',
                item.place(element),
                "exempt callers with a condition, for example on `aws:PrincipalArn`",
            )
        if written.not_action is not None:
            yield item.found(
                "a resource control policy has no `NotAction`",
                item.place("NotAction"),
                "list the actions in `Action`",
            )
        for index, text in enumerate(written.action or ()):
            prefix, colon, _ = text.lower().partition(":")
            if not colon or prefix not in published("control"):
                what = f"`{prefix}`" if colon else "every service"
                yield item.found(
                    f"`{text}`: AWS's list of services that support resource control policies does "
                    f"not include {what}",
                    item.place("Action", index),
                    "name the actions with the prefixes of services that support such policies, "
                    "such as `s3:*`",
                )


def _is_everybody(item: Item) -> bool:
    principals = item.written.principal
    return principals is not None and (principals.everyone or principals.ids == (("AWS", ("*",)),))


_OF_PRINCIPALS: Final = ("aws:principal", "aws:userid", "aws:username")
_OF_SOURCES: Final = ("aws:sourceaccount", "aws:sourcearn", "aws:sourceorgid", "aws:sourceorgpaths")
_IS_SERVICE: Final = "aws:principalisawsservice"


def hit_by_control(subject: Subject) -> Iterator[Found]:
    """Yield Denies of strangers that also refuse AWS's services or your own principals.

    The conditions on the caller are tested with one call of each kind.
    """
    for item in subject.denies:
        keys = [asked.condition.key.lower() for asked in item.asked]
        about = next((key for key in keys if _is_of(key, _OF_PRINCIPALS)), None)
        source = next((key for key in keys if key in _OF_SOURCES), None)
        for key, context, whom, remedy in (
            (about, {_IS_SERVICE: "true"}, *_SERVICES),
            (source, {_IS_SERVICE: "false"}, *_OWN),
            (source, {_IS_SERVICE: "true"}, *_SOURCELESS),
        ):
            if key and _refuses(item, context):
                condition = item.written.conditions[keys.index(key)]
                yield item.found(
                    f"the condition on `{condition.key}` also refuses {whom}",
                    item.condition_place(condition),
                    remedy,
                )


_SERVICES: Final = (
    "AWS services that act for your organization, because their calls belong to no principal",
    'add `"BoolIfExists": {"aws:PrincipalIsAWSService": "false"}` to the condition',
)
_OWN: Final = (
    "your own users and roles, because only calls of services have that key",
    'add `"Bool": {"aws:PrincipalIsAWSService": "true"}` to the condition',
)
_SOURCELESS: Final = (
    "services that act without naming a source",
    'add `"Null": {"aws:SourceAccount": "false"}` to the condition',
)


def _is_of(key: str, beginnings: tuple[str, ...]) -> bool:
    return key.startswith(beginnings) and key != _IS_SERVICE


def _refuses(item: Item, context: Mapping[str, Any]) -> bool:
    """Return whether the conditions on the caller let the Deny apply to a call with *context*."""
    return all(
        asked.test(context)
        for asked in item.asked
        if asked.condition.key.lower().startswith(("aws:principal", *_OF_SOURCES))
    )
