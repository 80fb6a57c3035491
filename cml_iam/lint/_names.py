"""Names unknown to AWS: services, actions, operators, condition keys, variables.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from cml_iam import facts
from cml_iam.engine.parts import variable_keys
from cml_iam.lint._corrections import (
    OPERATOR_NAMES,
    known_action,
    known_key,
    known_operator,
)
from cml_iam.lint._finding import Found
from cml_iam.lint._subject import how_often
from cml_iam.policy import VERSION_2012, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.errors import Place
    from cml_iam.lint._subject import Item, Subject

_WHITE: Final = re.compile(r"\s")


HINTED: Final = 200
"""The maximum number of unknown actions per document with a suggestion; each search is slow."""


def actions(subject: Subject) -> Iterator[Found]:
    """Yield elements of Action and NotAction that match no existing action."""
    left = HINTED
    for item in subject.items:
        for element in ("Action", "NotAction"):
            texts = item.statement.action if element == "Action" else item.statement.not_action
            for index, text in enumerate(texts or ()):
                problem = _action_problem(text, hint=left > 0)
                if problem is None:
                    continue
                message, remedy = problem
                yield item.found(
                    message,
                    item.place(element, index),
                    remedy,
                    correction=known_action(item, element, index, text) if left > 0 else None,
                )
                left -= 1


def _action_problem(text: str, *, hint: bool) -> tuple[str, str | None] | None:
    if text in {"*", "*:*"}:
        return None
    prefix, colon, name = text.partition(":")
    if not colon:
        return (
            f"`{text}` names no service",
            "an action is `service:Name`, such as `ec2:RunInstances`",
        )
    if not name or _WHITE.search(text):
        return f"`{text}` is empty or has white space, so it names nothing", None
    if "*" in prefix or "?" in prefix:
        return f"`{text}` has a wildcard in its service, so it names nothing", (
            "name the service; only `*` by itself matches all services"
        )
    return _unknown_action(text, prefix, name, hint=hint)


def _unknown_action(
    text: str, prefix: str, name: str, *, hint: bool
) -> tuple[str, str | None] | None:
    owner = facts.service(prefix)
    if owner is not None and owner.names_matching(name):
        return None
    as_of = f"in AWS's reference of {facts.updated()}"
    if owner is None:
        meant = did_you_mean(prefix, facts.services()) if hint else None
        return f"there is no service `{prefix}` {as_of}", meant
    if "*" in name or "?" in name:
        return f"`{text}` matches no action {as_of}", None
    known = (f"{owner.name}:{each}" for each in owner.action_names)
    return f"there is no action `{text}` {as_of}", did_you_mean(text, known) if hint else None


def operators(subject: Subject) -> Iterator[Found]:
    """Yield condition operators that do not exist."""
    for item, asked in subject.asked():
        operator = asked.condition.operator
        if not asked.operator.known:
            yield item.found(
                f"there is no condition operator `{operator}`",
                item.place("Condition", operator),
                _operator_hint(operator),
                correction=known_operator(item, operator),
            )


def _operator_hint(text: str) -> str | None:
    qualifier, colon, base = text.rpartition(":")
    if colon and qualifier.lower() not in {"forallvalues", "foranyvalue"}:
        return did_you_mean(qualifier, ("ForAllValues", "ForAnyValue"))
    return did_you_mean(base, OPERATOR_NAMES) or did_you_mean(
        base.lower().removesuffix("ifexists"), OPERATOR_NAMES
    )


OF_RESOURCES: Final = frozenset({"aws:sourceowner"})
"""Keys that are missing from the reference but occur in resource policies that AWS itself writes.

https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-use-cases.html
"""


def keys(subject: Subject) -> Iterator[Found]:
    """Yield condition keys, and keys of variables, that neither AWS nor any service has."""
    for item in subject.items:
        for asked in item.asked:
            key = asked.condition.key
            if subject.kind == "resource" and key.lower() in OF_RESOURCES:
                continue
            if key.endswith("/"):
                yield item.found(
                    f"`{key}` names no tag: the tag's key must follow the slash",
                    item.condition_place(asked.condition),
                    f"write `{key}` and the tag's key, such as `{key}ManagedBy`",
                )
            elif facts.is_unknown_key(key):
                yield item.found(
                    f"AWS's reference of {facts.updated()} has no condition key `{key}`: unless "
                    f"AWS has added it since, the condition {how_often(asked)} holds",
                    item.condition_place(asked.condition),
                    facts.key_hint(key),
                    correction=known_key(item, asked.condition),
                )
        for text, place in _with_variables(item):
            unknown = [key for key in variable_keys(text) if facts.is_unknown_key(key)]
            if unknown and _malformed_variable(text) is None:
                yield item.found(
                    f"AWS's reference of {facts.updated()} has no key `{unknown[0]}`, so the "
                    f"variable in `{text}` has no value",
                    place,
                    facts.key_hint(unknown[0]),
                )


def variables(subject: Subject) -> Iterator[Found]:
    """Yield malformed policy variables, and variables in places that do not support them."""
    for item in subject.items:
        if item.document.version != VERSION_2012:
            continue  # which has none: a rule of its own says so
        for text, place in _with_variables(item):
            if problem := _malformed_variable(text):
                yield item.found(f"`{text}` {problem}", place, _VARIABLE_FORM)
        for element, text, place in item.texts("Action", "NotAction"):
            if "${" in text:
                yield item.found(
                    f"`{text}`: {element} has no policy variables",
                    place,
                    "name the action; only Resource, NotResource and values of conditions have "
                    "variables",
                )


_VARIABLE_FORM: Final = (
    "a variable is `${aws:username}`, or with a default `${aws:PrincipalTag/team, 'none'}`"
)
_BEGUN: Final = re.compile(r"\$\{([^{}]*)(\}?)")


def _malformed_variable(text: str) -> str | None:
    """Return the problem with the variables of *text*, or None."""
    for key, closed in _BEGUN.findall(text):
        name, comma, default = key.partition(",")
        if not closed:
            return "has a variable without a closing `}`"
        if not key.strip():
            return "has a variable without a name"
        if comma and not re.fullmatch(r"""\s*('[^']*'|"[^"]*")\s*""", default):
            return "has a default that is not in quotation marks"
        if _WHITE.search(name.rstrip() if comma else name):
            return "has white space in the name of a variable, so it is none"
    return None


def _with_variables(item: Item) -> Iterator[tuple[str, Place | None]]:
    """Yield the texts of *item* that contain variables, with their places."""
    if item.document.version != VERSION_2012:
        return
    for _, text, place in item.texts("Resource", "NotResource"):
        if "${" in text:
            yield text, place
    for condition in item.written.conditions:
        for index, value in enumerate(condition.values):
            if "${" in value:
                yield value, item.condition_place(condition, index)
