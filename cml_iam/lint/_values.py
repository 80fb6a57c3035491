"""Condition values that the operator cannot parse, or that cannot be intended.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from cml_iam import facts
from cml_iam.engine.parts import Keys, Scope, compile_condition, network, number
from cml_iam.facts import EXAMPLE_ACCOUNT
from cml_iam.lint._ask import always_holds, matched
from cml_iam.lint._corrections import with_wildcards
from cml_iam.lint._finding import Found, Step, listed
from cml_iam.lint._principals import SERVICE
from cml_iam.lint._strangers import authorizer_of
from cml_iam.policy import Condition

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.engine import Request
    from cml_iam.lint._subject import Item, Subject
    from cml_iam.space import KeyCondition


def values(subject: Subject) -> Iterator[Found]:
    """Yield values that are not the required number, date, address, boolean or ARN."""
    for item in subject.items:
        for asked, compiled in zip(item.asked, item.compiled.conditions, strict=True):
            condition = asked.condition
            if not asked.operator.known:
                continue
            if not condition.values:
                yield item.found(
                    f"`{condition.key}` has no values, so {_consequence(item, asked)}",
                    item.condition_place(condition),
                    "give it a value, or remove it",
                )
            for index, value in enumerate(condition.values if asked.family == "bool" else ()):
                if "${" in value and item.variables:
                    yield item.found(
                        f"{condition.operator} `{value}`: AWS documents policy variables only for "
                        "operators on texts and ARNs",
                        item.condition_place(condition, index),
                        _form_of(asked),
                    )
            for index, problem in _bad_values(item, asked) if compiled.problems else ():
                if asked.family in {"string", "arn"} and "${" in condition.values[index]:
                    continue  # said by the rule about variables
                yield item.found(
                    f"{problem}: {_consequence(item, asked)}",
                    item.condition_place(condition, index),
                    _form_of(asked),
                )


def _bad_values(item: Item, asked: KeyCondition) -> Iterator[tuple[int, str]]:
    """Yield the problems with values of a condition, each with the number of the value."""
    scope = Scope(variables=item.variables, keys=Keys())
    for index, value in enumerate(asked.condition.values):
        single = replace(asked.condition, values=(value,))
        yield from ((index, problem) for problem in compile_condition(single, scope).problems)


def _form_of(asked: KeyCondition) -> str | None:
    """Describe the format of the operator's values."""
    return next((form for family, form in _FORMS.items() if family in asked.operator.base), None)


_FORMS: Final = {
    "date": "a date is `2026-01-31T12:00:00Z`, or seconds since 1970",
    "numeric": "a number is `3600` or `0.5`, without a unit",
    "bool": "write `true` or `false`",
    "null": "write `true` (the key is absent) or `false` (it is present)",
    "ipaddress": "an address is `192.0.2.1`, a range `192.0.2.0/24` or `2001:db8::/32`",
    "arn": "an ARN is `arn:partition:service:region:account:resource`, wildcards allowed",
    "string": "a policy variable is `${aws:username}`; for a dollar sign write `${$}`",
}


def _consequence(item: Item, asked: KeyCondition) -> str:
    """State when the condition holds in the requests that *item* otherwise matches."""
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
    """Yield `*` and `?` in values of operators that treat them as plain characters."""
    for item, asked in subject.asked():
        condition, base = asked.condition, asked.operator.base
        if not asked.operator.known or base not in _LITERAL or _may_have_star(condition.key):
            continue
        for index, value in enumerate(condition.values):
            if not any(char in _ESCAPED.sub("", value) for char in "*?"):
                continue
            yield item.found(
                f"{condition.operator} treats the wildcard in `{value}` as a plain character",
                item.condition_place(condition, index),
                f"use {_LITERAL[base]}",
                correction=with_wildcards(item, condition, _WILD_OPERATOR[base])
                if base in _WILD_OPERATOR and condition.operator.lower() == base
                else None,
            )


def _may_have_star(key: str) -> bool:
    """Return whether a value of *key* is free text chosen by users."""
    lower = key.lower()
    return "tag" in lower or lower in {"aws:useragent", "aws:referer", "s3:delimiter"}


_LITERAL: Final = {
    "stringequals": "StringLike",
    "stringnotequals": "StringNotLike",
    "stringequalsignorecase": "StringLike, which is case-sensitive",
    "stringnotequalsignorecase": "StringNotLike, which is case-sensitive",
}
_WILD_OPERATOR: Final = {"stringequals": "StringLike", "stringnotequals": "StringNotLike"}
_ESCAPED: Final = re.compile(r"\$\{[^}]*\}")


def operator_types(subject: Subject) -> Iterator[Found]:
    """Yield operators that do not match the type of the key."""
    for item, asked in subject.asked():
        condition, op = asked.condition, asked.operator
        kind = (facts.key_type(condition.key) or "").removeprefix("ArrayOf")
        if asked.family == "null" and op.qualifier:
            holds = "always" if op.qualifier == "forallvalues" else "never"
            yield item.found(
                f"{condition.operator} {holds} holds: Null tests whether the key is present, "
                "not its values",
                item.condition_place(condition),
                "use `Null` without a qualifier",
            )
        if not op.known or kind not in _TYPES or asked.family == "null":
            continue
        if condition.key.lower() in facts.SEVERAL_VALUES and not op.qualifier:
            yield item.found(
                f"`{condition.key}` has several values, and {condition.operator} never holds "
                "for several",
                item.condition_place(condition),
                f"use ForAnyValue:{condition.operator} or ForAllValues:{condition.operator}",
            )
        elif not _fits(asked, kind):
            yield item.found(
                f"`{condition.key}` is {_TYPES[kind].of}, and {condition.operator} compares "
                f"{_COMPARES[asked.family]}",
                item.condition_place(condition),
                f"use {_TYPES[kind].operator}",
            )
        elif never := _never(asked, kind):
            yield item.found(
                f"`{condition.key}` is {_TYPES[kind].of}, never {listed(never)}",
                item.condition_place(condition),
                f"use {_TYPES[kind].operator}, or the intended key",
            )


def _fits(asked: KeyCondition, kind: str) -> bool:
    """Return whether AWS documents the operator for a key of the type *kind*.

    Users choose the text of a tag or of an encryption context, so it can be an ARN or a boolean.
    """
    families, key = _TYPES[kind].families, asked.condition.key.lower()
    if kind == "String" and any(part in key for part in ("tag", "context", "arn")):
        families += ("arn", "bool")
    return asked.family in families or (key, asked.family) == ("aws:epochtime", "numeric")


def _never(asked: KeyCondition, kind: str) -> list[str]:
    """Return the texts that a number, or what is true or false, never equals."""
    if kind not in {"Bool", "Numeric"} or asked.family != "string":
        return []
    fold = "ignorecase" in asked.operator.base
    return [
        value
        for value in asked.condition.values
        if not any(char in value for char in "*?$")
        and (
            number(value) is None
            if kind == "Numeric"
            else (value.lower() if fold else value) not in {"true", "false"}
        )
    ]


class _Type(NamedTuple):
    """The operator *families* that can compare values of a type, and how messages name it."""

    families: tuple[str, ...]
    of: str
    operator: str


_TYPES: Final = {
    "ARN": _Type(("arn", "string"), "an ARN", "ArnLike"),
    "Bool": _Type(("bool", "string"), "`true` or `false`", "Bool"),
    "Numeric": _Type(("numeric", "string"), "a number", "NumericEquals or another for numbers"),
    "Date": _Type(("date",), "a date", "DateLessThan or another date operator"),
    "IPAddress": _Type(("ip",), "an IP address", "IpAddress"),
    "String": _Type(("string",), "a text", "StringEquals or StringLike"),
}
"""The types of keys; dates and addresses have too many spellings to be compared as texts."""

_COMPARES: Final = {
    "arn": "ARNs",
    "binary": "bytes",
    "bool": "`true` and `false`",
    "date": "dates",
    "ip": "IP addresses",
    "numeric": "numbers",
    "string": "texts",
}


def absent_passes(subject: Subject) -> Iterator[Found]:
    """Yield ForAllValues in an Allow, on a single-valued key, that holds without a value.

    A value that is empty counts as none, so `Null` beside it is not enough; the claims of a token
    are never empty. The proof decides whether another condition requires a value.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
    """
    for item in subject.allows:
        for asked in item.asked:
            condition, kind = asked.condition, facts.key_type(asked.condition.key) or ""
            one = kind and not kind.startswith("ArrayOf")
            if asked.operator.qualifier != "forallvalues" or not one or asked.family == "null":
                continue
            for lacking, which in _without_value(asked):
                witness = matched(item, conditions=(*item.statement.conditions, lacking)).witness
                if witness:
                    yield item.found(
                        f"{condition.operator} also holds for a request {which}, because nothing "
                        "requires a value",
                        item.condition_place(condition),
                        f"use {condition.operator.partition(':')[2]}: the key has one value",
                        (_step(subject, item, witness.request, which),),
                    )
                    break


def _step(subject: Subject, item: Item, request: Request, which: str) -> Step:
    """Return *request* as a step, called by a principal that *item* names if there is one."""
    says = f"{request.action} {which}"
    if subject.attached or item.written.principal is None:
        return subject.step(request, says)
    called = request._replace(principal=item.caller, resource_account=EXAMPLE_ACCOUNT)
    return Step(called, authorizer_of(item.document).decide(called).outcome, says)


def _without_value(asked: KeyCondition) -> Iterator[tuple[Condition, str]]:
    """Yield conditions that hold without a value, and a description of these requests."""
    key = asked.condition.key
    yield Condition("Null", key, ("true",)), f"without `{key}`"
    if asked.family == "string" and not facts.is_provider_key(key):
        yield Condition("StringEquals", key, ("",)), f"in which `{key}` is empty"


def mixed(subject: Subject) -> Iterator[Found]:
    """Yield contradictory values of one condition: of several JSON types, or both booleans.

    Also keys that an operator has twice: condition keys ignore case, so both conditions must hold.
    """
    for item in subject.items:
        keys: dict[tuple[str, str], str] = {}
        for asked in item.asked:
            condition = asked.condition
            name = (condition.operator.lower(), condition.key.lower())
            if keys.setdefault(name, condition.key) != condition.key:
                yield item.found(
                    f"`{condition.key}` is the same key as `{keys[name]}`, because condition keys "
                    "ignore case: both conditions must hold",
                    item.condition_place(condition),
                    "write one list of values under one spelling",
                )
            given = {value.lower() for value in condition.values}
            if asked.family in {"bool", "null"} and given >= {"true", "false"}:
                yield item.found(
                    f"{condition.operator} lists both `true` and `false`: the value of "
                    f"`{condition.key}` makes no difference",
                    item.condition_place(condition),
                    "name one of them"
                    + (", or use `Null` to require the key" if asked.family == "bool" else ""),
                )
            elif len(_json_types(item, condition)) > 1:
                yield item.found(
                    f"the values of `{condition.key}` are of different JSON types",
                    item.condition_place(condition),
                    "write all of them as strings, in quotation marks",
                )


def _json_types(item: Item, condition: Condition) -> set[type]:
    given = item.raw.get("Condition", {}).get(condition.operator, {}).get(condition.key)
    return {type(value) for value in given} if isinstance(given, list) else set()


def private_addresses(subject: Subject) -> Iterator[Found]:
    """Yield private addresses under aws:SourceIp, which is always a public one.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """
    for item, asked in subject.asked("ip"):
        values = asked.condition.values
        private = [value for value in values if _is_private(value)]
        if not private or asked.condition.key.lower() != "aws:sourceip":
            continue
        if len(private) < len(values):
            effect = "these values make no difference"
        elif asked.operator.negated:
            effect = "the condition holds for every request from a public address"
        else:
            effect = "the condition holds for no request from a public address"
        yield item.found(
            f"`{asked.condition.key}` is a public address, and {listed(private)} "
            f"{'are' if len(private) > 1 else 'is'} private: {effect}",
            item.condition_place(asked.condition),
            "name the public addresses that requests come from; for requests from inside a VPC "
            "use `aws:VpcSourceIp` with `aws:SourceVpc`",
        )


def _is_private(text: str) -> bool:
    if network(text) is None:
        return False
    whole = ipaddress.ip_network(text, strict=False)
    return any(
        whole.version == each.version and whole.subnet_of(each)  # type: ignore[arg-type]
        for each in _private_networks()
    )


@cache
def _private_networks() -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    texts = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16")
    return tuple(ipaddress.ip_network(text) for text in (*texts, "fc00::/7", "fe80::/10"))


def host_bits(subject: Subject) -> Iterator[Found]:
    """Yield address ranges with bits set beyond the prefix length."""
    for item, asked in subject.asked("ip"):
        for index, value in enumerate(asked.condition.values):
            if network(value) is None or "/" not in value:
                continue
            whole = str(ipaddress.ip_network(value, strict=False))
            if ipaddress.ip_interface(value).ip != ipaddress.ip_network(whole)[0]:
                yield item.found(
                    f"`{value}` is the range `{whole}`: the bits after the prefix are ignored",
                    item.condition_place(asked.condition, index),
                    f"write `{whole}`, or a longer prefix length for a single address",
                )


_SERVICE: Final = (SERVICE.pattern, "a service, `ec2.amazonaws.com`")
_IDS: Final = {
    "aws:calledvia": _SERVICE,
    "aws:calledviafirst": _SERVICE,
    "aws:calledvialast": _SERVICE,
    "aws:principalservicename": _SERVICE,
    "iam:awsservicename": _SERVICE,
    "iam:passedtoservice": _SERVICE,
    "kms:viaservice": (
        r"[a-z0-9-]+\.[a-z]+(-[a-z]+)+-[0-9]\.amazonaws\.com(\.cn)?",
        "a service in a region, `s3.us-east-1.amazonaws.com`",
    ),
    "aws:sourcevpc": ("vpc-[0-9a-f]{8,17}", "a VPC, `vpc-0a1b2c3d4e5f60001`"),
    "aws:sourcevpce": ("vpce-[0-9a-f]{8,17}", "a VPC endpoint, `vpce-0a1b2c3d4e5f60001`"),
    "aws:principalorgid": ("o-[a-z0-9]{10,32}", "an organization, `o-a1b2c3d4e5`"),
    "aws:resourceorgid": ("o-[a-z0-9]{10,32}", "an organization, `o-a1b2c3d4e5`"),
    "aws:sourceorgid": ("o-[a-z0-9]{10,32}", "an organization, `o-a1b2c3d4e5`"),
    "aws:principalaccount": ("[0-9]{12}", "an account, 12 digits"),
    "aws:resourceaccount": ("[0-9]{12}", "an account, 12 digits"),
    "aws:sourceaccount": ("[0-9]{12}", "an account, 12 digits"),
    "s3:x-amz-server-side-encryption-aws-kms-key-id": (
        "arn:aws[a-z-]*:kms:[^:]+:[0-9]{12}:key/.+",
        "a KMS key, `arn:aws:kms:us-east-1:111122223333:key/KEY-ID`",
    ),
}
"""Keys whose values are ids in a form that AWS documents, with the kind of the id.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
https://docs.aws.amazon.com/organizations/latest/APIReference/API_Organization.html
https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#key-id-key-ARN
"""


def ids(subject: Subject) -> Iterator[Found]:
    """Yield values of id keys that do not have the form of an id."""
    for item, asked in subject.asked():
        form, of = _IDS.get(asked.condition.key.lower(), (None, ""))
        if form is None or asked.family != "string":
            continue
        for index, value in enumerate(asked.condition.values):
            if any(c in value for c in "*?$") or re.fullmatch(form, value):
                continue
            yield item.found(
                f"`{value}` is not the id of {of.partition(',')[0]}, which "
                f"`{asked.condition.key}` always is",
                item.condition_place(asked.condition, index),
                f"name the id of {of}",
            )
