"""The policies of one side of a question.

AWS's texts disagree on whether `*` in the first five fields of an ARN stops at a colon: the guide
says that a wildcard cannot span fields, but some published examples imply that it can. The engine
stops at colons, and adds missing fields to a short pattern. In the other reading (`taking_colons`),
a short pattern becomes several complete ones: one for each way in which its wildcards can contain
the missing colons.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeVar

from cml_iam.engine import OperatorName
from cml_iam.facts import FIELDS, arn_pattern, covers
from cml_iam.policy import PolicyDocument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cml_iam.facts import ArnPattern
    from cml_iam.policy import Condition, PolicyDocument, Statement


class Policies(NamedTuple):
    """One side of a question: the policies attached to a principal, or the policy of a resource.

    *identity* are all attached policies; the *boundary*, the *session* policies and each level of
    *scps*, from the root to the account, must allow too.

    *resource* is a policy that names principals. Without a *caller*, it is the only policy, and is
    judged by what it allows anybody. With a caller, a user or role, it is evaluated together with
    the other policies in the engine's order. *counts* says how: `grants` if it can allow what they
    do not, `must` if it has to allow as well (a role's trust policy, a key's policy), `both` if
    both sides have to (another account's resource).

    *partition* is the account's, if known: credentials are valid in only one partition.
    """

    identity: tuple[PolicyDocument, ...] = ()
    boundary: tuple[PolicyDocument, ...] | None = None
    resource: PolicyDocument | None = None
    session: tuple[PolicyDocument, ...] | None = None
    scps: tuple[tuple[PolicyDocument, ...], ...] = ()
    caller: str | None = None
    counts: Literal["grants", "must", "both"] = "grants"
    partition: str = ""

    @property
    def of_resource(self) -> bool:
        """Whether this is a resource's policy that anybody may call."""
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
"""The maximum number of sides whose results are cached."""


@dataclass(frozen=True, slots=True, eq=False)
class _These:
    """Documents as a cache key, by identity, as equal documents may be at different places."""

    policies: Policies

    def __hash__(self) -> int:
        return hash(self._identities())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _These) and self._identities() == other._identities()

    def _identities(self) -> tuple[object, ...]:
        one = self.policies
        lengths = tuple(None if each is None else len(each) for each in (one.boundary, one.session))
        levels = tuple(map(len, one.scps))
        said = (one.caller, one.counts, one.partition, one.resource is None)
        return len(one.identity), lengths, levels, said, *map(id, documents(one))


def once(make: Callable[[Policies], Made]) -> Callable[[Policies], Made]:
    """Return *make* with its results cached by documents."""
    made = lru_cache(KEPT)(lambda key: make(key.policies))
    return wraps(make)(lambda policies: made(_These(policies)))


MAX_WILDCARDS: Final = 12
"""The maximum number of wildcards in one pattern that may match colons; more need too much memory.
"""

_ARN_OPERATORS: Final = frozenset({"arnlike", "arnequals", "arnnotlike", "arnnotequals"})


@once
def taking_colons(policies: Policies) -> Policies:
    """Return *policies* in the reading where wildcards match colons; itself if it is the same."""
    if not any(_readings(text)[1:] for text in _arns(policies)):
        return policies
    made = policies._replace(
        identity=tuple(map(_document, policies.identity)),
        boundary=None if policies.boundary is None else tuple(map(_document, policies.boundary)),
        session=None if policies.session is None else tuple(map(_document, policies.session)),
        scps=tuple(tuple(map(_document, level)) for level in policies.scps),
        resource=None if policies.resource is None else _document(policies.resource),
    )
    return policies if made == policies else made


def _arns(policies: Policies) -> Iterator[str]:
    """Yield the patterns that are matched field by field."""
    for each in (
        statement for document in documents(policies) for statement in document.statements
    ):
        yield from each.resource or ()
        yield from each.not_resource or ()
        for condition in filter(_compares_arns, each.conditions):
            yield from condition.values


def _compares_arns(condition: Condition) -> bool:
    return OperatorName.parse(condition.operator).base in _ARN_OPERATORS


def _document(document: PolicyDocument) -> PolicyDocument:
    return replace(document, statements=tuple(map(_statement, document.statements)))


def _statement(said: Statement) -> Statement:
    return replace(
        said,
        resource=_patterns(said.resource),
        not_resource=_patterns(said.not_resource),
        conditions=tuple(map(_condition, said.conditions)),
    )


def _condition(condition: Condition) -> Condition:
    if not _compares_arns(condition):
        return condition
    return replace(condition, values=_patterns(condition.values) or ())


def _patterns(texts: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if texts is None:
        return None
    return tuple(dict.fromkeys(made for text in texts for made in _readings(text)))


@lru_cache(1 << 12)
def _readings(text: str) -> tuple[str, ...]:
    """Return *text*, and the patterns in which its wildcards contain the missing colons.

    A text with five colons lacks none: a wildcard could match another colon only if the resource's
    own name contained a colon and the rest of the pattern. A text with more than MAX_WILDCARDS
    wildcards is only read as written.
    """
    lacking = FIELDS - 1 - text.count(":")
    wildcards = sum(c in "*?" for c in text)
    if lacking <= 0 or text == "*" or not 0 < wildcards <= MAX_WILDCARDS:
        return (text,)
    found: dict[str, None] = {text: None}
    pending = [("", text, lacking)]
    while pending:
        done, rest, left = pending.pop()
        if not rest:
            if not left:
                found[done] = None
            continue
        char = rest[0]
        pending.append((done + char, rest[1:], left))
        if char == "?" and left:
            pending.append((done + ":", rest[1:], left - 1))
        if char == "*":
            pending += [
                (done + "*" + ":*" * more, rest[1:], left - more) for more in range(1, left + 1)
            ]
    return tuple(_widest(found))


def _widest(texts: Iterable[str]) -> Iterator[str]:
    """Yield the *texts* that no earlier one covers, field by field."""
    known: list[ArnPattern] = []
    for text in texts:
        pattern = arn_pattern(text)
        if pattern is None or not any(covers(each, pattern) for each in known):
            yield text
            known += [pattern] if pattern else []
