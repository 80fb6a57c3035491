"""Condition keys that restrict less than they seem: callers set some, and few services send others.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from cml_iam import facts
from cml_iam.engine.parts import variable_keys
from cml_iam.lint._finding import Found, listed
from cml_iam.lint._subject import how_often

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.lint._subject import Item, Subject
    from cml_iam.space import KeyCondition

SENSITIVE: Final = frozenset(
    {
        "aws:principalaccount",
        "aws:principalorgid",
        "aws:resourceaccount",
        "aws:resourceorgid",
        "aws:sourceaccount",
        "aws:sourceorgid",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:vpceaccount",
        "aws:vpceorgid",
    }
)
"""Keys that hold a single id, for which AWS documents no use of a wildcard.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-sensitive
"""

_PATHS: Final = (
    "aws:principalorgpaths",
    "aws:resourceorgpaths",
    "aws:sourceorgpaths",
    "aws:vpceorgpaths",
)
_MADE_UP: Final = {"aws:referer": "Referer", "aws:useragent": "User-Agent"}
_OF_ENDPOINTS: Final = (
    "aws:sourcevpcarn",
    "aws:vpceaccount",
    "aws:vpceorgid",
    "aws:vpceorgpaths",
)
_EVERYTHING: Final = re.compile(r"\*+")


def open_ids(subject: Subject) -> Iterator[Found]:
    """Yield wildcards and policy variables in place of the id of an account, a VPC and so on.

    A variable whose value is an id, such as `${aws:PrincipalAccount}`, is accepted.
    """
    for item, asked in subject.asked("string"):
        key = asked.condition.key
        for index, value in enumerate(asked.condition.values):
            if problem := _open_id(item, asked, value):
                yield item.found(
                    f"`{value}` {problem}, so `{key}` restricts little or nothing",
                    item.condition_place(asked.condition, index),
                    "write the intended ids",
                )


def _open_id(item: Item, asked: KeyCondition, value: str) -> str | None:
    name, like = asked.condition.key.lower(), "like" in asked.operator.base
    plain = re.sub(r"\$\{[^}]*\}", "", value)
    wild = like and any(char in plain for char in "*?")
    if name in SENSITIVE:
        keys = variable_keys(value) if item.variables and "${" in value else ()
        if any(key.lower() not in SENSITIVE for key in keys):
            return "has a policy variable, which the caller may influence"
        return "has a wildcard in place of an id" if wild else None
    if name in _PATHS and wild:
        organization = plain.partition("/")[0]
        return "matches every organization" if re.search(r"[*?]", organization) else None
    if name == "aws:userid" and wild:
        owner, colon, _ = plain.partition(":")
        whole = colon and _EVERYTHING.fullmatch(owner)
        return None if whole or not re.search(r"[*?]", owner) else "matches every role and user"
    return None


def made_up(subject: Subject) -> Iterator[Found]:
    """Yield conditions on HTTP headers that every caller can set freely."""
    for item, asked in subject.asked("string"):
        header = _MADE_UP.get(asked.condition.key.lower())
        if header:
            yield item.found(
                f"`{asked.condition.key}` is the HTTP header `{header}`, which every caller can "
                "set freely: it excludes nobody",
                item.condition_place(asked.condition),
                "use a key that AWS sets, such as `aws:PrincipalOrgID`, `aws:SourceIp` or "
                "`aws:SourceVpce`",
            )


def shorter_prefixes(subject: Subject) -> Iterator[Found]:
    """Yield conditions that forbid values of s3:prefix: a shorter prefix lists the same objects.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html
    """
    for item, asked in subject.asked("string"):
        name, negated = asked.condition.key.lower(), asked.operator.negated
        if name == "s3:prefix" and negated is item.allows:
            yield item.found(
                f"{asked.condition.operator} on `s3:prefix` does not prevent listing these "
                "objects: a request with a shorter prefix, or without one, is not refused and "
                "lists them too",
                item.condition_place(asked.condition),
                "allow the intended prefixes (`StringLike` in an Allow), or refuse the "
                "others (`StringNotLike` in a Deny)",
            )


def only_wildcards(subject: Subject) -> Iterator[Found]:
    """Yield conditions that every value meets, or none: they only test whether the key is present.

    Conditions on tokens are excluded: other rules test them with a stranger's token.
    """
    for item, asked in subject.asked("string"):
        condition, key = asked.condition, asked.condition.key.lower()
        like = "like" in asked.operator.base and not facts.is_provider_key(key)
        if not like or not any(map(_EVERYTHING.fullmatch, condition.values)):
            continue
        several = bool(asked.operator.qualifier) or key in facts.SEVERAL_VALUES
        absent, present = asked.test({}), asked.test({key: ["x"] if several else "x"})
        says, remedy = _WILDCARD_ONLY[absent, present]
        yield item.found(
            f"{condition.operator} with `*` {says}",
            item.condition_place(condition),
            remedy.format(condition.key),
        )


_WILDCARD_ONLY: Final = {
    (False, True): (
        "holds for every value: it only tests that the key is present",
        'write that: `"Null": {{"{}": "false"}}`',
    ),
    (True, False): (
        "holds for no value: it only tests that the key is absent",
        'write that: `"Null": {{"{}": "true"}}`',
    ),
    (True, True): ("always holds: it restricts nothing", "remove the condition on `{}`"),
    (False, False): ("never holds", "remove the condition on `{}`, or write the intended values"),
}
"""The meaning of a condition with `*`, by whether it holds without the key and with it."""


def of_some_services(subject: Subject) -> Iterator[Found]:
    """Yield keys about VPC endpoints in statements about services that do not send them.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-vpceaccount
    """
    for item, asked in subject.asked():
        if asked.condition.key.lower() not in _OF_ENDPOINTS:
            continue
        named = {action.service for action in item.actions.values()}
        lacking = sorted(named - facts.published("endpoint"))
        if not lacking and not item.unlisted:
            continue
        yield item.found(
            f"few services send `{asked.condition.key}`, and AWS's page does not list "
            f"{'most of these services' if item.unlisted else listed(lacking)}: for them the "
            f"condition {how_often(asked)} holds",
            item.condition_place(asked.condition),
            "put the services that send the key into a separate statement",
        )


_PAIRED: Final = {
    "aws:vpcsourceip": (
        ("aws:sourcevpc", "aws:sourcevpce", "aws:sourcevpcarn"),
        "means nothing without the VPC: any VPC, even in another account, may have these addresses",
        "add a condition on `aws:SourceVpc` or `aws:SourceVpce`",
    ),
    "dynamodb:attributes": (
        ("dynamodb:select",),
        "restricts only requests that name attributes: a request that names none reads all of them",
        'add `"StringEqualsIfExists": {"dynamodb:Select": "SPECIFIC_ATTRIBUTES"}`',
    ),
}
"""Keys that restrict little alone, the keys to add (one is enough), and the reason.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-vpcsourceip
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_examples_dynamodb_attributes.html
"""


def unpaired(subject: Subject) -> Iterator[Found]:
    """Yield keys that restrict little without another key, which is missing."""
    for item in subject.items:
        names = {asked.condition.key.lower() for asked in item.asked}
        for asked in item.asked:
            partners, why, remedy = _PAIRED.get(asked.condition.key.lower(), ((), "", ""))
            if partners and names.isdisjoint(partners) and not asked.operator.negated:
                yield item.found(
                    f"`{asked.condition.key}` {why}",
                    item.condition_place(asked.condition),
                    remedy,
                )


def texts_for_arns(subject: Subject) -> Iterator[Found]:
    """Yield StringLike with wildcards on a key that is an ARN."""
    for item, asked in subject.asked("string"):
        condition = asked.condition
        kind = (facts.key_type(condition.key) or "").removeprefix("ArrayOf")
        like = "like" in asked.operator.base
        if like and kind == "ARN" and any("*" in value for value in condition.values):
            yield item.found(
                f"in {condition.operator} a `*` also stands for colons, so the values may match "
                f"ARNs with unintended accounts, types or names; `{condition.key}` is an ARN",
                item.condition_place(condition),
                "use ArnLike, which compares field by field",
            )


def audience_lists(subject: Subject) -> Iterator[Found]:
    """Yield set operators on the audience of a token, which is a single text for most providers.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create_for-idp_oidc.html
    """
    for item, asked in subject.asked("string"):
        key, plain = asked.condition.key, asked.condition.operator.partition(":")[2]
        if asked.operator.qualifier and key.lower().endswith(":aud") and facts.is_provider_key(key):
            yield item.found(
                f"{asked.condition.operator} compares `{key}` as a list, but the audience of "
                "most providers' tokens is a single text",
                item.condition_place(asked.condition),
                f"use {plain}, unless this provider's tokens have several audiences",
            )
