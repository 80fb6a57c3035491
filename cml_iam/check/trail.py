"""What watches the manager: a trail that logs its activity, and alarms that can fire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cml_iam.audit import Spot
from cml_iam.check._answer import Answer
from cml_iam.errors import AwsError, NotFoundError
from cml_iam.provision import watched
from cml_iam.render import audit_values

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws
    from cml_iam.check._check import Check
    from cml_iam.check.scene import AccountScene
    from cml_iam.site import Site


def trail(check: Check, scene: AccountScene, _before: Answer) -> Answer:
    """Report why the trail does not log, in one finding."""
    site, account = scene.site, scene.account
    problems = trail_problems(scene.aws, site)
    spot = Spot(resource=str(audit_values(site)["trail_arn"]), account=account)
    result = check.passed(1, "; ".join(problems) or f"{site.audit.trail} is logging", account)
    findings = (check.finding("CML821", "; ".join(problems), spot),) if problems else ()
    return Answer(checks=(result,), findings=findings)


def alarms(check: Check, scene: AccountScene, _before: Answer) -> Answer:
    """Report why alarms cannot fire, in one finding."""
    site, account = scene.site, scene.account
    problems = alarm_problems(scene.aws, site)
    spot = Spot(resource=str(audit_values(site)["log_group_arn"]), account=account)
    detail = f"{len(problems)} of them cannot" if problems else "all there"
    findings = (check.finding("CML822", "; ".join(problems), spot),) if problems else ()
    return Answer(checks=(check.passed(1, detail, account),), findings=findings)


def trail_problems(aws: Aws, site: Site) -> tuple[str, ...]:
    """Return why the trail of *site* does not log, in words; empty if it does."""
    arn = audit_values(site)["trail_arn"]
    try:
        status = aws.call("cloudtrail", "get_trail_status", region=site.audit.region, Name=arn)
    except NotFoundError:
        return ("there is no trail",)
    problems = [] if status.get("IsLogging") else ["the trail is not logging"]
    for name, where in (
        ("LatestDeliveryError", "the bucket"),
        ("LatestCloudWatchLogsDeliveryError", "the log group"),
    ):
        if status.get(name):
            problems.append(f"the trail could not deliver to {where}: {status[name]}")
    return tuple(problems)


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
            each["filterName"]
            for each in aws.pages(
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
