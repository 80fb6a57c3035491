"""Checks of what bootstrap creates: the principal beside its site, the trail, and the alarms.

The principal's checks ask the plan, and so agree with `bootstrap apply`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cml_iam.audit import Spot
from cml_iam.check.answer import Answer, Diagnosis, Drift, KeyStatus, State, Status
from cml_iam.credentials import key_use, list_keys
from cml_iam.errors import AwsError, NotFoundError
from cml_iam.principal import read_principal
from cml_iam.provision import PRINCIPAL, lost_deliveries, plan_bootstrap, watched
from cml_iam.render import audit_values

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cml_iam.aws.port import Aws
    from cml_iam.check.asking import Check
    from cml_iam.check.scene import AccountScene
    from cml_iam.credentials import Store
    from cml_iam.principal import Principal
    from cml_iam.provision import Piece, Plan
    from cml_iam.site import Site


@dataclass(frozen=True, slots=True)
class BootstrapScene:
    """An account and its site; *documents* are those of the site's policy.

    *options* and *pieces* are passed to `plan_bootstrap`. Without a *store*, no key is looked up.
    """

    aws: Aws
    site: Site
    documents: str | Sequence[str]
    store: Store | None = None
    pieces: Collection[Piece] = PRINCIPAL
    options: Mapping[str, Any] = field(default_factory=dict)


def status(check: Check, scene: BootstrapScene, _before: Answer) -> Answer:
    """Compare the account with the plan, and list the user's keys; only reads.

    Raises the errors of `plan_bootstrap`.
    """
    aws, site = scene.aws, scene.site
    plan = plan_bootstrap(aws, site, scene.documents, change_shared=True)
    key = scene.store.look().key if scene.store and site.user else None
    stored_id = key.id if key else None
    keys = tuple(
        KeyStatus(info, key_use(aws, info.id), info.id == stored_id)
        for info in (list_keys(aws, site.user) if site.user else ())
    )
    standing = Status(plan, keys, stored_id)
    diagnoses = [*_planned(check, plan)]
    if standing.stale:
        said = f"the store holds `{stored_id}`, which is not a key of this user"
        diagnoses.append(check.diagnosis("stored key", State.FINDING, said))
    if standing.inactive:
        said = f"the store's key `{stored_id}` is inactive"
        diagnoses.append(check.diagnosis("stored key", State.FINDING, said, standing.remedy))
    return Answer(diagnoses=tuple(diagnoses), status=(standing,))


def differences(check: Check, scene: BootstrapScene, _before: Answer) -> Answer:
    """Compare the account with the site by meaning; only reads. Raises what `plan_bootstrap` does.

    The site's boundary and guardrail are compared if they are attached, or included in *pieces*.
    """
    site, pieces = scene.site, frozenset(scene.pieces)
    principal = read_principal(scene.aws, *site.principal)
    chosen = pieces | (_on(principal, site) if "principal" in pieces else frozenset())
    options = {**scene.options, "pieces": chosen, "change_shared": True}
    plan = plan_bootstrap(scene.aws, site, scene.documents, **options)
    held = principal.boundary if principal else None
    foreign = held is not None and plan.desired.boundary is None  # else the plan changes it
    also = f"the principal's boundary is `{held}`, which is not the site's boundary"
    standing = Drift(plan, (*plan.warnings, *([also] if foreign else [])))
    beside = (check.diagnosis("beside it", State.FINDING, text) for text in standing.also)
    return Answer(diagnoses=(*_planned(check, plan), *beside), drift=(standing,))


def _planned(check: Check, plan: Plan) -> Iterator[Diagnosis]:
    """Yield a diagnosis for each step of *plan*, and for what it could not compare."""
    for step in plan.all_steps:
        state = State.OK if step.mark == "keep" else State.FINDING
        remedy = None if state is State.OK else "see `cml-iam bootstrap plan`"
        yield check.diagnosis(f"{step.resource} {step.name}", state, step.mark, remedy)
    for text in plan.unchecked:
        yield check.diagnosis(plan.principal, State.UNCHECKED, text)


def _on(principal: Principal | None, site: Site) -> frozenset[Piece]:
    on: set[Piece] = set()
    if principal is not None and principal.boundary == site.boundary_arn:
        on.add("boundary")
    if principal is not None and site.guard_arn in principal.attached:
        on.add("guard")
    return frozenset(on)


def trail(check: Check, scene: AccountScene, _before: Answer) -> Answer:
    """Report in one finding why the trail does not log."""
    site, account = scene.site, scene.account
    problems = trail_problems(scene.aws, site)
    spot = Spot(resource=str(audit_values(site)["trail_arn"]), account=account)
    said = "; ".join(problems)
    findings = [check.finding("CML821", said, spot)] if problems else ()
    return check.answer(1, said or f"{site.audit.trail} is logging", account, findings)


def alarms(check: Check, scene: AccountScene, _before: Answer) -> Answer:
    """Report in one finding why alarms cannot fire."""
    site, account = scene.site, scene.account
    problems = alarm_problems(scene.aws, site)
    spot = Spot(resource=str(audit_values(site)["log_group_arn"]), account=account)
    detail = f"{len(problems)} of them cannot" if problems else "all there"
    findings = [check.finding("CML822", "; ".join(problems), spot)] if problems else ()
    return check.answer(1, detail, account, findings)


def trail_problems(aws: Aws, site: Site) -> tuple[str, ...]:
    """Return why the trail of *site* does not log, in words; empty if it does."""
    arn = audit_values(site)["trail_arn"]
    try:
        status = aws.call("cloudtrail", "get_trail_status", region=site.audit.region, Name=arn)
    except NotFoundError:
        return ("there is no trail",)
    stopped = () if status.get("IsLogging") else ("the trail is not logging",)
    return (*stopped, *lost_deliveries(status))


def alarm_problems(aws: Aws, site: Site) -> tuple[str, ...]:
    """Return why the alarms of *site* cannot fire, in words; empty if they can.

    An alarm needs its metric filter on the trail's log group, and a subscriber to notify.
    """
    region, expected = site.audit.region, watched(site)
    names = [each.alarm for each in expected]
    listed = aws.call("cloudwatch", "describe_alarms", region=region, AlarmNames=names)
    alarms = {each["AlarmName"]: each for each in listed.get("MetricAlarms", ())}
    filters = _filters(aws, site)
    problems = []
    for each in expected:
        alarm = alarms.get(each.alarm)
        if alarm is None:
            problems.append(f"there is no alarm `{each.alarm}`")
        elif not alarm.get("ActionsEnabled", True) or not alarm.get("AlarmActions"):
            problems.append(f"the alarm `{each.alarm}` notifies nobody")
        elif each.filter not in filters:
            problems.append(f"the alarm `{each.alarm}` has no metric filter `{each.filter}`")
    return tuple(problems)


def _filters(aws: Aws, site: Site) -> frozenset[str]:
    names = site.audit
    try:
        return frozenset(
            page["filterName"]
            for page in aws.pages(
                "logs",
                "describe_metric_filters",
                "metricFilters",
                region=names.region,
                logGroupName=names.log_group,
            )
        )
    except AwsError as error:
        if error.code == "ResourceNotFoundException":
            return frozenset()  # no log group, no filters
        raise
