"""Monitoring: metric filters on the trail's log group, each with an alarm; and its other forms.

Terraform and CloudFormation have the same parameters as the steps of bootstrap.

https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudwatch-alarms-for-cloudtrail.html

Working hours in a time zone are written as metric math, which itself knows only UTC:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from cml_iam.clock import Hours, time_zone
from cml_iam.render import (
    aligned,
    anywhere,
    audit_values,
    hcl,
    hcl_document,
    pages,
    render_document,
)
from cml_iam.site import Site

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo


YEARS: Final = 5
"""The number of years for which alarms contain the changes to and from summer time."""

RETENTION: Final = 365
"""The retention of a new log group, in days."""

DELIVERY: Final = "deliver-to-logs"
"""The inline policy of the trail's role."""

BLOCK: Final = dict.fromkeys(
    ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
)
"""The settings that keep a bucket private whatever its policy says."""

_DAY: Final = 86400


def closed_queries(metric: dict[str, Any], hours: Hours, year: int) -> list[dict[str, Any]]:
    """Return metric queries in which `closed` is *metric* (query `m1`) outside *hours*.

    They include the clock changes of `YEARS` years from *year* on. Every id belongs to one query.
    """
    rest = sorted(set(range(7)) - set(hours.days))
    base, changes = _clock(time_zone(hours.zone), year)
    if base == 0 and not changes:
        minute = "HOUR(m1) * 60 + MINUTE(m1)"
        closed = [f"DAY(m1) == {day + 1}" for day in rest]
        closed += [f"({minute}) < {hours.opens}", f"({minute}) >= {hours.closes}"]
        return [metric, _query("closed", f"IF({' || '.join(closed)}, m1, 0)", result=True)]
    local = f"EPOCH(m1) + {base}" + "".join(
        f" + {shift} * (EPOCH(m1) >= {moment})" for moment, shift in changes
    )
    closed = [f"weekday == {day}" for day in rest]
    closed += [f"second < {hours.opens * 60}", f"second >= {hours.closes * 60}"]
    return [
        metric,
        _query("local", local),
        _query("day", f"FLOOR(local / {_DAY})"),
        _query("second", f"local - {_DAY} * day"),
        # 1970 began on a Thursday.
        _query("weekday", "day + 3 - 7 * FLOOR((day + 3) / 7)"),
        _query("closed", f"IF({' || '.join(closed)}, m1, 0)", result=True),
    ]


def _query(name: str, expression: str, *, result: bool = False) -> dict[str, Any]:
    return {"Id": name, "Expression": expression, "ReturnData": result}


def _clock(zone: ZoneInfo, year: int) -> tuple[int, list[tuple[int, int]]]:
    """Return the UTC offset in seconds at the start of *year*, and its later changes with times."""

    def offset(moment: int) -> int:
        shift = datetime.fromtimestamp(moment, zone).utcoffset() or timedelta()
        return int(shift.total_seconds())

    start, end = (int(datetime(n, 1, 1, tzinfo=UTC).timestamp()) for n in (year, year + YEARS))
    changes = []
    for low in range(start, end, _DAY // 2):
        before, after = offset(low), offset(low + _DAY // 2)
        if before != after:
            moments = range(low, low + _DAY // 2 + 1)
            first = bisect_left(moments, True, key=lambda moment: offset(moment) == after)
            changes.append((moments[first], after - before))
    return offset(start), changes


NAMESPACE: Final = "CmlCloudManager"
PERIOD: Final = 300
"""The period of an alarm, in seconds."""

TAGS_SEEN: Final = 5
"""How many tags of a call a filter pattern checks; it cannot check all of them."""


@dataclass(frozen=True, slots=True)
class Watch:
    """The alarm settings: working hours, the first *year* of clock changes, and who is notified."""

    year: int
    hours: Hours = field(default_factory=Hours)
    email: str | None = None


class Watched(NamedTuple):
    """A filter and its alarm: *threshold* events in five minutes, or any outside working hours."""

    filter: str
    alarm: str
    words: str
    pattern: str
    threshold: int
    value: str = "1"
    out_of_hours: bool = False


def watched(site: Site) -> tuple[Watched, ...]:
    """Return all filters and alarms for *site*."""
    manager = f'($.userIdentity.userName = "{site.user}")'
    if site.role:
        manager = f'($.userIdentity.sessionContext.sessionIssuer.userName = "{site.role}")'
    return (*_calls(manager), *_sign_ins(site, manager), *_guard_tag_edits(site))


def _calls(manager: str) -> Iterator[Watched]:
    done = f"{manager} && ($.errorCode NOT EXISTS)"
    launch, terminate = (
        f'($.eventSource = "ec2.amazonaws.com") && ($.eventName = "{name}") && {done}'
        for name in ("RunInstances", "TerminateInstances")
    )
    count = "$.requestParameters.instancesSet.items[0].maxCount"
    refused = '($.errorCode = "*UnauthorizedOperation") || ($.errorCode = "AccessDenied*")'
    yield Watched(
        "CmlRunInstancesCalls",
        "cml-run-instances",
        "5 or more launches by the manager in 5 minutes",
        f"{{ {launch} }}",
        5,
    )
    yield Watched(
        "CmlRunInstancesRequestedCount",
        "cml-requested-instances",
        "the manager requested 10 or more instances within 5 minutes",
        f"{{ {launch} && ({count} >= 1) }}",
        10,
        count,
    )
    yield Watched(
        "CmlTerminateInstances",
        "cml-terminate-out-of-hours",
        "the manager terminated an instance outside working hours",
        f"{{ {terminate} }}",
        1,
        out_of_hours=True,
    )
    yield Watched(
        "CmlAuthorizationFailures",
        "cml-refused-calls",
        "3 or more calls of the manager refused in 5 minutes",
        f"{{ {manager} && ({refused}) }}",
        3,
    )


def _sign_ins(site: Site, manager: str) -> Iterator[Watched]:
    if site.user:
        yield Watched(
            "CmlConsoleLoginAttempt",
            "cml-console-login",
            "somebody signs in to the console as the manager, which has no password",
            f'{{ ($.eventName = "ConsoleLogin") && {manager} }}',
            1,
        )
    yield Watched(
        "AccountConsoleSignInFailures",
        "cml-console-sign-in-failures",
        "3 or more failed sign-ins to the console in 5 minutes",
        '{ ($.eventName = "ConsoleLogin") && ($.errorMessage = "Failed authentication") }',
        3,
    )


def _guard_tag_edits(site: Site) -> Iterator[Watched]:
    if site.restrict.guard_tag is None:
        return
    key = site.restrict.guard_tag.key
    tags = " || ".join(
        f'($.requestParameters.tagSet.items[{n}].key = "{key}")' for n in range(TAGS_SEEN)
    )
    events = '($.eventName = "CreateTags") || ($.eventName = "DeleteTags")'
    yield Watched(
        "CmlGuardTagEdits",
        "cml-guard-tag-edits",
        f"the tag {key} is added to an existing resource, or removed",
        f'{{ ($.eventSource = "ec2.amazonaws.com") && ({events}) && ({tags}) }}',
        1,
    )


def filter_parameters(row: Watched, log_group: str) -> dict[str, Any]:
    """Return the filter as parameters of logs:PutMetricFilter."""
    transformation = {
        "metricName": row.filter,
        "metricNamespace": NAMESPACE,
        "metricValue": row.value,
    }
    return {
        "logGroupName": log_group,
        "filterName": row.filter,
        "filterPattern": row.pattern,
        "metricTransformations": [transformation],
    }


def alarm_parameters(row: Watched, hours: Hours, year: int, actions: list[Any]) -> dict[str, Any]:
    """Return the alarm for cloudwatch:PutMetricAlarm, with clock changes from *year* on."""
    common: dict[str, Any] = {
        "AlarmName": row.alarm,
        "AlarmDescription": row.words,
        "ActionsEnabled": True,
        "AlarmActions": actions,
        "EvaluationPeriods": 1,
        "Threshold": float(row.threshold),
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
    }
    metric = {"Namespace": NAMESPACE, "MetricName": row.filter}
    if not row.out_of_hours:
        return {**common, **metric, "Period": PERIOD, "Statistic": "Sum"}
    statistic = {"Metric": metric, "Period": PERIOD, "Stat": "Sum"}
    query = {"Id": "m1", "MetricStat": statistic, "ReturnData": False}
    return {**common, "Metrics": closed_queries(query, hours, year)}


def lost_deliveries(status: Mapping[str, Any]) -> tuple[str, ...]:
    """Return, in words, where the trail could not deliver according to its *status*.

    https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_GetTrailStatus.html
    """
    errors = {
        "the bucket": status.get("LatestDeliveryError"),
        "the log group": status.get("LatestCloudWatchLogsDeliveryError"),
    }
    return tuple(
        f"the trail could not deliver to {where}: {error}"
        for where, error in errors.items()
        if error
    )


AuditForm = Literal["terraform", "cloudformation"]


def render_audit(site: Site, watch: Watch, form: AuditForm) -> str:
    """Return the trail, the resources that it needs, and the alarms in *form*; deterministic.

    After it is applied, `bootstrap plan --with audit` with the same *watch* has nothing to do.
    """
    return _terraform(site, watch) if form == "terraform" else _cloudformation(site, watch)


def _terraform(site: Site, watch: Watch) -> str:
    def document(name: str) -> list[dict[str, Any]]:
        return hcl_document(render_document(site, name).document)

    values = {
        **_values(site, watch, document),
        "account": site.account,
        "region": site.audit.region,
        "alarm": lambda row: alarm_parameters(row, watch.hours, watch.year, []),
        "lines": _lines,
    }
    return pages(hcl).get_template("terraform/audit.tf.j2").render(values)


def _lines(parameters: Mapping[str, Any], **attributes: str) -> list[str]:
    """Return the plain *parameters*, and *attributes* that already are HCL, as attributes."""
    named = {
        re.sub(r"\B(?=[A-Z])", "_", key).lower(): hcl(value)
        for key, value in parameters.items()
        if not isinstance(value, dict | list)
    }
    return aligned({**named, **attributes})


def _cloudformation(site: Site, watch: Watch) -> str:
    def document(name: str) -> Any:
        return anywhere(json.loads(render_document(site, name).text), site, site.audit.region)

    values = _values(site, watch, document)
    until = values["until"]
    clock = f" Clock changes are included until the end of {until}." if until else ""
    values |= {
        "description": (
            "The trail that watches CML Cloud Manager, and its alarms. Written by cml-iam for "
            f"account {site.account} in {site.audit.region}.{clock}"
        ),
        "block": BLOCK,
        "alarm": lambda row: alarm_parameters(row, watch.hours, watch.year, [{"Ref": "Topic"}]),
    }
    text = pages(json.dumps).get_template("cloudformation/audit.json.j2").render(values)
    return json.dumps(json.loads(text), indent=2) + "\n"


def _values(site: Site, watch: Watch, document: Callable[[str], Any]) -> dict[str, Any]:
    """Return the values of both forms; *document* writes a policy in the form's language."""
    arns = audit_values(site)
    return {
        "bucket_policy": document("cloudtrail-bucket"),
        "trust": document("trust-cloudtrail-to-logs"),
        "delivery": document("cloudtrail-to-logs"),
        # The site file cannot set the names of the role and the topic.
        "role": arns["delivery_role_arn"].rpartition("/")[2],
        "topic": arns["topic_arn"].rpartition(":")[2],
        "bucket": site.audit.bucket,
        "trail": site.audit.trail,
        "log_group": site.audit.log_group,
        "retention": RETENTION,
        "role_policy": DELIVERY,
        "email": watch.email,
        # The last year whose clock changes are in the alarms.
        "until": watch.year + YEARS - 1 if watch.hours.zone != "UTC" else None,
        "watched": watched(site),
        "namespace": NAMESPACE,
    }
