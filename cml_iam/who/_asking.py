"""Whether a user or role may do something: never, always, or under conditions.

First, the known facts about the requests are substituted into the policies. Then the proof decides
whether any request is allowed, and whether every request is. Principals with the same remaining
statements share one proof.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from typing import Any, Final, Literal, NamedTuple

from cml_iam.engine import PolicyType, Request
from cml_iam.errors import InputError
from cml_iam.policy import VERSION_2012, PolicyDocument, Statement
from cml_iam.principal import Held
from cml_iam.prove import Policies, Shape, always, never
from cml_iam.who._account import OF_TRUST, Account, Member
from cml_iam.who._left import Gathering, Left, remaining
from cml_iam.who._reduced import (
    Facts,
    Origin,
    facts_of,
    facts_of_question,
    federated_users,
    reduced,
    spoken_to,
    stand_in,
)

Answer = Literal["no", "yes", "depends", "undecided"]

MUST: Final = (*OF_TRUST, "kms:")
"""Prefixes of actions that the resource's policy must allow as well."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question: who may do *action* on *resource* when a request meets *conditions*."""

    action: str
    resource: str = "*"
    conditions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, shape: Shape) -> Question:
        """Return the question for *shape*; raises InputError if there is more than one."""
        plain = shape.not_actions is None and len(shape.actions) == 1
        if not plain or {"*", "?"} & set(shape.actions[0]):
            raise InputError("name one action, in full: `ec2:StopInstances`")
        if shape.not_resources is not None or len(shape.resources) > 1:
            raise InputError("name one resource: an ARN, which may have wildcards, or `*`")
        return cls(shape.actions[0], shape.resources[0], shape.conditions)

    def of_any(self) -> Question:
        """Return the same question about any user, role, group or policy, if this names one."""
        if ":iam:" not in self.resource or {"*", "?"} & set(self.resource):
            return self
        return replace(self, resource=f"{self.resource.partition('/')[0]}/example")

    @property
    def shape(self) -> Shape:
        """The requests in question."""
        return Shape((self.action,), (self.resource,), self.conditions)


class State(NamedTuple):
    """A *member* with its own policies, perhaps after it changed them.

    *granted*: it gave itself every permission; *free*: it removed its permissions boundary;
    *joined*: the group to which it added itself; *retagged*: it chose its own tags.
    """

    member: Member
    granted: bool = False
    free: bool = False
    joined: str = ""
    retagged: bool = False


class Cell(NamedTuple):
    """The answer for one principal; *by* are the statements that allow the *example*.

    *remains* are the conditions on which the answer depends, one per line; *refused* is a request
    that does not meet them. *reason* says why the answer is undecided. *colon* is the proof's
    answer to `never` if wildcards in ARNs match colons, when that is different.
    """

    answer: Answer
    by: tuple[Origin, ...] = ()
    remains: tuple[str, ...] = ()
    example: Request | None = None
    refused: Request | None = None
    reason: str = ""
    colon: str = ""


class Reach(NamedTuple):
    """The policies of a principal on an action; principals with the same *key* get the same answer.

    *beginnings* are the beginnings of the resources on which identity policies allow the action.
    """

    key: Hashable
    beginnings: frozenset[str]

    def covers(self, arn: str) -> bool:
        """Return whether a policy may allow the action on *arn*."""
        return arn.startswith(tuple(self.beginnings))


class _Class(NamedTuple):
    """All principals with the same remaining *sets* of statements and the same known facts."""

    question: Question
    sets: tuple[tuple[PolicyType, frozenset[Statement]], ...]
    facts: tuple[tuple[str, str, str], ...]
    caller: str | None
    counts: Literal["grants", "must"]


class _Decided(NamedTuple):
    """The answer about a class, and the statements *by* which, each with the number of its set.

    *idle* are statements that allow nothing here, because their conditions contradict each other.
    """

    cell: Cell
    by: tuple[tuple[int, Statement], ...] = ()
    idle: frozenset[tuple[int, Statement]] = frozenset()


ANOTHERS: Final = (
    "the resource is in account {}: its own policy must allow it too, but is unknown (pass "
    "--resource-policies)"
)
FEDERATE: Final = "sts:GetFederationToken"
FEDERATED: Final = (
    "the resource's policy names federated-user sessions ({}), which this command does not follow, "
    "and this user may call sts:GetFederationToken"
)
ANYTHING: Final = Statement(0, "Allow", "any policy", action=("*",), resource=("*",))
SELF_GRANTED: Final = Held("its own making", None, PolicyDocument((ANYTHING,), VERSION_2012))
"""The policy of a principal that gave itself every permission."""


class Asker:
    """Answers questions about the members of one account at one point in time."""

    def __init__(self, account: Account, now: datetime) -> None:
        self.account = account
        self._now = now
        self._gathering = Gathering()
        self._scps = tuple(
            tuple(Held(document.name, None, document) for document in level)
            for level in account.scps
        )
        self._facts: dict[tuple[str, bool], Facts] = {}
        self._values_of = cache(lambda question: facts_of_question(question.shape))
        self._of_state: dict[Any, tuple[Left, ...]] = {}
        self._decided = cache(_decide)

    def cell(self, question: Question, state: State, trust: PolicyDocument | None = None) -> Cell:
        """Answer *question* for *state*; *trust* replaces the policy of the role in question."""
        unread = state.member.holdings.unread
        if unread:
            return Cell("undecided", reason="; ".join(policy.words for policy in unread))
        decided, lefts = self._decide(question, state, trust)
        possible = decided.cell.answer in {"yes", "depends"}
        if possible and trust is None and self.is_another_accounts(question):
            return Cell("undecided", reason=ANOTHERS.format(question.resource.split(":")[4]))
        federated = self._federated(question, state) if decided.cell.answer == "no" else ()
        if federated:
            return Cell("undecided", reason=FEDERATED.format(", ".join(federated)))
        return _for_member(decided, lefts, question)

    def is_another_accounts(self, question: Question) -> bool:
        """Return whether the resource is in another account and its policy is unknown."""
        owner = question.resource.split(":", 5)[4:5]
        of_another = owner and owner[0].isdigit() and owner[0] != self.account.number
        return bool(of_another) and not self.account.policy_on(question.action, question.resource)

    def _federated(self, question: Question, state: State) -> tuple[str, ...]:
        """Return the federated-user sessions that may do it, if *state* may start one."""
        document = self.account.policy_on(question.action, question.resource)
        if document is None or state.member.kind != "user":
            return ()
        names = tuple(federated_users(document, self.account.number))
        return names if names and self.reach(FEDERATE, state) else ()

    def possible(
        self, question: Question, state: State, trust: PolicyDocument | None = None
    ) -> bool:
        """Return whether the answer of `cell` is that something may be allowed."""
        if state.member.holdings.unread:
            return False
        return self._decide(question, state, trust)[0].cell.answer in {"yes", "depends"}

    def reach(self, action: str, state: State) -> Reach | None:
        """Return the policies of *state* on *action*; None if a policy type allows it nowhere."""
        lefts = self._lefts(Question(action), state)
        if state.member.holdings.unread or not all(left.allows for left in lefts):
            return None
        contents = tuple(left.content for left in lefts)
        return Reach((contents, self._needed(Question(action), state, lefts)), lefts[0].beginnings)

    def _decide(
        self, question: Question, state: State, trust: PolicyDocument | None
    ) -> tuple[_Decided, tuple[Left, ...]]:
        document = trust or self.account.policy_on(question.action, question.resource)
        lefts = tuple(left.about(question.resource) for left in self._lefts(question, state))
        allowed = all(left.allows for left in lefts)
        caller, must = None, question.action.lower().startswith(MUST)
        if document is None and not allowed:
            return _Decided(Cell("no")), lefts
        if document is not None:
            named = self._of_resource(question, state, document)
            if not named.allows and (must or not allowed):
                return _Decided(Cell("no")), lefts
            lefts = (*lefts, named)
            caller = stand_in(state.member.arn)
        key = _Class(
            question if any(left.names_resources for left in lefts) else question.of_any(),
            tuple(left.content for left in lefts),
            self._needed(question, state, lefts),
            caller,
            "must" if must else "grants",
        )
        return self._decided(key), lefts

    def _lefts(self, question: Question, state: State) -> tuple[Left, ...]:
        """Return the remaining statements of every type of policy that limits *state*."""
        action, holdings = question.action, state.member.holdings
        key = (state, action, tuple(self._values_of(question).items()))
        if key in self._of_state:
            return self._of_state[key]
        facts, left = self._facts_of(question, state), self._gathering.left
        joined = self.account.groups.get(state.joined)
        own = (*holdings.policies, *(joined.policies if joined else ()))
        lefts = [left("identity", (SELF_GRANTED,) if state.granted else own, action, facts)]
        if holdings.boundary and not state.free:
            lefts.append(left("boundary", (holdings.boundary,), action, facts))
        if not state.member.service_linked:
            lefts += [left("scp", level, action, facts) for level in self._scps]
        self._of_state[key] = tuple(lefts)
        return self._of_state[key]

    def _of_resource(self, question: Question, state: State, document: PolicyDocument) -> Left:
        """Return the remaining statements of the resource's policy for *state*."""
        facts = self._facts_of(question, state)
        bounded = state.member.holdings.boundary is not None and not state.free
        trust = question.action.lower().startswith(OF_TRUST)
        name = "its trust policy" if trust else "the resource's policy"
        named = []
        for compiled in self._gathering.about(document, "resource", question.action):
            left = reduced(compiled, question.action, facts)
            if left is None:
                continue
            origins = (Origin(name, compiled.statement.label, None, "resource"),)
            for caller, sessions in spoken_to(compiled, state.member, bounded=bounded):
                conditions = (*left.conditions, *sessions)
                named.append((replace(left, principal=caller, conditions=conditions), origins))
        return Left.of("resource", named).about(question.resource)

    def _facts_of(self, question: Question, state: State) -> Facts:
        key = state.member.arn, state.retagged
        if key not in self._facts:
            facts = facts_of(state.member, self.account, self._now)
            self._facts[key] = facts.without_tags() if state.retagged else facts
        own, values = self._facts[key], self._values_of(question)
        return replace(own, values={**own.values, **values}) if values else own

    def _needed(
        self, question: Question, state: State, lefts: tuple[Left, ...]
    ) -> tuple[tuple[str, str, str], ...]:
        """Return conditions for the known values of keys that the statements still test."""
        names = frozenset().union(*(left.keys for left in lefts))
        if not names:
            return ()
        facts = self._facts_of(question, state)
        needed = []
        for key in sorted(names):
            if key in facts.like:
                needed.append(("StringLike", key, facts.like[key]))
            elif facts.knows(key):
                value = facts.values.get(key)
                absent = ("Null", key, "true")
                needed.append(absent if value is None else ("StringEquals", key, value))
        return tuple(needed)


def _for_member(decided: _Decided, lefts: Sequence[Left], question: Question) -> Cell:
    """Return the answer for one member of a class, with the statements of its own policies."""
    by = dict.fromkeys(
        origin for number, statement in decided.by for origin in lefts[number].statements[statement]
    )
    remains: dict[str, None] = {}
    for number, left in enumerate(lefts if decided.cell.answer == "depends" else ()):
        idle = {statement for place, statement in decided.idle if place == number}
        statements = [statement for statement in left.statements if statement not in idle]
        remains |= dict.fromkeys(remaining(statements, question.resource))
    cell = decided.cell._replace(by=tuple(by), remains=tuple(remains))
    if question.of_any() == question:
        return cell
    # It was asked about an example of the resource.
    example, refused = (
        request and request._replace(resource=question.resource)
        for request in (cell.example, cell.refused)
    )
    return cell._replace(example=example, refused=refused)


def _decide(one: _Class) -> _Decided:
    conditions = {operator: dict(block) for operator, block in one.question.conditions.items()}
    for operator, key, value in one.facts:
        conditions.setdefault(operator, {}).setdefault(key, value)
    shape = replace(one.question.shape, conditions=conditions)
    policies = _policies_of(one)
    possible = never(policies, shape)
    if possible.answer == "undecided":
        return _Decided(Cell("undecided", reason=possible.reason))
    if possible.answer == "holds" or possible.witness is None:
        return _Decided(Cell("no", colon=possible.colon or ""))
    certain = always(policies, shape)
    by = tuple(
        (number, reason.statement)
        for number, (kind, statements) in enumerate(one.sets)
        for reason in possible.witness.candidate.statements
        if kind == reason.kind and reason.statement in statements
    )
    example = possible.witness.request
    if certain.answer == "holds":
        return _Decided(Cell("yes", example=example), by)
    refused = certain.witness.request if certain.witness else None
    cell = Cell("depends", example=example, refused=refused, reason=certain.reason)
    return _Decided(cell, by, frozenset(_idle(one, shape)))


def _idle(one: _Class, shape: Shape) -> Iterator[tuple[int, Statement]]:
    """Yield the statements that allow no request, if there are others that do."""
    for number, (kind, statements) in enumerate(one.sets):
        allows = [statement for statement in statements if statement.effect == "Allow"]
        for allow in allows if len(allows) > 1 else ():
            alone = (kind, statements - {*allows} | {allow})
            sets = (*one.sets[:number], alone, *one.sets[number + 1 :])
            if never(_policies_of(one._replace(sets=sets)), shape).holds:
                yield number, allow


def _policies_of(one: _Class) -> Policies:
    documents: dict[str, list[PolicyDocument]] = defaultdict(list)
    for kind, statements in one.sets:
        ordered = tuple(sorted(statements, key=repr))
        documents[kind].append(PolicyDocument(ordered, VERSION_2012, name=kind))
    return Policies(
        tuple(documents["identity"]),
        tuple(documents["boundary"]) or None,
        next(iter(documents["resource"]), None),
        scps=tuple((document,) for document in documents["scp"]),
        caller=one.caller,
        counts=one.counts,
    )
