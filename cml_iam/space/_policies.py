"""What is asked about: the policies of one side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import Final, Literal, TypeVar

from cml_iam.policy import PolicyDocument


@dataclass(frozen=True, slots=True)
class Policies:
    """One side of a question: what is attached to a principal, or the policy of a resource.

    *identity* are all policies attached beside each other; the *boundary*, the *session* policies
    and each level of *scps*, from the root to the account, must allow too.

    *resource* is a policy that names principals. Without a *caller* it is the only one, and judged
    by what it says to anybody; with one, it is what the resource says to this user or role, beside
    the other policies in the engine's order of evaluation. *counts* says how: it `grants` what
    they do not, it `must` allow as well (a role's trust policy, a key's policy), or `both` sides
    must (the resource is another account's).
    """

    identity: tuple[PolicyDocument, ...] = ()
    boundary: tuple[PolicyDocument, ...] | None = None
    resource: PolicyDocument | None = None
    session: tuple[PolicyDocument, ...] | None = None
    scps: tuple[tuple[PolicyDocument, ...], ...] = ()
    caller: str | None = None
    counts: Literal["grants", "must", "both"] = "grants"

    @property
    def of_resource(self) -> bool:
        """Whether this is the policy of a resource that anybody may call."""
        return self.resource is not None and self.caller is None


def documents(source: Policies) -> Iterator[PolicyDocument]:
    """Yield all documents of one side."""
    yield from source.identity
    yield from source.boundary or ()
    yield from source.session or ()
    for level in source.scps:
        yield from level
    if source.resource is not None:
        yield source.resource


Made = TypeVar("Made")

KEPT: Final = 16
"""Sides that what was made of them is kept for."""


@dataclass(frozen=True, slots=True, eq=False)
class _These:
    """Policies as a key: the very same documents, for equal ones may stand at other places."""

    policies: Policies

    def __hash__(self) -> int:
        return hash(self._identities())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _These) and self._identities() == other._identities()

    def _identities(self) -> tuple[object, ...]:
        one = self.policies
        lengths = tuple(None if each is None else len(each) for each in (one.boundary, one.session))
        levels = tuple(map(len, one.scps))
        said = (one.caller, one.counts, one.resource is None)
        return len(one.identity), lengths, levels, said, *map(id, documents(one))


def once(make: Callable[[Policies], Made]) -> Callable[[Policies], Made]:
    """Return *make*, which asked again about the same documents answers what it did."""
    made = lru_cache(KEPT)(lambda key: make(key.policies))
    return wraps(make)(lambda policies: made(_These(policies)))
