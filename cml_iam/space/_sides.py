"""The policies of one side of a question, compiled, and what their statements have in common.

AWS's texts disagree on whether `*` in the first five fields of an ARN stops at a colon: the guide
says that a wildcard cannot span fields, but some published examples imply that it can. The engine
stops at colons, and adds missing fields to a short pattern. In the other reading (`taking_colons`),
a short pattern becomes several complete ones: one for each way in which its wildcards can contain
the missing colons.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, wraps
from typing import Any, Final, Literal, NamedTuple, TypeVar

from cml_iam.engine import Authorizer, OperatorName, Outcome, PolicyType, Request, compile_policies
from cml_iam.engine.parts import Caller, Naming, applies
from cml_iam.facts import FIELDS, ArnPattern, arn_pattern, covers, key_type, overlap, same_key
from cml_iam.policy import Condition, PolicyDocument, Statement
from cml_iam.space._statements import KeyCondition, Part
from cml_iam.space._values import Query, values_of


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


def _mapped(policies: Policies, change: Callable[[PolicyDocument], Any]) -> Policies:
    resource, session = policies.resource, policies.session
    return policies._replace(
        identity=tuple(map(change, policies.identity)),
        boundary=None if policies.boundary is None else tuple(map(change, policies.boundary)),
        resource=None if resource is None else change(resource),
        session=None if session is None else tuple(map(change, session)),
        scps=tuple(tuple(map(change, level)) for level in policies.scps),
    )


def documents(source: Policies) -> Iterator[PolicyDocument]:
    """Yield all documents of one side."""
    yield from source.identity
    yield from source.boundary or ()
    yield from source.session or ()
    for level in source.scps:
        yield from level
    if source.resource is not None:
        yield source.resource


def statements_of(source: Policies) -> Iterator[Statement]:
    """Yield all statements of one side."""
    return (statement for document in documents(source) for statement in document.statements)


Made = TypeVar("Made")

KEPT: Final = 16
"""The maximum number of sides whose results are cached."""


@dataclass(frozen=True, slots=True)
class _These:
    """Documents as a cache key: by identity, as equal documents may be at different places."""

    ids: Policies
    policies: Policies = field(compare=False)


def once(make: Callable[[Policies], Made]) -> Callable[[Policies], Made]:
    """Return *make* with its results cached by documents."""
    cached = lru_cache(KEPT)(lambda key: make(key.policies))
    return wraps(make)(lambda policies: cached(_These(_mapped(policies, id), policies)))


@dataclass(frozen=True)
class Side:
    """One side of a question: the engine for its policies, and their statements by role.

    A statement of each of *gates* must match to allow a request, and none of *denies* may match.
    """

    policies: Policies
    authorizer: Authorizer
    gates: tuple[tuple[Part, ...], ...]
    denies: tuple[Part, ...]

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """All statements."""
        return (*self.denies, *(part for gate in self.gates for part in gate))

    @cached_property
    def lists(self) -> frozenset[str]:
        """The keys that its conditions treat as a list, by `same_key`."""
        return frozenset().union(*map(_lists, self.parts))

    def outcome(self, request: Request) -> Outcome:
        """Decide *request*; a resource's policy decides by what it grants the caller."""
        if not self.policies.of_resource:
            return self.authorizer.decide(request).outcome
        effects = {compiled.statement.effect for _, compiled in self.authorizer.matched(request)}
        if "Deny" in effects:
            return "explicitDeny"
        return "allowed" if effects else "implicitDeny"


def _lists(part: Part) -> frozenset[str]:
    tested = (condition.condition.key for condition in part.asked if condition.operator.qualifier)
    return frozenset(map(same_key, tested))


@once
def side_of(policies: Policies) -> Side:
    """Compile *policies*."""
    counted = Policies(resource=policies.resource) if policies.of_resource else policies
    authorizer = compile_policies(
        counted.identity,
        boundary=counted.boundary,
        session=counted.session,
        scps=counted.scps,
        resource=counted.resource,
    )
    caller = Caller.parse(policies.caller)
    bounded = policies.boundary is not None
    allows: list[tuple[PolicyType, tuple[Part, ...]]] = []
    denies: list[Part] = []
    for gate in authorizer.gates:
        if policies.of_resource and gate.kind == "identity":
            continue
        if not applies(gate.kind, caller, of_resource=policies.of_resource):
            continue
        parts = list(map(Part, gate.statements))
        if gate.kind == "resource" and not policies.of_resource:
            named = (p for p in parts if p.naming(caller, bounded=bounded) is not Naming.NOT)
            parts = [part.for_named() for part in named]
        allows.append((gate.kind, tuple(p for p in parts if p.statement.effect == "Allow")))
        denies += [part for part in parts if part.statement.effect == "Deny"]
    if policies.resource is None or policies.of_resource:
        gates = tuple(parts for _, parts in allows)
    else:
        gates = tuple(_beside_resource(allows, caller, policies.counts))
    return Side(policies, authorizer, gates, tuple(denies))


def _beside_resource(
    allows: Sequence[tuple[PolicyType, tuple[Part, ...]]], caller: Caller, counts: str
) -> Iterator[tuple[Part, ...]]:
    """Yield the gates for *caller* with a resource's policy, in the engine's order.

    If the policy names the caller itself, only the organization's policies must allow too. If it
    names the caller's role, the boundary and the session policies must as well. Naming only the
    account grants nothing. Statements that name the caller are therefore added to the gates that
    they make unnecessary.
    """
    *others, (_, of_resource) = allows
    alone = () if counts == "both" else of_resource
    direct = tuple(part for part in alone if part.naming(caller) is Naming.DIRECTLY)
    own = tuple(part for part in alone if part.naming(caller) is Naming.IDENTITY)
    unneeded = {"identity": (*direct, *own), "boundary": direct, "session": direct}
    for kind, parts in others:
        yield (*parts, *unneeded.get(kind, ()))
    if counts != "grants":
        yield of_resource


MAX_WILDCARDS: Final = 12
"""The maximum number of wildcards in one pattern that may match colons; more need too much memory.
"""

_ARN_OPERATORS: Final = frozenset({"arnlike", "arnequals", "arnnotlike", "arnnotequals"})


@once
def taking_colons(policies: Policies) -> Policies:
    """Return *policies* in the reading where wildcards match colons; itself if it is the same."""
    texts = (text for statement in statements_of(policies) for text in _arns(statement))
    if not any(_readings(text)[1:] for text in texts):
        return policies
    other = _mapped(
        policies,
        lambda document: replace(
            document, statements=tuple(map(_read_otherwise, document.statements))
        ),
    )
    return policies if other == policies else other


def _arns(statement: Statement) -> Iterator[str]:
    yield from statement.resource or ()
    yield from statement.not_resource or ()
    for condition in filter(_compares_arns, statement.conditions):
        yield from condition.values


def _compares_arns(condition: Condition) -> bool:
    return OperatorName.parse(condition.operator).base in _ARN_OPERATORS


def _read_otherwise(statement: Statement) -> Statement:
    return replace(
        statement,
        resource=statement.resource and _every_reading(statement.resource),
        not_resource=statement.not_resource and _every_reading(statement.not_resource),
        conditions=tuple(
            replace(condition, values=_every_reading(condition.values))
            if _compares_arns(condition)
            else condition
            for condition in statement.conditions
        ),
    )


def _every_reading(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(reading for text in texts for reading in _readings(text)))


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
    readings: dict[str, None] = {text: None}
    pending = [("", text, lacking)]
    while pending:
        done, rest, left = pending.pop()
        if not rest:
            if not left:
                readings[done] = None
            continue
        char = rest[0]
        pending.append((done + char, rest[1:], left))
        if char == "?" and left:
            pending.append((done + ":", rest[1:], left - 1))
        if char == "*":
            pending += [
                (done + "*" + ":*" * colons, rest[1:], left - colons)
                for colons in range(1, left + 1)
            ]
    return tuple(_widest(readings))


def _widest(texts: Iterable[str]) -> Iterator[str]:
    """Yield the *texts* that no earlier one covers, field by field."""
    kept: list[ArnPattern] = []
    for text in texts:
        pattern = arn_pattern(text)
        if pattern is None or not any(covers(earlier, pattern) for earlier in kept):
            yield text
            kept += [pattern] if pattern else []


def apart(one: Part, other: Part) -> bool:
    """Return whether no request matches both, because of resources or two conditions on one key.

    False if only further conditions, or facts about AWS, rule out such a request: an EC2 key is
    another name of a global key only in requests to EC2. Also if the key has a set operator, since
    AWS's pages disagree on how it reads an empty value.
    """
    if _on_other_resources(one.statement, other.statement):
        return True
    listed = _lists(one) | _lists(other)
    theirs: dict[str, list[KeyCondition]] = {}
    for condition in other.asked:
        if same_key(condition.condition.key) not in listed:
            theirs.setdefault(condition.condition.key.lower(), []).append(condition)
    return any(
        _contradict(mine, condition)
        for mine in one.asked
        for condition in theirs.get(mine.condition.key.lower(), ())
    )


def _on_other_resources(one: Statement, other: Statement) -> bool:
    """Return whether *other* applies to no resource that *one* names in Resource.

    False if an element is not an ARN, because only the engine can match it.
    """
    mine = [arn_pattern(text) for text in one.resource or ()]
    theirs = [arn_pattern(text) for text in other.resource or ()]
    excluded = [arn_pattern(text) for text in other.not_resource or () if "${" not in text]
    if not mine or None in mine or None in theirs:
        return False
    named = [pattern for pattern in mine if pattern]
    if other.resource is not None:
        return not any(their and overlap(own, their) for own in named for their in theirs)
    return all(any(out and covers(out, own) for out in excluded) for own in named)


@lru_cache(1 << 12)
def _contradict(one: KeyCondition, other: KeyCondition) -> bool:
    # They may spell the key in different cases; a request has one of them.
    key = one.condition.key
    # If the type of a key is unknown, another statement may treat it as a list.
    if key_type(key) is None or one.needs() or other.needs():
        return False
    result = values_of(Query((key,), (one, other)))
    contexts = ({} if value is None else {key: value} for value in result.values)
    return not result.missing and not any(
        one.test(context) and other.test(context) for context in contexts
    )
