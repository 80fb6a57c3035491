"""Who else: every other principal that can change the workers, the manager or the trail.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountAuthorizationDetails.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

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


@dataclass(frozen=True, slots=True)
class _Held:
    """What one principal may do within a topic; *step* is set if it needs intermediate calls."""

    topic: Topic
    holder: Holder

    @property
    def known(self) -> bool:
        """Whether it was decided."""
        return self.holder.standing != "undecided"

    @property
    def by_steps(self) -> bool:
        """Whether intermediate calls are needed."""
        return self.holder.standing == "by steps"


def who_else(check: Check, scene: AccountScene, _before: Answer) -> Answer:
    """Find every other principal that can do something within the topics, with its chain of calls.

    Raises DeniedError if the account's policies may not be read.
    """
    account, site = scene.account, scene.site
    whole = read_account(scene.aws)
    if scene.scps is not None:
        whole = with_scps(whole, scene.scps)
    asker = Asker(whole, scene.now)
    paths = Paths(asker)
    asked = topics(site)
    held: dict[str, list[_Held]] = {}
    for topic in asked:
        for holder in _worst(topic, asker, paths):
            member = holder.member
            theirs = member.arn == site.principal_arn or member.service_linked
            if holder.standing != "no" and not theirs:
                held.setdefault(member.arn, []).append(_Held(topic, holder))
    unexpected = [
        [each for each in several if not is_expected(each.holder.member, each.topic, site)]
        for several in held.values()
    ]
    undecided = [e for several in unexpected for e in several if not e.known]
    findings = tuple(
        _finding(check, known, asker, paths, account)
        for several in unexpected
        if (known := [each for each in several if each.known])
    )
    matrices = tuple(_matrices(asked, held, site, account))
    if undecided:
        lost = check.not_checked(_reasons(undecided), None, account)
        return lost + Answer(findings=findings, matrices=matrices)
    number = len(whole.members) * len(asked)
    limits = "" if scene.scps is not None else f"; {SCPS_UNREAD}"
    detail = f"{plural(len(whole.members), 'principal')}{limits}"
    return check.answer(number, detail, account, findings, matrices=matrices)


def _worst(topic: Topic, asker: Asker, paths: Paths) -> Iterator[Holder]:
    """Yield each principal once, with the most certain answer among the topic's questions."""
    best: dict[str, Holder] = {}
    for question in topic.questions:
        for holder in holders(question, asker, paths):
            known = best.get(holder.member.arn)
            if known is None or holder.rank < known.rank:
                best[holder.member.arn] = holder
    yield from best.values()


def _finding(
    check: Check, held: Sequence[_Held], asker: Asker, paths: Paths, account: str
) -> AuditFinding:
    own = [each for each in held if not each.by_steps]
    first = (own or held)[0]
    member = first.holder.member
    sentences = []
    if own:
        sentences.append(f"`{member.label}` may {_titles(own)}: {_why(first.holder)}")
    others = [each for each in held if each.by_steps]
    by_route: dict[str, list[_Held]] = {}
    for other in others:
        by_route.setdefault(_route(other.holder), []).append(other)
    for route, several in by_route.items():
        who = "it" if sentences else f"`{member.label}`"
        sentences.append(f"{who} may {_titles(several)} through others: {route}")
    if first.holder.opened_to:
        sentences.append(f"{', '.join(first.holder.opened_to)} may start its sessions")
    openers = paths.openers(member)
    if openers:
        sentences.append(f"{', '.join(openers)} may assume it")
    sure = any(each.holder.standing != "depends" for each in held)
    return check.finding(
        "CML718",
        "; ".join(sentences),
        Spot(resource=member.arn, account=account),
        remedy=_remedy(held, asker, paths),
        severity=Severity.ERROR if sure else Severity.WARNING,
        witness=tuple(_asks(first.holder)),
    )


def _route(holder: Holder) -> str:
    """Return the calls by which *holder* reaches the goal."""
    steps = holder.path.steps if holder.path else ()
    return ", then ".join(f"{step.action} on {step.on}" for step in steps)


def _titles(held: Sequence[_Held]) -> str:
    return listed(each.topic.title for each in held)


def _why(holder: Holder) -> str:
    by = [origin.words for origin in holder.cell.by if origin.kind in {"identity", "resource"}]
    return ", ".join(filter(None, (f"by {', '.join(by)}" if by else "", *holder.cell.remains)))


def _remedy(held: Sequence[_Held], asker: Asker, paths: Paths) -> str:
    """Return the smallest change that prevents all of this, and whether that is proved."""
    member = held[0].holder.member
    questions = [question for each in held for question in each.topic.questions]
    listed = f"list `{member.label}` under `[expected]` of the site file"
    change = remedy(member, questions, asker, paths)
    if change is None:
        return f"change the policies that allow it, or {listed}"
    if change.proved:
        return f"{change.words} (proved: none of this is possible afterwards), or {listed}"
    remains = f"{', '.join(change.remains)} may still be possible"
    return f"{change.words} (a suggestion, not proved: {remains}), or {listed}"


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


def _reasons(undecided: Sequence[_Held]) -> str:
    """Return why some questions have no answer, grouped by reason, as there are many principals."""
    reasons: dict[str, set[str]] = {}
    for each in undecided:
        reasons.setdefault(each.holder.cell.reason, set()).add(each.holder.member.label)
    said = [
        f"{len(names)} principals: {reason}" if len(names) > 1 else f"{min(names)}: {reason}"
        for reason, names in reasons.items()
    ]
    more = len(said) - MAX_REASONS
    return "; ".join(said[:MAX_REASONS]) + (f"; and {more} more reasons" if more > 0 else "")


def _matrices(
    asked: Sequence[Topic], held: Mapping[str, Sequence[_Held]], site: Site, account: str
) -> Iterator[Matrix]:
    """Yield the matrices of what others may do, except those without any permission."""
    cells = []
    for each in (one for several in held.values() for one in several):
        met = is_expected(each.holder.member, each.topic, site)
        cells.append(
            Cell(
                each.holder.member.label,
                each.topic.title,
                "allowed" if met else "refused",
                "allowed" if each.known else "unknown",
                met if each.known else None,
                tuple(_asks(each.holder)) or (_asked(each.topic),),
                each.holder.standing,
            )
        )
    if cells:
        rows = tuple(dict.fromkeys(cell.permission for cell in cells))
        columns = tuple(topic.title for topic in asked)
        yield Matrix("others", rows, columns, tuple(cells), account)


def _asked(topic: Topic) -> Ask:
    question = topic.questions[0]
    request = Request(question.action, question.resource)
    return ask_of(request, "not checked", says=question.action)
