"""Who may do what is asked: the answer for every principal, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from cml_iam.who._asking import Cell, Question, State
from cml_iam.who._paths import Path, Paths, Step

if TYPE_CHECKING:
    from cml_iam.who._account import Account, Member
    from cml_iam.who._asking import Asker
    from cml_iam.who._reduced import Origin

Standing = Literal["yes", "depends", "by steps", "undecided", "no"]
STANDINGS: Final[tuple[Standing, ...]] = ("yes", "depends", "by steps", "undecided", "no")

NOT_COVERED: Final = (
    "the account's root user, whom only service control policies limit",
    "resource policies that were not given",
    "what other accounts' policies and service control policies allow their principals",
    "session policies, such as a permission set's own or those passed to sts:AssumeRole",
    "sessions of federated users",
    "a principal that first removes a Deny from its own policies",
    "resource control policies and the policies of VPC endpoints",
)
"""What an answer does not cover."""


@dataclass(frozen=True, slots=True)
class Holder:
    """What one principal may do: by its own policies (*cell*), or by the steps of a *path*.

    *opened_to* are services, accounts and providers that may start sessions of a role. *tagging* is
    the call with which it sets the resource tags that its own permission depends on.
    """

    member: Member
    cell: Cell
    path: Path | None = None
    opened_to: tuple[str, ...] = ()
    tagging: Step | None = None

    @property
    def standing(self) -> Standing:
        """The answer as one word."""
        if self.cell.answer in {"yes", "depends"}:
            return "yes" if self.cell.answer == "yes" else "depends"
        if self.path is not None:
            return "by steps"
        return "undecided" if self.cell.answer == "undecided" else "no"

    @property
    def rank(self) -> int:
        """The rank of the standing: the most certain first."""
        return STANDINGS.index(self.standing)


def holders(question: Question, asker: Asker, paths: Paths | None) -> tuple[Holder, ...]:
    """Return the answer for every principal; *paths* includes what takes several steps."""
    found: Mapping[str, Path] = {}
    if paths and not asker.is_another_accounts(question):
        found = paths.to(question)
    answers = []
    for member in asker.account.members:
        cell = asker.cell(question, State(member))
        path = found.get(member.arn)
        answers.append(
            Holder(
                member,
                cell,
                path if path and path.steps else None,
                opened_to(member, asker.account) if cell.answer != "no" or path else (),
                paths.tagging(question, member, cell) if paths else None,
            )
        )
    return tuple(sorted(answers, key=lambda each: each.rank))


def opened_to(member: Member, account: Account) -> tuple[str, ...]:
    """Return who, besides the account's users and roles, may start sessions of a role."""
    names: dict[str, None] = {}
    for statement in member.trust.statements if member.trust else ():
        if statement.effect != "Allow" or statement.principal is None:
            continue
        if statement.principal.everyone:
            names["everyone"] = None
        for kind, ids in statement.principal.ids:
            for each in ids:
                if kind != "AWS":
                    names[f"{'service' if kind == 'Service' else 'provider'} {each}"] = None
                elif each == "*":
                    names["everyone"] = None
                elif account.number not in each and each != account.number:
                    names[f"another account's {each}"] = None
    return tuple(names)


def as_json(question: Question, account: Account, answers: Sequence[Holder]) -> dict[str, Any]:
    """Return the answers as JSON values, as in `policies/who-can.schema.json`."""
    counts = {each: sum(a.standing == each for a in answers) for each in STANDINGS}
    return {
        "question": {
            "action": question.action,
            "resource": question.resource,
            "conditions": question.conditions,
        },
        "account": account.number,
        "counts": counts,
        "principals": [_holder_json(each) for each in answers],
        "not_covered": list(NOT_COVERED),
    }


def _holder_json(one: Holder) -> dict[str, Any]:
    path = one.path if one.standing == "by steps" else None
    cell = path.cell if path else one.cell
    return {
        "arn": one.member.arn,
        "answer": one.standing,
        "by": [_origin_json(each) for each in cell.by],
        "remains": list(cell.remains),
        "example": _request_json(cell),
        "steps": [_step_json(each) for each in (path.steps if path else ())],
        "tagging": _step_json(one.tagging) if one.tagging else None,
        "acts_as": one.path.actor.arn
        if one.path and one.standing == "by steps"
        else one.member.arn,
        "opened_to": list(one.opened_to),
        "reason": cell.reason or None,
        "other_reading": cell.colon or None,
    }


def _step_json(one: Step) -> dict[str, Any]:
    return {
        "action": one.action,
        "on": one.on,
        "by": [_origin_json(origin) for origin in one.by],
        "remains": list(one.remains),
    }


def _origin_json(one: Origin) -> dict[str, Any]:
    return {
        "policy": one.policy,
        "statement": one.statement,
        "group": one.group,
        "type": one.kind,
    }


def _request_json(cell: Cell) -> dict[str, Any] | None:
    if cell.example is None:
        return None
    request = cell.example
    return {
        "action": request.action,
        "resource": request.resource,
        "context": dict(request.context),
    }
