"""Paths by which principals gain what their own policies do not allow, through other principals.

A principal may first give itself permissions, remove its boundary or join a group. Then it may act
as another principal: assume a role, create keys for a user, or pass a role to something new. These
ways are in `policies/escalations.toml`. All policies together, including a role's trust policy,
decide each step.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Hashable, Iterable, Iterator, Mapping
from itertools import chain, product
from typing import Final, NamedTuple

from cml_iam.facts import RESOURCE_TAG
from cml_iam.lint import Escalation
from cml_iam.who._account import Member
from cml_iam.who._asking import Asker, Cell, Question, State
from cml_iam.who._reduced import Origin
from cml_iam.who._ways import Call, Hop, Position, Ways, gives, resource_kind

TAG: Final = "ec2:CreateTags"


class Step(NamedTuple):
    """A call of a path, with the calls *also* made; *by* the statements that allow it."""

    question: Question
    also: str = ""
    by: tuple[Origin, ...] = ()
    remains: tuple[str, ...] = ()

    @property
    def action(self) -> str:
        """The actions of its calls."""
        return self.question.action + self.also

    @property
    def on(self) -> str:
        """The resource of the call."""
        return self.question.resource


class Path(NamedTuple):
    """The *steps* by which *member* reaches the goal, acting as *actor* with the answer *cell*."""

    member: Member
    steps: tuple[Step, ...]
    actor: Member
    cell: Cell


class _Able:
    """The principals that may make one call, grouped by what their policies say about it.

    Groups are looked up by the beginnings of the resources on which their policies allow the call.
    A principal that may assume only one role is thus never considered for another role.
    """

    def __init__(self, action: str, positions: Iterable[Position], asker: Asker) -> None:
        groups: dict[Hashable, list[Position]] = {}
        self._by_beginning: dict[str, list[list[Position]]] = defaultdict(list)
        for position in positions:
            reach = asker.reach(action, position.state)
            if reach is None:
                continue
            group = groups.setdefault((position.state.member.kind, reach.key), [])
            if not group:
                for beginning in reach.beginnings:
                    self._by_beginning[beginning].append(group)
            group.append(position)

    def on(self, arn: str) -> Iterable[list[Position]]:
        """Return the groups whose policies may allow the call on *arn*, each once."""
        beginnings = (arn[:length] for length in range(len(arn) + 1))
        groups = (group for text in beginnings for group in self._by_beginning.get(text, ()))
        return {id(group): group for group in groups}.values()


class _Search:
    """One search: the *paths* found so far, and the members of each group without one."""

    def __init__(self) -> None:
        self.paths: dict[str, Path] = {}
        self._left: dict[int, tuple[int, list[Position]]] = {}

    def left(self, positions: list[Position]) -> list[Position]:
        """Return the *positions* whose principals have no path yet."""
        number, left = self._left.get(id(positions), (-1, positions))
        if left and number != len(self.paths):
            left = [position for position in left if position.state.member.arn not in self.paths]
            self._left[id(positions)] = len(self.paths), left
        return left


class Paths:
    """Finds the shortest path of every member to the goal of a question."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._account = asker.account
        self._ways = Ways(asker)
        self._able: dict[str, _Able] = {}
        self._callers: dict[Member, list[tuple[Call, list[Position]]]] = {}
        self._open: dict[tuple[Member, int], bool] = {}
        self._paths: dict[Question, Mapping[str, Path]] = {}
        self._nexts: dict[Member, list[tuple[Member, Position, Hop]]] = {}

    def to(self, question: Question) -> Mapping[str, Path]:
        """Return, by ARN, a path for each member that reaches the goal; it may have no steps."""
        if question not in self._paths:
            self._paths[question] = self._search(question)
        return self._paths[question]

    def _search(self, question: Question) -> Mapping[str, Path]:
        search = _Search()
        for member in self._account.members:
            path = self._alone(member, question)
            if path:
                search.paths[member.arn] = path
        first = sorted(search.paths.values(), key=lambda path: len(path.steps))
        first += self._by_new_role(question)
        while first:
            self._spread(first, search)
            first = list(self._prepared(question, search))
        return search.paths

    def of(self, member: Member, question: Question) -> Path | None:
        """Return a path of *member*, whose policies may differ from those in the account.

        None means that there is no path. All other members have their policies in the account.
        """
        paths = self.to(question)
        if self._account.by_arn.get(member.arn) is member:
            return paths.get(member.arn)
        path = self._alone(member, question)
        if path:
            return path
        new = {end.member.arn: end for end in self._by_new_role(question)}
        for target, position, hop in self._next(member):
            end = paths.get(target.arn) or new.get(target.arn)
            if end:
                steps = (*self._steps((*position.hops, hop)), *end.steps)
                return Path(member, steps, end.actor, end.cell)
            prepared = self._prepare(target, position, hop, question)
            if prepared:
                return prepared._replace(member=member)
        return None

    def _next(self, member: Member) -> list[tuple[Member, Position, Hop]]:
        """Return whom *member* can become in one step, perhaps after changing itself."""
        if member not in self._nexts:
            self._nexts[member] = list(self._hops_from(member))
        return self._nexts[member]

    def _hops_from(self, member: Member) -> Iterator[tuple[Member, Position, Hop]]:
        everybody = (self._ways.new_role, *self._account.members)
        others = [target for target in everybody if target.arn != member.arn]
        for position, target in product(self._ways.positions(member), others):
            for call in self._ways.calls(target):
                if self._may_reach(call, position.state):
                    hop = self._ways.hop(call, position.state)
                    if hop:
                        yield target, position, hop

    def _may_reach(self, call: Call, state: State) -> bool:
        """Return whether *state* may be able to make *call*, so that a proof is worthwhile."""
        if call.whom and (call.whom.everyone or state.member.arn in call.whom.arns):
            return True
        reach = self._asker.reach(call.question.action, state)
        return reach is not None and reach.covers(call.question.resource)

    def _alone(self, member: Member, question: Question) -> Path | None:
        """Return the path of *member* without others: as it is, or after changing itself."""
        for position in self._ways.positions(member):
            if self._asker.possible(question, position.state):
                cell = self._asker.cell(question, position.state)
                return Path(member, self._steps(position.hops), member, cell)
        return None

    def _by_new_role(self, question: Question) -> list[Path]:
        """Return the end of all paths through a newly created role, if it reaches the goal."""
        state = State(self._ways.new_role, granted=True)
        if not self._asker.possible(question, state):
            return []
        return [Path(state.member, (), state.member, self._asker.cell(question, state))]

    def _spread(self, first: Iterable[Path], search: _Search) -> None:
        """Find all members that can reach the ends of the paths *first*, nearest first."""
        pending = deque(first)
        while pending:
            path = pending.popleft()
            for position, hop in self._leading_to(path.member, search):
                member = position.state.member
                if member.arn not in search.paths:
                    steps = (*self._steps((*position.hops, hop)), *path.steps)
                    search.paths[member.arn] = Path(member, steps, path.actor, path.cell)
                    pending.append(search.paths[member.arn])

    def _prepared(self, question: Question, search: _Search) -> Iterator[Path]:
        """Yield paths of members that first give another member a policy, and then become it."""
        for way in gives("everything"):
            for target in self._targets(way, question):
                if target.arn not in search.paths:
                    yield from self._through(target, way, question, search)

    def _targets(self, way: Escalation, question: Question) -> Iterator[Member]:
        """Yield the members that would reach the goal if somebody gave them a policy by *way*."""
        for member in self._account.members:
            fits = member.kind == resource_kind(way) and not member.service_linked
            if fits and self._asker.possible(question, State(member, granted=True)):
                yield member

    def _through(
        self, target: Member, way: Escalation, question: Question, search: _Search
    ) -> Iterator[Path]:
        put = Question(way.steps[0].action, target.arn)
        if not any(map(search.left, self._able_to(put.action).on(target.arn))):
            return
        for position, hop in self._leading_to(target, search):
            member = position.state.member
            new = member is not target and member.arn not in search.paths
            path = self._prepare(target, position, hop, question) if new else None
            if path:
                search.paths[member.arn] = path
                yield path

    def _prepare(
        self, target: Member, position: Position, hop: Hop, question: Question
    ) -> Path | None:
        """Return the path of *position* through *target*, after giving it a policy."""
        granted = State(target, granted=True)
        for way in gives("everything"):
            put = Question(way.steps[0].action, target.arn)
            if resource_kind(way) != target.kind or not self._asker.possible(put, position.state):
                continue
            if target.service_linked or not self._asker.possible(question, granted):
                return None
            steps = self._steps((*position.hops, Hop(position.state, put), hop))
            return Path(position.state.member, steps, target, self._asker.cell(question, granted))
        return None

    def tagging(self, question: Question, member: Member, cell: Cell) -> Step | None:
        """Return the call by which *member* sets the instance tags that *cell* depends on.

        It must be allowed while the instance lacks them. None if there is none.
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
        hop = Hop(State(member), Question(TAG, question.resource, conditions))
        return self._steps([hop])[0] if self._asker.possible(hop.question, hop.state) else None

    def openers(self, member: Member) -> tuple[str, ...]:
        """Return the labels of the members that can become the role *member* in one step."""
        if member.kind == "user":
            return ()
        leading = self._leading_to(member, _Search())
        members = (position.state.member for position, _ in leading)
        return tuple(dict.fromkeys(other.label for other in members if other is not member))

    def _steps(self, hops: Iterable[Hop]) -> tuple[Step, ...]:
        cells = ((hop, self._asker.cell(hop.question, hop.state, hop.trust)) for hop in hops)
        return tuple(Step(hop.question, hop.also, cell.by, cell.remains) for hop, cell in cells)

    def _leading_to(self, target: Member, search: _Search) -> Iterator[tuple[Position, Hop]]:
        """Yield the principals without a path that can become *target*."""
        for number, (call, positions) in enumerate(self._callers_of(target)):
            left = search.left(positions)
            if not left or not self._is_open(target, number):
                continue
            for position in left:
                hop = self._ways.hop(call, position.state)
                if hop:
                    yield position, hop

    def _callers_of(self, target: Member) -> list[tuple[Call, list[Position]]]:
        """Return the calls by which others become *target*, each with a group that may make it."""
        if target not in self._callers:
            self._callers[target] = [
                (call, positions)
                for call in self._ways.calls(target)
                for positions in self._groups(call, target)
            ]
        return self._callers[target]

    def _groups(self, call: Call, target: Member) -> Iterator[list[Position]]:
        """Yield groups that the trust policy of *call* names, or whose policies may allow it."""
        whom = call.whom
        if whom:
            members = self._account.by_arn
            arns = members if whom.everyone else sorted(whom.arns & members.keys())
            named = [position for arn in arns for position in self._ways.positions(members[arn])]
            if named:
                yield named
            if not whom.account:
                return
        yield from self._able_to(call.question.action).on(target.arn)

    def _is_open(self, target: Member, number: int) -> bool:
        """Return whether a group may make its call; true if each member must be checked."""
        call, positions = self._callers_of(target)[number]
        if call.whom and call.whom.singly:
            return True
        key = target, number
        if key not in self._open:
            first = positions[0].state
            self._open[key] = self._asker.possible(call.question, first, call.trust)
        return self._open[key]

    def _able_to(self, action: str) -> _Able:
        if action not in self._able:
            everybody = chain.from_iterable(map(self._ways.positions, self._account.members))
            self._able[action] = _Able(action, everybody, self._asker)
        return self._able[action]
