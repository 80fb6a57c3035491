"""Plan and apply: the principal, its policy and its credential."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

from cml_iam.credentials import Delivery, deliver, locked, plan_key
from cml_iam.errors import (
    AwsError,
    IncompleteError,
    InputError,
    NotFoundError,
    QuotaError,
    RefusedError,
    StateError,
)
from cml_iam.policy import MANAGED_POLICY_CHARACTERS, policy_size
from cml_iam.provision import _steps
from cml_iam.provision._live import (
    Kind,
    Policy,
    Principal,
    other_grants,
    read_policy,
    read_principal,
    read_profile,
    read_versions,
)
from cml_iam.provision._plan import Applied, Call, Plan, Step, Wanted, key_step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from cml_iam.aws.port import Aws, Identity
    from cml_iam.site import Site

PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between tries of a call that does not see yet what the call before it made."""


def plan_bootstrap(
    aws: Aws,
    site: Site,
    document: str,
    *,
    path: str | None = None,
    boundary: str | None = None,
    tags: Mapping[str, str] | None = None,
    delivery: Delivery | None = None,
) -> Plan:
    """Return what is to be done so that the principal of *site* has the policy *document*.

    Only reads. *path* and *boundary* (a policy's ARN) are left as they are where None is given;
    *tags* are added. The key of a user goes to *delivery*; without one no key is looked at.

    Raises RefusedError for credentials of another account than the site's, and where going on would
    be unsafe; QuotaError for a document larger than AWS takes; DocumentError for one that is none.
    """
    return _plan(aws, Wanted(site, document, path, boundary, dict(tags or {})), delivery)


def apply_plan(
    aws: Aws,
    plan: Plan,
    *,
    report: Callable[[Step], None] = lambda step: None,  # noqa: ARG005 - the default does nothing
    pause: Callable[[float], None] = time.sleep,
) -> Applied:
    """Do exactly what *plan* says; *report* is called before each step that does something.

    May be stopped anywhere and planned again. Raises RefusedError, before anything is done, when
    the plan is stale or another process applies one with the same store.
    """
    store = plan.delivery.store if plan.delivery and plan.key else None
    with locked(store.folder.parent) if store else nullcontext():
        if _plan(aws, plan.wanted, plan.delivery) != plan:
            raise RefusedError(
                "the account or the store has changed since the plan was made",
                remedy="look at a new plan",
            )
        for step in plan.steps:
            if step.changes:
                report(step)
                _do(aws, plan, step, pause)
        return Applied(plan.principal, plan.changes, _deliver(aws, plan, report, pause))


def check_account(identity: Identity, site: Site) -> None:
    """Raise RefusedError unless *identity* is of the site's account."""
    if identity.account != site.account:
        raise RefusedError(
            f"these credentials are of account `{identity.account}` (`{identity.arn}`), "
            f"and the site file says `{site.account}`",
            remedy="use a profile of that account (--profile), or correct `account.id`",
        )


def _plan(aws: Aws, wanted: Wanted, delivery: Delivery | None) -> Plan:
    identity = aws.identity()
    check_account(identity, wanted.site)
    _check_size(wanted.document)
    kind, name = _principal_of(wanted.site)
    principal = read_principal(aws, kind, name)
    policy = read_policy(aws, wanted.site.policy_arn)
    steps = tuple(_steps_of(aws, kind, name, principal, policy, wanted))
    arn = principal.arn if principal else _arn(wanted, kind, name)
    key = plan_key(aws, name, arn, delivery) if delivery and kind == "user" else None
    return Plan(
        identity=identity,
        wanted=wanted,
        principal=arn,
        steps=steps,
        key=key,
        warnings=tuple(_warnings(aws, kind, name, principal, wanted)),
        delivery=delivery,
    )


def _steps_of(
    aws: Aws,
    kind: Kind,
    name: str,
    principal: Principal | None,
    policy: Policy | None,
    wanted: Wanted,
) -> Iterator[Step]:
    yield _steps.principal_step(kind, name, principal, wanted)
    step = _steps.policy_step(policy, (), wanted)
    if policy is not None and step.changes:  # only then the versions matter
        step = _steps.policy_step(policy, read_versions(aws, policy.arn), wanted)
    yield step
    yield _steps.attachment_step(kind, name, principal, wanted)
    yield from _steps.tag_steps(kind, name, principal, policy, wanted)
    if kind == "role":
        yield _steps.profile_step(name, read_profile(aws, name), wanted)


def _warnings(
    aws: Aws, kind: Kind, name: str, principal: Principal | None, wanted: Wanted
) -> Iterator[str]:
    if principal is None:
        return
    others = [f"policy `{arn}`" for arn in principal.attached if arn != wanted.site.policy_arn]
    for other in (*others, *other_grants(aws, kind, name)):
        if other.startswith("could not check"):
            yield other
        else:
            yield f"the {kind} also has the {other}: what that allows is allowed"


def _do(aws: Aws, plan: Plan, step: Step, pause: Callable[[float], None]) -> None:
    try:
        for call in step.calls:
            _call(aws, call, pause)
    except AwsError as error:
        # The work may be done all the same: the answer was lost, or boto3 sent the call twice and
        # the second one failed on what the first had made.
        if not _settled(aws, plan, step, error):
            raise


def _settled(aws: Aws, plan: Plan, step: Step, error: AwsError) -> bool:
    try:
        now = _plan(aws, plan.wanted, None)
    except AwsError as second:
        raise IncompleteError(
            f"stopped at the {step.resource} `{step.name}`: {error.message}; and nobody can tell "
            f"whether it worked: {second.message}",
            remedy="run the same again",
        ) from error
    # Of a resource made just now the tags have a step of their own, which is not in the plan.
    same = [each for each in now.steps if (each.resource, each.name) == (step.resource, step.name)]
    return all(not each.changes for each in same)


def _call(aws: Aws, call: Call, pause: Callable[[float], None]) -> dict[str, Any]:
    for seconds in PAUSES:
        try:
            return aws.call(call.service, call.operation, once=call.once, **call.parameters)
        except (NotFoundError, StateError) as error:
            # IAM is eventually consistent: what an earlier step made may not be seen yet.
            # https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html
            if call.operation.startswith("delete_") and isinstance(error, NotFoundError):
                return {}  # gone: that is what was wanted
            if error.code not in _NOT_YET:
                raise
            pause(seconds)
    return aws.call(call.service, call.operation, once=call.once, **call.parameters)


_NOT_YET: Final = frozenset({"NoSuchEntity", "EntityTemporarilyUnmodifiable"})


def _deliver(
    aws: Aws, plan: Plan, report: Callable[[Step], None], pause: Callable[[float], None]
) -> str | None:
    if plan.key is None or plan.delivery is None:
        return None
    if plan.key.changes:
        report(key_step(plan.key))
    return deliver(aws, plan.key, plan.delivery, pause=pause)


def _principal_of(site: Site) -> tuple[Kind, str]:
    if site.role:
        return "role", site.role
    if site.user:
        return "user", site.user
    raise InputError("the site names neither a user nor a role")


def _arn(wanted: Wanted, kind: Kind, name: str) -> str:
    site = wanted.site
    return f"arn:{site.partition}:iam::{site.account}:{kind}{wanted.path or '/'}{name}"


def _check_size(document: str) -> None:
    size = policy_size(document)
    if size > MANAGED_POLICY_CHARACTERS:
        raise QuotaError(
            f"the policy has {size} characters, and AWS takes {MANAGED_POLICY_CHARACTERS}",
            remedy="restrict by fewer values, or by wildcards",
        )
