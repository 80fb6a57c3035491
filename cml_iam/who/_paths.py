"""How a principal gets to what its own policies do not allow: step by step, through others.

A principal may first give itself permissions, take off its boundary or join a group; it may become
another: assume its role, make its keys, pass its role to something new. `policies/escalations.toml`
lists the ways. Each step is asked of all policies together, a role's trust policy included.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Final

from cml_iam.lint import Escalation, escalations
from cml_iam.policy import VERSION_2012, PolicyDocument, Statement
from cml_iam.who._account import Member
from cml_iam.who._asking import Asker, Cell, Question, State
from cml_iam.who._reduced import EVERYONE

if TYPE_CHECKING:
    from cml_iam.who._reduced import Origin

ASSUME: Final = "sts:AssumeRole"
POSSIBLE: Final = frozenset({"yes", "depends"})
TRUST: Final = "its trust policy"
PASSED_TO: Final = "iam:PassedToService"
TRUSTS_ALL: Final = PolicyDocument(
    (Statement(0, "Allow", "Changed", action=(ASSUME,), principal=EVERYONE),), VERSION_2012
)
"""A trust policy after its role's visitor has rewritten it."""


@dataclass(frozen=True, slots=True)
class Step:
    """A call on the way, *on* whom or what; *by* the statements that allow it, if *remains*."""

    action: str
    on: str
    gives: str
    by: tuple[Origin, ...] = ()
    remains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Path:
    """How *member* gets there: its *steps*, after which it acts as *actor*, with that *cell*."""

    member: Member
    steps: tuple[Step, ...]
    actor: Member
    cell: Cell


@dataclass(frozen=True, slots=True)
class _Standing:
    """A state that a principal can bring itself into, and the steps that it takes."""

    state: State
    steps: tuple[Step, ...] = ()


class Paths:
    """Finds the shortest path of every member of an account to what is asked."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._standings: dict[str, tuple[_Standing, ...]] = {}
        self._able: dict[str, dict[Hashable, list[_Standing]]] = {}
        self._into: dict[str, tuple[tuple[_Standing, Step], ...]] = {}

    def to(self, question: Question) -> Mapping[str, Path]:
        """Return a path for each member, by ARN, that gets there; steps are empty for its own."""
        found: dict[str, Path] = {}
        for member in self._asker.account.members:
            for each in self.standings(member):
                cell = self._asker.cell(question, each.state)
                if cell.answer in POSSIBLE:
                    found[member.arn] = Path(member, each.steps, member, cell)
                    break
        pending = deque(sorted(found.values(), key=lambda path: len(path.steps)))
        while pending:
            path = pending.popleft()
            for standing, step in self._ways_into(path.member):
                member = standing.state.member
                if member.arn not in found:
                    steps = (*standing.steps, step, *path.steps)
                    found[member.arn] = Path(member, steps, path.actor, path.cell)
                    pending.append(found[member.arn])
        return found

    def standings(self, member: Member) -> tuple[_Standing, ...]:
        """Return the states that *member* can bring itself into, its own first."""
        if member.arn not in self._standings:
            found = [_Standing(State(member))]
            known = {found[0].state}
            for standing in found:
                for state, step in self._own_ways(standing.state):
                    if state not in known:
                        known.add(state)
                        found.append(_Standing(state, (*standing.steps, step)))
            self._standings[member.arn] = tuple(found)
        return self._standings[member.arn]

    def _own_ways(self, state: State) -> Iterator[tuple[State, Step]]:
        for way in _ways("everything") if not state.granted else ():
            for step in self._taken(way, state, self._own_resources(way, state.member)):
                yield replace(state, granted=True, joined=""), step
                break
        limited = state.member.holdings.boundary is not None and not state.free
        for way in _ways("no boundary") if limited else ():
            for step in self._taken(way, state, self._own_resources(way, state.member)):
                yield replace(state, free=True), step
                break
        if state.member.kind == "user" and not state.granted and not state.joined:
            for way in _ways("a group"):
                others = set(self._asker.account.groups) - set(state.member.groups)
                for name in sorted(others):
                    arn = self._asker.account.groups[name].arn
                    for step in self._taken(way, state, (arn,)):
                        yield replace(state, joined=name), step

    def _own_resources(self, way: Escalation, member: Member) -> Iterable[str]:
        """Return what the first call of *way* is about, for *member* itself."""
        on = way.steps[0].resource or ""
        kind = on.partition("/")[0]
        if kind == member.kind:
            return (member.arn,)
        if kind == "group":
            return tuple(self._asker.account.groups[each].arn for each in member.groups)
        if kind == "policy":
            own = f"arn:{self._asker.account.partition}:iam::{self._asker.account.number}:"
            arns = (each.arn or "" for each in member.holdings.policies)
            return tuple(dict.fromkeys(each for each in arns if each.startswith(own)))
        return ()

    def _taken(self, way: Escalation, state: State, resources: Iterable[str]) -> Iterator[Step]:
        """Yield the first call of *way* about each of *resources*, if all its calls are allowed."""
        first, *others = way.steps
        if self._asker.may(first.action, state) is None:
            return
        for resource in resources:
            conditions = {"StringEquals": {PASSED_TO: first.service}} if first.service else {}
            cell = self._asker.cell(Question(first.action, resource, conditions), state)
            if cell.answer in POSSIBLE and all(self._can(e.action, state) for e in others):
                also = "".join(f" and {each.action}" for each in others)
                yield Step(first.action + also, resource, way.gives, cell.by, cell.remains)

    def _can(self, action: str, state: State) -> bool:
        return self._asker.cell(Question(action), state).answer in POSSIBLE

    def _ways_into(self, target: Member) -> tuple[tuple[_Standing, Step], ...]:
        """Return who can become *target*, each by its first way."""
        if target.arn not in self._into:
            ways = self._as_user(target) if target.kind == "user" else self._as_role(target)
            found: dict[str, tuple[_Standing, Step]] = {}
            for standing, step in ways:
                if standing.state.member is not target:
                    found.setdefault(standing.state.member.arn, (standing, step))
            self._into[target.arn] = tuple(found.values())
        return self._into[target.arn]

    def _as_user(self, target: Member) -> Iterator[tuple[_Standing, Step]]:
        for way in _ways("a user"):
            yield from self._by_calls(way, target)

    def _as_role(self, target: Member) -> Iterator[tuple[_Standing, Step]]:
        if target.trust is None or target.service_linked:
            return
        yield from self._assuming(target)
        services = set(_services(target.trust))
        for way in _ways("a role"):
            if way.steps[0].service in services:
                yield from self._by_calls(way, target)
            elif way.steps[0].service is None:
                for standing, step in self._by_calls(way, target):
                    question = Question(ASSUME, target.arn)
                    after = self._asker.beside(question, standing.state, TRUSTS_ALL, must=True)
                    if after.answer in POSSIBLE:
                        yield standing, replace(step, action=f"{step.action} and {ASSUME}")

    def _by_calls(self, way: Escalation, target: Member) -> Iterator[tuple[_Standing, Step]]:
        """Yield who can do all calls of *way* to *target*."""
        for standings in self._able_to(way.steps[0].action).values():
            if any(self._taken(way, standings[0].state, (target.arn,))):
                for standing in standings:
                    yield from (
                        (standing, e) for e in self._taken(way, standing.state, (target.arn,))
                    )

    def _assuming(self, target: Member) -> Iterator[tuple[_Standing, Step]]:
        """Yield who can assume the role *target*: by its trust policy and policies of its own."""
        trust = target.trust
        if trust is None:
            return
        named, broad, each_alone = _audience(trust, self._asker.account.number)
        question = Question(ASSUME, target.arn)
        members = self._asker.account.members
        for member in members if named else ():
            if member.arn in named:
                for standing in self.standings(member):
                    yield from self._assumed(question, standing, trust)
        for standings in self._able_to(ASSUME).values() if broad else ():
            first = self._asker.beside(question, standings[0].state, trust, must=True)
            if each_alone or first.answer in POSSIBLE:
                for standing in standings:
                    yield from self._assumed(question, standing, trust)

    def _assumed(
        self, question: Question, standing: _Standing, trust: PolicyDocument
    ) -> Iterator[tuple[_Standing, Step]]:
        cell = self._asker.beside(question, standing.state, trust, must=True)
        if cell.answer in POSSIBLE:
            by = tuple(replace(e, policy=TRUST) if e.kind == "resource" else e for e in cell.by)
            yield standing, Step(ASSUME, question.resource, "a role", by, cell.remains)

    def _able_to(self, action: str) -> Mapping[Hashable, list[_Standing]]:
        """Return who may do *action* to something, by what their policies say of it."""
        if action not in self._able:
            found: dict[Hashable, list[_Standing]] = {}
            for member in self._asker.account.members:
                for standing in self.standings(member):
                    what = self._asker.may(action, standing.state)
                    if what is not None:
                        found.setdefault(what, []).append(standing)
            self._able[action] = found
        return self._able[action]


@cache
def _ways(gives: str) -> tuple[Escalation, ...]:
    return tuple(each for each in escalations() if each.gives == gives)


def _services(trust: PolicyDocument) -> Iterator[str]:
    """Yield the services that may assume a role with this trust policy."""
    for statement in trust.statements:
        if statement.effect == "Allow" and statement.principal is not None:
            for kind, names in statement.principal.ids:
                if kind == "Service":
                    yield from names


def _audience(trust: PolicyDocument, account: str) -> tuple[frozenset[str], bool, bool]:
    """Return whom of *account* a trust policy names, whether all, and if so each differently."""
    named: set[str] = set()
    broad = each_alone = False
    for statement in trust.statements:
        each_alone = each_alone or bool(statement.conditions) or statement.effect == "Deny"
        if statement.effect == "Deny":
            continue
        if statement.principal is None or statement.principal.everyone:
            broad = True
            continue
        for kind, names in statement.principal.ids:
            for name in names if kind == "AWS" else ():
                if name in {"*", account} or name.endswith(f"::{account}:root"):
                    broad = True
                else:
                    named.add(name)
    return frozenset(named), broad, each_alone or bool(named)
