"""Condition keys that restrict less than they seem: callers set some, and few services send others.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from cml_iam import facts
from cml_iam.engine.parts import variable_keys
from cml_iam.lint._finding import Found, listed
from cml_iam.lint._subject import Asked

_IDS: Final = frozenset(
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
_EVERYTHING: Final = re.compile(r"\*+")


def open_ids(asked: Asked) -> Iterator[Found]:
    """Yield wildcards and policy variables in place of the id of an account, a VPC and so on.

    A variable whose value is an id, such as `${aws:PrincipalAccount}`, is accepted.
    """
    for index, value in enumerate(asked.values if asked.family == "string" else ()):
        if problem := _open_id(asked, value):
            yield asked.found(
                f"`{value}` {problem}, so `{asked.key}` restricts little or nothing",
                "write the intended ids",
                index,
            )


def _open_id(asked: Asked, value: str) -> str | None:
    plain = re.sub(r"\$\{[^}]*\}", "", value)
    wild = asked.like and any(char in plain for char in "*?")
    if asked.name in _IDS:
        keys = variable_keys(value) if asked.variables and "${" in value else ()
        if any(key.lower() not in _IDS for key in keys):
            return "has a policy variable, which the caller may influence"
        return "has a wildcard in place of an id" if wild else None
    if asked.name in _PATHS and wild:
        organization = plain.partition("/")[0]
        return "matches every organization" if re.search(r"[*?]", organization) else None
    if asked.name == "aws:userid" and wild:
        owner, colon, _ = plain.partition(":")
        whole = colon and _EVERYTHING.fullmatch(owner)
        return None if whole or not re.search(r"[*?]", owner) else "matches every role and user"
    return None


_HEADERS: Final = {"aws:referer": "Referer", "aws:useragent": "User-Agent"}


def made_up(asked: Asked) -> Iterator[Found]:
    if asked.family == "string" and asked.name in _HEADERS:
        yield asked.found(
            f"`{asked.key}` is the HTTP header `{_HEADERS[asked.name]}`, which every caller can "
            "set freely: it excludes nobody",
            "use a key that AWS sets, such as `aws:PrincipalOrgID`, `aws:SourceIp` or "
            "`aws:SourceVpce`",
        )


def shorter_prefixes(asked: Asked) -> Iterator[Found]:
    """Yield conditions that forbid values of s3:prefix.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html
    """
    forbids = asked.operator.negated is asked.item.allows
    if asked.name == "s3:prefix" and asked.family == "string" and forbids:
        yield asked.found(
            f"{asked.condition.operator} on `s3:prefix` does not prevent listing these objects: a "
            "request with a shorter prefix, or without one, is not refused and lists them too",
            "allow the intended prefixes (`StringLike` in an Allow), or refuse the others "
            "(`StringNotLike` in a Deny)",
        )


def only_wildcards(asked: Asked) -> Iterator[Found]:
    """Yield conditions that every value meets, or none.

    Conditions on tokens are excluded: other rules test them with a stranger's token.
    """
    like = asked.family == "string" and asked.like and not facts.is_provider_key(asked.name)
    if like and any(map(_EVERYTHING.fullmatch, asked.values)):
        several = bool(asked.operator.qualifier) or asked.name in facts.SEVERAL_VALUES
        present = {asked.name: ["x"] if several else "x"}
        means, remedy = _WILDCARD_ONLY[asked.test({}), asked.test(present)]
        message = f"{asked.condition.operator} with `*` {means}"
        yield asked.found(message, remedy.format(asked.key))


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

_OF_ENDPOINTS: Final = ("aws:sourcevpcarn", "aws:vpceaccount", "aws:vpceorgid", "aws:vpceorgpaths")


def of_some_services(asked: Asked) -> Iterator[Found]:
    """Yield keys about VPC endpoints in statements about services that do not send them.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-vpceaccount
    """
    if asked.name not in _OF_ENDPOINTS:
        return
    named = {action.service for action in asked.item.actions.values()}
    lacking = sorted(named - facts.published("endpoint"))
    if lacking or asked.item.unlisted:
        services = "most of these services" if asked.item.unlisted else listed(lacking)
        yield asked.found(
            f"few services send `{asked.key}`, and AWS's page does not list {services}: for them "
            f"the condition {asked.how_often} holds",
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


def unpaired(asked: Asked) -> Iterator[Found]:
    if asked.name in _PAIRED and not asked.operator.negated:
        partners, why, remedy = _PAIRED[asked.name]
        if not any(other.name in partners for other in asked.item.asked):
            yield asked.found(f"`{asked.key}` {why}", remedy)


def texts_for_arns(asked: Asked) -> Iterator[Found]:
    kind = (facts.key_type(asked.key) or "").removeprefix("ArrayOf")
    wild = asked.like and any("*" in value for value in asked.values)
    if asked.family == "string" and kind == "ARN" and wild:
        yield asked.found(
            f"in {asked.condition.operator} a `*` also stands for colons, so the values may match "
            f"ARNs with unintended accounts, types or names; `{asked.key}` is an ARN",
            "use ArnLike, which compares field by field",
        )


def audience_lists(asked: Asked) -> Iterator[Found]:
    """Yield set operators on the audience of a token, which is a single text for most providers.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create_for-idp_oidc.html
    """
    audience = asked.name.endswith(":aud") and facts.is_provider_key(asked.key)
    if asked.family == "string" and asked.operator.qualifier and audience:
        operator = asked.condition.operator
        yield asked.found(
            f"{operator} compares `{asked.key}` as a list, but the audience of most providers' "
            "tokens is a single text",
            f"use {operator.partition(':')[2]}, unless this provider's tokens have several "
            "audiences",
        )


_OF_THE_RESOURCE: Final = (
    "aws:resourceaccount",
    "aws:resourceorgid",
    "aws:resourceorgpaths",
    "s3:resourceaccount",
)


def own_account(asked: Asked) -> Iterator[Found]:
    if asked.name in _OF_THE_RESOURCE:
        yield asked.found(
            f"`{asked.key}` is the same in every request, because this is the policy of that "
            "resource",
            "remove it; for the caller, use `aws:PrincipalAccount` or `aws:PrincipalOrgID`",
        )


_OF_CALLERS: Final = (
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:principaltag/",
    "aws:userid",
    "aws:username",
)
"""Keys, or their prefixes, that requests of AWS services do not have."""

_CERTIFICATE: Final = "aws:principaltag/x509"
"""The prefix of tags that only IAM Roles Anywhere sends: the fields of the client's certificate.

https://docs.aws.amazon.com/rolesanywhere/latest/userguide/trust-model.html
"""


def keys_of_nobody(asked: Asked) -> Iterator[Found]:
    callers = dict(asked.item.principals())
    if not asked.item.allows or set(callers) != {"Service"}:
        return
    by_certificate = set(callers["Service"]) == {"rolesanywhere.amazonaws.com"}
    certified = by_certificate and asked.name.startswith(_CERTIFICATE)
    if asked.name.startswith(_OF_CALLERS) and not certified:
        yield asked.found(
            f"a service calls without `{asked.key}`, so the condition {asked.how_often} holds",
            "use `aws:SourceAccount`, `aws:SourceArn` or `aws:SourceOrgID`, which say for whom "
            "the service acts",
        )
