"""Names that AWS does not know: services, actions, operators, condition keys; wrong values."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cml_iam import facts
from cml_iam.engine.parts import Keys, Scope, compile_condition
from cml_iam.lint._ask import always_holds, matched
from cml_iam.lint._corrections import (
    OPERATOR_NAMES,
    known_action,
    known_key,
    known_operator,
    with_wildcards,
)
from cml_iam.lint._finding import Found
from cml_iam.policy import Condition, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.lint._subject import Item, Subject
    from cml_iam.space import Asked

_WHITE: Final = re.compile(r"\s")


def actions(subject: Subject) -> Iterator[Found]:
    """Yield elements of Action and NotAction that name no action there is."""
    for item in subject.items:
        for element in ("Action", "NotAction"):
            texts = item.statement.action if element == "Action" else item.statement.not_action
            for index, text in enumerate(texts or ()):
                if problem := _action_problem(text):
                    message, remedy = problem
                    yield Found(
                        message,
                        item.place(element, index),
                        remedy,
                        item.label,
                        correction=known_action(item, element, index, text),
                    )


def _action_problem(text: str) -> tuple[str, str | None] | None:
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
            "name the service; only `*` alone stands for all of them"
        )
    return _unknown_action(text, prefix, name)


def _unknown_action(text: str, prefix: str, name: str) -> tuple[str, str | None] | None:
    as_of = f"in AWS's reference of {facts.updated()}"
    owner = facts.service(prefix)
    if owner is None:
        return f"there is no service `{prefix}` {as_of}", did_you_mean(prefix, facts.services())
    if owner.matching(name):
        return None
    if "*" in name or "?" in name:
        return f"`{text}` stands for no action {as_of}", None
    known = (f"{owner.name}:{each}" for each in owner.action_names)
    return f"there is no action `{text}` {as_of}", did_you_mean(text, known)


def operators(subject: Subject) -> Iterator[Found]:
    """Yield condition operators that do not exist."""
    for item in subject.items:
        for asked in item.asked:
            operator = asked.condition.operator
            if not asked.operator.known:
                yield Found(
                    f"there is no condition operator `{operator}`",
                    item.place("Condition", operator),
                    _operator_hint(operator),
                    item.label,
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
"""Keys that are of no reference, and stand in policies of resources that AWS itself writes.

https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-use-cases.html
"""


def keys(subject: Subject) -> Iterator[Found]:
    """Yield condition keys that neither AWS nor a service of it has."""
    for item in subject.items:
        for asked in item.asked:
            key = asked.condition.key
            if subject.kind == "resource" and key.lower() in OF_RESOURCES:
                continue
            if facts.is_unknown_key(key):
                holds = "always" if asked.test({}) else "never"
                yield Found(
                    f"there is no condition key `{key}` in AWS's reference of {facts.updated()}: "
                    f"unless AWS has added it since, the condition {holds} holds",
                    item.condition_place(asked.condition),
                    facts.key_hint(key),
                    item.label,
                    correction=known_key(item, asked.condition),
                )


def values(subject: Subject) -> Iterator[Found]:
    """Yield values that are no number, date, address, boolean or ARN where one is needed."""
    for item in subject.items:
        for asked, compiled in zip(item.asked, item.compiled.conditions, strict=True):
            condition = asked.condition
            if not asked.operator.known:
                continue
            if not condition.values:
                yield Found(
                    f"`{condition.key}` has no values, so {_consequence(item, asked)}",
                    item.condition_place(condition),
                    "give it a value, or remove it",
                    item.label,
                )
            for index, problem in _bad_values(item, asked) if compiled.problems else ():
                yield Found(
                    f"{problem}: {_consequence(item, asked)}",
                    item.condition_place(condition, index),
                    _form_of(asked),
                    item.label,
                )


def _bad_values(item: Item, asked: Asked) -> Iterator[tuple[int, str]]:
    """Yield what is wrong with values of a condition, each with its number."""
    scope = Scope(variables=item.variables, keys=Keys())
    for index, value in enumerate(asked.condition.values):
        single = replace(asked.condition, values=(value,))
        yield from ((index, each) for each in compile_condition(single, scope).problems)


def _form_of(asked: Asked) -> str | None:
    """Say what a value of the operator looks like."""
    return next((form for family, form in _FORMS.items() if family in asked.operator.base), None)


_FORMS: Final = {
    "date": "a date is `2026-01-31T12:00:00Z`, or seconds since 1970",
    "numeric": "a number is `3600` or `0.5`, without a unit",
    "bool": "write `true` or `false`",
    "null": "write `true` (the key is absent) or `false` (it is there)",
    "ipaddress": "an address is `192.0.2.1`, a range `192.0.2.0/24` or `2001:db8::/32`",
    "arn": "an ARN is `arn:partition:service:region:account:resource`, each with wildcards or not",
    "string": "a policy variable is `${aws:username}`; for a dollar sign write `${$}`",
}


def _consequence(item: Item, asked: Asked) -> str:
    """Say when the condition holds in the requests that *item* is about otherwise."""
    condition = asked.condition
    if matched(item, conditions=()).holds:
        return "it matches nothing"
    if matched(item, conditions=(condition,)).holds:
        return "the condition never holds"
    if always_holds(item, condition).holds:
        return "the condition always holds"
    present = Condition("Null", condition.key, ("false",))
    if matched(item, conditions=(condition, present)).holds:
        return f"the condition holds only for requests without `{condition.key}`"
    return "this value never matches"


def literal_wildcards(subject: Subject) -> Iterator[Found]:
    """Yield `*` and `?` in values of operators that take them as plain characters."""
    for item in subject.items:
        for asked in item.asked:
            condition, base = asked.condition, asked.operator.base
            if not asked.operator.known or base not in _LITERAL or _may_have_star(condition.key):
                continue
            for index, value in enumerate(condition.values):
                if not any(char in _ESCAPED.sub("", value) for char in "*?"):
                    continue
                yield Found(
                    f"{condition.operator} takes the wildcard in `{value}` as a plain character",
                    item.condition_place(condition, index),
                    f"use {_LITERAL[base]}",
                    item.label,
                    correction=with_wildcards(item, condition, _WILD_OPERATOR[base])
                    if base in _WILD_OPERATOR and condition.operator.lower() == base
                    else None,
                )


def _may_have_star(key: str) -> bool:
    """Say whether a value of *key* is any text a user makes up."""
    lower = key.lower()
    return "tag" in lower or lower in {"aws:useragent", "aws:referer", "s3:prefix", "s3:delimiter"}


_LITERAL: Final = {
    "stringequals": "StringLike",
    "stringnotequals": "StringNotLike",
    "stringequalsignorecase": "StringLike, which minds the case",
    "stringnotequalsignorecase": "StringNotLike, which minds the case",
}
_WILD_OPERATOR: Final = {"stringequals": "StringLike", "stringnotequals": "StringNotLike"}
_ESCAPED: Final = re.compile(r"\$\{[^}]*\}")


def operator_types(subject: Subject) -> Iterator[Found]:
    """Yield operators that do not fit the type of the key."""
    for item in subject.items:
        for asked in item.asked:
            condition, op = asked.condition, asked.operator
            kind = facts.key_type(condition.key)
            if not op.known or kind is None or asked.family == "null":
                continue
            if condition.key.lower() in facts.SEVERAL_VALUES and not op.qualifier:
                yield Found(
                    f"`{condition.key}` has several values, and {condition.operator} never holds "
                    "for several",
                    item.condition_place(condition),
                    f"use ForAnyValue:{condition.operator} or ForAllValues:{condition.operator}",
                    item.label,
                )
            elif misfit := _misfit(op.base, kind.removeprefix("ArrayOf"), condition.values):
                yield Found(
                    f"`{condition.key}` is {_TYPE_WORDS[kind.removeprefix('ArrayOf')]}, which "
                    f"{condition.operator} cannot compare",
                    item.condition_place(condition),
                    f"use {misfit}",
                    item.label,
                )


def _misfit(base: str, kind: str, given: tuple[str, ...]) -> str | None:
    """Return the operator to use for a key of the type *kind*; None where *base* will do."""
    family = next((each for each in _FAMILIES if each in base), "string")
    if family in _FITTING.get(kind, _FAMILIES):
        return None
    if family == "string" and not (kind == "IPAddress" and any("/" in each for each in given)):
        return None  # texts of any type can be compared as texts
    return _BY_TYPE.get(kind)


_FAMILIES: Final = ("numeric", "date", "bool", "ipaddress", "arn", "string", "binary")
_FITTING: Final = {
    "ARN": ("arn", "string", "binary"),
    "Bool": ("bool", "string"),
    "Numeric": ("numeric", "string"),
    "Date": ("date", "numeric", "string"),
    "IPAddress": ("ipaddress",),
}
_BY_TYPE: Final = {
    "ARN": "ArnLike",
    "Bool": "Bool",
    "Numeric": "NumericEquals and its kin",
    "Date": "DateLessThan and its kin",
    "IPAddress": "IpAddress",
}
_TYPE_WORDS: Final = {
    "ARN": "an ARN",
    "Bool": "true or false",
    "Numeric": "a number",
    "Date": "a date",
    "IPAddress": "an IP address",
    "String": "a text",
}
