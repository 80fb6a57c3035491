"""Condition values that the operator cannot parse, or that cannot be intended.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final, NamedTuple

from cml_iam import facts
from cml_iam.engine import Request
from cml_iam.engine.parts import Keys, Scope, compile_condition, network, number
from cml_iam.lint._ask import always_holds, authorizer_of, matched
from cml_iam.lint._corrections import with_wildcards
from cml_iam.lint._finding import Fault, Step, are, listed
from cml_iam.lint._names import SERVICE, VARIABLE
from cml_iam.lint._subject import Clause, Item
from cml_iam.policy import Condition


def values(clause: Clause) -> Iterator[Fault]:
    if not clause.operator.known:
        return
    if not clause.values:
        yield clause.fault(
            f"`{clause.key}` has no values, so {_consequence(clause)}",
            "give it a value, or remove it",
        )
    _, form = _FAMILIES[clause.family]
    scope = Scope(variables=clause.variables, keys=Keys())
    for index, value in enumerate(clause.values):
        if clause.family == "bool" and "${" in value and clause.variables:
            yield clause.fault(
                f"{clause.condition.operator} `{value}`: AWS documents policy variables only for "
                "operators on texts and ARNs",
                form,
                index,
            )
        if clause.family in {"string", "arn"} and "${" in value:
            continue  # said by the rule about variables
        alone = replace(clause.condition, values=(value,))
        for problem in compile_condition(alone, scope).problems if clause.problems else ():
            yield clause.fault(f"{problem}: {_consequence(clause)}", form, index)


_FAMILIES: Final = {
    "arn": (
        "ARNs",
        "an ARN is `arn:partition:service:region:account:resource`, wildcards allowed",
    ),
    "binary": ("bytes", None),
    "bool": ("`true` and `false`", "write `true` or `false`"),
    "date": ("dates", "a date is `2026-01-31T12:00:00Z`, or seconds since 1970"),
    "ip": (
        "IP addresses",
        "an address is `192.0.2.1`, a range `192.0.2.0/24` or `2001:db8::/32`",
    ),
    "null": (None, "write `true` (the key is absent) or `false` (it is present)"),
    "numeric": ("numbers", "a number is `3600` or `0.5`, without a unit"),
    "string": (
        "texts",
        "a policy variable is `${aws:username}`; for a dollar sign write `${$}`",
    ),
}
"""What operators compare, and how it is written."""


def _consequence(clause: Clause) -> str:
    """State when the condition holds in the requests that its statement otherwise matches."""
    item, condition = clause.item, clause.condition
    if matched(item, conditions=()).holds:
        return "it matches nothing"
    if matched(item, conditions=(condition,)).holds:
        return "the condition never holds"
    if always_holds(item, condition):
        return "the condition always holds"
    present = Condition("Null", condition.key, ("false",))
    if matched(item, conditions=(condition, present)).holds:
        return f"the condition holds only for requests without `{condition.key}`"
    return "this value never matches"


def literal_wildcards(clause: Clause) -> Iterator[Fault]:
    base, operator = clause.operator.base, clause.condition.operator
    # Users choose the text of these keys.
    free = "tag" in clause.name or clause.name in {"aws:useragent", "aws:referer", "s3:delimiter"}
    if not clause.operator.known or base not in _LITERAL or free:
        return
    name, note = _LITERAL[base]
    for index, value in enumerate(clause.values):
        if any(char in VARIABLE.sub("", value) for char in "*?"):
            exact = not note and operator.lower() == base
            yield clause.fault(
                f"{operator} treats the wildcard in `{value}` as a plain character",
                f"use {name}{note}",
                index,
                correction=with_wildcards(clause, name) if exact else None,
            )


_LITERAL: Final = {
    "stringequals": ("StringLike", ""),
    "stringnotequals": ("StringNotLike", ""),
    "stringequalsignorecase": ("StringLike", ", which is case-sensitive"),
    "stringnotequalsignorecase": ("StringNotLike", ", which is case-sensitive"),
}


def operator_types(clause: Clause) -> Iterator[Fault]:
    qualifier, operator = clause.operator.qualifier, clause.condition.operator
    if clause.family == "null" and qualifier:
        yield clause.fault(
            f"{operator} {'always' if qualifier == 'forallvalues' else 'never'} holds: Null tests "
            "whether the key is present, not its values",
            "use `Null` without a qualifier",
        )
    kind = (facts.key_type(clause.key) or "").removeprefix("ArrayOf")
    if not clause.operator.known or kind not in _TYPES or clause.family == "null":
        return
    of = _TYPES[kind]
    if clause.name in facts.several_values() and not qualifier:
        yield clause.fault(
            f"`{clause.key}` has several values, and {operator} never holds for several",
            f"use ForAnyValue:{operator} or ForAllValues:{operator}",
        )
    elif not _fits(clause, kind):
        yield clause.fault(
            f"`{clause.key}` is {of.words}, and {operator} compares {_FAMILIES[clause.family][0]}",
            f"use {of.operator}",
        )
    elif never := _never(clause, kind):
        yield clause.fault(
            f"`{clause.key}` is {of.words}, never {listed(never)}",
            f"use {of.operator}, or the intended key",
        )


def _fits(clause: Clause, kind: str) -> bool:
    """Return whether AWS documents the operator for a key of the type *kind*.

    Users choose the text of a tag or of an encryption context, so it can be an ARN or a boolean.
    """
    families = _TYPES[kind].families
    if kind == "String" and any(part in clause.name for part in ("tag", "context", "arn")):
        families += ("arn", "bool")
    return clause.family in families or (clause.name, clause.family) == ("aws:epochtime", "numeric")


def _never(clause: Clause, kind: str) -> list[str]:
    """Return the texts that a number, or what is true or false, never equals."""
    if kind not in {"Bool", "Numeric"} or clause.family != "string":
        return []
    fold = "ignorecase" in clause.operator.base
    plain = [value for value in clause.values if not any(char in value for char in "*?$")]
    if kind == "Numeric":
        return [value for value in plain if number(value) is None]
    return [value for value in plain if (value.lower() if fold else value) not in {"true", "false"}]


class _Type(NamedTuple):
    """The operator *families* that can compare values of a type, and how messages name it."""

    families: tuple[str, ...]
    words: str
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


def absent_passes(clause: Clause) -> Iterator[Fault]:
    """Yield ForAllValues in an Allow, on a single-valued key, that holds without a value.

    A value that is empty counts as none, so `Null` beside it is not enough; the claims of a token
    are never empty. The proof decides whether another condition requires a value.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
    """
    item, key, operator = clause.item, clause.key, clause.condition.operator
    kind = facts.key_type(key) or "ArrayOf"
    one = clause.operator.qualifier == "forallvalues" and not kind.startswith("ArrayOf")
    if not one or clause.family == "null" or not item.allows:
        return
    without = {f"without `{key}`": Condition("Null", key, ("true",))}
    if clause.family == "string" and not facts.is_provider_key(key):
        without[f"in which `{key}` is empty"] = Condition("StringEquals", key, ("",))
    for which, lacking in without.items():
        if witness := matched(item, conditions=(*item.statement.conditions, lacking)).witness:
            yield clause.fault(
                f"{operator} also holds for a request {which}, because nothing requires a value",
                f"use {operator.partition(':')[2]}: the key has one value",
                witness=(_step(item, witness.request, which),),
            )
            return


def _step(item: Item, request: Request, which: str) -> Step:
    """Return *request* as a step, called by a principal that *item* names if there is one."""
    says = f"{request.action} {which}"
    if item.subject.attached or item.written.principal is None:
        return item.subject.step(request, says)
    name = next((n for _, names in item.principals() for n in names if n != "*"), None)
    caller = f"arn:aws:iam::{name}:root" if name and name.isdecimal() else name
    called = request._replace(principal=caller, resource_account=facts.EXAMPLE_ACCOUNT)
    return Step(called, authorizer_of(item.document).decide(called).outcome, says)


def mixed(item: Item) -> Iterator[Fault]:
    """Yield values of several JSON types, both booleans, and keys that an operator has twice."""
    keys: dict[tuple[str, str], str] = {}
    for clause in item.clauses:
        operator, key = clause.condition.operator, clause.key
        first = keys.setdefault((operator.lower(), clause.name), key)
        if first != key:
            yield clause.fault(
                f"`{key}` is the same key as `{first}`, because condition keys ignore case: both "
                "conditions must hold",
                "write one list of values under one spelling",
            )
        written = item.raw.get("Condition", {}).get(operator, {}).get(key)
        types = {type(value) for value in written} if isinstance(written, list) else set()
        both = {value.lower() for value in clause.values} >= {"true", "false"}
        if both and clause.family in {"bool", "null"}:
            instead = ", or use `Null` to require the key" if clause.family == "bool" else ""
            yield clause.fault(
                f"{operator} lists both `true` and `false`: the value of `{key}` makes no "
                "difference",
                f"name one of them{instead}",
            )
        elif len(types) > 1:
            yield clause.fault(
                f"the values of `{key}` are of different JSON types",
                "write all of them as strings, in quotation marks",
            )


def private_addresses(clause: Clause) -> Iterator[Fault]:
    """Yield private addresses under aws:SourceIp, which is always a public one.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """
    if clause.family != "ip" or clause.name != "aws:sourceip":
        return
    private = [value for value in clause.values if _is_private(value)]
    if not private:
        return
    if len(private) < len(clause.values):
        effect = "these values make no difference"
    else:
        which = "every" if clause.operator.negated else "no"
        effect = f"the condition holds for {which} request from a public address"
    yield clause.fault(
        f"`{clause.key}` is a public address, and {listed(private)} {are(private)} private: "
        f"{effect}",
        "name the public addresses that requests come from; for requests from inside a VPC use "
        "`aws:VpcSourceIp` with `aws:SourceVpc`",
    )


def _is_private(text: str) -> bool:
    if network(text) is None:
        return False
    whole = ipaddress.ip_network(text, strict=False)
    return any(
        whole.version == private.version and whole.subnet_of(private)  # type: ignore[arg-type]
        for private in map(ipaddress.ip_network, _PRIVATE)
    )


_PRIVATE: Final = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
)


def host_bits(clause: Clause) -> Iterator[Fault]:
    for index, value in enumerate(clause.values if clause.family == "ip" else ()):
        if network(value) is None or "/" not in value:
            continue
        whole = ipaddress.ip_network(value, strict=False)
        if ipaddress.ip_interface(value).ip != whole[0]:
            yield clause.fault(
                f"`{value}` is the range `{whole}`: the bits after the prefix are ignored",
                f"write `{whole}`, or a longer prefix length for a single address",
                index,
            )


_SERVICE: Final = (SERVICE.pattern, "a service, `ec2.amazonaws.com`")
_ORGANIZATION: Final = ("o-[a-z0-9]{10,32}", "an organization, `o-a1b2c3d4e5`")
_ACCOUNT: Final = ("[0-9]{12}", "an account, 12 digits")
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
    "aws:principalorgid": _ORGANIZATION,
    "aws:resourceorgid": _ORGANIZATION,
    "aws:sourceorgid": _ORGANIZATION,
    "aws:principalaccount": _ACCOUNT,
    "aws:resourceaccount": _ACCOUNT,
    "aws:sourceaccount": _ACCOUNT,
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


def ids(clause: Clause) -> Iterator[Fault]:
    if clause.name not in _IDS or clause.family != "string":
        return
    form, words = _IDS[clause.name]
    for index, value in enumerate(clause.values):
        if not any(char in value for char in "*?$") and not re.fullmatch(form, value):
            yield clause.fault(
                f"`{value}` is not the id of {words.partition(',')[0]}, which `{clause.key}` "
                "always is",
                f"name the id of {words}",
                index,
            )
