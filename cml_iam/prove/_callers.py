"""The callers that policies of resources tell apart: by name, account, session, service."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from cml_iam.engine._principal import Caller
from cml_iam.prove._globs import glob, representatives
from cml_iam.prove._hints import ACCOUNT, OTHER_ACCOUNT
from cml_iam.reference import same_key

if TYPE_CHECKING:
    from cml_iam.prove._globs import Glob
    from cml_iam.prove._statements import Part
    from cml_iam.prove._values import Asked

PRINCIPAL_ARN: Final = "aws:principalarn"
PRINCIPAL_ACCOUNT: Final = "aws:principalaccount"
_ACCOUNT_ARN: Final = re.compile(r"arn:([^:]*):(?:iam|sts)::([^:]*):(.*)", re.DOTALL)
_KINDS: Final = ("user/foreign", "role/foreign", "root")


def callers_of(parts: Sequence[Part]) -> tuple[list[str | None], bool]:
    """Return callers, one at least of each class that *parts* tell apart; whether that is all.

    None is an anonymous one.
    """
    named = list(dict.fromkeys(_named(parts)))
    accounts = list(dict.fromkeys((*_accounts(parts, named), *_fresh(_accounts(parts, named)))))
    made = [caller for each in named for caller in _about(each)]
    made += [f"arn:aws:iam::{account}:{kind}" for account in accounts for kind in _KINDS]
    more, complete = _by_pattern(parts, accounts)
    complete = complete and all(map(_is_simple, _about_callers(parts)))
    fresh = ("other.amazonaws.com", "arn:aws:iam::999999999999:oidc-provider/other", None)
    return list(dict.fromkeys((*made, *more, *fresh))), complete


def principal_arn(caller: str | None) -> str | None:
    """Return what aws:PrincipalArn holds for *caller*: for a session the role's ARN.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalarn
    """
    match = _ACCOUNT_ARN.fullmatch(caller or "")
    if not match or "-provider/" in match[3]:
        return None
    if match[3].startswith("assumed-role/"):
        role = match[3].split("/")[1]
        return f"arn:{match[1]}:iam::{match[2]}:role/{role}"
    return caller


def principal_account(caller: str | None) -> str | None:
    """Return what aws:PrincipalAccount holds for *caller*."""
    return Caller.parse(caller).account if principal_arn(caller) else None


def _about_callers(parts: Sequence[Part]) -> Iterator[Asked]:
    for part in parts:
        for each in part.asked:
            if same_key(each.condition.key) in {PRINCIPAL_ARN, PRINCIPAL_ACCOUNT}:
                yield each


def _is_simple(asked: Asked) -> bool:
    """Say whether the callers made are all that *asked* tells apart."""
    if same_key(asked.condition.key) == PRINCIPAL_ARN:
        return not asked.needs()
    plain = (g.plain for g in asked.globs({}))
    return not asked.needs() and None not in plain


def _named(parts: Sequence[Part]) -> Iterator[tuple[str, str]]:
    for part in parts:
        for element in (part.statement.principal, part.statement.not_principal):
            for kind, ids in element.ids if element else ():
                yield from ((kind, each) for each in ids)


def _about(named: tuple[str, str]) -> Iterator[str]:
    """Yield callers that a principal's id names, and sessions of a role."""
    kind, text = named
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
    for part in parts:
        for each in part.asked:
            if same_key(each.condition.key) == PRINCIPAL_ACCOUNT:
                yield from (v for v in each.condition.values if re.fullmatch(r"[0-9]+", v))


def _fresh(named: Iterable[str]) -> Iterator[str]:
    taken = set(named)
    usual = (OTHER_ACCOUNT, ACCOUNT, "444455556666", "777788889999")
    yield next((each for each in usual if each not in taken), "123456123456")


def _by_pattern(parts: Sequence[Part], accounts: Sequence[str]) -> tuple[list[str], bool]:
    """Return callers whose ARNs the conditions on aws:PrincipalArn tell apart."""
    globs: list[Glob] = [
        g
        for part in parts
        for each in part.asked
        if same_key(each.condition.key) == PRINCIPAL_ARN
        for g in each.globs({})
    ]
    if not globs:
        return [], True
    globs += [glob(f"arn:*:iam::{account}:*", inside=True) for account in accounts]
    found: list[str] = []
    complete = True
    for kind in ("user", "role"):
        universe = glob(f"arn:?*:iam::?*:{kind}/?*")
        hints = [f"arn:aws:iam::{account}:{kind}/foreign" for account in accounts]
        texts, all_there = representatives(globs, hints, universe)
        found += texts
        complete = complete and all_there
    return found, complete
