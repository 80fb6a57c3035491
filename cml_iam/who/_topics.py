"""The default questions about all other principals: the workers, the manager, the trail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cml_iam.policy import pattern_matches
from cml_iam.render import audit_values
from cml_iam.who._asking import Question

if TYPE_CHECKING:
    from cml_iam.site import Site
    from cml_iam.who._account import Member

ANY_TOPIC = "anything"
"""The name in the site file of principals that may do everything."""

NEW_VERSION: Final = ("iam:CreatePolicyVersion", "iam:SetDefaultPolicyVersion")
"""The actions that change what a managed policy says."""


@dataclass(frozen=True, slots=True)
class Topic:
    """Something that only the manager should be able to do; any of *questions* counts.

    *id* is its name in `[expected]` of the site file, *title* completes "may …".
    """

    id: str
    title: str
    questions: tuple[Question, ...]


def topics(site: Site) -> tuple[Topic, ...]:
    """Return the questions about everybody in the account of *site*.

    The workers are the instances with the guard tag, in the site's region if there is only one.
    """
    return tuple(_topics(site))


def _topics(site: Site) -> Iterator[Topic]:
    regions = site.restrict.regions
    region = regions[0] if len(regions) == 1 else "*"
    start = f"arn:{site.partition}:"
    instances = f"{start}ec2:{region}:{site.account}:instance/*"
    tag = site.restrict.guard_tag
    tagged: dict[str, Any] = (
        {"StringEquals": {f"aws:ResourceTag/{tag.key}": tag.value}} if tag else {}
    )
    for verb in ("Start", "Stop", "Terminate"):
        question = Question(f"ec2:{verb}Instances", instances, tagged)
        yield Topic(f"{verb.lower()}_workers", f"{verb.lower()} a worker", (question,))
    yield Topic("retag_workers", "retag a worker", (Question("ec2:CreateTags", instances, tagged),))
    if tag:
        listed = {"ForAnyValue:StringEquals": {"aws:TagKeys": tag.key}}
        untag = Question("ec2:DeleteTags", instances, {**tagged, **listed})
        yield Topic("take_off_guard_tag", "remove the guard tag", (untag,))
    arn, (kind, _) = site.principal_arn, site.principal
    named = kind.title()
    if kind == "user":
        keys = ("iam:CreateAccessKey", "iam:CreateLoginProfile", "iam:UpdateLoginProfile")
        questions = tuple(Question(each, arn) for each in keys)
        yield Topic("make_keys", "create keys for the manager", questions)
    stores = site.credentials.stores
    if stores:
        reads = tuple(_read(store, start, site) for store in stores)
        yield Topic("read_keys", "read the manager's keys", reads)
    questions = (
        *(
            Question(f"iam:{verb}{named}Policy", arn)
            for verb in ("Put", "Attach", "Detach", "Delete")
        ),
        *(Question(each, site.policy_arn) for each in NEW_VERSION),
    )
    yield Topic("change_policies", "change the manager's policies", questions)
    if kind == "role":
        question = Question("iam:UpdateAssumeRolePolicy", arn)
        yield Topic("change_trust", "change the manager's trust policy", (question,))
    bounds = (f"iam:Delete{named}PermissionsBoundary", f"iam:Put{named}PermissionsBoundary")
    questions = (
        *(Question(each, arn) for each in bounds),
        *(Question(each, site.boundary_arn) for each in NEW_VERSION),
    )
    yield Topic("change_boundary", "change the manager's boundary", questions)
    passed = site.grant.pass_role or site.role
    if passed:
        question = Question("iam:PassRole", f"{start}iam::{site.account}:role/{passed}")
        yield Topic("pass_role", f"pass the role {passed}", (question,))
    trail = str(audit_values(site)["trail_arn"])
    stops = ("StopLogging", "DeleteTrail", "UpdateTrail", "PutEventSelectors")
    questions = tuple(Question(f"cloudtrail:{each}", trail) for each in stops)
    yield Topic("stop_trail", "stop or redirect the trail", questions)


def _read(store: str, start: str, site: Site) -> Question:
    """Return the question who may read a store of the manager's key, in any region.

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
    names = (member.arn, member.label, *(f"group/{each}" for each in member.groups))
    patterns = (*site.expected.get(topic.id, ()), *site.expected.get(ANY_TOPIC, ()))
    return any(pattern_matches(pattern, name) for pattern in patterns for name in names)
