"""Concrete requests for what statements say: values for condition keys, ARNs for patterns.

Rules use them to search for a request that proves a finding; the engine decides each, so a sample
that misses costs a witness and never the truth of a finding.
"""

from __future__ import annotations

import re
from itertools import islice, product
from typing import TYPE_CHECKING, Any, Final

from cml_iam import facts
from cml_iam.engine import Request
from cml_iam.facts import is_region, overlap, same_key
from cml_iam.lint._conditions import NULL, parse_operator
from cml_iam.policy import pattern_matches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cml_iam.facts import Action, ArnPattern, Target
    from cml_iam.lint._subject import Item, Subject
    from cml_iam.policy import Condition

Context = dict[str, Any]

MAX_REQUESTS: Final = 4096
ACCOUNT: Final = "111122223333"
PARTITION: Final = "aws"
REGIONS: Final = ("us-east-1", "eu-central-1", "ap-southeast-2")
"""Tried beside those a policy names; at least one is in no list of two."""

KNOWN_REGIONS: Final = (
    *REGIONS,
    *("us-east-2", "us-west-1", "us-west-2", "ca-central-1", "sa-east-1", "eu-west-1"),
    *("eu-north-1", "ap-northeast-1", "ap-south-1", "me-central-1", "af-south-1", "il-central-1"),
    *("cn-north-1", "cn-northwest-1", "us-gov-west-1", "us-gov-east-1"),
)
"""Examples for patterns of regions such as `us-*`."""

_WILD: Final = re.compile(r"[*?]")
_IDS: Final = {
    "instance": "i-0a1b2c3d4e5f60001",
    "image": "ami-0a1b2c3d4e5f60001",
    "volume": "vol-0a1b2c3d4e5f60001",
    "network-interface": "eni-0a1b2c3d4e5f60001",
    "security-group": "sg-0a1b2c3d4e5f60001",
    "subnet": "subnet-0a1b2c3d4e5f60001",
    "snapshot": "snap-0a1b2c3d4e5f60001",
}


def base_context(subject: Subject, action: Action, region: str) -> Context:
    """Return the condition keys every request for *action* has."""
    return base_context_of(subject, action.service, region)


def base_context_of(subject: Subject, service: str, region: str) -> Context:
    """Return the condition keys every request to *service* has."""
    account = subject.account or ACCOUNT
    context: Context = {
        "aws:CurrentTime": "2026-01-01T12:00:00Z",
        "aws:PrincipalAccount": account,
        "aws:PrincipalArn": f"arn:{subject.partition or PARTITION}:iam::{account}:user/example",
        "aws:PrincipalType": "User",
        "aws:RequestedRegion": region,
        "aws:SecureTransport": "true",
        "aws:SourceIp": "203.0.113.10",
        "aws:username": "example",
    }
    if service == "ec2":
        context["ec2:Region"] = region
    return context


def granting(subject: Subject, request: Request) -> Item | None:
    """Return a statement that decides *request*."""
    deciding = {id(each.statement) for each in subject.authorizer.decide(request).statements}
    found = (item for each, item in subject.by_statement.items() if each in deciding)
    return next(found, None)


def concerning(subject: Subject, *actions: Action) -> list[Item]:
    """Return the statements about any of *actions*."""
    return [item for item in subject.items if any(says(item, action) for action in actions)]


def says(item: Item, action: Action) -> bool:
    """Say whether the statement is about *action*."""
    if item.statement.not_action is not None:
        excluded = item.statement.not_action
        return not any(pattern_matches(each, action.full, ignore_case=True) for each in excluded)
    return item.everything or action.full in item.actions


def requests(
    subject: Subject,
    action: Action,
    target: Target,
    items: Iterable[Item],
    *,
    fixed: Context | None = None,
    without: frozenset[str] = frozenset(),
) -> Iterator[Request]:
    """Yield requests for *action* on *target* that tell the conditions of *items* apart.

    *fixed* are keys that have these values; those *without* (by `same_key`) are left out.
    """
    statements = list(items)
    keys = _keys(statements, target, without | {same_key(key) for key in fixed or {}})
    domains = [_domain(key, conditions) for key, conditions in keys.items()]
    made = (
        Request(action.full, arn, None, _context(base, keys, values) | (fixed or {}))
        for region in _regions(statements)
        for base in [base_context(subject, action, region)]
        for arn in _arns(subject, statements, target, region)
        for values in product(*domains)
    )
    return islice(made, MAX_REQUESTS)


def _context(base: Context, keys: Iterable[str], values: Iterable[Any]) -> Context:
    context = dict(base)
    for key, value in zip(keys, values, strict=True):
        if value is not None:
            context[key] = value
            if same_key(key).startswith("aws:resourcetag/"):
                tag = key.partition("/")[2]
                context |= resource_tag(tag, value)
    return context


def resource_tag(tag: str, value: str) -> Context:
    """Return the keys of a resource with the tag: EC2 fills both spellings."""
    return {f"aws:ResourceTag/{tag}": value, f"ec2:ResourceTag/{tag}": value}


def _keys(items: list[Item], target: Target, without: frozenset[str]) -> dict[str, list[Condition]]:
    """Return the conditions by key: each key once, and only those *target* has."""
    found: dict[str, tuple[str, list[Condition]]] = {}
    for item in items:
        for condition in item.statement.conditions:
            name = same_key(condition.key)
            if name in without or is_region(condition.key) or not target.keys.has(condition.key):
                continue
            found.setdefault(name, (condition.key, []))[1].append(condition)
    return dict(found.values())


def _domain(key: str, conditions: list[Condition]) -> list[Any]:
    """Return values of *key*: absent for a tag, one no condition names, one of each condition."""
    several = (facts.key_type(key) or "").startswith("ArrayOf")
    named = [
        filled(key, value) if _takes_wildcards(condition) else value
        for condition in conditions
        if _asks_for_value(condition)
        for value in condition.values[:3]
        if "${" not in value
    ]
    if (facts.key_type(key) or "").endswith("IPAddress"):
        named = [value.partition("/")[0] for value in named]  # an address of the range
    values: list[Any] = [other(key, named), *dict.fromkeys(named)]
    if several:
        values = [[value] for value in values]
    optional = "tag" in key.lower() or any(not _asks_for_value(each) for each in conditions)
    return [None, *values] if optional else values


def _asks_for_value(condition: Condition) -> bool:
    op = parse_operator(condition.operator)
    return op is not None and op.base != NULL


def _takes_wildcards(condition: Condition) -> bool:
    op = parse_operator(condition.operator)
    return op is not None and ("like" in op.base or op.base.startswith("arn"))


def filled(key: str, pattern: str) -> str:
    """Return a text that *pattern* stands for."""
    if not _WILD.search(pattern):
        return pattern
    many = "large" if key.lower() == "ec2:instancetype" else "x"
    return pattern.replace("?", "2").replace("*", many)


def other(key: str, named: list[str]) -> str:
    """Return a value for *key* that is likely none of *named*."""
    lower = key.lower()
    if lower == "ec2:instancetype":
        return "x2iedn.32xlarge"
    kind = (facts.key_type(key) or "").removeprefix("ArrayOf")
    if kind == "Bool":
        return "false" if "true" in named else "true"
    if kind == "Numeric":
        return "1000000"
    if kind == "Date":
        return "2026-01-01T12:00:00Z"
    if kind == "IPAddress":
        return "198.51.100.99"
    if kind == "ARN":
        return "arn:aws:iam::999999999999:role/other"
    return "something-else"


def _regions(items: list[Item]) -> list[str]:
    named = [
        _region(value)
        for item in items
        for condition in item.statement.conditions
        if is_region(condition.key)
        for value in condition.values[:3]
    ]
    literal = [
        pattern[3]
        for item in items
        for _, pattern in item.resources
        if pattern[3] and not _WILD.search(pattern[3])
    ]
    return list(dict.fromkeys((*named, *literal, *REGIONS)))


def _region(pattern: str) -> str:
    if not _WILD.search(pattern):
        return pattern
    matching = (each for each in KNOWN_REGIONS if pattern_matches(pattern, each))
    return next(matching, _WILD.sub("1", pattern))


def _arns(subject: Subject, items: list[Item], target: Target, region: str) -> list[str]:
    if not target.type:
        return ["*"]
    patterns = dict.fromkeys(pattern for item in items for _, pattern in item.resources)
    made = [
        arn
        for wanted in target.arns
        for pattern in (*patterns, wanted)
        if overlap(pattern, wanted)
        for arn in [_arn(subject, pattern, wanted, target, region)]
        if arn.split(":", 4)[3] in ("", region)
    ]
    return list(dict.fromkeys(made))


def _arn(
    subject: Subject, pattern: ArnPattern, wanted: ArnPattern, target: Target, region: str
) -> str:
    defaults = (
        *("arn", subject.partition or PARTITION, ""),
        *(region, subject.account or ACCOUNT),
    )
    fields = [
        _field(mine, theirs, default)
        for mine, theirs, default in zip(pattern[:5], wanted[:5], defaults, strict=True)
    ]
    return ":".join((*fields, _resource(pattern[5], wanted[5], target)))


def _field(mine: str, theirs: str, default: str) -> str:
    """Return a text for both patterns of one field."""
    for each in (mine, theirs):
        if not _WILD.search(each):
            return each
    return default


def _resource(mine: str, wanted: str, target: Target) -> str:
    name = _IDS.get(target.type, "example")
    for each in (mine, wanted):
        if not _WILD.search(each):
            return each
    chosen = mine if "/" in mine or ":" in mine or mine.strip("*") else wanted
    return chosen.replace("?", "0").replace("*", name)
