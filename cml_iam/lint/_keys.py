"""Condition keys that restrict less than they seem: callers set some, and few services send others.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from cml_iam import facts
from cml_iam.engine.parts import variable_keys
from cml_iam.lint._finding import Fault, listed
from cml_iam.lint._names import VARIABLE
from cml_iam.lint._subject import Clause

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


def open_ids(clause: Clause) -> Iterator[Fault]:
    """Yield wildcards in place of an id, and variables whose value is no id of AWS's."""
    for index, value in enumerate(clause.values if clause.family == "string" else ()):
        if problem := _open_id(clause, value):
            yield clause.fault(
                f"`{value}` {problem}, so `{clause.key}` restricts little or nothing",
                "write the intended ids",
                index,
            )


def _open_id(clause: Clause, value: str) -> str | None:
    plain = VARIABLE.sub("", value)
    wild = clause.like and any(char in plain for char in "*?")
    if clause.name in _IDS:
        keys = variable_keys(value) if clause.variables and "${" in value else ()
        if any(key.lower() not in _IDS for key in keys):
            return "has a policy variable, which the caller may influence"
        return "has a wildcard in place of an id" if wild else None
    if clause.name in _PATHS and wild:
        organization = plain.partition("/")[0]
        return "matches every organization" if re.search(r"[*?]", organization) else None
    if clause.name == "aws:userid" and wild:
        owner, colon, _ = plain.partition(":")
        whole = colon and _EVERYTHING.fullmatch(owner)
        return None if whole or not re.search(r"[*?]", owner) else "matches every role and user"
    return None


_HEADERS: Final = {"aws:referer": "Referer", "aws:useragent": "User-Agent"}


def made_up(clause: Clause) -> Iterator[Fault]:
    if clause.family == "string" and clause.name in _HEADERS:
        yield clause.fault(
            f"`{clause.key}` is the HTTP header `{_HEADERS[clause.name]}`, which every caller can "
            "set freely: it excludes nobody",
            "use a key that AWS sets, such as `aws:PrincipalOrgID`, `aws:SourceIp` or "
            "`aws:SourceVpce`",
        )


def shorter_prefixes(clause: Clause) -> Iterator[Fault]:
    """Yield conditions that forbid values of s3:prefix.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html
    """
    forbids = clause.operator.negated is clause.item.allows
    if clause.name == "s3:prefix" and clause.family == "string" and forbids:
        yield clause.fault(
            f"{clause.condition.operator} on `s3:prefix` does not prevent listing these objects: a "
            "request with a shorter prefix, or without one, is not refused and lists them too",
            "allow the intended prefixes (`StringLike` in an Allow), or refuse the others "
            "(`StringNotLike` in a Deny)",
        )


def only_wildcards(clause: Clause) -> Iterator[Fault]:
    """Yield conditions that every value meets, or none; other rules test those on tokens."""
    like = clause.family == "string" and clause.like and not facts.is_provider_key(clause.name)
    if like and any(map(_EVERYTHING.fullmatch, clause.values)):
        several = bool(clause.operator.qualifier) or clause.name in facts.several_values()
        present = {clause.name: ["x"] if several else "x"}
        means, remedy = _WILDCARD_ONLY[clause.test({}), clause.test(present)]
        message = f"{clause.condition.operator} with `*` {means}"
        yield clause.fault(message, remedy.format(clause.key))


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


def of_some_services(clause: Clause) -> Iterator[Fault]:
    """Yield keys about VPC endpoints in statements about services that do not send them.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-vpceaccount
    """
    if clause.name not in _OF_ENDPOINTS:
        return
    named = {action.service for action in clause.item.actions.values()}
    lacking = sorted(named - facts.published("endpoint"))
    if lacking or clause.item.unlisted:
        services = "most of these services" if clause.item.unlisted else listed(lacking)
        yield clause.fault(
            f"few services send `{clause.key}`, and AWS's page does not list {services}: for them "
            f"the condition {clause.how_often} holds",
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


def unpaired(clause: Clause) -> Iterator[Fault]:
    if clause.name in _PAIRED and not clause.operator.negated:
        partners, why, remedy = _PAIRED[clause.name]
        if not any(other.name in partners for other in clause.item.clauses):
            yield clause.fault(f"`{clause.key}` {why}", remedy)


def texts_for_arns(clause: Clause) -> Iterator[Fault]:
    kind = (facts.key_type(clause.key) or "").removeprefix("ArrayOf")
    wild = clause.like and any("*" in value for value in clause.values)
    if clause.family == "string" and kind == "ARN" and wild:
        yield clause.fault(
            f"in {clause.condition.operator} a `*` also stands for colons, so the values may match "
            f"ARNs with unintended accounts, types or names; `{clause.key}` is an ARN",
            "use ArnLike, which compares field by field",
        )


def audience_lists(clause: Clause) -> Iterator[Fault]:
    """Yield set operators on the audience of a token, which is a single text for most providers.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create_for-idp_oidc.html
    """
    audience = clause.name.endswith(":aud") and facts.is_provider_key(clause.key)
    if clause.family == "string" and clause.operator.qualifier and audience:
        operator = clause.condition.operator
        yield clause.fault(
            f"{operator} compares `{clause.key}` as a list, but the audience of most providers' "
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


def own_account(clause: Clause) -> Iterator[Fault]:
    if clause.name in _OF_THE_RESOURCE:
        yield clause.fault(
            f"`{clause.key}` is the same in every request, because this is the policy of that "
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


def keys_of_nobody(clause: Clause) -> Iterator[Fault]:
    callers = dict(clause.item.principals())
    by_certificate = set(callers.get("Service", ())) == {"rolesanywhere.amazonaws.com"}
    if by_certificate and clause.name.startswith(_CERTIFICATE):
        return
    if clause.item.allows and [*callers] == ["Service"] and clause.name.startswith(_OF_CALLERS):
        yield clause.fault(
            f"a service calls without `{clause.key}`, so the condition {clause.how_often} holds",
            "use `aws:SourceAccount`, `aws:SourceArn` or `aws:SourceOrgID`, which say for whom "
            "the service acts",
        )
