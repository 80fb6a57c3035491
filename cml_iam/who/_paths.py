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

from cml_iam.facts import RESOURCE_TAG
from cml_iam.lint import Escalation, escalations
from cml_iam.policy import VERSION_2012, PolicyDocument, Statement
from cml_iam.principal import Holdings
from cml_iam.who._account import Member
from cml_iam.who._asking import Asker, Cell, Question, State
from cml_iam.who._reduced import EVERYONE

if TYPE_CHECKING:
    from cml_iam.lint import Wanted
    from cml_iam.who._reduced import Origin

ASSUME: Final = "sts:AssumeRole"
TAG: Final = "ec2:CreateTags"
CREATE_ROLE: Final = "iam:CreateRole"
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
class _Hop:
    """A call that leads on: *question* asked of *state*, beside *trust*; *also* other actions."""

    state: State
    question: Question
    trust: PolicyDocument | None = None
    also: str = ""


@dataclass(frozen=True, slots=True)
class _Standing:
    """A state that a principal can bring itself into, and the hops that it takes."""

    state: State
    hops: tuple[_Hop, ...] = ()


@dataclass(frozen=True, slots=True)
class _Route:
    """How *standings* may become somebody: by *question*, beside *trust*, and *others* as well.

    They are answered alike unless *alone*. With *rewritten* the trust policy then admits them.
    """

    standings: list[_Standing]
    question: Question
    trust: PolicyDocument | None = None
    others: tuple[Wanted, ...] = ()
    alone: bool = False
    rewritten: bool = False


class _Search:
    """One search: the paths *found* so far, and of each group who is not among them."""

    def __init__(self) -> None:
        self.found: dict[str, Path] = {}
        self._left: dict[int, tuple[int, list[_Standing]]] = {}

    def left(self, standings: list[_Standing]) -> list[_Standing]:
        """Return those of *standings* whose principals have no path yet."""
        number, left = self._left.get(id(standings), (-1, standings))
        if left and number != len(self.found):
            left = [each for each in left if each.state.member.arn not in self.found]
            self._left[id(standings)] = len(self.found), left
        return left


class Paths:
    """Finds the shortest path of every member of an account to what is asked."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._account = asker.account
        self._standings: dict[str, tuple[_Standing, ...]] = {}
        self._able: dict[str, dict[Hashable, list[_Standing]]] = {}
        self._routes: dict[str, tuple[_Route, ...]] = {}
        self._open: dict[tuple[int, int], bool] = {}
        arn = f"arn:{self._account.partition}:iam::{self._account.number}:role/new"
        self._new_role = Member("role", "new", "", Holdings(arn, {}, ()), trust=TRUSTS_ALL)

    def to(self, question: Question) -> Mapping[str, Path]:
        """Return a path for each member, by ARN, that gets there; steps are empty for its own."""
        search = _Search()
        found = search.found
        for member in self._account.members:
            for each in self._standings_of(member):
                if self._asker.possible(question, each.state):
                    steps = tuple(map(self._step, each.hops))
                    cell = self._asker.cell(question, each.state)
                    found[member.arn] = Path(member, steps, member, cell)
                    break
        first = sorted(found.values(), key=lambda path: len(path.steps))
        new = self._new_role
        if self._asker.possible(question, State(new, granted=True)):
            cell = self._asker.cell(question, State(new, granted=True))
            first.append(Path(new, (), new, cell))
        while first:
            self._spread(first, search)
            first = list(self._prepared(question, search))
        return found

    def _spread(self, first: Iterable[Path], search: _Search) -> None:
        """Find all who lead to the ends of the paths *first*, the nearest first."""
        pending = deque(first)
        while pending:
            path = pending.popleft()
            for standing, hop in self._leading_to(path.member, search):
                member = standing.state.member
                if member.arn not in search.found:
                    steps = (*map(self._step, (*standing.hops, hop)), *path.steps)
                    search.found[member.arn] = Path(member, steps, path.actor, path.cell)
                    pending.append(search.found[member.arn])

    def _prepared(self, question: Question, search: _Search) -> Iterator[Path]:
        """Yield paths of those who first give another a policy, and then become it."""
        for way in _ways("everything"):
            first = way.steps[0]
            kind = (first.resource or "").partition("/")[0]
            able = self._able_to(first.action).values()
            if kind not in {"user", "role"} or not any(map(search.left, able)):
                continue
            for target in self._account.members:
                granted = State(target, granted=True)
                if target.kind != kind or target.service_linked or target.arn in search.found:
                    continue
                if not self._asker.possible(question, granted):
                    continue
                put = Question(first.action, target.arn)
                for standing, hop in self._leading_to(target, search):
                    member = standing.state.member
                    open_to = member is not target and member.arn not in search.found
                    if open_to and self._asker.possible(put, standing.state):
                        hops = (*standing.hops, _Hop(standing.state, put), hop)
                        cell = self._asker.cell(question, granted)
                        path = Path(member, tuple(map(self._step, hops)), target, cell)
                        search.found[member.arn] = path
                        yield path

    def tagging(self, question: Question, member: Member, cell: Cell) -> Step | None:
        """Return the call by which *member* gives the instance the tags that *cell* depends on.

        It must be allowed while the instance does not have them. None where there is none.
        """
        context = cell.example.context if cell.example else {}
        tags = {
            key[len(RESOURCE_TAG) :]: value
            for key, value in context.items()
            if key.lower().startswith(RESOURCE_TAG) and isinstance(value, str)
        }
        if cell.answer != "depends" or not tags or not question.action.startswith("ec2:"):
            return None
        conditions = {
            "StringEquals": {f"aws:RequestTag/{key}": value for key, value in tags.items()},
            "StringNotEquals": {f"aws:ResourceTag/{key}": value for key, value in tags.items()},
        }
        hop = _Hop(State(member), Question(TAG, question.resource, conditions))
        return self._step(hop) if self._asker.possible(hop.question, hop.state) else None

    def openers(self, member: Member) -> tuple[str, ...]:
        """Return the labels of those who may become the role *member* in one step."""
        if member.kind == "user":
            return ()
        leading = self._leading_to(member, _Search())
        labels = (e.state.member.label for e, _ in leading if e.state.member is not member)
        return tuple(dict.fromkeys(labels))

    def _step(self, hop: _Hop) -> Step:
        cell = self._asker.cell(hop.question, hop.state, hop.trust)
        by = tuple(replace(e, policy=TRUST) if e.kind == "resource" else e for e in cell.by)
        return Step(hop.question.action + hop.also, hop.question.resource, by, cell.remains)

    def _standings_of(self, member: Member) -> tuple[_Standing, ...]:
        """Return the states that *member* can bring itself into, its own first."""
        if member.arn not in self._standings:
            found = [_Standing(State(member))]
            known = {found[0].state}
            for standing in found:
                for state, hop in self._own_ways(standing.state):
                    if state not in known:
                        known.add(state)
                        found.append(_Standing(state, (*standing.hops, hop)))
            self._standings[member.arn] = tuple(found)
        return self._standings[member.arn]

    def _own_ways(self, state: State) -> Iterator[tuple[State, _Hop]]:
        member = state.member
        for way in _ways("everything") if not state.granted else ():
            for hop in self._taken(way, state, self._own_resources(way, member)):
                yield replace(state, granted=True, joined=""), hop
        for way in _ways("no boundary") if member.holdings.boundary and not state.free else ():
            for hop in self._taken(way, state, self._own_resources(way, member)):
                yield replace(state, free=True), hop
        if member.kind == "user" and not state.granted and not state.joined:
            for way in _ways("a group"):
                for name, group in self._account.groups.items():
                    if name not in member.groups:
                        for hop in self._taken(way, state, (group.arn,)):
                            yield replace(state, joined=name), hop

    def _own_resources(self, way: Escalation, member: Member) -> Iterable[str]:
        """Return what the first call of *way* is about, for *member* itself."""
        kind = (way.steps[0].resource or "").partition("/")[0]
        if kind == member.kind:
            return (member.arn,)
        if kind == "group":
            return tuple(self._account.groups[e].arn for e in member.groups)
        if kind == "policy":
            own = f"arn:{self._account.partition}:iam::{self._account.number}:"
            arns = (each.arn or "" for each in member.holdings.policies)
            return tuple(dict.fromkeys(each for each in arns if each.startswith(own)))
        return ()

    def _taken(self, way: Escalation, state: State, resources: Iterable[str]) -> Iterator[_Hop]:
        """Yield the first call of *way* about the first of *resources* where all are allowed."""
        first, *others = way.steps
        if self._asker.may(first.action, state) is None:
            return
        for resource in resources:
            question = _first(way, resource)
            if self._asker.possible(question, state) and self._can(others, state):
                yield _Hop(state, question, also=_also(others))
                return

    def _can(self, others: Iterable[Wanted], state: State) -> bool:
        return all(self._asker.possible(Question(each.action), state) for each in others)

    def _leading_to(self, target: Member, search: _Search) -> Iterator[tuple[_Standing, _Hop]]:
        """Yield who can become *target* of those who are not found yet."""
        possible = self._asker.possible
        for number, route in enumerate(self._routes_to(target)):
            for standing in search.left(route.standings):
                state = standing.state
                if not (
                    possible(route.question, state, route.trust)
                    if route.alone
                    else self._is_open(target, number, route)
                ):
                    if route.alone:
                        continue
                    break
                if route.others and not self._can(route.others, state):
                    continue
                also = _also(route.others)
                if route.rewritten:
                    if not possible(Question(ASSUME, target.arn), state, TRUSTS_ALL):
                        continue
                    also += f" and {ASSUME}"
                yield standing, _Hop(state, route.question, route.trust, also)

    def _is_open(self, target: Member, number: int, route: _Route) -> bool:
        """Say whether the first of those who are answered alike may take *route*."""
        key = (id(target), number)
        if key not in self._open:
            first = route.standings[0].state
            self._open[key] = self._asker.possible(route.question, first, route.trust)
        return self._open[key]

    def _routes_to(self, target: Member) -> tuple[_Route, ...]:
        if target.arn not in self._routes:
            of_kind = self._to_user if target.kind == "user" else self._to_role
            self._routes[target.arn] = tuple(of_kind(target))
        return self._routes[target.arn]

    def _to_user(self, target: Member) -> Iterator[_Route]:
        for way in _ways("a user"):
            yield from self._by_calls(way, target)

    def _to_role(self, target: Member) -> Iterator[_Route]:
        if target is self._new_role:
            for way in _ways("a new role"):
                yield from self._by_calls(way, target)
            return
        if target.trust is None or target.service_linked:
            return
        yield from self._assuming(target, target.trust)
        services = frozenset(_services(target.trust))
        for way in _ways("a role"):
            service = way.steps[0].service
            if service is None or service in services:
                yield from self._by_calls(way, target)

    def _by_calls(self, way: Escalation, target: Member) -> Iterator[_Route]:
        """Yield how all calls of *way* may be made about *target*."""
        first, *others = way.steps
        question = _first(way, target.arn)
        rewritten = target.kind == "role" and first.service is None
        for standings in self._able_to(first.action).values():
            yield _Route(standings, question, None, tuple(others), rewritten=rewritten)

    def _assuming(self, target: Member, trust: PolicyDocument) -> Iterator[_Route]:
        """Yield how *target* may be assumed: by its trust policy, and policies of one's own."""
        named, broad, everyone, alone = _audience(trust, self._account.number)
        question = Question(ASSUME, target.arn)
        theirs = [
            standing
            for member in (self._account.members if named or everyone else ())
            if everyone or member.arn in named
            for standing in self._standings_of(member)
        ]
        if theirs:
            yield _Route(theirs, question, trust, alone=True)
        for standings in self._able_to(ASSUME).values() if broad else ():
            yield _Route(standings, question, trust, alone=alone)

    def _able_to(self, action: str) -> Mapping[Hashable, list[_Standing]]:
        """Return who may do *action* to something, by what their policies say of it."""
        if action not in self._able:
            found: dict[Hashable, list[_Standing]] = {}
            for member in self._account.members:
                for standing in self._standings_of(member):
                    what = self._asker.may(action, standing.state)
                    if what is not None:
                        found.setdefault((member.kind, what), []).append(standing)
            self._able[action] = found
        return self._able[action]


def _first(way: Escalation, resource: str) -> Question:
    """Return the question of the first call of *way*, about *resource*."""
    first = way.steps[0]
    conditions = {"StringEquals": {PASSED_TO: first.service}} if first.service else {}
    if first.action == CREATE_ROLE:
        # A role that must have a boundary is limited by it, which is not followed.
        conditions = {"Null": {"iam:PermissionsBoundary": "true"}}
    return Question(first.action, resource, conditions)


def _also(others: Iterable[Wanted]) -> str:
    return "".join(f" and {each.action}" for each in others)


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


def _audience(trust: PolicyDocument, account: str) -> tuple[frozenset[str], bool, bool, bool]:
    """Return whom of *account* a trust policy names, and in which manner.

    By ARN; by the account, whose own policies then have to allow; as everyone, who needs nothing
    else. The last says whether those of the account have to be asked one by one.
    """
    named: set[str] = set()
    broad = everyone = each_alone = False
    for statement in trust.statements:
        each_alone = each_alone or bool(statement.conditions) or statement.effect == "Deny"
        if statement.effect == "Deny":
            continue
        if statement.principal is None or statement.principal.everyone:
            everyone = True
            continue
        for kind, names in statement.principal.ids:
            for name in names if kind == "AWS" else ():
                if name == "*":
                    everyone = True
                elif name == account or name.endswith(f"::{account}:root"):
                    broad = True
                else:
                    named.add(name)
    return frozenset(named), broad, everyone, each_alone or bool(named)
