"""Permissions as AWS sees them: asked of its simulator, and used for real by dry runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cml_iam.audit._asking import Question, reason_of, remedy_of
from cml_iam.audit._expected import (
    asks_live,
    asks_offline,
    expectation_findings,
    matrix_of,
)
from cml_iam.audit._part import Part, found
from cml_iam.audit._report import Check, Spot
from cml_iam.engine import compile_policies
from cml_iam.expectations import SITUATIONS, derive_expectations
from cml_iam.verify import verify_live, verify_offline
from cml_iam.workers import (
    PROBE,
    Disk,
    Launch,
    Verdict,
    WorkerManager,
    guard_of,
    in_threads,
)

if TYPE_CHECKING:
    from datetime import datetime

    from cml_iam.audit._principal import Seen
    from cml_iam.audit._report import AuditFinding, State
    from cml_iam.aws.port import Aws
    from cml_iam.engine import Authorizer, Request
    from cml_iam.expectations import Judgement
    from cml_iam.policy import PolicyDocument
    from cml_iam.site import Site
    from cml_iam.workers import Health

SIMULATED: Final = Question(
    "simulation", "AWS's simulator answers every expectation as it must", "permissions"
)
USED: Final = Question(
    "use", "The manager's own credentials can use every permission", "permissions"
)

_SCP: Final = (
    "nothing attached to the principal says so: look for a service control policy or a resource"
    " control policy of the organization"
)


def simulated(
    aws: Aws,
    site: Site,
    account: str,
    seen: Seen | None,
    faults: Sequence[AuditFinding],
) -> tuple[Part, frozenset[str]]:
    """Ask the simulator every expectation; return what it finds and the actions that are refused.

    What *faults* explain, drift or something else the principal holds, is one fault and is not
    found again: our engine tells, asked the same about what was read.
    """
    done = verify_live(aws, site.principal_arn, derive_expectations(site), _documents(seen))
    explained = _Explained(seen, faults)
    failed = [explained.hinted(each) for each in done.failed if not explained(each)]
    spot = Spot(resource=site.principal_arn, account=account)
    findings = expectation_findings(failed, asks_live, spot, SIMULATED.id)
    asked, lost = len(done.judgements), done.unchecked
    detail = f"{asked} asked, {len(done.failed)} do not hold"
    check = SIMULATED.passed(account, asked, detail)
    if done.failed:
        check = _with(check, "failed")
    if lost:
        why = "; ".join(dict.fromkeys(each.hint for each in lost if each.hint))
        reason = f"{len(lost)} of {asked} questions have no answer{f': {why}' if why else ''}"
        check = _with(check, "not checked", reason, "see `cml-iam policy verify --live`")
    matrix = matrix_of(done.judgements, asks_live, "live", account)
    part = Part(checks=(check,), findings=findings, matrices=(matrix,))
    return part, _refused(done.failed)


def _documents(seen: Seen | None) -> tuple[PolicyDocument, ...] | None:
    """Return everything that applies to the principal, None where it could not be read."""
    if seen is None:
        return None
    boundary = seen.holder.boundary
    held = [*seen.all, *([boundary] if boundary else [])]
    return tuple(each.document for each in held)


def decided_here(site: Site, seen: Seen, account: str) -> Part:
    """Return the matrix as our engine decides what was read: where AWS may not be asked."""
    documents, boundary = [each.document for each in seen.all], seen.holder.boundary
    limit = boundary.document if boundary else None
    done = verify_offline(derive_expectations(site), documents, limit)
    asker = asks_offline(compile_policies(identity=documents, boundary=limit))
    return Part(matrices=(matrix_of(done.judgements, asker, "offline", account),))


def used(manager: Aws, site: Site, account: str, now: datetime, refused: frozenset[str]) -> Part:
    """Use every permission as the manager, with DryRun; *refused* is known to be refused already.

    Nothing is changed. What cannot be tried in a region of the site, as without a worker there,
    makes the check one not made.
    """
    workers = WorkerManager(manager, guard=guard_of(site), now=lambda: now)
    regions = site.restrict.regions or (site.home_region,)
    tried = in_threads(lambda each: workers.health(region=each, probe=_probe(site, each)), regions)
    spot = Spot(resource=site.principal_arn, account=account)
    findings = tuple(
        found(
            "CML703",
            f"`{each.action}` in {health.region}: {each.detail}",
            spot,
            USED.id,
            about=each.action
            if health.region == site.home_region
            else f"{each.action} {health.region}",
        )
        for health in tried
        for each in health.having(Verdict.REFUSED)
        if each.action not in refused
    )
    made = {each.region: _made(each) for each in tried}
    detail = f"tried by DryRun and reading: {', '.join(f'{n} in {r}' for r, n in made.items())}"
    check = USED.passed(account, sum(made.values()), detail)
    if any(each.having(Verdict.REFUSED) for each in tried):
        check = _with(check, "failed")
    lost = [each for health in tried if (each := _lost(health, refused))]
    if lost:
        reason = "; ".join(reason for reason, _ in lost)
        check = _with(check, "not checked", reason, next((r for _, r in lost if r), None))
    return Part(checks=(check,), findings=findings)


def _made(health: Health) -> int:
    return len({each.action for each in health.checks if each.verdict is not Verdict.UNCHECKED})


def _lost(health: Health, refused: frozenset[str]) -> tuple[str, str | None] | None:
    """Return why something could not be tried in a region, and what to do; None where all was."""
    lost = [each for each in health.having(Verdict.UNCHECKED) if each.action not in refused]
    if not lost:
        return None
    if health.failure:
        return f"{health.region}: {reason_of(health.failure)}", remedy_of(health.failure)
    named = ", ".join(each.action for each in lost)
    remedy = next((each.remedy for each in lost if each.remedy), None)
    return f"{health.region}: {lost[0].detail}: {named}", remedy


def _probe(site: Site, region: str) -> Launch:
    """Return the launch that is tried; what the site does not say is taken from a worker.

    What belongs to one region, such as a subnet, is tried in the home region alone.
    """
    at_home = region == site.home_region
    types = [each for each in site.restrict.instance_types if not set("*?") & set(each)]
    families = [each for each in site.restrict.instance_types if each.endswith(".*")]
    restrict = site.restrict
    return Launch(
        PROBE,
        next(iter(restrict.images.get(region, ())), ""),
        next(iter(types), next((f"{each[:-1]}large" for each in families), "")),
        subnet_id=restrict.subnets[0] if at_home and len(restrict.subnets) == 1 else None,
        security_group_ids=restrict.security_groups[:1] if at_home else (),
        disk=Disk() if restrict.encrypted_volumes else None,
    )


class _Explained:
    """Says whether a failure is the doing of a fault that was found."""

    def __init__(self, seen: Seen | None, faults: Sequence[AuditFinding]) -> None:
        self._rules = frozenset(each.rule for each in faults)
        self._seen = seen
        if seen is None:
            return
        boundary = seen.holder.boundary
        limit = boundary.document if boundary else None
        ours = [each.document for each in (*seen.own, *seen.guard)]
        self._ours = compile_policies(identity=ours, boundary=limit)
        self._all = compile_policies(identity=[each.document for each in seen.all], boundary=limit)

    def __call__(self, judgement: Judgement) -> bool:
        if self._seen is None:
            return False
        drifted = self._rules & {"CML704", "CML705", "CML706", "CML707", "CML711"}
        if drifted and _answer(self._ours, judgement) == judgement.answer:
            return True
        held = self._rules & {"CML709", "CML710", "CML713", *drifted}
        return bool(held) and _answer(self._all, judgement) == judgement.answer

    def hinted(self, judgement: Judgement) -> Judgement:
        """Say where to look for what refuses a call that all attached policies allow."""
        if self._seen is None or judgement.answer != "refused":
            return judgement
        allowed = _answer(self._all, judgement) == "allowed"
        return replace(judgement, hint=_SCP) if allowed else judgement


def _answer(authorizer: Authorizer, judgement: Judgement) -> str:
    requests: Sequence[Request] = judgement.expectation.requests
    allowed = all(authorizer.decide(each).allowed for each in requests)
    return "allowed" if allowed else "refused"


def _refused(failed: Sequence[Judgement]) -> frozenset[str]:
    """Return the permissions that AWS refuses the manager in its own work."""
    return frozenset(
        each.expectation.permission
        for each in failed
        if each.answer == "refused" and each.expectation.situation == SITUATIONS[0]
    )


def _with(
    check: Check, state: State, reason: str | None = None, remedy: str | None = None
) -> Check:
    return replace(check, state=state, reason=reason, remedy=remedy)
