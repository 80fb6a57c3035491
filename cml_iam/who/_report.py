"""The default questions (workers, manager, trail), and the answer for every principal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from cml_iam.policy import pattern_matches
from cml_iam.render import audit_values
from cml_iam.who._account import Account, Member, named
from cml_iam.who._asking import Asker, Cell, Question, State
from cml_iam.who._paths import Path, Paths, Step

if TYPE_CHECKING:
    from cml_iam.site import Site

Standing = Literal["yes", "depends", "by steps", "undecided", "no"]
STANDINGS: Final[tuple[Standing, ...]] = ("yes", "depends", "by steps", "undecided", "no")

NOT_COVERED: Final = (
    "the account's root user, whom only service control policies limit",
    "resource policies that were not passed to the command",
    "what other accounts' policies and service control policies allow their principals",
    "session policies, such as a permission set's own or those passed to sts:AssumeRole",
    "sessions of federated users",
    "a principal that first removes a Deny from its own policies",
    "resource control policies and the policies of VPC endpoints",
)
"""The limits of an answer."""


class Holder(NamedTuple):
    """What one principal may do by its own policies (*cell*), or by the steps of a *path*.

    *opened_to* are services, accounts and providers that may start sessions of a role. *tagging* is
    the call with which it sets the resource tags on which its own permission depends.
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
        """The rank of the standing; the most certain one is first."""
        return STANDINGS.index(self.standing)


def holders(question: Question, asker: Asker, paths: Paths | None) -> tuple[Holder, ...]:
    """Return the answer for every principal; with *paths*, also by several steps."""
    ends: Mapping[str, Path] = {}
    if paths and not asker.is_another_accounts(question):
        ends = paths.to(question)
    answers = []
    for member in asker.account.members:
        cell = asker.cell(question, State(member))
        path = ends.get(member.arn)
        answers.append(
            Holder(
                member,
                cell,
                path if path and path.steps else None,
                opened_to(member, asker.account) if cell.answer != "no" or path else (),
                paths.tagging(question, member, cell) if paths else None,
            )
        )
    return tuple(sorted(answers, key=lambda holder: holder.rank))


def opened_to(member: Member, account: Account) -> tuple[str, ...]:
    """Return the principals outside the account that may start sessions of a role."""
    opened: dict[str, None] = {}
    for statement in member.trust.statements if member.trust else ():
        for kind, name in named(statement.principal) if statement.effect == "Allow" else ():
            if kind != "AWS":
                opened[f"{'service' if kind == 'Service' else 'provider'} {name}"] = None
            elif name == "*":
                opened["everyone"] = None
            elif account.number not in name:
                opened[f"another account's {name}"] = None
    return tuple(opened)


def as_json(question: Question, account: Account, answers: Sequence[Holder]) -> dict[str, Any]:
    """Return the answers as JSON values, as in `policies/output.schema.json`."""
    standings = [answer.standing for answer in answers]
    counts = {standing: standings.count(standing) for standing in STANDINGS}
    return {
        "question": {
            "action": question.action,
            "resource": question.resource,
            "conditions": question.conditions,
        },
        "account": account.number,
        "counts": counts,
        "principals": [_holder_json(answer) for answer in answers],
        "not_covered": list(NOT_COVERED),
    }


def _holder_json(holder: Holder) -> dict[str, Any]:
    path = holder.path if holder.standing == "by steps" else None
    cell = path.cell if path else holder.cell
    request = cell.example
    return {
        "arn": holder.member.arn,
        "answer": holder.standing,
        "by": [origin._asdict() for origin in cell.by],
        "remains": list(cell.remains),
        "example": request
        and {
            "action": request.action,
            "resource": request.resource,
            "context": dict(request.context),
        },
        "steps": [_step_json(step) for step in (path.steps if path else ())],
        "tagging": holder.tagging and _step_json(holder.tagging),
        "acts_as": path.actor.arn if path else holder.member.arn,
        "opened_to": list(holder.opened_to),
        "reason": cell.reason or None,
        "other_reading": cell.colon or None,
    }


def _step_json(step: Step) -> dict[str, Any]:
    return {
        "action": step.action,
        "on": step.on,
        "by": [origin._asdict() for origin in step.by],
        "remains": list(step.remains),
    }


ANY_TOPIC = "anything"
"""The name of the site file's list of principals that may do everything."""

NEW_VERSION: Final = ("iam:CreatePolicyVersion", "iam:SetDefaultPolicyVersion")
"""The actions that change the content of a managed policy."""


class Topic(NamedTuple):
    """Something that only the manager should be able to do, as *questions* about its parts.

    *id* is its name in `[expected]` of the site file, *title* completes "may …".
    """

    id: str
    title: str
    questions: tuple[Question, ...]


def topics(site: Site) -> tuple[Topic, ...]:
    """Return the questions to answer for everybody in the account of *site*."""
    start = f"arn:{site.partition}:"
    passed = site.grant.pass_role or site.role
    stops = ("StopLogging", "DeleteTrail", "UpdateTrail", "PutEventSelectors")
    rows = (
        *_worker_topics(site, start),
        *_manager_topics(site, start),
        (
            "pass_role",
            f"pass the role {passed}",
            _on(f"{start}iam::{site.account}:role/{passed}", "iam:PassRole") if passed else [],
        ),
        (
            "stop_trail",
            "stop or redirect the trail",
            _on(audit_values(site)["trail_arn"], *(f"cloudtrail:{stop}" for stop in stops)),
        ),
    )
    return tuple(Topic(id_, title, tuple(questions)) for id_, title, questions in rows if questions)


def _on(resource: str, *actions: str) -> list[Question]:
    return [Question(action, resource) for action in actions]


def _manager_topics(site: Site, start: str) -> Iterator[tuple[str, str, list[Question]]]:
    """Yield topics on the manager's keys, policies and boundary; some may have no question."""
    arn, (kind, _) = site.principal_arn, site.principal
    title = kind.title()
    keys = ("iam:CreateAccessKey", "iam:CreateLoginProfile", "iam:UpdateLoginProfile")
    yield "make_keys", "create keys for the manager", _on(arn, *keys) if kind == "user" else []
    reads = [_read(store, start, site) for store in site.credentials.stores]
    yield "read_keys", "read the manager's keys", reads
    edits = _on(
        arn, *(f"iam:{verb}{title}Policy" for verb in ("Put", "Attach", "Detach", "Delete"))
    )
    edits += _on(site.policy_arn, *NEW_VERSION)
    yield "change_policies", "change the manager's policies", edits
    trusts = _on(arn, "iam:UpdateAssumeRolePolicy") if kind == "role" else []
    yield "change_trust", "change the manager's trust policy", trusts
    bounds = _on(arn, *(f"iam:{verb}{title}PermissionsBoundary" for verb in ("Delete", "Put")))
    bounds += _on(site.boundary_arn, *NEW_VERSION)
    yield "change_boundary", "change the manager's boundary", bounds


def _worker_topics(site: Site, start: str) -> Iterator[tuple[str, str, list[Question]]]:
    """Yield topics on the instances with the guard tag, in the site's region if it has only one."""
    regions, tag = site.restrict.regions, site.restrict.guard_tag
    region = regions[0] if len(regions) == 1 else "*"
    instances = f"{start}ec2:{region}:{site.account}:instance/*"
    tagged: dict[str, Any] = (
        {"StringEquals": {f"aws:ResourceTag/{tag.key}": tag.value}} if tag else {}
    )
    for verb in ("Start", "Stop", "Terminate"):
        question = Question(f"ec2:{verb}Instances", instances, tagged)
        yield f"{verb.lower()}_workers", f"{verb.lower()} a worker", [question]
    yield "retag_workers", "retag a worker", [Question("ec2:CreateTags", instances, tagged)]
    if tag:
        listed = {"ForAnyValue:StringEquals": {"aws:TagKeys": tag.key}}
        untag = Question("ec2:DeleteTags", instances, {**tagged, **listed})
        yield "take_off_guard_tag", "remove the guard tag", [untag]


def _read(store: str, start: str, site: Site) -> Question:
    """Return the question who may read a store with the manager's key, in any region.

    The ARN of a secret ends with six characters that only AWS knows.
    https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_iam-permissions.html
    """
    kind, _, name = store.partition(":")
    if kind == "ssm":
        arn = f"{start}ssm:*:{site.account}:parameter/{name.removeprefix('/')}"
        return Question("ssm:GetParameter", arn)
    arn = f"{start}secretsmanager:*:{site.account}:secret:{name}-??????"
    return Question("secretsmanager:GetSecretValue", arn)


def is_expected(member: Member, topic: Topic, site: Site) -> bool:
    """Return whether the site file lists *member*, or a pattern for it, for *topic*."""
    names = (member.arn, member.label, *(f"group/{group}" for group in member.groups))
    patterns = (*site.expected.get(topic.id, ()), *site.expected.get(ANY_TOPIC, ()))
    return any(pattern_matches(pattern, name) for pattern in patterns for name in names)
