"""Who else: every other principal that can change the workers, the manager or the trail.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountAuthorizationDetails.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from cml_iam.audit import Ask, AuditFinding, Cell, Matrix, Spot
from cml_iam.check.answer import Answer, ask_of
from cml_iam.engine import Request
from cml_iam.lint import Severity
from cml_iam.report import listed, plural
from cml_iam.who import (
    Asker,
    Holder,
    Paths,
    Topic,
    holders,
    is_expected,
    read_account,
    remedy,
    topics,
    with_scps,
)

if TYPE_CHECKING:
    from cml_iam.check.checks import Check
    from cml_iam.check.scene import AccountScene
    from cml_iam.site import Site

SCPS_UNREAD: Final = "service control policies were not passed (--scps)"
MAX_REASONS: Final = 3


class _Ability(NamedTuple):
    """What one principal may do within a topic."""

    topic: Topic
    holder: Holder

    @property
    def decided(self) -> bool:
        """Whether it was decided."""
        return self.holder.standing != "undecided"

    def is_expected(self, site: Site) -> bool:
        """Return whether the site file expects it."""
        return is_expected(self.holder.member, self.topic, site)


def who_else(check: Check, scene: AccountScene, _before: Answer) -> Answer:
    """Find every other principal that can do something within the topics, with its chain of calls.

    Raises DeniedError if the account's policies may not be read.
    """
    account, site = scene.account, scene.site
    whole = read_account(scene.aws)
    if scene.scps is not None:
        whole = with_scps(whole, scene.scps)
    asker = Asker(whole, scene.now)
    paths, all_topics = Paths(asker), topics(site)
    by_member = _by_member(all_topics, asker, paths, site)
    findings, undecided = [], []
    for held in by_member.values():
        unexpected = [ability for ability in held if not ability.is_expected(site)]
        decided = [ability for ability in unexpected if ability.decided]
        undecided += [ability.holder for ability in unexpected if not ability.decided]
        if decided:
            findings.append(_finding(check, decided, asker, paths, account))
    cells = tuple(_cell(ability, site) for held in by_member.values() for ability in held)
    rows = tuple(dict.fromkeys(cell.permission for cell in cells))
    columns = tuple(topic.title for topic in all_topics)
    matrices = (Matrix("others", rows, columns, cells, account),) if cells else ()
    if undecided:
        lost = check.not_checked(_reasons(undecided), None, account)
        return lost + Answer(findings=tuple(findings), matrices=matrices)
    number = len(whole.members) * len(all_topics)
    limits = "" if scene.scps is not None else f"; {SCPS_UNREAD}"
    detail = f"{plural(len(whole.members), 'principal')}{limits}"
    return check.answer(number, detail, account, findings, matrices=matrices)


def _by_member(
    all_topics: Sequence[Topic], asker: Asker, paths: Paths, site: Site
) -> dict[str, list[_Ability]]:
    """Return what each other principal may do, by its ARN; neither the site's nor AWS's own."""
    by_member: dict[str, list[_Ability]] = {}
    for topic in all_topics:
        for holder in _worst(topic, asker, paths):
            member = holder.member
            theirs = member.arn == site.principal_arn or member.service_linked
            if holder.standing != "no" and not theirs:
                by_member.setdefault(member.arn, []).append(_Ability(topic, holder))
    return by_member


def _worst(topic: Topic, asker: Asker, paths: Paths) -> Iterable[Holder]:
    """Return each principal once, with the most certain answer among the topic's questions."""
    best: dict[str, Holder] = {}
    for question in topic.questions:
        for holder in holders(question, asker, paths):
            earlier = best.get(holder.member.arn)
            if earlier is None or holder.rank < earlier.rank:
                best[holder.member.arn] = holder
    return best.values()


def _finding(
    check: Check, held: Sequence[_Ability], asker: Asker, paths: Paths, account: str
) -> AuditFinding:
    own = [ability for ability in held if ability.holder.standing != "by steps"]
    first = (own or held)[0].holder
    member = first.member
    sentences = []
    if own:
        sentences.append(f"`{member.label}` may {_titles(own)}: {_why(first)}")
    by_route: dict[str, list[_Ability]] = {}
    for ability in held:
        if ability.holder.standing == "by steps":
            by_route.setdefault(_route(ability.holder), []).append(ability)
    for route, several in by_route.items():
        who = "it" if sentences else f"`{member.label}`"
        sentences.append(f"{who} may {_titles(several)} through others: {route}")
    if first.opened_to:
        sentences.append(f"{', '.join(first.opened_to)} may start its sessions")
    if openers := paths.openers(member):
        sentences.append(f"{', '.join(openers)} may assume it")
    sure = any(ability.holder.standing != "depends" for ability in held)
    return check.finding(
        "CML718",
        "; ".join(sentences),
        Spot(resource=member.arn, account=account),
        remedy=_remedy(held, asker, paths),
        severity=Severity.ERROR if sure else Severity.WARNING,
        witness=_asks(first),
    )


def _route(holder: Holder) -> str:
    steps = holder.path.steps if holder.path else ()
    return ", then ".join(f"{step.action} on {step.on}" for step in steps)


def _titles(held: Sequence[_Ability]) -> str:
    return listed(ability.topic.title for ability in held)


def _why(holder: Holder) -> str:
    by = [origin.words for origin in holder.cell.by if origin.type in {"identity", "resource"}]
    return ", ".join(filter(None, (f"by {', '.join(by)}" if by else "", *holder.cell.remains)))


def _remedy(held: Sequence[_Ability], asker: Asker, paths: Paths) -> str:
    """Return the smallest change that prevents all of this, and whether that is proved."""
    member = held[0].holder.member
    questions = [question for ability in held for question in ability.topic.questions]
    expected = f"list `{member.label}` under `[expected]` of the site file"
    change = remedy(member, questions, asker, paths)
    if change is None:
        return f"change the policies that allow it, or {expected}"
    if change.proved:
        return f"{change.words} (proved: none of this is possible afterwards), or {expected}"
    remains = f"{', '.join(change.remains)} may still be possible"
    return f"{change.words} (a suggestion, not proved: {remains}), or {expected}"


def _asks(holder: Holder) -> Iterator[Ask]:
    """Yield the calls of a chain; the last one with the statements that allow it."""
    path = holder.path if holder.standing == "by steps" else None
    for step in path.steps if path else ():
        labels = tuple(origin.words for origin in step.by)
        yield Ask(f"{step.action} on {step.on}", step.action, step.on, "allowed", {}, labels)
    cell = path.cell if path else holder.cell
    if cell.example is not None:
        actor = f" as {path.actor.label}" if path else ""
        says = f"{cell.example.action} on {cell.example.resource}{actor}"
        yield ask_of(cell.example, "allowed", (origin.words for origin in cell.by), says=says)


def _reasons(undecided: Sequence[Holder]) -> str:
    """Return why some questions have no answer, grouped by reason, as there are many principals."""
    reasons: dict[str, set[str]] = {}
    for holder in undecided:
        reasons.setdefault(holder.cell.reason, set()).add(holder.member.label)
    sentences = [
        f"{len(names)} principals: {reason}" if len(names) > 1 else f"{min(names)}: {reason}"
        for reason, names in reasons.items()
    ]
    hidden = len(sentences) - MAX_REASONS
    return "; ".join(sentences[:MAX_REASONS]) + (
        f"; and {hidden} more reasons" if hidden > 0 else ""
    )


def _cell(ability: _Ability, site: Site) -> Cell:
    topic, holder = ability
    met, decided = ability.is_expected(site), ability.decided
    question = topic.questions[0]
    unasked = ask_of(
        Request(question.action, question.resource), "not checked", says=question.action
    )
    return Cell(
        holder.member.label,
        topic.title,
        "allowed" if met else "refused",
        "allowed" if decided else "unknown",
        met if decided else None,
        tuple(_asks(holder)) or (unasked,),
        holder.standing,
    )
