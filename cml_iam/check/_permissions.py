"""Permissions according to AWS, by its simulator and by dry runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from cml_iam.audit import Spot
from cml_iam.check._expected import asks_live, expectation_findings, matrix_of
from cml_iam.check.answer import Answer
from cml_iam.check.asking import reason_of, remedy_of, with_state
from cml_iam.check.verify import verify_live
from cml_iam.engine import compile_policies
from cml_iam.expectations import SITUATIONS, derive_expectations
from cml_iam.workers import Verdict, WorkerManager, launch_to_try, try_permissions

if TYPE_CHECKING:
    from cml_iam.audit import AuditFinding
    from cml_iam.check.asking import Check
    from cml_iam.check.scene import AccountScene, Attached
    from cml_iam.engine import Authorizer
    from cml_iam.expectations import Judgement
    from cml_iam.policy import PolicyDocument
    from cml_iam.workers import Health

_SCP: Final = (
    "no policy of the principal explains this: look for a service control policy or a resource "
    "control policy of the organization"
)
_NO_MANAGER: Final = (
    "these are not the manager's own credentials, so its permissions cannot be tried"
)
_GIVE_MANAGER: Final = (
    "name the manager's profile with --manager-profile, or skip the check: --skip use"
)


def simulation(check: Check, scene: AccountScene, before: Answer) -> Answer:
    """Check every expectation with the simulator.

    A failure that an earlier finding explains, such as drift or another policy of the principal, is
    not reported again: our engine must decide the same request the same way.
    """
    site, attached = scene.site, scene.attached_if_read
    account = site.account  # which the credentials are of, says `identity`
    expectations = derive_expectations(site)
    done = verify_live(scene.aws, scene.principal, expectations, _documents(attached))
    explained = _Explained(attached, before.findings)
    failed = [explained.hinted(judgement) for judgement in done.failed if not explained(judgement)]
    spot = Spot(resource=scene.principal, account=account)
    asked, lost = len(done.judgements), done.unchecked
    result = check.passed(asked, f"{asked} checked, {len(done.failed)} do not hold", account)
    if done.failed:
        result = with_state(result, "failed")
    if lost:
        why = "; ".join(dict.fromkeys(judgement.hint for judgement in lost if judgement.hint))
        reason = f"{len(lost)} of {asked} questions have no answer{f': {why}' if why else ''}"
        result = with_state(result, "not checked", reason, "see `cml-iam policy verify --live`")
    return Answer(
        checks=(result,),
        findings=expectation_findings(check, failed, asks_live, spot),
        matrices=(matrix_of(done.judgements, asks_live, "live", account),),
        verified=(done,),
    )


def _documents(attached: Attached | None) -> tuple[PolicyDocument, ...] | None:
    """Return all policies that apply to the principal, or None if any could not be read."""
    return None if attached is None else tuple(each.document for each in attached.with_boundary)


def use(check: Check, scene: AccountScene, before: Answer) -> Answer:
    """Use every permission as the manager, with DryRun and reads; changes nothing.

    If a permission cannot be tried in a region, for example because there is no worker, the check
    counts as not made. Refusals that the simulator check already reported are not repeated.
    """
    site, account = scene.site, scene.account
    if scene.manager is None:
        return check.not_checked(_NO_MANAGER, _GIVE_MANAGER, account)
    refused = _refused(before)
    manager = WorkerManager(scene.manager, guard=site.restrict.guard_tag, now=lambda: scene.now)
    regions = site.restrict.regions or (site.home_region,)
    tried = try_permissions(
        manager,
        regions,
        lambda region: launch_to_try(manager, site, region),
        grants=site.grant.active,
    )
    spot = Spot(resource=site.principal_arn, account=account)
    findings = tuple(
        check.finding(
            "CML703",
            f"`{each.action}` in {health.region}: {each.detail}",
            spot,
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
    result = check.passed(sum(made.values()), detail, account)
    if any(each.having(Verdict.REFUSED) for each in tried):
        result = with_state(result, "failed")
    lost = [each for health in tried if (each := _lost(health, refused))]
    if lost:
        reason = "; ".join(reason for reason, _ in lost)
        result = with_state(result, "not checked", reason, next((r for _, r in lost if r), None))
    return Answer(checks=(result,), findings=findings)


def _made(health: Health) -> int:
    return len({check.action for check in health.checks if check.verdict is not Verdict.UNCHECKED})


def _lost(health: Health, refused: frozenset[str]) -> tuple[str, str | None] | None:
    """Return why a permission could not be tried in a region, and a remedy; or None."""
    lost = [check for check in health.having(Verdict.UNCHECKED) if check.action not in refused]
    if not lost:
        return None
    if health.failure:
        return f"{health.region}: {reason_of(health.failure)}", remedy_of(health.failure)
    named = ", ".join(check.action for check in lost)
    remedy = next((check.remedy for check in lost if check.remedy), None)
    return f"{health.region}: {lost[0].detail}: {named}", remedy


class _Explained:
    """Decides whether a fault that was found explains a failure."""

    def __init__(self, attached: Attached | None, faults: Sequence[AuditFinding]) -> None:
        self._rules = frozenset(fault.rule for fault in faults)
        self._read = attached is not None
        if attached is None:
            return
        limit = attached.holder.boundary
        boundary = limit.document if limit else None
        ours = [each.document for each in (*attached.own, *attached.guard)]
        everything = [each.document for each in attached.all]
        self._ours = compile_policies(identity=ours, boundary=boundary)
        self._all = compile_policies(identity=everything, boundary=boundary)

    def __call__(self, judgement: Judgement) -> bool:
        if not self._read:
            return False
        drifted = self._rules & {"CML704", "CML705", "CML706", "CML707", "CML711"}
        if drifted and _answer(self._ours, judgement) == judgement.answer:
            return True
        held = self._rules & {"CML709", "CML710", "CML713", *drifted}
        return bool(held) and _answer(self._all, judgement) == judgement.answer

    def hinted(self, judgement: Judgement) -> Judgement:
        """Add a hint on what may refuse a call that all attached policies allow."""
        if not self._read or judgement.answer != "refused":
            return judgement
        allowed = _answer(self._all, judgement) == "allowed"
        return judgement._replace(hint=_SCP) if allowed else judgement


def _answer(authorizer: Authorizer, judgement: Judgement) -> str:
    allowed = all(authorizer.decide(request).allowed for request in judgement.expectation.requests)
    return "allowed" if allowed else "refused"


def _refused(before: Answer) -> frozenset[str]:
    """Return the permissions of normal work that AWS's simulator refuses the manager."""
    return frozenset(
        cell.permission
        for matrix in before.matrices
        if matrix.how == "live"
        for cell in matrix.cells
        if cell.situation == SITUATIONS[0] and cell.met is False and cell.answer == "refused"
    )
