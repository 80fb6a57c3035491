"""The callers that resource policies distinguish: by name, account, session, service."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Final

from cml_iam.facts import (
    EXAMPLE_ACCOUNT,
    FIELDS,
    OTHER_ACCOUNT,
    principal_account,
    principal_arn,
    same_key,
)
from cml_iam.space._globs import ACCOUNT_ID, Glob, Symbol, Wild, glob, representatives
from cml_iam.space._statements import KeyCondition, Part, all_plain

PRINCIPAL_ARN: Final = "aws:principalarn"
PRINCIPAL_ACCOUNT: Final = "aws:principalaccount"
ANONYMOUS: Final = "anonymous"
UNTOLD: Final = "not-documented"
"""A value unlike any other, for keys about a service or a federated user."""

_ACCOUNT_ARN: Final = re.compile(r"arn:([^:]*):(?:iam|sts)::([^:]*):(.*)", re.DOTALL)
_KINDS: Final = ("user/foreign", "role/foreign", "root")
_ARNS: Final = (
    ("iam", "user/?*"), ("iam", "role/?*"), ("iam", "root"), ("sts", "federated-user/?*"),
)  # fmt: skip
"""The service and the resource in every possible form of aws:PrincipalArn."""

PRINCIPAL_ARNS: Final = tuple(
    glob(f"arn:?*:{service}::", inside=True).then(ACCOUNT_ID).then(glob(f":{kind}"))
    for service, kind in _ARNS
)
"""The possible ARNs in aws:PrincipalArn."""


def callers_of(parts: Sequence[Part], partitions: Sequence[str]) -> tuple[list[str | None], bool]:
    """Return a caller of each class, None if it is anonymous; and whether every class has one."""
    named = list(dict.fromkeys(ids for part in parts for ids in part.principal_ids))
    named_accounts = list(dict.fromkeys(_accounts(parts, named)))
    usual = (OTHER_ACCOUNT, EXAMPLE_ACCOUNT, "444455556666", "777788889999")
    fresh = next((account for account in usual if account not in named_accounts), "123456123456")
    accounts = (*named_accounts, fresh)
    callers = [caller for kind, text in named for caller in _about(kind, text)]
    callers += [
        f"arn:{partition}:iam::{account}:{kind}"
        for partition, account, kind in product(partitions, accounts, _KINDS)
    ]
    by_pattern, complete = _by_pattern(parts, partitions, accounts)
    conditions = (*_testing(parts, PRINCIPAL_ARN), *_testing(parts, PRINCIPAL_ACCOUNT))
    complete = complete and not any(condition.needs() for condition in conditions)
    complete = complete and all_plain(_testing(parts, PRINCIPAL_ACCOUNT))
    others = ("other.amazonaws.com", f"arn:aws:iam::{OTHER_ACCOUNT}:oidc-provider/other", None)
    return list(dict.fromkeys((*callers, *by_pattern, *others))), complete


def account_key(caller: str | None) -> str | None:
    """Return the value of aws:PrincipalAccount for *caller*; even an anonymous caller has one.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalaccount
    """
    return ANONYMOUS if caller is None else principal_account(caller)


def is_signed(caller: str | None) -> bool:
    """Return whether every request of *caller* is signed with AWS credentials.

    Requests with an identity provider's token are not signed:
    https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
    """
    return principal_arn(caller) is not None


def _testing(parts: Sequence[Part], key: str) -> Iterator[KeyCondition]:
    for part in parts:
        for condition in part.asked:
            if same_key(condition.condition.key) == key:
                yield condition


def _about(kind: str, text: str) -> Iterator[str]:
    """Yield the callers that a principal's id names, including sessions of a role."""
    if kind == "AWS" and not text.startswith("arn:"):
        return
    yield text
    match = _ACCOUNT_ARN.fullmatch(text)
    if match and match[3].startswith("role/"):
        role = match[3].rpartition("/")[2]
        yield f"arn:{match[1]}:sts::{match[2]}:assumed-role/{role}/session"
    if match and match[3].startswith("user/"):
        user = match[3].removeprefix("user/")
        yield f"arn:{match[1]}:sts::{match[2]}:federated-user/{user}"


def _accounts(parts: Sequence[Part], named: Iterable[tuple[str, str]]) -> Iterator[str]:
    for kind, text in named:
        match = _ACCOUNT_ARN.fullmatch(text)
        if match:
            yield match[2]
        elif kind == "AWS" and re.fullmatch(r"[0-9]+", text):
            yield text
    for condition in _testing(parts, PRINCIPAL_ACCOUNT):
        yield from (v for v in condition.condition.values if re.fullmatch(r"[0-9]+", v))


def home_partitions(parts: Sequence[Part]) -> Iterator[tuple[str, str]]:
    """Yield accounts that *parts* name in only one partition, with that partition.

    A `Principal` must name it: AWS stores no policy with a principal that does not exist, but
    accepts any value in a condition.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
    """
    elements = (part.statement.principal for part in parts)
    named = {text for element in elements if element for _, texts in element.ids for text in texts}
    there = {match[2] for text in named if (match := _ACCOUNT_ARN.fullmatch(text))}
    by_account: dict[str, set[str]] = {}
    texts = [text for part in parts for _, text in part.principal_ids]
    texts += ["".join(map(_written, pattern.symbols)) for pattern in _patterns(parts)]
    for text in texts:
        match = _ACCOUNT_ARN.fullmatch(text)
        if match and not {"*", "?"} & {*match[1], *match[2]}:
            by_account.setdefault(match[2], set()).add(match[1])
    for account, partitions in by_account.items():
        if len(partitions) == 1 and account in there:
            yield account, min(partitions)


def partition_of_caller(caller: str | None) -> str | None:
    """Return the partition in the ARN of *caller*; None for a service or an anonymous caller."""
    match = _ACCOUNT_ARN.fullmatch(caller or "")
    return match[1] if match else None


def is_elsewhere(caller: str | None, home: str) -> bool:
    """Return whether *caller* is in the account of the ARN *home*, but another partition."""
    match, own = _ACCOUNT_ARN.fullmatch(caller or ""), _ACCOUNT_ARN.fullmatch(home)
    return bool(match and own and match[2] == own[2] and match[1] != own[1])


def _written(symbol: Symbol) -> str:
    return symbol.value[0] if isinstance(symbol, Wild) else symbol


def _patterns(parts: Sequence[Part]) -> Iterator[Glob]:
    for condition in _testing(parts, PRINCIPAL_ARN):
        yield from condition.globs({})


def _by_pattern(
    parts: Sequence[Part], partitions: Sequence[str], accounts: Sequence[str]
) -> tuple[list[str], bool]:
    """Return callers with each ARN that the conditions on aws:PrincipalArn distinguish.

    Principals distinguish callers too: an account id names callers in any partition, the ARN of the
    account's root only those in one.
    """
    globs = list(_patterns(parts))
    if not globs:
        return [], True
    readable = [text for pattern in globs for text in _filled(pattern, partitions)]
    globs += [glob(f"arn:{partition}:*") for partition in partitions]
    globs += [glob(f"arn:*:*::{account}:*", inside=True) for account in accounts]
    callers: list[str] = []
    complete = True
    for (service, kind), universe in zip(_ARNS, PRINCIPAL_ARNS, strict=True):
        hints = [
            f"arn:{partition}:{service}::{account}:{kind.replace('?*', 'foreign')}"
            for partition, account in product(partitions, accounts)
        ]
        texts, all_there = representatives(globs, [*hints, *readable], universe)
        callers += texts
        complete = complete and all_there
    return callers, complete


def _filled(pattern: Glob, partitions: Sequence[str]) -> Iterator[str]:
    """Yield *pattern* as the ARN of each kind of caller, with AWS's placeholders for wildcards."""
    for (service, kind), partition in product(_ARNS, partitions):
        fill = {2: service, 4: OTHER_ACCOUNT, 5: kind.replace("?*", "foreign")}
        fields, field = [""] * FIELDS, 0
        for symbol in pattern.symbols:
            if symbol == ":" and field < FIELDS - 1:
                field += 1
            elif not isinstance(symbol, Wild):
                fields[field] += symbol
            elif field == 1:
                fill[1] = partition
            else:
                fields[field] += "1" if _written(symbol) == "?" else fill.get(field, "")
        fields[1] = fill.get(1, fields[1])
        yield ":".join(fields)
