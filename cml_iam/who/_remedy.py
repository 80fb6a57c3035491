"""The smallest change after which a principal may no longer do something, with its proof.

A change is tried on the account as it was read, and the same questions are answered again for the
changed principal. Changes that affect nobody else and remove few permissions come first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from cml_iam.policy import VERSION_2012, PolicyDocument, Statement
from cml_iam.principal import Held
from cml_iam.prove import statement_of
from cml_iam.who._account import Member
from cml_iam.who._asking import Asker, Question, State
from cml_iam.who._paths import Path, Paths
from cml_iam.who._reduced import Origin

MAX_CHANGES: Final = 5
MAX_NAMES: Final = 3
DENY: Final = "the added Deny"


class Remedy(NamedTuple):
    """A change in *words*, the *member* then, and the actions that it does not provably prevent.

    Until a change is tried, nothing *remains*, so it counts as `proved`.
    """

    words: str
    member: Member
    remains: tuple[str, ...] = ()

    @property
    def proved(self) -> bool:
        """Whether the change provably prevents everything in question, by whatever steps."""
        return not self.remains


class _Open(NamedTuple):
    """A *question* whose answer is still yes, and the *path* that leads to it.

    *first* is the call to prevent; *by* are the statements of identity policies that allow it.
    Without a path, the answer is undecided.
    """

    question: Question
    path: Path | None

    @property
    def first(self) -> Question:
        return self.path.steps[0].question if self.path and self.path.steps else self.question

    @property
    def by(self) -> tuple[Origin, ...]:
        if self.path is None:
            return ()
        origins = self.path.steps[0].by if self.path.steps else self.path.cell.by
        return tuple(origin for origin in origins if origin.type == "identity")


def remedy(
    member: Member, questions: Sequence[Question], asker: Asker, paths: Paths
) -> Remedy | None:
    """Return a change after which *member* may do nothing in *questions*; None if none is known."""
    words: list[str] = []
    left = tuple(_still_open(member, questions, asker, paths))
    while left and len(words) < MAX_CHANGES:
        best: tuple[Remedy, tuple[_Open, ...]] | None = None
        for change in _changes(member, left, asker):
            then = tuple(_still_open(change.member, questions, asker, paths))
            if best is None or len(then) < len(best[1]):
                best = change, then
            if not then:
                break
        if best is None:
            break
        words.append(best[0].words)
        member, left = best[0].member, best[1]
    if not words:
        return None
    remains = tuple(dict.fromkeys(still.question.action for still in left))
    return Remedy(", then ".join(words), member, remains)


def _still_open(
    member: Member, questions: Iterable[Question], asker: Asker, paths: Paths
) -> Iterator[_Open]:
    for question in questions:
        path = paths.of(member, question)
        if path or asker.cell(question, State(member)).answer == "undecided":
            yield _Open(question, path)


def _changes(member: Member, left: Sequence[_Open], asker: Asker) -> Iterator[Remedy]:
    """Yield changes of *member* that may prevent some of what is *left*, the smallest first."""
    origins = tuple(dict.fromkeys(origin for still in left for origin in still.by))
    groups = {origin.group for origin in origins}
    if len(groups) == 1 and None not in groups:
        yield _without_group(member, str(groups.pop()))
    if origins and all(_lists(member, still) for still in left):
        yield _without_actions(member, left, origins)
    if not _may_take_off(member, asker):
        calls = tuple(dict.fromkeys(still.first for still in left))
        anywhere = tuple(dict.fromkeys(Question(call.action) for call in calls))
        if not any(policy.name == DENY for policy in member.holdings.policies):
            yield _denied(member, calls)
        yield _denied(member, anywhere)
    if origins:
        yield _without_statements(member, origins)


def _without_group(member: Member, group: str) -> Remedy:
    held = tuple(policy for policy in member.holdings.policies if policy.group != group)
    groups = tuple(name for name in member.groups if name != group)
    changed = replace(_holding(member, held), groups=groups)
    return Remedy(f"remove `{member.label}` from the group {group}", changed)


def _holding(member: Member, policies: Iterable[Held]) -> Member:
    return replace(member, holdings=replace(member.holdings, policies=tuple(policies)))


def _lists(member: Member, still: _Open) -> bool:
    """Return whether the statements that allow the call list its action in full."""
    action = still.first.action.lower()
    statements = [
        statement
        for held in member.holdings.policies
        for statement in held.document.statements
        if _is_in(statement, held, still.by)
    ]
    return bool(statements) and all(
        action in (name.lower() for name in statement.action or ()) for statement in statements
    )


def _without_actions(member: Member, left: Sequence[_Open], origins: Sequence[Origin]) -> Remedy:
    actions = {still.first.action.lower(): still.first.action for still in left}

    def narrowed(statement: Statement) -> Statement | None:
        kept = tuple(name for name in statement.action or () if name.lower() not in actions)
        return replace(statement, action=kept) if kept else None

    places = ", ".join(origin.words for origin in origins)
    words = f"remove {_listed(actions.values())} from {places}"
    return Remedy(words, _edited(member, origins, narrowed))


def _without_statements(member: Member, origins: Sequence[Origin]) -> Remedy:
    """Remove whole statements, and detach policies that AWS manages."""
    arns = {policy.name: policy.arn or "" for policy in member.holdings.policies}
    words = dict.fromkeys(
        f"detach {origin.policy}" + (f" from the group {origin.group}" if origin.group else "")
        if ":iam::aws:" in arns.get(origin.policy, "")
        else f"remove {origin.words}"
        for origin in origins
    )
    return Remedy(" and ".join(words), _edited(member, origins, lambda _: None))


def _edited(
    member: Member, origins: Sequence[Origin], edit: Callable[[Statement], Statement | None]
) -> Member:
    """Return *member* with *edit* applied to the statements of *origins*; None removes one."""

    def edited_policy(held: Held) -> Held:
        kept = [
            edit(statement) if _is_in(statement, held, origins) else statement
            for statement in held.document.statements
        ]
        statements = tuple(statement for statement in kept if statement is not None)
        return replace(held, document=replace(held.document, statements=statements))

    edited = {(origin.policy, origin.group) for origin in origins}
    return _holding(
        member,
        (
            edited_policy(held) if (held.name, held.group) in edited else held
            for held in member.holdings.policies
        ),
    )


def _is_in(statement: Statement, held: Held, origins: Iterable[Origin]) -> bool:
    place = held.name, held.group, statement.label
    return any((origin.policy, origin.group, origin.statement) == place for origin in origins)


def _may_take_off(member: Member, asker: Asker) -> bool:
    """Return whether *member* could remove a Deny from itself, so that adding one is useless."""
    kind = member.kind.title()
    calls = (f"iam:Delete{kind}Policy", f"iam:Detach{kind}Policy")
    return any(asker.reach(call, State(member)) is not None for call in calls)


def _denied(member: Member, calls: Sequence[Question]) -> Remedy:
    statements = tuple(
        replace(statement_of(call.shape), effect="Deny", sid=None, index=number)
        for number, call in enumerate(calls)
    )
    document = PolicyDocument(statements, VERSION_2012, name=DENY)
    words = f"deny {_listed(dict.fromkeys(call.action for call in calls))}"
    resources = dict.fromkeys(call.resource for call in calls)
    if len(resources) == 1:
        (resource,) = resources
        words += f" on {'every resource' if resource == '*' else resource}"
    changed = _holding(member, (*member.holdings.policies, Held(DENY, None, document)))
    return Remedy(f"{words} to `{member.label}`", changed)


def _listed(names: Iterable[str]) -> str:
    listed = list(names)
    others = len(listed) - MAX_NAMES
    return ", ".join(listed[:MAX_NAMES]) + (f" and {others} other actions" if others > 0 else "")
