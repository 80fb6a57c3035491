"""Plan and apply the principal, its policy and its credential."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Final

from cml_iam.aws import check_account
from cml_iam.aws.port import Aws
from cml_iam.credentials import Delivery, deliver, plan_key, store_locked
from cml_iam.errors import QuotaError, RefusedError
from cml_iam.policy import MANAGED_POLICY_CHARACTERS, policy_size
from cml_iam.principal import read_principal
from cml_iam.provision._apply import do_steps
from cml_iam.provision._audit import audit_steps
from cml_iam.provision._destroy import destroy_steps, rollback_steps, version_to
from cml_iam.provision._plan import (
    PRINCIPAL,
    Desired,
    Draft,
    Piece,
    Plan,
    Step,
    Task,
    key_step,
)
from cml_iam.provision._policies import (
    attached_steps,
    attachment_room,
    leftovers,
    policy_step,
    read_limit,
    read_parts,
    rewritten,
    site_policies,
    tag_steps,
)
from cml_iam.provision._principal import Subject, other_grants, principal_steps, profile_step
from cml_iam.provision._watch import Watch
from cml_iam.site import Site, Trust


def plan_bootstrap(
    aws: Aws,
    site: Site,
    documents: str | Sequence[str],
    *,
    path: str | None = None,
    boundary: str | None = None,
    tags: Mapping[str, str] | None = None,
    delivery: Delivery | None = None,
    trust: Trust = "ec2",
    pieces: Collection[Piece] = PRINCIPAL,
    watch: Watch | None = None,
    change_shared: bool = False,
) -> Plan:
    """Return the plan that gives the principal of *site* the policy *documents*; only reads.

    *documents* is the policy, or its parts if it is too large for one document. A user's key goes
    to *delivery*; without a delivery, keys are not considered.

    *boundary* (a policy's ARN; with the piece "boundary", the site's) stays unchanged if it is
    None, *tags* are added to existing ones, and *trust* says who may assume a role. None as *path*
    means the path in the site file; if that is `/`, an existing principal keeps its path. `Desired`
    describes the rest.

    The plan is refused, and names the holders, if it would rewrite a policy that cml-iam neither
    created nor adopted or (without *change_shared*) that other principals also have.

    Raises RefusedError if the credentials are not of the site's account or if it is unsafe to
    continue, QuotaError for a document that is too large for AWS, DocumentError for an invalid one.
    """
    texts = (documents,) if isinstance(documents, str) else tuple(documents)
    if "boundary" in pieces:
        boundary = site.boundary_arn
    path = path or (site.path if site.path != "/" else None)
    desired = Desired(
        site=site,
        documents=texts,
        path=path,
        boundary=boundary,
        tags=dict(tags or {}),
        trust=trust,
        pieces=frozenset(pieces),
        watch=watch,
        change_shared=change_shared,
    )
    return make_plan(aws, desired, delivery if "principal" in pieces else None)


def plan_adoption(aws: Aws, plan: Plan) -> Plan:
    """Return the part of *plan* that adopts by tagging; raises RefusedError if there is none."""
    return make_plan(aws, replace(plan.desired, task="adopt"), None)


def plan_rollback(
    aws: Aws, site: Site, policy: str | None = None, version: str | None = None
) -> Plan:
    """Return the plan to roll *policy* (default: the site's) back to *version* (default: the last).

    Raises RefusedError if there is no such version, if the policy was already rolled back, or if it
    is not ours.
    """
    check_account(aws.identity(), site.account)
    target = version_to(aws, site, policy, version)
    return make_plan(aws, Desired(site, (), task="rollback", target=target), None)


def plan_destruction(aws: Aws, site: Site, pieces: Collection[Piece] = PRINCIPAL) -> Plan:
    """Return the plan that deletes the principal and its policies.

    Raises RefusedError for a principal that cml-iam neither created nor adopted.
    """
    return make_plan(aws, Desired(site, (), pieces=frozenset(pieces), task="destroy"), None)


def apply_plan(
    aws: Aws,
    plan: Plan,
    *,
    report: Callable[[Step], None] = lambda step: None,  # noqa: ARG005 - the default does nothing
    pause: Callable[[float], None] = time.sleep,
) -> str | None:
    """Apply exactly *plan*, and return the id of the key now in the store.

    *report* is called before each step that changes something. It may be interrupted at any point
    and planned again. Raises RefusedError, before any change, if the plan is refused or stale, or
    if another process applies a plan with the same store.
    """
    plan.check()
    store = plan.delivery.store if plan.delivery and plan.key else None
    with store_locked(store) if store else nullcontext():
        if make_plan(aws, plan.desired, plan.delivery) != plan:
            raise RefusedError(
                "the account or the store has changed since the plan was made",
                remedy="make a new plan",
            )
        steps = [step for step in plan.steps if step.changes]
        do_steps(aws, steps, lambda: make_plan(aws, plan.desired, None).steps, report, pause)
        return _deliver(aws, plan, report, pause)


def make_plan(aws: Aws, desired: Desired, delivery: Delivery | None) -> Plan:
    """Read the account, and return the plan for *desired*; only reads."""
    identity, site = aws.identity(), desired.site
    check_account(identity, site.account)
    for document in desired.documents:
        _check_size(document)
    kind, name = site.principal
    # An administrator who sets up the trail need not be allowed to read the principal.
    live = read_principal(aws, kind, name) if desired.pieces != {"audit"} else None
    new = f"arn:{site.partition}:iam::{site.account}:{kind}{desired.path or site.path}{name}"
    arn = live.arn if live else new
    if desired.task == "destroy" and live and identity.arn == arn:
        raise RefusedError(f"`{arn}` cannot destroy itself", remedy="use other keys")
    draft = _TASKS[desired.task](Subject(aws, kind, name, live, desired))
    key = plan_key(aws, name, arn, delivery) if delivery and kind == "user" else None
    return Plan(
        identity=identity, desired=desired, principal=arn, key=key, delivery=delivery, **vars(draft)
    )


def _check_size(document: str) -> None:
    size = policy_size(document)
    if size > MANAGED_POLICY_CHARACTERS:
        raise QuotaError(
            f"the policy has {size} characters, but AWS allows {MANAGED_POLICY_CHARACTERS}",
            remedy="use fewer values, or wildcards, in the restrictions",
        )


def _bootstrap(subject: Subject) -> Draft:
    """Return the steps that create the requested pieces, and warnings."""
    aws, desired = subject.aws, subject.desired
    site, pieces = desired.site, desired.pieces
    boundary = read_limit(aws, site, "boundary") if "boundary" in pieces else ()
    draft = Draft(tuple(policy_step(subject, managed) for managed in boundary))
    draft += Draft(tuple(principal_steps(subject)))
    guard = read_limit(aws, site, "guard") if "guard" in pieces else ()
    draft += Draft(tuple(attached_steps(subject, guard)))
    parts = read_parts(aws, desired) if "principal" in pieces else ()
    draft += Draft(tuple(attached_steps(subject, parts)))
    if "principal" in pieces:
        draft += leftovers(subject)
        draft += other_grants(subject, {arn for _, arn in site_policies(site)})
        draft += attachment_room(subject, draft.steps)
    policies = (*boundary, *guard, *parts)
    draft += rewritten(subject, policies, draft.steps)
    draft += Draft(tuple(tag_steps(subject, policies)))
    if "principal" in pieces and subject.kind == "role" and desired.trust == "ec2":
        draft += Draft((profile_step(subject),))
    if "audit" in pieces:
        draft += audit_steps(aws, desired)
    return draft


def _adoption(subject: Subject) -> Draft:
    """Return the part of a bootstrap that only tags our resources; the rest comes later."""
    draft = _bootstrap(subject)
    steps = tuple(step for step in draft.steps if step.resource.endswith(" tags"))
    if not steps:
        raise RefusedError("there is nothing to adopt", remedy="create it: `bootstrap apply`")
    later = tuple(step for step in draft.steps if step.changes and step not in steps)
    refusals = tuple(problem.message for problem in draft.refused)
    return Draft(steps, (*draft.warnings, *refusals), draft.unchecked, later)


_TASKS: Final[Mapping[Task, Callable[[Subject], Draft]]] = {
    "bootstrap": _bootstrap,
    "adopt": _adoption,
    "rollback": rollback_steps,
    "destroy": destroy_steps,
}


def _deliver(
    aws: Aws, plan: Plan, report: Callable[[Step], None], pause: Callable[[float], None]
) -> str | None:
    if plan.key is None or plan.delivery is None:
        return None
    if plan.key.changes:
        report(key_step(plan.key))
    return deliver(aws, plan.key, plan.delivery, pause=pause)
