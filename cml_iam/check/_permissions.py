"""Permissions according to AWS, by its simulator and by dry runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from cml_iam.audit import Spot
from cml_iam.check._expected import asks_live, expectation_findings, matrix_of
from cml_iam.check.answer import Answer
from cml_iam.check.checks import failed, not_made, reason_and_remedy
from cml_iam.check.verify import verify_live
from cml_iam.engine import compile_policies
from cml_iam.expectations import SITUATIONS, derive_expectations
from cml_iam.workers import Verdict, WorkerManager, launch_to_try, try_permissions

if TYPE_CHECKING:
    from cml_iam.audit import AuditFinding
    from cml_iam.check.checks import Check
    from cml_iam.check.scene import AccountScene, Attached
    from cml_iam.engine import Authorizer
    from cml_iam.expectations import Judgement
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
    account = site.account  # the check `identity` has compared it with the credentials
    policies = tuple(held.document for held in attached.with_boundary) if attached else None
    arn = scene.other or site.principal_arn
    done = verify_live(scene.aws, arn, derive_expectations(site), policies)
    failures = done.failed
    if attached is not None:
        failures = tuple(_unexplained(done.failed, attached, before.findings))
    spot = Spot(resource=arn, account=account)
    total, lost = len(done.judgements), done.unchecked
    result = check.passed(total, f"{total} checked, {len(done.failed)} do not hold", account)
    if done.failed:
        result = failed(result)
    if lost:
        why = "; ".join(dict.fromkeys(judgement.hint for judgement in lost if judgement.hint))
        reason = f"{len(lost)} of {total} questions have no answer{f': {why}' if why else ''}"
        result = not_made(result, reason, "see `cml-iam policy verify --live`")
    return Answer(
        checks=(result,),
        findings=expectation_findings(check, failures, asks_live, spot),
        matrices=(matrix_of(done, asks_live, account),),
        details=(done,),
    )


def _unexplained(
    failures: Sequence[Judgement], attached: Attached, faults: Sequence[AuditFinding]
) -> Iterator[Judgement]:
    """Yield the *failures* that no fault explains; a call that all policies allow with a hint."""
    ours = [held.document for held in (*attached.own, *attached.guard)]
    of_site = compile_policies(identity=ours, boundary=attached.boundary)
    of_all = compile_policies(identity=attached.documents, boundary=attached.boundary)
    rules = {fault.rule for fault in faults}
    drifted = bool(rules & {"CML704", "CML705", "CML706", "CML707", "CML711"})
    held = drifted or bool(rules & {"CML709", "CML710", "CML713"})
    for judgement in failures:
        answer = _answer(of_all, judgement)
        if drifted and _answer(of_site, judgement) == judgement.answer:
            continue
        if held and answer == judgement.answer:
            continue
        beyond = judgement.answer == "refused" and answer == "allowed"
        yield judgement._replace(hint=_SCP) if beyond else judgement


def _answer(authorizer: Authorizer, judgement: Judgement) -> str:
    allowed = all(authorizer.decide(request).allowed for request in judgement.expectation.requests)
    return "allowed" if allowed else "refused"


def use(check: Check, scene: AccountScene, before: Answer) -> Answer:
    """Use every permission as the manager, with DryRun and reads; changes nothing.

    If a permission cannot be tried in a region, for example because there is no worker, the check
    counts as not made. Refusals that the simulator check already reported are not repeated.
    """
    site, account = scene.site, scene.account
    if scene.as_manager is None:
        return check.not_checked(_NO_MANAGER, _GIVE_MANAGER, account)
    refused = _refused(before)
    manager = WorkerManager(scene.as_manager, guard=site.restrict.guard_tag, now=lambda: scene.now)
    regions = site.restrict.regions or (site.home_region,)
    healths = try_permissions(
        manager,
        regions,
        lambda region: launch_to_try(manager, site, region),
        grants=site.grant.active,
    )
    spot = Spot(resource=site.principal_arn, account=account)
    findings = tuple(
        check.finding(
            "CML703",
            f"`{tried.action}` in {health.region}: {tried.detail}",
            spot,
            about=tried.action
            if health.region == site.home_region
            else f"{tried.action} {health.region}",
        )
        for health in healths
        for tried in health.having(Verdict.REFUSED)
        if tried.action not in refused
    )
    numbers = {health.region: _number_tried(health) for health in healths}
    counts = ", ".join(f"{number} in {region}" for region, number in numbers.items())
    detail = f"tried by DryRun and reading: {counts}"
    result = check.passed(sum(numbers.values()), detail, account)
    if any(health.having(Verdict.REFUSED) for health in healths):
        result = failed(result)
    lost = list(filter(None, (_lost(health, refused) for health in healths)))
    if lost:
        reason = "; ".join(reason for reason, _ in lost)
        remedy = next((remedy for _, remedy in lost if remedy), None)
        result = not_made(result, reason, remedy)
    return Answer(checks=(result,), findings=findings)


def _number_tried(health: Health) -> int:
    return len({tried.action for tried in health.checks if tried.verdict is not Verdict.UNCHECKED})


def _lost(health: Health, refused: frozenset[str]) -> tuple[str, str | None] | None:
    """Return why a permission could not be tried in a region, and a remedy; or None."""
    lost = [check for check in health.having(Verdict.UNCHECKED) if check.action not in refused]
    if not lost:
        return None
    if health.failure:
        reason, remedy = reason_and_remedy(health.failure)
        return f"{health.region}: {reason}", remedy
    named = ", ".join(check.action for check in lost)
    remedy = next((check.remedy for check in lost if check.remedy), None)
    return f"{health.region}: {lost[0].detail}: {named}", remedy


def _refused(before: Answer) -> frozenset[str]:
    """Return the permissions of normal work that AWS's simulator refuses the manager."""
    return frozenset(
        cell.permission
        for matrix in before.matrices
        if matrix.how == "live"
        for cell in matrix.cells
        if cell.situation == SITUATIONS[0] and cell.met is False and cell.answer == "refused"
    )
