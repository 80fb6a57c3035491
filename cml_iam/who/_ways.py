"""The calls by which a principal changes its own permissions, or becomes another principal.

A principal may give itself permissions, remove its boundary or join a group. It may assume a role,
create keys for a user, or pass a role to something new. `policies/escalations.toml` lists these
ways. All policies together, including a role's trust policy, decide each call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Final, NamedTuple

from cml_iam.lint import Escalation, EscalationStep, escalations
from cml_iam.policy import VERSION_2012, PolicyDocument, Statement
from cml_iam.principal import Holdings
from cml_iam.who._account import Account, Member, named
from cml_iam.who._asking import Asker, Question, State
from cml_iam.who._reduced import EVERYONE

ASSUME: Final = "sts:AssumeRole"
CREATE_ROLE: Final = "iam:CreateRole"
PASSED_TO: Final = "iam:PassedToService"
TRUSTS_ALL: Final = PolicyDocument(
    (Statement(0, "Allow", "Changed", action=(ASSUME,), principal=EVERYONE),), VERSION_2012
)
"""The trust policy of a role after an attacker rewrote it."""


class Hop(NamedTuple):
    """An allowed call: *question* by *state*, under *trust*, together with the calls *also*."""

    state: State
    question: Question
    trust: PolicyDocument | None = None
    also: str = ""


class Position(NamedTuple):
    """A state that a principal can bring itself into, and the calls (hops) that lead to it."""

    state: State
    hops: tuple[Hop, ...] = ()


class Audience(NamedTuple):
    """The principals of an account that a trust policy names: *arns*, the *account*, or *everyone*.

    If only the account is named, its principals also need permissions of their own. *singly* says
    that the answer can differ between the account's principals.
    """

    arns: frozenset[str]
    account: bool
    everyone: bool
    singly: bool


class Call(NamedTuple):
    """A call after which the caller acts as another principal: *question*, under *trust*.

    *whom* are the principals that the trust policy names; None without one. The calls *others* are
    needed too. *rewritten* says that the call changes the trust policy, so the role must be assumed
    afterwards.
    """

    question: Question
    trust: PolicyDocument | None = None
    whom: Audience | None = None
    others: tuple[EscalationStep, ...] = ()
    rewritten: bool = False


class Ways:
    """The calls that are possible for the members of one account."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._account = asker.account
        self._calls: dict[Member, list[Call]] = {}
        self._positions: dict[Member, list[Position]] = {}
        self._may = cache(lambda action, state: asker.possible(Question(action), state))
        arn = f"arn:{self._account.partition}:iam::{self._account.number}:role/new"
        self.new_role = Member("role", "new", "", Holdings(arn, {}, ()), trust=TRUSTS_ALL)

    def positions(self, member: Member) -> list[Position]:
        """Return the states that *member* can bring itself into, its own first."""
        if member not in self._positions:
            reached = [Position(State(member))]
            states = {reached[0].state}
            for position in reached:
                for state, hop in self._changes(position.state):
                    if state not in states:
                        states.add(state)
                        reached.append(Position(state, (*position.hops, hop)))
            self._positions[member] = reached
        return self._positions[member]

    def calls(self, target: Member) -> list[Call]:
        """Return the calls by which others become *target*."""
        if target not in self._calls:
            self._calls[target] = list(self._calls_to(target))
        return self._calls[target]

    def hop(self, call: Call, state: State) -> Hop | None:
        """Return *call* as *state* makes it; None if any part of it is not allowed."""
        possible = self._asker.possible
        if not self._may_all(call.others, state) or not possible(call.question, state, call.trust):
            return None
        also = _also(call.others)
        if call.rewritten:
            if not possible(Question(ASSUME, call.question.resource), state, TRUSTS_ALL):
                return None
            also += f" and {ASSUME}"
        return Hop(state, call.question, call.trust, also)

    def _changes(self, state: State) -> Iterator[tuple[State, Hop]]:
        """Yield the states into which *state* can change itself with one call."""
        member = state.member
        granting = self._first(state, "everything") if not state.granted else None
        if granting:
            yield state._replace(granted=True, joined=""), granting
        if member.holdings.boundary and not state.free:
            freeing = self._first(state, "no boundary")
            if freeing:
                yield state._replace(free=True), freeing
        if not state.retagged:
            yield from self._retags(state)
        alone = not state.granted and not state.joined and not granting
        if alone and member.kind == "user":
            yield from self._joins(state)

    def _retags(self, state: State) -> Iterator[tuple[State, Hop]]:
        """Yield the states with other tags, for which policies may allow more."""
        kind = state.member.kind.title()
        for verb in ("Tag", "Untag"):
            question = Question(f"iam:{verb}{kind}", state.member.arn)
            if self._asker.reach(question.action, state) and self._asker.possible(question, state):
                yield state._replace(retagged=True), Hop(state, question)
                return

    def _joins(self, state: State) -> Iterator[tuple[State, Hop]]:
        """Yield the states after joining a group; none if it may give itself everything anyway."""
        for way in gives("a group"):
            for name, group in self._account.groups.items():
                if name in state.member.groups:
                    continue
                hop = self._taken(way, state, (group.arn,))
                if hop:
                    yield state._replace(joined=name), hop

    def _first(self, state: State, gain: str) -> Hop | None:
        """Return the first call by which *state* may give itself *gain*."""
        for way in gives(gain):
            hop = self._taken(way, state, self._own_resources(way, state.member))
            if hop:
                return hop
        return None

    def _own_resources(self, way: Escalation, member: Member) -> Iterable[str]:
        """Return the resources of the first call of *way*, for *member* itself."""
        kind = resource_kind(way)
        if kind == member.kind:
            return (member.arn,)
        if kind == "group":
            groups = self._account.groups
            return tuple(groups[name].arn for name in member.groups if name in groups)
        if kind == "policy":
            own = f"arn:{self._account.partition}:iam::{self._account.number}:"
            arns = (policy.arn or "" for policy in member.holdings.policies)
            return tuple(dict.fromkeys(arn for arn in arns if arn.startswith(own)))
        return ()

    def _taken(self, way: Escalation, state: State, resources: Iterable[str]) -> Hop | None:
        """Return the first call of *way* on one of *resources*, if all calls are allowed."""
        first, *others = way.steps
        if self._asker.reach(first.action, state) is None:
            return None
        for resource in resources:
            question = _question(way, resource)
            if self._asker.possible(question, state) and self._may_all(others, state):
                return Hop(state, question, also=_also(others))
        return None

    def _may_all(self, calls: Iterable[EscalationStep], state: State) -> bool:
        return all(self._may(call.action, state) for call in calls)

    def _calls_to(self, target: Member) -> Iterator[Call]:
        if target.kind == "user":
            ways = gives("a user")
        elif target is self.new_role:
            ways = gives("a new role")
        elif target.trust is None or target.service_linked:
            return
        else:
            whom = _audience(target.trust, self._account)
            yield Call(Question(ASSUME, target.arn), target.trust, whom)
            statements = target.trust.statements
            allows = (statement for statement in statements if statement.effect == "Allow")
            trusted = (pair for statement in allows for pair in named(statement.principal))
            services = {None, *(name for kind, name in trusted if kind == "Service")}
            ways = tuple(way for way in gives("a role") if way.steps[0].service in services)
        for way in ways:
            first, *others = way.steps
            rewritten = target.kind == "role" and first.service is None
            yield Call(_question(way, target.arn), None, None, tuple(others), rewritten)


@cache
def gives(gain: str) -> tuple[Escalation, ...]:
    """Return the ways in the table that give *gain*."""
    return tuple(way for way in escalations() if way.gives == gain)


def resource_kind(way: Escalation) -> str:
    """Return the resource kind of the first call of *way*: `user`, `role`, `group` or `policy`."""
    return (way.steps[0].resource or "").partition("/")[0]


def _question(way: Escalation, resource: str) -> Question:
    first = way.steps[0]
    conditions = {"StringEquals": {PASSED_TO: first.service}} if first.service else {}
    if first.action == CREATE_ROLE:
        # A role that must have a boundary is limited by it, which is not followed.
        conditions = {"Null": {"iam:PermissionsBoundary": "true"}}
    return Question(first.action, resource, conditions)


def _also(others: Iterable[EscalationStep]) -> str:
    return "".join(f" and {call.action}" for call in others)


def _audience(trust: PolicyDocument, account: Account) -> Audience:
    arns: set[str] = set()
    whole = everyone = conditional = False
    for statement in trust.statements:
        conditional = conditional or bool(statement.conditions) or statement.effect == "Deny"
        if statement.effect == "Deny":
            continue
        everyone = everyone or statement.principal is None
        for name in (name for kind, name in named(statement.principal) if kind == "AWS"):
            if name == "*":
                everyone = True
            elif name == account.number or name.endswith(f"::{account.number}:root"):
                whole = True
            else:
                role = account.role_of_session(name)
                arns.add(role.arn if role else name)
    return Audience(frozenset(arns), whole, everyone, conditional or everyone or bool(arns))
