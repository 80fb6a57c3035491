"""What is watched: metric filters on the trail's log group, and an alarm for each.

https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudwatch-alarms-for-cloudtrail.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from cml_iam.clock import Hours
from cml_iam.provision._hours import closed_queries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.site import Site

NAMESPACE: Final = "CmlCloudManager"
PERIOD: Final = 300
"""Seconds."""

TAGS_SEEN: Final = 5
"""A filter pattern cannot look at every tag of a call; it looks at this many."""


@dataclass(frozen=True, slots=True)
class Watch:
    """How the alarms are set: the hours of work, from which *year* on, and who is told."""

    year: int
    hours: Hours = field(default_factory=Hours)
    email: str | None = None


@dataclass(frozen=True, slots=True)
class Watched:
    """A filter and its alarm: so many (*threshold*) in five minutes, or outside the hours."""

    filter: str
    alarm: str
    words: str
    pattern: str
    threshold: int
    value: str = "1"
    out_of_hours: bool = False


def watched(site: Site) -> tuple[Watched, ...]:
    """Return everything that is watched for *site*."""
    return tuple(_watched(site))


def _watched(site: Site) -> Iterator[Watched]:
    who = _who(site)
    done = f"{who} && ($.errorCode NOT EXISTS)"
    count = "$.requestParameters.instancesSet.items[0].maxCount"
    yield Watched(
        "CmlRunInstancesCalls",
        "cml-run-instances",
        "5 or more launches by the manager in 5 minutes",
        f"{{ {_event('RunInstances')} && {done} }}",
        5,
    )
    yield Watched(
        "CmlRunInstancesRequestedCount",
        "cml-requested-instances",
        "10 or more instances asked for by the manager in 5 minutes",
        f"{{ {_event('RunInstances')} && {done} && ({count} >= 1) }}",
        10,
        count,
    )
    yield Watched(
        "CmlTerminateInstances",
        "cml-terminate-out-of-hours",
        "an instance terminated by the manager outside the hours of work",
        f"{{ {_event('TerminateInstances')} && {done} }}",
        1,
        out_of_hours=True,
    )
    refused = '($.errorCode = "*UnauthorizedOperation") || ($.errorCode = "AccessDenied*")'
    yield Watched(
        "CmlAuthorizationFailures",
        "cml-refused-calls",
        "3 or more calls of the manager refused in 5 minutes",
        f"{{ {who} && ({refused}) }}",
        3,
    )
    yield from _sign_ins(site)
    if site.restrict.guard_tag:
        yield _guard_tag_edits(site.restrict.guard_tag.key)


def _sign_ins(site: Site) -> Iterator[Watched]:
    if site.user:
        yield Watched(
            "CmlConsoleLoginAttempt",
            "cml-console-login",
            "somebody signs in to the console as the manager, which has no password",
            f'{{ ($.eventName = "ConsoleLogin") && {_who(site)} }}',
            1,
        )
    yield Watched(
        "AccountConsoleSignInFailures",
        "cml-console-sign-in-failures",
        "3 or more failed sign-ins to the console in 5 minutes",
        '{ ($.eventName = "ConsoleLogin") && ($.errorMessage = "Failed authentication") }',
        3,
    )


def _guard_tag_edits(key: str) -> Watched:
    tags = " || ".join(
        f'($.requestParameters.tagSet.items[{n}].key = "{key}")' for n in range(TAGS_SEEN)
    )
    events = '($.eventName = "CreateTags") || ($.eventName = "DeleteTags")'
    return Watched(
        "CmlGuardTagEdits",
        "cml-guard-tag-edits",
        f"somebody puts the tag {key} on something later, or takes it off",
        f'{{ ($.eventSource = "ec2.amazonaws.com") && ({events}) && ({tags}) }}',
        1,
    )


def _event(name: str) -> str:
    return f'($.eventSource = "ec2.amazonaws.com") && ($.eventName = "{name}")'


def _who(site: Site) -> str:
    if site.role:
        return f'($.userIdentity.sessionContext.sessionIssuer.userName = "{site.role}")'
    return f'($.userIdentity.userName = "{site.user}")'


def filter_parameters(each: Watched, log_group: str) -> dict[str, Any]:
    """Return the filter as logs:PutMetricFilter takes it."""
    transformation = {
        "metricName": each.filter,
        "metricNamespace": NAMESPACE,
        "metricValue": each.value,
    }
    return {
        "logGroupName": log_group,
        "filterName": each.filter,
        "filterPattern": each.pattern,
        "metricTransformations": [transformation],
    }


def alarm_parameters(each: Watched, watch: Watch, topic: str, year: int) -> dict[str, Any]:
    """Return the alarm as cloudwatch:PutMetricAlarm takes it, with the clock from *year* on."""
    common: dict[str, Any] = {
        "AlarmName": each.alarm,
        "AlarmDescription": each.words,
        "ActionsEnabled": True,
        "AlarmActions": [topic],
        "EvaluationPeriods": 1,
        "Threshold": float(each.threshold),
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
    }
    metric = {"Namespace": NAMESPACE, "MetricName": each.filter}
    if not each.out_of_hours:
        return {**common, **metric, "Period": PERIOD, "Statistic": "Sum"}
    statistic = {"Metric": metric, "Period": PERIOD, "Stat": "Sum"}
    query = {"Id": "m1", "MetricStat": statistic, "ReturnData": False}
    return {**common, "Metrics": closed_queries(query, watch.hours, year)}
