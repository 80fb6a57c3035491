"""Plan and apply the principal, its policy and its credential."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from cml_iam.aws import check_account
from cml_iam.credentials import deliver, plan_key, store_locked
from cml_iam.errors import QuotaError, RefusedError
from cml_iam.policy import MANAGED_POLICY_CHARACTERS, policy_size
from cml_iam.principal import (
    NAME,
    Kind,
    Policy,
    Principal,
    read_policy,
    read_principal,
)
from cml_iam.provision._apply import do_steps
from cml_iam.provision._audit import audit_steps
from cml_iam.provision._destroy import destroy_steps, rollback_steps, version_to
from cml_iam.provision._plan import (
    PRINCIPAL,
    Applied,
    Desired,
    Draft,
    Piece,
    Plan,
    Step,
    key_step,
)
from cml_iam.provision._policies import (
    Managed,
    attachment_room,
    attachment_step,
    boundary_of,
    guard_of,
    leftovers,
    parts_of,
    policy_step,
    shared_policy,
    site_policies,
)
from cml_iam.provision._steps import (
    boundary_step,
    other_grants,
    ours,
    principal_step,
    profile_step,
    read_profile,
    tag_step,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from cml_iam.aws.port import Aws, Identity
    from cml_iam.credentials import Delivery
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
    """Return the plan that gives the principal of *site* the policy *documents*.

    Only reads. *documents* is the policy, or its parts if it is too large for one document. *path*
    (by default the site's) and *boundary* (a policy's ARN) stay unchanged if not given; *tags* are
    added. *trust* says who may assume a role. *pieces* says what to create: "boundary" and "guard"
    add these policies of the site, "audit" adds the trail and the alarms, with the settings in
    *watch*. A user's key goes to *delivery*; without a delivery, keys are not considered.

    The plan is refused, and names the holders, if it would rewrite a policy that cml-iam neither
    created nor adopted or (without *change_shared*) that other principals also have.

    Raises RefusedError if the credentials are not of the site's account or if it is unsafe to
    continue, QuotaError for a document that is too large for AWS, and DocumentError for an invalid
    document.
    """
    texts = (documents,) if isinstance(documents, str) else tuple(documents)
    if "boundary" in pieces:
        boundary = site.boundary_arn
    path = path or (site.path if site.path != "/" else None)
    given = (path, boundary, dict(tags or {}), trust, frozenset(pieces))
    desired = Desired(site, texts, *given, watch=watch, change_shared=change_shared)
    return make_plan(aws, desired, delivery if "principal" in pieces else None)


def plan_adoption(aws: Aws, plan: Plan) -> Plan:
    """Return the part of the bootstrap *plan* that adopts existing resources by tagging them.

    Raises RefusedError if there is nothing to adopt.
    """
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
) -> Applied:
    """Apply exactly *plan*; *report* is called before each step that changes something.

    It may be interrupted at any point and planned again. Raises RefusedError, before any change, if
    the plan is refused or stale, or if another process applies a plan with the same store.
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
        return Applied(plan.principal, plan.changes, _deliver(aws, plan, report, pause))


def make_plan(aws: Aws, desired: Desired, delivery: Delivery | None) -> Plan:
    """Read the account, and return the plan for *desired*; only reads."""
    identity = aws.identity()
    check_account(identity, desired.site.account)
    for document in desired.documents:
        _check_size(document)
    kind, name = desired.site.principal
    # An administrator who sets up the trail need not be allowed to read the principal.
    principal = read_principal(aws, kind, name) if desired.pieces != {"audit"} else None
    found = _look(aws, kind, name, principal, desired, identity)
    arn = principal.arn if principal else _arn(desired, kind, name)
    key = plan_key(aws, name, arn, delivery) if delivery and kind == "user" else None
    return Plan(
        identity=identity,
        desired=desired,
        principal=arn,
        steps=found.steps,
        key=key,
        warnings=found.warnings,
        unchecked=found.unchecked,
        later=found.later,
        delivery=delivery,
        refused=found.refused,
    )


def _look(
    aws: Aws, kind: Kind, name: str, principal: Principal | None, desired: Desired, me: Identity
) -> Draft:
    match desired.task:
        case "bootstrap":
            return _bootstrap_steps(aws, kind, name, principal, desired)
        case "adopt":
            return _adoption(_bootstrap_steps(aws, kind, name, principal, desired))
        case "rollback":
            return rollback_steps(aws, desired)
        case "destroy":
            if principal is not None and me.arn == principal.arn:
                raise RefusedError(f"`{me.arn}` cannot destroy itself", remedy="use other keys")
            return destroy_steps(aws, kind, name, principal, desired)


def _adoption(found: Draft) -> Draft:
    """Return the part of *found* that only adds the tags of our resources; the rest comes later."""
    steps = tuple(step for step in found.steps if step.resource.endswith(" tags"))
    if not steps:
        raise RefusedError("there is nothing to adopt", remedy="create it: `bootstrap apply`")
    later = tuple(step for step in found.steps if step.changes and step not in steps)
    known = tuple(problem.message for problem in found.refused)
    return Draft(steps, (*found.warnings, *known), found.unchecked, later)


def _bootstrap_steps(
    aws: Aws, kind: Kind, name: str, principal: Principal | None, desired: Desired
) -> Draft:
    """Return the steps that create the requested pieces, and warnings."""
    account = _Account(aws, kind, name, principal, desired)
    pieces = desired.pieces
    draft = Draft()
    if "boundary" in pieces:
        draft += Draft((account.policy(boundary_of(desired.site)),))
    draft += Draft(tuple(account.principal()))
    if "guard" in pieces:
        draft += Draft(tuple(account.attached_policies((guard_of(desired.site),))))
    if "principal" in pieces:
        draft += Draft(tuple(account.attached_policies(parts_of(desired))))
        draft += leftovers(aws, kind, name, principal, desired)
        draft += account.other_grants()
        draft += attachment_room(aws, kind, principal, draft.steps)
    draft += account.shared(draft.steps)
    draft += Draft(tuple(account.tags()))
    if "principal" in pieces and kind == "role" and desired.trust == "ec2":
        draft += Draft((profile_step(name, read_profile(aws, name), desired),))
    if "audit" in pieces:
        draft += audit_steps(aws, desired)
    return draft


class _Account:
    """Reads the current state, and returns the necessary steps."""

    def __init__(
        self, aws: Aws, kind: Kind, name: str, principal: Principal | None, desired: Desired
    ) -> None:
        self.aws, self.kind, self.name = aws, kind, name
        self.live, self.desired = principal, desired
        self.policies: list[tuple[Managed, Policy]] = []

    def policy(self, managed: Managed) -> Step:
        live = read_policy(self.aws, managed.arn)
        if live is not None:
            self.policies.append((managed, live))
        return policy_step(self.aws, managed, live, self.desired)

    def principal(self) -> Iterator[Step]:
        if "principal" in self.desired.pieces:
            yield principal_step(self.kind, self.name, self.live, self.desired)
        if self.live is not None and self.desired.boundary is not None:
            yield boundary_step(self.kind, self.name, self.live, self.desired.boundary)

    def attached_policies(self, desired: tuple[Managed, ...]) -> Iterator[Step]:
        """Yield the steps for policies and their attachments.

        New policies are attached before existing ones change. A request that is allowed (or denied)
        both before and after is then also allowed (or denied) in between.
        """
        held = self.live.attached if self.live else ()
        steps = {each.arn: self.policy(each) for each in desired}
        yield from (steps[each.arn] for each in desired if each.arn not in held)
        if "principal" in self.desired.pieces:
            yield from self._attachments(each for each in desired if each.arn not in held)
        yield from (steps[each.arn] for each in desired if each.arn in held)
        yield from self._attachments(each for each in desired if each.arn in held)

    def _attachments(self, desired: Iterator[Managed]) -> Iterator[Step]:
        for each in desired:
            yield attachment_step(self.kind, self.name, self.live, each)

    def shared(self, steps: Sequence[Step]) -> Draft:
        """Return the problems of policies that *steps* rewrite: other holders, or not ours."""
        changed = {step.name for step in steps if step.resource == "policy" and step.changes}
        holder = (self.kind, self.name)
        drafts = (
            shared_policy(
                self.aws,
                live,
                but=holder,
                changes=managed.name in changed,
                agreed=self.desired.change_shared,
            )
            for managed, live in self.policies
            if managed.name in changed or not ours(live.tags)
        )
        return sum(drafts, Draft())

    def other_grants(self) -> Draft:
        """Return warnings about the principal's other sources of permissions."""
        if self.live is None:
            return Draft()
        known = {arn for _, arn in site_policies(self.desired.site)}
        foreign = tuple(f"policy `{arn}`" for arn in self.live.attached if arn not in known)
        others = other_grants(self.aws, self.kind, self.name)
        warnings = tuple(
            f"the {self.kind} also has the {grant}, which grants permissions too"
            for grant in (*foreign, *others.found)
        )
        return Draft(warnings=warnings, unchecked=others.unchecked)

    def tags(self) -> Iterator[Step]:
        """Yield a tag step for each existing resource; new ones are created with their tags."""
        if self.live is not None and "principal" in self.desired.pieces:
            address = {NAME[self.kind]: self.name}
            yield tag_step(self.kind, self.name, self.live.tags, address, self.desired)
        for managed, live in self.policies:
            address = {"PolicyArn": live.arn}
            yield tag_step("policy", managed.name, live.tags, address, self.desired)


def _deliver(
    aws: Aws, plan: Plan, report: Callable[[Step], None], pause: Callable[[float], None]
) -> str | None:
    if plan.key is None or plan.delivery is None:
        return None
    if plan.key.changes:
        report(key_step(plan.key))
    return deliver(aws, plan.key, plan.delivery, pause=pause)


def _arn(desired: Desired, kind: Kind, name: str) -> str:
    site = desired.site
    return f"arn:{site.partition}:iam::{site.account}:{kind}{desired.path or site.path}{name}"


def _check_size(document: str) -> None:
    size = policy_size(document)
    if size > MANAGED_POLICY_CHARACTERS:
        raise QuotaError(
            f"the policy has {size} characters, but AWS allows {MANAGED_POLICY_CHARACTERS}",
            remedy="use fewer values, or wildcards, in the restrictions",
        )
