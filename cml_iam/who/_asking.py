"""May this user or role do that: never, always, or it depends, and on what.

What is known of the requests is put into the policies first; then the proof is asked whether any
request is allowed, and whether every one is. Principals of whom the same statements are left are
asked about once.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal

from cml_iam.engine import OperatorName
from cml_iam.engine.parts import variable_keys
from cml_iam.errors import InputError
from cml_iam.facts import arn_pattern, covers
from cml_iam.policy import VERSION_2012, Condition, PolicyDocument, Statement
from cml_iam.principal import Held
from cml_iam.prove import Policies, Shape, always, never
from cml_iam.who._facts import Facts, facts_of, facts_of_question
from cml_iam.who._reduced import Compiled, Origin, on, reduced, spoken_to, stand_in

if TYPE_CHECKING:
    from cml_iam.engine import PolicyType, Request
    from cml_iam.who._account import Account, Member

Answer = Literal["no", "yes", "depends", "undecided"]
Counts = Literal["grants", "must"]

ANYTHING: Final = Statement(0, "Allow", "any policy", action=("*",), resource=("*",))
"""What a principal has that has given itself whatever it wants."""

SIGNS: Final[Mapping[str, str]] = {
    "stringequals": "=",
    "stringlike": "like",
    "stringnotequals": "!=",
    "stringnotlike": "not like",
    "bool": "=",
    "arnlike": "like",
    "arnequals": "=",
    "ipaddress": "=",
    "notipaddress": "!=",
}
"""How a condition is written in a question, where that is shorter than its operator."""

MUST: Final = ("sts:assumerole", "sts:tagsession", "kms:")
"""Beginnings of actions that a resource's policy must allow as well."""


@dataclass(frozen=True, slots=True)
class Question:
    """Who may do *action* on *resource*, in requests that have *conditions*; *id* names it."""

    action: str
    resource: str = "*"
    conditions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)
    id: str = ""

    @classmethod
    def of(cls, shape: Shape, id: str = "") -> Question:  # noqa: A002 - what it is called
        """Return the question that *shape* asks; raises InputError for several at once."""
        plain = shape.not_actions is None and len(shape.actions) == 1
        if not plain or {"*", "?"} & set(shape.actions[0]):
            raise InputError("ask who may do one action, written in full: `ec2:StopInstances`")
        if shape.not_resources is not None or len(shape.resources) > 1:
            raise InputError("ask about one resource, an ARN that may have wildcards, or `*`")
        return cls(shape.actions[0], shape.resources[0], shape.conditions, id)

    def of_any(self) -> Question:
        """Return the question about another resource of the type, where one is named in full."""
        if self.resource == "*" or {"*", "?"} & set(self.resource):
            return self
        start, slash, _ = self.resource.rpartition("/")
        return replace(self, resource=f"{start.partition('/')[0]}/example") if slash else self

    @property
    def shape(self) -> Shape:
        """The requests that are asked about."""
        return Shape((self.action,), (self.resource,), self.conditions)


@dataclass(frozen=True, slots=True)
class State:
    """A *member* with its own policies; *granted* after it gave itself every permission.

    *free* is it without its permissions boundary, *joined* a group that it put itself into.
    """

    member: Member
    granted: bool = False
    free: bool = False
    joined: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """The answer about one principal: *by* the statements that allow the *example*.

    *remains* are the conditions that an answer `depends` on, one line each; *refused* is a request
    that does not meet them. *reason* says what is undecided. *colon* is the proof's answer to
    `never` where wildcards of ARNs take colons, if that is another one.
    """

    answer: Answer
    by: tuple[Origin, ...] = ()
    remains: tuple[str, ...] = ()
    example: Request | None = None
    refused: Request | None = None
    reason: str = ""
    colon: str = ""


@dataclass(frozen=True)
class Left:
    """The statements of one kind of policy that are left, each with where it comes from."""

    kind: PolicyType
    statements: Mapping[Statement, tuple[Origin, ...]]
    level: int | None = None

    @cached_property
    def said(self) -> tuple[PolicyType, frozenset[Statement]]:
        """What it says, wherever it says so."""
        return self.kind, frozenset(self.statements)

    @cached_property
    def allows(self) -> tuple[Statement, ...]:
        """The statements that allow."""
        return tuple(each for each in self.statements if each.effect == "Allow")


@dataclass(frozen=True, slots=True)
class _Class:
    """Everybody of whom the same is left: *sets* of statements, and what their requests have."""

    question: Question
    sets: tuple[tuple[PolicyType, frozenset[Statement]], ...]
    facts: tuple[tuple[str, str, str], ...]
    caller: str | None
    counts: Counts


@dataclass(frozen=True, slots=True)
class _Decided:
    """The answer about a class: *by* number of the kind of policy, and statement.

    *idle* are statements that allow nothing here: what they ask for is impossible together.
    """

    answer: Answer
    by: tuple[tuple[int, Statement], ...] = ()
    idle: frozenset[tuple[int, Statement]] = frozenset()
    example: Request | None = None
    refused: Request | None = None
    reason: str = ""
    colon: str = ""


NO: Final = Cell("no")
RESOURCE_POLICY: Final = "the resource's policy"
SELF_GRANTED: Final = Held("its own making", None, PolicyDocument((ANYTHING,), VERSION_2012))


class Asker:
    """Asks about the members of one account at one time."""

    def __init__(self, account: Account, now: datetime) -> None:
        self.account = account
        self._now = now
        self._compiled = Compiled()
        self._facts: dict[str, Facts] = {}
        self._of_question: dict[Question, dict[str, str | None]] = {}
        self._left: dict[Any, tuple[Left, ...]] = {}
        self._decided: dict[_Class, _Decided] = {}

    def cell(self, question: Question, state: State) -> Cell:
        """Answer *question* about *state*, beside the policy of the resource if it is known."""
        unread = state.member.holdings.unread
        if unread:
            return Cell("undecided", reason="; ".join(each.words for each in unread))
        said = self.account.resources.get(question.resource)
        return self.beside(question, state, said, must=question.action.lower().startswith(MUST))

    def beside(
        self,
        question: Question,
        state: State,
        said: PolicyDocument | None = None,
        *,
        must: bool = False,
    ) -> Cell:
        """Answer *question* beside what the resource has *said*; with *must* that has to allow."""
        lefts = self._lefts(question, state)
        if said is None and not all(each.allows for each in lefts):
            return NO
        caller = None
        counts: Counts = "must" if must else "grants"
        if said is not None:
            lefts = (*lefts, self._of_resource(question, state, said))
            caller = stand_in(state.member.arn)
            if not lefts[-1].allows and (must or not all(each.allows for each in lefts[:-1])):
                return NO
        facts = tuple(self._needed(question, state, lefts))
        kind = question if any(map(_names_resources, lefts)) else question.of_any()
        key = _Class(kind, tuple(each.said for each in lefts), facts, caller, counts)
        if key not in self._decided:
            self._decided[key] = _decide(key)
        return _told(self._decided[key], lefts, question)

    def may(self, action: str, state: State) -> Hashable | None:
        """Return what *state* has to do with *action*, the same for all that differ in nothing.

        None where some policy allows it on nothing at all.
        """
        question = Question(action)
        lefts = self._lefts(question, state)
        if not all(each.allows for each in lefts):
            return None
        return tuple(e.said for e in lefts), tuple(self._needed(question, state, lefts))

    def _lefts(self, question: Question, state: State) -> tuple[Left, ...]:
        """Return what is left of every kind of policy that limits *state*."""
        known = tuple(self._known(question).items())
        key = (question.action, known, state.member.arn, state.granted, state.free, state.joined)
        if key not in self._left:
            facts = self._facts_of(question, state.member)
            self._left[key] = tuple(
                self._reduced(question, facts, kind, held, level)
                for kind, held, level in self._policies(state)
            )
        if question.resource == "*":
            return self._left[key]
        return tuple(_on(each, question.resource) for each in self._left[key])

    def _policies(self, state: State) -> Iterator[tuple[PolicyType, tuple[Held, ...], int | None]]:
        holdings, joined = state.member.holdings, self.account.groups.get(state.joined)
        if state.granted:
            yield "identity", (SELF_GRANTED,), None
        else:
            yield "identity", (*holdings.policies, *(joined.policies if joined else ())), None
        if holdings.boundary and not state.free:
            yield "boundary", (holdings.boundary,), None
        if not state.member.service_linked:
            for level, documents in enumerate(self.account.scps, 1):
                yield "scp", tuple(Held(e.name, None, e) for e in documents), level

    def _reduced(
        self,
        question: Question,
        facts: Facts,
        kind: PolicyType,
        policies: tuple[Held, ...],
        level: int | None,
    ) -> Left:
        found: dict[Statement, tuple[Origin, ...]] = {}
        for held in policies:
            for said in self._compiled.about(held.document, kind, question.action):
                left = reduced(said, question.action, facts)
                if left is not None:
                    origin = Origin(held.name, said.statement.label, held.group, kind)
                    found[left] = (*found.get(left, ()), origin)
        return Left(kind, found, level)

    def _of_resource(self, question: Question, state: State, said: PolicyDocument) -> Left:
        """Return what is left of what the policy of the resource says to *state*."""
        facts = self._facts_of(question, state.member)
        bounded = state.member.holdings.boundary is not None and not state.free
        found: dict[Statement, tuple[Origin, ...]] = {}
        for each in self._compiled.about(said, "resource", question.action):
            named = spoken_to(each, state.member.arn, bounded=bounded)
            left = reduced(each, question.action, facts) if named else None
            if left is not None:
                origin = Origin(RESOURCE_POLICY, each.statement.label, None, "resource")
                left = replace(left, principal=named)
                found[left] = (*found.get(left, ()), origin)
        return _on(Left("resource", found), question.resource)

    def _facts_of(self, question: Question, member: Member) -> Facts:
        if member.arn not in self._facts:
            self._facts[member.arn] = facts_of(member, self.account, self._now)
        own = self._facts[member.arn]
        return replace(own, values={**own.values, **self._known(question)})

    def _known(self, question: Question) -> Mapping[str, str | None]:
        if question not in self._of_question:
            self._of_question[question] = facts_of_question(question.shape)
        return self._of_question[question]

    def _needed(
        self, question: Question, state: State, lefts: tuple[Left, ...]
    ) -> Iterator[tuple[str, str, str]]:
        """Yield conditions for what is known of the keys that the statements still name."""
        names = {key for left in lefts for each in left.statements for key in _keys(each)}
        if not names:
            return
        facts = self._facts_of(question, state.member)
        for key in sorted(names):
            if key in facts.like:
                yield "StringLike", key, facts.like[key]
            elif facts.knows(key):
                value = facts.values.get(key)
                yield ("Null", key, "true") if value is None else ("StringEquals", key, value)


def _on(left: Left, resource: str) -> Left:
    """Return what is left of requests about *resource*."""
    if resource == "*" or not _names_resources(left):
        return left
    found: dict[Statement, tuple[Origin, ...]] = {}
    for each, origins in left.statements.items():
        one = on(each, left.kind, resource)
        if one is not None:
            found[one] = (*found.get(one, ()), *origins)
    return Left(left.kind, found, left.level)


def _names_resources(left: Left) -> bool:
    return any(e.resource not in {None, ("*",)} or e.not_resource for e in left.statements)


def _keys(statement: Statement) -> Iterator[str]:
    for condition in statement.conditions:
        yield condition.key.lower()
    texts = (statement.resource, statement.not_resource, *(c.values for c in statement.conditions))
    for group in texts:
        for text in group or ():
            if "${" in text:
                yield from (each.lower() for each in variable_keys(text))


def _told(decided: _Decided, lefts: Sequence[Left], question: Question) -> Cell:
    """Return the answer about one of a class, by the statements of its own policies."""
    by = dict.fromkeys(o for n, each in decided.by for o in lefts[n].statements[each])
    remains: tuple[str, ...] = ()
    if decided.answer == "depends":
        left = [
            {e: o for e, o in each.statements.items() if (n, e) not in decided.idle}
            for n, each in enumerate(lefts)
        ]
        remains = tuple(dict.fromkeys(w for each in left for w in remaining(each, question)))
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
    """Return *request* about the resource that was asked about, where that is one."""
    if request is None or question.of_any() == question:
        return request
    return request._replace(resource=question.resource)


def _decide(one: _Class) -> _Decided:
    """Ask the proof about one class."""
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
    by = tuple(numbered[each.kind, each.level, each.statement.index] for each in deciding)
    example = possible.witness.request
    if certain.answer == "holds":
        return _Decided("yes", by, example=example)
    idle = frozenset(_idle(one, shape))
    refused = certain.witness.request if certain.witness else None
    return _Decided("depends", by, idle, example, refused, certain.reason)


def _idle(one: _Class, shape: Shape) -> Iterator[tuple[int, Statement]]:
    """Yield the statements of which no request is allowed, where there are others."""
    for number, (kind, statements) in enumerate(one.sets):
        allows = [each for each in statements if each.effect == "Allow"]
        if len(allows) < 2 or kind == "resource":
            continue
        for each in allows:
            alone = (kind, statements - {*allows} | {each})
            sets = (*one.sets[:number], alone, *one.sets[number + 1 :])
            if never(_policies_of(replace(one, sets=sets))[0], shape).holds:
                yield number, each


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
        scps=tuple((each,) for each in made.get("scp", ())),
        caller=one.caller,
        counts=one.counts,
    )
    return policies, numbered


def remaining(left: Mapping[Statement, Any], question: Question) -> Iterator[str]:
    """Yield what one kind of policy still asks for: one of its Allow statements, and no Deny."""
    allows = [conditions_words(e, question) for e in left if e.effect == "Allow"]
    if all(allows):
        yield f"only {' or '.join(dict.fromkeys(allows))}"
    for each in left:
        if each.effect == "Deny":
            yield f"not {conditions_words(each, question)}"


def conditions_words(said: Statement, question: Question) -> str:
    """Return where *said* applies to the requests of *question*; empty if it always does."""
    words = []
    asked = arn_pattern(question.resource)
    named = [arn_pattern(each) for each in said.resource or ("*",)]
    if not any(asked and each and covers(each, asked) for each in named):
        words.append(f"on {', '.join(said.resource or ())}")
    if said.not_resource is not None:
        words.append(f"not on {', '.join(said.not_resource)}")
    conditions = [_condition_words(each) for each in said.conditions]
    if conditions:
        words.append(f"if {' and '.join(conditions)}")
    return " ".join(words)


def _condition_words(said: Condition) -> str:
    name = OperatorName.parse(said.operator)
    if name.base == "null":
        return f"{said.key} is {'absent' if 'true' in said.values else 'present'}"
    sign = SIGNS.get(said.operator.lower(), said.operator)
    return f"{said.key} {sign} {', '.join(said.values)}"
