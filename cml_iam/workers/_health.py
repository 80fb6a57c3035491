"""Check whether the manager can work: ask EC2 for its regions, then try each permission."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import chain
from typing import Any, Final

from cml_iam.aws.port import Aws
from cml_iam.catalogue import Permission, granting, load_catalogue
from cml_iam.errors import AwsError, CmlIamError, DeniedError
from cml_iam.restrict import send_fix
from cml_iam.tag import Tag
from cml_iam.workers._changes import (
    DRY_RUN_PASSED,
    Change,
    Launch,
    launch_change,
    operate_change,
    tag_change,
    untag_change,
)
from cml_iam.workers._model import Worker, worker_from

ToTry = Launch | Callable[[], Launch | None] | None

_MAY_FAIL: Final = (logging.WARNING, "⚠️ AWS operations may fail at runtime")

PROBE: Final = "cml-iam-probe"
"""The name and tag key that dry runs use; no real resource has it."""


class Verdict(StrEnum):
    """The state of a permission."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    UNCHECKED = "could not check"


@dataclass(frozen=True, slots=True)
class Check:
    """Whether *action* is permitted; *detail* has the evidence, or says why it is unknown.

    *error* is AWS's error, or None if AWS simply permitted the call.
    """

    action: str
    verdict: Verdict
    detail: str
    remedy: str | None = None
    error: AwsError | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Health:
    """What the manager can do in *region*; *failure* is the reason if EC2 did not answer.

    *worker* and *launch* were used to try the permissions, if there are any.
    """

    region: str
    regions: tuple[str, ...]
    checks: tuple[Check, ...]
    failure: AwsError | None = None
    worker: Worker | None = None
    launch: Launch | None = None

    @property
    def connected(self) -> bool:
        """Whether EC2 answered with these credentials."""
        return self.failure is None

    @property
    def ok(self) -> bool:
        """Whether EC2 answered and no permission is missing or unchecked."""
        return self.connected and all(check.verdict is Verdict.ALLOWED for check in self.checks)

    def __bool__(self) -> bool:
        return self.ok

    def having(self, verdict: Verdict) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.verdict is verdict)

    @property
    def untried(self) -> Mapping[tuple[str, str | None], tuple[str, ...]]:
        """The actions that could not be checked, by reason and remedy."""
        actions: dict[tuple[str, str | None], tuple[str, ...]] = {}
        for check in self.having(Verdict.UNCHECKED):
            reason = check.detail, check.remedy
            actions[reason] = (*actions.get(reason, ()), check.action)
        return actions


@dataclass(frozen=True, slots=True)
class _Scene:
    """The inputs of the probes; *listing* says whether workers could be listed."""

    aws: Aws
    region: str
    guard: Tag
    now: datetime
    worker: Worker | None
    listing: Check
    launch: Launch | None

    def dry_run(self, permission: Permission, change: Change) -> Check:
        """Try *change*; raises EC2's error."""
        change.try_out(self.aws, self.region)
        return _allowed(permission.action, "EC2's dry run")


def check_health(
    aws: Aws, region: str, guard: Tag, now: datetime, probe: ToTry, grants: Iterable[str] = ()
) -> Health:
    """Ask EC2 for its regions, then try every permission; see `WorkerManager.health`."""
    connection = check_connection(aws, region)
    catalogue = load_catalogue()
    permissions = (*catalogue.permissions, *catalogue.granted(grants))
    tried = {_REGIONS: connection.checks[0]}
    if connection.failure:
        checks = [
            tried.get(permission.action)
            or _unchecked(permission, "EC2 did not answer the first call")
            for permission in permissions
        ]
        return replace(connection, checks=tuple(checks))
    worker, listing = _find_worker(aws, region, guard)
    tried[listing.action] = listing
    launch = probe() if callable(probe) else probe
    launch = (launch or Launch(PROBE, "", "")).filled(worker)
    scene = _Scene(aws, region, guard, now, worker, listing, launch)
    checks = [
        tried.get(permission.action) or _checked(permission, scene) for permission in permissions
    ]
    return replace(connection, checks=tuple(checks), worker=worker, launch=launch)


_REGIONS: Final = "ec2:DescribeRegions"


def check_connection(aws: Aws, region: str) -> Health:
    try:
        answer = aws.call("ec2", "describe_regions", region=region)
    except AwsError as failure:
        return Health(region, (), (_from_error(_REGIONS, failure),), failure)
    regions = tuple(sorted(region["RegionName"] for region in answer["Regions"]))
    return Health(region, regions, (_allowed(_REGIONS, "asked for the regions"),))


def failure_lines(why: str, where: str = "") -> tuple[tuple[int, str], ...]:
    """Return the log lines for an EC2 that does not answer, each with its level."""
    words = f"Error while verifying access to EC2: {why}"
    return (logging.WARNING, f"⚠️ AWS EC2 health check failed{where}: {words}"), _MAY_FAIL


def health_lines(*healths: Health) -> tuple[tuple[int, str], ...]:
    """Return the lines of the log for one or several regions, in the documented form.

    There is one line for success, and one for every problem. If EC2 answers in no region, the lines
    are about the first region.
    """
    if not any(health.connected for health in healths):
        failure = healths[0].failure
        return failure_lines(failure.message if failure else "")
    warnings: list[tuple[int, str]] = []
    for health in healths:
        where = f" in {health.region}" if healths[1:] else ""
        refused = ", ".join(check.action for check in health.having(Verdict.REFUSED))
        if health.failure:
            warnings += failure_lines(health.failure.message, where)[:1]
        elif refused:
            warnings.append((logging.WARNING, f"⚠️ AWS permissions refused{where}: {refused}"))
    connected = (logging.INFO, "✅ AWS EC2 connection successful")
    return (connected, *warnings, *([_MAY_FAIL] if warnings else []))


def health_json(healths: Sequence[Health]) -> dict[str, Any]:
    """Return *healths* as JSON values; *failure* comes from the first region that has one."""
    failure = next((health.failure for health in healths if health.failure), None)
    return {
        "ok": all(health.ok for health in healths),
        "connected": all(health.connected for health in healths),
        "region": healths[0].region,
        "checked": [health.region for health in healths],
        "regions": list(healths[0].regions),
        "log": [f"{logging.getLevelName(level)}  {line}" for level, line in health_lines(*healths)],
        "failure": failure and failure.as_json(),
        "permissions": [
            {
                "region": health.region,
                "action": check.action,
                "verdict": check.verdict,
                "detail": check.detail,
                "remedy": check.remedy,
            }
            for health in healths
            for check in health.checks
        ],
    }


def log_health(health: Health, logger: logging.Logger) -> None:
    """Log the lines of *health*, and a warning about every permission that could not be checked."""
    for level, line in health_lines(health):
        logger.log(level, line)
    for (why, _), actions in health.untried.items() if health.connected else ():
        logger.warning("⚠️ AWS permissions not checked: %s (%s)", ", ".join(actions), why)


def _find_worker(aws: Aws, region: str, guard: Tag) -> tuple[Worker | None, Check]:
    """Return a worker for dry runs: a permission that depends on the guard tag needs one."""
    action = "ec2:DescribeInstances"
    states = ["pending", "running", "stopping", "stopped"]
    filters = [
        {"Name": f"tag:{guard.key}", "Values": [guard.value]},
        {"Name": "instance-state-name", "Values": states},
    ]
    try:
        answer = aws.call("ec2", "describe_instances", region=region, Filters=filters, MaxResults=5)
    except AwsError as error:
        return None, _from_error(action, error)
    instances = chain(*(row.get("Instances", ()) for row in answer.get("Reservations", ())))
    workers = [worker_from(raw, region) for raw in instances]
    return next(iter(workers), None), _allowed(action, "looked for a worker")


def _checked(permission: Permission, scene: _Scene) -> Check:
    try:
        return _tried(permission, scene)
    except AwsError as error:
        return _from_error(permission.action, error)
    except CmlIamError as error:
        return _unchecked(permission, error.message, error.remedy)


def _from_error(action: str, error: AwsError) -> Check:
    if error.code == DRY_RUN_PASSED:
        return _allowed(action, "EC2's dry run")
    if not isinstance(error, DeniedError):
        return Check(action, Verdict.UNCHECKED, error.message, error.remedy, error)
    missing = error.action or action
    return Check(action, Verdict.REFUSED, error.message, granting(missing), error)


def _allowed(action: str, how: str) -> Check:
    return Check(action, Verdict.ALLOWED, how)


def _unchecked(permission: Permission, why: str, remedy: str | None = None) -> Check:
    return Check(permission.action, Verdict.UNCHECKED, why, remedy)


def _tried(permission: Permission, scene: _Scene) -> Check:
    match permission:
        case Permission(action="ec2:RunInstances"):
            return _launching(permission, scene)
        case Permission(service="cloudwatch"):
            return _metrics(permission, scene)
        case Permission(action="iam:PassRole"):
            return _passing(permission, scene)
        case Permission(dry_run=True, on_worker=True):
            return _on_worker(permission, scene)
        case Permission(dry_run=True, resources=()):
            # An ordinary response also proves the permission.
            few = _FEW.get(permission.action, {})
            scene.aws.call("ec2", permission.operation, region=scene.region, DryRun=True, **few)
            return _allowed(permission.action, "EC2 answered")
    return _unchecked(permission, "it cannot be tried without doing it")


_FEW: Final[Mapping[str, Any]] = {
    "ec2:DescribeImages": {"Owners": ["self"]},
    "ec2:DescribeInstanceTypes": {"MaxResults": 5},
}
"""Parameters that keep the answer small if an endpoint does not support DryRun."""


def _launching(permission: Permission, scene: _Scene) -> Check:
    launch = scene.launch
    if launch is None:
        return _unchecked(
            permission,
            "no image and instance type to try it with",
            f"name an image and a type for {scene.region} in the site file: `[workers.NAME]` or "
            "`restrict.images` and `restrict.instance_types`",
        )
    try:
        tried = scene.dry_run(permission, launch_change(launch, scene.guard))
    except DeniedError as error:
        if _lacks_only_the_guard_tag(launch, scene):
            return replace(_from_error(permission.action, error), remedy=send_fix(scene.guard))
        raise
    if launch.sent_tags is None:
        return tried
    return replace(tried, detail=f"{tried.detail}, as CML Cloud Manager sends it")


def _lacks_only_the_guard_tag(launch: Launch, scene: _Scene) -> bool:
    """Return whether the application's *launch* was refused but is allowed with the guard tag."""
    if launch.sent_tags is None or scene.guard.marks(launch.sent_tags.get("instance", {})):
        return False
    try:
        launch_change(replace(launch, sent_tags=None), scene.guard).try_out(scene.aws, scene.region)
    except AwsError as error:
        return error.code == DRY_RUN_PASSED
    return True


def _on_worker(permission: Permission, scene: _Scene) -> Check:
    # An invented id proves nothing: it has no guard tag, so a policy that requires the tag refuses,
    # and no AWS page says whether EC2 looks for an instance before it authorizes.
    if scene.worker is None and scene.listing.verdict is not Verdict.ALLOWED:
        return _unchecked(
            permission, "could not look for a worker to try it on: see ec2:DescribeInstances"
        )
    if scene.worker is None:
        return _unchecked(
            permission,
            "no worker in this region to try it on",
            f"create a worker in {scene.region}; until then `cml-iam policy verify` shows what the "
            "site's policy permits, with --live according to IAM",
        )
    ids = [scene.worker.id]
    match permission.action:
        case "ec2:CreateTags":
            change = tag_change(ids, {PROBE: "1"}, scene.guard)
        case "ec2:DeleteTags":
            change = untag_change(ids, [PROBE], scene.guard)
        case _:
            change = operate_change(permission.operation, ids)
    return scene.dry_run(permission, change)


def _passing(permission: Permission, scene: _Scene) -> Check:
    """Try a launch with the role; a refusal for another reason does not count."""
    if scene.launch is None or not scene.launch.instance_profile:
        remedy = f"name one in a worker profile for {scene.region}: `instance_profile`"
        return _unchecked(permission, "no instance profile to try it with", remedy)
    try:
        return scene.dry_run(permission, launch_change(scene.launch, scene.guard))
    except DeniedError as error:
        if error.action == permission.action:
            raise
        refused = "the launch with the role is refused: see ec2:RunInstances"
        return replace(_unchecked(permission, refused, error.remedy), error=error)


def _metrics(permission: Permission, scene: _Scene) -> Check:
    """Read one data point: CloudWatch has no dry run, but any response proves the permission."""
    period, statistic = 300, "Average"
    worker = scene.worker.id if scene.worker else "i-00000000"
    metric = {
        "Namespace": "AWS/EC2",
        "MetricName": "CPUUtilization",
        "Dimensions": [{"Name": "InstanceId", "Value": worker}],
    }
    parameters: dict[str, Any] = {**metric, "Period": period, "Statistics": [statistic]}
    if permission.action == "cloudwatch:GetMetricData":
        stat = {"Metric": metric, "Period": period, "Stat": statistic}
        parameters = {"MetricDataQueries": [{"Id": "cpu", "MetricStat": stat}]}
    scene.aws.call(
        "cloudwatch",
        permission.operation,
        region=scene.region,
        StartTime=scene.now - timedelta(seconds=period),
        EndTime=scene.now,
        **parameters,
    )
    return _allowed(permission.action, "read a metric")
