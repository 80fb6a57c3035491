"""Names unknown to AWS: services, actions, operators, condition keys, variables.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from cml_iam import facts
from cml_iam.engine.parts import variable_keys
from cml_iam.lint._corrections import OPERATOR_NAMES, known_action, known_key, known_operator
from cml_iam.policy import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.lint._finding import Found
    from cml_iam.lint._subject import Asked, Item, Subject
    from cml_iam.policy import Path

SERVICE: Final = re.compile(
    r"([a-z0-9-]+(?:\.[a-z0-9-]+)*)\.(amazonaws\.com(?:\.cn)?|(?<!\.aws\.)amazon\.com|aws\.internal)"
)
"""The principal of a service: its names, and the domain."""

_WHITE: Final = re.compile(r"\s")

HINTED: Final = 200
"""The maximum number of unknown actions per document with a suggestion; each search is slow."""


def actions(subject: Subject) -> Iterator[Found]:
    """Yield elements of Action and NotAction that match no existing action."""
    left = HINTED
    for item in subject.items:
        for text, at in item.texts("Action", "NotAction"):
            if problem := _action_problem(text, hint=left > 0):
                correction = known_action(item, at, text) if left > 0 else None
                yield item.found(*problem, at, correction=correction)
                left -= 1


def _action_problem(text: str, *, hint: bool) -> tuple[str, str | None] | None:
    """Return why *text* names no action, and a remedy."""
    prefix, colon, name = text.partition(":")
    if text in {"*", "*:*"}:
        return None
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
    owner = facts.service(prefix)
    as_of = f"in AWS's reference of {facts.updated()}"
    if owner is None:
        meant = did_you_mean(prefix, facts.services()) if hint else None
        return f"there is no service `{prefix}` {as_of}", meant
    if owner.names_matching(name):
        return None
    if "*" in name or "?" in name:
        return f"`{text}` matches no action {as_of}", None
    known = (f"{owner.name}:{action}" for action in owner.action_names)
    return f"there is no action `{text}` {as_of}", did_you_mean(text, known) if hint else None


def operators(asked: Asked) -> Iterator[Found]:
    operator = asked.condition.operator
    if not asked.operator.known:
        yield asked.item.found(
            f"there is no condition operator `{operator}`",
            _operator_hint(operator),
            ("Condition", operator),
            correction=known_operator(asked.item, operator),
        )


def _operator_hint(text: str) -> str | None:
    qualifier, colon, base = text.rpartition(":")
    if colon and qualifier.lower() not in {"forallvalues", "foranyvalue"}:
        return did_you_mean(qualifier, ("ForAllValues", "ForAnyValue"))
    return did_you_mean(base, OPERATOR_NAMES) or did_you_mean(
        base.lower().removesuffix("ifexists"), OPERATOR_NAMES
    )


_OF_RESOURCES: Final = "aws:sourceowner"
"""A key that is missing from the reference but occurs in resource policies that AWS itself writes.

https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-use-cases.html
"""


def keys(item: Item) -> Iterator[Found]:
    """Yield condition keys, and keys of variables, that neither AWS nor any service has."""
    reference = f"AWS's reference of {facts.updated()}"
    for asked in item.asked:
        key = asked.key
        if item.subject.kind == "resource" and asked.name == _OF_RESOURCES:
            continue
        if key.endswith("/"):
            yield asked.found(
                f"`{key}` names no tag: the tag's key must follow the slash",
                f"write `{key}` and the tag's key, such as `{key}ManagedBy`",
            )
        elif facts.is_unknown_key(key):
            yield asked.found(
                f"{reference} has no condition key `{key}`: unless AWS has added it since, the "
                f"condition {asked.how_often} holds",
                facts.key_hint(key),
                correction=known_key(asked),
            )
    for text, at in _with_variables(item):
        unknown = next((key for key in variable_keys(text) if facts.is_unknown_key(key)), None)
        if unknown is not None and _malformed_variable(text) is None:
            yield item.found(
                f"{reference} has no key `{unknown}`, so the variable in `{text}` has no value",
                facts.key_hint(unknown),
                at,
            )


def variables(item: Item) -> Iterator[Found]:
    """Yield malformed policy variables, and variables in places that do not support them."""
    for text, at in _with_variables(item):
        if problem := _malformed_variable(text):
            yield item.found(f"`{text}` {problem}", _VARIABLE_FORM, at)
    for text, at in item.texts("Action", "NotAction") if item.variables else ():
        if "${" in text:
            yield item.found(
                f"`{text}`: {at[0]} has no policy variables",
                "name the action; only Resource, NotResource and values of conditions have "
                "variables",
                at,
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


def _with_variables(item: Item) -> Iterator[tuple[str, Path]]:
    """Yield the texts of *item* that contain variables, with their paths."""
    texts = [*item.texts("Resource", "NotResource"), *item.condition_values()]
    return ((text, at) for text, at in texts if item.variables and "${" in text)
