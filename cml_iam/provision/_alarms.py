"""Whether the alarms on the manager are there and can go off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cml_iam.errors import AwsError
from cml_iam.provision._watch import watched

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws
    from cml_iam.site import Site


def alarm_problems(aws: Aws, site: Site) -> tuple[str, ...]:
    """Return what keeps the alarms of *site* from going off, in words; nothing when they can.

    An alarm needs its metric filter on the trail's log group, and somebody it tells.
    """
    region, wanted = site.audit.region, watched(site)
    names = [each.alarm for each in wanted]
    listed = aws.call("cloudwatch", "describe_alarms", region=region, AlarmNames=names)
    alarms = {each["AlarmName"]: each for each in listed.get("MetricAlarms", ())}
    filters = _filters(aws, site)
    problems = []
    for each in wanted:
        alarm = alarms.get(each.alarm)
        if alarm is None:
            problems.append(f"there is no alarm `{each.alarm}`")
        elif not alarm.get("ActionsEnabled", True) or not alarm.get("AlarmActions"):
            problems.append(f"the alarm `{each.alarm}` tells nobody")
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
