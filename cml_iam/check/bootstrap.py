"""Checks of the principal (by its plan, as `apply` sees it), the trail, and the alarms."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cml_iam.audit import Spot
from cml_iam.check.answer import Answer, Diagnosis, State
from cml_iam.credentials import key_use, list_keys
from cml_iam.errors import AwsError, NotFoundError
from cml_iam.principal import read_principal
from cml_iam.provision import PRINCIPAL, lost_deliveries, plan_bootstrap, step_data, watched
from cml_iam.render import audit_values

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws
    from cml_iam.check.checks import Check
    from cml_iam.check.scene import AccountScene
    from cml_iam.credentials import KeyInfo, KeyUse, Store
    from cml_iam.provision import Piece, Plan
    from cml_iam.site import Site


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """A key of the user; *stored* is True if the store holds it."""

    info: KeyInfo
    use: KeyUse
    stored: bool

    def as_json(self) -> dict[str, Any]:
        """Return the key as JSON values."""
        return {
            "id": self.info.id,
            "status": self.info.status,
            "created": self.info.created.isoformat() if self.info.created else None,
            "last_used": self.use.when.isoformat() if self.use.when else None,
            "last_used_service": self.use.service or None,
            "last_used_region": self.use.region or None,
            "stored": self.stored,
        }


@dataclass(frozen=True, slots=True)
class Status:
    """The plan without a new key, the user's keys, and the id of the key in the store."""

    plan: Plan
    keys: tuple[KeyStatus, ...]
    stored_id: str | None

    @property
    def stale(self) -> bool:
        """Whether the store holds a key that does not belong to the user."""
        return self.stored_id is not None and not any(key.stored for key in self.keys)

    @property
    def inactive(self) -> bool:
        """Whether the store holds a key that is inactive."""
        return any(key.stored and not key.info.active for key in self.keys)

    @property
    def remedy(self) -> str | None:
        """What to do about an inactive key in the store."""
        return "replace it: `cml-iam key rotate`" if self.inactive else None

    @property
    def fault(self) -> str | None:
        """What is wrong with the key in the store, in words."""
        if self.stale:
            return f"the store holds `{self.stored_id}`, which is not a key of this user"
        return f"the store's key `{self.stored_id}` is inactive" if self.inactive else None

    def as_json(self) -> dict[str, Any]:
        """Return the status as JSON values."""
        return {
            "principal": self.plan.principal,
            "steps": [
                {"mark": step.mark, "resource": step.resource, "name": step.name}
                for step in self.plan.all_steps
            ],
            "keys": [key.as_json() for key in self.keys],
            "stored_id": self.stored_id,
            "stale": self.stale,
            "inactive": self.inactive,
            "remedy": self.remedy,
            "warnings": list(self.plan.warnings),
            "unchecked": list(self.plan.unchecked),
        }


@dataclass(frozen=True, slots=True)
class Drift:
    """The plan for the account, and the extra policies found there."""

    plan: Plan
    also: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether anything differs from the site."""
        return bool(self.plan.changes or self.also)

    def as_json(self) -> dict[str, Any]:
        """Return the drift as JSON values."""
        return {
            "principal": self.plan.principal,
            "differs": self.differs,
            "steps": [step_data(step) for step in self.plan.changes],
            "also": list(self.also),
            "unchecked": list(self.plan.unchecked),
        }


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
    """Compare the account with the plan, and list the keys; only reads. Raises as the plan does."""
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
    if fault := standing.fault:
        diagnoses.append(check.diagnosis("stored key", State.FINDING, fault, standing.remedy))
    return Answer(diagnoses=tuple(diagnoses), details=(standing,))


def differences(check: Check, scene: BootstrapScene, _before: Answer) -> Answer:
    """Compare the account with the site by meaning; only reads. Raises what `plan_bootstrap` does.

    The site's boundary and guardrail are compared if they are attached, or included in *pieces*.
    """
    site, pieces = scene.site, frozenset(scene.pieces)
    principal = read_principal(scene.aws, *site.principal)
    attached: set[Piece] = set()
    if principal is not None and "principal" in pieces:
        attached |= {"boundary"} if principal.boundary == site.boundary_arn else set()
        attached |= {"guard"} if site.guard_arn in principal.attached else set()
    options = {**scene.options, "pieces": pieces | attached, "change_shared": True}
    plan = plan_bootstrap(scene.aws, site, scene.documents, **options)
    held = principal.boundary if principal else None
    also = list(plan.warnings)
    if held is not None and plan.desired.boundary is None:  # otherwise the plan changes it
        also.append(f"the principal's boundary is `{held}`, which is not the site's boundary")
    standing = Drift(plan, tuple(also))
    beside = (check.diagnosis("beside it", State.FINDING, text) for text in standing.also)
    return Answer(diagnoses=(*_planned(check, plan), *beside), details=(standing,))


def _planned(check: Check, plan: Plan) -> Iterator[Diagnosis]:
    for step in plan.all_steps:
        state = State.OK if step.mark == "keep" else State.FINDING
        remedy = None if state is State.OK else "see `cml-iam bootstrap plan`"
        yield check.diagnosis(f"{step.resource} {step.name}", state, step.mark, remedy)
    for text in plan.unchecked:
        yield check.diagnosis(plan.principal, State.UNCHECKED, text)


def trail(check: Check, scene: AccountScene, _before: Answer) -> Answer:
    """Report in one finding why the trail does not log."""
    site, account = scene.site, scene.account
    problems = trail_problems(scene.aws, site)
    spot = Spot(resource=str(audit_values(site)["trail_arn"]), account=account)
    message = "; ".join(problems)
    findings = [check.finding("CML821", message, spot)] if problems else ()
    return check.answer(1, message or f"{site.audit.trail} is logging", account, findings)


def trail_problems(aws: Aws, site: Site) -> tuple[str, ...]:
    """Return why the trail of *site* does not log, in words; empty if it does."""
    arn = audit_values(site)["trail_arn"]
    try:
        status = aws.call("cloudtrail", "get_trail_status", region=site.audit.region, Name=arn)
    except NotFoundError:
        return ("there is no trail",)
    stopped = () if status.get("IsLogging") else ("the trail is not logging",)
    return (*stopped, *lost_deliveries(status))


def alarms(check: Check, scene: AccountScene, _before: Answer) -> Answer:
    """Report in one finding why alarms cannot fire.

    An alarm needs its metric filter on the trail's log group, and a subscriber to notify.
    """
    aws, site, account = scene.aws, scene.site, scene.account
    region, expected = site.audit.region, watched(site)
    names = [event.alarm for event in expected]
    answer = aws.call("cloudwatch", "describe_alarms", region=region, AlarmNames=names)
    alarms = {alarm["AlarmName"]: alarm for alarm in answer.get("MetricAlarms", ())}
    filters = _filters(aws, site)
    problems = []
    for event in expected:
        alarm = alarms.get(event.alarm)
        if alarm is None:
            problems.append(f"there is no alarm `{event.alarm}`")
        elif not alarm.get("ActionsEnabled", True) or not alarm.get("AlarmActions"):
            problems.append(f"the alarm `{event.alarm}` notifies nobody")
        elif event.filter not in filters:
            problems.append(f"the alarm `{event.alarm}` has no metric filter `{event.filter}`")
    spot = Spot(resource=str(audit_values(site)["log_group_arn"]), account=account)
    detail = f"{len(problems)} of them cannot" if problems else "all there"
    findings = [check.finding("CML822", "; ".join(problems), spot)] if problems else ()
    return check.answer(1, detail, account, findings)


def _filters(aws: Aws, site: Site) -> frozenset[str]:
    where = {"region": site.audit.region, "logGroupName": site.audit.log_group}
    pages = aws.pages("logs", "describe_metric_filters", "metricFilters", **where)
    try:
        return frozenset(page["filterName"] for page in pages)
    except AwsError as error:
        if error.code == "ResourceNotFoundException":
            return frozenset()  # no log group, no filters
        raise
