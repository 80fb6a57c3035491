"""Callers that policies of resources tell apart: accounts, sessions, partitions.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.prove.adversarial._build import (
    EXCEEDS,
    WITHIN,
    Case,
    Json,
    apart,
    both_ways,
    document,
    said,
    same,
)

ACCOUNT, OTHER = "111122223333", "444455556666"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
USER = f"arn:aws:iam::{ACCOUNT}:user/b"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/a"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/a/s"


def to(principal: Any, condition: Json | None = None, *, effect: str = "Allow") -> Json:
    """A statement about a principal of AWS, or about everyone for `*`."""
    named = principal if principal == "*" else {"AWS": principal}
    return said(effect, condition or {}) | {"Principal": named}


def but(principal: Any) -> Json:
    """A Deny of everyone else."""
    return said("Deny", {}) | {"NotPrincipal": {"AWS": principal}}


def arn(pattern: str, operator: str = "ArnLike") -> Json:
    return {operator: {"aws:PrincipalArn": pattern}}


def accounts() -> Iterator[Case]:
    """An account's id and its root stand for everyone in it."""
    yield from same("an id is its root", document(to(ACCOUNT)), document(to(ROOT)))
    yield from both_ways("a user of its account", document(to(USER)), document(to(ACCOUNT)))
    yield from both_ways("an account of everyone", document(to(ACCOUNT)), document(to("*")))
    yield from apart("two accounts", document(to(ACCOUNT)), document(to(OTHER)))
    yield from apart(
        "accounts one digit apart", document(to(ACCOUNT)), document(to(f"{ACCOUNT[:-1]}4"))
    )
    yield from both_ways(
        "the account in a key",
        document(to("*", {"StringEquals": {"aws:PrincipalAccount": ACCOUNT}})),
        document(to("*")),
    )
    yield from both_ways("one that is refused", document(to(ROOT), to(USER, effect="Deny")),
                         document(to(ROOT)))  # fmt: skip
    yield from both_ways(
        "one digit of an account left open",
        document(to("*", arn(USER))),
        document(to("*", arn("arn:aws:iam::1?1122223333:user/b"))),
    )
    yield from same(
        "a pattern that one account is left of",
        document(to(ACCOUNT, arn("arn:aws:iam::1?1122223333:user/b"))),
        document(to(ACCOUNT, arn(USER))),
    )


def sessions() -> Iterator[Case]:
    """A role stands for its sessions; a session for itself."""
    yield from both_ways("a session of its role", document(to(SESSION)), document(to(ROLE)))
    yield from apart(
        "two sessions", document(to(SESSION)), document(to(SESSION.replace("/s", "/t")))
    )
    yield from both_ways(
        "a session has its role's ARN", document(to(SESSION)), document(to("*", arn(ROLE)))
    )
    yield Case(
        "no session's ARN is a principal's",
        document(to("*", arn(f"arn:aws:sts::{ACCOUNT}:assumed-role/*", "StringLike"))),
        document(to(OTHER)),
        WITHIN,
    )
    yield Case(
        "a federated user's session has its own ARN",
        document(to("*", arn(f"arn:aws:sts::{ACCOUNT}:federated-user/b"))),
        document(to(OTHER)),
        EXCEEDS,
    )
    yield Case(
        "a root among accounts left open",
        document(to("*", arn("arn:aws:iam::1?1122223333:root"))),
        document(to("*", arn(ROOT))),
        EXCEEDS,
    )
    yield from both_ways("all but a role refused", document(to("*"), but([ROLE, ROOT])),
                         document(to("*")))  # fmt: skip


def partitions() -> Iterator[Case]:
    """An ARN is of one partition, an account's id of none; a `*` for it is of all."""
    any_partition = f"arn:*:iam::{ACCOUNT}:user/b"
    yield from same(
        "the root's partition is its users'",
        document(to(ROOT, arn(any_partition))),
        document(to(ROOT, arn(USER))),
    )
    yield Case(
        "an open partition, and the root of one",
        document(to(ROOT, arn("arn:*:iam::1?1122223333:user/b"))),
        document(to(OTHER)),
        EXCEEDS,
    )
    yield from same(
        "an account is in one partition",
        document(to(ROOT, arn(any_partition))),
        document(to(ACCOUNT, arn(any_partition))),
    )
    china = ROOT.replace("arn:aws:", "arn:aws-cn:")
    yield from apart("two partitions", document(to(ROOT)), document(to(china)))
    yield from both_ways("two partitions and one", document(to(china)), document(to([ROOT, china])))
