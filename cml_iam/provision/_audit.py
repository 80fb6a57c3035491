"""Plan the audit resources: a trail, its bucket and log group, metric filters and alarms.

https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-create-and-update-a-trail-by-using-the-aws-cli-create-trail.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Final

from cml_iam.aws.port import Aws
from cml_iam.errors import InputError, NotFoundError, RefusedError
from cml_iam.policy import PolicyDocument, difference, load_policy, same_meaning
from cml_iam.provision._plan import Call, Desired, Draft, Mark, Step
from cml_iam.provision._watch import (
    BLOCK,
    DELIVERY,
    RETENTION,
    Watch,
    Watched,
    alarm_parameters,
    filter_parameters,
    lost_deliveries,
    watched,
)
from cml_iam.render import audit_values, render_document
from cml_iam.site import Site

OLDER_CLOCKS: Final = 2
"""After how many years the clock changes written in an alarm are renewed."""

_BUCKET_SETTINGS: Final = (
    (
        "closed to the public",
        "public_access_block",
        "PublicAccessBlockConfiguration",
        BLOCK,
    ),
    ("keeps versions", "bucket_versioning", "VersioningConfiguration", {"Status": "Enabled"}),
)
"""What a bucket must have: in words, in the operations, the parameter and its value."""


def audit_steps(aws: Aws, desired: Desired) -> Draft:
    """Return the steps that create the trail and the alarms, with warnings; only reads.

    Raises InputError without a watch, RefusedError for a bucket that serves another purpose.
    """
    if desired.watch is None:
        raise InputError("the alarms need the working hours")
    audit = _Audit(aws, desired.site, desired.watch)
    steps = (*audit.bucket(), *audit.logs(), *audit.topic(), *audit.trail(), *audit.alarms())
    return Draft(steps, audit.warnings())


class _Audit:
    """Reads the current state, and yields the necessary steps."""

    def __init__(self, aws: Aws, site: Site, watch: Watch) -> None:
        self._aws, self._site, self._watch = aws, site, watch
        self._names = site.audit
        self._arns: Mapping[str, str] = audit_values(site)

    def _region(self, service: str) -> str | None:
        return None if service == "iam" else self._names.region

    def _read(self, service: str, operation: str, **parameters: Any) -> dict[str, Any] | None:
        """Return the response, or None if the resource does not exist."""
        try:
            return self._aws.call(service, operation, region=self._region(service), **parameters)
        except NotFoundError:
            return None

    def _pages(self, service: str, operation: str, key: str, **parameters: Any) -> list[Any]:
        try:
            region = self._region(service)
            return list(self._aws.pages(service, operation, key, region=region, **parameters))
        except NotFoundError:
            return []

    def _call(self, service: str, operation: str, **parameters: Any) -> Call:
        return Call(service, operation, parameters, region=self._region(service))

    def bucket(self) -> Iterator[Step]:
        """Yield the steps for the bucket, its settings and its policy."""
        name, region = self._names.bucket, self._names.region
        address = {"Bucket": name, "ExpectedBucketOwner": self._site.account}
        there = self._read("s3", "get_bucket_location", **address) is not None
        where = {"CreateBucketConfiguration": {"LocationConstraint": region}}
        create = self._call(
            "s3", "create_bucket", Bucket=name, **(where if region != "us-east-1" else {})
        )
        yield Step("create", "bucket", name, (), (create,)).unless(there)
        for words, subject, parameter, setting in _BUCKET_SETTINGS:
            live = self._read("s3", f"get_{subject}", **address) if there else None
            same = live is not None and _within(setting, live.get(parameter, live))
            put = self._call("s3", f"put_{subject}", **address, **{parameter: setting})
            yield Step("create", "bucket", f"{name} {words}", (), (put,)).unless(same)
        desired = render_document(self._site, "cloudtrail-bucket")
        raw = self._read("s3", "get_bucket_policy", **address) if there else None
        policy = load_policy(raw["Policy"], f"the policy of {name}") if raw else None
        self._check_bucket(policy, desired.document)
        put = self._call("s3", "put_bucket_policy", **address, Policy=desired.text)
        label = f"{name}, to which only the trail can write"
        yield _document_step("bucket", label, policy, desired.document, put)

    def _check_bucket(self, live: PolicyDocument | None, desired: PolicyDocument) -> None:
        sids = {statement.sid for statement in desired.statements}
        statements = live.statements if live else ()
        others = [statement.label for statement in statements if statement.sid not in sids]
        if others:
            raise RefusedError(
                f"the bucket `{self._names.bucket}` also serves another purpose: "
                f"{', '.join(others)}",
                remedy="use a separate bucket: set `bucket` in [audit]",
            )

    def logs(self) -> Iterator[Step]:
        """Yield the steps for the log group, and for the role that writes to it."""
        name = self._names.log_group
        groups = self._pages("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=name)
        live = next((group for group in groups if group["logGroupName"] == name), None)
        create = self._call("logs", "create_log_group", logGroupName=name)
        keep = self._call(
            "logs", "put_retention_policy", logGroupName=name, retentionInDays=RETENTION
        )
        line = f"events are kept for {RETENTION} days"
        if live is None:
            yield Step("create", "log group", name, (line,), (create, keep))
        else:
            step = Step("change", "log group", name, (line,), (keep,))
            yield step.unless("retentionInDays" in live)
        role = self._arns["delivery_role_arn"].rpartition("/")[2]
        trust = render_document(self._site, "trust-cloudtrail-to-logs")
        raw = self._read("iam", "get_role", RoleName=role)
        if raw is None:
            parameters = {"RoleName": role, "AssumeRolePolicyDocument": trust.text}
            create = self._call("iam", "create_role", **parameters)
            yield Step("create", "role", role, ("trusted by CloudTrail for this trail",), (create,))
        else:
            parameters = {"RoleName": role, "PolicyDocument": trust.text}
            update = self._call("iam", "update_assume_role_policy", **parameters)
            trusts = load_policy(raw["Role"]["AssumeRolePolicyDocument"], f"the trust of {role}")
            yield _document_step("role", role, trusts, trust.document, update, "change")
        desired = render_document(self._site, "cloudtrail-to-logs")
        address = {"RoleName": role, "PolicyName": DELIVERY}
        raw = self._read("iam", "get_role_policy", **address) if raw is not None else None
        policy = load_policy(raw["PolicyDocument"], f"{role} {DELIVERY}") if raw else None
        put = self._call("iam", "put_role_policy", **address, PolicyDocument=desired.text)
        label = f"{DELIVERY} of {role}"
        yield _document_step("inline policy", label, policy, desired.document, put)

    def topic(self) -> Iterator[Step]:
        """Yield the steps for the topic and its subscriber."""
        arn, email = self._arns["topic_arn"], self._watch.email
        name = arn.rpartition(":")[2]
        there = self._read("sns", "get_topic_attributes", TopicArn=arn) is not None
        operation = "list_subscriptions_by_topic"
        listed = self._pages("sns", operation, "Subscriptions", TopicArn=arn) if there else []
        lines = () if listed or email else ("the alarms notify nobody yet: use --alert-email",)
        create = self._call("sns", "create_topic", Name=name)
        yield Step("keep" if there else "create", "topic", name, lines, () if there else (create,))
        if email:
            same = any((row["Protocol"], row["Endpoint"]) == ("email", email) for row in listed)
            call = self._call("sns", "subscribe", TopicArn=arn, Protocol="email", Endpoint=email)
            line = f"{email} must confirm it by the link that AWS mails"
            step = Step("create", "subscription", f"{email} to {name}", (line,), (call,))
            yield step.unless(same)

    @cached_property
    def _trail(self) -> dict[str, Any] | None:
        """The existing trail, or None."""
        raw = self._read("cloudtrail", "get_trail", Name=self._arns["trail_arn"])
        return raw["Trail"] if raw else None

    @cached_property
    def _status(self) -> dict[str, Any]:
        """The status of the trail; empty if there is no trail."""
        return self._read("cloudtrail", "get_trail_status", Name=self._arns["trail_arn"]) or {}

    def warnings(self) -> tuple[str, ...]:
        """Return where the trail cannot deliver, and its current bucket if it gets another one."""
        bucket = (self._trail or {}).get("S3BucketName")
        former = (
            f"the bucket `{bucket}` keeps the events recorded so far, but receives no more; "
            f"from now on, cml-iam manages only `{self._names.bucket}`"
        )
        moves = bucket not in (None, self._names.bucket)
        return (*lost_deliveries(self._status), *((former,) if moves else ()))

    def trail(self) -> Iterator[Step]:
        """Yield the steps for the trail, what it records, and that it does."""
        name, arn, live = self._names.trail, self._arns["trail_arn"], self._trail
        settings = {
            "S3BucketName": self._names.bucket,
            "IsMultiRegionTrail": True,
            "IncludeGlobalServiceEvents": True,
            "CloudWatchLogsLogGroupArn": f"{self._arns['log_group_arn']}:*",
            "CloudWatchLogsRoleArn": self._arns["delivery_role_arn"],
        }
        parameters = {"Name": name, **settings, "EnableLogFileValidation": True}
        if live is None:
            line = "all regions, with validation of log files"
            create = self._call("cloudtrail", "create_trail", **parameters)
            yield Step("create", "trail", name, (line,), (create,))
        else:
            lines = tuple(
                f"~ {key} {live.get(key)} → {value}"
                for key, value in {**settings, "LogFileValidationEnabled": True}.items()
                if live.get(key) != value
            )
            update = self._call("cloudtrail", "update_trail", **parameters)
            yield Step("change", "trail", name, lines, (update,)).unless(not lines)
            # A new trail records every management event.
            raw = self._read("cloudtrail", "get_event_selectors", TrailName=arn)
            selector = {"ReadWriteType": "All", "IncludeManagementEvents": True}
            put = self._call(
                "cloudtrail", "put_event_selectors", TrailName=arn, EventSelectors=[selector]
            )
            same = raw is None or _logs_management(raw)
            label = f"{name} records every management event"
            yield Step("change", "trail", label, (), (put,)).unless(same)
        logs = live is not None and bool(self._status.get("IsLogging"))
        start = self._call("cloudtrail", "start_logging", Name=arn)
        yield Step("create", "trail", f"{name} logs", (), (start,)).unless(logs)

    def alarms(self) -> Iterator[Step]:
        """Yield the steps for the metric filters and their alarms."""
        rows, group = watched(self._site), self._names.log_group
        listed = self._pages("logs", "describe_metric_filters", "metricFilters", logGroupName=group)
        filters = {live["filterName"]: live for live in listed}
        for row in rows:
            parameters, live = filter_parameters(row, group), filters.get(row.filter)
            put = self._call("logs", "put_metric_filter", **parameters)
            same = live is not None and _within(parameters, live)
            mark: Mark = "change" if live else "create"
            yield Step(mark, "metric filter", row.filter, (), (put,)).unless(same)
        names = [row.alarm for row in rows]
        raw = self._read("cloudwatch", "describe_alarms", AlarmNames=names) or {}
        alarms = {live["AlarmName"]: live for live in raw.get("MetricAlarms", ())}
        for row in rows:
            yield self._alarm(row, alarms.get(row.alarm))

    def _alarm(self, row: Watched, live: dict[str, Any] | None) -> Step:
        actions = list(live.get("AlarmActions", ())) if live else []
        if self._arns["topic_arn"] not in actions:
            actions.append(self._arns["topic_arn"])
        ages = [
            alarm_parameters(row, self._watch.hours, self._watch.year - age, actions)
            for age in range(OLDER_CLOCKS + 1)
        ]
        same = live is not None and any(_within(parameters, live) for parameters in ages)
        put = self._call("cloudwatch", "put_metric_alarm", **ages[0])
        mark: Mark = "change" if live else "create"
        return Step(mark, "alarm", row.alarm, (row.words,), (put,)).unless(same)


def _document_step(
    resource: str,
    name: str,
    live: PolicyDocument | None,
    desired: PolicyDocument,
    call: Call,
    mark: Mark = "create",
) -> Step:
    if live is None:
        return Step(mark, resource, name, (), (call,))
    step = Step(mark, resource, name, difference(live, desired), (call,))
    return step.unless(same_meaning(live, desired))


def _logs_management(raw: Mapping[str, Any]) -> bool:
    """Return whether the selectors include all management events.

    https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_AdvancedEventSelector.html
    """
    simple, advanced = raw.get("EventSelectors") or [], raw.get("AdvancedEventSelectors") or []
    if not simple and not advanced:
        return True
    plain = any(
        selector.get("IncludeManagementEvents", True)
        and selector.get("ReadWriteType", "All") == "All"
        and not selector.get("ExcludeManagementEventSources")
        for selector in simple
    )
    return plain or any(
        [(field["Field"], field.get("Equals")) for field in selector["FieldSelectors"]]
        == [("eventCategory", ["Management"])]
        for selector in advanced
    )


def _within(desired: Any, live: Any) -> bool:
    """Return whether *live* includes everything in *desired*; AWS adds its own defaults."""
    if isinstance(desired, dict):
        return isinstance(live, dict) and all(
            key in live and _within(value, live[key]) for key, value in desired.items()
        )
    if isinstance(desired, list):
        if not isinstance(live, list) or len(live) != len(desired):
            return False
        pairs = zip(sorted(desired, key=_order), sorted(live, key=_order), strict=True)
        return all(_within(one, other) for one, other in pairs)
    return bool(desired == live)


def _order(value: Any) -> str:
    return str(value.get("Id", "")) if isinstance(value, dict) else json.dumps(value)
