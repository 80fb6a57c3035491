"""Whether a user or role may do something: never, always, or under conditions.

First, the known facts about the requests are substituted into the policies. Then the proof decides
whether any request is allowed, and whether every request is. Principals with the same remaining
statements share one proof.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from cml_iam.errors import InputError
from cml_iam.policy import VERSION_2012, PolicyDocument, Statement
from cml_iam.principal import Held
from cml_iam.prove import Policies, Shape, always, never
from cml_iam.who._account import OF_TRUST
from cml_iam.who._facts import Facts, facts_of, facts_of_question
from cml_iam.who._left import Gathering, Left, remaining
from cml_iam.who._reduced import Origin, federated_users, reduced, spoken_to, stand_in

if TYPE_CHECKING:
    from cml_iam.engine import PolicyType, Request
    from cml_iam.who._account import Account, Member

Answer = Literal["no", "yes", "depends", "undecided"]
Counts = Literal["grants", "must"]

ANYTHING: Final = Statement(0, "Allow", "any policy", action=("*",), resource=("*",))
"""The permissions of a principal that gave itself every permission."""

MUST: Final = (*OF_TRUST, "kms:")
"""Prefixes of actions that the resource's policy must allow as well."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question: who may do *action* on *resource* when a request meets *conditions*."""

    action: str
    resource: str = "*"
    conditions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)
    id: str = ""

    @classmethod
    def of(cls, shape: Shape, id: str = "") -> Question:  # noqa: A002 - what it is called
        """Return the question for *shape*; raises InputError if there is more than one."""
        plain = shape.not_actions is None and len(shape.actions) == 1
        if not plain or {"*", "?"} & set(shape.actions[0]):
            raise InputError("name one action, in full: `ec2:StopInstances`")
        if shape.not_resources is not None or len(shape.resources) > 1:
            raise InputError("name one resource: an ARN, which may have wildcards, or `*`")
        return cls(shape.actions[0], shape.resources[0], shape.conditions, id)

    def of_any(self) -> Question:
        """Return the same question about any user, role, group or policy, if this names one."""
        if ":iam:" not in self.resource or {"*", "?"} & set(self.resource):
            return self
        return replace(self, resource=f"{self.resource.partition('/')[0]}/example")

    @property
    def shape(self) -> Shape:
        """The requests in question."""
        return Shape((self.action,), (self.resource,), self.conditions)


@dataclass(frozen=True, slots=True)
class State:
    """A *member* with its own policies, perhaps after it changed them.

    *granted*: it gave itself every permission; *free*: it removed its permissions boundary;
    *joined*: the group to which it added itself; *retagged*: it chose its own tags.
    """

    member: Member
    granted: bool = False
    free: bool = False
    joined: str = ""
    retagged: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
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


@dataclass(frozen=True, slots=True)
class Reach:
    """The policies of a principal on an action; principals with the same *key* get the same answer.

    *beginnings* are the beginnings of the resources on which identity policies allow the action.
    """

    key: Hashable
    beginnings: frozenset[str]

    def covers(self, arn: str) -> bool:
        """Return whether a policy may allow the action on *arn*."""
        return arn.startswith(tuple(self.beginnings))


@dataclass(frozen=True, slots=True)
class _Class:
    """All principals with the same remaining *sets* of statements and the same known facts."""

    question: Question
    sets: tuple[tuple[PolicyType, frozenset[Statement]], ...]
    facts: tuple[tuple[str, str, str], ...]
    caller: str | None
    counts: Counts


@dataclass(frozen=True, slots=True)
class _Decided:
    """The answer about a class: *by* policy kind (as a number) and statement.

    *idle* are statements that allow nothing here, because their conditions contradict each other.
    """

    answer: Answer
    by: tuple[tuple[int, Statement], ...] = ()
    idle: frozenset[tuple[int, Statement]] = frozenset()
    example: Request | None = None
    refused: Request | None = None
    reason: str = ""
    colon: str = ""


NO: Final = _Decided("no")
ANOTHERS: Final = (
    "the resource is in account {}: its own policy must allow it too, but is unknown (pass "
    "--resource-policies)"
)
FEDERATE: Final = "sts:GetFederationToken"
FEDERATED: Final = (
    "the resource's policy names federated-user sessions ({}), which this command does not follow, "
    "and this user may call sts:GetFederationToken"
)
RESOURCE_POLICY: Final = "the resource's policy"
TRUST: Final = "its trust policy"
SELF_GRANTED: Final = Held("its own making", None, PolicyDocument((ANYTHING,), VERSION_2012))


class Asker:
    """Answers questions about the members of one account at one point in time."""

    def __init__(self, account: Account, now: datetime) -> None:
        self.account = account
        self._now = now
        self._gathering = Gathering()
        self._scps = tuple(tuple(Held(e.name, None, e) for e in scp) for scp in account.scps)
        self._facts: dict[tuple[str, bool], Facts] = {}
        self._of_question: dict[Question, dict[str, str | None]] = {}
        self._of_state: dict[Any, tuple[Left, ...]] = {}
        self._decided: dict[_Class, _Decided] = {}

    def cell(self, question: Question, state: State, trust: PolicyDocument | None = None) -> Cell:
        """Answer *question* for *state*, with the resource's policy if it is known.

        *trust* replaces the trust policy of the role in question.
        """
        unread = state.member.holdings.unread
        if unread:
            return Cell("undecided", reason="; ".join(each.words for each in unread))
        decided, lefts = self._decide(question, state, trust)
        open_to_them = decided.answer in {"yes", "depends"}
        if open_to_them and trust is None and self.is_another_accounts(question):
            return Cell("undecided", reason=ANOTHERS.format(question.resource.split(":")[4]))
        federated = self._federated(question, state) if decided.answer == "no" else ()
        if federated:
            return Cell("undecided", reason=FEDERATED.format(", ".join(federated)))
        return _told(decided, lefts, question)

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
        return self._decide(question, state, trust)[0].answer in {"yes", "depends"}

    def reach(self, action: str, state: State) -> Reach | None:
        """Return the policies of *state* on *action*; None if a policy type allows it nowhere."""
        lefts = self._lefts(Question(action), state)
        if state.member.holdings.unread or not all(left.allows for left in lefts):
            return None
        key = tuple(e.said for e in lefts), self._needed(Question(action), state, lefts)
        return Reach(key, lefts[0].beginnings)

    def _decide(
        self, question: Question, state: State, trust: PolicyDocument | None
    ) -> tuple[_Decided, tuple[Left, ...]]:
        said = trust or self.account.policy_on(question.action, question.resource)
        lefts = tuple(left.about(question.resource) for left in self._lefts(question, state))
        allowed = all(left.allows for left in lefts)
        if said is None and not allowed:
            return NO, lefts
        caller, must = None, question.action.lower().startswith(MUST)
        if said is not None:
            spoken = self._of_resource(question, state, said)
            if not spoken.allows and (must or not allowed):
                return NO, lefts
            lefts = (*lefts, spoken)
            caller = stand_in(state.member.arn)
        kind = question if any(left.names_resources for left in lefts) else question.of_any()
        facts = self._needed(question, state, lefts)
        key = _Class(
            kind, tuple(e.said for e in lefts), facts, caller, "must" if must else "grants"
        )
        if key not in self._decided:
            self._decided[key] = _decide(key)
        return self._decided[key], lefts

    def _lefts(self, question: Question, state: State) -> tuple[Left, ...]:
        """Return the remaining statements of every type of policy that limits *state*."""
        known = tuple(self._known(question).items())
        key = (state, question.action, known)
        if key not in self._of_state:
            self._of_state[key] = self._made_lefts(question, state)
        return self._of_state[key]

    def _made_lefts(self, question: Question, state: State) -> tuple[Left, ...]:
        facts, action = self._facts_of(question, state), question.action
        left, holdings = self._gathering.left, state.member.holdings
        joined = self.account.groups.get(state.joined)
        own = (*holdings.policies, *(joined.policies if joined else ()))
        lefts = [left("identity", (SELF_GRANTED,) if state.granted else own, action, facts)]
        if holdings.boundary and not state.free:
            lefts.append(left("boundary", (holdings.boundary,), action, facts))
        if not state.member.service_linked:
            lefts += [left("scp", scp, action, facts) for scp in self._scps]
        return tuple(lefts)

    def _of_resource(self, question: Question, state: State, said: PolicyDocument) -> Left:
        """Return the remaining statements of the resource's policy for *state*."""
        facts = self._facts_of(question, state)
        bounded = state.member.holdings.boundary is not None and not state.free
        name = TRUST if question.action.lower().startswith(OF_TRUST) else RESOURCE_POLICY
        found: dict[Statement, tuple[Origin, ...]] = {}
        for statement in self._gathering.compiled.about(said, "resource", question.action):
            left = reduced(statement, question.action, facts)
            if left is None:
                continue
            origin = Origin(name, statement.statement.label, None, "resource")
            for named, sessions in spoken_to(statement, state.member, bounded=bounded):
                conditions = (*left.conditions, *sessions)
                one = replace(left, principal=named, conditions=conditions)
                found[one] = (*found.get(one, ()), origin)
        return Left("resource", found).about(question.resource)

    def _facts_of(self, question: Question, state: State) -> Facts:
        key = state.member.arn, state.retagged
        if key not in self._facts:
            facts = facts_of(state.member, self.account, self._now)
            self._facts[key] = facts.without_tags() if state.retagged else facts
        own, more = self._facts[key], self._known(question)
        return replace(own, values={**own.values, **more}) if more else own

    def _known(self, question: Question) -> Mapping[str, str | None]:
        if question not in self._of_question:
            self._of_question[question] = facts_of_question(question.shape)
        return self._of_question[question]

    def _needed(
        self, question: Question, state: State, lefts: tuple[Left, ...]
    ) -> tuple[tuple[str, str, str], ...]:
        """Return conditions for the known values of keys that the statements still test."""
        names = frozenset().union(*(left.keys for left in lefts))
        if not names:
            return ()
        facts = self._facts_of(question, state)
        found = []
        for key in sorted(names):
            if key in facts.like:
                found.append(("StringLike", key, facts.like[key]))
            elif facts.knows(key):
                value = facts.values.get(key)
                known = ("Null", key, "true") if value is None else ("StringEquals", key, value)
                found.append(known)
        return tuple(found)


def _told(decided: _Decided, lefts: Sequence[Left], question: Question) -> Cell:
    """Return the answer for one member of a class, with the statements of its own policies."""
    by = dict.fromkeys(o for n, each in decided.by for o in lefts[n].statements[each])
    remains: tuple[str, ...] = ()
    if decided.answer == "depends":
        left = [
            {e: o for e, o in each.statements.items() if (n, e) not in decided.idle}
            for n, each in enumerate(lefts)
        ]
        words = (w for each in left for w in remaining(each, question.resource))
        remains = tuple(dict.fromkeys(words))
    return Cell(
        decided.answer,
        tuple(by),
        remains,
        _about(decided.example, question),
        _about(decided.refused, question),
        decided.reason,
        decided.colon,
    )


def _about(request: Request | None, question: Question) -> Request | None:
    """Return *request* with the resource of *question*, if it is about a single one."""
    if request is None or question.of_any() == question:
        return request
    return request._replace(resource=question.resource)


def _decide(one: _Class) -> _Decided:
    """Answer the question for one class with the proof."""
    conditions = {operator: dict(block) for operator, block in one.question.conditions.items()}
    for operator, key, value in one.facts:
        conditions.setdefault(operator, {}).setdefault(key, value)
    shape = replace(one.question.shape, conditions=conditions)
    policies, numbered = _policies_of(one)
    possible = never(policies, shape)
    if possible.answer == "undecided":
        return _Decided("undecided", reason=possible.reason)
    if possible.answer == "holds" or possible.witness is None:
        return _Decided("no", colon=possible.colon or "")
    certain = always(policies, shape)
    deciding = possible.witness.candidate.statements
    by = tuple(numbered[reason.kind, reason.level, reason.statement.index] for reason in deciding)
    example = possible.witness.request
    if certain.answer == "holds":
        return _Decided("yes", by, example=example)
    idle = frozenset(_idle(one, shape))
    refused = certain.witness.request if certain.witness else None
    return _Decided("depends", by, idle, example, refused, certain.reason)


def _idle(one: _Class, shape: Shape) -> Iterator[tuple[int, Statement]]:
    """Yield the statements that allow no request, if there are others that do."""
    for number, (kind, statements) in enumerate(one.sets):
        allows = [statement for statement in statements if statement.effect == "Allow"]
        if len(allows) < 2:
            continue
        for allow in allows:
            alone = (kind, statements - {*allows} | {allow})
            sets = (*one.sets[:number], alone, *one.sets[number + 1 :])
            if never(_policies_of(replace(one, sets=sets))[0], shape).holds:
                yield number, allow


def _policies_of(one: _Class) -> tuple[Policies, dict[Any, tuple[int, Statement]]]:
    """Return policies with the statements of a class, and these by kind, level and number."""
    numbered: dict[Any, tuple[int, Statement]] = {}
    made: dict[str, list[PolicyDocument]] = {}
    for place, (kind, statements) in enumerate(one.sets):
        level = len(made.get("scp", ())) + 1 if kind == "scp" else None
        ordered = sorted(statements, key=repr)
        numbered |= {(kind, level, n): (place, each) for n, each in enumerate(ordered)}
        numbering = tuple(replace(each, index=n) for n, each in enumerate(ordered))
        made.setdefault(kind, []).append(PolicyDocument(numbering, VERSION_2012, name=kind))
    boundary = made.get("boundary")
    policies = Policies(
        tuple(made["identity"]),
        tuple(boundary) if boundary else None,
        next(iter(made.get("resource", ())), None),
        scps=tuple((document,) for document in made.get("scp", ())),
        caller=one.caller,
        counts=one.counts,
    )
    return policies, numbered
